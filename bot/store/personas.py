"""The characters that a server's members brought or made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, insert, select, update

from bot.store.records import PersonaRecord
from bot.store.tables import personas

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bot.store.connection import Connection

_RECORD = (personas.c.id, personas.c.guild_id, personas.c.stem, personas.c.face)


async def every(connection: Connection) -> AsyncIterator[tuple[PersonaRecord, str]]:
    """Give them all with their cards, one by one: the cards together may be large."""
    records = await connection.execute(select(*_RECORD).order_by(personas.c.id))
    for record in records.all():
        card = await connection.execute(select(personas.c.card).where(personas.c.id == record.id))
        yield PersonaRecord(**record._asdict()), card.scalar_one()


async def card_and_file(connection: Connection, persona_id: int) -> tuple[str, bytes | None]:
    """Give a card as JSON, and the PNG or CHARX that it came in."""
    columns = select(personas.c.card, personas.c.file).where(personas.c.id == persona_id)
    found = (await connection.execute(columns)).one()
    return found.card, found.file


async def add(tx: Connection, **values: Any) -> int:
    """Store a new one and give its id, which no other will ever have."""
    new = await tx.execute(insert(personas).values(values).returning(personas.c.id))
    return int(new.scalar_one())


async def change(tx: Connection, persona_id: int, **values: Any) -> None:
    """Set columns of one."""
    await tx.execute(update(personas).where(personas.c.id == persona_id).values(values))


async def remove(tx: Connection, persona_id: int) -> None:
    """Forget one."""
    await tx.execute(delete(personas).where(personas.c.id == persona_id))
