"""`/lore`: what the world knows, and when it is told."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Literal

import discord
from discord import app_commands
from discord.ext import commands
from discord.utils import escape_markdown

from bot.documents import dumped
from bot.errors import TableError
from bot.persona.persona import fold
from bot.prompt.lore import formats
from bot.prompt.lore.document import LOREBOOK
from bot.prompt.lore.formats import LoreError
from bot.prompt.lore.model import LoreEntry
from bot.prompt.lore.options import options_of
from bot.prompt.lore.verdict import Check
from bot.scene.lorebooks import DEFAULT_NAME, Listed, with_problems
from cogs.choices import among, fitting
from cogs.lore_forms import LoreForm
from cogs.persona_forms import Sure, attached

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bot.client import Hearthside
    from bot.prompt.lore.verdict import Outcome, Verdict
    from bot.scene.lore import SceneLore
    from bot.scene.lorebooks import Lorebooks
    from bot.scene.table import Table
    from bot.store.records import LorebookRecord

    Interaction = discord.Interaction[Hearthside]
else:
    Interaction = discord.Interaction

FileFormat = Literal["sillytavern", "v3"]
LISTED = 40  # entries whose keys are looked at for one list; a message holds fewer
NO_BOOKS = "There are no lorebooks here yet. `/lore add` writes a first entry, `/lore import` brings a file."


@app_commands.guild_only()
class LoreCommands(commands.GroupCog, group_name="lore", group_description="What the world knows"):
    """The commands about lorebooks. Lore holds secrets: what is shown of it, only the one who asks sees."""

    def __init__(self, books: Lorebooks, lore: SceneLore, table: Table) -> None:
        self._books = books
        self._lore = lore
        self._table = table

    @app_commands.command(description="Write a new entry of a lorebook in a form")
    @app_commands.describe(book="The book it belongs to; a new name makes a new book")
    async def add(  # noqa: D102  # Discord shows the description above
        self, interaction: Interaction, book: app_commands.Range[str, 1, 80] = DEFAULT_NAME
    ) -> None:
        guild_id = self._keeper(interaction)

        async def then(sent: discord.Interaction[Any], entry: LoreEntry) -> None:
            record = await self._books.add(guild_id, book, entry, sent.user.id)
            await sent.response.send_message(
                fitting([f"“{record.name}” has a new entry, {_shown(entry)}.", *_warnings(entry)]),
                ephemeral=True,
            )

        await interaction.response.send_modal(LoreForm("A new entry", LoreEntry(uid="new"), then))

    @app_commands.command(description="Change an entry of a lorebook in a form")
    @app_commands.describe(book="The book", entry="The entry")
    async def edit(self, interaction: Interaction, book: str, entry: str) -> None:  # noqa: D102
        record = await self._books.find(self._keeper(interaction), book)
        listed = await self._entry(record, entry)

        async def then(sent: discord.Interaction[Any], changed: LoreEntry) -> None:
            await self._books.change(record, listed.id, changed, listed.entry)
            said = f"{_shown(changed)} has been changed. Where it was told already, the old text stays told."
            await sent.response.send_message(fitting([said, *_warnings(changed)]), ephemeral=True)

        await interaction.response.send_modal(LoreForm(f"Changing {listed.entry.label}", listed.entry, then))

    @app_commands.command(name="list", description="Show the lorebooks, or what is in one")
    @app_commands.describe(book="The book; left out, all books", search="Only entries with this in them")
    async def list_(  # noqa: D102
        self, interaction: Interaction, book: str = "", search: app_commands.Range[str, 1, 100] = ""
    ) -> None:
        guild_id = self._keeper(interaction)
        if not book:
            lines = [_book_line(one) for one in await self._books.all(guild_id)]
            await interaction.response.send_message(fitting(lines) or NO_BOOKS, ephemeral=True)
            return
        await interaction.response.defer(ephemeral=True, thinking=True)
        record = await self._books.find(guild_id, book)
        found = [one for one in await self._books.entries(record) if _has(one.entry, search)]
        lines = [_entry_line(one) for one in await asyncio.to_thread(with_problems, found[:LISTED])]
        if len(found) > LISTED:
            lines.insert(0, f"The first {LISTED} of {len(found):,}; `search` finds the others.")
        nothing = "Nothing in it says that." if search else "It is empty."
        await interaction.followup.send(fitting([_book_line(record), *(lines or [nothing])]), ephemeral=True)

    @app_commands.command(name="import", description="Bring a lorebook: a World Info, V3 or card file")
    @app_commands.describe(
        file="A JSON file, or a card as PNG or CHARX", name="What to call it; left out, what it calls itself"
    )
    async def import_(  # noqa: D102
        self, interaction: Interaction, file: discord.Attachment, name: app_commands.Range[str, 1, 80] = ""
    ) -> None:
        guild_id = self._keeper(interaction)
        LOREBOOK.require_size(file.size)
        await interaction.response.defer(ephemeral=True, thinking=True)
        try:
            data = await file.read()
        except discord.HTTPException as error:
            raise LoreError(
                f"Discord did not hand over the file ({error.status}).", hint="Try again, with a new upload."
            ) from None
        brought = await self._books.bring(
            guild_id, data, interaction.user.id, name=name, filename=file.filename
        )
        record = brought.record
        said = f"“{record.name}” is here, with {record.entries:,} entries. Its scenes know it from now on."
        await interaction.followup.send(fitting([said, *brought.notes]), ephemeral=True)

    @app_commands.command(description="Get a lorebook as a file that other programs read, too")
    @app_commands.describe(book="The book", format="SillyTavern's World Info, or a V3 lorebook")
    async def export(  # noqa: D102
        self,
        interaction: Interaction,
        book: str,
        format: FileFormat = "sillytavern",  # noqa: A002  # the option's name
    ) -> None:
        record = await self._books.find(self._keeper(interaction), book)
        await interaction.response.defer(ephemeral=True, thinking=True)
        data = await asyncio.to_thread(_written, await self._books.file(record), format)
        if len(data) > interaction.filesize_limit:
            raise TableError(f"As a file the book takes {len(data) / 1024**2:.1f} MiB, too much for Discord.")
        name = "".join(letter if letter.isalnum() else "-" for letter in record.name)
        await interaction.followup.send(
            f"The lorebook “{record.name}”.", file=attached(data, f"{name}.json"), ephemeral=True
        )

    @app_commands.command(description="Show which lore would be told if somebody said this, and why")
    @app_commands.describe(text="What somebody says")
    async def test(  # noqa: D102
        self, interaction: Interaction, text: app_commands.Range[str, 1, 2000]
    ) -> None:
        guild_id = self._keeper(interaction)
        await interaction.response.defer(ephemeral=True, thinking=True)
        scene = self._table.scene_in(interaction.channel_id or 0)
        outcome = await self._lore.tested(guild_id, scene, text)
        await interaction.followup.send(fitting(told_lines(outcome)), ephemeral=True)

    @app_commands.command(description="Delete an entry of a lorebook, or a whole book")
    @app_commands.describe(book="The book", entry="The entry; left out, the whole book")
    async def remove(self, interaction: Interaction, book: str, entry: str = "") -> None:  # noqa: D102
        record = await self._books.find(self._keeper(interaction), book)
        listed = await self._entry(record, entry) if entry else None

        async def then(pressed: discord.Interaction[Any]) -> None:
            await pressed.response.defer()
            if listed:
                await self._books.remove_entry(record, listed.id)
                await pressed.edit_original_response(content=f"{_shown(listed.entry)} is deleted.", view=None)
                return
            data = await asyncio.to_thread(_written, await self._books.file(record), "sillytavern")
            await self._books.remove(record)
            fits = len(data) <= pressed.filesize_limit
            await pressed.edit_original_response(
                content=f"“{record.name}” is deleted."
                + (" `/lore import` with this file brings it back." if fits else ""),
                view=None,
                attachments=[attached(data, "deleted.json")] if fits else [],
            )

        what = _shown(listed.entry) if listed else f"all {record.entries:,} entries of “{record.name}”"
        await interaction.response.send_message(
            f"Delete {what}?", view=Sure(interaction, "Delete", then), ephemeral=True
        )

    @app_commands.command(description="Use a lorebook in this server's scenes, or leave it aside")
    @app_commands.describe(book="The book", on="Use it")
    async def switch(self, interaction: Interaction, book: str, on: bool) -> None:  # noqa: D102
        record = await self._books.find(self._keeper(interaction), book)
        await self._books.switch(record, on=on)
        await interaction.response.send_message(
            f"“{record.name}” is {'used' if on else 'left aside'} from the next turn on.", ephemeral=True
        )

    @add.autocomplete("book")
    @edit.autocomplete("book")
    @list_.autocomplete("book")
    @export.autocomplete("book")
    @remove.autocomplete("book")
    @switch.autocomplete("book")
    async def _books_there(self, interaction: Interaction, current: str) -> list[app_commands.Choice[str]]:
        there = await self._books.all(interaction.guild_id or 0) if self._keeps(interaction) else []
        return among([(one.name, one.name) for one in there], current)

    @edit.autocomplete("entry")
    @remove.autocomplete("entry")
    async def _entries_there(self, interaction: Interaction, current: str) -> list[app_commands.Choice[str]]:
        if not self._keeps(interaction):
            return []
        record = await self._books.find(interaction.guild_id or 0, str(interaction.namespace.book or ""))
        return among([(one.entry.label, f"#{one.id}") for one in await self._books.entries(record)], current)

    async def _entry(self, record: LorebookRecord, text: str) -> Listed:
        """Find the entry that is meant by what autocomplete offers, or by its label."""
        wanted = fold(text)
        for one in await self._books.entries(record):
            if f"#{one.id}" == text or fold(one.entry.label) == wanted:
                return await self._books.entry(record, one.id)
        raise TableError(
            f"There is no entry “{text[:80]}” in “{record.name}”.", hint="/lore list shows what is there."
        )

    def _keeps(self, interaction: Interaction) -> bool:
        """Tell whether the one who asks may see and change lore: it is the game master's."""
        scene = self._table.scene_in(interaction.channel_id or 0)
        directs = scene is not None and scene.record.started_by == interaction.user.id
        return directs or interaction.permissions.manage_guild

    def _keeper(self, interaction: Interaction) -> int:
        """Give the server whose lore is the asker's to keep. Raises TableError for everybody else."""
        if not self._keeps(interaction):
            raise TableError(
                "Lore is for members with “Manage Server”, and for who started the scene in this channel."
            )
        return interaction.guild_id or 0


def told_lines(outcome: Outcome) -> list[str]:
    """Say in lines what an activation would tell, what it would not, and why."""
    awake = [verdict for verdict in outcome.verdicts if verdict.awake]
    stopped = [one for one in outcome.verdicts if not one.awake and one.check is not Check.NO_KEY]
    lines = [
        f"**{len(outcome.fired)}** would be told now:" if outcome.fired else "Nothing would be told now."
    ]
    lines += [_verdict_line(verdict) for verdict in awake if verdict.check is Check.TOLD]
    if there := [verdict for verdict in awake if verdict.check is not Check.TOLD]:
        lines += ["The model knows already:", *map(_verdict_line, there)]
    if stopped:
        lines += ["Would not be told:", *map(_verdict_line, stopped)]
    return lines


def _verdict_line(verdict: Verdict) -> str:
    reasons = [verdict.because] if verdict.check is Check.TOLD else [verdict.check, verdict.because]
    because = escape_markdown("; ".join(filter(None, reasons)))
    return f"- {_shown(verdict.one.entry)} ({escape_markdown(verdict.one.book.name)}): {because}"


def _book_line(book: LorebookRecord) -> str:
    aside = "" if book.enabled else " (left aside)"
    return f"**{escape_markdown(book.name)}**: {book.entries:,} entries{aside}"


def _entry_line(listed: Listed) -> str:
    entry = listed.entry
    keys = escape_markdown(", ".join(entry.keys))[:200] or ("always on" if entry.constant else "no keys")
    options = escape_markdown(options_of(entry))[:200]
    warnings = "".join(f"\n  ⚠ not used: {escape_markdown(problem)[:200]}" for problem in listed.problems[:3])
    return f"- {_shown(entry)}: {keys}" + (f" ({options})" if options else "") + warnings


def _warnings(entry: LoreEntry) -> Iterable[str]:
    [listed] = with_problems([Listed(0, entry)])
    return (f"⚠ Not used: {escape_markdown(problem)}." for problem in listed.problems)


def _shown(entry: LoreEntry) -> str:
    return f"**{escape_markdown(entry.label[:80])}**"


def _has(entry: LoreEntry, search: str) -> bool:
    wanted = fold(search)
    return any(wanted in fold(text) for text in (entry.title, entry.content, *entry.keys))


def _written(file: formats.LoreFile, kind: FileFormat) -> bytes:
    return dumped(formats.as_v3(file) if kind == "v3" else formats.document_of(formats.as_world_info(file)))
