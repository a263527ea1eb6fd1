"""Where most of a query's words stand close together: the places of a log that are worth a closer look. Pure.

A place is a bucket: `BUCKET` entries in a row. What each word is worth is summed up for all buckets at once,
in one large integer that has a lane of 16 bits for each of them: Python shifts, multiplies and adds these
about as fast as memory is read, where a loop over the places of common words would hold up the event loop.
"""

from __future__ import annotations

import itertools
import sys
from array import array
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bot.memory.lexical import Word

BUCKET = 8
"""Entries that are looked at together at first."""
SPREAD = ((0, 1.0), (1, 0.6), (3, 0.3))
"""What a word is worth in buckets up to so many away."""

_SCENE_BITS = 32
_LANE_BITS = 16
_STEPS = tuple((reach, worth - less) for (reach, worth), (_, less) in itertools.pairwise((*SPREAD, (0, 0.0))))
_MARGIN = SPREAD[-1][0]
_BLOCK = 32


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
        reached = 0
        for reach, step in _STEPS:
            if reach > reached:  # by no more than what is covered so far, so that no gap is left
                shift = (reach - reached) * _LANE_BITS
                within |= within << shift | within >> shift
                reached = reach
            self._sums += within * round(step * word.telling * self._unit)

    def best(self, most: int) -> list[int]:
        """Give the buckets (rows divided by `BUCKET`) whose sums are highest, best first."""
        sums = array("H", self._sums.to_bytes(2 * self._lanes, sys.byteorder))
        # The best lanes are in the blocks that have the highest lane: far fewer numbers have to be sorted.
        blocks = [max(sums[first : first + _BLOCK]) for first in range(0, self._lanes, _BLOCK)]
        floor = max(sorted(blocks)[-most], 1) if len(blocks) >= most else 1
        near = itertools.chain.from_iterable(
            range(number * _BLOCK, min((number + 1) * _BLOCK, self._lanes))
            for number, highest in enumerate(blocks)
            if highest >= floor
        )
        lanes = [lane for lane in near if sums[lane] >= floor]
        lanes.sort(key=sums.__getitem__, reverse=True)
        shifts = list(self._shifts.values())
        return [lane + shifts[bisect_right(self._starts, lane) - 1] for lane in lanes[:most]]

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
