"""Who was there and when, what was whispered or is kept secret."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, delete, insert, select, text, update

from bot.store.memory_tables import presence, secrets, sessions, whispers
from bot.store.records import Secret, Session, Stay, Whisper
from bot.store.tables import entries, turns

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bot.store.connection import Connection

SILENCE = 4 * 3600.0
"""Seconds without an entry after which the next one begins a new session."""

BEGIN_SESSION = text(
    f"""
    INSERT INTO sessions (scene_id, number, first_seq, started_at)
    SELECT :scene_id, coalesce((SELECT max(number) FROM sessions WHERE scene_id = :scene_id), 0) + 1,
           :seq, :created_at
    WHERE coalesce(
        :created_at - (SELECT created_at FROM entries WHERE scene_id = :scene_id AND seq < :seq
                       ORDER BY seq DESC LIMIT 1),
        {SILENCE}
    ) >= {SILENCE}
    """  # noqa: S608  # the only thing put in is a number of ours
)
"""Begins a session with an entry that is stored, where it is the first one after a long silence.

Every entry runs it: for `Connection.repeat`, with `scene_id`, `seq`, `created_at`.
"""


# -- who was there ----------------------------------------------------------------------------------------


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
    return [Stay(*row) for row in (await connection.repeat(_STAYS, {"scene": scene_id})).rows]


_STAYS = (
    select(presence.c.persona, presence.c.first_seq, presence.c.last_seq)
    .where(presence.c.scene_id == bindparam("scene"))
    .order_by(presence.c.id)
)


async def sessions_of(connection: Connection, scene_id: int) -> list[Session]:
    """Give a scene's sessions in order."""
    rows = await connection.execute(
        select(sessions.c.number, sessions.c.first_seq, sessions.c.started_at)
        .where(sessions.c.scene_id == scene_id)
        .order_by(sessions.c.number)
    )
    return [Session(row.number, row.first_seq, row.started_at) for row in rows]


async def spoke_in(connection: Connection, scene_id: int, member_id: int) -> set[int]:
    """Give the numbers of those sessions of a scene in which a member said something."""
    there = await sessions_of(connection, scene_id)
    numbers = set()
    for one, following in zip_longest(there, there[1:]):
        said = select(entries.c.id).where(
            entries.c.scene_id == scene_id, entries.c.seq >= one.first_seq, entries.c.author_id == member_id
        )
        rows = await connection.execute(
            (said.where(entries.c.seq < following.first_seq) if following else said).limit(1)
        )
        if rows.first():
            numbers.add(one.number)
    return numbers


# -- secrets ----------------------------------------------------------------------------------------------


async def secrets_of(connection: Connection, scene_id: int) -> list[Secret]:
    """Give a scene's secrets, oldest first."""
    return [Secret(*row) for row in (await connection.repeat(_SECRETS, {"scene": scene_id})).rows]


_SECRETS = (
    select(secrets.c.id, secrets.c.text, secrets.c.created_by, secrets.c.created_at)
    .where(secrets.c.scene_id == bindparam("scene"))
    .order_by(secrets.c.id)
)


async def add_secret(tx: Connection, scene_id: int, secret: str, by: int, at: float) -> int:
    """Keep a secret and give its id."""
    values = {"scene_id": scene_id, "text": secret, "created_by": by, "created_at": at}
    done = await tx.execute(insert(secrets).values(values).returning(secrets.c.id))
    return int(done.scalar_one())


async def remove_secret(tx: Connection, secret_id: int) -> None:
    """Forget a secret."""
    await tx.execute(delete(secrets).where(secrets.c.id == secret_id))


# -- whispers ---------------------------------------------------------------------------------------------


async def whispered(tx: Connection, turn_id: int, whisper: Whisper) -> None:
    """Note that a turn answers a whisper."""
    values = {"audience": whisper.audience, "token": whisper.token, "asked_at": whisper.asked_at}
    await tx.execute(insert(whispers).values(turn_id=turn_id, **values))


async def whispers_of(connection: Connection, scene_id: int) -> dict[int, Whisper]:
    """Give the whispers of a scene that are not answered yet, by their turn."""
    rows = await connection.execute(
        select(whispers).join(turns, turns.c.id == whispers.c.turn_id).where(turns.c.scene_id == scene_id)
    )
    return {row.turn_id: Whisper(row.audience, row.token, row.asked_at) for row in rows}


async def end_whisper(tx: Connection, turn_id: int) -> None:
    """Forget how a whisper was to be answered: it was, or never will be."""
    await tx.repeat(_END_WHISPER, {"turn": turn_id})


_END_WHISPER = delete(whispers).where(whispers.c.turn_id == bindparam("turn"))
