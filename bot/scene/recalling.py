"""What is remembered in a turn: appended to the log before the answer that it is for, once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import structlog

from bot.memory.lexical import AROUND
from bot.memory.witnesses import audience, audience_of, knows, visible
from bot.prompt.tokens import EstimatingCounter
from bot.scene.knowledge import shortened
from bot.store import knowledge, log, recall, scenes
from bot.store.records import Entry, EntryKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bot.clock import Clock
    from bot.memory.recall import Hit, Recall
    from bot.persona.persona import Persona
    from bot.persona.personas import Personas
    from bot.scene.rewriting import Rewriting
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
SAID = 3
"""How many of the players' last messages are searched with."""
LOOKED_AT = 50
LEAST_EVIDENCE = 1.4
"""What has to speak for a memory (`Hit.evidence`): more than a single word, however rare it is."""
LEAST_MEANING = 0.55
"""Or how near it has to be in meaning. Unrelated lines of a table lie around 0.1 to 0.3 for small models."""
WORTH = 0.5
"""Memories that fit less than this share of the best one are left out."""
OTHER_SCENES = 7
OTHERS_KNOWN_S = 60.0
"""Seconds for which the server's other scenes are taken to be the same."""
ASSUMED_CONTEXT = 4096
PATIENCE_S = 1.0
"""Seconds that an answer waits for what is remembered; after that it is given without."""


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
class _Ground:
    """What a choice among hits depends on.

    `stays` says who was in each scene, `told` are rows that stand in the prompt already or must not be told,
    `entries` the hits' and their neighbours by row, `sessions` the numbers of their sessions.
    """

    stays: dict[int, list[Stay]]
    told: set[int]
    entries: dict[int, Entry]
    sessions: dict[int, int]


@dataclass(frozen=True, slots=True)
class _Search:
    """A search that is under way."""

    asked: str
    scene_ids: tuple[int, ...]
    hits: asyncio.Task[list[Hit]]


class Recalling:
    """Reminds the cast of what has left the window, and of the campaign's other scenes."""

    def __init__(
        self,
        store: Store,
        found: Recall,
        personas: Personas,
        clock: Clock,
        *,
        rewriting: Rewriting | None = None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """Without `rewriting` what the players said is searched with as it is."""
        self._store = store
        self._recall = found
        self._personas = personas
        self._clock = clock
        self._rewriting = rewriting
        self._patience_s = patience_s
        self._tokens = EstimatingCounter().count
        self._others: WeakKeyDictionary[Scene, tuple[float, list[SceneRecord]]] = WeakKeyDictionary()
        self._begun: WeakKeyDictionary[Scene, _Search] = WeakKeyDictionary()
        self._log = structlog.get_logger("hearthside.recall")

    def begin(self, scene: Scene, text: str) -> None:
        """Begin to search for what a player says that will be answered, while that is still being stored.

        `append` goes on with it if its own search is the same: nothing more was said until then, and all of
        the cast know what was.
        """
        since, others = self._others.get(scene, (-OTHERS_KNOWN_S, []))
        if self._rewriting or self._clock.monotonic() - since >= OTHERS_KNOWN_S:
            return
        if not scene.record.window_start and not others:
            return
        public = [one for one in scene.window.entries if _is_among(one, None)]
        asked, scene_ids = _asked(public, text), _ids(scene, others)
        self._leave(scene)
        task = asyncio.create_task(self._recall.search(scene_ids, asked, LOOKED_AT), name="recall")
        task.add_done_callback(_noticed)
        self._begun[scene] = _Search(asked, scene_ids, task)

    def _leave(self, scene: Scene) -> None:
        """Give up the search that was begun."""
        if begun := self._begun.pop(scene, None):
            begun.hits.cancel()

    async def append(self, scene: Scene, persona: Persona, whispered: str | None = None) -> None:
        """Append to the log what `persona` remembers at what the players said last.

        `whispered` names those who may know of the answer, if not all may. Whatever goes wrong, the answer is
        given without.
        """
        try:
            others = await self._other_scenes(scene)
            if not scene.record.window_start and not others:
                return
            asked = await self._query(scene, persona, whispered)
            async with asyncio.timeout(self._patience_s):
                memories = await self._remembered(scene, persona, asked, others, whispered)
            if memories:
                await self._tell(scene, memories)
        except TimeoutError:
            self._log.warning("recall_too_slow", scene=scene.id, seconds=self._patience_s)
        except Exception:  # noqa: BLE001  # a memory less must not cost a turn
            self._log.exception("recall_broke", scene=scene.id, persona=persona.slug)

    async def _query(self, scene: Scene, persona: Persona, whispered: str | None) -> str:
        """Give what is searched with: the last that the players said, behind what the model makes of it."""
        heard = _heard(scene, persona, whispered)
        asked = _asked(heard)
        if asked and self._rewriting:
            asked = f"{await self._rewriting.query(scene, persona, heard)}\n{asked}"
        return asked

    async def _remembered(
        self,
        scene: Scene,
        persona: Persona,
        asked: str,
        others: Sequence[SceneRecord],
        whispered: str | None,
    ) -> list[Memory]:
        """Find what the persona remembers now; oldest first."""
        if not asked:
            return []
        hits = await self._hits(scene, asked, _ids(scene, others))
        return await self._memories(scene, persona, hits, others, whispered)

    async def _hits(self, scene: Scene, asked: str, scene_ids: tuple[int, ...]) -> list[Hit]:
        """Give what a search finds; it may have been begun already."""
        begun = self._begun.get(scene)
        if begun and (begun.asked, begun.scene_ids) == (asked, scene_ids):
            del self._begun[scene]
            return await begun.hits
        self._leave(scene)
        return await self._recall.search(scene_ids, asked, LOOKED_AT)

    async def _other_scenes(self, scene: Scene) -> list[SceneRecord]:
        """Give the latest other scenes of the same server."""
        now = self._clock.monotonic()
        since, others = self._others.get(scene, (-OTHERS_KNOWN_S, []))
        if now - since >= OTHERS_KNOWN_S and scene.record.guild_id is not None:
            async with self._store.read() as connection:
                others = await scenes.others(connection, scene.record.guild_id, scene.id, OTHER_SCENES)
            self._others[scene] = now, others
        return others

    # -- what may be told ---------------------------------------------------------------------------------

    async def _memories(
        self,
        scene: Scene,
        persona: Persona,
        hits: Sequence[Hit],
        others: Sequence[SceneRecord],
        whispered: str | None,
    ) -> list[Memory]:
        """Choose among what was found, and put it into words, oldest first."""
        # The question itself fits best of all, and its words speak for what stands beside it.
        gone = [hit for hit in hits if not _in_window(scene, hit.entry, AROUND)]
        fitting = [hit for hit in gone if hit.score >= WORTH * gone[0].score and _convinces(hit)]
        if not fitting:
            return []
        ground = await self._ground(scene, persona, hits, fitting)
        stays, told = ground.stays, ground.told

        def tellable(entry: Entry) -> bool:
            return _witnessed(scene, persona, entry, stays) and _is_among(entry, whispered)

        # Nor does what stands beside it come up for the words of what is not to be told, or is forgotten.
        told.update(hit.row for hit in hits if hit.named and not tellable(hit.entry))
        told.update(hit.row for hit in fitting if hit.row not in ground.entries)
        room = self._budget(scene)
        chosen: list[Memory] = []
        for hit in fitting:
            if len(chosen) == MOST_MEMORIES:
                break
            if _near(hit.row, told):
                continue
            sources = [
                Source(entry, hit.score)
                for row in _around(hit.row)
                if row not in told
                and (entry := ground.entries.get(row))
                and not _in_window(scene, entry)
                and (entry.audience == hit.entry.audience)
                and tellable(entry)
            ]
            if hit.entry.id not in {one.entry.id for one in sources}:
                continue
            text = _words(scene, [one.entry for one in sources], ground.sessions, others)
            room -= self._tokens(text)
            if room < 0:
                break
            told.update(recall.row_of(one.entry) for one in sources)
            chosen.append(Memory(tuple(sources), text, self._audience(scene, sources, stays, whispered)))
        return sorted(chosen, key=lambda one: (one.sources[0].entry.created_at, one.sources[0].entry.id))

    async def _ground(
        self, scene: Scene, persona: Persona, hits: Sequence[Hit], fitting: Sequence[Hit]
    ) -> _Ground:
        """Read what the choice depends on, in one go."""
        known = visible(scene.window.entries, persona.slug, persona.narrator, scene.stays)
        memories = [one.id for one in known if one.kind is EntryKind.MEMORY]
        elsewhere = sorted({hit.entry.scene_id for hit in hits} - {scene.id})
        rows = sorted({row for hit in fitting for row in _around(hit.row)})

        async def read(connection: Connection) -> _Ground:
            stays = {one: await knowledge.stays_of(connection, one) for one in elsewhere}
            told = await recall.rows_recalled(connection, memories)
            there = await recall.in_sessions(connection, rows)
            return _Ground(
                {scene.id: scene.stays, **stays},
                told,
                {row: entry for row, (entry, _) in there.items()},
                {row: session for row, (_, session) in there.items()},
            )

        return await self._store.look_up(read)

    def _budget(self, scene: Scene) -> int:
        context = scene.last_answer.context_length if scene.last_answer else ASSUMED_CONTEXT
        return context // BUDGET_SHARE

    def _audience(
        self,
        scene: Scene,
        sources: Sequence[Source],
        stays: dict[int, list[Stay]],
        whispered: str | None,
    ) -> str | None:
        """Give who may know of a memory: those of the cast who were there; None if they all were."""
        cast = [one for slug in scene.cast if (one := self._personas.get(slug))]
        were_there = [
            one.slug for one in cast if all(_witnessed(scene, one, source.entry, stays) for source in sources)
        ]
        if whispered is not None:
            named = audience_of(sources[0].entry) or frozenset(were_there)
            return audience(*(name for name in whispered.split(",") if name.startswith("@") or name in named))
        return None if len(were_there) == len(cast) else audience(*were_there)

    # -- the log ------------------------------------------------------------------------------------------

    async def _tell(self, scene: Scene, memories: Sequence[Memory]) -> None:
        """Store memories, unless what one tells of was changed or deleted a moment ago."""
        now = self._clock.now()
        async with scene.arrivals:
            new = [
                scene.next_entry(EntryKind.MEMORY, "memory", one.text, now, audience=one.audience)
                for one in memories
            ]

            async def keep(tx: Connection) -> list[Entry]:
                kept = []
                for memory, entry in zip(memories, new, strict=True):
                    if await recall.unchanged(tx, {one.entry.id: one.entry.text for one in memory.sources}):
                        kept.append(await log.append(tx, entry))
                        scores = {one.entry.id: one.score for one in memory.sources}
                        await recall.note(tx, kept[-1].id, scores)
                return kept

            for entry in await self._store.change(keep):
                scene.add(entry)


def _heard(scene: Scene, persona: Persona, whispered: str | None) -> list[Entry]:
    """Give what the persona heard of what stands in the window; whispers only for a whisper."""
    known = visible(scene.window.entries, persona.slug, persona.narrator, scene.stays)
    return [entry for entry in known if _is_among(entry, whispered)]


def _asked(heard: Iterable[Entry], *more: str) -> str:
    """Give the players' last messages, and what more they say now, the latest first."""
    said = [*(entry.text for entry in heard if entry.kind is EntryKind.PLAYER), *more]
    return "\n".join(reversed(said[-SAID:]))


def _ids(scene: Scene, others: Iterable[SceneRecord]) -> tuple[int, ...]:
    return (scene.id, *(one.id for one in others))


def _noticed(search: asyncio.Task[list[Hit]]) -> None:
    """Look at what became of a search: one that nobody waits for any more may fail in silence."""
    if not search.cancelled():
        search.exception()


def _witnessed(scene: Scene, persona: Persona, entry: Entry, stays: Mapping[int, Sequence[Stay]]) -> bool:
    """Tell whether a persona knows of an entry; a narrator of another scene, too, only if it was in that."""
    there = stays[entry.scene_id]
    was_in = entry.scene_id == scene.id or any(stay.persona == persona.slug for stay in there)
    return was_in and knows(persona.slug, persona.narrator, entry, there)


def _is_among(entry: Entry, whispered: str | None) -> bool:
    """Tell whether an entry may come up for an answer: what was whispered only among those who know it."""
    return entry.audience is None or (
        whispered is not None and audience_of(entry) <= frozenset(whispered.split(","))
    )


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
