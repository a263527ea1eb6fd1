"""What counting tokens costs: by our own encoder, by asking llama.cpp's server, and in memory.

The texts are a transcript's, or made up; the server has the bundled model. Memory is that of a process that
makes an encoder of so many made-up tokens, above the same process before it. Linux only.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from bench.machine import describe, memory, spread
from bench.window import BUNDLED
from bot.clock import SystemClock
from bot.model.cpu import CpuServer
from bot.model.openai_server import OpenAIServer
from bot.model.pretokenizers import cut
from bot.model.tokenizers import read_vocabulary
from bot.prompt.vocabulary import Encoder, gpt2_spelling

VOCABULARIES = (4_000, 32_000, 64_000, 128_000)
SIZES = (60, 1_000, 16_000)  # characters
LINE = "The rain has not stopped since we left the inn, and somebody counts the boats: 12, 13, 14… “Who?” "


async def texts_timed(server: OpenAIServer, encoder: Encoder, rounds: int) -> list[dict[str, Any]]:
    figures = []
    for size in SIZES:
        text = (LINE * (size // len(LINE) + 1))[:size]

        async def own(text: str = text) -> int:
            return encoder.count(text)

        async def asked(text: str = text) -> int | None:
            return await server.tokenize(text)

        figures.append(
            {
                "characters": size,
                "tokens": encoder.count(text),
                "encoder_ms": await timed(own, rounds),
                "server_ms": await timed(asked, rounds),
            }
        )
    return figures


async def timed(count: Callable[[], Awaitable[object]], rounds: int) -> float:
    took = []
    for _ in range(rounds):
        began = time.perf_counter()
        await count()
        took.append(1000 * (time.perf_counter() - began))
    return spread(took).p50


def made_up(tokens: int) -> None:
    """Make an encoder of words made up of letters, and print what it took. Runs in a process of its own."""
    rng = random.Random(1)  # noqa: S311  # words, not secrets
    pieces = {chr(character): byte for byte, character in enumerate(gpt2_spelling())}
    merges, words = [], list(pieces)
    while len(pieces) < tokens:
        left, right = rng.choice(words[33:127]), words[rng.randrange(len(words)) // 2]
        if left + right not in pieces:
            pieces[left + right] = len(pieces)
            words.append(left + right)
            merges.append(f"{left} {right}")
    found = cut("qwen2")
    assert found
    before, began = memory(os.getpid()).rss, time.perf_counter()
    encoder = Encoder(pieces, merges, {}, found.expressions)
    seconds = time.perf_counter() - began
    encoder.count(LINE)
    print(
        json.dumps(
            {"tokens": tokens, "mib": round(memory(os.getpid()).rss - before, 1), "s": round(seconds, 2)}
        )
    )


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    found = read_vocabulary(BUNDLED)
    assert found
    encoder = Encoder(
        found.pieces, found.merges, found.specials, found.expressions, whole_words=found.whole_words
    )
    child = CpuServer(BUNDLED, clock=SystemClock(), parallel=1)
    try:
        endpoint = await child.ensure(None)
        server = OpenAIServer(endpoint.url, api_key=endpoint.api_key)
        try:
            times = await texts_timed(server, encoder, options.rounds)
        finally:
            await server.aclose()
    finally:
        await child.stop()
    sizes = [await asyncio.to_thread(memory_of, tokens) for tokens in options.vocabularies]
    return {"machine": asdict(describe()), "texts": times, "encoders": sizes}


def memory_of(tokens: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.tokens", "--made-up", str(tokens)]
    figures: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return figures


def shown(figures: dict[str, Any]) -> str:
    lines = ["{cpu}, {cores} cores, {system}, Python {python}, load {load}".format(**figures["machine"])]
    each = "{characters} characters, {tokens} tokens: our encoder {encoder_ms} ms, the server {server_ms} ms"
    lines += [each.format(**one) for one in figures["texts"]]
    lines += [
        "an encoder of {tokens:,} tokens: {mib} MiB, made in {s} s".format(**one)
        for one in figures["encoders"]
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print the figures for programs")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--vocabularies", type=int, nargs="+", default=VOCABULARIES)
    parser.add_argument("--made-up", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.made_up:
        made_up(options.made_up)
        return
    figures = asyncio.run(measure(options))
    print(json.dumps(figures, indent=2) if options.json else shown(figures))


if __name__ == "__main__":
    main()
