"""Recall: what was said at the table once, found again by its words and by what it meant."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bot.memory import query
from bot.memory.lexical import AROUND, Scored, Scorer, Word, evidence, telling
from bot.memory.places import BUCKET, Places
from bot.memory.ranking import fused, weights_of, worth
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
"""A word with fewer is counted at once. The others are counted only if there is room for any of them."""
MOST_PLACES = 40
MOST_MEANT = 200
"""How many entries the search by meaning gives."""
MEANT_PLACES = 24
"""Places around the nearest of them that are looked at although the words alone would not lead there,"""
LEAST_WEIGHT = 0.1
"""if meaning weighs at least this much: with less, nothing comes up there before what the words found."""
SECOND_LOOK = 50
"""How many of the best, at least, are looked at again for how they were said."""


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
        meaning = asyncio.create_task(self._by_meaning(scene_ids, text, wanted=by_meaning))
        try:
            async with self._store.read() as connection:
                sizes = await stored.sizes(connection, scene_ids)
                words = await _words(connection, sizes, asked) if by_words else []
                scorer = Scorer(words)
                places = await _places(words)
                scored = await _scored(connection, scorer, places)
            meant = await meaning
        finally:
            meaning.cancel()
            await asyncio.gather(meaning, return_exceptions=True)
        async with self._store.read() as connection:
            rows = await stored.rows_of(connection, list(meant)) if meant else {}
            near = {rows[entry_id]: cosine for entry_id, cosine in meant.items() if entry_id in rows}
            weights = weights_of(text, len(asked))
            if weights.meaning >= LEAST_WEIGHT or not places:
                scored |= await _scored(connection, scorer, _meant(near, places))
            best = fused(scored, near, _recent(sizes, scored), weights)[: max(limit, SECOND_LOOK)]
            there = await stored.at(connection, [row for row, _ in best])
        hits = [
            Hit(
                row,
                there[row],
                score * worth(there[row].text, there[row].speaker, asked, weights),
                scored[row].evidence,
                near.get(row),
                scored[row].reaches[0] > 0,
            )
            for row, score in best
            if row in there
        ]
        return sorted(hits, key=lambda hit: -hit.score)[:limit]

    async def _by_meaning(self, scene_ids: Sequence[int], text: str, *, wanted: bool) -> dict[int, float]:
        """Give the nearest entries in meaning, by id, with their cosine."""
        if not wanted or self._vectors is None or self._embedding is None:
            return {}
        vectors = await self._embedding.query(text[: query.MOST_CHARACTERS])
        return dict(await self._vectors.search(scene_ids, vectors, MOST_MEANT)) if vectors else {}


async def _words(connection: Connection, sizes: Mapping[int, int], words: Sequence[str]) -> list[Word]:
    """Give words with their places, the most telling first, as many as `ALL_HITS` allows."""
    scene_ids, entries = list(sizes), sum(sizes.values())

    async def hits(numbers: Sequence[int]) -> dict[int, list[int]]:
        found = await stored.hits(connection, scene_ids, [words[number] for number in numbers], MOST_HITS)
        return dict(zip(numbers, found, strict=True))

    if entries <= MOST_HITS:  # so few that to read where the words are costs less than to count them first
        rows = await hits(range(len(words)))
        counts = [len(rows[number]) for number in range(len(words))]
        wanted = _affordable(counts)
    else:
        counts = await _counts(connection, scene_ids, words)
        wanted = _affordable(counts)
        rows = await hits(wanted)
    return [
        Word(rows[number], telling(counts[number], entries), evidence(counts[number], entries))
        for number in wanted
    ]


def _affordable(counts: Sequence[int]) -> list[int]:
    """Give the words, by their places, whose hits are looked at: the rarest first, and at least one."""
    wanted: list[int] = []
    budget = ALL_HITS
    for number in sorted(range(len(counts)), key=lambda one: counts[one]):
        if counts[number] and (counts[number] <= budget or not wanted):
            wanted.append(number)
            budget -= counts[number]
    return wanted


async def _counts(connection: Connection, scene_ids: Sequence[int], words: Sequence[str]) -> list[int]:
    """Count the entries that have each word, and common ones only as far as there is room for their hits."""
    counts = await stored.counts(connection, scene_ids, words, FEW_HITS)
    common = [number for number, count in enumerate(counts) if count >= FEW_HITS]
    left = ALL_HITS - sum(count for count in counts if count < FEW_HITS)
    if common and left >= FEW_HITS:
        most = min(MOST_HITS, left + 1)
        more = await stored.counts(connection, scene_ids, [words[number] for number in common], most)
        for number, count in zip(common, more, strict=True):
            counts[number] = count
    return counts


async def _places(words: Sequence[Word]) -> list[int]:
    """Give the buckets that have most of the words, letting the event loop go on after each word."""
    places = Places(words)
    for word in words:
        places.add(word)
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
    """Score the entries of those buckets, letting the event loop go on after each of them."""
    found: dict[int, Scored] = {}
    if buckets:
        scorer.know(await stored.lengths(connection, [_around(bucket) for bucket in buckets]))
    for bucket in buckets:
        found |= scorer.scored(bucket)
        await asyncio.sleep(0)
    return found


def _recent(sizes: Mapping[int, int], rows: Iterable[int]) -> dict[int, float]:
    """Give where in their scene's log rows stand, from 0 to 1."""
    seqs = (1 << stored.ROW_BITS) - 1
    return {row: (row & seqs) / max(sizes.get(row >> stored.ROW_BITS, 0), 1) for row in rows}
