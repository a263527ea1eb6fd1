"""Lorebooks and their entries, and which of them the log has told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, func, insert, select, update

from bot.store.records import EntryKind, FiredRecord, LorebookRecord, LoreRow
from bot.store.tables import entries, lore_entries, lore_fired, lorebooks

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bot.store.connection import Connection
    from bot.store.records import Entry

_SAID = (EntryKind.PLAYER, EntryKind.ANSWER, EntryKind.OPENING)
_ROWS = select(
    lore_entries.c.id,
    lore_entries.c.place,
    lore_entries.c.key,
    lore_entries.c.revision,
    lore_entries.c.document,
).order_by(lore_entries.c.place, lore_entries.c.id)
_RECORDS = (
    select(
        lorebooks.c.id,
        lorebooks.c.guild_id,
        lorebooks.c.name,
        lorebooks.c.kind,
        lorebooks.c.enabled,
        func.count(lore_entries.c.id).label("entries"),
    )
    .outerjoin(lore_entries, lore_entries.c.book_id == lorebooks.c.id)
    .group_by(lorebooks.c.id)
    .order_by(lorebooks.c.name)
)


async def books_of(connection: Connection, guild_id: int) -> list[LorebookRecord]:
    """Give a server's lorebooks in the order of their names."""
    rows = await connection.execute(_RECORDS.where(lorebooks.c.guild_id == guild_id))
    return [LorebookRecord(**row._asdict()) for row in rows]


async def frame_of(connection: Connection, book_id: int) -> str:
    """Give a book's document without its entries, as JSON."""
    rows = await connection.execute(select(lorebooks.c.frame).where(lorebooks.c.id == book_id))
    frame: str = rows.scalar_one()
    return frame


async def create(tx: Connection, **values: Any) -> int:
    """Store a new book and give its id."""
    new = await tx.execute(insert(lorebooks).values(values).returning(lorebooks.c.id))
    return int(new.scalar_one())


async def change(tx: Connection, book_id: int, **values: Any) -> None:
    """Set columns of a book."""
    await tx.execute(update(lorebooks).where(lorebooks.c.id == book_id).values(values))


async def remove(tx: Connection, book_id: int) -> None:
    """Forget a book with its entries. What the log has told of it stays told."""
    await tx.execute(delete(lorebooks).where(lorebooks.c.id == book_id))


async def rows_of(connection: Connection, book_id: int) -> list[LoreRow]:
    """Give a book's entries in their order."""
    rows = await connection.execute(_ROWS.where(lore_entries.c.book_id == book_id))
    return [LoreRow(**row._asdict()) for row in rows]


async def quoting(connection: Connection, entry: Entry, said: str) -> list[int]:
    """Give the ids of the log's lore that repeats what an entry `said`, by `{{lastMessage}}`.

    It stands between the entry and the next one that somebody said.
    """
    later = select(func.min(entries.c.seq)).where(
        entries.c.scene_id == entry.scene_id, entries.c.seq > entry.seq, entries.c.kind.in_(_SAID)
    )
    rows = await connection.execute(
        select(entries.c.id).where(
            entries.c.scene_id == entry.scene_id,
            entries.c.kind == EntryKind.LORE,
            entries.c.seq > entry.seq,
            entries.c.seq < func.coalesce(later.scalar_subquery(), entries.c.seq + 1),
            func.instr(entries.c.text, said) > 0,
        )
    )
    return list(rows.scalars())


async def row(connection: Connection, book_id: int, entry_id: int) -> LoreRow | None:
    """Give one entry of a book."""
    query = _ROWS.where(lore_entries.c.book_id == book_id, lore_entries.c.id == entry_id)
    found = (await connection.execute(query)).first()
    return LoreRow(**found._asdict()) if found else None


async def add(tx: Connection, book_id: int, documents: Iterable[tuple[str | None, str]], first: int) -> None:
    """Store entries, as (key, JSON), from a place in the book on."""
    new = [
        {"book_id": book_id, "place": place, "key": key, "document": document}
        for place, (key, document) in enumerate(documents, first)
    ]
    if new:
        await tx.execute(insert(lore_entries), new)


async def set_document(tx: Connection, entry_id: int, document: str) -> None:
    """Replace an entry. To the log it is another one from then on."""
    await tx.execute(
        update(lore_entries)
        .where(lore_entries.c.id == entry_id)
        .values(document=document, revision=lore_entries.c.revision + 1)
    )


async def remove_entry(tx: Connection, entry_id: int) -> None:
    """Forget an entry."""
    await tx.execute(delete(lore_entries).where(lore_entries.c.id == entry_id))


async def note_fired(tx: Connection, fired: FiredRecord) -> None:
    """Remember which lore an entry of the log tells."""
    values = {
        "entry_id": fired.entry_id,
        "book": fired.book,
        "uid": fired.uid,
        "because": fired.because,
        "since": fired.since,
    }
    await tx.execute(insert(lore_fired).values(values))


async def fired_in(connection: Connection, scene_id: int) -> list[FiredRecord]:
    """Give everything that was told in a scene, oldest first."""
    query = (
        select(lore_fired, entries.c.seq)
        .join(entries, entries.c.id == lore_fired.c.entry_id)
        .where(entries.c.scene_id == scene_id)
        .order_by(entries.c.seq)
    )
    return [FiredRecord(**row._asdict()) for row in await connection.execute(query)]


async def messages_in(connection: Connection, scene_id: int, after: int) -> tuple[int, int]:
    """Count a scene's messages after a place in its log: all of them, and those of the cast."""
    spoken = entries.c.kind.in_([EntryKind.ANSWER, EntryKind.OPENING])
    counts = func.count().label("everything"), func.count().filter(spoken).label("answers")
    query = select(*counts).where(
        entries.c.scene_id == scene_id,
        entries.c.seq > after,
        entries.c.kind.in_([EntryKind.PLAYER, EntryKind.ANSWER, EntryKind.OPENING]),
    )
    counted = (await connection.execute(query)).one()
    return counted.everything, counted.answers
