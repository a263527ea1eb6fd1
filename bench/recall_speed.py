"""How long recall takes in a scene of 100,000 entries, words and meaning together, and what it holds up.

The store, the index, the vectors and the search are the bot's own; texts and vectors are made up. No
embedding server is asked: a query's vector is at hand at once.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import tempfile
import time
import zlib
from array import array
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import insert

from bench.machine import describe, memory, spread
from bot.chat import Vector
from bot.clock import SystemClock
from bot.memory.embedding import Embedding
from bot.memory.recall import Recall
from bot.memory.vectors import Vectors
from bot.store import log, scenes
from bot.store.records import Entry, EntryKind, Mode, SceneRecord, SceneState
from bot.store.store import Store
from bot.store.tables import entries

BEAT_S = 0.001
MODEL = "made-up"


class MadeUp:
    """Vectors in random directions, the same for the same text."""

    name = MODEL

    def __init__(self, dimensions: int) -> None:
        self._dimensions = dimensions

    async def embed(self, texts: list[str], *, query: bool = False) -> list[Vector]:  # noqa: ARG002  # as Embedder
        return [self.vector(text) for text in texts]

    def vector(self, text: str) -> Vector:
        values = np.random.default_rng(zlib.crc32(text.encode())).standard_normal(self._dimensions)
        return Vector(f"{MODEL}/{self._dimensions}", array("f", values / np.linalg.norm(values)))

    async def of_model(self, model: str) -> None:
        """There is no other."""

    async def aclose(self) -> None:
        """Nothing is open."""


def texts(rng: random.Random, count: int) -> list[str]:
    """Give sentences of 5 to 40 words whose frequencies fall as those of a language do."""
    words = ["".join(rng.choices("aeioumnrstlkdb", k=rng.randint(3, 9))) for _ in range(20_000)]
    weights = [1 / (rank + 3) for rank in range(len(words))]
    pool = rng.choices(words, weights, k=count * 20)
    return [" ".join(pool[n * 20 : n * 20 + rng.randint(5, 20)]) for n in range(count)]


async def fill(store: Store, vectors: Vectors, made_up: MadeUp, said: list[str]) -> int:
    record = SceneRecord(
        0, None, 1, None, "Bench", "", Mode.NATURAL, "narrator", None, SceneState.ACTIVE, 1, 1.0, None, 0, 0
    )
    async with store.transaction() as tx:
        scene = await scenes.create(tx, record)
    for first in range(0, len(said), 5000):
        part = said[first : first + 5000]
        rows = [
            {"scene_id": scene, "seq": first + n + 1, "kind": EntryKind.PLAYER, "speaker": "Ann",
             "text": text, "created_at": 1.0}
            for n, text in enumerate(part)
        ]  # fmt: skip
        async with store.transaction() as tx:
            await tx.execute(insert(entries), rows)
        async with store.read() as connection:
            stored = await log.between(connection, scene, first + 1, first + 5000)
        await vectors.add([(entry, made_up.vector(entry.text)) for entry in stored])
    return scene


async def beat(gaps: list[float]) -> None:
    """Note how much later than asked for the event loop comes round."""
    while True:
        begun = time.perf_counter()
        await asyncio.sleep(BEAT_S)
        gaps.append(1000 * (time.perf_counter() - begun - BEAT_S))


async def store_one(store: Store, scene: int, seq: int) -> float:
    begun = time.perf_counter()
    async with store.transaction() as tx:
        await log.append(tx, Entry(0, scene, EntryKind.PLAYER, "Ann", "I open the door.", 1.0, seq=seq))
    return 1000 * (time.perf_counter() - begun)


async def measure(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    rng = random.Random(1)  # noqa: S311  # the same texts in every run
    made_up = MadeUp(options.dimensions)
    store = await Store.open(folder / "bench.sqlite")
    vectors = Vectors(store)
    embedding = Embedding(store, vectors, made_up, SystemClock(), start_s=0.0)  # type: ignore[arg-type]  # a list will do
    recall = Recall(store, vectors, embedding)
    said = texts(rng, options.entries)
    scene = await fill(store, vectors, made_up, said)
    queries = [" ".join(rng.choice(said).split()[:12]) for _ in range(options.queries)]
    begun = time.perf_counter()
    while await vectors.search([scene], [made_up.vector("warm")], 1) and vectors.is_reading:  # noqa: ASYNC110  # nobody announces it
        await asyncio.sleep(0.01)
    read_s = time.perf_counter() - begun
    figures: dict[str, Any] = {
        "machine": asdict(describe()),
        "entries": options.entries,
        "read_s": round(read_s, 2),
    }
    for name, by in {"both": (True, True), "words": (True, False), "meaning": (False, True)}.items():
        gaps: list[float] = []
        await recall.search([scene], queries[0], 25)
        heart = asyncio.create_task(beat(gaps))
        times = []
        for one in queries:
            begun = time.perf_counter()
            await recall.search([scene], one, 25, by_words=by[0], by_meaning=by[1])
            times.append(1000 * (time.perf_counter() - begun))
        heart.cancel()
        figures[name] = {"ms": asdict(spread(times)), "loop_gap_ms": asdict(spread(gaps))}
    embedding.start(lambda: False)
    seconds = [await store_one(store, scene, options.entries + n + 1) for n in range(100)]
    figures["store_while_embedding_ms"] = asdict(spread(seconds))
    figures["rss_mib"] = memory(os.getpid()).rss
    await embedding.aclose()
    await store.aclose()
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=100_000)
    parser.add_argument("--dimensions", type=int, default=384)
    parser.add_argument("--queries", type=int, default=200)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(asyncio.run(measure(Path(folder), options)), indent=2))


if __name__ == "__main__":
    main()
