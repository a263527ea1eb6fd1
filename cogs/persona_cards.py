"""The part of `/persona` with which members bring characters to their server and take them along again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import discord
from discord import app_commands
from discord.ext import commands

from bot.errors import TableError
from bot.persona.cards.card import new_card
from bot.persona.cards.document import CardError
from bot.persona.cards.files import CardFile, Format, own_format, require_size, write
from bot.persona.persona import clean_text, fold
from bot.scene.lorebooks import notes_on_own
from cogs.choices import among, fitting, may_manage
from cogs.persona_forms import FIELDS, CardForm, Sure, attached

if TYPE_CHECKING:
    from bot.client import Hearthside
    from bot.persona.persona import Persona
    from bot.persona.personas import Arrival, Personas
    from bot.scene.direction import Direction
    from bot.scene.table import Table

    Interaction = discord.Interaction[Hearthside]
else:
    Interaction = discord.Interaction

SHOWN_CHARACTERS = 1000


class CardCommands(commands.Cog):
    """Character cards in and out; `/persona` takes these commands among its own.

    What a member brings is put before the model, so bringing and changing it is for those who manage the
    server.
    """

    _direction: Direction
    _table: Table
    _personas: Personas

    @app_commands.command(name="import", description="Bring a character card: a JSON, PNG or CHARX file")
    @app_commands.describe(
        card="The card's file", replace="Put it in the place of the character of the same name"
    )
    async def import_(  # noqa: D102  # Discord shows the description above
        self, interaction: Interaction, card: discord.Attachment, replace: bool = False
    ) -> None:
        guild_id = _managed(interaction, "Bringing characters")
        require_size(card.size)
        await interaction.response.defer(thinking=True)
        data = await _fetched(card)
        arrival = await self._personas.bring(guild_id, data, interaction.user.id, replacing=replace)
        await interaction.followup.send(embed=_told(arrival))
        written = (await self._personas.card_file(arrival.persona)).card
        if lore := await asyncio.to_thread(notes_on_own, written.data.get("character_book")):
            await interaction.followup.send(fitting(lore), ephemeral=True)  # lore holds secrets

    @app_commands.command(description="Get a character as a card that other programs read, too")
    @app_commands.describe(persona="Whom to export", format="PNG shows a picture; CHARX is a V3 archive")
    async def export(  # noqa: D102
        self,
        interaction: Interaction,
        persona: str,
        format: Format = "png",  # noqa: A002  # the option's name
    ) -> None:
        one = self._direction.persona(persona, interaction.guild_id)
        await interaction.response.defer(thinking=True, ephemeral=True)
        came = await self._personas.card_file(one)
        file = await _as_file(one, came, format, limit=interaction.filesize_limit)
        await interaction.followup.send(f"The card of **{one.name}**.", file=file, ephemeral=True)

    @app_commands.command(description="Write a new character in a form")
    async def create(self, interaction: Interaction) -> None:  # noqa: D102
        guild_id = _managed(interaction, "Writing characters")

        async def then(sent: Interaction, typed: dict[str, str]) -> None:
            made = await self._personas.make(guild_id, new_card(typed), sent.user.id)
            await sent.response.send_message(
                f"**{made.name}** can be played now: `/scene add` brings them into the scene here."
            )

        await interaction.response.send_modal(CardForm("A new character", {}, then))

    @app_commands.command(description="Change a character that was brought to this server")
    @app_commands.describe(persona="Whom to change")
    async def edit(self, interaction: Interaction, persona: str) -> None:  # noqa: D102
        _managed(interaction, "Changing characters")
        one = self._brought(interaction, persona)
        card = (await self._personas.card_file(one)).card
        shown = {field.key: clean_text(card.text(field.key)).strip() for field in FIELDS}
        shown["name"] = one.name  # the card's own may be longer than a form and a name take

        async def then(sent: Interaction, typed: dict[str, str]) -> None:
            await self._change(sent, one, {key: text for key, text in typed.items() if text != shown[key]})

        await interaction.response.send_modal(CardForm(f"Changing {one.name}", shown, then))

    @app_commands.command(description="Delete a character that was brought to this server")
    @app_commands.describe(persona="Whom to delete")
    async def delete(self, interaction: Interaction, persona: str) -> None:  # noqa: D102
        _managed(interaction, "Deleting characters")
        one = self._brought(interaction, persona)
        self._require_offstage(one)

        async def then(pressed: Interaction) -> None:
            self._require_offstage(one)
            await pressed.response.defer()
            came = await self._personas.card_file(one)
            file = await _as_file(one, came, own_format(came), limit=pressed.filesize_limit)
            await self._personas.remove(one)
            await pressed.edit_original_response(
                content=f"**{one.name}** is deleted. `/persona import` with this file brings them back.",
                view=None,
                attachments=[file],
            )

        await interaction.response.send_message(
            f"Delete **{one.name}** from this server? You will get the card as a file.",
            view=Sure(interaction, "Delete", then),
            ephemeral=True,
        )

    @export.autocomplete("persona")
    async def _everybody(self, interaction: Interaction, current: str) -> list[app_commands.Choice[str]]:
        return among([(one.name, one.slug) for one in self._personas.all(interaction.guild_id)], current)

    @edit.autocomplete("persona")
    @delete.autocomplete("persona")
    async def _members_own(self, interaction: Interaction, current: str) -> list[app_commands.Choice[str]]:
        there = self._personas.all(interaction.guild_id)
        return among([(one.name, one.slug) for one in there if self._personas.is_brought(one)], current)

    async def _change(self, sent: Interaction, persona: Persona, changes: dict[str, str]) -> None:
        before = await self._personas.card_file(persona)
        if not changes:
            await sent.response.send_message("Nothing was changed.", ephemeral=True)
            return
        changed = await self._personas.change(persona, before.card.changed(changes))
        await sent.response.send_message(
            f"**{changed.name}** has been changed. Scenes play it so from the next turn on."
        )
        file = await _as_file(persona, before, own_format(before), limit=sent.filesize_limit)
        back = "`/persona import` with replace:True goes back."
        if fold(changed.name) != fold(persona.name):  # it takes the place of its namesake
            back = f"To go back, give {changed.name} the old name again first; then {back}"
        await sent.followup.send(f"This is how it was before: {back}", file=file, ephemeral=True)

    def _brought(self, interaction: Interaction, name: str) -> Persona:
        one = self._direction.persona(name, interaction.guild_id)
        if not self._personas.is_brought(one):
            raise TableError(
                f"{one.name} belongs to the bot itself, and only its operator changes that one.",
                hint="Export it and import it under another name to have one of your own.",
            )
        return one

    def _require_offstage(self, persona: Persona) -> None:
        for scene in self._table.scenes():
            if persona.slug in scene.cast:
                raise TableError(
                    f"{persona.name} is playing in “{scene.record.title}”.",
                    hint="`/scene remove` there first, or end the scene.",
                )


def _managed(interaction: Interaction, what: str) -> int:
    """Give the server that is managed by the one who asks. Raises TableError for everybody else."""
    if interaction.guild_id is None:
        raise TableError(f"{what} is done on a server.")
    may_manage(interaction, what)
    return interaction.guild_id


async def _fetched(attachment: discord.Attachment) -> bytes:
    try:
        return await attachment.read()
    except discord.HTTPException as error:
        raise CardError(
            f"Discord did not hand over the file ({error.status}).", hint="Try again, with a new upload."
        ) from None


async def _as_file(persona: Persona, came: CardFile, kind: Format, *, limit: int) -> discord.File:
    data = await asyncio.to_thread(write, came, kind)
    if len(data) > limit:
        raise TableError(
            f"As {kind.upper()} the card takes {len(data) / 1024**2:.1f} MiB, more than Discord takes here.",
            hint="Another format may fit; JSON leaves out the picture.",
        )
    return attached(data, f"{persona.slug.partition('.')[0]}.{kind}")


def _told(arrival: Arrival) -> discord.Embed:
    persona = arrival.persona
    what = "has taken the place of the one before" if arrival.replaced else "can be played now"
    embed = discord.Embed(
        title=persona.name, description=f"{persona.name} {what}: `/scene add` brings them into a scene."
    )
    if arrival.creator:
        embed.add_field(name="Written by", value=arrival.creator)
    if persona.tags:
        embed.add_field(name="Tags", value=", ".join(persona.tags)[:SHOWN_CHARACTERS])
    if persona.creator_notes:
        embed.add_field(name="From its creator", value=persona.creator_notes[:SHOWN_CHARACTERS], inline=False)
    if arrival.notes:
        embed.add_field(name="Good to know", value="\n".join(arrival.notes)[:SHOWN_CHARACTERS], inline=False)
    return embed
