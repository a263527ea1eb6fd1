"""How fast messages change: one edit in a while for each channel, whoever speaks there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from weakref import WeakValueDictionary

from bot.clock import Clock

EDIT_INTERVAL = 1.2
"""Seconds between two edits in one channel. Discord allows about five in five seconds."""


class Lane:
    """The turns of one channel, handed out in the order in which they were asked for."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._order = asyncio.Lock()
        self._next = clock.monotonic()

    async def turn(self) -> None:
        """Wait until the channel may change again, and take that turn."""
        async with self._order:
            delay = self._next - self._clock.monotonic()
            if delay > 0:
                await self._clock.sleep(delay)
            self.changed()

    def changed(self) -> None:
        """Note that something has just changed there."""
        self._next = self._clock.monotonic() + EDIT_INTERVAL


class Pace:
    """The lanes of all channels. A lane lives as long as somebody holds it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lanes: WeakValueDictionary[int, Lane] = WeakValueDictionary()

    def lane(self, channel_id: int) -> Lane:
        """Give the channel's lane, the same to all who hold it at a time."""
        lane = self._lanes.get(channel_id)
        if lane is None:
            lane = self._lanes[channel_id] = Lane(self._clock)
        return lane


async def unless(event: asyncio.Event, wait: Awaitable[object]) -> bool:
    """Wait for `wait` to end, but no longer than until `event` is set. Gives whether it ended.

    `wait` is cancelled if the event came first, so it must be nothing but waiting.
    """
    waiting = asyncio.ensure_future(wait)
    called_off = asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait({waiting, called_off}, return_when=asyncio.FIRST_COMPLETED)
        if waiting.done():
            waiting.result()
        return waiting.done()
    finally:
        waiting.cancel()
        called_off.cancel()
