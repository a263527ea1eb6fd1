"""What answers were made of: enough to rebuild each prompt byte for byte, and what it cost."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, insert, select
from sqlalchemy.dialects.sqlite import insert as upsert

from bot.chat import Sampling
from bot.store.tables import answers, entries, heads, messages, scenes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bot.store.connection import Connection


@dataclass(frozen=True, slots=True)
class AnswerRecord:
    """What one answer was made of.

    `model` is the server's name for it, None where it lists none. `sampling` is what was sent, seed included.
    `prompt_sha256` is that of the messages as they were sent (`bot.prompt.replay.prompt_sha256`), `head` is
    the text in front of the log, with what was told behind it (`bot.prompt.replay.kept_head`). `window` are
    the entries that stood in the prompt, by their `seq`; `shortened` tells of those that may have stood there
    without their middle how many characters they had.
    Sizes are in tokens, None where the server did not say; `prompt_tokens` is `exact` if a tokenizer counted
    it. `asked_at` is when the prompt was made, in Unix seconds; `first_token_s` and `seconds` count from when
    the server had a place for it.
    """

    backend: str
    model: str | None
    fingerprint: str
    sampling: Sampling
    stop: tuple[str, ...]
    max_tokens: int
    prompt_sha256: str
    head: str
    window: tuple[int, ...]
    asked_at: float
    context_length: int
    prompt_tokens: int
    exact: bool
    seconds: float
    evaluated_tokens: int | None = None
    completion_tokens: int | None = None
    first_token_s: float | None = None
    shortened: Mapping[int, int] = field(default_factory=dict)


# What every answer runs, for `Connection.repeat`.
_KEEP_HEAD = upsert(heads).on_conflict_do_nothing()
_KEEP = insert(answers)
_RECORDS = select(answers, heads.c.text.label("head")).join(heads, heads.c.sha256 == answers.c.head_sha256)


async def keep(tx: Connection, entry_id: int, record: AnswerRecord) -> None:
    """Store what the answer of an entry was made of."""
    head_sha256 = hashlib.sha256(record.head.encode()).hexdigest()
    await tx.repeat(_KEEP_HEAD, {"sha256": head_sha256, "text": record.head})
    values = asdict(record)
    del values["head"]
    sampling = {name: value for name, value in values.pop("sampling").items() if value is not None}
    row = {
        **values,
        "entry_id": entry_id,
        "seed": sampling.pop("seed", None),
        "sampling": json.dumps(sampling),
        "stop": json.dumps(record.stop, ensure_ascii=False),
        "head_sha256": head_sha256,
        "window": write_ranges(record.window),
        "shortened": json.dumps(record.shortened),
    }
    await tx.repeat(_KEEP, row)


async def of(connection: Connection, entry_id: int) -> AnswerRecord | None:
    """Give what the answer of an entry was made of; None for an entry of which nothing is known."""
    rows = await connection.execute(_RECORDS.where(answers.c.entry_id == entry_id))
    row = rows.first()
    return _record(row._asdict()) if row else None


async def last(connection: Connection, scene_id: int) -> AnswerRecord | None:
    """Give what a scene's latest answer was made of; None before the first."""
    rows = await connection.execute(
        _RECORDS.join(entries, entries.c.id == answers.c.entry_id)
        .where(entries.c.scene_id == scene_id)
        .order_by(entries.c.seq.desc())
        .limit(1)
    )
    row = rows.first()
    return _record(row._asdict()) if row else None


async def channel_of(connection: Connection, message_id: int) -> int | None:
    """Give the channel of the scene that a message belongs to; None for a message of no scene."""
    rows = await connection.execute(
        select(scenes.c.channel_id)
        .join(messages, messages.c.scene_id == scenes.c.id)
        .where(messages.c.message_id == message_id)
    )
    channel_id: int | None = rows.scalar()
    return channel_id


async def started_by(connection: Connection, scene_id: int) -> int:
    """Give the member who started a scene."""
    rows = await connection.execute(select(scenes.c.started_by).where(scenes.c.id == scene_id))
    member_id: int = rows.scalar_one()
    return member_id


async def count_before(connection: Connection, scene_id: int, seq: int) -> int:
    """Count a scene's entries before a place in its log."""
    rows = await connection.execute(
        select(func.count()).where(entries.c.scene_id == scene_id, entries.c.seq < seq)
    )
    return int(rows.scalar_one())


async def edited_since(connection: Connection, scene_id: int, at: float) -> set[int]:
    """Give the places of a scene's entries whose text was changed after a time."""
    rows = await connection.execute(
        select(entries.c.seq).where(entries.c.scene_id == scene_id, entries.c.edited_at > at)
    )
    return set(rows.scalars())


def write_ranges(numbers: tuple[int, ...]) -> str:
    """Write ascending whole numbers as ranges: `3-17,19`. A window is a few ranges, whatever its length."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in parts)


def read_ranges(text: str) -> tuple[int, ...]:
    """Read what `write_ranges` wrote."""
    numbers: list[int] = []
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        numbers += range(int(first), int(last or first) + 1)
    return tuple(numbers)


def _record(values: dict[str, Any]) -> AnswerRecord:
    sampling = Sampling(**json.loads(values["sampling"]), seed=values["seed"])
    for name in ("entry_id", "head_sha256", "seed"):
        del values[name]
    return AnswerRecord(
        **{
            **values,
            "sampling": sampling,
            "stop": tuple(json.loads(values["stop"])),
            "window": read_ranges(values["window"]),
            "shortened": {int(seq): length for seq, length in json.loads(values["shortened"]).items()},
        }
    )
