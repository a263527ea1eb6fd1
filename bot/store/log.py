"""The log: claims of events, entries in their order, and the messages that show them."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, delete, exists, func, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from bot.store.knowledge import BEGIN_SESSION
from bot.store.records import Entry, EntryKind, Shown
from bot.store.tables import answers, claims, entries, heads, messages, scenes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Row

    from bot.store.connection import Connection

ENTRY = tuple(entries.c[each.name] for each in fields(Entry))
"""The columns of an entry, in the record's order; see `entry_with`."""

# What every message runs, for `Connection.repeat`.
_CLAIM = upsert(claims).on_conflict_do_nothing()
_APPEND = insert(entries).returning(entries.c.id)
_APPENDED = tuple(each.name for each in fields(Entry) if each.name != "id")
_SHOW = insert(messages)
_OF_SESSION = ("scene_id", "seq", "created_at")
_SET_TOKENS = (
    update(entries)
    .where(entries.c.id == bindparam("of_id"), entries.c.text == bindparam("of_text"))
    .values(tokens=bindparam("tokens"), fingerprint=bindparam("fingerprint"))
)


async def claim(tx: Connection, event_id: int, at: float) -> bool:
    """Claim an event. False if somebody has claimed it before: then it is dealt with already."""
    done = await tx.repeat(_CLAIM, {"event_id": event_id, "at": at})
    return done.rowcount == 1


async def unclaimed(connection: Connection, event_ids: Sequence[int]) -> set[int]:
    """Give those of the events that nobody has claimed."""
    rows = await connection.execute(select(claims.c.event_id).where(claims.c.event_id.in_(event_ids)))
    return {*event_ids} - {*rows.scalars()}


async def append(tx: Connection, entry: Entry, message_ids: Iterable[int] = ()) -> Entry:
    """Store a new entry with the messages that show it, and give it back with its id."""
    values = {name: getattr(entry, name) for name in _APPENDED}
    ((entry_id,),) = (await tx.repeat(_APPEND, values)).rows
    for one in message_ids:
        await tx.repeat(_SHOW, {"message_id": one, "scene_id": entry.scene_id, "entry_id": entry_id})
    await tx.repeat(BEGIN_SESSION, {name: values[name] for name in _OF_SESSION})
    return replace(entry, id=entry_id)


async def set_text(tx: Connection, entry_id: int, text: str, edited_at: float) -> None:
    """Replace an entry's text; its count goes with it."""
    await tx.execute(
        update(entries)
        .where(entries.c.id == entry_id)
        .values(text=text, edited_at=edited_at, tokens=None, fingerprint=None)
    )


async def set_tokens(tx: Connection, counted: Sequence[Entry]) -> None:
    """Keep the entries' token counts."""
    for one in counted:
        values = {"of_id": one.id, "of_text": one.text, "tokens": one.tokens, "fingerprint": one.fingerprint}
        await tx.repeat(_SET_TOKENS, values)


async def remove(tx: Connection, entry_id: int) -> None:
    """Delete an entry. Its messages are forgotten with it; their events stay claimed.

    What its answer was made of goes too, with the head if no other answer had the same.
    """
    asked = await tx.execute(select(answers.c.head_sha256).where(answers.c.entry_id == entry_id))
    head_sha256 = asked.scalar()
    await tx.execute(delete(entries).where(entries.c.id == entry_id))
    if head_sha256:
        used = exists().where(answers.c.head_sha256 == head_sha256)
        await tx.execute(delete(heads).where(heads.c.sha256 == head_sha256, ~used))


async def shown_by(connection: Connection, message_id: int) -> Entry | None:
    """Give the entry that a message of Discord shows."""
    rows = await connection.execute(
        select(entries)
        .join(messages, messages.c.entry_id == entries.c.id)
        .where(messages.c.message_id == message_id)
    )
    row = rows.first()
    return entry_of(row) if row else None


async def forget_message(tx: Connection, message_id: int, entry_id: int) -> bool:
    """Forget one of the messages that show an entry. True if it was the last of them."""
    await tx.execute(delete(messages).where(messages.c.message_id == message_id))
    return not await messages_of(tx, entry_id)


async def messages_of(connection: Connection, entry_id: int) -> list[int]:
    """Give the messages that show an entry, in their order."""
    rows = await connection.execute(
        select(messages.c.message_id).where(messages.c.entry_id == entry_id).order_by(messages.c.message_id)
    )
    return list(rows.scalars())


async def ends_of_messages(connection: Connection, scene_id: int) -> tuple[int, int] | None:
    """Give the first and the latest message that show entries of a scene, None if there are none."""
    shown = select(messages.c.message_id).where(
        messages.c.scene_id == scene_id, messages.c.entry_id.is_not(None)
    )
    first = shown.order_by(messages.c.message_id).limit(1).scalar_subquery()
    last = shown.order_by(messages.c.message_id.desc()).limit(1).scalar_subquery()
    row = (await connection.execute(select(first.label("begin"), last.label("end")))).one()
    return None if row.begin is None else (row.begin, row.end)


async def shown_between(connection: Connection, scene_id: int, first: int, last: int) -> list[Shown]:
    """Give what a scene's messages show, from one to another, both included, in their order.

    What shows an answer that is still being given is left out.
    """
    rows = await connection.execute(
        select(messages.c.message_id, entries.c.text, entries.c.edited_at)
        .join(entries, messages.c.entry_id == entries.c.id)
        .where(messages.c.scene_id == scene_id, messages.c.message_id.between(first, last))
        .order_by(messages.c.message_id)
    )
    return [Shown(**row._asdict()) for row in rows]


async def since(connection: Connection, scene_id: int, seq: int) -> list[Entry]:
    """Give a scene's entries from a place on, in order."""
    rows = await connection.execute(
        select(entries).where(entries.c.scene_id == scene_id, entries.c.seq >= seq).order_by(entries.c.seq)
    )
    return [entry_of(row) for row in rows]


async def between(connection: Connection, scene_id: int, first: int, last: int) -> list[Entry]:
    """Give a scene's entries from a place to another one, both included, in order."""
    found = await connection.repeat(_BETWEEN, {"scene": scene_id, "first": first, "last": last})
    return [entry_with(row) for row in found.rows]


_BETWEEN = (
    select(*ENTRY)
    .where(
        entries.c.scene_id == bindparam("scene"),
        entries.c.seq.between(bindparam("first"), bindparam("last")),
    )
    .order_by(entries.c.seq)
)


async def by_id(connection: Connection, scene_id: int, entry_id: int) -> Entry | None:
    """Give an entry of a scene by its id."""
    rows = await connection.execute(
        select(entries).where(entries.c.scene_id == scene_id, entries.c.id == entry_id)
    )
    row = rows.first()
    return entry_of(row) if row else None


async def saying(connection: Connection, scene_id: int, words: Iterable[str], limit: int) -> list[Entry]:
    """Give a scene's latest entries that have all these words in text or speaker's name, newest first.

    Case is ignored for ASCII. What only the model was told is left out.
    """
    said = entries.c.speaker + " " + entries.c.text
    rows = await connection.execute(
        select(entries)
        .where(
            entries.c.scene_id == scene_id,
            entries.c.kind.not_in((EntryKind.LORE, EntryKind.MEMORY)),
            *(said.icontains(word, autoescape=True) for word in words),
        )
        .order_by(entries.c.seq.desc())
        .limit(limit)
    )
    return [entry_of(row) for row in rows]


async def last_answer(connection: Connection, channel_id: int) -> Entry | None:
    """Give the latest answer in a channel, in whichever of its scenes, but for whispers; None before any."""
    played = select(scenes.c.id).where(scenes.c.channel_id == channel_id)
    rows = await connection.execute(
        select(entries)
        .where(
            entries.c.scene_id.in_(played),
            entries.c.kind == EntryKind.ANSWER,
            entries.c.audience.is_(None),
        )
        .order_by(entries.c.id.desc())
        .limit(1)
    )
    row = rows.first()
    return entry_of(row) if row else None


async def last(connection: Connection, scene_id: int, limit: int) -> list[Entry]:
    """Give a scene's latest entries, in order."""
    rows = await connection.execute(
        select(entries).where(entries.c.scene_id == scene_id).order_by(entries.c.seq.desc()).limit(limit)
    )
    return [entry_of(row) for row in reversed(rows.all())]


async def last_seq(connection: Connection, scene_id: int) -> int:
    """Give the latest place in a scene's log, 0 for an empty one."""
    rows = await connection.execute(select(func.max(entries.c.seq)).where(entries.c.scene_id == scene_id))
    return rows.scalar() or 0


async def last_message(connection: Connection, scene_id: int) -> int:
    """Give the latest message of Discord that shows an entry or answer of a scene, 0 if there is none."""
    rows = await connection.execute(
        select(func.max(messages.c.message_id)).where(messages.c.scene_id == scene_id)
    )
    return rows.scalar() or 0


async def first_message_of_turn(connection: Connection, turn_id: int) -> int | None:
    """Give the first message of Discord that a turn answers; None if nobody asked for it by writing."""
    rows = await connection.execute(
        select(func.min(messages.c.message_id))
        .join(entries, messages.c.entry_id == entries.c.id)
        .where(entries.c.turn_id == turn_id, entries.c.kind == EntryKind.PLAYER)
    )
    first: int | None = rows.scalar()
    return first


async def unknown_messages(connection: Connection, message_ids: Sequence[int]) -> list[int]:
    """Give those of the messages that show no entry or answer that is known."""
    rows = await connection.execute(
        select(messages.c.message_id).where(messages.c.message_id.in_(message_ids))
    )
    known = set(rows.scalars())
    return [one for one in message_ids if one not in known]


async def count(connection: Connection, scene_id: int) -> int:
    """Count a scene's entries."""
    rows = await connection.execute(select(func.count()).where(entries.c.scene_id == scene_id))
    return int(rows.scalar_one())


def entry_with(values: Sequence[Any]) -> Entry:
    """Make a record of the values of `ENTRY`."""
    entry_id, scene_id, kind, *others = values
    return Entry(entry_id, scene_id, EntryKind(kind), *others)


def entry_of(row: Row[Any]) -> Entry:
    """Make a record of a row that has all columns of an entry and no other."""
    values = row._asdict()
    del values["edited_at"]
    return Entry(**{**values, "kind": EntryKind(values["kind"])})
