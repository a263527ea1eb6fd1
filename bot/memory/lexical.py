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
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

REACHES = (0, 2, 8, 30)
"""How far neighbours count, in entries,"""
WEIGHTS = (1.5, 1.0, 1.0, 2.0)
"""and how much each reach does. Tuned with the figures below on conversations of `bench/recall.py`."""
SATURATION = 1.0
"""BM25's k1: how much a word that comes again still adds."""
LENGTH_SHARE = (0.3, 0.3, 0.3, 0.0)
"""BM25's b at each reach: how far long passages have to have more words. The widest are all of one length."""
FURTHEST = REACHES[-1]

BUCKET = 8
"""Entries that are looked at together at first, when the places worth a closer look are found."""
SPREAD = (1.0, 0.6, 0.3, 0.3)
"""What a word is worth so many buckets away."""

_TRIANGLES = tuple(tuple(1 - distance / (reach + 1) for distance in range(reach + 1)) for reach in REACHES)
_ROW_BITS = 32


def row_of(scene_id: int, seq: int) -> int:
    """Give the row of an entry."""
    return scene_id << _ROW_BITS | seq


def place_of(row: int) -> tuple[int, int]:
    """Give the scene and the seq of a row."""
    return row >> _ROW_BITS, row & ((1 << _ROW_BITS) - 1)


@dataclass(frozen=True, slots=True)
class Word:
    """A word of the query: the rows that have it, ascending, and its inverse document frequency."""

    rows: Sequence[int]
    telling: float


def telling(count: int, entries: int) -> float:
    """Give the inverse document frequency of a word that `count` of so many entries have, as BM25 has it."""
    return math.log(1 + (max(entries, count) - count + 0.5) / (count + 0.5))


def places(words: Iterable[Word], most: int) -> list[int]:
    """Give the buckets (rows divided by `BUCKET`) that have most of the words, with those beside them."""
    scores: dict[int, float] = {}
    for word in words:
        best: dict[int, float] = {}
        for bucket in {row // BUCKET for row in word.rows}:
            for distance, share in enumerate(SPREAD):
                for other in (bucket - distance, bucket + distance):
                    if best.get(other, 0.0) < share:
                        best[other] = share
        for bucket, share in best.items():
            scores[bucket] = scores.get(bucket, 0.0) + share * word.telling
    return sorted(scores, key=lambda one: (-scores[one], one))[:most]


@dataclass(frozen=True, slots=True)
class Scored:
    """What words say of an entry: a score at each reach, and how telling those near it are together."""

    reaches: tuple[float, ...]
    evidence: float


class Scorer:
    """Scores entries. `lengths` are the texts' lengths, by row, of all entries near those that are scored."""

    def __init__(self, words: Sequence[Word], lengths: Mapping[int, int]) -> None:
        self._words = words
        self._lengths = lengths
        self._mean = sum(lengths.values()) / max(len(lengths), 1) or 1.0

    def scored(self, row: int) -> Scored:
        """Score one entry."""
        norms = self._norms(row)
        sums = [0.0] * len(REACHES)
        evidence = 0.0
        for word in self._words:
            counts = _counts(word.rows, row)
            if not counts[-1]:
                continue
            for place, count in enumerate(counts):
                if count:
                    sums[place] += word.telling * count * (SATURATION + 1) / (count + norms[place])
            if counts[1]:
                evidence += word.telling
        return Scored(tuple(sums), evidence)

    def _norms(self, row: int) -> list[float]:
        norms = []
        for reach, triangle, share in zip(REACHES, _TRIANGLES, LENGTH_SHARE, strict=True):
            if not share:
                norms.append(SATURATION)
                continue
            length = weights = 0.0
            for other in range(row - reach, row + reach + 1):
                if other in self._lengths:
                    length += triangle[abs(other - row)] * self._lengths[other]
                    weights += triangle[abs(other - row)]
            relative = length / (weights or 1.0) / self._mean
            norms.append(SATURATION * (1 - share + share * relative))
        return norms


def _counts(rows: Sequence[int], row: int) -> list[float]:
    """Count a word around a row, at each reach."""
    counts = [0.0] * len(REACHES)
    first, last = bisect_left(rows, row - FURTHEST), bisect_right(rows, row + FURTHEST)
    for other in rows[first:last]:
        distance = abs(other - row)
        for place in range(len(REACHES) - 1, -1, -1):
            if distance > REACHES[place]:
                break
            counts[place] += _TRIANGLES[place][distance]
    return counts


def combined(scored: Mapping[int, Scored]) -> dict[int, float]:
    """Give one score for each row, from 0 to 1: each reach on the scale of its best."""
    best = [
        max((one.reaches[place] for one in scored.values()), default=0.0) for place in range(len(REACHES))
    ]
    shares = [
        weight / (sum(WEIGHTS) * most) if most else 0.0 for weight, most in zip(WEIGHTS, best, strict=True)
    ]
    return {
        row: sum(share * score for share, score in zip(shares, one.reaches, strict=True))
        for row, one in scored.items()
    }
