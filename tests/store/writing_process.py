"""A bot that does nothing but store what it hears, until somebody kills it. Prints what is stored."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from bot.store import log
from bot.store.store import Store
from tests.store.story import AT, line, started


async def main(file: Path) -> None:
    store = await Store.open(file)
    async with store.read() as connection:
        seq = await log.last_seq(connection, 1)
    scene_id = 1 if seq else await started(store)
    while True:
        seq += 1
        async with store.transaction() as tx:
            await log.claim(tx, 1000 + seq, AT)
            await log.append(tx, line(scene_id, seq, f"line {seq}"), [1000 + seq])
        sys.stdout.write(f"{seq}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
