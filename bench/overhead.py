"""What the bot itself costs: from a player's message to the model request, from start to ready, in memory.

The bot runs as its own process against the rehearsal room (in this process) and a scripted model server (in
a third one). README.md says what each figure means.
"""

from __future__ import annotations

import argparse
import asyncio
import compileall
import json
import os
import statistics
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.machine import cpu_seconds, describe, fsyncs, memory, spread
from bench.rig import LINES, PROJECT, WINDOW, Rig, fill, talk
from bot.rehearsal.events import MessageCreated

if TYPE_CHECKING:
    from bench.rig import Bot
    from bot.rehearsal.guilds import Channel

Figures = dict[str, Any]

STORED = (1_000, 100_000)
SCENES = 50
ROUNDS = 3
AT_ONCE = 10
"""Scenes that play at the same time; a model server's queue holds 32."""
WARM_UP = 5
"""Messages before the measurement, in which caches are filled and the model client connects."""
TARGETS = {"message_p50_ms": 5.0, "message_p99_ms": 20.0, "ready_s": 1.0, "rss_mib": 100.0}


async def message(folder: Path, stored: int, count: int, *, pauses: bool) -> Figures:
    """Measure from MESSAGE_CREATE being written to the socket to the model request having been read.

    With `pauses` each message waits, as players do who read and type, until the bot has come to rest.
    """
    async with Rig(folder).served() as rig:
        await fill(rig.table, [rig.table.campaign], stored)
        lines = talk(stored + WARM_UP + count)[stored:]
        async with rig.bot(rig.table.database) as bot:
            await bot.logged("ready")
            sent = rig.stamp_frames()
            for line in lines[:WARM_UP]:
                await rig.answered(line)
            used = cpu_seconds(bot.pid)
            for line in lines[WARM_UP:]:
                if pauses:
                    await bot.at_rest()
                await rig.answered(line)
            await bot.at_rest()
            used = cpu_seconds(bot.pid) - used
            asked = await rig.asked()
    assert len(asked) == len(sent) == WARM_UP + count, (len(asked), len(sent))
    times = [1000 * (read - written) for written, read in zip(sent, asked, strict=True)][WARM_UP:]
    return {
        "stored": stored,
        "pauses": pauses,
        **asdict(spread(times)),
        "turn_cpu_ms": round(1000 * used / count, 2),
    }


async def starts(folder: Path, *, warm: bool, runs: int) -> Figures:
    """Start the bot several times, and give the median and the least of every figure, in seconds."""
    seen = []
    for number in range(runs):
        place = folder / f"{warm}-{number}"
        place.mkdir()
        seen.append(await start(place, warm=warm))
    return {
        name: {
            "median": statistics.median(run[name] for run in seen),
            "least": min(run[name] for run in seen),
        }
        for name in seen[0]
    }


async def start(folder: Path, *, warm: bool) -> dict[str, float]:
    """Start once. Warm is a database that has a scene, and a Discord that knows the commands."""
    async with Rig(folder).served() as rig:
        database = folder / "start.sqlite"
        if warm:
            rig.table.database = database
            await fill(rig.table, [rig.table.campaign], STORED[0])
            async with rig.bot(database) as bot:
                await rig.table.room.ready(rig.table.application, timeout=rig.patience)
                await bot.logged("ready")
        async with rig.bot(database) as bot:
            return await _start(rig, bot, scene=warm)


async def _start(rig: Rig, bot: Bot, *, scene: bool) -> dict[str, float]:
    table, room = rig.table, rig.table.room
    logged = asyncio.create_task(bot.logged("ready"))
    commands = asyncio.create_task(_commands_known(rig))
    await room.ready(table.application, commands=False, timeout=rig.patience)
    # READY is on its way: the messages right behind it are the first that this bot can hear.
    since = room.cursor
    await table.says(table.bob, f"<@{table.application.user.id}> Who is there?", channel=table.tavern)
    if scene:
        await table.says(table.ann, LINES[0])
    await _spoken(rig, table.tavern, since)
    answers, answers_cpu = room.clock.now(), cpu_seconds(bot.pid)
    at = {"answers": answers, "commands": await commands, "ready_logged": await logged}
    if scene:
        await _spoken(rig, table.campaign, since)
        at["model_asked"] = (await rig.asked())[0]
        await table.at_rest()
    seconds = {name: round(moment - bot.spawned, 3) for name, moment in at.items()}
    return {"ready": max(seconds["answers"], seconds["commands"]), **seconds, "cpu": answers_cpu}


async def _commands_known(rig: Rig) -> float:
    await rig.table.room.ready(rig.table.application, timeout=rig.patience)
    return rig.table.room.clock.now()


async def _spoken(rig: Rig, channel: Channel, since: int) -> None:
    """Wait until the bot has posted something in a channel."""
    await rig.table.room.wait_for(
        lambda event: (
            isinstance(event, MessageCreated) and event.channel is channel and event.message.author.bot
        ),
        rig.patience,
        since=since,
    )


async def resident(folder: Path, scenes: int, rounds: int) -> Figures:
    """Measure memory with many scenes that each have a full window and had a few turns."""
    async with Rig(folder).served() as rig:
        channels = [rig.table.guild.add_text_channel(f"scene-{number}") for number in range(scenes)]
        await fill(rig.table, channels, WINDOW)
        gate = asyncio.Semaphore(AT_ONCE)

        async def play(channel: Channel, line: str) -> None:
            async with gate:
                await rig.answered(line, channel)

        async with rig.bot(rig.table.database) as bot:
            await bot.logged("ready")
            for number in range(rounds):
                await asyncio.gather(*(play(channel, LINES[number % len(LINES)]) for channel in channels))
            return {"scenes": scenes, "turns": scenes * rounds, **asdict(memory(bot.pid))}


def verdicts(figures: Figures) -> dict[str, bool]:
    """Hold the figures that were measured against their targets."""
    messages, memories = figures.get("message", []), figures.get("memory")
    starts_ = [figures[name] for name in ("start_cold", "start_warm") if name in figures]
    found = {}
    if messages:
        found["message_p50_ms"] = all(each["p50"] <= TARGETS["message_p50_ms"] for each in messages)
        found["message_p99_ms"] = all(each["p99"] <= TARGETS["message_p99_ms"] for each in messages)
    if starts_:
        found["ready_s"] = all(each["ready"]["median"] <= TARGETS["ready_s"] for each in starts_)
    if memories:
        found["rss_mib"] = memories["rss"] <= TARGETS["rss_mib"]
    return found


MACHINE = "{cpu}, {cores} cores, {system}, Python {python}, load {load}, {scheduling}"
FSYNC = "a write to the disk of the databases: p50 {p50} ms, p90 {p90} ms, p99 {p99} ms"
MESSAGE = (
    "message to model request, {stored:,} entries stored, {count} messages {pace}: p50 {p50} ms, "
    "p90 {p90} ms, p99 {p99} ms, least {least} ms, most {most} ms; CPU for the whole turn {turn_cpu_ms} ms"
)
PACES = {False: "one upon the other", True: "with a pause before each"}
MEMORY = "memory, {scenes} scenes, {turns} turns: RSS {rss} MiB, PSS {pss} MiB"


def shown(figures: Figures) -> str:
    lines = [MACHINE.format(**figures["machine"]), FSYNC.format(**figures["fsync"])]
    lines += [MESSAGE.format(**each, pace=PACES[each["pauses"]]) for each in figures.get("message", [])]
    for name in ("start_cold", "start_warm"):
        if name in figures:
            each = ", ".join(f"{key} {value['median']:.2f}" for key, value in figures[name].items())
            lines.append(f"{name.replace('_', ', ')} database, median in seconds: {each}")
    if "memory" in figures:
        lines.append(MEMORY.format(**figures["memory"]))
    kept = figures["targets_met"]
    lines += [f"{name} <= {TARGETS[name]:g}: {'met' if met else 'MISSED'}" for name, met in kept.items()]
    return "\n".join(lines)


def measure(options: argparse.Namespace) -> Figures:
    for part in ("bot", "cogs", "personas"):
        compileall.compile_dir(PROJECT / part, quiet=1)
    figures: Figures = {"machine": asdict(describe())}
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        figures["fsync"] = asdict(fsyncs(folder))
        if "message" in options.parts:
            figures["message"] = []
            for stored in STORED:
                for pauses in (False, True):
                    place = folder / f"{stored}-{pauses}"
                    place.mkdir()
                    measured = message(place, stored, options.messages, pauses=pauses)
                    figures["message"].append(asyncio.run(measured))
        if "start" in options.parts:
            figures["start_cold"] = asyncio.run(starts(folder, warm=False, runs=options.starts))
            figures["start_warm"] = asyncio.run(starts(folder, warm=True, runs=options.starts))
        if "memory" in options.parts:
            (folder / "memory").mkdir()
            figures["memory"] = asyncio.run(resident(folder / "memory", SCENES, ROUNDS))
    return {**figures, "targets": TARGETS, "targets_met": verdicts(figures)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "parts",
        nargs="*",
        default=["message", "start", "memory"],
        metavar="PART",
        help="message, start, memory; all of them if none is named",
    )
    parser.add_argument("--json", action="store_true", help="print the figures for programs")
    parser.add_argument("--messages", type=int, default=300)
    parser.add_argument("--starts", type=int, default=7)
    parser.add_argument("--folder", type=Path, help="where the databases lie; default: the temporary folder")
    parser.add_argument(
        "--realtime",
        action="store_true",
        help="let no other program of a busy machine come between; Linux, needs root",
    )
    options = parser.parse_args()
    if options.realtime:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    figures = measure(options)
    print(json.dumps(figures, indent=2) if options.json else shown(figures))


if __name__ == "__main__":
    main()
