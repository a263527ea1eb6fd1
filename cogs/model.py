"""`/model`: what answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import discord
from discord import app_commands
from discord.ext import commands

from bot.errors import TableError
from cogs.choices import among, fitting, may_direct, may_manage
from cogs.model_plans import ModelPlans

if TYPE_CHECKING:
    from bot.client import Hearthside
    from bot.model.backends import Backends
    from bot.scene.direction import Direction
    from bot.scene.reports import Reports
    from bot.scene.table import Table

    Interaction = discord.Interaction[Hearthside]
else:
    Interaction = discord.Interaction

DEFAULT = "default"


class ModelCommands(
    ModelPlans, commands.GroupCog, group_name="model", group_description="The language model that answers"
):
    """The commands about models."""

    def __init__(self, direction: Direction, table: Table, reports: Reports, backends: Backends) -> None:
        self._direction = direction
        self._table = table
        self._reports = reports
        self._backends = backends

    @app_commands.command(name="set", description="Choose which model answers here from the next turn on")
    @app_commands.describe(
        model="A model that a server offers, or “default” to leave the choice to the server"
    )
    async def set_(self, interaction: Interaction, model: str) -> None:  # noqa: D102
        await interaction.response.defer(thinking=True)
        chosen = None if model == DEFAULT else await self._offered(model)
        shown = f"**{chosen}**" if chosen else "the server's own choice"
        if scene := self._table.scene_in(interaction.channel_id or 0):
            may_direct(interaction, scene)
            await self._direction.set_model(scene, chosen)
            await interaction.followup.send(
                f"From the next turn on, {shown} answers in “{scene.record.title}”."
            )
            return
        may_manage(interaction, "Choosing the model of new scenes")
        if interaction.guild_id:
            await self._direction.prefer(interaction.guild_id, model=chosen)
        await interaction.followup.send(
            f"Scenes that are started on this server will be answered by {shown}."
        )

    @app_commands.command(name="list", description="Show what every reachable model server offers")
    async def list_(self, interaction: Interaction) -> None:  # noqa: D102
        await interaction.response.defer(ephemeral=True, thinking=True)
        await interaction.followup.send(fitting(await self._reports.models()), ephemeral=True)

    @app_commands.command(description="Show what answers here, with its context and how tokens are counted")
    async def info(self, interaction: Interaction) -> None:  # noqa: D102
        await interaction.response.defer(ephemeral=True, thinking=True)
        scene = self._table.scene_in(interaction.channel_id or 0)
        await interaction.followup.send(fitting(await self._reports.model_info(scene)), ephemeral=True)

    async def _offered(self, model: str) -> str:
        names = [offer.model.name for offer in await self._backends.models()]
        if model in names:
            return model
        offered = ", ".join(names[:10]) or "none"
        raise TableError(f"No server offers a model called “{model[:80]}”.", hint=f"There is: {offered}.")

    @set_.autocomplete("model")
    async def _models_there(self, _: Interaction, current: str) -> list[app_commands.Choice[str]]:
        names = dict.fromkeys(offer.model.name for offer in await self._backends.models())
        return among([(DEFAULT, DEFAULT), *((name, name) for name in names)], current)
