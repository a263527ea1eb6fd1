"""Turns and the answers that they have promised."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import bindparam, func, insert, select, update

from bot.store.records import Reply, ReplyState
from bot.store.tables import messages, replies, turns

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bot.store.connection import Connection

OPEN = "open"
CLOSED = "closed"

# What every turn runs, for `Connection.repeat`.
_BEGIN = insert(turns).returning(turns.c.id)
_PROMISE = insert(replies).returning(replies.c.id)
_SET_REPLY = (
    update(replies)
    .where(replies.c.id == bindparam("of_id"))
    .values(state=bindparam("state"), entry_id=bindparam("entry_id"))
)
_POSTED = insert(messages)
_SHOW = (
    update(messages)
    .where(messages.c.reply_id == bindparam("of_reply"))
    .values(entry_id=bindparam("entry_id"))
)
_CLOSE = (
    update(turns)
    .where(turns.c.id == bindparam("of_id"))
    .values(state=bindparam("state"), ended_at=bindparam("at"))
)


async def begin(tx: Connection, scene_id: int, at: float) -> int:
    """Open a turn and give its id."""
    done = await tx.repeat(_BEGIN, {"scene_id": scene_id, "state": OPEN, "created_at": at})
    ((turn_id,),) = done.rows
    return int(turn_id)


async def promise(tx: Connection, turn_id: int, personas: Iterable[str], *, first: int) -> list[Reply]:
    """Promise an answer of each persona, in that order, from position `first` on."""
    made = []
    for position, persona in enumerate(personas, first):
        state = ReplyState.PROMISED
        values = {"turn_id": turn_id, "position": position, "persona": persona, "state": state}
        ((reply_id,),) = (await tx.repeat(_PROMISE, values)).rows
        made.append(Reply(reply_id, turn_id, position, persona, state, entry_id=None))
    return made


async def set_reply(tx: Connection, reply_id: int, state: ReplyState, entry_id: int | None = None) -> None:
    """Say how far an answer has come, and which entry holds it."""
    await tx.repeat(_SET_REPLY, {"of_id": reply_id, "state": state, "entry_id": entry_id})


async def posted(tx: Connection, scene_id: int, reply_id: int, message_id: int) -> None:
    """Remember that a message shows (a part of) a promised answer."""
    await tx.repeat(_POSTED, {"message_id": message_id, "scene_id": scene_id, "reply_id": reply_id})


async def show(tx: Connection, reply_id: int, entry_id: int) -> None:
    """Tie the messages that were posted for an answer to the entry that it became."""
    await tx.repeat(_SHOW, {"of_reply": reply_id, "entry_id": entry_id})


async def close(tx: Connection, turn_id: int, at: float) -> None:
    """Close a turn: nothing more is promised."""
    await tx.repeat(_CLOSE, {"of_id": turn_id, "state": CLOSED, "at": at})


async def take_up(tx: Connection, turn_id: int) -> list[Reply]:
    """Give what an open turn has promised, and how far that has come, in a transaction that can write."""
    await tx.execute(update(turns).where(turns.c.id == turn_id).values(state=OPEN))
    return await _promised(tx, turn_id)


async def unfinished(connection: Connection, scene_id: int) -> list[tuple[int, list[Reply]]]:
    """Give the scene's open turns, oldest first, with every answer that they promised and what shows it."""
    open_turns = await connection.execute(
        select(turns.c.id).where(turns.c.scene_id == scene_id, turns.c.state == OPEN).order_by(turns.c.id)
    )
    return [(turn_id, await _promised(connection, turn_id)) for turn_id in open_turns.scalars().all()]


async def _promised(connection: Connection, turn_id: int) -> list[Reply]:
    rows = await connection.execute(
        select(replies).where(replies.c.turn_id == turn_id).order_by(replies.c.position)
    )
    promised = []
    for row in rows.all():
        parts = await connection.execute(
            select(messages.c.message_id).where(messages.c.reply_id == row.id).order_by(messages.c.message_id)
        )
        values = {**row._asdict(), "state": ReplyState(row.state), "posted": tuple(parts.scalars())}
        promised.append(Reply(**values))
    return promised


async def count(connection: Connection, scene_id: int) -> int:
    """Count a scene's turns."""
    rows = await connection.execute(select(func.count()).where(turns.c.scene_id == scene_id))
    return int(rows.scalar_one())
