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
    from collections.abc import Iterable, Mapping, Sequence

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
_CLOSE_BY = [(offset, _CLOSE[abs(offset)]) for offset in range(-_CLOSE_REACH, _CLOSE_REACH + 1)]


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
        rows = [row for row in range(bucket * BUCKET, (bucket + 1) * BUCKET) if row in self._lengths]
        if not rows:
            return {}
        length = sum([self._lengths[row] for row in rows]) / len(rows)
        wide_norm = self._norm(length, LENGTH_SHARE[2])
        widest, near = self._around(rows[0], rows[len(rows) // 2], rows[-1])
        return {row: self._one(row, near, wide_norm, widest) for row in rows}

    def _around(self, first: int, middle: int, last: int) -> tuple[float, list[tuple[Word, list[int]]]]:
        """Give the score at the widest reach, and the words near enough for the others, with their rows."""
        widest = 0.0
        near = []
        for word in self._words:
            rows = word.rows
            begin = bisect_left(rows, middle - _WIDEST_REACH)
            end = bisect_right(rows, middle + _WIDEST_REACH, begin)
            if begin < end:
                there = rows[begin:end]
                count = sum([_WIDEST[abs(row - middle)] for row in there])
                widest += word.telling * _saturated(count, SATURATION)
                close = [row for row in there if first - _WIDE_REACH <= row <= last + _WIDE_REACH]
                if close:
                    near.append((word, close))
        return widest, near

    def _one(
        self, row: int, near: Iterable[tuple[Word, Sequence[int]]], wide_norm: float, widest: float
    ) -> Scored:
        own_norm = self._norm(self._lengths[row], LENGTH_SHARE[0])
        close_norm = self._norm(self._length_around(row), LENGTH_SHARE[1])
        own = close = wide = proved = 0.0
        for word, rows in near:
            close_count = wide_count = 0.0
            for other in rows:
                distance = abs(other - row)
                if distance <= _WIDE_REACH:
                    wide_count += _WIDE[distance]
                    if distance <= _CLOSE_REACH:
                        close_count += _CLOSE[distance]
                        if not distance:
                            own += word.telling * _saturated(1.0, own_norm)
            if wide_count:
                wide += word.telling * _saturated(wide_count, wide_norm)
                if close_count:
                    close += word.telling * _saturated(close_count, close_norm)
                    proved += word.evidence
        return Scored((own, close, wide, widest), proved)

    def _length_around(self, row: int) -> float:
        total = shares = 0.0
        for offset, share in _CLOSE_BY:
            length = self._lengths.get(row + offset)
            if length is not None:
                total += share * length
                shares += share
        return total / shares

    def _norm(self, length: float, share: float) -> float:
        return SATURATION * (1 - share + share * length / self._mean)


def _saturated(count: float, norm: float) -> float:
    return count * (SATURATION + 1) / (count + norm)


def combined(scored: Mapping[int, Scored], weights: Sequence[float]) -> dict[int, float]:
    """Give one score for each row, from 0 to 1: each reach on the scale of its best, with its weight."""
    best = [
        max((one.reaches[place] for one in scored.values()), default=0.0) for place in range(len(REACHES))
    ]
    shares = [
        weight / (sum(weights) * most) if most else 0.0 for weight, most in zip(weights, best, strict=True)
    ]
    return {row: sum(map(mul, shares, one.reaches)) for row, one in scored.items()}
