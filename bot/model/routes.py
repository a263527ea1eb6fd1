"""A server's own small routes (lists, properties, token counts): short JSON calls with every bound set.

These go over aiohttp, which the Discord client has loaded already, so that looking for servers at start
does not wait for the openai package (0.6 s to import).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from bot.errors import BackendUnavailableError
from bot.model.address import ServerAddress
from bot.model.failures import no_answer, not_a_model_server

MAX_BODY = 8 * 1024 * 1024
"""Bytes. A list of a thousand models is 300 kB; a page of a stranger's server may be anything."""
MAX_ANSWER = 64 * 1024 * 1024
"""Bytes of one streamed answer, its JSON included: 8192 tokens are about 3 MB."""
IDLE_CONNECTION_S = 4.0
"""Seconds a connection is kept for the next request: llama.cpp and uvicorn hang up after 5."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long a server is waited for, in seconds.

    `probe` is for each question that tells the kinds of servers apart. `first_token` covers queueing and the
    evaluation of a long prompt on a slow machine, `load` the loading of a model from a slow disk; `poll` lies
    between two questions whether it is done.
    """

    connect: float = 5.0
    probe: float = 2.0
    first_token: float = 300.0
    between_tokens: float = 60.0
    health: float = 5.0
    load: float = 900.0
    poll: float = 1.0


class RefusedError(Exception):
    """A route answered with an HTTP error. `status` is its code, `body` the start of its text."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.body = body


class TooMuchError(ValueError):
    """A server sent more bytes than any answer can have; `found` says so in a sentence about what it sent."""

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self.found = f"more than {most // 1_048_576} MiB"


class SilentError(BackendUnavailableError):
    """A route gave nothing back in time, or hung up: that says nothing of what the server is."""


class Routes:
    """JSON calls to one server. `name` gives what to call it in an error."""

    def __init__(self, address: ServerAddress, name: Callable[[], str], timeouts: Timeouts) -> None:
        self._address = address
        self._name = name
        self._connect_s = timeouts.connect
        self._session: aiohttp.ClientSession | None = None

    @property
    def name(self) -> str:
        """What to call the server in an error."""
        return self._name()

    async def get(self, url: str, *, timeout_s: float, headers: Mapping[str, str] | None = None) -> Any:
        """Fetch JSON. Raises RefusedError for an HTTP error, BackendUnavailableError for all else."""
        return await self._call("GET", url, None, timeout_s, headers)

    async def post(
        self, url: str, body: dict[str, Any], *, timeout_s: float, headers: Mapping[str, str] | None = None
    ) -> Any:
        """Send JSON and read JSON. Raises as `get` does."""
        return await self._call("POST", url, body, timeout_s, headers)

    async def lines(
        self,
        url: str,
        body: dict[str, Any],
        *,
        first_s: float,
        next_s: float,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncGenerator[str, None]:
        """Send JSON and give the lines of what comes back, as they come, without empty ones.

        `first_s` and `next_s` are the seconds that the first and any further line may take. Closing the
        generator closes the connection. Raises as `get` does, and TimeoutError.
        """
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=min(self._connect_s, first_s))
        deadline = asyncio.get_running_loop().time() + first_s
        request = self._open().post(url, json=body, timeout=timeout, headers=headers, allow_redirects=False)
        try:
            async with asyncio.timeout_at(deadline):
                response = await request
        except (aiohttp.ClientError, OSError) as error:
            raise self._explained(error) from None
        try:
            if response.status >= 300:
                raise RefusedError(response.status, await self._start(response, deadline))
            lines = _split(response.content)
            async with asyncio.timeout_at(deadline):
                line = await anext(lines, None)
            while line is not None:
                yield line
                async with asyncio.timeout(next_s):
                    line = await anext(lines, None)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise self._explained(error) from None
        finally:
            response.close()

    async def aclose(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _call(
        self,
        method: str,
        url: str,
        body: dict[str, Any] | None,
        timeout_s: float,
        headers: Mapping[str, str] | None,
    ) -> Any:
        timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=min(self._connect_s, timeout_s))
        try:
            async with self._open().request(
                method, url, json=body, timeout=timeout, headers=headers, allow_redirects=False
            ) as response:
                text = bytearray()
                async for part in response.content.iter_any():
                    text += part
                    if len(text) > MAX_BODY:
                        break
                status = response.status
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            why = no_answer(self._name(), error)
            raise SilentError(why.args[0], hint=why.hint) from None
        return self._json(status, text)

    async def _start(self, response: aiohttp.ClientResponse, deadline: float) -> str:
        """Read the start of what a refusal says."""
        async with asyncio.timeout_at(deadline):
            return (await response.content.read(65_536)).decode("utf-8", "replace")

    def _explained(self, error: Exception) -> Exception:
        if isinstance(error, TooMuchError):
            return not_a_model_server(self._name(), error.found)
        return error if isinstance(error, TimeoutError) else no_answer(self._name(), error)

    def _json(self, status: int, text: bytearray) -> Any:
        if status >= 300:
            raise RefusedError(status, text[:65_536].decode("utf-8", "replace"))
        if len(text) > MAX_BODY:
            raise not_a_model_server(self._name(), f"more than {MAX_BODY // 1_048_576} MiB")
        try:
            return json.loads(text.decode("utf-8", "replace"))
        except (ValueError, RecursionError):
            found = "a web page" if text.lstrip().startswith(b"<") else "something that is not JSON"
            raise not_a_model_server(self._name(), found) from None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            headers = {"Accept-Encoding": "identity"}
            if self._address.authorization:
                headers["Authorization"] = self._address.authorization
            self._session = aiohttp.ClientSession(
                headers=headers,
                auto_decompress=False,  # a megabyte can hold a gigabyte of zeros
                trust_env=not self._address.is_nearby,
                connector=aiohttp.TCPConnector(keepalive_timeout=IDLE_CONNECTION_S),
            )
        return self._session


async def _split(content: aiohttp.StreamReader) -> AsyncGenerator[str, None]:
    """Split a stream into lines. Raises TooMuchError for a line, or an answer, that does not end."""
    rest, received = b"", 0
    async for part in content.iter_any():
        received += len(part)
        *lines, rest = (rest + part).split(b"\n")
        if len(rest) > MAX_BODY:
            raise TooMuchError(MAX_BODY)
        if received > MAX_ANSWER:
            raise TooMuchError(MAX_ANSWER)
        for line in lines:
            if line.strip():
                yield line.decode("utf-8", "replace").strip()
    if rest.strip():
        yield rest.decode("utf-8", "replace").strip()
