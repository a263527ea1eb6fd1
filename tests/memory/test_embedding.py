"""Entries get their vectors in the background, whatever the embedding server does meanwhile."""

from __future__ import annotations

import asyncio
import math
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from bot.memory.embedding import FIRST_WAIT_S, LOOK_S, NO_SOURCE, Embedding
from bot.memory.vectors import Vectors
from bot.model.embeddings import EmbeddingServer
from bot.store import log
from bot.store import vectors as stored
from bot.store.records import EntryKind
from tests.fakes.embedding_server import EmbeddingServerFake, embeddings, refusal
from tests.rehearsal.hand_clock import HandClock
from tests.store.story import line, started

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from bot.store.records import Entry
    from bot.store.store import Store

SAID = (
    "The bell is cracked.",
    "Who cracked the bell?",
    "Rain falls on the harbour.",
    "The debt is nine silver.",
)


class Desk:
    """A scene, an embedding server, and what works between them. `clock` stands still unless it is moved."""

    def __init__(self, store: Store, server: EmbeddingServerFake, scene: int) -> None:
        self.store, self.server, self.scene = store, server, scene
        self.clock = HandClock()
        self.embedding = self.again()

    def again(self, *, model: str = "", query_s: float = 5.0) -> Embedding:
        """Set up as after a restart."""
        source = EmbeddingServer(self.server.url, model=model, patience_s=10.0)
        return Embedding(self.store, Vectors(self.store), source, self.clock, query_s=query_s, start_s=0.0)

    async def told(self, *texts: str, **changes: Any) -> list[Entry]:
        async with self.store.transaction() as tx:
            first = await log.last_seq(tx, self.scene) + 1
            return [
                await log.append(tx, line(self.scene, seq, one, **changes))
                for seq, one in enumerate(texts, first)
            ]

    async def found(self, text: str, embedding: Embedding | None = None) -> list[str]:
        """Give the texts nearest to that one, best first."""
        embedding = embedding or self.embedding
        hits = await embedding.vectors.search([self.scene], await embedding.query(text), 10)
        async with self.store.read() as connection:
            there = {entry.id: entry.text for entry in await log.since(connection, self.scene, 0)}
        return [there[near.entry_id] for near in hits]

    async def models(self) -> dict[str, int]:
        async with self.store.read() as connection:
            return await stored.models(connection)

    async def failed(self) -> None:
        """Wait until the server has been given up for now, and let the wait that follows go by."""
        await self.reports("for now")

    async def reports(self, words: str) -> None:
        async def holds() -> bool:
            return words in await self.embedding.report()

        await self.until(holds)

    async def has(self, **models: int) -> None:
        """Wait until there are so many vectors of each model, and move the clock meanwhile."""

        async def holds() -> bool:
            return await self.models() == {f"{model}/64": count for model, count in models.items()}

        await self.until(holds)

    async def until(self, holds: Callable[[], Awaitable[bool]]) -> None:
        """Wait for something in the background that announces nothing. Whoever sleeps is woken."""
        async with asyncio.timeout(30):
            while not await holds():
                await asyncio.sleep(0.005)
                self.clock.advance(100 * FIRST_WAIT_S)


@pytest.fixture
async def desk(store: Store) -> AsyncIterator[Desk]:
    async with EmbeddingServerFake() as server:
        one = Desk(store, server, await started(store))
        yield one
        await one.embedding.aclose()


@asynccontextmanager
async def at_work(embedding: Embedding, busy: Callable[[], bool] = lambda: False) -> AsyncIterator[Embedding]:
    embedding.start(busy)
    try:
        yield embedding
    finally:
        await embedding.aclose()


async def test_what_was_said_is_found_by_its_meaning(desk: Desk) -> None:
    await desk.told(*SAID)
    async with at_work(desk.embedding):
        await desk.embedding.caught_up()
        assert set((await desk.found("cracked bell"))[:2]) == {
            "The bell is cracked.",
            "Who cracked the bell?",
        }
        await desk.told("A second bell hangs in the chapel.")
        await desk.embedding.caught_up()
        assert "A second bell hangs in the chapel." in (await desk.found("second chapel"))[:1]
        assert "by words and by meaning: words at 127.0.0.1" in await desk.embedding.report()
    # With the speaker; lore and memories are not what anybody said.
    assert "Mira: The bell is cracked." in desk.server.texts


async def test_lore_and_memories_are_not_embedded(desk: Desk) -> None:
    await desk.told("The harbour is old.", kind=EntryKind.LORE)
    await desk.told("[earlier: Mira: rain]", kind=EntryKind.MEMORY)
    await desk.told("Rain.")
    async with at_work(desk.embedding):
        await desk.embedding.caught_up()
        assert await desk.found("harbour earlier rain") == ["Rain."]


async def test_what_was_missed_while_the_bot_was_away_is_made_up_for(desk: Desk) -> None:
    await desk.told(*SAID[:2])
    async with at_work(desk.embedding):
        await desk.embedding.caught_up()
    await desk.told(*SAID[2:])
    seen = len(desk.server.texts)
    async with at_work(desk.again()) as later:
        await later.caught_up()
        assert await desk.models() == {"words/64": 4}
    assert len(desk.server.texts) == seen + 1 + 2, "a sample and what is new; nothing twice"


async def test_storing_an_entry_waits_for_no_embedding(desk: Desk) -> None:
    desk.server.gate = asyncio.Event()
    async with at_work(desk.embedding):
        await desk.server.until(lambda: len(desk.server.requests) > 0)
        async with asyncio.timeout(5):
            await desk.told(*SAID)
        desk.server.gate.set()
        await desk.embedding.caught_up()
        assert await desk.models() == {"words/64": 4}


async def test_nothing_is_embedded_while_somebody_is_answered(desk: Desk) -> None:
    await desk.told(*SAID)
    answering = True
    async with at_work(desk.embedding, lambda: answering):
        await desk.server.until(lambda: len(desk.server.requests) > 0)
        for _ in range(10):
            await asyncio.sleep(0.01)
            desk.clock.advance(LOOK_S)
        assert desk.server.texts == ["The lantern sways."]
        answering = False
        await desk.has(words=4)


async def test_a_query_waits_for_its_vector_for_a_moment_only(desk: Desk) -> None:
    await desk.told(*SAID)
    hasty = desk.again(query_s=0.05)
    async with at_work(hasty):
        await hasty.caught_up()
        assert await hasty.query("bell")
        desk.server.gate = asyncio.Event()
        assert await hasty.query("bell") == ()
        desk.server.gate.set()
        assert await hasty.query("bell")
        assert await hasty.query("") == ()
        assert len(await hasty.query("bell " * 20_000)) == 1


async def test_an_edited_entry_is_embedded_again(desk: Desk) -> None:
    entries = await desk.told(*SAID)
    async with at_work(desk.embedding):
        await desk.embedding.caught_up()
        async with desk.store.transaction() as tx:
            await desk.embedding.forget(tx, entries[0].id, again=True)
            await asyncio.sleep(0.02)  # the worker is awake, and must not look before the change is there
            await log.set_text(tx, entries[0].id, "A goose walks by.", 1.0)
        await desk.embedding.caught_up()
        assert (await desk.found("goose"))[0] == "A goose walks by."
        assert await desk.models() == {"words/64": 4}


async def test_an_entry_that_is_edited_while_it_is_embedded_gets_the_vector_of_its_new_text(
    desk: Desk,
) -> None:
    entries = await desk.told(*SAID)
    desk.server.gate = asyncio.Event()
    async with at_work(desk.embedding):
        desk.server.gate.set()
        await desk.embedding.caught_up()
        desk.server.gate = asyncio.Event()
        seen = len(desk.server.requests)
        (late,) = await desk.told("A second bell.")
        desk.embedding.soon()
        await desk.server.until(lambda: len(desk.server.requests) > seen)
        async with desk.store.transaction() as tx:
            for one in (late, entries[1]):
                await desk.embedding.forget(tx, one.id, again=True)
                await log.set_text(tx, one.id, f"A goose instead of {one.id}.", 1.0)
        desk.server.gate.set()
        await desk.embedding.caught_up()
        assert all("goose" in text for text in (await desk.found("goose instead"))[:2])
        assert await desk.models() == {"words/64": 5}


# -- another model ------------------------------------------------------------------------------------------


def turned(server: EmbeddingServerFake, body: dict[str, Any]) -> web.Response:
    """Another model's view: the same nearness, in other numbers."""
    return embeddings([server.counted(text)[::-1] for text in body["input"]], model="new")


async def test_old_vectors_serve_until_the_new_model_has_seen_everything(desk: Desk) -> None:
    desk.server.models = ("old", "new")
    await desk.told(*SAID)
    async with at_work(desk.again(model="old")) as old:
        await old.caught_up()
    desk.server.mischief = lambda body: turned(desk.server, body) if body["model"] == "new" else None
    busy = True
    async with at_work(desk.again(model="new"), lambda: busy) as new:

        async def both() -> bool:
            return len(await new.query("bell")) == 2

        await desk.until(both)
        assert await desk.models() == {"old/64": 4}
        assert (await desk.found("The bell is cracked", new))[0] == "The bell is cracked."
        busy = False
        await desk.has(new=4)
        assert len(await new.query("bell")) == 1
        assert (await desk.found("The bell is cracked", new))[0] == "The bell is cracked."


async def test_without_the_old_model_words_serve_and_new_vectors_as_they_come(desk: Desk) -> None:
    await desk.told(*SAID)
    async with at_work(desk.embedding):
        await desk.embedding.caught_up()
    desk.server.models = ("other",)
    async with at_work(desk.again()) as later:
        await later.caught_up()
        assert await desk.models() == {"other/64": 4}
        assert (await desk.found("The bell is cracked", later))[0] == "The bell is cracked."


async def test_a_server_that_changes_its_dimension_is_another_model(desk: Desk) -> None:
    await desk.told(*SAID)
    async with at_work(desk.embedding):
        await desk.embedding.caught_up()
        desk.server.dimensions = 32
        await desk.told("A second bell.")
        await desk.embedding.caught_up()
        assert await desk.models() == {"words/32": 5}
        assert len(await desk.found("bell")) == 5


async def test_a_server_that_keeps_changing_is_given_up_for_a_while(desk: Desk) -> None:
    await desk.told(*SAID, *SAID, *SAID)

    def changing(_: str, values: list[float]) -> list[float]:
        return [1.0] * (4 + len(desk.server.requests))

    desk.server.spoils = changing
    async with at_work(desk.embedding):
        await desk.reports("keeps changing its model")
        assert await desk.embedding.query("bell") == ()
        assert len(desk.server.requests) < 20


# -- trouble ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "mischief",
    [
        lambda _: web.Response(text="<html>a router's page</html>", content_type="text/html"),
        lambda body: embeddings([[math.nan] * 64 for _ in body["input"]]),
        lambda body: embeddings([[0.0] * 64 for _ in body["input"]]),
        lambda _: embeddings([[1.0, 0.0]] * 7),
        lambda _: refusal(500, "CUDA error: out of memory"),
        lambda _: refusal(401, "Invalid API key"),
        lambda _: refusal(429, "Slow down"),
    ],
    ids=["web page", "NaN", "zero", "wrong count", "broken", "key", "busy"],
)
async def test_a_broken_server_is_asked_again_later(
    desk: Desk, mischief: Callable[[dict[str, Any]], web.Response]
) -> None:
    """Before the first vector, and after some."""
    for texts in (SAID[:2], SAID[2:]):
        await desk.told(*texts)
        desk.server.mischief = mischief
        async with at_work(desk.again()) as desk.embedding:
            await desk.failed()
            asked = len(desk.server.requests)
            assert await desk.embedding.query("bell") == (), (
                "no turn waits for a server that is known to be down"
            )
            assert asked < 40
            desk.server.mischief = lambda _: None
            await desk.has(words=4 if texts == SAID[2:] else 2)
            assert await desk.embedding.query("bell")


async def test_a_server_that_is_down_is_waited_for(desk: Desk) -> None:
    await desk.told(*SAID)
    await desk.server.stop()
    async with at_work(desk.embedding):
        await desk.failed()
        assert "connection refused" in await desk.embedding.report()
        await desk.server.start()
        await desk.has(words=4)
        assert "by words and by meaning" in await desk.embedding.report()


async def test_one_text_that_the_model_chokes_on_holds_up_no_other(desk: Desk) -> None:
    await desk.told(*SAID, "☠" * 3000, *SAID)
    desk.server.spoils = lambda text, values: [math.nan] * 64 if "☠" in text else values
    async with at_work(desk.embedding):
        await desk.embedding.caught_up()
        assert await desk.models() == {"words/64": 8}
        assert "8 of 9 entries have their vector" in await desk.embedding.report()


async def test_a_text_of_100_kb_is_embedded_by_its_beginning(desk: Desk) -> None:
    await desk.told("goose " + "rain " * 20_000)
    async with at_work(desk.embedding):
        await desk.embedding.caught_up()
        assert len(await desk.found("goose")) == 1
    assert max(map(len, desk.server.texts)) <= 2000


async def test_without_a_model_nothing_is_made_and_that_is_said(store: Store) -> None:
    embedding = Embedding(store, Vectors(store), None, HandClock())
    async with at_work(embedding):
        embedding.soon()
        assert await embedding.query("bell") == ()
        assert await embedding.report() == NO_SOURCE
