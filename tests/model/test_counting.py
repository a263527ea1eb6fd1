"""What the bot counts is what the server bills: a thousand conversations on the real llama.cpp."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import aiohttp
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from bot.chat import ChatMessage, ChatRequest, TokenCount
from bot.model.cpu import Endpoint
from bot.model.openai_server import OpenAIServer
from bot.model.routes import Timeouts
from bot.prompt.log import Head, render, render_head
from bot.prompt.tokens import ESTIMATE
from bot.scene.counting import ENCODERS, Encoders, ServerCounter
from bot.store.records import Entry, EntryKind
from tests.fakes.model_server import Answer, ScriptedModelServer
from tests.model.conftest import hear, serving
from tests.prompt.merging_gguf import LINES, write_merging_gguf
from tests.prompt.strategies import CAST, PIECES, PLAYERS
from tests.tiny_gguf import SPECIALS, write_tiny_gguf

CONVERSATIONS = 1000
IN_FLIGHT = 10  # and one of them is really asked
BEGINNING = 1  # the token that llama.cpp puts before every prompt of a model with this cut
PLAIN = "{% for m in messages %}{{ m.role }}: {{ m.content }} {% endfor %}assistant:"


@dataclass(frozen=True)
class Conversation:
    """What a prompt is made of."""

    head: Head
    log: tuple[Entry, ...]
    speaker: str


def conversations(number: int, longest: int = 8) -> Iterator[Conversation]:
    """Random sessions of players who write anything: emoji, Chinese, code, a template's own specials."""
    rng = random.Random(4)  # noqa: S311 - nothing is at stake
    pieces = [
        *PIECES,
        *LINES,
        *SPECIALS,
        "<|im_end|>\n<|im_start|>assistant\n",
        "1d20+3 = 17",
        "…",
        "/me waves",
    ]

    def text() -> str:
        return "".join(_part(rng, rng.choice(pieces)) for _ in range(rng.randint(1, 6)))

    for _ in range(number):
        log = []
        for seq in range(rng.randint(0, longest)):
            kind = rng.choice(list(EntryKind))
            name = rng.choice(PLAYERS if kind is EntryKind.PLAYER else CAST)
            log.append(
                Entry(id=seq, scene_id=1, kind=kind, speaker=name, text=text(), created_at=0.0, seq=seq)
            )
        yield Conversation(Head(text(), text(), (text(), text())), tuple(log), rng.choice(CAST))


def _part(rng: random.Random, piece: str) -> str:
    return piece if rng.random() < 0.5 else piece[rng.randrange(len(piece)) :] + " " * rng.randint(0, 2)


@contextmanager
def merging_server(folder: Path, pre: str = "llama-bpe", **options: str) -> Iterator[Endpoint]:
    with serving(write_merging_gguf(folder / "model.gguf", pre, **options), 8192) as endpoint:
        yield endpoint


@asynccontextmanager
async def reaching(url: str, key: str = "the-key") -> AsyncIterator[OpenAIServer]:
    server = OpenAIServer(url, api_key=key, timeouts=Timeouts(probe=30.0))  # two cores run other tests, too
    await server.health()
    try:
        yield server
    finally:
        await server.aclose()


async def total(counter: ServerCounter, one: Conversation) -> TokenCount:
    """The sum as a turn makes it: entries counted one by one, and added."""
    await counter.prime([render_head(one.head), f"[{one.speaker} answers.]"])
    log = await counter.counted(one.log)
    return counter.total(one.head, log, one.speaker)


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    with merging_server(tmp_path_factory.mktemp("models")) as endpoint:
        yield endpoint


async def test_a_thousand_conversations_are_counted_as_they_are_billed(endpoint: Endpoint) -> None:
    """The encoder's ids, the server's count, our sum and the bill agree, and nobody ends a message but us."""
    async with reaching(endpoint.url) as server, Template(endpoint) as template:
        encoders = Encoders()
        counter = ServerCounter(server, server.fingerprint(), encoders=encoders)
        await counter.prime([])
        encoder = encoders.get(server.fingerprint())
        assert encoder
        ends = encoder.ids("<|im_end|>")
        played = list(conversations(CONVERSATIONS))
        for first in range(0, CONVERSATIONS, IN_FLIGHT):
            some = [
                (one, render(one.head, one.log, one.speaker)) for one in played[first : first + IN_FLIGHT]
            ]
            tokens = await asyncio.gather(*(server.token_ids(chatml(messages)) for _, messages in some))
            for (one, messages), ids in zip(some, tokens, strict=True):
                assert encoder.ids(chatml(messages)) == ids
                assert ids.count(*ends) == len(messages)
                assert await total(counter, one) == TokenCount(len(ids) + BEGINNING, exact=True)
            (_, messages), ids = some[0], tokens[0]
            assert ids
            assert await template.applied(messages) == chatml(messages)
            counted = TokenCount(len(ids) + BEGINNING, exact=True)
            assert await server.count(messages) == counted
            _, last = await hear(server, ChatRequest(messages, max_tokens=1))
            assert last.usage
            assert last.usage.prompt_tokens == counted.tokens


def chatml(messages: Sequence[ChatMessage]) -> str:
    """What the model's template makes of messages."""
    said = (f"<|im_start|>{one.role}\n{one.content}<|im_end|>\n" for one in messages)
    return "".join([*said, "<|im_start|>assistant\n"])


class Template:
    """llama.cpp's route that applies the chat template."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._url = f"{endpoint.url}/apply-template"
        self._headers = {"Authorization": f"Bearer {endpoint.api_key}"}

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(headers=self._headers)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def applied(self, messages: Sequence[ChatMessage]) -> str:
        body = {"messages": [{"role": one.role, "content": one.content} for one in messages]}
        async with self._session.post(self._url, json=body) as response:
            prompt: str = (await response.json())["prompt"]
            return prompt


async def test_without_the_file_the_server_counts_and_the_sums_are_the_same(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with reaching(endpoint.url) as server:
        monkeypatch.setattr(server, "model_path", lambda model=None: None)
        counter = ServerCounter(server, server.fingerprint())
        for one in conversations(40):
            billed = await server.count(render(one.head, one.log, one.speaker))
            assert await total(counter, one) == billed


async def test_a_file_that_is_not_what_the_server_loaded_is_noticed(tmp_path: Path) -> None:
    with merging_server(tmp_path) as endpoint:
        write_merging_gguf(tmp_path / "other.gguf", "tekken").replace(tmp_path / "model.gguf")
        async with reaching(endpoint.url) as server:
            counter = ServerCounter(server, server.fingerprint())
            with capture_logs() as logs:
                sums = [(one, await total(counter, one)) for one in conversations(5)]
            assert [line["event"] for line in logs] == ["vocabulary_differs", "template_measured"]
            for one, tokens in sums:
                assert await server.count(render(one.head, one.log, one.speaker)) == tokens


async def test_a_template_without_marks_of_its_own_makes_sums_that_are_no_bill_but_near_one(
    tmp_path: Path,
) -> None:
    """Here the last word of a text and the template's next may be one token, and no sum can know."""
    with merging_server(tmp_path, template=PLAIN) as endpoint:
        async with reaching(endpoint.url) as server:
            counter = ServerCounter(server, server.fingerprint())
            for one in conversations(60):
                tokens = await total(counter, one)
                billed = await server.count(render(one.head, one.log, one.speaker))
                assert billed
                assert not tokens.exact
                assert billed.tokens <= tokens.tokens <= billed.tokens + 4 * (len(one.log) + 3)


async def test_a_bill_that_differs_ends_the_claim_to_be_exact(endpoint: Endpoint) -> None:
    async with reaching(endpoint.url) as server:
        encoders = Encoders()
        counter = ServerCounter(server, server.fingerprint(), encoders=encoders)
        one = next(conversations(1))
        tokens = await total(counter, one)
        assert tokens.exact
        with capture_logs() as logs:
            counter.calibrate(tokens, tokens.tokens)
            counter.calibrate(tokens, tokens.tokens + 1)
        assert [(line["event"], line["billed"]) for line in logs] == [
            ("count_was_not_the_bill", tokens.tokens + 1)
        ]
        assert not counter.exact
        assert encoders.get(server.fingerprint()) is None
        assert await total(counter, one) == replace(tokens, exact=False)


async def test_an_older_llama_cpp_counts_in_two_steps(endpoint: Endpoint) -> None:
    async with without_input_tokens(endpoint) as url, reaching(url) as older, reaching(endpoint.url) as newer:
        assert older.capabilities.counts
        for one in conversations(10):
            messages = render(one.head, one.log, one.speaker)
            assert await older.count(messages) == await newer.count(messages)


@asynccontextmanager
async def without_input_tokens(endpoint: Endpoint) -> AsyncIterator[str]:
    """The same server as it was before it had the route that counts conversations."""

    async def passed_on(request: web.Request) -> web.Response:
        if request.path.endswith("/input_tokens"):
            raise web.HTTPNotFound
        headers = {"Authorization": request.headers["Authorization"], "Content-Type": "application/json"}
        async with session.request(
            request.method, f"{endpoint.url}{request.path}", data=await request.read(), headers=headers
        ) as answer:
            return web.Response(
                status=answer.status, body=await answer.read(), content_type="application/json"
            )

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", passed_on)
    runner = web.AppRunner(app)
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector) as session:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        await runner.cleanup()


async def test_a_server_that_cannot_tokenize_is_estimated_and_its_bills_correct_that() -> None:
    async with ScriptedModelServer() as scripted, reaching(scripted.url) as server:
        counter = ServerCounter(server, server.fingerprint())
        one = next(one for one in conversations(50) if len(one.log) > 5)
        tokens = await total(counter, one)
        assert not tokens.exact
        assert counter.fingerprint == ESTIMATE
        for _ in range(30):
            counter.calibrate(tokens, tokens.tokens * 2 // 3)
        assert 0.6 < counter.scale < 0.75
        assert await total(counter, one) == tokens  # counts that are stored stay comparable


async def test_while_the_server_is_away_nothing_is_counted_for_good() -> None:
    scripted = ScriptedModelServer(dialect="vllm", default=Answer())
    async with scripted, reaching(scripted.url) as server:
        counter = ServerCounter(server, server.fingerprint())
        one = next(one for one in conversations(50) if one.log)
        await scripted.stop()
        assert not (await total(counter, one)).exact
        assert {entry.fingerprint for entry in await counter.counted(one.log)} == {None}
        await scripted.start()
        assert (await total(counter, one)).exact
        assert {entry.fingerprint for entry in await counter.counted(one.log)} == {server.fingerprint()}


async def test_few_encoders_stay_in_memory(tmp_path: Path, endpoint: Endpoint) -> None:
    encoders = Encoders()
    async with reaching(endpoint.url) as server:
        names = [f"model-{number}" for number in range(ENCODERS + 1)]
        counters = [ServerCounter(server, name, encoders=encoders) for name in names]
        for counter in counters:
            await counter.prime(["Rain."])
        assert [encoders.get(name) is not None for name in names] == [False, *[True] * ENCODERS]
        await counters[0].prime(["Rain."])
        assert encoders.get(names[0]) is not None


async def test_only_a_server_on_this_machine_is_asked_for_its_files(
    tmp_path: Path, endpoint: Endpoint
) -> None:
    async with reaching(endpoint.url) as server:
        assert str(server.model_path()).endswith("model.gguf")
        server._address = replace(server._address, root="http://192.168.1.9:8080")
        assert server.model_path() is None
    assert write_tiny_gguf(tmp_path / "tiny.gguf").exists()
