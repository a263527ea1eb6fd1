"""An embedding server that gives the vectors, and does the mischief, that a test tells it to.

The shapes of `/v1/embeddings` and `/v1/models` are those of OpenAI's API reference; `encoding_format: base64`
is little-endian float32. How the real llama.cpp behaves is tested against the real one. The vector of a text
counts its words, each in a place of its own: texts that share words are near each other.
"""

from __future__ import annotations

import asyncio
import base64
import json
import zlib
from array import array
from collections.abc import Callable
from typing import Any

from aiohttp import web

from tests.fakes.listener import Listener

Mischief = Callable[[dict[str, Any]], web.Response | None]
"""What happens to a request in place of an answer; None: the answer."""


class EmbeddingServerFake(Listener):
    """The server. `models` are listed; each has as many dimensions as `dimensions` says."""

    def __init__(
        self, *models: str, dimensions: int = 64, api_key: str = "", speaks_base64: bool = True
    ) -> None:
        super().__init__()
        self.models = models or ("words",)
        self.dimensions = dimensions
        self.mischief: Mischief = lambda _: None
        self.gate: asyncio.Event | None = None
        """Holds every answer back until it is set."""
        self.longest = 100_000
        """Characters of a text; a longer one is refused, as llama.cpp does."""
        self.spoils: Callable[[str, list[float]], list[Any]] = lambda _, values: values
        """Changes the vector of a text."""
        self.requests: list[dict[str, Any]] = []
        self.arrived = asyncio.Condition()
        self._api_key = api_key
        self._base64 = speaks_base64

    @property
    def texts(self) -> list[str]:
        """Every text that was sent, in order."""
        return [text for request in self.requests for text in request["input"]]

    def routes(self) -> list[web.RouteDef]:
        """Answer what is asked of models and embeddings."""
        return [web.get("/v1/models", self._list), web.post("/v1/embeddings", self._embed)]

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something is true of what has been asked."""
        async with asyncio.timeout(20), self.arrived:
            await self.arrived.wait_for(holds)

    async def _list(self, _: web.Request) -> web.Response:
        return web.json_response(
            {"object": "list", "data": [{"id": one, "object": "model"} for one in self.models]}
        )

    async def _embed(self, request: web.Request) -> web.Response:
        body = await request.json()
        async with self.arrived:
            self.requests.append(body)
            self.arrived.notify_all()
        if self._api_key and request.headers.get("Authorization") != f"Bearer {self._api_key}":
            return refusal(401, "Invalid API key")
        if self.gate:
            await self.gate.wait()
        return self.mischief(body) or self._answer(body)

    def _answer(self, body: dict[str, Any]) -> web.Response:
        if "encoding_format" in body and not self._base64:
            return refusal(400, "Unsupported parameter: encoding_format")
        if any(len(text) > self.longest for text in body["input"]):
            return refusal(
                500, "input (2000 tokens) is too large to process. increase the physical batch size"
            )
        vectors = [self.spoils(text, self.counted(text)) for text in body["input"]]
        return embeddings(vectors, base64_="encoding_format" in body, model=body["model"])

    def counted(self, text: str) -> list[float]:
        values = [0.0] * self.dimensions
        for word in text.lower().split():
            values[zlib.crc32(word.strip(".,:;!?\"'").encode()) % self.dimensions] += 1.0
        return values


def embeddings(vectors: list[list[Any]], *, base64_: bool = False, model: str = "words") -> web.Response:
    """Write an answer; NaN and infinity as Python and llama.cpp do, which is no JSON."""
    rows = [
        {"object": "embedding", "index": n, "embedding": _packed(one) if base64_ else one}
        for n, one in enumerate(vectors)
    ]
    text = json.dumps({"object": "list", "model": model, "data": rows})
    return web.Response(text=text, content_type="application/json")


def refusal(status: int, message: str) -> web.Response:
    """Write an error as OpenAI does."""
    return web.json_response({"error": {"message": message, "code": status}}, status=status)


def _packed(values: list[float]) -> str:
    return base64.b64encode(array("f", values).tobytes()).decode()
