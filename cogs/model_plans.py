"""`/model plan` and `/model suggest`: models before they run."""

from __future__ import annotations

import asyncio
import io
from typing import TYPE_CHECKING

import discord
from discord import app_commands
from discord.ext import commands

from cogs.choices import among, fitting

if TYPE_CHECKING:
    from bot.client import Hearthside

    Interaction = discord.Interaction[Hearthside]
else:
    Interaction = discord.Interaction

PICTURE = "plan.png"
QUANTIZATION = "Q4_K_M"


class ModelPlans(commands.Cog):
    """The part of `/model` about models that nobody has loaded. By name only: files are the operator's."""

    @app_commands.command(name="plan", description="Show what memory a model takes on the bot's machine")
    @app_commands.describe(
        model="One of the well-known models",
        context="Tokens for each scene; left out, 8192",
        parallel="Scenes answered at the same time; left out, 1",
    )
    async def plan_(  # noqa: D102  # the description above is shown
        self,
        interaction: Interaction,
        model: app_commands.Range[str, 1, 100],
        context: app_commands.Range[int, 256, 1_048_576] = 8192,
        parallel: app_commands.Range[int, 1, 64] = 1,
    ) -> None:
        from bot.model.library import chart, here, report  # noqa: PLC0415  # imported when first needed: 15 ms
        from bot.model.library.cache import Use  # noqa: PLC0415
        from bot.model.library.catalogue import find  # noqa: PLC0415
        from bot.model.library.plan import plan  # noqa: PLC0415

        await interaction.response.defer(ephemeral=True, thinking=True)
        known = find(model)
        made = plan(known.shape(QUANTIZATION), Use(context, parallel), await asyncio.to_thread(here.machine))
        embed = discord.Embed(title=f"{known.title} as {known.only or QUANTIZATION}")
        embed.description = f"```\n{report.plan_as_text(made)}\n```{known.note}"
        picture = await chart.paint(chart.graph_of(embed.title or "", made))
        if picture is None:
            await interaction.followup.send(embed=embed, ephemeral=True)
            return
        embed.set_image(url=f"attachment://{PICTURE}")
        file = discord.File(io.BytesIO(picture), PICTURE, description="Memory against context length")
        await interaction.followup.send(embed=embed, file=file, ephemeral=True)

    @app_commands.command(name="suggest", description="Show which well-known models run on the bot's machine")
    async def suggest_(self, interaction: Interaction) -> None:  # noqa: D102  # as above
        from bot.model.library import here, report  # noqa: PLC0415  # as above
        from bot.model.library.cache import Use  # noqa: PLC0415
        from bot.model.library.catalogue import best_first, suggest  # noqa: PLC0415

        await interaction.response.defer(ephemeral=True, thinking=True)
        machine = await asyncio.to_thread(here.machine)
        quick, slow = best_first(suggest(machine, Use(8192), QUANTIZATION))
        lines = [f"On the bot's machine, with {report.memory_of(machine)}, the largest first:"]
        lines += map(report.suggestion_as_line, quick)
        if slow:
            lines += ["Slower than people read:", *map(report.suggestion_as_line, slow)]
        await interaction.followup.send(fitting(lines), ephemeral=True)

    @plan_.autocomplete("model")
    async def _known(self, _: Interaction, current: str) -> list[app_commands.Choice[str]]:
        from bot.model.library.catalogue import catalogue  # noqa: PLC0415  # as above

        return among([(entry.title, entry.name) for entry in catalogue()], current)
