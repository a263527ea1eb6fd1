"""Discord's ids: 64-bit numbers that carry their own time and never go down."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bot.clock import Clock

DISCORD_EPOCH = 1_420_070_400.0
"""The first second of 2015 in Unix seconds, where Discord's ids begin."""


class Snowflakes:
    """Hands out ids that grow strictly, also where the clock stands still."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last = 0

    def next(self) -> int:
        """Give the next id: milliseconds since 2015 in the upper 42 bits."""
        self._last = max(self._last + 1, int((self._clock.now() - DISCORD_EPOCH) * 1000) << 22)
        return self._last


def snowflake_time(snowflake: int) -> float:
    """Give the Unix time in seconds at which an id was made."""
    return (snowflake >> 22) / 1000 + DISCORD_EPOCH


def isoformat(seconds: float) -> str:
    """Write a Unix time the way Discord does: ISO 8601 in UTC with microseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")
