"""What putting together a prompt of 32 thousand tokens takes, in a scene of 1,000 entries and of 100,000.

The parts are the bot's own, over its own SQLite file, and a real llama.cpp server, whose model has random
weights, a context long enough, and the vocabulary of the bundled one.
Each round a player says one more line; the time is that from the stored line to the messages of the request.
Marta is asked, who does not know what was whispered to the narrator; the head has pins, and a summary of
what stands before the window.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from bench.machine import Spread, describe, spread
from bot.clock import SystemClock
from bot.model.cpu import CpuServer
from bot.model.openai_server import OpenAIServer
from bot.model.tokenizers import read_vocabulary
from bot.persona.library import PersonaLibrary
from bot.persona.personas import Personas
from bot.scene.lore import SceneLore
from bot.scene.lorebooks import Lorebooks
from bot.scene.prompter import Prompter
from bot.scene.scene import Scene
from bot.store import knowledge, log, pins, scenes, summaries
from bot.store.records import Entry, EntryKind, Mode, SceneRecord, SceneState, Stay
from bot.store.store import Store
from bot.store.summaries import Summary
from bot.store.tables import entries
from tests.prompt.merging_gguf import write_gguf

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PROJECT = Path(__file__).parents[1]
BUNDLED = PROJECT / "bot" / "model" / "storyteller.gguf"
LENGTHS = (1_000, 100_000)
WINDOW = 760  # entries: 32 thousand tokens
CONTEXT = 40_000
WHISPERS = 97  # every so many entries are whispered to the narrator
KEPT = 5  # pins, and as many secrets
SAID = "I hold the lantern high, look around the room and count the boats on the lake."
TOLD = (
    "The rain has not stopped since you left the inn. Somebody is counting the boats again, one by one. " * 2
)
TARGET_MS = 5.0


def entry(number: int) -> Entry:
    """Two players say something, then somebody answers."""
    kind = EntryKind.ANSWER if number % 3 == 0 else EntryKind.PLAYER
    speaker = "The Narrator" if kind is EntryKind.ANSWER else ("Ann", "Bob")[number % 2]
    text = f"{number}: {TOLD if kind is EntryKind.ANSWER else SAID}"
    audience = "narrator,@1" if number % WHISPERS == 0 else None
    return Entry(
        0, 1, kind, speaker, text, created_at=float(number), seq=number, audience=audience
    )  # fmt: skip


def patient_model(folder: Path) -> Path:
    """Write the model."""
    bundled = read_vocabulary(BUNDLED)
    assert bundled
    pieces = sorted(bundled.pieces, key=lambda piece: bundled.pieces[piece])
    return write_gguf(folder / "patient.gguf", pieces, list(bundled.merges), "gpt-2", context=CONTEXT)


@contextlib.asynccontextmanager
async def serving(model: Path) -> AsyncIterator[OpenAIServer]:
    child = CpuServer(model, clock=SystemClock(), context=CONTEXT, parallel=1)
    try:
        endpoint = await child.ensure(None)
        server = OpenAIServer(endpoint.url, api_key=endpoint.api_key)
        await server.health()
        try:
            yield server
        finally:
            await server.aclose()
    finally:
        await child.stop()


class Evening:
    """A scene with a long log, and what builds its prompts."""

    def __init__(self, store: Store, prompter: Prompter, personas: Personas, scene: Scene) -> None:
        self._store = store
        self._prompter = prompter
        self._marta = next(one for one in personas.all() if one.slug == "marta")
        self._scene = scene

    @classmethod
    async def of(cls, store: Store, length: int, window: int) -> Evening:
        """Lay a scene of `length` entries into the store; its window is the last `window` of them."""
        clock, rng = SystemClock(), Random(1)  # noqa: S311  # dice, not secrets
        library = PersonaLibrary(PROJECT / "personas")
        library.load_all()
        personas = Personas(library, store, clock, faces=store.path.parent / "faces")
        await personas.open()
        lore = SceneLore(store, Lorebooks(store, clock), personas, clock, rng)
        record = SceneRecord(
            id=1, guild_id=1, channel_id=length, parent_id=None, title="The Drowned Bell", premise="",
            mode=Mode.NATURAL, lead="narrator", model=None, state=SceneState.ACTIVE, started_by=1,
            created_at=0.0, ended_at=None, window_start=length - window, heard_from=0,
        )  # fmt: skip
        async with store.transaction() as tx:
            await scenes.create(tx, record)
            rows = [asdict(entry(number)) for number in range(1, length + 1)]
            await tx.execute(entries.insert(), [{k: v for k, v in row.items() if k != "id"} for row in rows])
            for number in range(KEPT):
                await pins.keep(tx, 1, f"The {number}th boat on the lake is ours.", 1, 0.0)
                await knowledge.add_secret(tx, 1, f"The {number}th bell was never cast.", 1, 0.0)
            if record.window_start > 1:
                made = Summary(0, 1, "", 0, 1, record.window_start - 1, stale=False, made_at=0.0)
                await summaries.keep(tx, made, TOLD * 10)
        async with store.read() as connection:
            told = await log.since(connection, 1, record.window_start)
        cast = ["narrator", "marta"]
        stays = [Stay("narrator", 0), Stay("marta", 0, length // 2), Stay("marta", length // 2 + 1)]
        scene = Scene(record, cast, told, last_seq=length, stays=stays)
        return cls(store, Prompter(store, personas, lore, answer_tokens=400), personas, scene)

    async def round(self, server: OpenAIServer) -> tuple[float, int, bool]:
        """Have somebody say one more line; give the milliseconds to the prompt, its tokens, whether exact."""
        number = self._scene.take_seq()
        async with self._store.transaction() as tx:
            said = await log.append(
                tx, replace(entry(number), kind=EntryKind.PLAYER, speaker="Ann", text=SAID)
            )
        began = time.perf_counter()
        self._scene.add(said)
        prompt = await self._prompter.build(
            self._scene, server, self._marta, self._scene.take_seq(), model=None, tight=False
        )
        took = 1000 * (time.perf_counter() - began)
        async with self._store.transaction() as tx:
            await log.set_tokens(tx, prompt.counted)
        return took, prompt.tokens.tokens, prompt.tokens.exact


async def measured(server: OpenAIServer, length: int, rounds: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        store = await Store.open(Path(folder) / "window.sqlite")
        try:
            evening = await Evening.of(store, length, min(length, WINDOW))
            first, _, _ = await evening.round(server)
            seen = [await evening.round(server) for _ in range(rounds)]
        finally:
            await store.aclose()
    times: Spread = spread([took for took, _, _ in seen])
    return {
        "entries": length,
        "tokens": seen[-1][1],
        "exact": all(exact for _, _, exact in seen),
        "first_ms": round(first, 1),
        "build": asdict(times),
    }


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        async with serving(patient_model(Path(folder))) as server:
            figures = [await measured(server, length, options.rounds) for length in options.entries]
    met = all(one["build"]["p50"] <= TARGET_MS for one in figures)
    return {"machine": asdict(describe()), "scenes": figures, "target_ms": TARGET_MS, "target_met": met}


def shown(figures: dict[str, Any]) -> str:
    lines = ["{cpu}, {cores} cores, {system}, Python {python}, load {load}".format(**figures["machine"])]
    for one in figures["scenes"]:
        exact = "counted exactly" if one["exact"] else "not exact"
        lines.append(
            f"{one['entries']:,} entries, a prompt of {one['tokens']} tokens ({exact}): "
            f"p50 {one['build']['p50']} ms, p99 {one['build']['p99']} ms, most {one['build']['most']} ms; "
            f"the first, which counts the window, {one['first_ms']} ms"
        )
    lines.append(f"p50 <= {TARGET_MS:g} ms: {'met' if figures['target_met'] else 'MISSED'}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print the figures for programs")
    parser.add_argument("--entries", type=int, nargs="+", default=LENGTHS)
    parser.add_argument("--rounds", type=int, default=200)
    figures = asyncio.run(measure(options := parser.parse_args()))
    print(json.dumps(figures, indent=2) if options.json else shown(figures))


if __name__ == "__main__":
    main()
