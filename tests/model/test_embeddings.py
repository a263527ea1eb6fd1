"""Vectors from servers of all kinds, and from servers that are none."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from bot.chat import Vector
from bot.clock import SystemClock
from bot.errors import BackendBusyError, BackendError, BackendUnavailableError, TextRefusedError
from bot.model.embeddings import MOST_CHARACTERS, EmbeddingModel, EmbeddingServer, identity
from tests.fakes.embedding_server import EmbeddingServerFake, embeddings, refusal
from tests.tiny_bert import write_tiny_bert
from tests.tiny_gguf import write_tiny_gguf

LINES = ["Ann: The bell is cracked.", "Bob: Who cracked the bell?", "Marta: Rain, rain and more rain."]


@pytest.fixture
async def server() -> AsyncIterator[EmbeddingServerFake]:
    async with EmbeddingServerFake() as fake:
        yield fake


@pytest.fixture
async def embedder(server: EmbeddingServerFake) -> AsyncIterator[EmbeddingServer]:
    one = EmbeddingServer(server.url, patience_s=5.0)
    yield one
    await one.aclose()


def cosine(one: Vector, other: Vector) -> float:
    return sum(a * b for a, b in zip(one.values, other.values, strict=True))


async def test_each_text_gets_a_vector_of_length_1(embedder: EmbeddingServer) -> None:
    found = await embedder.embed(LINES)
    assert [math.isclose(math.hypot(*one.values), 1.0, abs_tol=1e-5) for one in found] == [True] * 3
    assert cosine(found[0], found[1]) > cosine(found[0], found[2])
    assert {one.model for one in found} == {"words/64"}
    assert embedder.name.startswith("words at 127.0.0.1:")


async def test_a_server_without_base64_is_asked_for_numbers() -> None:
    async with EmbeddingServerFake(speaks_base64=False) as server:
        embedder = EmbeddingServer(server.url)
        first = await embedder.embed(LINES)
        await embedder.embed(LINES[:1])
        assert len(first) == 3
        assert ["encoding_format" in request for request in server.requests] == [True, False, False]
        await embedder.aclose()


async def test_the_model_that_was_chosen_is_asked_for(server: EmbeddingServerFake) -> None:
    server.models = ("chat", "folder/bge-small-en-v1.5.gguf")
    embedder = EmbeddingServer(server.url, model="folder/bge-small-en-v1.5.gguf")
    (text,) = await embedder.embed(["Marta: Rain."])
    await embedder.embed(["rain"], query=True)
    assert text.model == "bge-small-en-v1.5.gguf/64"
    assert {request["model"] for request in server.requests} == {"folder/bge-small-en-v1.5.gguf"}
    # What that model was trained to read before a query, and only there.
    assert server.texts == ["Marta: Rain.", "Represent this sentence for searching relevant passages: rain"]
    await embedder.aclose()


async def test_an_older_model_can_be_asked_while_the_server_lists_it(server: EmbeddingServerFake) -> None:
    server.models = ("new", "old")
    embedder = EmbeddingServer(server.url, model="new")
    await embedder.embed(LINES)
    assert await embedder.of_model("gone/64") is None
    assert await embedder.of_model("new/32") is None
    older = await embedder.of_model("old/64")
    assert older is not None
    assert (await older.embed(LINES))[0].model == "old/64"
    await older.aclose()
    await embedder.aclose()


async def test_a_text_of_100_kb_is_cut(server: EmbeddingServerFake, embedder: EmbeddingServer) -> None:
    assert await embedder.embed(["rain " * 20_000])
    assert len(server.texts[0]) <= MOST_CHARACTERS


async def test_a_text_that_is_still_too_long_is_cut_until_it_fits(
    server: EmbeddingServerFake, embedder: EmbeddingServer
) -> None:
    server.longest = 600
    assert await embedder.embed(["rain " * 400])
    assert [len(text) for text in server.texts] == [1999, 999, 499]
    with pytest.raises(TextRefusedError, match="too large to process"):
        await embedder.embed(["rain " * 400, "short"])


@pytest.mark.parametrize("text", ["", "   \n"])
async def test_an_empty_text_is_refused_without_asking(
    server: EmbeddingServerFake, embedder: EmbeddingServer, text: str
) -> None:
    with pytest.raises(TextRefusedError, match="empty text"):
        await embedder.embed([text])
    assert server.requests == []


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, 1e39, 0.0])
async def test_a_vector_without_a_direction_is_refused(number: float) -> None:
    for speaks_base64 in (True, False):
        async with EmbeddingServerFake(speaks_base64=speaks_base64) as server:
            server.spoils = lambda _, values: [number, *[0.0 for _ in values[1:]]]
            embedder = EmbeddingServer(server.url)
            with pytest.raises(TextRefusedError, match="not a number, infinite or zero"):
                await embedder.embed(["rain"])
            await embedder.aclose()


def says(data: Any) -> web.Response:
    return web.json_response(data)


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (
            lambda: web.Response(text="<html>hello</html>", content_type="text/html"),
            "answered with a web page",
        ),
        (lambda: web.Response(text="hello"), "something that is not JSON"),
        (lambda: web.Response(text="x" * 9 * 1024 * 1024), "more than 8 MiB"),
        (lambda: web.Response(status=302, headers={"Location": "http://127.0.0.1:1/"}), "a redirect"),
        (lambda: says([]), "something other than embeddings"),
        (lambda: says({"data": {}}), "something other than embeddings"),
        (lambda: says({"data": [{"index": 0}]}), "something other than embeddings"),
        (lambda: embeddings([[1.0, 2.0]]), "1 embeddings for 2 texts"),
        (lambda: embeddings([[1.0, 2.0]] * 3), "3 embeddings for 2 texts"),
        (lambda: says({"data": [{"index": 5, "embedding": [1, 2]}] * 2}), "2 embeddings for 2 texts"),
        (lambda: embeddings([[1.0, 2.0], [1.0, 2.0, 3.0]]), "vectors of different lengths"),
        (lambda: embeddings([[], []]), "vectors of 0 numbers"),
        (lambda: embeddings([[1.0] * 20_000] * 2), "vectors of 20000 numbers"),
        (lambda: embeddings([["1", "2"]] * 2), "no lists of numbers"),
        (lambda: embeddings([[10**400, 1.0]] * 2), "no lists of numbers"),
        (lambda: says({"data": [{"embedding": "not base64!"}] * 2}), "no lists of numbers"),
        (lambda: says({"data": [{"embedding": None}] * 2}), "no lists of numbers"),
        (
            lambda: refusal(501, "This server does not support embeddings."),
            r"embeds nothing \(HTTP 501\).*llama.cpp's needs --embeddings",
        ),
        (lambda: refusal(503, "Loading model"), "still loading"),
    ],
)
async def test_what_is_no_embedding_server_is_told(
    server: EmbeddingServerFake, embedder: EmbeddingServer, answer: Any, complaint: str
) -> None:
    server.mischief = lambda _: answer()
    with pytest.raises(BackendUnavailableError, match=complaint) as caught:
        await embedder.embed(LINES[:2])
    assert "127.0.0.1" in str(caught.value)
    server.mischief = lambda _: None
    assert await embedder.embed(LINES[:2])


async def test_vectors_come_in_the_order_of_the_texts(
    server: EmbeddingServerFake, embedder: EmbeddingServer
) -> None:
    rows = [{"index": 1, "embedding": [0.0, 1.0]}, {"index": 0, "embedding": [[1.0, 0.0]]}]
    server.mischief = lambda _: says({"data": rows})
    assert [list(one.values) for one in await embedder.embed(LINES[:2])] == [[1.0, 0.0], [0.0, 1.0]]


async def test_a_server_that_is_down_is_told_with_what_to_do(server: EmbeddingServerFake) -> None:
    await server.stop()
    embedder = EmbeddingServer(server.url)
    with pytest.raises(BackendUnavailableError, match=r"connection refused.*Check that EMBEDDING_URL"):
        await embedder.embed(LINES)
    await embedder.aclose()


async def test_a_server_that_is_slow_is_not_waited_for_for_ever(server: EmbeddingServerFake) -> None:
    server.gate = asyncio.Event()
    embedder = EmbeddingServer(server.url, patience_s=0.05)
    with pytest.raises(BackendUnavailableError, match="no answer in time"):
        await embedder.embed(LINES)
    await embedder.aclose()


async def test_too_many_requests_are_no_fault_of_the_text(
    server: EmbeddingServerFake, embedder: EmbeddingServer
) -> None:
    server.mischief = lambda _: refusal(429, "Slow down")
    with pytest.raises(BackendBusyError):
        await embedder.embed(LINES)


async def test_a_server_that_repeats_a_text_in_its_error_is_not_quoted(
    server: EmbeddingServerFake, embedder: EmbeddingServer
) -> None:
    server.mischief = lambda body: refusal(500, f"Cannot embed: {body['input'][0]}")
    with pytest.raises(TextRefusedError, match=r"failed \(HTTP 500\)\.$"):
        await embedder.embed(LINES)


async def test_the_key_is_sent_and_a_wrong_one_is_told() -> None:
    async with EmbeddingServerFake(api_key="sesame") as server:
        right, wrong = (EmbeddingServer(server.url, api_key=key) for key in ("sesame", "simsim"))
        assert await right.embed(LINES)
        with pytest.raises(BackendUnavailableError, match="Set EMBEDDING_API_KEY") as caught:
            await wrong.embed(LINES)
        assert "simsim" not in str(caught.value)
        await right.aclose()
        await wrong.aclose()


async def test_another_dimension_is_another_model(
    server: EmbeddingServerFake, embedder: EmbeddingServer
) -> None:
    (before,) = await embedder.embed(LINES[:1])
    server.dimensions, server.models = 32, ("other",)
    (after,) = await embedder.embed(LINES[:1])
    assert (before.model, after.model) == ("words/64", "other/32")


# -- a GGUF on the CPU --------------------------------------------------------------------------------------


async def test_llama_cpp_embeds_on_the_cpu(tmp_path: Path) -> None:
    path = write_tiny_bert(tmp_path / "tiny.gguf")
    model = EmbeddingModel(path, clock=SystemClock())
    try:
        first, second, third = await model.embed(["the bell rings", "the bell rings", "rain"])
        assert first.model == f"{identity(path)}/{len(first.values)}"
        assert first.model.startswith("tiny.")
        assert cosine(first, second) == pytest.approx(1.0, abs=1e-4)
        assert cosine(first, third) < 0.999
        assert math.hypot(*first.values) == pytest.approx(1.0, abs=1e-5)
        # 2000 characters are more tokens than the 512 that this model reads.
        assert await model.embed(["x y z " * 20_000])
        assert len(await model.embed(["a bell"] * 32)) == 32
    finally:
        await model.aclose()


async def test_an_older_gguf_serves_while_its_file_is_there(tmp_path: Path) -> None:
    old, new = (write_tiny_bert(tmp_path / f"{name}.gguf", seed=n) for n, name in enumerate(("old", "new")))
    model = EmbeddingModel(new, clock=SystemClock())
    assert await model.of_model(f"{identity(new)}/64") is None
    assert await model.of_model("gone.12345678/64") is None
    assert await model.of_model("/64") is None
    older = await model.of_model(f"{identity(old)}/64")
    assert older is not None
    assert older.name == "old on the CPU"
    old.write_bytes(new.read_bytes())
    assert await model.of_model(f"old.{identity(new).rpartition('.')[2]}x/64") is None


async def test_a_gguf_that_cannot_be_loaded_is_named(tmp_path: Path) -> None:
    missing = EmbeddingModel(tmp_path / "gone.gguf", clock=SystemClock())
    with pytest.raises(BackendError, match=r"gone\.gguf"):
        await missing.embed(LINES)
    await missing.aclose()


async def test_a_chat_model_can_embed_too(tmp_path: Path) -> None:
    """A GGUF without a pooling of its own: llama.cpp takes the last token's, or the mean."""
    model = EmbeddingModel(write_tiny_gguf(tmp_path / "chat.gguf"), clock=SystemClock())
    try:
        assert len(await model.embed(LINES)) == 3
    finally:
        await model.aclose()
