"""How long recall takes in a scene of 100,000 entries, words and meaning together, and what it holds up.

The store, the index, the vectors and the search are the bot's own; texts and vectors are made up. No
embedding server is asked: a query's vector is at hand at once.

Words are as frequent as those of a language (Zipf, 20,000 of them), and lines as long as those at a table:
half of the players' lines have up to 6 words, one in ten more than 25, and every third line is an answer of
some 75. A query is three lines of players without the commonest words, as the bot asks. Unlike at a table,
what belongs together does not stand together: the words of a query are in as many places as can be.

The machine has its share in all of it: `idle` is what the same probe sees of the event loop while it has
nothing to do, `cpu_ms` is what a search needed of the processors, and `loop_cpu_ms` what the event loop's
thread did between two beats that are to be 1 ms apart.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import json
import math
import os
import random
import sys
import tempfile
import time
import zlib
from array import array
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import numpy as np
import structlog
from sqlalchemy import insert

from bench.machine import describe, memory, spread
from bot.chat import Vector
from bot.clock import SystemClock
from bot.memory.embedding import Embedding
from bot.memory.recall import Recall
from bot.memory.vectors import Vectors
from bot.scene.recalling import LOOKED_AT
from bot.store import log, scenes
from bot.store.records import Entry, EntryKind, Mode, SceneRecord, SceneState
from bot.store.store import Store
from bot.store.tables import entries

BEAT_S = 0.001
IDLE_S = 2.0
MODEL = "made-up"
STOP_WORDS = 130
"""As many as the bot leaves out of a query: 45 of 100 words that are said."""


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


def texts(rng: random.Random, count: int) -> tuple[list[str], list[str]]:
    """Give so many lines in their order, and queries: three players' lines each, without stop words."""
    words = ["".join(rng.choices("aeioumnrstlkdb", k=rng.randint(3, 9))) for _ in range(20_000)]
    frequencies = list(itertools.accumulate(1 / (rank + 3) for rank in range(len(words))))
    stop = frozenset(words[:STOP_WORDS])
    said, asked = [], []
    for number in range(count):
        length = rng.gauss(75, 25) if number % 3 == 2 else rng.lognormvariate(math.log(6.5), 1.06)
        line = rng.choices(words, cum_weights=frequencies, k=min(max(round(length), 1), 300))
        said.append(" ".join(line))
        if number % 3 < 2:
            asked.append(" ".join(word for word in line if word not in stop))
    return said, ["\n".join(asked[n : n + 3]) for n in range(len(asked) - 2)]


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


class Probe:
    """Notes how much later than asked for the event loop comes round, and what its thread did meanwhile."""

    def __init__(self) -> None:
        self._late: list[float] = []
        self._cpu: list[float] = []

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._beat())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()

    async def _beat(self) -> None:
        while True:
            begun, used = time.perf_counter(), time.thread_time()
            await asyncio.sleep(BEAT_S)
            self._late.append(1000 * (time.perf_counter() - begun - BEAT_S))
            self._cpu.append(1000 * (time.thread_time() - used))

    def report(self) -> dict[str, Any]:
        return {"loop_gap_ms": asdict(spread(self._late)), "loop_cpu_ms": asdict(spread(self._cpu))}


async def searched(recall: Recall, scene: int, queries: list[str], *, words: bool, meaning: bool) -> Any:
    """Search with one query after the other, and give how long each took, and the event loop's part."""
    times, used = [], []
    async with Probe() as probe:
        for one in queries:
            begun, cpu = time.perf_counter(), time.process_time()
            await recall.search([scene], one, LOOKED_AT, by_words=words, by_meaning=meaning)
            times.append(1000 * (time.perf_counter() - begun))
            used.append(1000 * (time.process_time() - cpu))
    return {"ms": asdict(spread(times)), "cpu_ms": asdict(spread(used))} | probe.report()


async def store_one(store: Store, scene: int, seq: int) -> float:
    begun = time.perf_counter()
    async with store.transaction() as tx:
        await log.append(tx, Entry(0, scene, EntryKind.PLAYER, "Ann", "I open the door.", 1.0, seq=seq))
    return 1000 * (time.perf_counter() - begun)


async def measure(file: Path, options: argparse.Namespace) -> dict[str, Any]:
    rng = random.Random(1)  # noqa: S311  # the same texts in every run
    made_up = MadeUp(options.dimensions)
    store = await Store.open(file)
    vectors = Vectors(store)
    embedding = Embedding(store, vectors, made_up, SystemClock(), start_s=0.0)  # type: ignore[arg-type]  # a list will do
    recall = Recall(store, vectors, embedding)
    said, asked = texts(rng, options.entries)
    async with store.read() as connection:
        known = await scenes.unended(connection)
    scene = known[0].id if known else await fill(store, vectors, made_up, said)
    queries = rng.sample(asked, options.queries)
    del said, asked
    begun = time.perf_counter()
    while await vectors.search([scene], [made_up.vector("warm")], 1) and vectors.is_reading:  # noqa: ASYNC110  # nobody announces it
        await asyncio.sleep(0.01)
    figures: dict[str, Any] = {
        "machine": asdict(describe()),
        "entries": options.entries,
        "read_s": round(time.perf_counter() - begun, 2),
    }
    gc.freeze()  # as the bot does at its start: else what was imported is gone through for garbage
    async with Probe() as idle:
        await asyncio.sleep(IDLE_S)
    figures["idle"] = idle.report()
    await recall.search([scene], queries[0], LOOKED_AT)
    figures["both"] = await searched(recall, scene, queries, words=True, meaning=True)
    figures["words"] = await searched(recall, scene, queries, words=True, meaning=False)
    figures["meaning"] = await searched(recall, scene, queries, words=False, meaning=True)
    embedding.start(lambda: False)
    async with store.read() as connection:
        seq = await log.last_seq(connection, scene)
    seconds = [await store_one(store, scene, seq + n + 1) for n in range(100)]
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
    parser.add_argument("--database", type=Path, help="keep what was stored here, for the next run")
    options = parser.parse_args()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    with tempfile.TemporaryDirectory() as folder:
        file = options.database or Path(folder) / "bench.sqlite"
        print(json.dumps(asyncio.run(measure(file, options)), indent=2))


if __name__ == "__main__":
    main()
