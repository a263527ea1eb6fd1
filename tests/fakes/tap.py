"""A wire between the bot and llama.cpp's server that notes every chat request, and what it cost."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

import aiohttp
from aiohttp import web

from tests.fakes.listener import Listener
from tests.fakes.model_server import sums_up

NOT_PASSED_ON = frozenset({"host", "content-length", "transfer-encoding", "connection", "keep-alive"})


@dataclass
class Passed:
    """One chat request. Times are in seconds of `time.perf_counter`; None where it did not come so far."""

    body: dict[str, Any]
    sent: float
    first_token: float | None = None
    ended: float | None = None
    given_up: bool = False
    cost: dict[str, Any] = field(default_factory=dict)
    """llama.cpp's `timings` from the last chunk that came."""

    @property
    def ahead(self) -> bool:
        """Whether it is there to have the prompt read, and not for an answer."""
        return bool(self.body["max_tokens"] == 1)

    @property
    def summing_up(self) -> bool:
        """Whether it is there to have something summed up."""
        return sums_up(self.body)

    @property
    def messages(self) -> list[dict[str, str]]:
        messages: list[dict[str, str]] = self.body["messages"]
        return messages

    @property
    def prompt_tokens(self) -> int:
        return self.evaluated + int(self.cost["cache_n"])

    @property
    def evaluated(self) -> int:
        """Tokens of the prompt that the server had not cached."""
        return int(self.cost["prompt_n"])


class Tap(Listener):
    """Listens on a port of its own and passes everything on to `upstream`, llama.cpp's root address."""

    def __init__(self, upstream: str) -> None:
        super().__init__()
        self.chats: list[Passed] = []
        self._upstream = upstream
        self._changed = asyncio.Condition()
        self._session: aiohttp.ClientSession | None = None

    @property
    def answers(self) -> list[Passed]:
        """Requests for an answer, refused ones too."""
        return [chat for chat in self.chats if not chat.ahead and not chat.summing_up]

    @property
    def read_ahead(self) -> list[Passed]:
        return [chat for chat in self.chats if chat.ahead]

    async def __aenter__(self) -> Self:
        # llama.cpp hangs up after every stream, and a request on the old connection would fail.
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True))
        return await super().__aenter__()

    async def __aexit__(self, *exc_info: object) -> None:
        await super().__aexit__(*exc_info)
        assert self._session
        await self._session.close()

    def routes(self) -> list[web.RouteDef]:
        """Pass everything on."""
        return [web.route("*", "/{path:.*}", self._pass)]

    @property
    def at_rest(self) -> bool:
        """Whether the last answer has been given, and the server has read ahead since."""
        given = self.answers[-1].ended if self.answers else None
        return given is not None and any(
            one.sent > given and one.cost and one.ended for one in self.read_ahead
        )

    async def until(self, holds: Callable[[], bool], patience: float = 30.0) -> None:
        """Wait until something is true of what has passed."""
        async with asyncio.timeout(patience), self._changed:
            await self._changed.wait_for(holds)

    async def _pass(self, request: web.Request) -> web.StreamResponse:
        assert self._session
        data = await request.read()
        chat = None
        if request.path.endswith("/chat/completions"):
            chat = Passed(json.loads(data), time.perf_counter())
            # An answer that is cut short has no last chunk: so have the cost told with every one.
            data = json.dumps({**chat.body, "timings_per_token": True}).encode()
            self.chats.append(chat)
            await self._tell()
        headers = {
            name: value for name, value in request.headers.items() if name.lower() not in NOT_PASSED_ON
        }
        url = f"{self._upstream}{request.path_qs}"
        try:
            async with self._session.request(request.method, url, data=data, headers=headers) as answer:
                return await self._pass_back(request, answer, chat)
        except BaseException:
            if chat:
                chat.given_up = True
            raise
        finally:
            if chat:
                chat.ended = time.perf_counter()
                await self._tell()

    async def _pass_back(
        self, request: web.Request, answer: aiohttp.ClientResponse, chat: Passed | None
    ) -> web.StreamResponse:
        headers = {name: value for name, value in answer.headers.items() if name.lower() not in NOT_PASSED_ON}
        response = web.StreamResponse(status=answer.status, headers=headers)
        await response.prepare(request)
        rest = b""
        async for part in answer.content.iter_any():
            *events, rest = (rest + part).split(b"\n\n")
            for event in events if chat else ():
                _note(chat, event)
            await response.write(part)
        await response.write_eof()
        return response

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()


def _note(chat: Passed | None, event: bytes) -> None:
    if chat is None or not event.startswith(b"data: {"):
        return
    data = json.loads(event.removeprefix(b"data: "))
    chat.cost = data.get("timings") or chat.cost
    if chat.first_token is None and any(choice["delta"].get("content") for choice in data.get("choices", ())):
        chat.first_token = time.perf_counter()
