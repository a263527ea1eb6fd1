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
from dataclasses import asdict, dataclass
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.layouts import LAYOUTS, Exchange, Tokens, evaluated, exchanges, new_tokens, own_tokens
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
PAIRS = 12
"""Probes at a full window, each followed by one in a scene that has just begun."""
YOUNG = 4
"""Probes after which that scene begins anew."""
PROBE = "I hold the lantern high and look around."
FULL = 0.8
"""The share of the context from which a window counts as full: not much further on it is cut ahead."""
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
    own = own_tokens(counter, [chat.messages for chat in answers])
    told: list[Exchange] = exchanges([chat.messages for chat in answers])
    system = answers[0].messages[0]["content"]
    room = context - ANSWER_TOKENS - context // 64
    layouts = {
        name: evaluated(counter, build(counter, system, told, room)) for name, build in LAYOUTS.items()
    }
    ours = sum(chat.evaluated for chat in answers)
    return {
        "new": new,
        "new_without_answers": new - own,
        "sent": sum(chat.prompt_tokens for chat in answers),
        "evaluated": {"this bot": ours, **layouts},
        "for_new": {name: round(tokens / new, 3) for name, tokens in {"this bot": ours, **layouts}.items()},
        "for_new_without_answers": round(ours / (new - own), 3),
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
    """Measure the first token of the same short line at a full window and in a scene that has just begun.

    By turns, so that both have the machine as it is then.
    """
    full: list[Probed] = []
    empty: list[Probed] = []
    more = cycle(lines)
    tokens = 0
    while len(empty) < PAIRS:
        if tokens <= FULL * context:
            await played.turn(*next(more))
            tokens = _last(played).prompt_tokens
            continue
        one = await _probe(played, None)
        tokens = one.chat.prompt_tokens
        if tokens <= FULL * context:
            continue
        full.append(one)
        if len(empty) % YOUNG == 0:
            await _begin_anew(played)
        empty.append(await _probe(played, played.table.tavern))
    told = {"full": _summed(full), "empty": _summed(empty)}
    ratios = {
        name: round(told["full"][name] / told["empty"][name], 2) for name in ("server_ms", "message_ms")
    }
    return {**told, "full_for_empty": ratios}


def _last(played: Evening) -> Passed:
    return [chat for chat in played.tap.answers if chat.cost][-1]


async def _begin_anew(played: Evening) -> None:
    """Begin a scene in the tavern, and have one turn there: the first finds nothing cached."""
    table = played.table
    if table.query("SELECT 1 FROM scenes WHERE channel_id = ? AND state != 'ended'", table.tavern.id):
        await table.command("scene end", channel=table.tavern)
    await table.start_scene(table.tavern, title="Kraghammer", persona="narrator, marta")
    await played.turn("SAM", PROBE, table.tavern)


@dataclass(frozen=True, slots=True)
class Probed:
    """A request for an answer, and the seconds from the player's message to its first token."""

    chat: Passed
    seconds: float


async def _probe(played: Evening, channel: Channel | None) -> Probed:
    begun = len(played.tap.answers)
    seconds = await played.turn("SAM", PROBE, channel)
    return Probed(played.tap.answers[begun], seconds)


def _summed(probes: list[Probed]) -> Figures:
    """Give the medians of some probes."""
    waited = [(one.chat.first_token or one.chat.sent) - one.chat.sent for one in probes]
    return {
        "probes": len(probes),
        "prompt_tokens": round(statistics.median(one.chat.prompt_tokens for one in probes)),
        "evaluated": round(statistics.median(one.chat.evaluated for one in probes)),
        "server_ms": round(1000 * statistics.median(waited), 1),
        "least_server_ms": round(1000 * min(waited), 1),
        "message_ms": round(1000 * statistics.median(one.seconds for one in probes), 1),
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
        lines.append(f"  this bot without its answers among what is new: {run['for_new_without_answers']}")
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
