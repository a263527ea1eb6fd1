"""Recall: which memories stand in the log, and of which entries they speak."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, select

from bot.store.memory_tables import recalled, vectors

if TYPE_CHECKING:
    from bot.store.connection import Connection


async def memories_of(connection: Connection, source_id: int) -> list[int]:
    """Give the ids of the entries that recall an entry, in whichever scenes."""
    rows = await connection.execute(
        select(recalled.c.entry_id).where(recalled.c.source_id == source_id).order_by(recalled.c.entry_id)
    )
    return list(rows.scalars())


async def forget_vectors(tx: Connection, entry_id: int) -> None:
    """Forget what an entry meant: its text is another one now."""
    await tx.execute(delete(vectors).where(vectors.c.entry_id == entry_id))
