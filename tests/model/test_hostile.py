"""Servers that send what no model server would, or too much of it: refused in a sentence."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from random import Random
from typing import Any, cast

import pytest
from aiohttp import web

from bot.errors import BackendError, BackendUnavailableError
from bot.model import routes, wire
from bot.model.openai_server import OpenAIServer
from bot.model.routes import Timeouts
from tests.fakes.dialect_server import DialectServer
from tests.fakes.koboldcpp import FakeKoboldCpp
from tests.fakes.llama_router import FakeLlamaRouter
from tests.fakes.lm_studio import FakeLMStudio
from tests.fakes.model_server import Recorded, Refusal, ScriptedModelServer, Stream, chunk, event
from tests.fakes.ollama import FakeOllama
from tests.fakes.tabbyapi import FakeTabbyAPI
from tests.fakes.textgen_webui import FakeTextGenWebUI
from tests.fakes.vllm import FakeVllm
from tests.model.conftest import hear

DEEP = b"[" * 200_000 + b"]" * 200_000
BOMB = gzip.compress(bytes(16 * 1024 * 1024), 1)  # twice what is read of an answer


class Stranger(ScriptedModelServer):
    """Answers every question with the same bytes, over and over where `endless`."""

    def __init__(self, data: bytes, *, endless: bool = False, headers: dict[str, str] | None = None) -> None:
        super().__init__()
        self.data, self.endless, self.headers = data, endless, headers or {}

    async def _answer(self, request: web.Request, _: Any) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json", **self.headers})
        await response.prepare(request)
        await response.write(self.data)
        while self.endless:
            await response.write(self.data)
        return response


@pytest.mark.parametrize(
    ("stranger", "told"),
    [
        (lambda: Stranger(b"[" + bytes(65_536), endless=True), "more than 8 MiB"),
        (lambda: Stranger(DEEP), "not JSON"),
        (lambda: Stranger(BOMB, headers={"Content-Encoding": "gzip"}), "not JSON"),
        (lambda: Stranger(b"9" * 10_000), "not JSON"),
        (lambda: Stranger(b"\xff\xfe\x00"), "not JSON"),
        (lambda: Stranger(b"<html>Welcome</html>", headers={"Content-Type": "text/html"}), "a web page"),
    ],
)
async def test_what_is_no_list_of_models_is_refused(stranger: Callable[[], Stranger], told: str) -> None:
    async with stranger() as server:
        backend = OpenAIServer(server.url)
        with pytest.raises(BackendUnavailableError, match=f"{told}, not as a model server does.*MODEL_URLS"):
            await backend.health()
        await backend.aclose()


async def test_a_server_that_only_sends_elsewhere_is_not_followed(scripted: ScriptedModelServer) -> None:
    class Loop(Stranger):
        async def _answer(self, request: web.Request, _: Any) -> web.StreamResponse:
            raise web.HTTPFound(request.path)

    async with Loop(b"") as server:
        backend = OpenAIServer(server.url)
        with pytest.raises(BackendUnavailableError, match="a redirect to another address"):
            await backend.health()
        assert len(server.requests) == 1
        await backend.aclose()


@pytest.mark.parametrize("length", [0, -4096, 10**12, 1e300, "8192", True, None, [1]])
async def test_a_context_that_no_model_has_is_not_known(scripted: ScriptedModelServer, length: Any) -> None:
    cards = {"data": [{"id": "m", "owned_by": "nobody", "max_model_len": length}]}
    scripted.listing = Refusal(200, json.dumps(cards))
    backend = OpenAIServer(scripted.url)
    assert await backend.context_length() is None
    assert [one.context_length or None for one in await backend.models()] == [None]
    await backend.aclose()


async def test_halves_of_characters_are_never_passed_on(scripted: ScriptedModelServer) -> None:
    """JavaScript's JSON can name half a character; neither Discord nor the database takes one."""
    dice, half = r"\ud83c\udfb2", r"\ud83c"
    said = b'data: {"choices": [{"delta": {"content": "%s and %s"}}]}\n\n'
    scripted.script.append(Stream(said % (dice.encode(), half.encode()) + event(chunk(finish_reason="stop"))))
    scripted.script.append(Refusal(500, f'{{"error": {{"message": "{half}"}}}}'))
    backend = OpenAIServer(scripted.url)
    assert (await hear(backend))[0] == "🎲 and \ufffd"
    with pytest.raises(BackendUnavailableError, match=r"\(HTTP 500\): \ufffd"):
        await hear(backend)
    await backend.aclose()


async def test_odd_names_and_far_too_many_of_them_are_borne(scripted: ScriptedModelServer) -> None:
    strange = ["caf\udcff", "\u202e@everyone\n", "x" * 5000, 7]
    cards = [*({"id": name} for name in strange), "m", None, *({"id": f"m{n}"} for n in range(5000))]
    scripted.listing = Refusal(200, json.dumps({"data": cards}))
    backend = OpenAIServer(scripted.url)
    names = [one.name for one in await backend.models()]
    assert names[:2] == ["caf\ufffd", "m0"]
    assert len(names) < 1000
    assert (await hear(backend))[0]
    await backend.aclose()


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        (b"data: " + DEEP + b"\n\n", "broken JSON"),
        (event(chunk("The door")) + b"data: " + b"x" * 3_000_000, "more than"),
        (event(chunk("x" * 1000)) * 3000, "more than"),
    ],
)
async def test_an_answer_without_end_or_reason_is_cut_off(
    scripted: ScriptedModelServer, sent: bytes, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "MAX_ANSWER", 2_000_000)
    scripted.script.append(Stream(sent))
    backend = OpenAIServer(scripted.url)
    with pytest.raises(BackendUnavailableError, match=told):
        await hear(backend)
    await backend.aclose()


@pytest.mark.parametrize(
    ("status", "headers", "told"),
    [
        (500, {}, "more than 1 MiB"),
        (200, {"Content-Type": "text/event-stream", "Content-Encoding": "gzip"}, "broken JSON|broke off"),
        (500, {"Content-Encoding": "gzip"}, r"HTTP 500"),
    ],
)
async def test_neither_a_refusal_without_end_nor_a_packed_answer_fills_the_memory(
    status: int, headers: dict[str, str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Refusing(ScriptedModelServer):
        async def _answer(self, request: web.Request, recorded: Any) -> web.StreamResponse:
            if request.path != "/v1/chat/completions":
                return await super()._answer(request, recorded)
            data = BOMB if "Content-Encoding" in headers else bytes(3 * 1024 * 1024)
            return web.Response(status=status, body=data, headers=headers)

    monkeypatch.setattr(wire, "MAX_BODY", 1024 * 1024)
    async with Refusing() as server:
        backend = OpenAIServer(server.url)
        with pytest.raises(BackendUnavailableError, match=told):
            await hear(backend)
        await backend.aclose()


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        (DEEP[:150_000] + b"\n", "broken JSON"),
        (b'{"message": {"content": "x"}}\n' * 10_000, "more than"),
        (b"x" * 300_000, "more than"),
    ],
)
async def test_nor_is_one_of_ollamas_waited_for(
    sent: bytes, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Endless(FakeOllama):
        async def _chat(self, request: web.Request, _: Any) -> web.StreamResponse:
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(sent)
            return response

    monkeypatch.setattr(routes, "MAX_ANSWER", 200_000)
    async with Endless() as server:
        backend = OpenAIServer(server.url)
        with pytest.raises(BackendUnavailableError, match=told):
            await hear(backend)
        await backend.aclose()


@pytest.fixture
async def slow() -> AsyncIterator[tuple[FakeLlamaRouter, asyncio.Event]]:
    """A server that lists its models at once and is too busy for any other question until it is let go."""
    free = asyncio.Event()

    class Busy(FakeLlamaRouter):
        async def _answer(self, request: web.Request, recorded: Any) -> web.StreamResponse:
            if request.path != "/v1/models" and not request.path.endswith("/completions"):
                await free.wait()
            return await super()._answer(request, recorded)

    async with Busy() as server:
        yield server, free


async def test_a_server_too_busy_to_say_what_it_is_answers_and_is_asked_again(
    slow: tuple[FakeLlamaRouter, asyncio.Event],
) -> None:
    server, free = slow
    backend = OpenAIServer(server.url, timeouts=Timeouts(probe=0.05))
    await backend.health()
    assert backend.dialect == "OpenAI API"
    assert (await hear(backend))[0]
    free.set()
    backend._site = replace(backend._site, timeouts=Timeouts())  # as patient as it usually is
    await backend.health()
    assert backend.dialect == "llama.cpp"
    await backend.aclose()


async def test_a_server_that_is_known_stays_known_while_it_is_busy(
    slow: tuple[FakeLlamaRouter, asyncio.Event],
) -> None:
    server, free = slow
    free.set()
    backend = OpenAIServer(server.url)
    before = await backend.context_length()
    free.clear()
    backend._site = replace(backend._site, timeouts=Timeouts(probe=0.05))
    await backend.refresh()
    assert (backend.dialect, await backend.context_length()) == ("llama.cpp", before)
    await backend.aclose()


JUNK: tuple[Any, ...] = (None, [], {}, "", 5, -1, 0.5, True, [None], {"a": None}, "\ud800", [[[]]], 2**70)


def spoiled(value: Any, rng: Random) -> Any:
    """What a server says, with fields left out and others of a type that nobody expects."""
    if rng.random() < 0.12:
        return rng.choice(JUNK)
    if isinstance(value, dict):
        return {name: spoiled(one, rng) for name, one in value.items() if rng.random() > 0.05}
    return [spoiled(one, rng) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    "kind",
    [FakeKoboldCpp, FakeLlamaRouter, FakeLMStudio, FakeOllama, FakeTabbyAPI, FakeTextGenWebUI, FakeVllm],
)
async def test_a_server_whose_fields_are_of_any_type_is_borne_or_refused(kind: type[DialectServer]) -> None:
    rng = Random(1)  # noqa: S311  # to spoil answers, the same ones each time

    class Spoiled(kind):  # type: ignore[valid-type, misc]  # a class that is chosen by a parameter
        async def _own(self, request: web.Request, recorded: Recorded) -> web.StreamResponse | None:
            with suppress(KeyError):  # the fake itself trips over a name that it had told wrongly
                said = await super()._own(request, recorded)
                if isinstance(said, web.Response) and said.content_type == "application/json" and said.text:
                    return web.json_response(spoiled(json.loads(said.text), rng), status=said.status)
                return cast("web.StreamResponse | None", said)
            return web.Response(status=404)

    async with Spoiled() as server:
        for _ in range(30):
            backend = OpenAIServer(server.url, timeouts=Timeouts(load=0.1, poll=0.01))
            for asked in (backend.health, backend.models, backend.adapters, partial(backend.load, "sea-24b")):
                with suppress(BackendError):
                    await asked()
            await backend.aclose()
