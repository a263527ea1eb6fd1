"""A player's side of the table: who speaks, where, what there is to press, and how it is done in the room."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from bot.errors import TableError
from bot.rehearsal.terminal_commands import Catalogue, Choice, Command, Option, OptionKind, chosen_value
from bot.rehearsal.terminal_files import paths, read_upload
from bot.rehearsal.terminal_line import CLIENT_WORDS, Press, Say, Slash, Typed, Word
from bot.rehearsal.terminal_modal import select_values
from bot.rehearsal.terminal_names import Directory
from bot.rehearsal.terminal_options import parse_options
from bot.rehearsal.terminal_text import Part, clean, controls, message_text, one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bot.rehearsal.guilds import Channel, Guild, Member
    from bot.rehearsal.interactions import Interaction
    from bot.rehearsal.message_forms import Upload
    from bot.rehearsal.messages import Message
    from bot.rehearsal.people import Application
    from bot.rehearsal.room import Room
    from bot.rehearsal.terminal_files import Downloads

_OFFERED_AT_MOST = 25


@dataclass(frozen=True, slots=True)
class Told:
    """The terminal's own answer to one of its words."""

    text: str


@dataclass(frozen=True, slots=True)
class Left:
    """The player has had enough."""


class TerminalClient:
    """Does in the room what a player types, as the player who speaks now.

    Everything a player can get wrong, and everything Discord refuses, is raised as TableError. What the bot
    attaches to its messages is kept in `downloads`.
    """

    def __init__(
        self,
        room: Room,
        guild: Guild,
        application: Application,
        channel: Channel,
        member: Member,
        downloads: Downloads,
    ) -> None:
        self.room = room
        self.guild = guild
        self.application = application
        self.channel = channel
        self.member = member
        self.names = Directory(guild)
        self._downloads = downloads
        self._controls: dict[int, tuple[Message, str]] = {}
        self._numbers: dict[tuple[int, str], int] = {}

    @property
    def catalogue(self) -> Catalogue:
        """The bot's commands as they are registered now."""
        return Catalogue(self.room.commands(self.application, self.guild))

    async def perform(self, typed: Typed) -> Told | Left | Message | Interaction:
        """Do what a line says: give what was told, sent or called. An interaction may still be on its way."""
        match typed:
            case Say(text):
                return await self.room.say(self.member, self.channel, self.names.with_mentions(text))
            case Slash(text):
                return await self._call(text)
            case Press(number, value):
                return await self._press(number, value)
            case Word():
                return self._word(typed)

    async def submit(self, call: Interaction, values: Mapping[str, Any]) -> Interaction:
        """Send a filled form; raises TableError if it is not as the form wants it."""
        assert call.modal is not None
        return await self.room.submit(self.member, call, values)

    def text(self, message: Message) -> str:
        """Read a message, numbering its controls. `""` for one that shows nothing (yet)."""
        return message_text(
            message,
            self.names,
            number=lambda custom_id: self._number(message, custom_id),
            tell_file=self._downloads.tell,
        )

    def speaker(self, message: Message) -> str:
        """Give the name above a message, on one line."""
        return one_line(clean(message.author_name))

    def is_bot(self, message: Message) -> bool:
        """Tell whether a message comes from the bot, under its own name or a persona's."""
        return message.application_id == self.application.id or message.author is self.application.user

    def controls(self) -> dict[int, str]:
        """Give the labels of what can be pressed, by number."""
        found = {number: self._component(number) for number in self._controls}
        return {
            number: str(component.get("label") or component.get("placeholder") or "choose")
            for number, component in found.items()
            if component
        }

    def control_choices(self, number: int) -> list[str]:
        """List the labels of a select's options."""
        component = self._component(number) or {}
        return [option["label"] for option in component.get("options") or []]

    def players(self) -> list[str]:
        """List the names of the humans."""
        return [member.name for member in self.guild.members.values() if not member.user.bot]

    def people(self) -> list[str]:
        """List the names of all members."""
        return self.names.people()

    def places(self) -> list[str]:
        """List the names of channels and threads."""
        return [place.name for place in self.names.places()]

    def roles(self) -> list[str]:
        """List the names of roles."""
        return self.names.roles()

    async def files(self, typed: str) -> list[str]:
        """List the paths on this machine that begin so."""
        return await asyncio.to_thread(paths, typed)

    async def ask(
        self, command: Command, given: Mapping[str, str], focused: Option, typed: str
    ) -> list[Choice]:
        """Ask the bot what it offers for an option. Nothing if it does not answer in time."""
        values = {**given, focused.name: typed}
        try:
            offered = await self.room.autocomplete(
                self.member, self.channel, command.path, values, focused=focused.name
            )
        except (TableError, TimeoutError):
            return []
        return [Choice(name, value) for name, value in offered[:_OFFERED_AT_MOST]]

    async def _call(self, text: str) -> Interaction:
        command, rest = self.catalogue.find(text)
        typed = parse_options(rest, [option.name for option in command.options])
        missing = [option.name for option in command.options if option.required and option.name not in typed]
        if missing:
            hint = f"Type it as {command.usage}"
            raise TableError(f"/{command.path} needs {' and '.join(missing)}.", hint=hint)
        options = [option for option in command.options if option.name in typed]
        values = {option.name: await self._value(command, option, typed) for option in options}
        return await self.room.command(self.member, self.channel, command.path, values)

    async def _value(
        self, command: Command, option: Option, typed: Mapping[str, str]
    ) -> str | int | float | Upload:
        """Send what a choice stands for where its name was typed, as Discord's own client does, and files."""
        raw = typed[option.name]
        if option.kind == OptionKind.ATTACHMENT:
            return await asyncio.to_thread(read_upload, raw)
        others = {name: value for name, value in typed.items() if name != option.name}
        choices = await self.ask(command, others, option, raw) if option.autocomplete else option.choices
        chosen = chosen_value(choices, raw)
        return raw if chosen is None else chosen

    async def _press(self, number: int, typed: str) -> Interaction:
        component = self._component(number)
        if component is None:
            numbers = ", ".join(f"#{known}" for known in self.controls())
            raise TableError(
                f"There is no #{number} to press.", hint=f"There is: {numbers}." if numbers else ""
            )
        if component.get("disabled"):
            raise TableError(f"#{number} cannot be pressed now.")
        message, custom_id = self._controls[number]
        member = self.guild.members[message.ephemeral_for] if message.ephemeral_for else self.member
        if component["type"] == Part.BUTTON:
            return await self.room.press(member, message, custom_id)
        values = select_values(component, typed, self.names)
        return await self.room.select(member, message, custom_id, values)

    def _component(self, number: int) -> Mapping[str, Any] | None:
        message, custom_id = self._controls.get(number, (None, ""))
        if message is None or message.deleted:
            return None
        found = (part for part in controls(message.components) if part["custom_id"] == custom_id)
        return next(found, None)

    def _number(self, message: Message, custom_id: str) -> int:
        key = (message.id, custom_id)
        if key not in self._numbers:
            self._numbers[key] = len(self._numbers) + 1
            self._controls[self._numbers[key]] = (message, custom_id)
        return self._numbers[key]

    def _word(self, typed: Word) -> Told | Left:
        match typed.word:
            case "as":
                return self._speak_as(typed.argument)
            case "channel":
                return self._go_to(typed.argument)
            case "quit":
                return Left()
            case _:
                return Told(keys_page())

    def _speak_as(self, name: str) -> Told:
        if not name:
            raise TableError(
                "As whom?", hint=f"Type /as and a name: {', '.join(self.players())}, or a new one."
            )
        member = next((m for m in self.guild.members.values() if m.name.casefold() == name.casefold()), None)
        if member is not None and member.user.bot:
            raise TableError(f"{member.name} is the bot and speaks for itself.")
        joined = member is None
        if len(name) > 32:  # Discord's limit for a name
            raise TableError("A name has at most 32 characters.")
        self.member = member or self.guild.add_member(name)
        return Told(f"{self.member.name} {'joins the table and ' if joined else ''}speaks now.")

    def _go_to(self, name: str) -> Told:
        if not name:
            here = (f"#{place}" for place in self.places())
            return Told(f"You are in #{self.channel.name}. There is: {', '.join(here)}.")
        place = self.names.find_channel(name)
        if place is None:
            near = get_close_matches(name, self.places(), n=1, cutoff=0.5)
            raise TableError(
                f"There is no channel or thread {name!r}.", hint=f"Did you mean #{near[0]}?" if near else ""
            )
        self.channel = place
        return Told(f"You are in #{place.name} now.")


def keys_page() -> str:
    """Write the help page of the terminal itself."""
    words = [(f"/{word} {argument}".strip(), about) for word, (argument, about) in CLIENT_WORDS.items()]
    words += [
        ("#3", "press the button numbered 3; #3 red, blue: choose in a select"),
        ("Tab", "complete a command, an option, a name, the path of a file"),
        ("Alt-Enter", "begin a new line in what you say"),
        ("Ctrl-C", "clear the line, or close a form"),
    ]
    lines = [f"  {word:<16}{about}" for word, about in words]
    own = "The terminal's own words; every other /command is the bot's. What else you type is said aloud."
    return "\n".join([own, *lines])
