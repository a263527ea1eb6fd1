"""Vectors: what entries mean to an embedding model, as int8 numbers to be multiplied by a scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, delete, exists, func, insert, literal_column, select

from bot.store.log import entry_of
from bot.store.memory_tables import vectors
from bot.store.recall import ROW_BITS
from bot.store.records import EntryKind
from bot.store.tables import entries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bot.store.connection import Connection
    from bot.store.records import Entry

TOLD = (EntryKind.PLAYER, EntryKind.ANSWER, EntryKind.OPENING, EntryKind.NOTE)
"""What happened at the table. Lore and memories in the log repeat what is kept elsewhere."""


@dataclass(frozen=True, slots=True)
class VectorRow:
    """The vector of an entry: `int8` numbers that `scale` makes one of length 1. `row` is as in the index."""

    entry_id: int
    row: int
    scale: float
    int8: bytes


_KEEP = (
    insert(vectors)
    .from_select(
        ["entry_id", "model", "scale", "vector"],
        select(
            entries.c.id,
            bindparam("model", type_=vectors.c.model.type),
            bindparam("scale", type_=vectors.c.scale.type),
            bindparam("int8", type_=vectors.c.vector.type),
        ).where(entries.c.id == bindparam("of_id"), entries.c.text == bindparam("of_text")),
    )
    .prefix_with("OR REPLACE")
)
_OF_SCENE = (
    select(entries.c.seq, vectors.c.entry_id, vectors.c.scale, vectors.c.vector)
    .join(entries, entries.c.id == vectors.c.entry_id)
    .where(
        entries.c.scene_id == bindparam("scene"),
        entries.c.seq > bindparam("after"),
        vectors.c.model == bindparam("model"),
    )
    .order_by(entries.c.seq)
    .limit(bindparam("most"))
    .offset(literal_column("0"))  # SQLAlchemy would make a parameter of it
)


async def keep(tx: Connection, model: str, found: Sequence[tuple[Entry, VectorRow]]) -> list[VectorRow]:
    """Store vectors, and give those that were: none of entries that were changed or deleted meanwhile."""
    kept = []
    for entry, row in found:
        values = {
            "model": model,
            "scale": row.scale,
            "int8": row.int8,
            "of_id": entry.id,
            "of_text": entry.text,
        }
        if (await tx.repeat(_KEEP, values)).rowcount == 1:
            kept.append(row)
    return kept


async def of_scene(
    connection: Connection, scene_id: int, model: str, *, after: int, most: int
) -> list[VectorRow]:
    """Give up to `most` vectors of a scene's entries behind that `seq`, in their order."""
    values = {"scene": scene_id, "after": after, "model": model, "most": most}
    rows = (await connection.repeat(_OF_SCENE, values)).rows
    first = scene_id << ROW_BITS
    return [VectorRow(entry_id, first | seq, scale, int8) for seq, entry_id, scale, int8 in rows]


async def lacking(connection: Connection, model: str, *, after: int, most: int) -> list[Entry]:
    """Give up to `most` entries with an id above `after` that have no vector of that model, by id."""
    has = exists().where(vectors.c.entry_id == entries.c.id, vectors.c.model == model)
    rows = await connection.execute(
        select(entries)
        .where(entries.c.id > after, entries.c.kind.in_(TOLD), ~has)
        .order_by(entries.c.id)
        .limit(most)
    )
    return [entry_of(row) for row in rows]


async def models(connection: Connection) -> dict[str, int]:
    """Count the vectors of each model."""
    rows = await connection.execute(
        select(vectors.c.model, func.count().label("total")).group_by(vectors.c.model)
    )
    return {row.model: row.total for row in rows}


async def count_told(connection: Connection) -> int:
    """Count the entries that can have a vector."""
    rows = await connection.execute(select(func.count()).where(entries.c.kind.in_(TOLD)))
    return int(rows.scalar_one())


async def forget(tx: Connection, entry_ids: Sequence[int]) -> None:
    """Forget what entries mean, to every model."""
    await tx.execute(delete(vectors).where(vectors.c.entry_id.in_(entry_ids)))


async def forget_others(tx: Connection, model: str, *, most: int) -> int:
    """Forget the vectors of other models, of up to `most` entries, and give how many vectors those were."""
    some = select(vectors.c.entry_id).where(vectors.c.model != model).limit(most)
    done = await tx.execute(delete(vectors).where(vectors.c.model != model, vectors.c.entry_id.in_(some)))
    return int(done.rowcount)
