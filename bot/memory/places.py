"""Where most of a query's words stand close together: the places of a log that are worth a closer look. Pure.

A place is a bucket: `BUCKET` entries in a row. What each word is worth is summed up for all buckets at once:
a set of buckets is one large integer that has a bit for each of them, and a sum for every bucket is such an
integer for each binary digit ("bit slicing"). Python moves and combines these about as fast as memory is
read, where a loop over the places of common words would hold up the event loop.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bot.memory.lexical import Word

BUCKET = 8
"""Entries that are looked at together at first."""
SPREAD = ((0, 1.0), (1, 0.6), (3, 0.3))
"""What a word is worth in buckets up to so many away."""
DIGITS = 12
"""Binary digits of a sum."""

_BUCKET_BITS = 3
_SCENE_BITS = 32
_MARGIN = SPREAD[-1][0]


class Places:
    """Sums up what words are worth in each bucket, a word at a time. `words` are all that will be added.

    The buckets of all scenes have consecutive numbers here, with a margin around those of each scene.
    """

    def __init__(self, words: Sequence[Word]) -> None:
        self._count = 0
        self._starts: list[int] = []
        self._firsts: list[int] = []
        """The row in which each scene's numbers begin."""
        self._scenes: list[int] = []
        for scene, (first, last) in sorted(_extents(words).items()):
            self._scenes.append(scene)
            self._starts.append(self._count)
            self._firsts.append((first // BUCKET - _MARGIN) * BUCKET)
            self._count += last // BUCKET - first // BUCKET + 1 + 2 * _MARGIN
        # As fine as possible, such that no sum has more digits: a word is rounded by a half at most.
        most = 2**DIGITS - 1 - len(words)
        self._unit = most / (sum(word.telling for word in words) or 1.0)
        self._sums = [0] * DIGITS
        """For each binary digit, the lowest first, the buckets whose sums have it."""

    def add(self, word: Word) -> None:
        """Add what a word is worth in the buckets that have it, and in those near them."""
        within = self._having(word.rows)
        rings = [(within, round(word.telling * self._unit))]
        for (near, _), (reach, worth) in itertools.pairwise(SPREAD):
            # By no more than what is covered so far, so that no gap is left.
            wider = within | within << reach - near | within >> reach - near
            rings.append((wider ^ within, round(worth * word.telling * self._unit)))
            within = wider
        self._raise(rings)

    def best(self, most: int) -> list[int]:
        """Give the buckets (rows divided by `BUCKET`) whose sums are highest, best first."""
        buckets = 0
        for digit in self._sums:
            buckets |= digit
        found: list[int] = []
        self._choose(buckets, DIGITS, most, found)
        return [self._bucket(number) for number in found]

    def _choose(self, buckets: int, digits: int, most: int, found: list[int]) -> None:
        """Append the highest of those buckets, which are told apart by their lowest digits alone."""
        if not digits or buckets.bit_count() <= 1:
            found += itertools.islice(_bits(buckets), most - len(found))
            return
        higher = buckets & self._sums[digits - 1]
        if higher:
            self._choose(higher, digits - 1, most, found)
        if len(found) < most and buckets != higher:
            self._choose(buckets ^ higher, digits - 1, most, found)

    def _raise(self, rings: Sequence[tuple[int, int]]) -> None:
        """Add a number each to the sums of sets that have nothing in common, digit by digit as on paper."""
        carry = 0
        for place, digit in enumerate(self._sums):
            added = 0
            for buckets, worth in rings:
                if worth >> place & 1:
                    added |= buckets
            differing = digit ^ added
            self._sums[place] = differing ^ carry
            carry = digit & added | differing & carry

    def _having(self, rows: Sequence[int]) -> int:
        """Give the set of the buckets that have one of these rows."""
        found = bytearray(self._count // 8 + 1)
        for scene, there in _by_scene(rows):
            place = self._scenes.index(scene)
            first, start = self._firsts[place], self._starts[place]
            for row in there:
                number = (row - first >> _BUCKET_BITS) + start
                found[number >> 3] |= 1 << (number & 7)
        return int.from_bytes(found, "little")

    def _bucket(self, number: int) -> int:
        place = bisect_right(self._starts, number) - 1
        return self._firsts[place] // BUCKET + number - self._starts[place]


def _bits(buckets: int) -> Iterator[int]:
    """Give the numbers in a set, ascending."""
    while buckets:
        lowest = buckets & -buckets
        yield lowest.bit_length() - 1
        buckets ^= lowest


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
