"""How much of what a question is about recall finds: by BM25 alone, by meaning alone, by words, and by both.

A folder has pairs of files, one for each conversation. `X.turns.jsonl` has a line for each turn, `{"n": 0,
"speakers": ["Ann"], "text": "..."}`, `X.recall.jsonl` one for each question, `{"query": "...", "first": 3,
"last": 9}` or `{"query": "...", "turns": [3, 17]}`. recall@k is the share of a row's turns that are among the
first k found, averaged over rows; MRR the mean of 1/rank of the first of its turns that was found.

Turns are stored, indexed, embedded and searched by the bot's own code, in a SQLite file.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sqlite3
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import structlog

from bench.machine import describe, spread
from bot.clock import SystemClock
from bot.memory import query
from bot.memory.embedding import Embedding
from bot.memory.recall import Recall
from bot.memory.vectors import Vectors
from bot.model.embeddings import EmbeddingModel, EmbeddingServer
from bot.store import log, scenes
from bot.store.records import Entry, EntryKind, Mode, SceneRecord, SceneState
from bot.store.store import Store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from bot.memory.embedding import Embedder

CUTS = (5, 10, 25)
LOOKED_AT = 100
BM25 = "SELECT rowid FROM turns WHERE turns MATCH ? ORDER BY bm25(turns), rowid LIMIT ?"


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, and the places in the log of the turns that it is about."""

    query: str
    seqs: frozenset[int]


@dataclass(slots=True)
class Figures:
    """What one way of searching found, question by question, and what each took in milliseconds."""

    rows: list[tuple[float, ...]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)

    def add(self, found: Sequence[int], seqs: frozenset[int], ms: float) -> None:
        shares = [len(seqs.intersection(found[:cut])) / len(seqs) for cut in CUTS]
        rank = next((place for place, seq in enumerate(found, 1) if seq in seqs), None)
        self.rows.append((*shares, 1 / rank if rank else 0.0))
        self.times.append(ms)

    def report(self) -> dict[str, Any]:
        means = [round(fmean(column), 4) for column in zip(*self.rows, strict=True)]
        names = [*(f"recall@{cut}" for cut in CUTS), "mrr"]
        return dict(zip(names, means, strict=True)) | {"ms": asdict(spread(self.times))}


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def read_questions(path: Path, places: dict[int, int]) -> list[Question]:
    found = []
    for row in read_lines(path):
        turns = row["turns"] if "turns" in row else range(row["first"], row["last"] + 1)
        if seqs := frozenset(places[turn] for turn in turns if turn in places):
            found.append(Question(row["query"], seqs))
    return found


async def stored(store: Store, name: str, turns: list[dict[str, Any]]) -> tuple[int, dict[int, int]]:
    """Store a conversation as a scene, once; give its id, and the place in its log of every turn."""
    places = {turn["n"]: seq for seq, turn in enumerate(turns, 1)}
    async with store.read() as connection:
        known = next((one.id for one in await scenes.unended(connection) if one.title == name), None)
    if known is not None:
        return known, places
    record = SceneRecord(
        id=0,
        guild_id=1,
        channel_id=time.monotonic_ns(),
        parent_id=None,
        title=name,
        premise="",
        mode=Mode.NATURAL,
        lead="narrator",
        model=None,
        state=SceneState.ACTIVE,
        started_by=1,
        created_at=0.0,
        ended_at=None,
        window_start=0,
        heard_from=0,
    )
    async with store.transaction() as tx:
        scene_id = await scenes.create(tx, record)
        for seq, turn in enumerate(turns, 1):
            speaker = ", ".join(turn.get("speakers") or ["Somebody"])[:100]
            await log.append(
                tx,
                Entry(0, scene_id, EntryKind.PLAYER, speaker, turn["text"], created_at=float(seq), seq=seq),
            )
    return scene_id, places


async def embedded(embedding: Embedding, scene_ids: Sequence[int]) -> float:
    """Have everything embedded, and give how many seconds that took; then have the vectors in memory."""
    begun = time.monotonic()
    embedding.start(lambda: False)
    await embedding.caught_up()
    seconds = time.monotonic() - begun
    await embedding.vectors.search(scene_ids, await embedding.query("lantern"), 1)
    while embedding.vectors.is_reading:  # noqa: ASYNC110  # nothing announces it, and only a bench asks
        await asyncio.sleep(0.05)
    return seconds


class PlainIndex:
    """What is to be beaten: FTS5's own BM25 over single turns, with the same words and stemming."""

    def __init__(self) -> None:
        self._tables: dict[int, sqlite3.Connection] = {}

    def add(self, scene_id: int, entries: Sequence[Entry]) -> None:
        table = self._tables[scene_id] = sqlite3.connect(":memory:")
        table.execute("CREATE VIRTUAL TABLE turns USING fts5(speaker, text, tokenize='porter unicode61')")
        rows = [(entry.seq, entry.speaker, entry.text) for entry in entries]
        table.executemany("INSERT INTO turns (rowid, speaker, text) VALUES (?, ?, ?)", rows)

    def search(self, scene_id: int, asked: str) -> list[int]:
        words = " OR ".join(f'"{word}"' for word in query.words(asked))
        found = self._tables[scene_id].execute(BM25, (words, LOOKED_AT)) if words else []
        return [seq for (seq,) in found]


def ways(
    store: Store, plain: PlainIndex, vectors: Vectors | None, embedding: Embedding | None
) -> dict[str, Any]:
    """Give the ways to search, by name: each takes a scene and a query and gives places in its log."""
    recall = Recall(store, vectors, embedding)

    async def bm25(scene_id: int, asked: str) -> list[int]:
        return plain.search(scene_id, asked)

    async def dense(scene_id: int, asked: str) -> list[int]:
        assert vectors is not None
        assert embedding is not None
        hits = await vectors.search([scene_id], await embedding.query(asked), LOOKED_AT)
        return [near.row & 0xFFFFFFFF for near in hits]

    async def words_alone(scene_id: int, asked: str) -> list[int]:
        return [hit.entry.seq for hit in await recall.search([scene_id], asked, LOOKED_AT, by_meaning=False)]

    async def hybrid(scene_id: int, asked: str) -> list[int]:
        return [hit.entry.seq for hit in await recall.search([scene_id], asked, LOOKED_AT)]

    found: dict[str, Any] = {"bm25": bm25, "words": words_alone}
    return found | ({"dense": dense, "hybrid": hybrid} if embedding else {})


@contextlib.asynccontextmanager
async def embedding_of(
    store: Store, embedder: Embedder | None
) -> AsyncIterator[tuple[Vectors | None, Embedding | None]]:
    if embedder is None:
        yield None, None
        return
    vectors = Vectors(store)
    embedding = Embedding(store, vectors, embedder, SystemClock(), query_s=60.0, start_s=0.0)
    try:
        yield vectors, embedding
    finally:
        await embedding.aclose()
        await vectors.aclose()


async def measure(files: Sequence[Path], embedder: Embedder | None, database: Path) -> dict[str, Any]:
    """Search every conversation in every way."""
    store = await Store.open(database)
    figures: dict[str, Figures] = {}
    plain = PlainIndex()
    turns = questions = 0
    seconds: float | None = None
    try:
        asked: list[tuple[int, list[Question]]] = []
        for file in files:
            lines = read_lines(file.with_name(file.name.replace(".recall.", ".turns.")))
            scene_id, places = await stored(store, file.name, lines)
            async with store.read() as connection:
                plain.add(scene_id, await log.since(connection, scene_id, 0))
            asked.append((scene_id, read_questions(file, places)))
            turns += len(lines)
        if not any(rows for _, rows in asked):
            raise SystemExit("No question there names a turn that there is.")
        async with embedding_of(store, embedder) as (vectors, embedding):
            if embedding:
                seconds = round(await embedded(embedding, [one for one, _ in asked]), 1)
            for name, way in ways(store, plain, vectors, embedding).items():
                figures[name] = Figures()
                for scene_id, rows in asked:
                    for one in rows:
                        begun = time.perf_counter()
                        found = await way(scene_id, one.query)
                        figures[name].add(found, one.seqs, (time.perf_counter() - begun) * 1000)
            questions = sum(len(rows) for _, rows in asked)
    finally:
        await store.aclose()
    return {
        "conversations": [file.name.removesuffix(".recall.jsonl") for file in files],
        "turns": turns,
        "questions": questions,
        "embedding": embedder.name if embedder else None,
        "embedding_seconds": seconds,
        "figures": {name: one.report() for name, one in figures.items()},
    }


def embedder_of(arguments: argparse.Namespace) -> Embedder | None:
    if arguments.embedding_gguf:
        return EmbeddingModel(arguments.embedding_gguf, clock=SystemClock())
    if arguments.embedding_url:
        return EmbeddingServer(arguments.embedding_url, model=arguments.embedding_model, api_key="")
    return None


def told(report: dict[str, Any]) -> str:
    """Write a report as a table."""
    source = report["embedding"] or "none, so there is no search by meaning (see --embedding-gguf)"
    lines = [
        f"{', '.join(report['conversations'])}:",
        f"{report['questions']} questions about {report['turns']} turns",
        f"embedding model: {source}",
        f"{'':8}"
        + "".join(f"{name:>11}" for name in ("recall@5", "recall@10", "recall@25", "MRR"))
        + "     ms p50   ms p99",
    ]
    for name, one in report["figures"].items():
        values = "".join(f"{one[key]:11.3f}" for key in ("recall@5", "recall@10", "recall@25", "mrr"))
        lines.append(f"{name:8}{values}{one['ms']['p50']:11.1f}{one['ms']['p99']:9.1f}")
    return "\n".join(lines)


def main() -> None:
    """Measure a folder and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="*", metavar="X", help="only these conversations of the folder")
    parser.add_argument("--embedding-gguf", type=Path, help="an embedding model that llama.cpp serves")
    parser.add_argument("--embedding-url", default="", help="a server with /v1/embeddings")
    parser.add_argument("--embedding-model", default="", help="the name to ask that server for")
    parser.add_argument(
        "--database", type=Path, help="keep what was stored and embedded here, for the next run"
    )
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    files = sorted(arguments.folder.glob("*.recall.jsonl"))
    if arguments.only:
        files = [file for file in files if file.name.removesuffix(".recall.jsonl") in arguments.only]
    if not files:
        parser.error(f"{arguments.folder} has no *.recall.jsonl to measure")
    structlog.configure(
        logger_factory=structlog.PrintLoggerFactory(sys.stderr)
    )  # the report alone is printed
    with tempfile.TemporaryDirectory() as folder:
        database = arguments.database or Path(folder) / "recall.sqlite"
        report = asyncio.run(measure(files, embedder_of(arguments), database))
    report["machine"] = asdict(describe())
    print(json.dumps(report, indent=2) if arguments.json else told(report))


if __name__ == "__main__":
    main()
