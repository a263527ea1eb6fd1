"""Scores of log entries for the words of a query: which words stand in an entry, and which around it. Pure.

An entry is scored at several reaches. At each of them it counts as one passage with its neighbours up to so
many entries away, whose words weigh less the further off they are (a triangle), and the passage is scored as
BM25 scores documents: https://en.wikipedia.org/wiki/Okapi_BM25. At a table the words that tell what happened
are spread over several lines, and what a line means stands in the ones before it.

Entries are named by rows: `scene_id << 32 | seq`, so that neighbours have neighbouring numbers.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from operator import mul
from typing import TYPE_CHECKING, NamedTuple

from bot.memory.places import BUCKET

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

REACHES = (0, 2, 8, 30)
"""How far neighbours count, in entries."""
SATURATION = 1.0
"""BM25's k1: how much a word that comes again still adds."""
LENGTH_SHARE = (0.3, 0.3, 0.3, 0.0)
"""BM25's b at each reach: how far long passages have to have more words. The widest are all of one length."""
AROUND = REACHES[1]
"""How far around a bucket lengths are needed."""

LEAST_TELLING = 0.5
"""Words less telling than this share of the most telling one prove nothing."""

_, _CLOSE, _WIDE, _WIDEST = (
    tuple(1 - distance / (reach + 1) for distance in range(reach + 1)) for reach in REACHES
)
_CLOSE_REACH, _WIDE_REACH, _WIDEST_REACH = REACHES[1:]
_CLOSE_SHARES = (*_CLOSE[:0:-1], *_CLOSE)


@dataclass(frozen=True, slots=True)
class Word:
    """A word of the query: the rows that have it, ascending, and its inverse document frequency.

    `evidence` is what finding it proves: 1 for a word that was said but once, 0 for a common one.
    """

    rows: Sequence[int]
    telling: float
    evidence: float


def telling(count: int, entries: int) -> float:
    """Give the inverse document frequency of a word that `count` of so many entries have, as BM25 has it."""
    return math.log(1 + (max(entries, count) - count + 0.5) / (count + 0.5))


def evidence(count: int, entries: int) -> float:
    """Give what finding a word proves that `count` of so many entries have."""
    share = telling(count, entries) / telling(1, entries)
    return share if share >= LEAST_TELLING else 0.0


class Scored(NamedTuple):
    """What words say of an entry: a score at each reach, and what those next to it prove together."""

    reaches: tuple[float, ...]
    evidence: float


class Scorer:
    """Scores entries, a bucket at a time, once the lengths in and around it are known.

    The two widest reaches are so wide that all of a bucket is taken to have the length, and for the widest
    the words, that its middle has.
    """

    def __init__(self, words: Sequence[Word]) -> None:
        self._words = words
        self._lengths: dict[int, int] = {}
        self._mean = 0.0

    def know(self, lengths: Mapping[int, int]) -> None:
        """Take note of texts' lengths, by row. What comes first tells how long they are on the average."""
        self._lengths |= lengths
        if lengths and not self._mean:
            self._mean = sum(lengths.values()) / len(lengths) or 1.0

    def scored(self, bucket: int) -> dict[int, Scored]:
        """Score the entries of a bucket."""
        first = bucket * BUCKET
        around = range(first - _CLOSE_REACH, first + BUCKET + _CLOSE_REACH)
        lengths = [self._lengths.get(row) for row in around]
        own = lengths[_CLOSE_REACH : _CLOSE_REACH + BUCKET]
        there = [(place, length) for place, length in enumerate(own) if length is not None]
        if not there:
            return {}
        length = sum([length for _, length in there]) / len(there)
        sums = _Sums(lengths, length, self._norm)
        middle = there[len(there) // 2][0]
        for word in self._words:
            begin = bisect_left(word.rows, first + middle - _WIDEST_REACH)
            end = bisect_right(word.rows, first + middle + _WIDEST_REACH, begin)
            if begin < end:
                sums.add(word, [row - first for row in word.rows[begin:end]], middle)
        return {first + place: sums.at(place) for place, _ in there}

    def _norm(self, length: float, share: float) -> float:
        return SATURATION * (1 - share + share * length / self._mean)


class _Sums:
    """What words say of the entries of one bucket: at each reach a number for each of its `BUCKET` places.

    `lengths` are those of the bucket's entries and of `_CLOSE_REACH` before and behind it, `length` is the
    mean of its own. `norm` is BM25's norm for a length and its share at a reach.
    """

    def __init__(
        self, lengths: Sequence[int | None], length: float, norm: Callable[[float, float], float]
    ) -> None:
        self._lengths = lengths
        self._norm = norm
        self._wide_norm = norm(length, LENGTH_SHARE[2])
        self._close_norms: dict[int, float] = {}
        self._own = [0.0] * BUCKET
        self._close = [0.0] * BUCKET
        self._wide = [0.0] * BUCKET
        self._widest = 0.0
        self._proved = [0.0] * BUCKET

    def add(self, word: Word, places: Sequence[int], middle: int) -> None:
        """Add a word that stands in those places, counted from the first, up to `_WIDEST_REACH` off."""
        count = sum([_WIDEST[abs(place - middle)] for place in places])
        self._widest += word.telling * _saturated(count, SATURATION)
        near = [place for place in places if -_WIDE_REACH <= place < BUCKET + _WIDE_REACH]
        if near:
            most, norm = word.telling * (SATURATION + 1), self._wide_norm
            counts = _counted(_WIDE_BY, near)
            self._wide = [
                total + most * count / (count + norm) for total, count in zip(self._wide, counts, strict=True)
            ]
            close = [place for place in near if -_CLOSE_REACH <= place < BUCKET + _CLOSE_REACH]
            if close:
                self._add_close(word, close)

    def at(self, place: int) -> Scored:
        """Give what the words say of one entry."""
        reaches = (self._own[place], self._close[place], self._wide[place], self._widest)
        return Scored(reaches, self._proved[place])

    def _add_close(self, word: Word, places: Sequence[int]) -> None:
        for place, count in enumerate(_counted(_CLOSE_BY, places)):
            if count:
                self._close[place] += word.telling * _saturated(count, self._close_norm(place))
                self._proved[place] += word.evidence
        for place in places:
            if 0 <= place < BUCKET:
                own_norm = self._norm(self._lengths[_CLOSE_REACH + place] or 0, LENGTH_SHARE[0])
                self._own[place] += word.telling * _saturated(1.0, own_norm)

    def _close_norm(self, place: int) -> float:
        known = self._close_norms.get(place)
        if known is None:
            length = _mean_around(self._lengths, place)
            known = self._close_norms[place] = self._norm(length, LENGTH_SHARE[1])
        return known


def _mirrored(by_distance: Sequence[float]) -> list[float]:
    """Give what counts at each distance for every offset from -2 * BUCKET to 2 * BUCKET."""
    half = [*by_distance, *[0.0] * (2 * BUCKET + 1 - len(by_distance))]
    return [*half[:0:-1], *half]


def _seen_from(by_offset: Sequence[float], place: int) -> Sequence[float]:
    """Give what counts in each place of a bucket for a word that stands in `place`."""
    return by_offset[2 * BUCKET - place : 3 * BUCKET - place]


def _counted(by_offset: Sequence[float], places: Sequence[int]) -> Sequence[float]:
    """Add up for each place of a bucket what words count that stand in those places."""
    counts, *others = [_seen_from(by_offset, place) for place in places]
    for other in others:
        counts = [count + more for count, more in zip(counts, other, strict=True)]
    return counts


_CLOSE_BY, _WIDE_BY = _mirrored(_CLOSE), _mirrored(_WIDE)


def _mean_around(lengths: Sequence[int | None], place: int) -> float:
    """Give the mean length around a place of a bucket; the lengths begin `_CLOSE_REACH` before the bucket."""
    total = shares = 0.0
    for share, length in zip(_CLOSE_SHARES, lengths[place : place + len(_CLOSE_SHARES)], strict=True):
        if length is not None:
            total += share * length
            shares += share
    return total / shares if shares else 0.0


def _saturated(count: float, norm: float) -> float:
    return count * (SATURATION + 1) / (count + norm)


def combined(scored: Mapping[int, Scored], weights: Sequence[float]) -> dict[int, float]:
    """Give one score for each row, from 0 to 1: each reach on the scale of its best, with its weight."""
    if not scored:
        return {}
    best = [max(column) for column in zip(*[one.reaches for one in scored.values()], strict=True)]
    shares = [
        weight / (sum(weights) * most) if most else 0.0 for weight, most in zip(weights, best, strict=True)
    ]
    return {row: sum(map(mul, shares, one.reaches)) for row, one in scored.items()}
