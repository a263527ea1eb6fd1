"""`/model set` and `/model lora`: another model, or another voice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import discord
from discord import app_commands
from discord.ext import commands

from bot.errors import HearthsideError, TableError
from bot.scene.reports import nobody_plays
from bot.scene.swaps import Aim
from cogs.choices import among, fitting, may_direct, may_manage
from cogs.progress import ProgressLine

if TYPE_CHECKING:
    from bot.client import Hearthside
    from bot.clock import Clock
    from bot.model.backends import Backends
    from bot.persona.personas import Personas
    from bot.scene.adapters import Adapters
    from bot.scene.direction import Direction
    from bot.scene.swaps import Swaps
    from bot.scene.table import Table

    Interaction = discord.Interaction[Hearthside]
else:
    Interaction = discord.Interaction

DEFAULT = "default"
NO_ADAPTER = "none"
THIS_SCENE, THIS_SERVER = "this scene", "this server"
LONGEST = 200


class ModelSwaps(commands.Cog):
    """The part of `/model` that changes what answers."""

    _direction: Direction
    _table: Table
    _backends: Backends
    _personas: Personas
    _swaps: Swaps
    _adapters: Adapters
    _clock: Clock

    @app_commands.command(name="set", description="Choose which model answers from the next turn on")
    @app_commands.describe(
        model="A model that a server offers, or “default” to take a choice back",
        aim="This scene, this server's new scenes, or a character; left out, the scene that is played here",
        dry_run="Only say what it would mean: what falls out of the window, what it costs in memory",
    )
    @app_commands.rename(aim="for")
    async def set_(  # noqa: D102  # the description above is shown
        self,
        interaction: Interaction,
        model: app_commands.Range[str, 1, LONGEST],
        aim: app_commands.Range[str, 1, 100] = "",
        dry_run: bool = False,
    ) -> None:
        chosen = None if model.strip() == DEFAULT else model.strip()
        if dry_run:
            await interaction.response.defer(ephemeral=True, thinking=True)
            lines = await self._swaps.foresee(self._aim(interaction, aim), chosen)
            await interaction.followup.send(fitting(lines), ephemeral=True)
            return
        meant = self._allowed(interaction, self._aim(interaction, aim))
        await interaction.response.defer(thinking=True)
        try:
            if chosen and not (await self._swaps.offer(meant, chosen)).answers:
                may_manage(interaction, "Putting a model in the place of the one that answers everybody")
            async with ProgressLine(interaction, self._clock) as progress:
                said = await self._swaps.choose(meant, chosen, progress)
        except HearthsideError as error:
            said = f"⚠ {error}"
        await interaction.edit_original_response(content=said[:2000])

    @app_commands.command(
        name="lora", description="Show the LoRA adapters there are, or choose a character's"
    )
    @app_commands.describe(
        persona="Who speaks with it, on this server; left out, all adapters are shown",
        adapter="The adapter, “none”, or “default” for the one in the character's file",
        scale="How strongly it is applied, 0 to 2; left out, 1",
    )
    async def lora(  # noqa: D102  # the description above is shown
        self,
        interaction: Interaction,
        persona: app_commands.Range[str, 1, 100] = "",
        adapter: app_commands.Range[str, 1, LONGEST] = "",
        scale: app_commands.Range[float, 0.0, 2.0] = 1.0,
    ) -> None:
        await interaction.response.defer(ephemeral=not adapter, thinking=True)
        if not adapter:
            lines = await self._adapters.lines(interaction.guild_id)
            await interaction.followup.send(fitting(lines), ephemeral=True)
            return
        if not persona or not interaction.guild_id:
            raise TableError("Say who is to speak with it, on a server.", hint="The option is “persona”.")
        may_manage(interaction, "Choosing a character's adapter")
        one = self._direction.persona(persona, interaction.guild_id)
        scene = self._table.scene_in(interaction.channel_id or 0)
        name = {NO_ADAPTER: "", DEFAULT: None}.get(adapter, adapter)
        said = await self._adapters.choose(interaction.guild_id, scene, one, name, scale)
        await interaction.followup.send(said[:2000])

    def _aim(self, interaction: Interaction, text: str) -> Aim:
        """Read what a choice is for. Raises TableError for a persona that is not there."""
        scene = self._table.scene_in(interaction.channel_id or 0)
        if text == THIS_SCENE and scene is None:
            raise nobody_plays()
        if text == THIS_SERVER:
            return Aim(interaction.guild_id)
        if text in {"", THIS_SCENE}:
            return Aim(interaction.guild_id, scene)
        return Aim(interaction.guild_id, scene, self._direction.persona(text, interaction.guild_id))

    def _allowed(self, interaction: Interaction, aim: Aim) -> Aim:
        """Give the aim back if the one who asks may choose for it. Raises TableError."""
        if aim.persona:
            may_manage(interaction, "Choosing the model of a character")
        elif aim.scene:
            may_direct(interaction, aim.scene)
        else:
            may_manage(interaction, "Choosing the model of new scenes")
        return aim

    @set_.autocomplete("model")
    async def _models_there(self, _: Interaction, current: str) -> list[app_commands.Choice[str]]:
        offered = [offer.model.name for offer in await self._backends.models()]
        return among([(name, name) for name in dict.fromkeys([DEFAULT, *offered])], current)

    @set_.autocomplete("aim")
    async def _aims(self, interaction: Interaction, current: str) -> list[app_commands.Choice[str]]:
        fixed = [(THIS_SCENE, THIS_SCENE), (THIS_SERVER, THIS_SERVER)]
        return among([*fixed, *self._speakers(interaction)], current)

    @lora.autocomplete("persona")
    async def _who(self, interaction: Interaction, current: str) -> list[app_commands.Choice[str]]:
        return among(self._speakers(interaction), current)

    @lora.autocomplete("adapter")
    async def _adapters_there(self, _: Interaction, current: str) -> list[app_commands.Choice[str]]:
        names = dict.fromkeys([DEFAULT, NO_ADAPTER, *await self._adapters.names()])
        return among([(name, name) for name in names], current)

    def _speakers(self, interaction: Interaction) -> list[tuple[str, str]]:
        return [(one.name, one.slug) for one in self._personas.all(interaction.guild_id)]
