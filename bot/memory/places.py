"""Where most of a query's words stand close together: the places of a log that are worth a closer look. Pure.

A place is a bucket: `BUCKET` entries in a row. What each word is worth is summed up for all buckets at once,
in one large integer that has a lane of 16 bits for each of them: Python shifts, multiplies and adds these
about as fast as memory is read, where a loop over the places of common words would hold up the event loop.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left, bisect_right
from heapq import nlargest
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bot.memory.lexical import Word

BUCKET = 8
"""Entries that are looked at together at first."""
SPREAD = (1.0, 0.6, 0.3, 0.3)
"""What a word is worth so many buckets away."""

_SCENE_BITS = 32
_LANE_BITS = 16
_STEPS = tuple(near - far for near, far in pairwise((*SPREAD, 0.0)))
_MARGIN = len(SPREAD) - 1


class Places:
    """Sums up what words are worth in each bucket, a word at a time. `words` are all that will be added."""

    def __init__(self, words: Sequence[Word]) -> None:
        self._lanes = 0
        self._starts: list[int] = []
        self._shifts: dict[int, int] = {}
        for scene, (first, last) in sorted(_extents(words).items()):
            self._starts.append(self._lanes)
            self._shifts[scene] = first // BUCKET - self._lanes - _MARGIN
            self._lanes += last // BUCKET - first // BUCKET + 1 + 2 * _MARGIN
        # As fine as possible, such that no lane overflows: a step is rounded by a half at most.
        most = 2**_LANE_BITS - 1 - len(words) * len(_STEPS)
        self._unit = most / (sum(word.telling for word in words) or 1.0)
        self._sums = 0

    def add(self, word: Word) -> None:
        """Add what a word is worth in the buckets that have it, and in those near them."""
        within = self._having(word.rows)
        for distance, step in enumerate(_STEPS):
            if distance:
                within |= within << _LANE_BITS | within >> _LANE_BITS
            self._sums += within * round(step * word.telling * self._unit)

    def best(self, most: int) -> list[int]:
        """Give the buckets (rows divided by `BUCKET`) whose sums are highest, best first."""
        sums = array("H", self._sums.to_bytes(2 * self._lanes, sys.byteorder))
        shifts = list(self._shifts.values())
        return [
            lane + shifts[bisect_right(self._starts, lane) - 1]
            for lane in nlargest(most, range(self._lanes), key=sums.__getitem__)
            if sums[lane]
        ]

    def _having(self, rows: Sequence[int]) -> int:
        """Give 1 in the lane of each bucket that has one of these rows."""
        lanes = array("H", bytes(2 * self._lanes))
        for scene, there in _by_scene(rows):
            shift = self._shifts[scene]
            for row in there:
                lanes[row // BUCKET - shift] = 1
        return int.from_bytes(lanes.tobytes(), sys.byteorder)


def _extents(words: Sequence[Word]) -> dict[int, tuple[int, int]]:
    """Give the first and last row of any word in each scene."""
    found: dict[int, tuple[int, int]] = {}
    for word in words:
        for scene, there in _by_scene(word.rows):
            first, last = found.get(scene, (there[0], there[-1]))
            found[scene] = min(first, there[0]), max(last, there[-1])
    return found


def _by_scene(rows: Sequence[int]) -> Iterator[tuple[int, Sequence[int]]]:
    """Divide ascending rows by their scenes."""
    begin = 0
    while begin < len(rows):
        scene = rows[begin] >> _SCENE_BITS
        end = bisect_left(rows, (scene + 1) << _SCENE_BITS, begin)
        yield scene, rows[begin:end]
        begin = end
