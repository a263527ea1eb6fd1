"""Time, passed in: what waits or stamps asks a clock, so that tests can own it."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """A source of time."""

    def now(self) -> float:
        """Give the wall-clock time in seconds since the Unix epoch."""
        ...

    def monotonic(self) -> float:
        """Give a time in seconds that never goes back, for measuring spans."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait that long."""
        ...


class SystemClock:
    """The machine's own time."""

    def now(self) -> float:
        """Give the wall-clock time in seconds since the Unix epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Give a time in seconds that never goes back, for measuring spans."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait that long."""
        await asyncio.sleep(seconds)
