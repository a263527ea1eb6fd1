"""`/secret`: what only the narrator knows, and never says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import discord
from discord import app_commands
from discord.ext import commands

from bot.memory.secrets import is_watchable
from bot.scene.knowledge import shortened
from cogs.choices import among, directs, fitting, may_direct

if TYPE_CHECKING:
    from bot.client import Hearthside
    from bot.scene.knowledge import Knowledge
    from bot.scene.reports import Reports
    from bot.scene.scene import Scene

    Interaction = discord.Interaction[Hearthside]
else:
    Interaction = discord.Interaction

WATCHED = "An answer that would repeat it is stopped before anybody sees it."
UNWATCHED = "It is too short to be watched for: say it in a sentence, or an answer may let it slip."


@app_commands.guild_only()
class SecretCommands(
    commands.GroupCog, group_name="secret", group_description="What only the narrator knows"
):
    """The game master's secrets. Nobody else is shown what they say."""

    def __init__(self, knowledge: Knowledge, reports: Reports) -> None:
        self._knowledge = knowledge
        self._reports = reports

    @app_commands.command(description="Tell the narrator something that nobody may learn yet")
    @app_commands.describe(text="The secret: the narrator lets it guide the story, and never says it")
    async def add(  # noqa: D102  # Discord shows the description above
        self, interaction: Interaction, text: app_commands.Range[str, 1, 500]
    ) -> None:
        added = await self._knowledge.add_secret(self._kept(interaction), text, interaction.user.id)
        watch = WATCHED if is_watchable(added.text) else UNWATCHED
        await interaction.response.send_message(
            f"The narrator knows. {watch} "
            "`/secret remove` takes it back, or lets it out once the players have found out.",
            ephemeral=True,
        )

    @app_commands.command(name="list", description="Show the secrets of this scene to yourself")
    async def list_(self, interaction: Interaction) -> None:  # noqa: D102
        secrets = await self._knowledge.secrets(self._kept(interaction))
        lines = [f"`#{one.id}` {one.text}" for one in secrets]
        nothing = "There are none. `/secret add` tells the narrator one."
        shown = fitting(lines, all_in="`/memory export`") or nothing
        await interaction.response.send_message(shown, ephemeral=True)

    @app_commands.command(description="Forget a secret, or let it out: the narrator may say it from then on")
    @app_commands.describe(secret="The secret")  # noqa: S106  # the option's name
    async def remove(self, interaction: Interaction, secret: str) -> None:  # noqa: D102
        gone = await self._knowledge.remove_secret(self._kept(interaction), secret)
        await interaction.response.send_message(
            f"No secret any more: {gone.text}\n`/secret add` makes it one again.", ephemeral=True
        )

    @remove.autocomplete("secret")
    async def _secrets_there(self, interaction: Interaction, current: str) -> list[app_commands.Choice[str]]:
        scene = self._reports.scene_in(interaction.channel_id)
        there = await self._knowledge.secrets(scene) if directs(interaction, scene) else []
        return among([(shortened(one.text, 100), f"#{one.id}") for one in there], current)

    def _kept(self, interaction: Interaction) -> Scene:
        scene = self._reports.scene_in(interaction.channel_id)
        may_direct(interaction, scene)
        return scene
