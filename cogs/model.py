"""`/model`: what answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import discord
from discord import app_commands
from discord.ext import commands

from cogs.choices import fitting
from cogs.model_plans import ModelPlans
from cogs.model_swaps import ModelSwaps

if TYPE_CHECKING:
    from bot.client import Hearthside
    from bot.clock import Clock
    from bot.model.backends import Backends
    from bot.persona.personas import Personas
    from bot.scene.adapters import Adapters
    from bot.scene.direction import Direction
    from bot.scene.reports import Reports
    from bot.scene.swaps import Swaps
    from bot.scene.table import Table

    Interaction = discord.Interaction[Hearthside]
else:
    Interaction = discord.Interaction


class ModelCommands(
    ModelSwaps,
    ModelPlans,
    commands.GroupCog,
    group_name="model",
    group_description="The language model that answers",
):
    """The commands about models."""

    def __init__(
        self,
        direction: Direction,
        table: Table,
        reports: Reports,
        backends: Backends,
        personas: Personas,
        swaps: Swaps,
        adapters: Adapters,
        clock: Clock,
    ) -> None:
        self._direction = direction
        self._table = table
        self._reports = reports
        self._backends = backends
        self._personas = personas
        self._swaps = swaps
        self._adapters = adapters
        self._clock = clock

    @app_commands.command(name="list", description="Show what every reachable model server offers")
    async def list_(self, interaction: Interaction) -> None:  # noqa: D102
        await interaction.response.defer(ephemeral=True, thinking=True)
        await interaction.followup.send(fitting(await self._reports.models()), ephemeral=True)

    @app_commands.command(description="Show what answers here, with its context and how tokens are counted")
    async def info(self, interaction: Interaction) -> None:  # noqa: D102
        await interaction.response.defer(ephemeral=True, thinking=True)
        scene = self._table.scene_in(interaction.channel_id or 0)
        await interaction.followup.send(fitting(await self._reports.model_info(scene)), ephemeral=True)
