"""What the prompts of running scenes tell of what left their windows: which summaries, and to whom."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from bot.memory.summary import PUBLIC, View, cover, summed_up_to, view_of
from bot.memory.witnesses import visible
from bot.prompt.log import STORY
from bot.store import summaries

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bot.persona.persona import Persona
    from bot.scene.scene import Scene
    from bot.store.connection import Connection
    from bot.store.store import Store
    from bot.store.summaries import Summary


NO_PLACE = 0
"""No entry has it: the log's places begin at 1."""


@dataclass(slots=True)
class _Known:
    """The summaries of one scene.

    `all` are there, of which the prompts may tell those `in_place`. `told` is what they do tell, by persona
    and by who was there when. `changes` are the places in the log whose entries changed, in the order in
    which they did. `texts` (by id) and `views` have been read, and stand while nothing changes.
    """

    all: list[Summary]
    in_place: list[Summary]
    told: dict[tuple[object, ...], tuple[str, ...]] = field(default_factory=dict)
    changes: list[int] = field(default_factory=list)
    texts: dict[int, str] = field(default_factory=dict)
    views: dict[tuple[object, ...], View] = field(default_factory=dict)
    version: int = 0

    def forget(self) -> None:
        """Have what is told looked up anew."""
        self.told.clear()
        self.views.clear()
        self.version += 1

    def note_change(self, seq: int) -> None:
        """Take note that the log says something else at a place."""
        self.changes.append(seq)
        self.texts.clear()
        self.forget()


class Stories:
    """The running summaries of scenes, as their prompts tell them.

    A summary that is made becomes part of the prompt only with a cut of the window, which changes the
    prompt's beginning anyway, or when `settle` is called while nobody waits.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: WeakKeyDictionary[Scene, _Known] = WeakKeyDictionary()

    async def told(self, scene: Scene, persona: Persona | None) -> tuple[str, ...]:
        """Give what a persona knows of what left the window, oldest first; None stands for the public."""
        known = await self._of(scene)
        key = (persona.slug, *scene.stays) if persona else ()
        while key not in known.told:
            version = known.version
            texts = await self._look_up(scene, persona, known.in_place)
            if version == known.version:
                known.told[key] = texts
        return known.told[key]

    async def story(self, scene: Scene, persona: Persona | None) -> str:
        """Give the same as one text, with a paragraph for each summary; empty while nothing is summed up."""
        return "\n\n".join(await self.told(scene, persona))

    async def shown(self, scene: Scene, view: View, before: int) -> list[Summary]:
        """Give the summaries that a view will be told when they are in place and the window begins there."""
        return cover((await self._of(scene)).all, view, before)

    async def all(self, scene: Scene) -> list[Summary]:
        """Give all summaries of a scene."""
        return (await self._of(scene)).all

    async def summed_up_to(self, scene: Scene) -> int:
        """Give the last place in the log up to which it is summed up, in the window or before it."""
        return summed_up_to((await self._of(scene)).all)

    def any_stale(self, scene: Scene) -> bool:
        """Tell whether a summary of the scene was voided by a change, as far as is known without looking."""
        known = self._known.get(scene)
        return known is not None and any(one.stale for one in known.all)

    async def settle(self, scene: Scene) -> None:
        """Have prompts tell everything that was summed up: their beginning changes."""
        known = await self._of(scene)
        if known.in_place != known.all:
            known.in_place = list(known.all)
            known.forget()

    async def cut(self, scene: Scene) -> None:
        """Take note that the scene's window begins later now."""
        known = await self._of(scene)
        known.in_place = list(known.all)
        known.forget()

    async def view(self, scene: Scene, persona: Persona | None, before: int) -> View:
        """Give what a persona knows otherwise than the public of what is before a place in the log."""
        if persona is None:
            return PUBLIC
        known = await self._of(scene)
        key = persona.slug, persona.narrator, before, *scene.stays
        if key in known.views:
            return known.views[key]
        version = known.version
        private = await self._store.look_up(lambda there: summaries.restricted(there, scene.id, before))
        own = visible(private, persona.slug, persona.narrator, scene.stays)
        view = view_of(persona.slug, persona.narrator, scene.stays, own, before)
        if version == known.version:
            known.views[key] = view
        return view

    async def texts(self, scene: Scene, shown: Sequence[Summary]) -> list[str]:
        """Give the texts of summaries in their order; of those that were voided meanwhile, none."""
        known = await self._of(scene)
        lacking = [one.id for one in shown if one.id not in known.texts]
        found = {}
        if lacking:
            version = known.version
            found = await self._store.look_up(lambda there: summaries.texts(there, lacking))
            if version == known.version:
                known.texts |= found
        return [known.texts.get(one.id) or found.get(one.id, "") for one in shown]

    async def keep(self, scene: Scene, summary: Summary, text: str, as_of: int) -> bool:
        """Store a summary made of the log as it was `as_of` so many changes; False if it changed since."""
        known = await self._of(scene)
        async with self._store.transaction() as tx:
            since = known.changes[as_of:]
            if any(summary.first_seq <= seq <= summary.last_seq for seq in since):
                return False
            kept = await tx.together(lambda there: summaries.keep(there, summary, text))
            known.all = [one for one in known.all if not _same(one, kept)] + [kept]
        return True

    def taken_back(self, scene: Scene) -> None:
        """Take note that a pin or a secret is told no more, in the transaction that removes it."""
        if known := self._known.get(scene):
            known.changes.append(NO_PLACE)

    async def changes(self, scene: Scene) -> int:
        """Give how many changes to the log there have been, for `changed_since`."""
        return len((await self._of(scene)).changes)

    async def settled_changes(self, scene: Scene) -> int:
        """Give the same for `keep`: what is being changed right now is stored by then, and read as it is."""
        known = await self._of(scene)
        async with self._store.transaction():
            return len(known.changes)

    def changed_since(self, scene: Scene, as_of: int) -> bool:
        """Tell whether the log has changed since it had `as_of` times."""
        known = self._known.get(scene)
        return known is not None and len(known.changes) != as_of

    async def changed(self, tx: Connection, scene_id: int, seq: int) -> None:
        """Void what tells of an entry, in the transaction that changes or deletes it."""
        await summaries.stale(tx, scene_id, seq, told_after=STORY)
        for scene, known in self._known.items():
            if scene.id == scene_id:
                known.all = _without(known.all, seq)
                known.in_place = _without(known.in_place, seq)
                known.note_change(seq)

    async def _look_up(
        self, scene: Scene, persona: Persona | None, in_place: list[Summary]
    ) -> tuple[str, ...]:
        before = scene.record.window_start
        shown = cover(in_place, await self.view(scene, persona, before), before)
        return tuple(filter(None, await self.texts(scene, shown)))

    async def _of(self, scene: Scene) -> _Known:
        """Give what is known of a scene.

        It is read as a writer does, one after the other: what a transaction is about to void must not be read
        before and remembered after it.
        """
        if scene not in self._known:
            async with self._store.transaction() as tx:
                there = await summaries.of_scene(tx, scene.id)
                self._known.setdefault(scene, _Known(there, list(there)))
        return self._known[scene]


def _without(there: Iterable[Summary], seq: int) -> list[Summary]:
    """Give what is left of summaries when the entry at a place has changed."""
    return [
        replace(one, stale=True) if covers else one
        for one in there
        if not (covers := one.first_seq <= seq <= one.last_seq) or not one.level
    ]


def _same(one: Summary, other: Summary) -> bool:
    """Tell whether one takes the other's place."""
    return (one.persona, one.level, one.first_seq) == (other.persona, other.level, other.first_seq)
