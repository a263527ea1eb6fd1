"""A scene as it is being played: its record, its cast, its log in memory, and the turns it has promised."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from bot.prompt.log import Head
from bot.prompt.tokens import EstimatingCounter, entry_tokens
from bot.prompt.window import Window
from bot.scene.ports import Place
from bot.store.records import Entry, EntryKind, Reply, SceneRecord, SceneState, Stay, Whisper

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bot.scene.narrowing import Narrowed
    from bot.store.answers import AnswerRecord

# How long somebody who was seen typing is believed to type on, in seconds. Discord shows it for 10.
TYPING_LASTS = 10.0
# The longest that an answer waits for players who type on and on, in seconds.
LONGEST_WAIT = 20.0


@dataclass(slots=True)
class Turn:
    """What the cast owes the players: from the first message that asks for an answer to the last answer.

    Until it is begun, more messages join it. `resumed` marks one that an earlier run of the bot had promised,
    `asked` one that somebody wants whatever was said. `whisper` is what it answers in private, if it does:
    nothing joins it.
    """

    id: int
    replies: list[Reply] = field(default_factory=list)
    begun: bool = False
    resumed: bool = False
    asked: bool = False
    whisper: Whisper | None = None

    def promised(self) -> set[str]:
        """Give the personas that owe an answer in this turn."""
        return {reply.persona for reply in self.replies}


class Scene:
    """One running story. Changes to it are made by the table, under `arrivals`, after they are stored."""

    def __init__(
        self,
        record: SceneRecord,
        cast: Iterable[str],
        window: Iterable[Entry],
        last_seq: int,
        stays: Iterable[Stay] | None = None,
    ) -> None:
        """Take up a scene. Without `stays` its cast has been there from the start."""
        self.record = record
        self.cast = list(cast)
        self.stays = [Stay(slug, 0) for slug in self.cast] if stays is None else list(stays)
        self._estimate = EstimatingCounter()
        self.window = Window(self.counted(entry) for entry in window)
        self.turns: deque[Turn] = deque()
        self.typing: dict[int, float] = {}  # player -> until when they are believed to type
        self.arrivals = asyncio.Lock()  # what arrives is dealt with one by one, in its order
        self.prompting = asyncio.Lock()  # one prompt is built, and the window cut for it, at a time
        self.somebody_spoke = asyncio.Event()  # set whenever a message or a typing sign comes in
        self.player: asyncio.Task[None] | None = None  # the task that plays the turns
        self.last_answer: AnswerRecord | None = None
        # The head as it was shortened for a context of so many tokens. It is kept while the cast and the
        # context stay: a count that is corrected must not change the beginning of the cached prompt.
        self.heads: dict[tuple[Head, int], Head] = {}
        self.told: set[tuple[str, ...]] = set()  # what the players were told once
        self.context_length = 0  # the largest that a server had for it
        self.narrowed: Narrowed | None = None  # how the window was before a smaller one cut it
        self.read_ahead = 0  # the hash of what a server was last had read ahead
        self._last_seq = last_seq

    @property
    def id(self) -> int:
        """The scene's id in the store."""
        return self.record.id

    @property
    def place(self) -> Place:
        """Where it plays."""
        return Place(self.record.guild_id, self.record.channel_id, self.record.parent_id)

    @property
    def session(self) -> str:
        """What its requests are marked with, so that a proxy can send them all to the same server."""
        return f"scene-{self.id}"

    @property
    def listening(self) -> bool:
        """Whether what is said in its channel belongs to the story."""
        return self.record.state is SceneState.ACTIVE

    @property
    def answering(self) -> bool:
        """Whether a turn is being answered, rather than gathering what is said."""
        return bool(self.turns and self.turns[0].begun)

    def take_seq(self) -> int:
        """Take the next place in the log."""
        self._last_seq += 1
        return self._last_seq

    def next_entry(
        self,
        kind: EntryKind,
        speaker: str,
        text: str,
        created_at: float,
        *,
        author_id: int | None = None,
        persona: str | None = None,
        turn_id: int | None = None,
        audience: str | None = None,
    ) -> Entry:
        """Give an entry that takes the next place in the log; it is still to be stored."""
        return Entry(
            id=0,
            scene_id=self.id,
            seq=self.take_seq(),
            kind=kind,
            speaker=speaker,
            text=text,
            created_at=created_at,
            author_id=author_id,
            persona=persona,
            turn_id=turn_id,
            audience=audience,
        )

    def change(self, **values: Any) -> None:
        """Change columns of the record."""
        self.record = replace(self.record, **values)

    def add(self, entry: Entry) -> None:
        """Put an entry at its place in the window."""
        self.window.insert(self.counted(entry))

    def replace_entry(self, entry: Entry) -> None:
        """Put a changed entry in the place of the one with its id; one that has left the window stays out."""
        self.window.replace(self.counted(entry))

    def before(self, seq: int) -> list[Entry]:
        """Give the window's entries before a place."""
        return [entry for entry in self.window.entries if entry.seq < seq]

    def players(self, *, aloud: bool = False) -> tuple[str, ...]:
        """Give the names of the players who spoke in the window, the latest first; or who spoke `aloud`."""
        spoke = (entry for entry in reversed(self.window.entries) if entry.kind is EntryKind.PLAYER)
        return tuple(dict.fromkeys(one.speaker for one in spoke if not aloud or one.audience is None))

    def counted(self, entry: Entry) -> Entry:
        """Give an entry a first count; a model server's own tokenizer corrects it before it is used."""
        if entry.tokens is not None:
            return entry
        tokens = entry_tokens(entry, self._estimate)
        return replace(entry, tokens=tokens, fingerprint=self._estimate.fingerprint)

    def gathering(self) -> Turn | None:
        """Give the turn that is promised and not begun, if there is one."""
        return self.turns[-1] if self.turns and not self.turns[-1].begun else None

    def saw_typing(self, player: int, now: float) -> None:
        """Note that a player is writing."""
        self.typing[player] = now + TYPING_LASTS
        self.somebody_spoke.set()

    def saw_message(self, player: int) -> None:
        """Note that a player has sent what they were writing."""
        self.typing.pop(player, None)
        self.somebody_spoke.set()

    def typing_until(self, now: float) -> float | None:
        """Give the time at which nobody is believed to type any more; None if nobody does now."""
        return max((until for until in self.typing.values() if until > now), default=None)
