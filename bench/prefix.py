"""What a long evening costs the model server: tokens evaluated while a player waits, and tokens that are new.

The bot runs as its own process between the rehearsal room and llama.cpp's own server, and
plays a real campaign's transcript. README.md says what each figure means.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import statistics
import sys
import tempfile
import time
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.layouts import LAYOUTS, Exchange, Tokens, evaluated, exchanges, new_tokens
from bench.machine import describe
from bot.clock import SystemClock
from bot.model.cpu import CpuServer
from bot.rehearsal.message_forms import Upload
from tests.acceptance.tabletop import PROJECT, Tabletop
from tests.fakes.tap import Passed, Tap

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bot.model.cpu import Endpoint
    from bot.rehearsal.guilds import Channel

Figures = dict[str, Any]

TRANSCRIPT = PROJECT.parent / "shared" / "data" / "crd3" / "C1E002.turns.jsonl"
BUNDLED = PROJECT / "bot" / "model" / "storyteller.gguf"
ANSWER_TOKENS = 80
USUAL = 400
"""Words of the transcript, the most frequent ones, that are no keys: `about`, `going`, `think`."""
LORE = "Of old, {key} had a tale of its own: it came to us by the pass in the year {n}."
"""It holds no other key: entries that wake each other are another measurement."""
PROBES = 4
PROBE = "I hold the lantern high and look around."
FULL = 0.85
"""The share of the context from which a window counts as full."""
TARGETS = {"evaluated_for_new": 1.05, "first_token_full_for_empty": 1.2}
PATIENCE = 300.0  # seconds for one turn


class Evening:
    """One table with a real model server behind a tap."""

    def __init__(self, table: Tabletop, tap: Tap) -> None:
        self.table = table
        self.tap = tap

    async def turn(self, player: str, text: str, channel: Channel | None = None) -> float:
        """Have a player say something and wait until the server is idle again.

        Gives the seconds from the message to the first token of the answer.
        """
        answers = len(self.tap.answers)
        begun = time.perf_counter()
        await self.table.says(self._seat(player), text, channel=channel)
        await self.tap.until(lambda: len(self.tap.answers) > answers, PATIENCE)
        await self.table.at_rest()
        await self.tap.until(lambda: self.tap.at_rest, PATIENCE)
        answer = self.tap.answers[answers]
        return (answer.first_token or answer.ended or begun) - begun

    def _seat(self, player: str) -> Any:
        table = self.table
        seats = {"MATT": table.ann, "SAM": table.bob, "ORION": table.cleo, "LAURA": table.dov}
        return seats.get(player, table.eve)


@asynccontextmanager
async def evening(folder: Path, endpoint: Endpoint, book: Figures | None) -> AsyncIterator[Evening]:
    """Set the table, with the bot at it and a lorebook open."""
    async with Tabletop(folder).served() as table, Tap(endpoint.url) as tap:
        settings = {"MODEL_API_KEY": endpoint.api_key, "ANSWER_TOKENS": str(ANSWER_TOKENS)}
        async with table.bot(tap.url, **settings):
            if book:
                data = json.dumps(book).encode()
                await table.command("lore import", {"file": Upload("valley.json", data)})
            await table.start_scene(title="Kraghammer", persona="narrator, marta")
            yield Evening(table, tap)


async def measure(
    folder: Path, model: Path, context: int, lines: list[tuple[str, str]], book: Figures | None
) -> Figures:
    """Play the lines at one context length, and give what they cost."""
    server = CpuServer(model, clock=SystemClock(), context=context, parallel=2)
    try:
        endpoint = await server.ensure()
        async with evening(folder, endpoint, book) as played:
            for player, text in lines:
                await played.turn(player, text)
            answers, read = list(played.tap.answers), list(played.tap.read_ahead)
            first = await first_tokens(played, context, lines)
        counter = Tokens(endpoint)
        figures = await asyncio.to_thread(costs, counter, answers, context)
    finally:
        await server.stop()
    return {"context": context, "turns": len(lines), **figures, **reading(read), "first_token": first}


def costs(counter: Tokens, answers: list[Passed], context: int) -> Figures:
    """Give the tokens that this bot's prompts and those of the other layouts had evaluated."""
    refused = sum(not chat.cost for chat in answers)
    answers = [chat for chat in answers if chat.cost]
    turns = new_tokens(counter, [chat.messages for chat in answers])
    new = sum(turns)
    told: list[Exchange] = exchanges([chat.messages for chat in answers])
    system = answers[0].messages[0]["content"]
    room = context - ANSWER_TOKENS - context // 64
    layouts = {
        name: evaluated(counter, build(counter, system, told, room)) for name, build in LAYOUTS.items()
    }
    ours = sum(chat.evaluated for chat in answers)
    return {
        "new": new,
        "sent": sum(chat.prompt_tokens for chat in answers),
        "evaluated": {"this bot": ours, **layouts},
        "for_new": {name: round(tokens / new, 3) for name, tokens in {"this bot": ours, **layouts}.items()},
        "refused": refused,
        "lore_told": sum(line.startswith("[Of old, ") for one in told for line in one.said.split("\n")),
        "by_turn": [[n, chat.evaluated, chat.prompt_tokens] for n, chat in zip(turns, answers, strict=True)],
    }


def reading(read: list[Passed]) -> Figures:
    """Give what was read ahead: the time that the players would have to give it, at its longest."""
    done = [chat for chat in read if chat.cost and chat.ended]
    seconds = [(chat.ended or chat.sent) - chat.sent for chat in done]
    return {
        "read_ahead": sum(chat.evaluated for chat in done),
        "read_ahead_s": {"p50": round(statistics.median(seconds), 3), "most": round(max(seconds), 3)},
    }


async def first_tokens(played: Evening, context: int, lines: list[tuple[str, str]]) -> Figures:
    """Measure the first token of the same short line at a full window and in a scene that has just begun."""
    for player, text in lines:
        chats = [chat for chat in played.tap.answers if chat.cost]
        if chats[-1].prompt_tokens > FULL * context:
            break
        await played.turn(player, text)
    full = await _probe(played, None)
    await played.table.start_scene(played.table.tavern, title="Kraghammer", persona="narrator, marta")
    empty = await _probe(played, played.table.tavern)
    ratios = {name: round(full[name] / empty[name], 2) for name in ("server_ms", "message_ms")}
    return {"full": full, "empty": empty, "full_for_empty": ratios}


async def _probe(played: Evening, channel: Channel | None) -> Figures:
    """Say the line several times; the first is left out, for it may come after another scene's turn."""
    begun = len(played.tap.answers)
    seconds = [await played.turn("SAM", f"{PROBE} ({number})", channel) for number in range(PROBES)]
    chats = [chat for chat in played.tap.answers[begun:] if chat.cost]
    waited = [chat.first_token - chat.sent for chat in chats if chat.first_token]
    return {
        "prompt_tokens": chats[-1].prompt_tokens,
        "evaluated": round(statistics.median(chat.evaluated for chat in chats[1:])),
        "server_ms": round(1000 * statistics.median(waited[1:]), 1),
        "message_ms": round(1000 * statistics.median(seconds[1:]), 1),
    }


def verdicts(runs: list[Figures]) -> dict[str, bool]:
    """Hold the figures against their targets."""
    return {
        "evaluated_for_new": all(run["for_new"]["this bot"] <= TARGETS["evaluated_for_new"] for run in runs),
        "first_token_full_for_empty": all(
            run["first_token"]["full_for_empty"]["server_ms"] <= TARGETS["first_token_full_for_empty"]
            for run in runs
        ),
    }


def shown(figures: Figures) -> str:
    """Write the figures for people."""
    lines = ["{cpu}, {cores} cores, Python {python}, load {load}".format(**figures["machine"])]
    lines.append(f"model: {figures['model']}, {figures['lore']} entries of lore")
    for run in figures["runs"]:
        lines.append(
            f"context {run['context']}, {run['turns']} turns, {run['new']:,} new tokens, "
            f"lore told {run['lore_told']} times"
        )
        lines += [
            f"  {name}: {tokens:,} evaluated while a player waited, {run['for_new'][name]} for each new one"
            for name, tokens in run["evaluated"].items()
        ]
        most = max(evaluated - new for new, evaluated, _ in run["by_turn"])
        lines.append(f"  most that a turn evaluated beyond what was new in it: {most}")
        lines.append(
            f"  read ahead: {run['read_ahead']:,} tokens, {run['read_ahead_s']['p50']} s after a turn at the "
            f"median and {run['read_ahead_s']['most']} s at most"
        )
        first = run["first_token"]
        for name in ("full", "empty"):
            lines.append(f"  first token, {name}: {first[name]}")
        lines.append(f"  full for empty: {first['full_for_empty']}")
    kept = figures["targets_met"]
    lines += [f"{name} <= {TARGETS[name]:g}: {'met' if met else 'MISSED'}" for name, met in kept.items()]
    return "\n".join(lines)


def lorebook(lines: list[tuple[str, str]], entries: int) -> Figures | None:
    """Write a lorebook with keys that the table really says, from the more to the less usual ones."""
    said = Counter(re.findall(r"[a-z]{5,}", " ".join(text for _, text in lines).lower()))
    keys = [word for word, _ in sorted(said.items(), key=lambda one: (-one[1], one[0]))][USUAL:]
    told = {
        str(number): {"uid": number, "key": [key], "comment": key, "content": LORE.format(key=key, n=number)}
        for number, key in enumerate(keys[:entries])
    }
    return {"entries": told} if told else None


def read_lines(path: Path, turns: int) -> list[tuple[str, str]]:
    """Read who said what; Discord's messages have 2000 characters at most."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()[:turns]]
    return [(row["speakers"][0], row["text"][:2000]) for row in rows]


def main() -> None:
    """Play, and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--transcript", type=Path, default=TRANSCRIPT, help="JSON lines: speakers, text")
    parser.add_argument("--turns", type=int, default=200)
    parser.add_argument("--context", type=int, nargs="+", default=[4096, 8192], help="in tokens")
    parser.add_argument("--model", type=Path, default=BUNDLED, help="the GGUF that answers")
    parser.add_argument("--lore", type=int, default=300, help="entries of the lorebook; 0 for none")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if not options.transcript.is_file():
        parser.exit(2, f"There is no transcript at {options.transcript}; name one with --transcript.\n")
    if not options.model.is_file():
        parser.exit(2, f"There is no model at {options.model}; name one with --model.\n")
    lines = read_lines(options.transcript, options.turns)
    book = lorebook(read_lines(options.transcript, max(options.turns, 200)), options.lore)
    figures: Figures = {
        "machine": asdict(describe()),
        "model": options.model.name,
        "lore": len(book["entries"]) if book else 0,
        "runs": [],
    }
    for context in options.context:
        with tempfile.TemporaryDirectory() as folder:
            figures["runs"].append(asyncio.run(measure(Path(folder), options.model, context, lines, book)))
        print(f"context {context}: done", file=sys.stderr)
    figures |= {"targets": TARGETS, "targets_met": verdicts(figures["runs"])}
    print(json.dumps(figures, indent=2) if options.json else shown(figures))


if __name__ == "__main__":
    main()
