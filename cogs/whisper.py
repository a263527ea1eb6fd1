"""`/whisper`: a word to one character, which nobody else hears."""

from __future__ import annotations

from typing import TYPE_CHECKING

import discord
from discord import app_commands
from discord.ext import commands
from discord.utils import escape_markdown

from bot.scene.whispers import Whispered
from cogs.choices import among

if TYPE_CHECKING:
    from bot.client import Hearthside
    from bot.scene.reports import Reports
    from bot.scene.table import Table
    from bot.scene.whispers import Whispers

    Interaction = discord.Interaction[Hearthside]
else:
    Interaction = discord.Interaction


class WhisperCommand(commands.Cog):
    """What is said between one player and one character."""

    def __init__(self, whispers: Whispers, table: Table, reports: Reports) -> None:
        self._whispers = whispers
        self._table = table
        self._reports = reports

    @app_commands.command(description="Say something to one character alone; the answer is yours alone, too")
    @app_commands.guild_only()
    @app_commands.describe(to="Who hears it", text="What your character whispers")
    async def whisper(  # noqa: D102  # Discord shows the description above
        self, interaction: Interaction, to: str, text: app_commands.Range[str, 1, 1500]
    ) -> None:
        scene = self._reports.scene_in(interaction.channel_id)
        whispered = Whispered(
            author_id=interaction.user.id,
            author_name=interaction.user.display_name,
            text=text,
            token=interaction.token,
            asked_at=interaction.created_at.timestamp(),
        )
        persona = await self._whispers.hear(scene, to, whispered)
        try:
            await interaction.response.send_message(
                f"You whisper to **{escape_markdown(persona.name)}**: {text}", ephemeral=True
            )
        finally:
            self._table.wake(scene)

    @whisper.autocomplete("to")
    async def _who_hears(self, interaction: Interaction, current: str) -> list[app_commands.Choice[str]]:
        scene = self._table.scene_in(interaction.channel_id or 0)
        present = [self._table.personas.get(slug) for slug in scene.cast] if scene else []
        return among([(one.name, one.slug) for one in present if one], current)
