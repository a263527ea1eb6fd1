"""What is remembered in a turn: appended to the log before the answer that it is for, once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import structlog

from bot.memory.witnesses import visible
from bot.scene.choosing import Choosing, Occasion, is_among
from bot.store import knowledge, log, recall, scenes
from bot.store.records import Entry, EntryKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bot.clock import Clock
    from bot.memory.recall import Hit, Recall
    from bot.persona.persona import Persona
    from bot.persona.personas import Personas
    from bot.scene.choosing import Memory
    from bot.scene.rewriting import Rewriting
    from bot.scene.scene import Scene
    from bot.store.connection import Connection
    from bot.store.records import SceneRecord, Stay
    from bot.store.store import Store

SAID = 3
"""How many of the players' last messages are searched with."""
LOOKED_AT = 50
OTHER_SCENES = 7
OTHERS_KNOWN_S = 60.0
"""Seconds for which the server's other scenes are taken to be the same."""
PATIENCE_S = 1.0
"""Seconds that an answer waits for what is remembered; after that it is given without."""


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
        self._clock = clock
        self._rewriting = rewriting
        self._patience_s = patience_s
        self._choosing = Choosing(store, personas)
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
        public = [one for one in scene.window.entries if is_among(one, None)]
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
        scene_ids = _ids(scene, others)
        hits = await self._hits(scene, asked, scene_ids)
        now = Occasion(scene, persona, asked, whispered, await self._stays(scene, others))
        if now.knows_none(hits) and 0 < len(there := now.scenes()) < len(scene_ids):
            hits = await self._recall.search(there, asked, LOOKED_AT)
        return await self._choosing.memories(now, hits, others)

    async def _stays(self, scene: Scene, others: Sequence[SceneRecord]) -> dict[int, Sequence[Stay]]:
        """Give who was in the scenes that are searched."""
        ids = [one.id for one in others]

        async def read(connection: Connection) -> dict[int, Sequence[Stay]]:
            return {one: await knowledge.stays_of(connection, one) for one in ids}

        return {**(await self._store.look_up(read) if ids else {}), scene.id: scene.stays}

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
    return [entry for entry in known if is_among(entry, whispered)]


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
