"""Scenes, their casts, and what a server prefers."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, delete, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.exc import IntegrityError

from bot.errors import TableError
from bot.store.records import Mode, Preferences, SceneRecord, SceneState
from bot.store.tables import cast, facts, preferences, scenes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Row

    from bot.store.connection import Connection


async def create(tx: Connection, record: SceneRecord) -> int:
    """Store a new scene and give its id; the record's own id is ignored.

    Raises TableError if the channel has one that has not ended.
    """
    values = asdict(record)
    del values["id"]
    try:
        new = await tx.execute(insert(scenes).values(values).returning(scenes.c.id))
    except IntegrityError as error:
        if "scenes.channel_id" in str(error.orig):
            raise TableError("A scene has just been started here.") from None
        raise
    return int(new.scalar_one())


async def change(tx: Connection, scene_id: int, **values: Any) -> None:
    """Set columns of a scene."""
    await tx.execute(update(scenes).where(scenes.c.id == scene_id).values(values))


async def cut(tx: Connection, scene_id: int, window_start: int) -> None:
    """Set where a scene's window begins."""
    await tx.repeat(_CUT, {"of_id": scene_id, "window_start": window_start})


_CUT = update(scenes).where(scenes.c.id == bindparam("of_id")).values(window_start=bindparam("window_start"))


async def unended(connection: Connection) -> list[SceneRecord]:
    """Give every scene that is played or paused."""
    rows = await connection.execute(
        select(scenes).where(scenes.c.state != SceneState.ENDED).order_by(scenes.c.id)
    )
    return [_record(row) for row in rows]


async def last_ended(connection: Connection, channel_id: int) -> SceneRecord | None:
    """Give the scene that ended last in a channel."""
    rows = await connection.execute(
        select(scenes)
        .where(scenes.c.channel_id == channel_id, scenes.c.state == SceneState.ENDED)
        .order_by(scenes.c.ended_at.desc())
        .limit(1)
    )
    row = rows.first()
    return _record(row) if row else None


async def others(connection: Connection, guild_id: int, scene_id: int, limit: int) -> list[SceneRecord]:
    """Give the latest scenes of a server but for one, the latest first, ended ones included."""
    rows = await connection.execute(
        select(scenes)
        .where(scenes.c.guild_id == guild_id, scenes.c.id != scene_id)
        .order_by(scenes.c.id.desc())
        .limit(limit)
    )
    return [_record(row) for row in rows]


async def cast_of(connection: Connection, scene_id: int) -> list[str]:
    """Give the slugs of a scene's personas in their order."""
    rows = await connection.execute(
        select(cast.c.persona).where(cast.c.scene_id == scene_id).order_by(cast.c.position)
    )
    return list(rows.scalars())


async def set_cast(tx: Connection, scene_id: int, personas: Iterable[str]) -> None:
    """Replace a scene's cast."""
    await tx.execute(delete(cast).where(cast.c.scene_id == scene_id))
    rows = [{"scene_id": scene_id, "persona": slug, "position": place} for place, slug in enumerate(personas)]
    if rows:
        await tx.execute(insert(cast), rows)


async def preferences_of(connection: Connection, guild_id: int) -> Preferences:
    """Give what a server prefers; nothing, if it never said."""
    rows = await connection.execute(
        select(preferences.c.persona, preferences.c.model).where(preferences.c.guild_id == guild_id)
    )
    row = rows.first()
    return Preferences(row.persona, row.model) if row else Preferences()


async def prefer(tx: Connection, guild_id: int, **values: str | None) -> None:
    """Remember what a server prefers: `persona`, `model`."""
    statement = upsert(preferences).values(guild_id=guild_id, **values)
    await tx.execute(statement.on_conflict_do_update(index_elements=["guild_id"], set_=values))


async def fact(connection: Connection, name: str) -> str | None:
    """Give a fact about this installation."""
    rows = await connection.execute(select(facts.c.value).where(facts.c.name == name))
    return rows.scalar()


async def set_fact(tx: Connection, name: str, value: str) -> None:
    """Remember a fact about this installation."""
    statement = upsert(facts).values(name=name, value=value)
    await tx.execute(statement.on_conflict_do_update(index_elements=["name"], set_={"value": value}))


def _record(row: Row[Any]) -> SceneRecord:
    values = row._asdict()
    return SceneRecord(**{**values, "mode": Mode(values["mode"]), "state": SceneState(values["state"])})
