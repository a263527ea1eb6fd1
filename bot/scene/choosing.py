"""Which of what was found is remembered: what fits, what the one who answers witnessed, within a budget."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from bot.memory import query
from bot.memory.lexical import AROUND
from bot.memory.witnesses import audience, audience_of, knows, visible
from bot.prompt.tokens import EstimatingCounter
from bot.scene.knowledge import shortened
from bot.store import recall, spaceless
from bot.store.records import Entry, EntryKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bot.memory.recall import Hit
    from bot.persona.persona import Persona
    from bot.persona.personas import Personas
    from bot.scene.scene import Scene
    from bot.store.connection import Connection
    from bot.store.records import SceneRecord, Stay
    from bot.store.store import Store

BUDGET_SHARE = 12
"""Memories of one answer take a twelfth of the context at most,"""
MOST_MEMORIES = 3
"""and are no more than these."""
NEIGHBOURS = 1
"""Entries before and after the one that was found which are told with it."""
LINE_CHARACTERS = 240
LEAST_EVIDENCE = 1.4
"""What has to speak for a memory (`Hit.evidence`): more than a single word, however rare it is."""
LEAST_MEANING = 0.55
"""Or how near it has to be in meaning. Unrelated lines of a table lie around 0.1 to 0.3 for small models."""
OWN_WORDS = 2
"""Words of the query that an entry has itself if it comes up beside what must not speak for it."""
WORTH = 0.5
"""Memories that fit less than this share of the best one are left out."""
ASSUMED_CONTEXT = 4096


@dataclass(frozen=True, slots=True)
class Source:
    """An entry that may be recalled, and how well it fits."""

    entry: Entry
    score: float


@dataclass(frozen=True, slots=True)
class Memory:
    """Neighbouring entries that are recalled together, in their order, and how the prompt tells of them."""

    sources: tuple[Source, ...]
    text: str
    audience: str | None


@dataclass(frozen=True, slots=True)
class Occasion:
    """Who answers in which scene, and what for: what the players said last.

    `whispered` names those who may know of the answer, if not all may; `stays` says who was in each of the
    scenes that are searched.
    """

    scene: Scene
    persona: Persona
    asked: str
    whispered: str | None
    stays: Mapping[int, Sequence[Stay]]

    def may_tell(self, entry: Entry) -> bool:
        """Tell whether who answers witnessed an entry, and those may know of it who will hear the answer."""
        return _witnessed(self.scene, self.persona, entry, self.stays) and is_among(entry, self.whispered)

    def knows_none(self, hits: Iterable[Hit]) -> bool:
        """Tell whether there are hits outside of the window, but none of them may be told."""
        gone = self._gone(hits)
        return bool(gone) and not any(self.may_tell(hit.entry) for hit in gone)

    def scenes(self) -> tuple[int, ...]:
        """Give the scenes in which who answers has been, this one only if that was before the window."""
        start, slug = self.scene.window.start, self.persona.slug
        begins = {self.scene.id: start.seq if start else inf}
        return tuple(
            one
            for one, stays in self.stays.items()
            if any(stay.persona == slug and stay.first_seq < begins.get(one, inf) for stay in stays)
        )

    def fitting(self, hits: Iterable[Hit]) -> list[Hit]:
        """Give what fits among hits, best first, and may be told."""
        known = [hit for hit in self._gone(hits) if self.may_tell(hit.entry)]
        return [hit for hit in known if hit.score >= WORTH * known[0].score and _convinces(hit)]

    def _gone(self, hits: Iterable[Hit]) -> list[Hit]:
        """Leave out what stands in the window."""
        # The question itself fits best of all, and its words speak for what stands beside it.
        return [hit for hit in hits if not _in_window(self.scene, hit.entry, AROUND)]

    def has_own_words(self, entry: Entry) -> bool:
        """Tell whether an entry fits without those around it."""
        text = spaceless.apart(entry.text).casefold()
        return sum(word in text for word in query.words(self.asked)) >= OWN_WORDS


@dataclass(frozen=True, slots=True)
class _Ground:
    """What a choice among hits depends on.

    `told` are rows that stand in the prompt already or must not be told, `entries` the hits' and their
    neighbours by row, `sessions` the numbers of their sessions.
    """

    told: set[int]
    entries: dict[int, Entry]
    sessions: dict[int, int]


class Choosing:
    """Chooses memories among what a search has found."""

    def __init__(self, store: Store, personas: Personas) -> None:
        self._store = store
        self._personas = personas
        self._tokens = EstimatingCounter().count

    async def memories(
        self, now: Occasion, hits: Sequence[Hit], others: Sequence[SceneRecord]
    ) -> list[Memory]:
        """Choose among hits, best first, and put them into words, oldest first."""
        if not (fitting := now.fitting(hits)):
            return []
        ground = await self._ground(now, fitting)
        told = ground.told
        # What stands beside it does not come up for the words of what is not to be told, or is forgotten.
        told.update(hit.row for hit in fitting if hit.row not in ground.entries)
        untold = {hit.row for hit in hits if hit.named and not now.may_tell(hit.entry)}
        room = self._budget(now.scene)
        chosen: list[Memory] = []
        for hit in fitting:
            if len(chosen) == MOST_MEMORIES:
                break
            if _near(hit.row, told) or (_near(hit.row, untold) and not now.has_own_words(hit.entry)):
                continue
            sources = self._sources(now, hit, ground)
            if hit.entry.id not in {one.entry.id for one in sources}:
                continue
            text = _words(now.scene, [one.entry for one in sources], ground.sessions, others)
            room -= self._tokens(text)
            if room < 0:
                break
            told.update(recall.row_of(one.entry) for one in sources)
            chosen.append(Memory(tuple(sources), text, self._audience(now, sources)))
        return sorted(chosen, key=lambda one: (one.sources[0].entry.created_at, one.sources[0].entry.id))

    async def _ground(self, now: Occasion, fitting: Sequence[Hit]) -> _Ground:
        """Read what the choice depends on, in one go."""
        scene, persona = now.scene, now.persona
        known = visible(scene.window.entries, persona.slug, persona.narrator, scene.stays)
        memories = [one.id for one in known if one.kind is EntryKind.MEMORY]
        rows = sorted({row for hit in fitting for row in _around(hit.row)})

        async def read(connection: Connection) -> _Ground:
            told = await recall.rows_recalled(connection, memories)
            there = await recall.in_sessions(connection, rows)
            return _Ground(
                told,
                {row: entry for row, (entry, _) in there.items()},
                {row: session for row, (_, session) in there.items()},
            )

        return await self._store.look_up(read)

    def _budget(self, scene: Scene) -> int:
        context = scene.last_answer.context_length if scene.last_answer else ASSUMED_CONTEXT
        return context // BUDGET_SHARE

    def _sources(self, now: Occasion, hit: Hit, ground: _Ground) -> list[Source]:
        """Give what is told of a hit, in order: with what stands next to it, if that may be told, too."""
        return [
            Source(entry, hit.score)
            for row in _around(hit.row)
            if row not in ground.told
            and (entry := ground.entries.get(row))
            and not _in_window(now.scene, entry)
            and entry.audience == hit.entry.audience
            and now.may_tell(entry)
        ]

    def _audience(self, now: Occasion, sources: Sequence[Source]) -> str | None:
        """Give who may know of a memory: those of the cast who were there; None if they all were."""
        cast = [one for slug in now.scene.cast if (one := self._personas.get(slug))]
        were_there = [
            one.slug
            for one in cast
            if all(_witnessed(now.scene, one, source.entry, now.stays) for source in sources)
        ]
        if now.whispered is not None:
            named = audience_of(sources[0].entry) or frozenset(were_there)
            heard = now.whispered.split(",")
            return audience(*(name for name in heard if name.startswith("@") or name in named))
        return None if len(were_there) == len(cast) else audience(*were_there)


def is_among(entry: Entry, whispered: str | None) -> bool:
    """Tell whether an entry may come up for an answer: what was whispered only among those who know it."""
    return entry.audience is None or (
        whispered is not None and audience_of(entry) <= frozenset(whispered.split(","))
    )


def _witnessed(scene: Scene, persona: Persona, entry: Entry, stays: Mapping[int, Sequence[Stay]]) -> bool:
    """Tell whether a persona knows of an entry; a narrator of another scene, too, only if it was in that."""
    there = stays.get(entry.scene_id, ())
    was_in = entry.scene_id == scene.id or any(stay.persona == persona.slug for stay in there)
    return was_in and knows(persona.slug, persona.narrator, entry, there)


def _convinces(hit: Hit) -> bool:
    return hit.evidence >= LEAST_EVIDENCE or (hit.meaning is not None and hit.meaning >= LEAST_MEANING)


def _near(row: int, told: set[int]) -> bool:
    """Tell whether what speaks for a row may be the words of one that is told already."""
    return any(other in told for other in range(row - AROUND, row + AROUND + 1))


def _in_window(scene: Scene, entry: Entry, before: int = 0) -> bool:
    """Tell whether an entry stands in the window, or so many places `before` it."""
    start = scene.window.start
    return entry.scene_id == scene.id and (start is None or entry.seq >= start.seq - before)


def _around(row: int) -> list[int]:
    """Give the rows of an entry and its neighbours in the log."""
    rows = range(row - NEIGHBOURS, row + NEIGHBOURS + 1)
    return [one for one in rows if one >> recall.ROW_BITS == row >> recall.ROW_BITS]


def _words(
    scene: Scene, entries: Sequence[Entry], sessions: Mapping[int, int], others: Sequence[SceneRecord]
) -> str:
    first, *_ = entries
    when = f"session {sessions[recall.row_of(first)]}"
    title = next((one.title for one in others if one.id == first.scene_id), "")
    where = f"{shortened(title, 60)}, {when}" if title and first.scene_id != scene.id else when
    lines = " ".join(_line(entry) for entry in entries)
    return f"earlier, {where}: {lines}"


def _line(entry: Entry) -> str:
    text = shortened(entry.text.replace('"', "'"), LINE_CHARACTERS)
    return text if entry.kind is EntryKind.NOTE else f'{entry.speaker}: "{text}"'
