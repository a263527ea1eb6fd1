"""When the database cannot be written for a while: it is locked by another program, or its disk is full."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, TypeVar

import structlog

from bot.errors import HearthsideError, StoreError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bot.clock import Clock
    from bot.scene.ports import Stage
    from bot.scene.scene import Scene

T = TypeVar("T")

# Seconds before it is tried again: doubled with every attempt, up to the longer. An attempt itself waits for
# some seconds where another program has the database locked.
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 30.0
# After how many attempts the table is told why nobody answers.
TOLD_AFTER = 3


class Patience:
    """Tries to store what must not be lost until that works."""

    def __init__(self, stage: Stage, clock: Clock) -> None:
        self._stage = stage
        self._clock = clock
        self._log = structlog.get_logger("hearthside.table")

    async def until_stored(self, scene: Scene | None, work: Callable[[], Awaitable[T]]) -> T:
        """Do `work`, and once more as often as the store fails; the scene's table is told if that lasts."""
        attempts = 0
        while True:
            try:
                return await work()
            except StoreError as error:
                attempts += 1
                self._log.warning("not_stored_yet", attempts=attempts, error=str(error))
                if scene and attempts == TOLD_AFTER:
                    with contextlib.suppress(HearthsideError):
                        await self._stage.notice(scene.place, f"⚠ {error}")
            await self._clock.sleep(min(FIRST_PAUSE * 2 ** (attempts - 1), LONGEST_PAUSE))
