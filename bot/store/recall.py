"""Recall: which memories stand in the log, and of which entries they speak."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from bot.store.memory_tables import recalled

if TYPE_CHECKING:
    from bot.store.connection import Connection


async def memories_of(connection: Connection, source_id: int) -> list[int]:
    """Give the ids of the entries that recall an entry, in whichever scenes."""
    rows = await connection.execute(
        select(recalled.c.entry_id).where(recalled.c.source_id == source_id).order_by(recalled.c.entry_id)
    )
    return list(rows.scalars())
