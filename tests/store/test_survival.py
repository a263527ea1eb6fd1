"""The process is killed in the middle of writing. What a power cut does is not tested here."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from bot.store import log
from bot.store.store import Store

PROJECT = Path(__file__).parents[2]


async def killed_after(file: Path, lines: int) -> int:
    """Let a process store that many lines, kill it, and give the last one that it said was stored."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.store.writing_process",
        str(file),
        cwd=PROJECT,
        stdout=asyncio.subprocess.PIPE,
    )
    assert child.stdout
    said = [await child.stdout.readline() for _ in range(lines)]
    child.kill()
    said += (await child.stdout.read()).splitlines(keepends=True)
    assert await child.wait() not in {0, 1}, "the writing process ended by itself"
    return int([line for line in said if line.endswith(b"\n")][-1])


async def test_no_acknowledged_line_is_lost_and_none_is_stored_by_halves(file: Path) -> None:
    for lines in (1, 30):
        acknowledged = await killed_after(file, lines)

        store = await Store.open(file)
        async with store.read() as connection:
            entries = await log.since(connection, 1, 0)
            shown = [await log.shown_by(connection, 1000 + entry.seq) for entry in entries]
        async with store.transaction() as tx:
            claimed_again = [await log.claim(tx, 1000 + entry.seq, 0) for entry in entries]
        await store.aclose()

        assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
        assert len(entries) in {acknowledged, acknowledged + 1}, "at most the one that was being acknowledged"
        assert shown == entries
        assert not any(claimed_again)
        with closing(sqlite3.connect(file)) as plain:
            assert plain.execute("PRAGMA integrity_check").fetchone() == ("ok",)
