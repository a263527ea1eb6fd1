"""Forgetting: words that were deleted are cleared out of the database file, in the background."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from bot.errors import HearthsideError
from bot.store import recall

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
"""After the whole database was written anew, that is not done again for so many times as long as it took."""


class Forgetting:
    """Rewrites the index of words after deletions, empties the write-ahead log, then writes the file anew.

    That something is to be cleared is stored with the deletion, so that a restart goes on with it.
    """

    def __init__(
        self, store: Store, clock: Clock, elsewhere: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """`elsewhere` clears what else there is on disk of what was said."""
        self._store = store
        self._clock = clock
        self._elsewhere = elsewhere
        self._wanted = asyncio.Event()
        self._done = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._rests_until = 0.0  # by the monotonic clock
        self._log = structlog.get_logger("hearthside.forgetting")

    def start(self) -> None:
        """Begin, with what an earlier run of the bot left to do."""
        self._wanted.set()
        self._task = asyncio.create_task(self._run(), name="forgetting")

    async def soon(self, tx: Connection) -> None:
        """Have cleared what is deleted or changed in this transaction, after it."""
        await recall.want_cleared(tx)
        self._done.clear()
        self._wanted.set()

    async def finished(self) -> None:
        """Wait until nothing that was deleted before is in the file any more."""
        await self._done.wait()

    async def aclose(self) -> None:
        """Stop. What is left is done after the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                if await self._clear():
                    continue
            except HearthsideError as error:
                self._log.warning("not_cleared", error=str(error))
            except Exception:  # noqa: BLE001  # a bug here must be seen, and must not end the next attempts
                self._log.exception("clearing_broke")
            await self._clock.sleep(AGAIN_S)
            self._wanted.set()

    async def _clear(self) -> bool:
        """Clear what is to be cleared; False if the write-ahead log is in use and still has it."""
        async with self._store.transaction() as tx:
            wanted = await recall.is_clearing_wanted(tx)
            going_on = wanted and await recall.merge(tx, begin=True)
        while going_on:
            await self._clock.sleep(REST_S)
            async with self._store.transaction() as tx:
                going_on = await recall.merge(tx, begin=False)
        if wanted and self._elsewhere:
            await self._elsewhere()
        if wanted and not (await self._store.checkpoint() and await self._rewrite()):
            return False
        async with self._store.transaction() as tx:
            if self._wanted.is_set():  # more was deleted meanwhile
                return True
            if wanted:
                await recall.cleared(tx)
        self._done.set()
        return True

    async def _rewrite(self) -> bool:
        """Have what SQLite has copied about overwritten, too; False if somebody reads the file as it was."""
        await self._clock.sleep(max(self._rests_until - self._clock.monotonic(), 0.0))
        began = self._clock.monotonic()
        await self._store.rewrite()
        ended = self._clock.monotonic()
        self._rests_until = ended + RESTS * (ended - began)
        return await self._store.checkpoint()
