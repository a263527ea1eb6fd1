"""The queue in front of a model server: bounded, in order, and visible to those who wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

from bot.errors import BackendBusyError
from bot.model.failures import sentence

OnWait = Callable[[int], None]
"""Told the place in the queue, 1 for the next, when one has to wait and as it changes. Must not block."""


class Queue:
    """Lets `width()` at a time through, the others in order of arrival.

    `bound` is how many may wait; one more gets BackendBusyError.
    """

    def __init__(self, name: Callable[[], str], width: Callable[[], int], bound: int) -> None:
        self._name = name
        self._width = width
        self._bound = bound
        self._running = 0
        self._waiting: list[_Waiter] = []
        self._spare: asyncio.Task[None] | None = None
        self._closed = 0
        self._one_alone = asyncio.Lock()
        self._free = asyncio.Event()

    @property
    def running(self) -> int:
        """How many have been let through and are not done."""
        return self._running

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    async def spare(self, work: Callable[[], Awaitable[None]]) -> bool:
        """Do `work` as soon as nobody is served, and tell whether it was done: whoever comes ends it.

        One such work is done at a time. Raises what `work` raises.
        """
        while self._running or self._closed or self._spare is not None:
            self._free.clear()
            await self._free.wait()
        task = self._spare = asyncio.ensure_future(work())
        try:
            await asyncio.wait({task})
        finally:
            await self._end_spare()
            self._spare = None
            self._free.set()
        if task.cancelled():
            return False
        task.result()
        return True

    @asynccontextmanager
    async def place(self, on_wait: OnWait | None = None) -> AsyncGenerator[None, None]:
        """Wait to be let through, and count as running until the context ends."""
        await self._enter(on_wait)
        try:
            await self._end_spare()
            yield
        finally:
            self._running -= 1
            self._admit()

    @asynccontextmanager
    async def alone(self) -> AsyncGenerator[None, None]:
        """Wait until the last one who was let through is done; nobody else is until the context ends."""
        self._closed += 1
        try:
            async with self._one_alone:
                while self._running:
                    self._free.clear()
                    await self._free.wait()
                await self._end_spare()
                yield
        finally:
            self._closed -= 1
            self._admit()

    async def _end_spare(self) -> None:
        if self._spare is not None:
            self._spare.cancel()
            await asyncio.wait({self._spare})

    async def _enter(self, on_wait: OnWait | None) -> None:
        if self._running < self._width() and not self._waiting and not self._closed:
            self._running += 1
            return
        if len(self._waiting) >= self._bound:
            raise BackendBusyError(
                f"{sentence(self._name())} is busy: {self._bound} answers are waiting already.",
                hint="Try again in a minute.",
            )
        waiter = _Waiter(on_wait)
        self._waiting.append(waiter)
        waiter.tell(len(self._waiting))
        try:
            await waiter.admitted.wait()
        except asyncio.CancelledError:
            self._leave(waiter)
            raise

    def _leave(self, waiter: _Waiter) -> None:
        if waiter.admitted.is_set():
            self._running -= 1
        else:
            self._waiting.remove(waiter)
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self._running < self._width() and not self._closed:
            self._running += 1
            self._waiting.pop(0).admitted.set()
        if not self._running:
            self._free.set()
        for place, waiter in enumerate(self._waiting, start=1):
            waiter.tell(place)


class _Waiter:
    def __init__(self, on_wait: OnWait | None) -> None:
        self.admitted = asyncio.Event()
        self._on_wait = on_wait
        self._place = 0

    def tell(self, place: int) -> None:
        if self._on_wait is not None and place != self._place:
            self._on_wait(place)
        self._place = place
