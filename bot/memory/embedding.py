"""Embedding: every entry gets its vector in the background, and a query gets its own if that is quick."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Protocol

import structlog

from bot.errors import BackendError, HearthsideError, TextRefusedError
from bot.store import vectors as stored

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bot.chat import Vector
    from bot.clock import Clock
    from bot.memory.vectors import Vectors
    from bot.store.connection import Connection
    from bot.store.records import Entry
    from bot.store.store import Store

QUERY_S = 0.3
"""Seconds that an answer may wait for the vector of its query; after that words alone are searched for."""
BATCH_S = 0.25
"""Seconds that one batch should take: a query may come behind it."""
MOST_TEXTS = 32
MOST_NUMBERS = 16 * 1024
"""Numbers in the answer to one batch: reading more of them from JSON would hold the event loop up."""
FIRST_WAIT_S, LONGEST_WAIT_S = 5.0, 300.0
LONGEST_BUSY_S = 30.0
"""Seconds after which a batch is embedded although somebody is being answered: at some tables always is."""
LOOK_S = 0.25
START_S = 2.0
"""Seconds after the bot's start: it has more urgent things to do then."""
MOST_CHANGES = 3
"""Of the model during one pass over the entries: two servers behind one address would never end it."""
SAMPLE = "The lantern sways."
NO_SOURCE = "Recall goes by words alone: no embedding model is set (EMBEDDING_URL or EMBEDDING_GGUF)."


class Embedder(Protocol):
    """An embedding model, wherever it runs."""

    @property
    def name(self) -> str:
        """Say which model it is and where, as operators read it."""
        ...

    async def embed(self, texts: Sequence[str], *, query: bool = False) -> list[Vector]:
        """Give one vector for each text, all of one model. `query`: they are searched with, not for.

        Texts that are too long are cut. Raises TextRefusedError if the model can do nothing with one of the
        texts, BackendError if it can be asked nothing at all now.
        """
        ...

    async def of_model(self, model: str) -> Embedder | None:
        """Give the source of an older model's vectors, if it can still be asked."""
        ...

    async def aclose(self) -> None:
        """Let go of the model."""
        ...


def passage(entry: Entry) -> str:
    """Give what is embedded of an entry."""
    return f"{entry.speaker}: {entry.text}"


class Embedding:
    """Has the vectors made that are missing, in batches, when nobody is being answered.

    Without an `embedder` nothing is made and nothing found: recall goes by words alone.
    """

    def __init__(
        self,
        store: Store,
        vectors: Vectors,
        embedder: Embedder | None,
        clock: Clock,
        *,
        query_s: float = QUERY_S,
        start_s: float = START_S,
    ) -> None:
        self.vectors = vectors
        self._store = store
        self._embedder = embedder
        self._clock = clock
        self._query_s = query_s
        self._start_s = start_s
        self._busy: Callable[[], bool] = lambda: False
        self._older: Embedder | None = None
        self._model = ""
        self._after = 0
        """The id of the last entry that was looked at."""
        self._others = False
        self._changes = 0
        self._texts = 4
        self._error: BackendError | None = None
        self._wanted = asyncio.Event()
        self._waiting: list[asyncio.Future[None]] = []
        self._task: asyncio.Task[None] | None = None
        self._log = structlog.get_logger("hearthside.embedding")

    def start(self, busy: Callable[[], bool]) -> None:
        """Begin to make up for what has no vector yet. `busy` tells whether anybody is being answered."""
        if self._embedder is None:
            self._log.info(NO_SOURCE)
            return
        self._busy = busy
        self._wanted.set()
        self._task = asyncio.create_task(self._run(), name="embedding")

    def soon(self) -> None:
        """Have new entries embedded: never at once, never in anybody's way."""
        self._wanted.set()

    async def caught_up(self) -> None:
        """Wait until every entry has its vector, but for those that the model makes nothing of."""
        done = asyncio.get_running_loop().create_future()
        self._waiting.append(done)
        self._wanted.set()
        await done

    async def forget(self, tx: Connection, entry_id: int, *, again: bool) -> None:
        """Forget what an entry means, in the transaction that changes it; embed it `again` after that."""
        await self.vectors.forget(tx, [entry_id])
        if again:
            self._after = min(self._after, entry_id - 1)
            self._wanted.set()

    async def query(self, text: str) -> tuple[Vector, ...]:
        """Give a query's vector, of each model that has vectors; none if that takes too long or fails."""
        if self._embedder is None or self._error is not None or not text.strip():
            return ()
        sources = [self._embedder, *([self._older] if self._older else [])]
        tasks = [asyncio.create_task(_one(source, text)) for source in sources]
        try:
            await asyncio.wait(tasks, timeout=self._query_s)
            found = [task.result() for task in tasks if task.done()]
        finally:
            for task in tasks:
                task.cancel()
        if None in found or len(found) < len(tasks):
            self._log.debug("query_not_embedded", model=self._model, seconds=self._query_s)
        return tuple(vector for vector in found if vector)

    async def report(self) -> str:
        """Say in a sentence or two what recall goes by."""
        if self._embedder is None:
            return NO_SOURCE
        if self._error is not None:
            return f"Recall goes by words alone for now: {self._error}"
        async with self._store.read() as connection:
            told = await stored.count_told(connection)
            have = (await stored.models(connection)).get(self._model, 0)
        left = f" {have:,} of {told:,} entries have their vector." if have < told else ""
        return f"Recall goes by words and by meaning: {self._embedder.name}.{left}"

    async def aclose(self) -> None:
        """Stop. What is missing is made up for after the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for source in (self._embedder, self._older):
            if source is not None:
                await source.aclose()
        await self.vectors.aclose()

    # -- in the background --------------------------------------------------------------------------------

    async def _run(self) -> None:
        assert self._embedder is not None
        failures = 0
        await self._clock.sleep(self._start_s)
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            waiting = list(self._waiting)
            try:
                await self._catch_up(self._embedder)
                failures = self._changes = 0
                for done in waiting:
                    self._waiting.remove(done)
                    if not done.done():
                        done.set_result(None)
            except HearthsideError as error:
                failures += 1
                self._failed(error)
            except Exception:  # noqa: BLE001  # a bug here must be seen, and must not cost anything but vectors
                failures += 1
                self._log.exception("embedding_broke")
            if failures:
                await self._clock.sleep(min(FIRST_WAIT_S * 2 ** (failures - 1), LONGEST_WAIT_S))
                self._wanted.set()

    async def _catch_up(self, embedder: Embedder) -> None:
        if not self._model or self._error:
            await self._meet(embedder)
        while entries := await self._next():
            await self._let_them_answer()
            begun = self._clock.monotonic()
            try:
                found = await self._embedded(embedder, entries)
            except BaseException:
                self._after = min(self._after, entries[0].id - 1)
                raise
            self._pace(len(entries), self._clock.monotonic() - begun, found)
            await self.vectors.add(found)
            await self._notice_another_model(embedder, found)
        if self._others:
            await self._leave_older()

    async def _meet(self, embedder: Embedder) -> None:
        """Find out which model it is, and whether there are vectors of another."""
        (vector,) = await embedder.embed([SAMPLE])
        if self._error is not None:
            self._log.info("embedding_again", model=embedder.name)
            self._error = None
        if vector.model != self._model:
            await self._begin(embedder, vector.model)

    async def _begin(self, embedder: Embedder, model: str) -> None:
        """Have everything embedded by this model, and keep using what an older one has embedded meanwhile."""
        async with self._store.read() as connection:
            counts = await stored.models(connection)
        have = counts.pop(model, 0)
        self._model, self._after, self._others = model, 0, bool(counts)
        self._log.info(
            "embedding", model=model, source=embedder.name, vectors=have, of_others=sum(counts.values())
        )
        older, self._older = self._older, None
        if older is not None:
            await older.aclose()
        if counts:
            self._older = await embedder.of_model(max(counts, key=lambda one: counts[one]))

    async def _notice_another_model(self, embedder: Embedder, found: Sequence[tuple[Entry, Vector]]) -> None:
        """Begin again if the model is no longer the one that it was, or gives vectors of another length."""
        changed = next((vector.model for _, vector in found if vector.model != self._model), None)
        if changed is None:
            return
        self._changes += 1
        if self._changes > MOST_CHANGES:
            raise BackendError(f"{embedder.name} keeps changing its model.", hint="Set EMBEDDING_MODEL.")
        await self._begin(embedder, changed)

    async def _next(self) -> list[Entry]:
        async with self._store.transaction():
            pass  # what is being changed right now is looked at after the change
        async with self._store.read() as connection:
            entries = await stored.lacking(connection, self._model, after=self._after, most=self._texts)
        if entries:
            self._after = entries[-1].id
        return entries

    async def _let_them_answer(self) -> None:
        latest = self._clock.monotonic() + LONGEST_BUSY_S
        while self._busy() and self._clock.monotonic() < latest:
            await self._clock.sleep(LOOK_S)

    async def _embedded(self, embedder: Embedder, entries: Sequence[Entry]) -> list[tuple[Entry, Vector]]:
        """Embed a batch. An entry that the model makes nothing of goes without until the next start."""
        try:
            found = await embedder.embed([passage(entry) for entry in entries])
        except TextRefusedError as error:
            if len(entries) == 1:
                await embedder.embed([SAMPLE])  # is it this text, or does the model work on nothing any more?
                self._log.warning("entry_not_embedded", entry=entries[0].id, error=str(error))
                return []
            half = len(entries) // 2
            return [
                *await self._embedded(embedder, entries[:half]),
                *await self._embedded(embedder, entries[half:]),
            ]
        return list(zip(entries, found, strict=True))

    def _pace(self, texts: int, seconds: float, found: Sequence[tuple[Entry, Vector]]) -> None:
        """Choose how many texts the next batch has."""
        wished = round(texts * BATCH_S / max(seconds, 0.001))
        bound = MOST_NUMBERS // len(found[0][1].values) if found else MOST_TEXTS
        self._texts = max(1, min(wished, 2 * self._texts, MOST_TEXTS, bound))

    def _failed(self, error: HearthsideError) -> None:
        if self._error is None:
            self._log.warning("embedding_failed", error=str(error))
        self._error = error if isinstance(error, BackendError) else BackendError(str(error))

    async def _leave_older(self) -> None:
        """Forget what other models made of the entries: the current one has seen them all."""
        self._others = False
        older, self._older = self._older, None
        if older is not None:
            await older.aclose()
        await self.vectors.forget_models(self._model)
        self._log.info("older_vectors_forgotten", model=self._model)


async def _one(source: Embedder, text: str) -> Vector | None:
    with contextlib.suppress(HearthsideError):
        return (await source.embed([text], query=True))[0]
    return None
