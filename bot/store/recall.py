"""Recall: the index of the words that were said, and which memories stand in the log.

An entry is a row of the index: `scene_id << 32 | seq`.
"""

from __future__ import annotations

import json
from dataclasses import fields
from enum import StrEnum
from typing import TYPE_CHECKING

from sqlalchemy import insert, select, text

from bot.store.log import entry_with
from bot.store.memory_tables import recalled
from bot.store.records import Entry
from bot.store.scenes import fact, set_fact

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bot.store.connection import Connection

_TOLD = "kind IN ('player', 'answer', 'opening', 'note')"
"""What is indexed: what happened at the table. Lore and memories repeat what is kept elsewhere."""
ROW_BITS = 32
MERGED_PAGES = 64
"""How much of the index one step of `merge` rewrites: some 10 ms."""


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
    values = {"words": _quoted(words), "scenes": json.dumps(scene_ids), "most": most}
    found = (await connection.repeat(_COUNTS, values)).rows
    return [count for _, count in found] if scene_ids else [0] * len(words)


async def hits(
    connection: Connection, scene_ids: Sequence[int], words: Sequence[str], most: int
) -> list[list[int]]:
    """Give where those scenes have each word, the latest `most` of each scene, as ascending rows."""
    values = {"words": _quoted(words), "scenes": json.dumps(scene_ids), "most": most}
    found: list[list[int]] = [[] for _ in words]
    for word, rows in (await connection.repeat(_HITS, values)).rows:
        found[word] += json.loads(rows)
    for rows in found:
        rows.sort()
    return found


# A list for each word and scene comes back as one text: every row of a result takes the interpreter's lock.
_ASKED = """
    WITH asked AS (
        SELECT words.key AS word, words.value AS said, scenes.value << 32 AS first
        FROM json_each(:words) AS words CROSS JOIN json_each(:scenes) AS scenes
    )
"""
_FOUND = """
    SELECT rowid FROM passages WHERE passages MATCH said AND rowid BETWEEN first AND first + 4294967295
"""
_COUNTS = text(
    f"{_ASKED} SELECT word, sum((SELECT count(*) FROM ({_FOUND} LIMIT :most))) FROM asked"  # noqa: S608  # all of it stands above
    " GROUP BY word ORDER BY word"
)
_HITS = text(
    f"{_ASKED} SELECT word, (SELECT json_group_array(rowid)"  # noqa: S608  # as above
    f" FROM ({_FOUND} ORDER BY rowid DESC LIMIT :most)) FROM asked"
)


def _quoted(words: Iterable[str]) -> str:
    return json.dumps([f'"{word}"' for word in words])


async def sizes(connection: Connection, scene_ids: Sequence[int]) -> dict[int, int]:
    """Give the latest place in each scene's log, which is about how many entries it has."""
    found = await connection.repeat(_SIZES, {"scenes": json.dumps(scene_ids)})
    return {scene: latest for scene, latest in found.rows if latest}


_SIZES = text("SELECT value, (SELECT max(seq) FROM entries WHERE scene_id = value) FROM json_each(:scenes)")


async def lengths(connection: Connection, ranges: Sequence[tuple[int, int]]) -> dict[int, int]:
    """Give how long entries are, in characters, by row, for ranges of rows of which each is in one scene."""
    found = await connection.repeat(_LENGTHS, {"ranges": json.dumps(ranges)})
    ((rows, characters),) = found.rows
    return dict(zip(json.loads(rows), json.loads(characters), strict=True))


_LENGTHS = text(
    f"""
    WITH wanted AS (
        SELECT json_extract(value, '$[0]') AS first, json_extract(value, '$[1]') AS last
        FROM json_each(:ranges)
    )
    SELECT json_group_array(scene_id << 32 | seq), json_group_array(length(text))
    FROM wanted CROSS JOIN entries
    WHERE scene_id = first >> 32 AND seq BETWEEN first & 4294967295 AND last & 4294967295 AND {_TOLD}
    """  # noqa: S608  # all of it stands above
)


async def at(connection: Connection, rows: Sequence[int]) -> dict[int, Entry]:
    """Give what was told in those rows, by row; those that are gone are left out."""
    found = await connection.repeat(_AT, {"rows": json.dumps(rows)})
    return {row_of(entry): entry for entry in map(entry_with, found.rows)}


async def in_sessions(connection: Connection, rows: Sequence[int]) -> dict[int, tuple[Entry, int]]:
    """Give what was told in those rows, by row, with the number of the session that it was told in."""
    found = await connection.repeat(_IN_SESSIONS, {"rows": json.dumps(rows)})
    told = ((entry_with(values), session or 1) for *values, session in found.rows)
    return {row_of(entry): (entry, session) for entry, session in told}


_COLUMNS = tuple(each.name for each in fields(Entry))
_AT = text(
    f"""
    SELECT {", ".join(f"entries.{name}" for name in _COLUMNS)}
    FROM json_each(:rows) AS wanted CROSS JOIN entries
    WHERE scene_id = wanted.value >> 32 AND seq = wanted.value & 4294967295 AND {_TOLD}
    """  # noqa: S608  # a record's own names
)

_SESSION = """
    (SELECT max(number) FROM sessions WHERE scene_id = entries.scene_id AND first_seq <= entries.seq)
"""
_IN_SESSIONS = text(
    f"""
    SELECT {", ".join(f"entries.{name}" for name in _COLUMNS)}, {_SESSION}
    FROM json_each(:rows) AS wanted CROSS JOIN entries
    WHERE scene_id = wanted.value >> 32 AND seq = wanted.value & 4294967295 AND {_TOLD}
    """  # noqa: S608  # all of it stands above
)


async def merge(tx: Connection, *, begin: bool) -> bool:
    """Rewrite a little of the index, so that words of deleted entries go out of it. False if all is done."""
    pages = -MERGED_PAGES if begin else MERGED_PAGES
    before = (await tx.exec_driver_sql("SELECT total_changes()")).scalar_one()
    await tx.exec_driver_sql(f"INSERT INTO passages (passages, rank) VALUES ('merge', {pages})")  # noqa: S608  # a number
    after = (await tx.exec_driver_sql("SELECT total_changes()")).scalar_one()
    return bool(after - before >= 2)  # so says https://www.sqlite.org/fts5.html#the_merge_command


class Remains(StrEnum):
    """What the database's file may still have of what was deleted."""

    WORDS = "yes"
    """Words in old parts of the index, copies, and the write-ahead log."""
    COPIES = "copies"
    """Copies that SQLite left of rows that it has moved."""
    NOTHING = "no"


async def remains(connection: Connection) -> Remains:
    """Tell what may still be there of what was deleted."""
    return Remains(await fact(connection, _REMAINS) or Remains.NOTHING)


async def set_remains(tx: Connection, remains: Remains) -> None:
    """Remember what may still be there of what was deleted."""
    await set_fact(tx, _REMAINS, remains)


_REMAINS = "words to clear"


# -- memories in the log ----------------------------------------------------------------------------------


async def note(tx: Connection, entry_id: int, sources: Mapping[int, float]) -> None:
    """Remember of which entries a memory in the log speaks, and how well each fitted."""
    for source, score in sources.items():
        await tx.repeat(_NOTE, {"entry_id": entry_id, "source_id": source, "score": score})


_NOTE = insert(recalled)


async def memories_of(connection: Connection, source_id: int) -> list[int]:
    """Give the ids of the entries that recall an entry, in whichever scenes."""
    rows = await connection.execute(
        select(recalled.c.entry_id).where(recalled.c.source_id == source_id).order_by(recalled.c.entry_id)
    )
    return list(rows.scalars())


async def rows_recalled(connection: Connection, memory_ids: Sequence[int]) -> set[int]:
    """Give the rows of the entries that memories in the log speak of."""
    found = await connection.repeat(_ROWS_RECALLED, {"ids": json.dumps(memory_ids)})
    return {row for (row,) in found.rows}


_ROWS_RECALLED = text(
    "SELECT entries.scene_id << 32 | entries.seq FROM json_each(:ids)"
    " CROSS JOIN recalled ON recalled.entry_id = value CROSS JOIN entries ON entries.id = recalled.source_id"
)


async def unchanged(connection: Connection, texts: Mapping[int, str]) -> bool:
    """Tell whether entries, by id, still have these texts."""
    found = await connection.repeat(_TEXTS, {"ids": json.dumps(list(texts))})
    return dict(found.rows) == dict(texts)


_TEXTS = text("SELECT entries.id, entries.text FROM json_each(:ids) CROSS JOIN entries ON entries.id = value")


async def recalled_in(connection: Connection, entry_ids: Sequence[int]) -> dict[int, dict[int, float]]:
    """Give of which entries memories speak, and how well each fitted: by the memory's id and the source's."""
    query = select(recalled).where(recalled.c.entry_id.in_(entry_ids)).order_by(recalled.c.source_id)
    found: dict[int, dict[int, float]] = {}
    for row in await connection.execute(query):
        found.setdefault(row.entry_id, {})[row.source_id] = row.score
    return found
