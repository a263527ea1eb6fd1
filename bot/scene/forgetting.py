"""Forgetting: words that were deleted are cleared out of the database file, in the background."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from bot.errors import HearthsideError
from bot.store import recall
from bot.store.recall import Remains

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bot.clock import Clock
    from bot.store.connection import Connection
    from bot.store.store import Store

REST_S = 0.02
"""Seconds between two steps, of some 10 ms each: whoever else wants to write comes first."""
AGAIN_S = 2.0
"""Seconds after which the last step is tried again, if somebody was reading what is to go."""
RESTS = 100
"""After the whole file was written anew, that is not done again for so many times as long as it took,"""
NOTICED_S, LONG_REST_S = 1.0, 24 * 3600.0
"""or, where it took longer than the first, for a day: what is said waits as long to be stored."""


class Forgetting:
    """Rewrites the index of words after deletions, empties the write-ahead log, then writes the file anew.

    What is left to do is stored with the deletion, so that a restart goes on with it.
    """

    def __init__(
        self, store: Store, clock: Clock, elsewhere: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """`elsewhere` clears what else there is on disk of what was said."""
        self._store = store
        self._clock = clock
        self._elsewhere = elsewhere
        self._words = asyncio.Event()
        self._copies = asyncio.Event()
        self._done = asyncio.Event()
        self._rests_until = clock.monotonic()
        self._tasks: list[asyncio.Task[None]] = []
        self._log = structlog.get_logger("hearthside.forgetting")

    def start(self) -> None:
        """Begin, with what an earlier run of the bot left to do."""
        self._words.set()
        self._tasks = [
            asyncio.create_task(self._each_time(self._words, self._clear), name="forgetting"),
            asyncio.create_task(self._each_time(self._copies, self._rewrite), name="rewriting"),
        ]

    async def soon(self, tx: Connection) -> None:
        """Have cleared what is deleted or changed in this transaction, after it."""
        await recall.set_remains(tx, Remains.WORDS)
        self._done.clear()
        self._words.set()

    async def finished(self) -> None:
        """Wait until nothing that was deleted before is in the file any more."""
        await self._done.wait()

    async def aclose(self) -> None:
        """Stop. What is left is done after the next start."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _each_time(self, wanted: asyncio.Event, work: Callable[[], Awaitable[bool]]) -> None:
        """Do `work` whenever it is wanted, and once more as often as it is not done."""
        while True:
            await wanted.wait()
            wanted.clear()
            try:
                if await work():
                    continue
            except HearthsideError as error:
                self._log.warning("not_cleared", error=str(error))
            except Exception:  # noqa: BLE001  # a bug here must be seen, and must not end the next attempts
                self._log.exception("clearing_broke")
            await self._clock.sleep(AGAIN_S)
            wanted.set()

    async def _clear(self) -> bool:
        """Clear the index and the write-ahead log; False if that is in use and still has the words."""
        async with self._store.transaction() as tx:
            wanted = await recall.remains(tx) is Remains.WORDS
            going_on = wanted and await recall.merge(tx, begin=True)
        while going_on:
            await self._clock.sleep(REST_S)
            async with self._store.transaction() as tx:
                going_on = await recall.merge(tx, begin=False)
        if wanted and self._elsewhere:
            await self._elsewhere()
        if wanted and not await self._store.checkpoint():
            return False
        async with self._store.transaction() as tx:
            if wanted and not self._words.is_set():  # if it is, more was deleted meanwhile
                await recall.set_remains(tx, Remains.COPIES)
        self._copies.set()
        return True

    async def _rewrite(self) -> bool:
        """Write the file anew, for what SQLite has copied about."""
        async with self._store.read() as connection:
            copies = await recall.remains(connection) is Remains.COPIES
        if copies:
            await self._clock.sleep(max(self._rests_until - self._clock.monotonic(), 0.0))
            began = self._clock.monotonic()
            await self._store.rewrite()
            took = self._clock.monotonic() - began
            self._rests_until = began + took + (RESTS * took if took < NOTICED_S else LONG_REST_S)
            while not await self._store.checkpoint():
                await self._clock.sleep(AGAIN_S)
        async with self._store.transaction() as tx:
            remains = await recall.remains(tx)
            # Unless more was deleted, and cleared, since the file was written.
            if copies and remains is Remains.COPIES and not self._copies.is_set():
                remains = Remains.NOTHING
                await recall.set_remains(tx, remains)
        if remains is Remains.NOTHING:
            self._done.set()
        return True
