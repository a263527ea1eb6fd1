"""How long the first token takes at a full window and in a scene that has just begun."""

from __future__ import annotations

import asyncio
import statistics
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.evening import Evening, Figures
    from bench.layouts import Tokens
    from bot.rehearsal.guilds import Channel
    from tests.fakes.tap import Passed

Lines = list[tuple[str, str]]

PROBE = "Yes?"
"""No word in it wakes lore or a memory: nothing is new but the line itself, in both scenes."""
ELSEWHERE = "The Emon road"
"""Another title than the full window's: scenes that begin alike are taken for one by a server's cache."""
PAIRS = 20
"""Probes at a full window, each followed by one in a scene that has just begun."""
YOUNG = 4
"""Probes after which that scene begins anew."""
ALIKE = 12
"""Tokens by which the two of a pair may differ in what is new: an answer's cue is one name or another."""
FILLERS = 90
"""Turns that may be played to have the window full, before it is given up."""
NEARLY = 0.7
"""The share of a full window from which it is filled with short lines: after long ones it is cut sooner."""
SHORT = 160  # characters
ASKED = 12
"""Times that the server is asked for what it does before it evaluates."""


@dataclass(frozen=True, slots=True)
class Probed:
    """A request for an answer, and the seconds from the player's message to its first token."""

    chat: Passed
    seconds: float


async def first_tokens(
    played: Evening, counter: Tokens, full_from: int, lines: Lines, stopped: Callable[[], bool]
) -> Figures:
    """Measure the first token of the same short line in both scenes, by turns.

    So both have the machine as it is then. A prompt of `full_from` tokens is a full window's. Pairs of which
    one had more to read than the other are left out. Once it is `stopped`, what there is by then is given.
    """
    full: list[Probed] = []
    empty: list[Probed] = []
    more = cycle(lines)
    short = cycle([line for line in lines if len(line[1]) <= SHORT] or lines)
    fillers = 0
    young = 0
    while len(full) < PAIRS and fillers < FILLERS and not stopped():
        if played.tokens < full_from:
            await played.turn(*next(short if played.tokens > NEARLY * full_from else more))
            fillers += 1
            continue
        one = await _probe(played, None)
        if young % YOUNG == 0:
            await _begin_anew(played)
        other = await _probe(played, played.table.tavern)
        young += 1
        if one.chat.prompt_tokens >= full_from and _alike(one, other):
            full.append(one)
            empty.append(other)
        else:
            fillers += 1
    if not full:
        return {}
    told = {
        "full": {**_summed(full), **await asyncio.to_thread(_alone, counter, full)},
        "empty": {**_summed(empty), **await asyncio.to_thread(_alone, counter, empty)},
    }
    return {**told, "full_for_empty": _ratios(told["full"], told["empty"])}


def _alike(one: Probed, other: Probed) -> bool:
    return abs(one.chat.evaluated - other.chat.evaluated) <= ALIKE


async def _begin_anew(played: Evening) -> None:
    """Begin a scene in the tavern, and have one turn there: the first finds nothing cached."""
    table = played.table
    if table.query("SELECT 1 FROM scenes WHERE channel_id = ? AND state != 'ended'", table.tavern.id):
        await table.command("scene end", channel=table.tavern)
    await table.start_scene(table.tavern, title=ELSEWHERE, persona="narrator, marta")
    await played.turn("SAM", PROBE, table.tavern)


async def _probe(played: Evening, channel: Channel | None) -> Probed:
    begun = len(played.tap.answers)
    seconds = await played.turn("SAM", PROBE, channel)
    return Probed(played.tap.answers[begun], seconds)


def _ratios(full: Figures, empty: Figures) -> Figures:
    names = (
        "server_ms",
        "quick_server_ms",
        "least_server_ms",
        "evaluating_ms",
        "message_ms",
        "least_message_ms",
    )
    return {name: round(full[name] / empty[name], 2) for name in (*names, "alone_ms")}


def _summed(probes: list[Probed]) -> Figures:
    """Give the medians of some probes, and the least of their times."""
    waited = [(one.chat.first_token or one.chat.sent) - one.chat.sent for one in probes]
    return {
        "probes": len(probes),
        "prompt_tokens": round(statistics.median(one.chat.prompt_tokens for one in probes)),
        "evaluated": round(statistics.median(one.chat.evaluated for one in probes)),
        "server_ms": round(1000 * statistics.median(waited), 1),
        "quick_server_ms": round(1000 * statistics.median(sorted(waited)[: -(-len(waited) // 4)]), 1),
        "least_server_ms": round(1000 * min(waited), 1),
        "evaluating_ms": round(statistics.median(float(one.chat.cost["prompt_ms"]) for one in probes), 1),
        "message_ms": round(1000 * statistics.median(one.seconds for one in probes), 1),
        "least_message_ms": round(1000 * min(one.seconds for one in probes), 1),
    }


def _alone(counter: Tokens, probes: list[Probed]) -> Figures:
    """Give what the server needs for such a prompt while nothing else is at work, step by step."""
    applied, counted = counter.seconds(probes[-1].chat.messages, ASKED)
    steps = {
        "template_ms": round(1000 * applied, 1),
        "tokenizing_ms": round(1000 * (counted - applied), 1),
        "least_evaluating_ms": round(min(float(one.chat.cost["prompt_ms"]) for one in probes), 1),
    }
    return {**steps, "alone_ms": round(sum(steps.values()), 1)}
