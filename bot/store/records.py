"""What the store gives back: plain records, one for each kind of row. Times are Unix seconds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class EntryKind(StrEnum):
    """What an entry of the log is."""

    PLAYER = "player"
    ANSWER = "answer"
    OPENING = "opening"
    NOTE = "note"
    LORE = "lore"
    MEMORY = "memory"


class Mode(StrEnum):
    """How a scene decides who answers."""

    NATURAL = "natural"
    LIST = "list"
    MANUAL = "manual"
    MENTION_ONLY = "mention-only"


class SceneState(StrEnum):
    """Whether a scene is played."""

    ACTIVE = "active"
    PAUSED = "paused"
    ENDED = "ended"


class ReplyState(StrEnum):
    """How far a promised answer has come.

    `told` means that its text is stored, while the channel may not show all of it yet.
    """

    PROMISED = "promised"
    TOLD = "told"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a scene's log.

    `seq` is its place there. `speaker` is the name at the table, for lore its title; `author_id` is the
    Discord member's, for players; `persona` is the slug, for answers and openings. `tokens` is what the
    rendered entry costs under the tokenizer named by `fingerprint`. `audience` names who may know of it:
    slugs of personas and `@` with a member's id, separated by commas; None stands for all who were there.
    """

    id: int
    scene_id: int
    kind: EntryKind
    speaker: str
    text: str
    created_at: float
    seq: int = 0
    author_id: int | None = None
    persona: str | None = None
    turn_id: int | None = None
    tokens: int | None = None
    fingerprint: str | None = None
    audience: str | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """What a message of Discord shows: its entry's text, and when that was last changed, if it was."""

    message_id: int
    text: str
    edited_at: float | None


@dataclass(frozen=True, slots=True)
class Stay:
    """A time that a persona was in a scene's cast: from one place of the log to another, both included.

    An open stay has no last one.
    """

    persona: str
    first_seq: int
    last_seq: int | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """One evening of a scene: it begins with the first entry after a long silence."""

    number: int
    first_seq: int
    started_at: float


@dataclass(frozen=True, slots=True)
class Pin:
    """A fact that players want remembered word for word.

    It is the `fact` that one of them put into words, or, where that is empty, what an `entry` says.
    """

    id: int
    fact: str
    pinned_by: int
    created_at: float
    entry: Entry | None = None

    @property
    def text(self) -> str:
        """What is pinned."""
        if self.entry is None:
            return self.fact
        return f"{self.entry.speaker}: {self.entry.text}" if self.entry.speaker else self.entry.text


@dataclass(frozen=True, slots=True)
class Secret:
    """What only the narrator and the game master know."""

    id: int
    text: str
    created_by: int
    created_at: float


@dataclass(frozen=True, slots=True)
class Whisper:
    """How a whisper is answered: its `audience`, and the `token` by which Discord takes the answer.

    The token is good for 15 minutes from `asked_at`.
    """

    audience: str
    token: str
    asked_at: float


@dataclass(frozen=True, slots=True)
class SceneRecord:
    """One scene as it is stored.

    `lead` is the slug of the persona that answers when nobody else is meant. Messages of the channel
    later than `heard_from` belong to the scene.
    """

    id: int
    guild_id: int | None
    channel_id: int
    parent_id: int | None
    title: str
    premise: str
    mode: Mode
    lead: str
    model: str | None
    state: SceneState
    started_by: int
    created_at: float
    ended_at: float | None
    window_start: int
    heard_from: int


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that a turn has promised, with the messages that show it so far."""

    id: int
    turn_id: int
    position: int
    persona: str
    state: ReplyState
    entry_id: int | None
    posted: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Preferences:
    """What a server chose for the scenes that it will start."""

    persona: str | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class PersonaModel:
    """What a server chose for one persona's answers.

    None stands for what the persona's file says; an empty `lora` for no adapter at all.
    """

    model: str | None = None
    lora: str | None = None
    lora_scale: float = 1.0


@dataclass(frozen=True, slots=True)
class PersonaRecord:
    """A character that a member brought, without its card. `face` is its picture's SHA-256, if it has one."""

    id: int
    guild_id: int
    stem: str
    face: str | None

    @property
    def slug(self) -> str:
        """What it is known by; no file of the operator's can have a slug with a dot."""
        return f"{self.stem}.{self.id}"


@dataclass(frozen=True, slots=True)
class LorebookRecord:
    """A lorebook of a server. `kind` is that of the file it came as; `entries` counts them."""

    id: int
    guild_id: int
    name: str
    kind: str
    enabled: bool
    entries: int = 0


@dataclass(frozen=True, slots=True)
class LoreRow:
    """An entry of a lorebook as its file has it.

    `document` is JSON. `key` is its name in a World Info file. `revision` counts its changes.
    """

    id: int
    place: int
    key: str | None
    revision: int
    document: str


@dataclass(frozen=True, slots=True)
class FiredRecord:
    """A lore entry in the log: the `entry_id` and `seq` of the log's entry, and which lore it tells.

    `because` says what woke it. `since` is the count of messages from which its timed effects run.
    """

    entry_id: int
    seq: int
    book: str
    uid: str
    because: str
    since: int
