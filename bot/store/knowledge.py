"""Who was there and when, and what was pinned or is kept secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import insert, select, update

from bot.store.memory_tables import presence
from bot.store.records import Stay

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bot.store.connection import Connection


async def arrive(tx: Connection, scene_id: int, personas: Iterable[str], first_seq: int) -> None:
    """Note that personas came into a scene at a place of its log."""
    rows = [{"scene_id": scene_id, "persona": slug, "first_seq": first_seq} for slug in personas]
    if rows:
        await tx.execute(insert(presence), rows)


async def leave(tx: Connection, scene_id: int, personas: Iterable[str], last_seq: int) -> None:
    """Note that personas left a scene after a place of its log."""
    await tx.execute(
        update(presence)
        .where(
            presence.c.scene_id == scene_id,
            presence.c.persona.in_(list(personas)),
            presence.c.last_seq.is_(None),
        )
        .values(last_seq=last_seq)
    )


async def stays_of(connection: Connection, scene_id: int) -> list[Stay]:
    """Give when each persona was in a scene, oldest first."""
    rows = await connection.execute(
        select(presence.c.persona, presence.c.first_seq, presence.c.last_seq)
        .where(presence.c.scene_id == scene_id)
        .order_by(presence.c.id)
    )
    return [Stay(row.persona, row.first_seq, row.last_seq) for row in rows]
