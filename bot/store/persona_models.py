"""Models and adapters that a server chose for its personas."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from sqlalchemy import delete, select
from sqlalchemy.dialects.sqlite import insert as upsert

from bot.store.records import PersonaModel
from bot.store.tables import persona_models

if TYPE_CHECKING:
    from bot.store.connection import Connection


async def every(connection: Connection) -> dict[tuple[int, str], PersonaModel]:
    """Give what all servers chose, by the server's id and the persona's slug."""
    rows = await connection.execute(select(persona_models))
    return {(row.guild_id, row.persona): PersonaModel(row.model, row.lora, row.lora_scale) for row in rows}


async def keep(tx: Connection, guild_id: int, persona: str, chosen: PersonaModel) -> None:
    """Remember what a server chose for a persona, in the place of what it chose before."""
    values = asdict(chosen)
    statement = upsert(persona_models).values(guild_id=guild_id, persona=persona, **values)
    await tx.execute(statement.on_conflict_do_update(index_elements=["guild_id", "persona"], set_=values))


async def forget(tx: Connection, guild_id: int, persona: str) -> None:
    """Forget it, so that the persona's file counts again."""
    await tx.execute(
        delete(persona_models).where(
            persona_models.c.guild_id == guild_id, persona_models.c.persona == persona
        )
    )
