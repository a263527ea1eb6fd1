"""`/help`: every command and menu in one message, made from the commands themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import discord
from discord import app_commands
from discord.ext import commands

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bot.client import Hearthside

    Interaction = discord.Interaction[Hearthside]
else:
    Interaction = discord.Interaction

MENUS = "On a message (press long or right-click it), under Apps"
HOW_TO_PLAY = (
    "Write in the scene's channel what your character says and does. Name a character, reply to it or "
    "mention me, and it answers. `((like this))` or `// like this` is between you players; the characters "
    "do not hear it."
)


class Help(commands.Cog):
    """The way in."""

    @app_commands.command(name="help", description="How to play, and every command")
    async def help_(self, interaction: Interaction) -> None:  # noqa: D102
        tree = interaction.client.tree
        embed = discord.Embed(title="Hearthside", description=HOW_TO_PLAY)
        for heading, lines in sections(tree.get_commands()):
            embed.add_field(name=heading, value="\n".join(lines)[:1024], inline=False)
        await interaction.response.send_message(embed=embed, ephemeral=True)


def sections(
    tree: Iterable[Any],
) -> list[tuple[str, list[str]]]:
    """Give the commands by their groups, each as one line; then those without a group, and the menus."""
    grouped: list[tuple[str, list[str]]] = []
    single: list[str] = []
    menus: list[str] = []
    for command in sorted(tree, key=lambda command: command.name):
        if isinstance(command, app_commands.Group):
            lines = [f"`/{one.qualified_name}` {one.description}" for one in command.walk_commands()]
            grouped.append((command.description, sorted(lines)))
        elif isinstance(command, app_commands.Command):
            single.append(f"`/{command.name}` {command.description}")
        elif isinstance(command, app_commands.ContextMenu):
            menus.append(f"`{command.name}`")
    return [section for section in (*grouped, ("And", single), (MENUS, menus)) if section[1]]
