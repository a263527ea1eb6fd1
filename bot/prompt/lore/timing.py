"""Timed effects, counted in messages of the story from the count at which an entry was told last."""

from __future__ import annotations

from bot.prompt.lore.model import LoreEntry


def is_sticky(entry: LoreEntry, fired: int | None, count: int) -> bool:
    """Tell whether the entry is still on since it was told at message `fired`."""
    return bool(entry.sticky) and fired is not None and count < fired + (entry.sticky or 0)


def is_cooling(entry: LoreEntry, fired: int | None, count: int) -> bool:
    """Tell whether the entry rests. The rest begins where being sticky ends."""
    if not entry.cooldown or fired is None:
        return False
    begins = fired + (entry.sticky or 0)
    return begins <= count < begins + entry.cooldown


def is_delayed(entry: LoreEntry, count: int) -> bool:
    """Tell whether the story is too young for the entry."""
    return count < (entry.delay or 0)
