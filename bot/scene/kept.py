"""What players pinned and what is secret in running scenes: read once, and again when it has changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from bot.store import knowledge, pins

if TYPE_CHECKING:
    from bot.scene.scene import Scene
    from bot.store.connection import Connection
    from bot.store.records import Pin, Secret
    from bot.store.store import Store


@dataclass(frozen=True, slots=True)
class Facts:
    """A scene's pins and secrets, oldest first."""

    pins: tuple[Pin, ...]
    secrets: tuple[Secret, ...]


class Kept:
    """Knows the pins and secrets of running scenes. Every answer asks for them; they hardly ever change."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: WeakKeyDictionary[Scene, Facts] = WeakKeyDictionary()

    async def of(self, scene: Scene) -> Facts:
        """Give a scene's pins and secrets.

        They are read as a writer does: what a transaction is about to change must not be read before and
        remembered after it.
        """
        known = self._known.get(scene)
        if known is None:

            async def read(tx: Connection) -> Facts:
                there = await pins.of_scene(tx, scene.id)
                return Facts(tuple(there), tuple(await knowledge.secrets_of(tx, scene.id)))

            known = self._known[scene] = await self._store.change(read)
        return known

    def changed(self, scene_id: int) -> None:
        """Take note that a pin, what one quotes, or a secret is changed, in the transaction that does so."""
        for scene in [one for one in self._known if one.id == scene_id]:
            del self._known[scene]
