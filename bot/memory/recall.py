"""Recall: what was said at the table once, found again by its words and by what it meant."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from bot.memory import query
from bot.memory.common import Common
from bot.memory.lexical import AROUND, Scored, Scorer, Word, evidence, telling
from bot.memory.places import BUCKET, Places
from bot.memory.ranking import fused, weights_of, worth
from bot.memory.runs import LITTLE
from bot.store import recall as stored

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from bot.memory.embedding import Embedding
    from bot.memory.vectors import Vectors
    from bot.store.connection import Connection
    from bot.store.records import Entry
    from bot.store.store import Store

MOST_SCENES = 8
"""How many scenes are searched at once."""
MOST_HITS = 1500
"""Hits of one word in one scene that are looked at: the latest ones."""
ALL_HITS = 3000
"""Hits of all words. The most telling words come first; what is too common says little: twice as many found
no more in a scene of 17,472 turns."""
FEW_HITS = 500
"""A word with fewer is read at once. The others are common: they are counted, if there is room for any of
them, and read only if they are wanted."""
MOST_PLACES = 40
MOST_MEANT = 200
"""How many entries the search by meaning gives."""
MEANT_PLACES = 24
"""Places around the nearest of them that are looked at although the words alone would not lead there,"""
LEAST_WEIGHT = 0.1
"""if meaning weighs at least this much: with less, nothing comes up there before what the words found."""
SECOND_LOOK = 50
"""How many of the best, at least, are looked at again for how they were said."""
AT_ONCE = 4
"""Words or places that are worked at before the event loop goes on: for some 0.3 ms."""


@dataclass(frozen=True, slots=True)
class Hit:
    """An entry that was found. `score` orders the hits of one search and is 1 at most.

    `evidence` tells what speaks for it by itself: the words of the query in and next to it, of which each
    counts 1 at most, and common ones nothing. `meaning` is the cosine between it and the query, None if it
    was not compared or is not among the nearest. `named` says that it has words of the query itself.
    """

    row: int
    entry: Entry
    score: float
    evidence: float
    meaning: float | None
    named: bool


class Recall:
    """Searches scenes. Without `vectors` and `embedding` it goes by words alone."""

    def __init__(
        self, store: Store, vectors: Vectors | None = None, embedding: Embedding | None = None
    ) -> None:
        self._store = store
        self._vectors = vectors
        self._embedding = embedding
        self._common = Common()

    async def search(
        self,
        scene_ids: Sequence[int],
        text: str,
        limit: int,
        *,
        by_words: bool = True,
        by_meaning: bool = True,
    ) -> list[Hit]:
        """Give what fits a text best among all that was said in those scenes, best first.

        Only the first `MOST_SCENES` scenes are searched.
        """
        scene_ids = list(dict.fromkeys(scene_ids))[:MOST_SCENES]
        asked = query.words(text)
        weights, most = weights_of(text, sum(asked.values())), max(limit, SECOND_LOOK)
        there: dict[int, Entry] = {}
        meaning = asyncio.create_task(self._by_meaning(scene_ids, text, wanted=by_meaning))
        try:
            async with self._store.read() as connection:
                sizes, words = await connection.together(
                    partial(self._words, scene_ids, asked if by_words else {})
                )
                scorer = Scorer(words)
                places = await _places(words)
                scored = await _scored(connection, scorer, places)
                if scored and not meaning.done():  # meanwhile most of what will be wanted can be read
                    likely = fused(scored, {}, _recent(sizes, scored), weights)[:most]
                    there = await stored.at(connection, [row for row, _ in likely])
            near = await meaning
        finally:
            meaning.cancel()
            await asyncio.gather(meaning, return_exceptions=True)
        async with self._store.read() as connection:
            if weights.meaning >= LEAST_WEIGHT or not places:
                scored |= await _scored(connection, scorer, _meant(near, places))
            best = fused(scored, near, _recent(sizes, scored), weights)[:most]
            await asyncio.sleep(0)
            if unread := [row for row, _ in best if row not in there]:
                there |= await stored.at(connection, unread)
        # Its words spoke for what stands beside it; where it has just been forgotten nothing does any more.
        lost = {row for row, _ in best if row not in there}
        hits = [
            _hit(there[row], score * worth(there[row].text, there[row].speaker, asked, weights), scored, near)
            for row, score in best
            if row in there and lost.isdisjoint(range(row - AROUND, row + AROUND + 1))
        ]
        return sorted(hits, key=lambda hit: -hit.score)[:limit]

    async def _words(
        self, scene_ids: Sequence[int], asked: Mapping[str, float], connection: Connection
    ) -> tuple[dict[int, int], list[Word]]:
        """Give how many entries those scenes have, and the words with their places."""
        sizes = await stored.sizes(connection, scene_ids)
        return sizes, await _words(connection, sizes, asked, self._common.of(sizes)) if asked else []

    async def _by_meaning(self, scene_ids: Sequence[int], text: str, *, wanted: bool) -> dict[int, float]:
        """Give the nearest entries in meaning, by row, with their cosine."""
        if not wanted or self._vectors is None or self._embedding is None:
            return {}
        vectors = await self._embedding.query(text[: query.MOST_CHARACTERS])
        found = await self._vectors.search(scene_ids, vectors, MOST_MEANT) if vectors else []
        return {near.row: near.cosine for near in found}


async def _words(
    connection: Connection, sizes: Mapping[int, int], words: Mapping[str, float], common: dict[str, int]
) -> list[Word]:
    """Give words with their places, the most telling first, as many as `ALL_HITS` allows.

    What is but a share of a word tells and proves so much less; what is little of one, and common, is left
    out: it would speak for every other entry.
    `common` are the counts known of common words in these scenes; what is found out is added.
    """
    scene_ids, entries = list(sizes), sum(sizes.values())
    few = MOST_HITS + 1 if entries <= MOST_HITS else FEW_HITS  # of few entries no word is common
    rare = [word for word in words if word not in common]
    rows = dict(zip(rare, await stored.hits(connection, scene_ids, rare, few), strict=True))
    common |= {word: FEW_HITS for word in rare if len(rows[word]) >= few}
    counts = {word: common[word] if word in common else len(rows[word]) for word in words}
    uncounted = [word for word in words if common.get(word) == FEW_HITS]
    if uncounted and ALL_HITS - sum(counts[word] for word in words if word not in common) >= FEW_HITS:
        found = await stored.counts(connection, scene_ids, uncounted, MOST_HITS)
        counts |= zip(uncounted, found, strict=True)
        common |= zip(uncounted, found, strict=True)
    wanted = _affordable(
        {word: n for word, n in counts.items() if words[word] > LITTLE or evidence(n, entries)}
    )
    if left := [word for word in wanted if word in common]:
        rows |= zip(left, await stored.hits(connection, scene_ids, left, MOST_HITS), strict=True)
    return [
        Word(
            rows[word],
            words[word] * telling(counts[word], entries),
            words[word] * evidence(counts[word], entries),
        )
        for word in wanted
    ]


def _affordable(counts: Mapping[str, int]) -> list[str]:
    """Give the words whose hits are looked at: the rarest first, and at least one."""
    wanted: list[str] = []
    budget = ALL_HITS
    for word in sorted(counts, key=lambda one: counts[one]):
        if counts[word] and (counts[word] <= budget or not wanted):
            wanted.append(word)
            budget -= counts[word]
    return wanted


async def _places(words: Sequence[Word]) -> list[int]:
    """Give the buckets that have most of the words, letting the event loop go on every now and then."""
    places = Places(words)
    for number, word in enumerate(words, 1):
        places.add(word)
        if not number % AT_ONCE:
            await asyncio.sleep(0)
    return places.best(MOST_PLACES)


def _meant(near: Mapping[int, float], places: Collection[int]) -> list[int]:
    """Give the buckets of those nearest in meaning, but for places that are known."""
    nearest = sorted(near, key=lambda row: -near[row])[:MEANT_PLACES]
    return list(dict.fromkeys(row // BUCKET for row in nearest if row // BUCKET not in places))


def _around(bucket: int) -> tuple[int, int]:
    """Give the rows whose length matters for those of a bucket, within their scene."""
    scene = bucket * BUCKET >> stored.ROW_BITS
    first, last = bucket * BUCKET - AROUND, (bucket + 1) * BUCKET - 1 + AROUND
    return max(first, scene << stored.ROW_BITS), min(last, ((scene + 1) << stored.ROW_BITS) - 1)


async def _scored(connection: Connection, scorer: Scorer, buckets: Sequence[int]) -> dict[int, Scored]:
    """Score the entries of those buckets, letting the event loop go on every now and then."""
    found: dict[int, Scored] = {}
    if buckets:
        scorer.know(await stored.lengths(connection, [_around(bucket) for bucket in buckets]))
    for number, bucket in enumerate(buckets, 1):
        found |= scorer.scored(bucket)
        if not number % AT_ONCE:
            await asyncio.sleep(0)
    return found


def _hit(entry: Entry, score: float, scored: Mapping[int, Scored], near: Mapping[int, float]) -> Hit:
    row = stored.row_of(entry)
    words = scored[row]
    return Hit(row, entry, score, words.evidence, near.get(row), named=words.reaches[0] > 0)


def _recent(sizes: Mapping[int, int], rows: Iterable[int]) -> dict[int, float]:
    """Give where in their scene's log rows stand, from 0 to 1."""
    seqs, share = (1 << stored.ROW_BITS) - 1, {scene: 1 / size for scene, size in sizes.items()}
    return {row: (row & seqs) * share.get(row >> stored.ROW_BITS, 0.0) for row in rows}
