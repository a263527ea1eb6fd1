"""Load every file in `personas/` as a cog, and keep up with the folder while the bot runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import structlog
from discord import app_commands
from discord.ext import commands

from bot.clock import Clock
from bot.errors import SetupError, TableError
from bot.persona.library import PersonaLibrary
from bot.persona.persona import Persona
from bot.persona.toml import PersonaFileError, shown_name
from cogs.persona_code import code_error, forget_module, load_cog_class
from cogs.persona_cog import DiscordBot, PersonaCog

LOOK_EVERY = 2.0  # seconds between two looks at the folder


class PersonaFiles(commands.Cog):
    """The personas' cogs: loaded with this one, then unloaded and reloaded without a restart.

    A file that breaks is told to `on_report`, its last good version stays, and the rest go on.
    `on_commands_changed` is called when a change after the start altered what slash commands there are.
    Code is loaded from the library's folder only. Add it after the bot's own cogs, so that a persona
    cannot take a name that one of them needs.
    """

    def __init__(
        self,
        bot: DiscordBot,
        library: PersonaLibrary,
        clock: Clock,
        *,
        rng: Random,
        on_report: Callable[[str], None],
        on_commands_changed: Callable[[], None],
    ) -> None:
        self._bot = bot
        self._library = library
        self._clock = clock
        self._rng = rng
        self._on_report = on_report
        self._on_commands_changed = on_commands_changed
        self._cogs: dict[str, PersonaCog] = {}
        self._broken_code: dict[str, PersonaFileError] = {}
        self._watching: asyncio.Task[None] | None = None
        self._one_change = asyncio.Lock()  # a command and the watch may come at the same moment
        self._log = structlog.get_logger("personas")

    async def cog_load(self) -> None:
        """Load the whole folder, report what is broken in it, and begin to watch it.

        Raises `SetupError` where the folder itself cannot be read.
        """
        await self._load_all()
        for error in self.broken():
            self._report(error)
        self._watching = asyncio.create_task(self._watch())

    async def cog_unload(self) -> None:
        """Stop watching and take every persona's commands away."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])
        for slug in tuple(self._cogs):
            await self._remove(slug)

    def broken(self) -> tuple[PersonaFileError, ...]:
        """Give what is wrong with each file, its words or its code, that cannot be used as it is."""
        return (*self._library.broken(), *(self._broken_code[slug] for slug in sorted(self._broken_code)))

    async def reload(self, slug: str | None) -> list[str]:
        """Read one persona's files as they are now, or everybody's, and say in a few lines how it went.

        This also brings back what was unloaded. Raises `TableError` where there is no such file, and
        `SetupError` where the folder cannot be read.
        """
        async with self._one_change:
            return await (self._reload_all() if slug is None else self._reload_one(slug))

    async def unload(self, slug: str) -> None:
        """Take a persona and its commands out of use until it is asked for again."""
        async with self._one_change:
            await self._unload(slug)

    async def check(self) -> None:
        """Look at the folder once, and load what changed in it."""
        async with self._one_change:
            try:
                changes = self._library.changes(await asyncio.to_thread(self._library.snapshot))
            except SetupError as error:  # a network drive that is away for a moment must not empty the table
                self._log.warning("personas not looked at", error=str(error))
                return
            for slug in changes.removed:
                await self._unload(slug)
                self._library.forget(slug)
                self._log.info("persona gone", slug=slug)
            for slug in (*changes.added, *changes.changed):
                await self._take_in(slug)

    async def _reload_one(self, slug: str) -> list[str]:
        try:
            persona = await self._load(slug)
        except PersonaFileError as error:
            return [self._told(error)]
        return [f"{persona.name} has been read again."]

    async def _reload_all(self) -> list[str]:
        before = self._commands()
        await self._load_all()
        self._tell_commands(before)
        there = ", ".join(persona.name for persona in self._library.all())
        return [f"Read again: {there or 'nobody'}.", *map(self._told, self.broken())]

    async def _unload(self, slug: str) -> None:
        before = self._commands()
        self._library.unload(slug)
        await self._remove(slug)
        self._tell_commands(before)

    async def _watch(self) -> None:
        while True:
            await self._clock.sleep(LOOK_EVERY)
            try:
                await self.check()
            except Exception:  # noqa: BLE001  # whatever goes wrong in one look, the next may fare better
                self._log.exception("personas not looked at")

    async def _load_all(self) -> None:
        self._library.load_all()
        personas = self._library.all()
        for slug in self._cogs.keys() - {persona.slug for persona in personas}:
            await self._remove(slug)
        for persona in personas:
            await self._seat(persona)

    async def _load(self, slug: str) -> Persona:
        """Load one persona, or raise PersonaFileError; then its last good version goes on."""
        before = self._commands()
        persona = self._library.reload(slug)
        await self._seat(persona)
        self._tell_commands(before)
        if slug in self._broken_code:
            raise self._broken_code[slug]
        return persona

    async def _take_in(self, slug: str) -> None:
        try:
            persona = await self._load(slug)
        except PersonaFileError as error:
            self._report(error)
        except TableError:  # it went between the look and the reading; the next look sees that
            return
        else:
            self._log.info("persona loaded", slug=slug, name=persona.name)

    async def _seat(self, persona: Persona) -> None:
        """Give a persona its cog, of the first class that does not fail."""
        self._broken_code.pop(persona.slug, None)
        for kind in self._kinds(persona.slug):
            try:
                await self._replace(kind, persona)
            except PersonaFileError as error:
                self._broken_code.setdefault(persona.slug, error)
            else:
                break

    def _kinds(self, slug: str) -> list[type[PersonaCog]]:
        """Give the classes to try for a persona: as its code is now, as it last worked, without code."""
        code = self._code_path(slug)
        if not code.is_file():
            return [PersonaCog]
        worked = [type(self._cogs[slug])] if slug in self._cogs else []
        try:
            return [load_cog_class(code), *worked, PersonaCog]
        except PersonaFileError as error:
            self._broken_code[slug] = error
            return [*worked, PersonaCog]

    async def _replace(self, kind: type[PersonaCog], persona: Persona) -> None:
        """Put a new cog in the place of the persona's last one, whole or not at all."""
        path = self._code_path(persona.slug)
        if persona.slug in self._cogs:
            await self._bot.remove_cog(self._cogs.pop(persona.slug).qualified_name)
        cog: PersonaCog | None = None
        try:
            cog = kind(self._bot, persona, self._rng)
            self._refuse_clashes(cog, path)
            await self._bot.add_cog(cog)
        except Exception as error:
            if cog is not None:
                self._take_back(cog)
            raise code_error(path, error) from error
        self._cogs[persona.slug] = cog

    def _refuse_clashes(self, cog: PersonaCog, path: Path) -> None:
        for command in cog.get_app_commands():
            if self._bot.tree.get_command(command.name) is not None:
                line = _line_of(command)
                raise PersonaFileError(
                    shown_name(path), f"the command /{command.name} is already taken", line=line
                )

    def _take_back(self, cog: PersonaCog) -> None:
        """Undo what discord.py had added of a cog when adding it failed half-way."""
        for command in cog.get_app_commands():
            if self._bot.tree.get_command(command.name) is command:
                self._bot.tree.remove_command(command.name)
        for event, listener in cog.get_listeners():
            self._bot.remove_listener(listener, event)

    async def _remove(self, slug: str) -> None:
        self._broken_code.pop(slug, None)
        forget_module(slug)
        if slug in self._cogs:
            await self._bot.remove_cog(self._cogs.pop(slug).qualified_name)

    def _code_path(self, slug: str) -> Path:
        return self._library.folder / f"{slug}.py"

    def _commands(self) -> dict[str, list[dict[str, Any]]]:
        """Give the personas' slash commands as Discord is told about them."""
        tree = self._bot.tree
        found = {
            slug: [command.to_dict(tree) for command in cog.get_app_commands()]
            for slug, cog in self._cogs.items()
        }
        return {slug: payload for slug, payload in found.items() if payload}

    def _tell_commands(self, before: dict[str, list[dict[str, Any]]]) -> None:
        if self._commands() != before:
            self._on_commands_changed()

    def _report(self, error: PersonaFileError) -> None:
        self._log.warning("persona file broken", file=error.file, line=error.line, error=str(error))
        self._on_report(self._told(error))

    def _told(self, error: PersonaFileError) -> str:
        """Say what is wrong with a file, and what of the character goes on all the same."""
        file = Path(error.file)
        cog = self._cogs.get(file.stem)
        if cog is None:
            return str(error)
        if file.suffix != ".py":
            return f"{error} The character plays on as before."
        commands_now = "without its commands" if type(cog) is PersonaCog else "with its commands as before"
        return f"{error} The character plays on {commands_now}."


def _line_of(command: app_commands.Command[Any, ..., Any] | app_commands.Group) -> int | None:
    """Find where a command is written; a group has no function of its own."""
    if isinstance(command, app_commands.Group):
        return None
    code = getattr(command.callback, "__code__", None)
    return None if code is None else int(code.co_firstlineno)
