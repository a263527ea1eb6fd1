"""What the store gives back: plain records, one for each kind of row. Times are seconds since the Unix epoch."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class EntryKind(StrEnum):
    """What an entry of the log is."""

    PLAYER = "player"
    ANSWER = "answer"
    OPENING = "opening"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a scene's log.

    `speaker` is the name at the table; `author_id` is the Discord member's, for players;
    `persona` is the slug, for answers and openings. `tokens` is what the rendered entry costs
    under the tokenizer named by `fingerprint`.
    """

    id: int
    scene_id: int
    kind: EntryKind
    speaker: str
    text: str
    created_at: float
    author_id: int | None = None
    persona: str | None = None
    turn_id: int | None = None
    tokens: int | None = None
    fingerprint: str | None = None
