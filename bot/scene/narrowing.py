"""A window that a server with a smaller context has cut, as wide as before once a larger one answers again.

While the larger server is away its cache keeps the longer prompt, and the store keeps every entry.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bot.prompt.window import Window
from bot.store import log, scenes

if TYPE_CHECKING:
    from bot.scene.scene import Scene
    from bot.store.store import Store

LONGEST = 2000
"""Places of the log that a window is widened by at most: a story that went on for so long has moved on."""


@dataclass(slots=True)
class Narrowed:
    """Where a scene's window began in a context of `context_length` tokens, before a smaller one cut it."""

    context_length: int
    start: int


def note_cut(scene: Scene, context_length: int, start: int) -> None:
    """Take note that a window which began at a place is cut for a context."""
    if context_length >= scene.context_length:
        scene.narrowed = None
    elif scene.narrowed is None:
        scene.narrowed = Narrowed(scene.context_length, start)


async def widened(store: Store, scene: Scene, context_length: int) -> bool:
    """Bring back what only a smaller context had no room for; tell whether anything came back.

    The place of the window is the store's again, too. Whether it fits is for the window to say.
    """
    narrowed = scene.narrowed
    if narrowed is None:
        scene.context_length = max(scene.context_length, context_length)
        return False
    if context_length < narrowed.context_length:
        return False
    scene.narrowed = None
    async with scene.arrivals:  # nothing is said, changed or deleted meanwhile
        first, last = narrowed.start, scene.record.window_start - 1
        if not first <= last < first + LONGEST:
            return False
        async with store.transaction() as tx:
            older = await log.between(tx, scene.id, first, last)
            await scenes.change(tx, scene.id, window_start=first)
        scene.window = Window([*map(scene.counted, older), *scene.window.entries])
        scene.change(window_start=first)
    return True
