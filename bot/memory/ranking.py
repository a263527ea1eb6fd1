"""What is found, in order: how words, meaning and the way something was said are weighed. Pure.

A question is answered by an entry or two, whoever spoke and whatever else was going on, and often in other
words. A longer text, such as the last messages at a table, is about a passage: its words are spread over
many entries, there are enough of them to know the place by, and single vectors add little. So there are two
sets of weights, and a query has a share of both, by how much it tells. `bench/recall.py` measures what they
find.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING

from bot.memory.lexical import REACHES, combined
from bot.memory.query import is_named
from bot.store.spaceless import RUN, characters

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from bot.memory.lexical import Scored

RECENCY = 0.02
"""What the latest entry is ahead of the first one, of two that fit equally well."""
FEW_WORDS, MANY_WORDS = 2, 6
"""How many telling words a query has that is about an entry, and one that is about a passage."""
ASKED = 4
"""What asks may have so many words more: they narrow down what is wanted."""
SAYS_ENOUGH = 100
"""Characters after which an entry does not tell more by being longer."""
LOOKED_THROUGH = 1000
DENSE = 2.5
"""How many letters of an alphabet it takes to tell what one character does of a script without spaces."""

_ENDS = ".!?\\n\u3002\uff01\uff1f"
_SENTENCE = re.compile(f"[^{_ENDS}]*[{_ENDS}]*")
_ASKS = re.compile("[?\uff1f]$")


@dataclass(frozen=True, slots=True)
class Weights:
    """What speaks for an entry, and how much.

    `reaches`: the words of the query in and around it, one for each of `lexical.REACHES`. `meaning`: how near
    it is in meaning; `meant_around`: how near those around it are. `told` and `speaker` are the shares of its
    score that an entry loses which tells nothing, and one that nobody said whom the query names.
    """

    reaches: tuple[float, ...]
    meaning: float
    meant_around: float
    told: float
    speaker: float


ENTRY = Weights(reaches=(1.5, 1.5, 0.0, 0.5), meaning=1.5, meant_around=1.0, told=0.5, speaker=0.2)
PASSAGE = Weights(reaches=(1.2, 0.5, 1.5, 2.0), meaning=0.02, meant_around=0.0, told=0.0, speaker=0.0)
"""Tuned on conversations C1E001 to C1E004 of `bench/recall.py`, for ranges of turns, and for questions about
single turns of them and of a made-up chat between two people. For a passage any more weight of meaning cost
what the words had right; it decides where they say nothing."""

_MEANT_REACH = REACHES[2]
_MEANT_SHARES = [1 - abs(offset) / (_MEANT_REACH + 1) for offset in range(-_MEANT_REACH, _MEANT_REACH + 1)]


def weights_of(text: str, words: float) -> Weights:
    """Give the weights for a query of which so many words say something."""
    asks = _ASKS.search(text.strip().partition("\n")[0].rstrip())
    known = words - ASKED * bool(asks)
    wide = min(1.0, max(0.0, (known - FEW_WORDS) / (MANY_WORDS - FEW_WORDS)))

    def between(entry: float, passage: float) -> float:
        return (1 - wide) * entry + wide * passage

    return Weights(
        tuple(between(*both) for both in zip(ENTRY.reaches, PASSAGE.reaches, strict=True)),
        between(ENTRY.meaning, PASSAGE.meaning),
        between(ENTRY.meant_around, PASSAGE.meant_around),
        between(ENTRY.told, PASSAGE.told),
        between(ENTRY.speaker, PASSAGE.speaker),
    )


def fused(
    scored: Mapping[int, Scored], near: Mapping[int, float], recent: Mapping[int, float], weights: Weights
) -> list[tuple[int, float]]:
    """Put both searches together: rows and their scores, from 0 to 1, best first.

    `near` has the cosines of the nearest in meaning, `recent` where in its log a row stands, from 0 to 1.
    """
    words, all_words = combined(scored, weights.reaches), sum(weights.reaches)
    recency = RECENCY * all_words
    total = {row: all_words * score + recency * recent.get(row, 0.0) for row, score in words.items()}
    meaning = _scaled(near)
    for row, share in meaning.items():
        if row in total:
            total[row] += weights.meaning * share
    if weights.meant_around:
        for row, share in _around(meaning, scored).items():
            total[row] += weights.meant_around * share
    most = all_words + recency + (weights.meaning + weights.meant_around if meaning else 0.0)
    best = sorted(sorted(total.items()), key=itemgetter(1), reverse=True)
    return [(row, score / most) for row, score in best]


def _scaled(near: Mapping[int, float]) -> dict[int, float]:
    """Give cosines from 0 for the least to 1 for the greatest: models differ in what they call near."""
    least, most = min(near.values(), default=0.0), max(near.values(), default=0.0)
    return {row: (cosine - least) / (most - least) for row, cosine in near.items()} if most > least else {}


def _around(meaning: Mapping[int, float], wanted: Collection[int]) -> dict[int, float]:
    """Give how near in meaning the entries around each row are, 1 for the best; the nearest count most."""
    sums: dict[int, float] = {}
    for row, near in meaning.items():
        for other, share in enumerate(_MEANT_SHARES, row - _MEANT_REACH):
            if other in wanted:
                sums[other] = sums.get(other, 0.0) + share * near * near
    most = max(sums.values(), default=0.0)
    return {row: one / most for row, one in sums.items()} if most else {}


def worth(text: str, speaker: str, words: Collection[str], weights: Weights) -> float:
    """Give the share of its score that an entry keeps for the way it was said, and by whom.

    What merely asks, or agrees, has the words of what is looked for, and does not tell it.
    """
    if not weights.told and not weights.speaker:
        return 1.0
    named = is_named(speaker, words)
    return (1 - weights.told * (1 - told(text))) * (1 - weights.speaker * (not named))


def told(text: str) -> float:
    """Give how much an entry tells, from 0 to 1: its questions nothing, and more if it is longer."""
    sentences = _SENTENCE.findall(text[:LOOKED_THROUGH])
    telling = "".join(one for one in sentences if not _ASKS.search(one.rstrip()))
    dense = sum(DENSE * len(characters(run)) - len(run) for run in RUN.findall(telling))
    return min(1.0, (len(telling) + dense) / SAYS_ENOUGH)
