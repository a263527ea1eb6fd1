"""Recall: the index of the words that were said, and which memories stand in the log.

An entry is a row of the index: `scene_id << 32 | seq`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import func, insert, select, text

from bot.store.log import entry_of
from bot.store.memory_tables import recalled
from bot.store.records import EntryKind
from bot.store.scenes import fact, set_fact
from bot.store.tables import entries

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bot.store.connection import Connection
    from bot.store.records import Entry

TOLD = (EntryKind.PLAYER, EntryKind.ANSWER, EntryKind.OPENING, EntryKind.NOTE)
"""What is indexed: what happened at the table. Lore and memories repeat what is kept elsewhere."""
ROW_BITS = 32
MERGED_PAGES = 64
"""How much of the index one step of `merge` rewrites: some 10 ms."""

_ROW = entries.c.scene_id.op("<<")(ROW_BITS).op("|")(entries.c.seq)


class Hit(NamedTuple):
    """A word of a query, by its number there, in a row of the index."""

    word: int
    row: int


def row_of(entry: Entry) -> int:
    """Give the row of an entry."""
    return entry.scene_id << ROW_BITS | entry.seq


# -- the index --------------------------------------------------------------------------------------------


async def counts(
    connection: Connection, scene_ids: Sequence[int], words: Sequence[str], most: int
) -> list[int]:
    """Count the entries of those scenes that have each word, up to `most` in a scene.

    Words are letters and digits: nothing of a query language can be in them.
    """
    if not words or not scene_ids:
        return []
    one = "SELECT {word} AS word, count(*) AS hits FROM ({found} LIMIT {most})"
    parts = (
        one.format(word=number, found=_FOUND.format(word=number, scene=int(scene)), most=int(most))
        for scene in scene_ids
        for number in range(len(words))
    )
    rows = await connection.execute(text(" UNION ALL ".join(parts)), _quoted(words))
    sums = [0] * len(words)
    for row in rows:
        sums[row.word] += row.hits
    return sums


async def hits(
    connection: Connection, scene_ids: Sequence[int], words: Mapping[int, str], most: int
) -> list[Hit]:
    """Give where those scenes have each word, the latest `most` of each scene, in ascending order."""
    if not words or not scene_ids:
        return []
    one = "SELECT {word} AS word, rowid AS place FROM ({found} ORDER BY rowid DESC LIMIT {most})"
    parts = (
        one.format(word=number, found=_FOUND.format(word=number, scene=int(scene)), most=int(most))
        for scene in scene_ids
        for number in words
    )
    found = await connection.execute(
        text(f"{' UNION ALL '.join(parts)} ORDER BY word, place"), _quoted(words)
    )
    return [Hit(one.word, one.place) for one in found]


_FOUND = (
    "SELECT rowid FROM passages WHERE passages MATCH :w{word}"
    " AND rowid BETWEEN {scene} << 32 AND ({scene} << 32) + 4294967295"
)


def _quoted(words: Sequence[str] | Mapping[int, str]) -> dict[str, str]:
    numbered = words.items() if isinstance(words, dict) else enumerate(words)
    return {f"w{number}": f'"{word}"' for number, word in numbered}


async def sizes(connection: Connection, scene_ids: Sequence[int]) -> dict[int, int]:
    """Give the latest place in each scene's log, which is about how many entries it has."""
    rows = await connection.execute(
        select(entries.c.scene_id, func.max(entries.c.seq).label("latest"))
        .where(entries.c.scene_id.in_(scene_ids))
        .group_by(entries.c.scene_id)
    )
    return {row.scene_id: row.latest for row in rows}


async def lengths(connection: Connection, ranges: Sequence[tuple[int, int]]) -> dict[int, int]:
    """Give how long entries are, in characters, by row, for ranges of rows of which each is in one scene."""
    one = (
        "SELECT scene_id << 32 | seq AS place, length(text) AS length FROM entries"
        " WHERE scene_id = {scene} AND seq BETWEEN {first} AND {last}"
        " AND kind IN ('player', 'answer', 'opening', 'note')"
    )
    parts = [
        one.format(scene=int(first) >> ROW_BITS, first=_seq(first), last=_seq(last)) for first, last in ranges
    ]
    if not parts:
        return {}
    found = await connection.execute(text(" UNION ALL ".join(parts)))
    return {one.place: one.length for one in found}


async def rows_of(connection: Connection, entry_ids: Sequence[int]) -> dict[int, int]:
    """Give the rows of entries, by their id; those that are gone are left out."""
    found = await connection.execute(
        select(entries.c.id, _ROW.label("place")).where(entries.c.id.in_(entry_ids))
    )
    return {one.id: one.place for one in found}


async def at(connection: Connection, rows: Sequence[int]) -> dict[int, Entry]:
    """Give what was told in those rows, by row; those that are gone are left out."""
    by_scene: dict[int, list[int]] = {}
    for row in rows:
        by_scene.setdefault(row >> ROW_BITS, []).append(_seq(row))
    found = {}
    for scene_id, seqs in by_scene.items():
        query = select(entries).where(
            entries.c.scene_id == scene_id, entries.c.seq.in_(seqs), entries.c.kind.in_(TOLD)
        )
        for one in await connection.execute(query):
            found[scene_id << ROW_BITS | one.seq] = entry_of(one)
    return found


async def merge(tx: Connection, *, begin: bool) -> bool:
    """Rewrite a little of the index, so that words of deleted entries go out of it. False if all is done."""
    pages = -MERGED_PAGES if begin else MERGED_PAGES
    before = (await tx.exec_driver_sql("SELECT total_changes()")).scalar_one()
    await tx.exec_driver_sql(f"INSERT INTO passages (passages, rank) VALUES ('merge', {pages})")  # noqa: S608  # a number
    after = (await tx.exec_driver_sql("SELECT total_changes()")).scalar_one()
    return bool(after - before >= 2)  # so says https://www.sqlite.org/fts5.html#the_merge_command


def _seq(row: int) -> int:
    return row & ((1 << ROW_BITS) - 1)


async def want_cleared(tx: Connection) -> None:
    """Remember that words were deleted which the index may still have."""
    await set_fact(tx, _TO_CLEAR, "yes")


async def is_clearing_wanted(connection: Connection) -> bool:
    """Tell whether words were deleted which the index may still have."""
    return await fact(connection, _TO_CLEAR) == "yes"


async def cleared(tx: Connection) -> None:
    """Remember that the index has nothing of what was deleted."""
    await set_fact(tx, _TO_CLEAR, "no")


_TO_CLEAR = "words to clear"


# -- memories in the log ----------------------------------------------------------------------------------


async def note(tx: Connection, entry_id: int, sources: Mapping[int, float]) -> None:
    """Remember of which entries a memory in the log speaks, and how well each fitted."""
    rows = [{"entry_id": entry_id, "source_id": source, "score": score} for source, score in sources.items()]
    await tx.execute(insert(recalled), rows)


async def memories_of(connection: Connection, source_id: int) -> list[int]:
    """Give the ids of the entries that recall an entry, in whichever scenes."""
    rows = await connection.execute(
        select(recalled.c.entry_id).where(recalled.c.source_id == source_id).order_by(recalled.c.entry_id)
    )
    return list(rows.scalars())


async def rows_recalled(connection: Connection, memory_ids: Sequence[int]) -> set[int]:
    """Give the rows of the entries that memories in the log speak of."""
    found = await connection.execute(
        select(_ROW.label("place"))
        .join(recalled, recalled.c.source_id == entries.c.id)
        .where(recalled.c.entry_id.in_(memory_ids))
    )
    return {one.place for one in found}


async def unchanged(connection: Connection, texts: Mapping[int, str]) -> bool:
    """Tell whether entries, by id, still have these texts."""
    found = await connection.execute(select(entries.c.id, entries.c.text).where(entries.c.id.in_(texts)))
    return {one.id: one.text for one in found} == dict(texts)


async def recalled_in(connection: Connection, entry_ids: Sequence[int]) -> dict[int, dict[int, float]]:
    """Give of which entries memories speak, and how well each fitted: by the memory's id and the source's."""
    query = select(recalled).where(recalled.c.entry_id.in_(entry_ids)).order_by(recalled.c.source_id)
    found: dict[int, dict[int, float]] = {}
    for row in await connection.execute(query):
        found.setdefault(row.entry_id, {})[row.source_id] = row.score
    return found
