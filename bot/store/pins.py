"""Pins: facts that players want remembered word for word, in their own words or as they were said."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import bindparam, delete, insert, select

from bot.store.log import ENTRY, entry_with
from bot.store.memory_tables import pins
from bot.store.records import Pin
from bot.store.tables import entries

if TYPE_CHECKING:
    from bot.store.connection import Connection


async def of_scene(connection: Connection, scene_id: int) -> list[Pin]:
    """Give what is pinned in a scene, oldest first; of what was said, the words as they are now."""
    rows = (await connection.repeat(_PINS, {"scene": scene_id})).rows
    said = {}
    if any(entry_id is not None for *_, entry_id in rows):
        pinned = map(entry_with, (await connection.repeat(_PINNED, {"scene": scene_id})).rows)
        said = {entry.id: entry for entry in pinned}
    return [Pin(pin_id, fact, by, at, said.get(entry_id)) for pin_id, fact, by, at, entry_id in rows]


_PINS = (
    select(pins.c.id, pins.c.text, pins.c.pinned_by, pins.c.created_at, pins.c.entry_id)
    .where(pins.c.scene_id == bindparam("scene"))
    .order_by(pins.c.id)
)
_PINNED = (
    select(*ENTRY)
    .join(pins, pins.c.entry_id == entries.c.id)
    .where(pins.c.scene_id == bindparam("scene"))
    .distinct()
)


async def keep(
    tx: Connection, scene_id: int, fact: str, by: int, at: float, *, entry_id: int | None = None
) -> int:
    """Pin a fact, or an entry (then no second copy of its text is kept), and give the pin's id."""
    values = {"scene_id": scene_id, "entry_id": entry_id, "pinned_by": by, "created_at": at}
    done = await tx.execute(
        insert(pins).values(text=fact if entry_id is None else "", **values).returning(pins.c.id)
    )
    return int(done.scalar_one())


async def has(connection: Connection, entry_id: int) -> bool:
    """Tell whether an entry is pinned."""
    rows = await connection.execute(select(pins.c.id).where(pins.c.entry_id == entry_id).limit(1))
    return rows.first() is not None


async def remove(tx: Connection, pin_id: int) -> None:
    """Take a pin out."""
    await tx.execute(delete(pins).where(pins.c.id == pin_id))
