"""Summaries: what a stretch of a scene's log came to, for whom, and which of them are void."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, delete, func, insert, select, text, update

from bot.store.log import ENTRY, entry_with
from bot.store.memory_tables import summaries
from bot.store.tables import answers, entries, heads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bot.store.connection import Connection
    from bot.store.records import Entry

_COLUMNS = [column for column in summaries.c if column.name != "text"]


@dataclass(frozen=True, slots=True)
class Summary:
    """A summary without its text.

    It sums up the entries from `first_seq` to `last_seq`, both included: at `level` 0 from the log, above it
    from summaries of the level below. `persona` is the slug of one that knows less than was public in that
    range or more, or empty. `stale` ones have lost their text and wait to be made again. `made_at` is in Unix
    seconds.
    """

    id: int
    scene_id: int
    persona: str
    level: int
    first_seq: int
    last_seq: int
    stale: bool
    made_at: float


async def of_scene(connection: Connection, scene_id: int) -> list[Summary]:
    """Give all of a scene's summaries, oldest range first."""
    rows = await connection.execute(
        select(*_COLUMNS).where(summaries.c.scene_id == scene_id).order_by(summaries.c.first_seq)
    )
    return [Summary(**row._asdict()) for row in rows]


async def texts(connection: Connection, ids: Sequence[int]) -> dict[int, str]:
    """Give the texts of summaries by their ids."""
    return dict((await connection.repeat(_TEXTS, {"ids": json.dumps(ids)})).rows)


_TEXTS = text(
    "SELECT summaries.id, summaries.text FROM json_each(:ids) AS wanted"
    " CROSS JOIN summaries ON summaries.id = wanted.value"
)


async def keep(tx: Connection, summary: Summary, told: str) -> Summary:
    """Store a summary, in place of a stale one of the same range, and give it back with its id."""
    values = asdict(summary)
    del values["id"]
    await tx.repeat(_REPLACE, {f"of_{name}": values[name] for name in _SAME})
    ((summary_id,),) = (await tx.repeat(_KEEP, {**values, "text": told})).rows
    return replace(summary, id=summary_id)


_SAME = ("scene_id", "persona", "level", "first_seq")
_REPLACE = delete(summaries).where(*(summaries.c[name] == bindparam(f"of_{name}") for name in _SAME))
_KEEP = insert(summaries).returning(summaries.c.id)


async def stale(tx: Connection, scene_id: int, seq: int, *, told_after: str) -> None:
    """Void what sums up an entry: the entry is changed, and what it said must be nowhere.

    Summaries of the log lose their text until they are made again. Those above them go: they are folded anew
    when there is need. What prompts of the scene had from `told_after` on, the line that stood in front of
    their summary, is struck from their records.
    """
    covering = (
        summaries.c.scene_id == scene_id,
        summaries.c.first_seq <= seq,
        summaries.c.last_seq >= seq,
    )
    made = await tx.execute(select(func.min(summaries.c.made_at)).where(*covering, summaries.c.text != ""))
    since = made.scalar()
    await tx.execute(delete(summaries).where(*covering, summaries.c.level > 0))
    await tx.execute(update(summaries).where(*covering).values(stale=True, text=""))
    if since is not None:
        await strike(tx, scene_id, told_after)


async def restricted(connection: Connection, scene_id: int, before: int) -> list[Entry]:
    """Give the entries before a place in the log of which not everybody who was there knows."""
    found = await connection.repeat(_RESTRICTED, {"scene": scene_id, "before": before})
    return [entry_with(row) for row in found.rows]


_RESTRICTED = (
    select(*ENTRY)
    .where(
        entries.c.scene_id == bindparam("scene"),
        entries.c.seq < bindparam("before"),
        entries.c.audience.is_not(None),
    )
    .order_by(entries.c.seq)
)


async def strike(tx: Connection, scene_id: int, told_after: str) -> None:
    """Leave only the beginning, `told_after` included, of the heads of a scene's prompts."""
    used = (
        select(answers.c.head_sha256)
        .join(entries, entries.c.id == answers.c.entry_id)
        .where(entries.c.scene_id == scene_id)
    )
    place = func.instr(heads.c.text, told_after)
    await tx.execute(
        update(heads)
        .where(heads.c.sha256.in_(used), place > 0)
        .values(text=func.substr(heads.c.text, 1, place + len(told_after) - 1))
    )
