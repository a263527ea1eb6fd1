"""Write the README's table of commands from the commands themselves: `python -m tools.command_table`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from discord import app_commands
from discord.ext import commands

from cogs.help import Help
from cogs.inside import InsideCommands
from cogs.lore import LoreCommands
from cogs.memory import MemoryCommands
from cogs.model import ModelCommands
from cogs.persona import PersonaCommands
from cogs.scene import SceneCommands
from cogs.secret import SecretCommands
from cogs.whisper import WhisperCommand

README = Path(__file__).resolve().parent.parent / "README.md"
BLOCK = re.compile(r"(<!-- commands:[^\n]*-->\n).*?(<!-- end of commands -->)", re.DOTALL)

# The cogs whose commands everybody meets; a persona's own commands are its own affair.
COGS = (
    SceneCommands,
    WhisperCommand,
    MemoryCommands,
    SecretCommands,
    PersonaCommands,
    LoreCommands,
    ModelCommands,
    InsideCommands,
    Help,
)


def table() -> str:
    """Give the table, a row for each command, in the order in which they stand in the code."""
    rows = [f"| `/{name}` | {description} |\n" for cog in COGS for name, description in _commands(cog)]
    return "".join(["| command | what it does |\n|---|---|\n", *rows])


def readme_with_table(text: str) -> str:
    """Put the table into the README's text."""
    return BLOCK.sub(lambda match: f"{match[1]}{table()}{match[2]}", text)


def _commands(cog: type[Any]) -> Iterator[tuple[str, str]]:
    group = f"{cog.__cog_group_name__} " if issubclass(cog, commands.GroupCog) else ""
    for command in (each for part in cog.__mro__ for each in vars(part).values()):
        if isinstance(command, app_commands.Command):
            yield group + command.name, command.description


if __name__ == "__main__":
    README.write_text(readme_with_table(README.read_text(encoding="utf-8")), encoding="utf-8")
