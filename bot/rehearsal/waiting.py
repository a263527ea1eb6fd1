"""Waiting for what will be: a condition that anybody can re-check, and things that happen later."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from bot.clock import Clock


class Waker:
    """Wakes everybody who waits for something to become true."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def notify(self) -> None:
        """Say that something changed."""
        self._event.set()
        self._event = asyncio.Event()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until `holds` is true; it is asked again after every `notify`."""
        while not holds():
            await self._event.wait()


class Timers:
    """Calls things later, and forgets them all at once when the room closes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()

    def later(self, seconds: float, action: Callable[[], None]) -> asyncio.Task[None]:
        """Call `action` after that many seconds of the room's clock, unless the task is cancelled."""
        due = self._clock.monotonic() + seconds

        async def wait() -> None:
            await self._clock.sleep(max(0.0, due - self._clock.monotonic()))
            action()

        task = asyncio.get_running_loop().create_task(wait())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def close(self) -> None:
        """Cancel everything that was to come."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
