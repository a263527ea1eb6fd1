"""The openai client, set up for servers that may be down the hall, slow, or wrong.

Importing this module imports openai and httpx2 (0.1 s and 4 MiB beside the rest of the bot), so nothing
imports it at start: `OpenAIServer.warm` does, in a thread, once the bot is ready.

`AsyncOpenAI.post` is used rather than `chat.completions.create`: the latter walks every message through its
type transformation, which took 23 ms for a prompt of 100 messages where this takes 1 ms. Answers come as
plain dictionaries, so that a field which is missing or of another type is ours to bear.
"""

from __future__ import annotations

import asyncio
import codecs
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, Any

import httpx2

from bot.model.bare_import import put_off

# openai itself imports a client for everything that OpenAI sells, and the shapes of what each sends and
# reads: 320 ms and 10 MiB. Of all that a chat needs these, which are public, but not where they stand.
with put_off("openai", "openai.lib", "openai.types", "openai.types.shared"):
    from openai._client import AsyncOpenAI, AsyncStream
    from openai._exceptions import (
        APIConnectionError,
        APIError,
        APIStatusError,
        APITimeoutError,
        OpenAIError,
    )

from bot.model.failures import broke_off, failed_in_stream, no_answer, not_a_model_server, too_slow
from bot.model.routes import IDLE_CONNECTION_S, MAX_ANSWER, MAX_BODY, RefusedError, TooMuchError

if TYPE_CHECKING:
    from bot.errors import BackendError
    from bot.model.address import ServerAddress
    from bot.model.routes import Timeouts

_Stream = AsyncStream[object]


class ChatClient:
    """Chat requests to one server. `name` gives what to call it in an error."""

    def __init__(self, address: ServerAddress, name: Callable[[], str], timeouts: Timeouts) -> None:
        self._name = name
        self._timeouts = timeouts
        self._client = _make_client(address, timeouts)

    async def greet(self) -> None:
        """Make one small request: what the client sets up on first use must not delay the first turn."""
        with contextlib.suppress(OpenAIError):
            await self._client.get("/models", cast_to=httpx2.Response)

    async def chunks(
        self, body: dict[str, Any], headers: Mapping[str, str] | None = None
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Send a chat request and give the chunks of its answer. Closing the generator closes the connection.

        Raises RefusedError where the server refused the request itself, BackendError for everything else.
        """
        deadline = asyncio.get_running_loop().time() + self._timeouts.first_token
        stream = await self._open(body, headers or {}, deadline)
        started = False
        try:
            while (chunk := await self._next(stream, body, None if started else deadline)) is not None:
                started = started or _has_token(chunk)
                yield chunk
        finally:
            await stream.close()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _open(self, body: dict[str, Any], headers: Mapping[str, str], deadline: float) -> _Stream:
        try:
            async with asyncio.timeout_at(deadline):
                stream = await self._client.post(
                    "/chat/completions",
                    cast_to=object,
                    body=body,
                    options={"headers": headers},
                    stream=True,
                    stream_cls=_Stream,
                )
        except APIStatusError as error:
            raise RefusedError(error.status_code, error.response.text[:65_536]) from None
        except (APIError, TimeoutError, TooMuchError) as error:
            raise self._explain(error, body, begun=False) from None
        kind = stream.response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "text/event-stream":
            return stream
        await stream.close()
        raise not_a_model_server(
            self._name(), "a web page" if kind == "text/html" else f"{kind or 'no'} content"
        )

    async def _next(
        self, stream: _Stream, body: dict[str, Any], deadline: float | None
    ) -> dict[str, Any] | None:
        """Give the next chunk; None at the end. Without a deadline the limit is that between two tokens."""
        until = deadline or asyncio.get_running_loop().time() + self._timeouts.between_tokens
        try:
            async with asyncio.timeout_at(until):
                chunk = await anext(stream)
        except StopAsyncIteration:
            return None
        except (APIError, TimeoutError, ValueError, RecursionError) as error:
            raise self._explain(error, body, begun=deadline is None) from None
        return chunk if isinstance(chunk, dict) else {}

    def _explain(self, error: Exception, body: dict[str, Any], *, begun: bool) -> BackendError:
        name, times = self._name(), self._timeouts
        match error:
            case TimeoutError() | APITimeoutError() if begun:
                return too_slow(name, times.between_tokens, "did not go on with its answer")
            case TimeoutError():
                return too_slow(name, times.first_token, "did not begin to answer")
            case APIConnectionError():
                return broke_off(name) if begun else no_answer(name, error.__cause__)
            case APIError():
                return failed_in_stream(name, error.body, body)
        return not_a_model_server(name, error.found if isinstance(error, TooMuchError) else "broken JSON")


def _make_client(address: ServerAddress, timeouts: Timeouts) -> AsyncOpenAI:
    """Build a client that never retries by itself.

    The next server in line is better than the same one again, and a retry has its prompt evaluated twice.
    """
    timeout = httpx2.Timeout(timeouts.first_token, connect=timeouts.connect)
    encrypted = address.api.startswith("https:")
    http_client = httpx2.AsyncClient(
        timeout=timeout,
        # llama.cpp hangs up after a stream without having said so: of 300 requests in a row one
        # met a connection that was just being closed. A new one costs nothing but over TLS.
        limits=httpx2.Limits(
            max_keepalive_connections=None if encrypted else 0, keepalive_expiry=IDLE_CONNECTION_S
        ),
        event_hooks={"response": [_keep_within_bounds]},
        follow_redirects=False,  # a redirect would carry the prompt, and perhaps the key, somewhere else
        trust_env=not address.is_nearby,
        # Reading the machine's certificates takes 25 ms; a plain http server has none to be checked.
        verify=encrypted,
    )
    return AsyncOpenAI(
        base_url=address.api,
        api_key="none",  # the client insists on one; what is sent is the header below
        default_headers={
            "Accept-Encoding": "identity",
            **({"Authorization": address.authorization} if address.authorization else {}),
        },
        max_retries=0,
        timeout=timeout,
        http_client=http_client,
    )


def _has_token(chunk: dict[str, Any]) -> bool:
    """Tell the first token (a thought counts) from the chunk with which some servers open the stream."""
    match chunk:
        case {"choices": [{"delta": dict(delta)}, *_]}:
            return any(isinstance(text, str) and text for key, text in delta.items() if key != "role")
    return False


async def _keep_within_bounds(response: httpx2.Response) -> None:
    """Bound what comes back, and take it as it stands: packed bytes, which nobody asked for, stay packed.

    A stream with broken UTF-8 is let through, each bad byte as U+FFFD, where openai's decoder would give up:
    models that emit bytes as tokens can stop in the middle of a character.
    """
    response.headers.pop("content-encoding", None)
    is_answer = response.headers.get("content-type", "").startswith("text/event-stream")
    assert isinstance(response.stream, httpx2.AsyncByteStream)
    response.stream = _Utf8Stream(response.stream, MAX_ANSWER if is_answer else MAX_BODY)


class _Utf8Stream(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream, most: int) -> None:
        self._stream = stream
        self._most = most

    async def __aiter__(self) -> AsyncIterator[bytes]:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        received = 0
        async for part in self._stream:
            received += len(part)
            if received > self._most:
                raise TooMuchError(self._most)
            yield decoder.decode(part).encode()
        yield decoder.decode(b"", final=True).encode()

    async def aclose(self) -> None:
        await self._stream.aclose()
