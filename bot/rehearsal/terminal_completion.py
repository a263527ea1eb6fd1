"""What could be typed next: commands, options, choices, players, channels, controls.

Knows nothing of the terminal it is shown in; `Source` gives what changes while people play.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from bot.rehearsal.terminal_commands import Catalogue, Choice, Command, Option, OptionKind
from bot.rehearsal.terminal_line import CLIENT_WORDS
from bot.rehearsal.terminal_options import quote, unfinished_options, unquote_open

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_WORD = re.compile(r"/(\w+)\s+(.*)", re.DOTALL)
_PRESS = re.compile(r"#(\d*)(?:\s+(?P<value>.*))?", re.DOTALL)
_MENTION = re.compile(r"(?:^|\s)@([^@\n]*)$")


class Source(Protocol):
    """What is there to choose from at this moment."""

    @property
    def catalogue(self) -> Catalogue:
        """Give the bot's commands."""
        ...

    def people(self) -> Sequence[str]:
        """List the names of members."""
        ...

    def players(self) -> Sequence[str]:
        """List the names of those who can be spoken as."""
        ...

    def places(self) -> Sequence[str]:
        """List the names of channels and threads."""
        ...

    def roles(self) -> Sequence[str]:
        """List the names of roles."""
        ...

    def controls(self) -> Mapping[int, str]:
        """Give the labels of the buttons and selects that can be pressed, by number."""
        ...

    def control_choices(self, number: int) -> Sequence[str]:
        """List what can be chosen in a select."""
        ...

    async def files(self, typed: str) -> Sequence[str]:
        """List the paths on this machine that begin so; folders end with a slash."""
        ...

    async def ask(
        self, command: Command, given: Mapping[str, str], focused: Option, typed: str
    ) -> Sequence[Choice]:
        """Ask the bot what it offers for the option being typed."""
        ...


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A way to go on: `text` replaces the last `replaces` characters of the line."""

    text: str
    replaces: int
    shown: str
    about: str = ""


async def suggest(line: str, source: Source) -> list[Suggestion]:
    """Give what could stand at the end of the line, best first."""
    text = line.lstrip()
    if text.startswith("//"):
        return []
    if text.startswith("/"):
        return await _after_slash(text, source)
    if press := _PRESS.fullmatch(text):
        return _controls(press, source)
    if mention := _MENTION.search(text):
        return _pick(source.people(), mention[1], len(mention[1]), about="mention", bare=True)
    return []


async def _after_slash(text: str, source: Source) -> list[Suggestion]:
    if word := _WORD.fullmatch(text):
        match word[1].lower():
            case "as":
                return _pick(source.players(), word[2], len(word[2]), about="player", bare=True)
            case "channel":
                return _pick(source.places(), word[2], len(word[2]), about="channel", bare=True)
    called = _called(text[1:], source.catalogue)
    if called is not None:
        return await _options(*called, source)
    return _commands(text[1:], source.catalogue)


def _called(text: str, catalogue: Catalogue) -> tuple[Command, str] | None:
    """Find the command that a line calls, once a space has ended its name."""
    for count in (3, 2, 1):
        found = re.match(rf"((?:\S+\s+){{{count}}})(.*)", text, re.DOTALL)
        command = catalogue.commands.get(" ".join(found[1].split()).lower()) if found else None
        if found and command:
            return command, found[2]
    return None


def _commands(typed: str, catalogue: Catalogue) -> list[Suggestion]:
    known = [(name, f"{about} (terminal)") for name, (_, about) in CLIENT_WORDS.items()]
    known += [(command.path, command.description) for command in catalogue.commands.values()]
    wanted = " ".join(typed.split()).lower() + (" " if typed.endswith(" ") else "")
    first = sorted(item for item in known if item[0].startswith(wanted))
    others = sorted(item for item in known if wanted in item[0] and item not in first)
    return [Suggestion(f"{name} ", len(typed), f"/{name}", about) for name, about in first + others]


async def _options(command: Command, text: str, source: Source) -> list[Suggestion]:
    state = unfinished_options(text, [option.name for option in command.options])
    first = command.options[0].name if command.options and not text.strip() else None
    focused = state.focused or first
    option = command.option(focused) if focused else None
    values = await _values(command, option, state.typed, state.given, source) if option else []
    if state.focused and not state.word and (state.typed or text.rstrip().endswith(":")):
        return values
    named = {*state.given, *([state.focused] if f"{state.focused}:" in text.lower() else [])}
    due = [
        item
        for item in command.options
        if item.name not in named and item.name.startswith(state.word.lower())
    ]
    names = [Suggestion(f"{item.name}:", len(state.word), f"{item.name}:", _about(item)) for item in due]
    return values + names


async def _values(
    command: Command, option: Option, typed: str, given: Mapping[str, str], source: Source
) -> list[Suggestion]:
    wanted = unquote_open(typed)
    if option.autocomplete:
        offered = [choice.name for choice in await source.ask(command, given, option, wanted)]
        return [Suggestion(f"{quote(name)} ", len(typed), name, option.name) for name in offered]
    if option.kind == OptionKind.ATTACHMENT:
        return [_file(path, len(typed)) for path in await source.files(wanted)]
    return _pick(_fixed(option, source), wanted, len(typed), about=option.name)


def _file(path: str, replaces: int) -> Suggestion:
    """Suggest a path; after a folder it goes on, so that its quotation mark stays open."""
    quoted = quote(path)
    if path.endswith("/"):
        text, about = (quoted if quoted == path else quoted[:-1]), "folder"
    else:
        text, about = f"{quoted} ", "file"
    return Suggestion(text, replaces, re.split(r"[/\\](?=.)", path)[-1], about)


def _fixed(option: Option, source: Source) -> Iterable[str]:
    if option.choices:
        return [choice.name for choice in option.choices]
    people = source.people() if option.kind in {OptionKind.USER, OptionKind.MENTIONABLE} else []
    roles = source.roles() if option.kind in {OptionKind.ROLE, OptionKind.MENTIONABLE} else []
    places = source.places() if option.kind == OptionKind.CHANNEL else []
    truth = ["true", "false"] if option.kind == OptionKind.BOOLEAN else []
    return [*people, *roles, *places, *truth]


def _about(option: Option) -> str:
    return option.description if option.required else f"{option.description} (optional)"


def _pick(
    names: Iterable[str], typed: str, replaces: int, *, about: str, bare: bool = False
) -> list[Suggestion]:
    wanted = typed.strip().casefold()
    found = sorted(
        (name for name in names if wanted in name.casefold()),
        key=lambda name: not name.casefold().startswith(wanted),
    )
    return [Suggestion(f"{name if bare else quote(name)} ", replaces, name, about) for name in found]


def _controls(press: re.Match[str], source: Source) -> list[Suggestion]:
    value = press["value"]
    if value is not None and press[1]:
        last = value.rpartition(",")[2].lstrip()
        return _pick(source.control_choices(int(press[1])), last, len(last), about="choice", bare=True)
    known = source.controls().items()
    return [
        Suggestion(f"{number} ", len(press[1]), f"#{number}", label)
        for number, label in known
        if str(number).startswith(press[1])
    ]
