"""Which words are common in a scene: to count them for every search would cost more than the search. Pure."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

GROWTH = 0.01
"""By how much scenes may grow, or shrink, before words are counted anew."""
MOST_KNOWN = 16
"""How many scenes, or sets of scenes that are searched together, are known at a time."""


class Common:
    """Remembers how many entries have a common word. Where the words stand is never remembered."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[int, ...], tuple[int, dict[str, int]]] = OrderedDict()

    def of(self, sizes: Mapping[int, int]) -> dict[str, int]:
        """Give what is known of common words in scenes with so many entries each, to be added to."""
        scenes, entries = tuple(sizes), sum(sizes.values())
        counted_at, counts = self._known.get(scenes, (0, {}))
        if abs(entries - counted_at) > GROWTH * counted_at:
            counted_at, counts = entries, {}
        self._known[scenes] = counted_at, counts
        self._known.move_to_end(scenes)
        if len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)
        return counts
