"""What lore costs before an answer: finding the keys of 10,000 entries, and deciding what is told."""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from random import Random
from typing import Any

from bench.machine import describe, spread
from bot.prompt.lore.activation import Circumstances, activate
from bot.prompt.lore.matching import Lore
from bot.prompt.lore.model import Book, LoreEntry
from bot.prompt.tokens import EstimatingCounter

ENTRIES = 10_000
KEYS = 3
MESSAGE = 2000  # characters: Discord's longest
SAID = 0.01  # of the words of messages and entries, how many are keys
CONTEXT = 8192
WORDS = ("the", "rain", "has", "not", "stopped", "since", "we", "left", "and", "somebody", "counts", "boats")
TARGETS = {"match_p99_ms": 10.0}


def world(rng: Random, entries: int) -> tuple[Book, list[str]]:
    """Make up a book of English-looking names, and give its keys."""
    syllables = [consonant + vowel for consonant in "bdfgklmnprstvz" for vowel in "aeiou"]

    def word() -> str:
        return "".join(rng.choice(syllables) for _ in range(rng.randint(2, 4)))

    def key() -> str:
        return word() if rng.random() < 0.7 else f"{word()} {word()}"

    keys = [key() for _ in range(KEYS * entries)]
    made = (
        LoreEntry(uid=str(number), keys=tuple(keys[KEYS * number :][:KEYS]), content=prose(rng, keys, 60))
        for number in range(entries)
    )
    return Book("1", "World", tuple(made)), keys


def message(rng: Random, keys: list[str]) -> str:
    """Make up a message with a few keys among other words."""
    return f"Ann: {prose(rng, keys, 500)[: MESSAGE - 5]}"


def prose(rng: Random, keys: list[str], words: int) -> str:
    return " ".join(rng.choice(keys if rng.random() < SAID else WORDS) for _ in range(words))


def matching(entries: int, rounds: int) -> dict[str, Any]:
    rng = Random(1)  # noqa: S311  # names and dice, not secrets
    book, keys = world(rng, entries)
    began = time.perf_counter()
    lore = Lore([book])
    built = time.perf_counter() - began
    count = EstimatingCounter().count
    match, decide, fired = [], [], 0
    said = [message(rng, keys) for _ in range(rounds)]
    for number, text in enumerate(said):
        began = time.perf_counter()
        lore.woken_by([lore.read(text)])
        match.append(1000 * (time.perf_counter() - began))
        now = Circumstances([text], 1, CONTEXT // 4, count, rng, count=number)
        began = time.perf_counter()
        fired += len(activate(lore, now).fired)
        decide.append(1000 * (time.perf_counter() - began))
    return {
        "entries": entries,
        "keys": len(keys),
        "build_s": round(built, 2),
        "match": asdict(spread(match)),
        "decide": asdict(spread(decide)),
        "told": round(fired / rounds, 1),
    }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    figures = matching(options.entries, options.rounds)
    met = {"match_p99_ms": figures["match"]["p99"] <= TARGETS["match_p99_ms"]}
    return {"machine": asdict(describe()), "matching": figures, "targets": TARGETS, "targets_met": met}


def shown(figures: dict[str, Any]) -> str:
    each = figures["matching"]
    lines = ["{cpu}, {cores} cores, {system}, Python {python}, load {load}".format(**figures["machine"])]
    lines.append("{entries:,} entries, {keys:,} keys: made ready in {build_s} s".format(**each))
    for name, what in (
        ("match", "keys found in a message of 2000 characters"),
        ("decide", "entries decided"),
    ):
        lines.append(
            f"{what}: p50 {each[name]['p50']} ms, p99 {each[name]['p99']} ms, most {each[name]['most']} ms"
        )
    lines.append(f"{each['told']} entries told in each round")
    kept = figures["targets_met"]
    lines += [f"{name} <= {TARGETS[name]:g}: {'met' if met else 'MISSED'}" for name, met in kept.items()]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print the figures for programs")
    parser.add_argument("--entries", type=int, default=ENTRIES)
    parser.add_argument("--rounds", type=int, default=300)
    options = parser.parse_args()
    figures = measure(options)
    print(json.dumps(figures, indent=2) if options.json else shown(figures))


if __name__ == "__main__":
    main()
