"""`/persona`: who the bot can be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import discord
from discord import app_commands
from discord.ext import commands

from bot.persona.macros import Macros, expand
from bot.persona.persona import PLAYER, in_words_of
from cogs.choices import among, fitting, may_direct, may_manage
from cogs.persona_cards import CardCommands

if TYPE_CHECKING:
    from bot.client import Hearthside
    from bot.persona.persona import Persona
    from bot.persona.personas import Personas
    from bot.scene.direction import Direction
    from bot.scene.table import Table
    from cogs.persona_files import PersonaFiles

    Interaction = discord.Interaction[Hearthside]
else:
    Interaction = discord.Interaction

SHOWN_CHARACTERS = 1500
ABOUT_CHARACTERS = 500  # of which a list shows the first sentence
NOBODY = "There are no personas. Put a .toml file into the personas folder."


class PersonaCommands(
    CardCommands,
    commands.GroupCog,
    group_name="persona",
    group_description="The characters that the bot can play",
):
    """The commands about characters."""

    def __init__(self, direction: Direction, table: Table, personas: Personas, files: PersonaFiles) -> None:
        self._direction = direction
        self._table = table
        self._personas = personas
        self._files = files

    @app_commands.command(
        name="set", description="Choose who leads the scene here; without a scene, who will"
    )
    @app_commands.describe(persona="Who leads from the next turn on")
    async def set_(self, interaction: Interaction, persona: str) -> None:  # noqa: D102
        scene = self._table.scene_in(interaction.channel_id or 0)
        if scene:
            may_direct(interaction, scene)
            chosen = await self._direction.set_lead(scene, persona)
            await interaction.response.send_message(
                f"**{chosen.name}** leads the scene from the next turn on."
            )
            return
        may_manage(interaction, "Choosing who leads new scenes")
        chosen = self._direction.persona(persona, interaction.guild_id)
        if interaction.guild_id:
            await self._direction.prefer(interaction.guild_id, persona=chosen.slug)
        await interaction.response.send_message(
            f"**{chosen.name}** will lead the scenes that start on this server. `/scene start` begins one."
        )

    @app_commands.command(name="list", description="Show every character there is")
    async def list_(self, interaction: Interaction) -> None:  # noqa: D102
        scene = self._table.scene_in(interaction.channel_id or 0)
        present = set(scene.cast) if scene else set()
        known = self._personas.all(interaction.guild_id)
        lines = [_line(persona, here=persona.slug in present) for persona in known]
        broken = [f"⚠ {error}" for error in self._files.broken()]
        await interaction.response.send_message(fitting([*lines, *broken]) or NOBODY, ephemeral=True)

    @app_commands.command(description="Show one character")
    @app_commands.describe(persona="Whom to show")
    async def show(self, interaction: Interaction, persona: str) -> None:  # noqa: D102
        one = self._direction.persona(persona, interaction.guild_id)
        said = in_words_of(one, _named(one))
        embed = discord.Embed(title=one.name, description=said.description[:SHOWN_CHARACTERS])
        if said.personality:
            embed.add_field(name="Voice", value=said.personality[:1000], inline=False)
        if greeting := expand(one.greeting, said):
            embed.add_field(name="Greeting", value=greeting[:1000], inline=False)
        embed.add_field(name="Talkativeness", value=f"{one.talkativeness:.0%}")
        if one.model:
            embed.add_field(name="Model", value=one.model)
        if one.tags:
            embed.set_footer(text=", ".join(one.tags)[:1000])
        await interaction.response.send_message(embed=embed, ephemeral=True)

    @app_commands.command(description="Read the persona files again")
    @app_commands.describe(persona="Only this one; left out, all of them")
    async def reload(self, interaction: Interaction, persona: str = "") -> None:  # noqa: D102
        may_manage(interaction, "Reading the persona files again")
        await interaction.response.defer(ephemeral=True, thinking=True)
        await interaction.followup.send(
            fitting(await self._files.reload(self._slug(persona))) or NOBODY, ephemeral=True
        )

    def _slug(self, text: str) -> str | None:
        """Give the slug that is meant. A file that could never be read is known by its slug alone."""
        known = self._personas.find(text) if text else None
        return known.slug if known else text or None

    @set_.autocomplete("persona")
    @show.autocomplete("persona")
    async def _personas_there(self, interaction: Interaction, current: str) -> list[app_commands.Choice[str]]:
        return among([(one.name, one.slug) for one in self._personas.all(interaction.guild_id)], current)

    @reload.autocomplete("persona")
    async def _files_there(self, _: Interaction, current: str) -> list[app_commands.Choice[str]]:
        return among([(one.name, one.slug) for one in self._personas.all()], current)


def _named(persona: Persona) -> Macros:
    """Put names in the place of macros for people who read what is written about a character."""
    return Macros(persona.name, PLAYER)


def _line(persona: Persona, *, here: bool) -> str:
    mark = " (here)" if here else ""
    description = expand(persona.description[:ABOUT_CHARACTERS], _named(persona))
    about = description.split(". ")[0].replace("\n", " ")[:120]
    return f"**{persona.name}** `{persona.slug}`{mark}: {about}"
