"""With an embedding server what was said is found by what it meant; whatever becomes of the server, by words.

How batches, retries and changes of the model go is tested in tests/memory/test_embedding.py.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Sequence

import pytest

from tests.acceptance.tabletop import Tabletop
from tests.fakes.embedding_server import EmbeddingServerFake, embeddings
from tests.fakes.model_server import TEXT, ScriptedModelServer

SAME = {"ferry": 0, "boat": 0, "soup": 1, "dinner": 1, "hungry": 1}
"""Words that mean the same to the embedding model of these tests."""


def meant(text: str, _: Sequence[float]) -> list[float]:
    """Give a text the direction of what it is about; all that is about nothing has one of its own."""
    values = [0.0, 0.0, 0.1]
    for word in text.lower().replace(".", "").replace("?", "").split():
        if word in SAME:
            values[SAME[word]] += 1.0
    return values


@pytest.fixture
async def server() -> AsyncIterator[EmbeddingServerFake]:
    async with EmbeddingServerFake() as server:
        server.spoils = meant
        yield server


async def say(table: Tabletop, *texts: str) -> None:
    """Have Ann say something, one after the other, and each be answered."""
    for text in texts:
        said = await table.says(table.ann, text)
        await table.shows(TEXT, since=said.cursor)
    await table.at_rest()


async def embedded(table: Tabletop) -> None:
    """Wait until everything that was told has its vector."""
    lacking = (
        "SELECT 1 FROM entries WHERE kind IN ('player', 'answer', 'opening') AND text <> ''"
        " AND id NOT IN (SELECT entry_id FROM vectors)"
    )
    await table.until(lambda: not table.query(lacking))


async def searched(table: Tabletop, text: str) -> str:
    """Give what `/memory search` finds first."""
    return (await table.command("memory search", {"text": text})).content.partition("\n")[0]


async def source(table: Tabletop) -> str:
    """Give what `/memory list` says of how recall goes."""
    return (await table.command("memory list")).content


async def test_what_was_said_is_found_by_what_it_meant_also_after_a_crash_and_by_another_model(
    table: Tabletop, model: ScriptedModelServer, server: EmbeddingServerFake
) -> None:
    async with table.bot(model.url, EMBEDDING_URL=server.url):
        await table.start_scene(title="Fog")
        await say(table, "The ferry waits below.", "There is soup left.")
        await embedded(table)
        assert "ferry" in await searched(table, "Is there a boat?")
        assert "soup" in await searched(table, "Who is hungry?")
        assert "by words and by meaning: words at 127.0.0.1" in await source(table)

        server.gate = asyncio.Event()
        await say(table, "The cellar is dark.")
        await table.kill()
    server.gate = None
    asked = len(server.texts)
    async with table.bot(model.url, EMBEDDING_URL=server.url):
        await embedded(table)
        again = server.texts[asked:]
        assert "Ann: The cellar is dark." in again
        assert "Ann: The ferry waits below." not in again

        server.spoils = lambda text, _: [*meant(text, _), 0.1]
        await say(table, "Somebody coughs.")
        await table.until(lambda: table.query("SELECT DISTINCT model FROM vectors") == [("words/4",)])
        await embedded(table)
        assert "ferry" in await searched(table, "Is there a boat?")


async def test_a_server_that_answers_nonsense_is_told_once_and_words_still_serve(
    table: Tabletop, model: ScriptedModelServer, server: EmbeddingServerFake
) -> None:
    server.mischief = lambda body: embeddings([[math.nan] * 3 for _ in body["input"]])
    async with table.bot(model.url, EMBEDDING_URL=server.url):
        await table.start_scene(title="Fog")
        await table.until(lambda: "embedding_failed" in table.log())
        await say(table, "The ferry waits below.", "There is soup left.")
        assert "ferry" in await searched(table, "Where is the ferry waiting?")
        assert "by words alone for now: " in await source(table)
    assert table.log().count("embedding_failed") == 1
    assert not table.query("SELECT 1 FROM vectors")
