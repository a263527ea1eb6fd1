"""A model server that says and does what a test tells it to.

What it copies, and from where: the shape of `/v1/models` and of streamed `/v1/chat/completions` is OpenAI's
API reference (chunks, `stream_options.include_usage`, `data: [DONE]`), compared by eye with what llama.cpp
b11549 sends. With `dialect="vllm"` it adds `max_model_len` and `/tokenize` as vLLM's documentation describes
them, and counts words where vLLM would count tokens. It stands in for servers that misbehave, and for a model
in benchmarks; how the real llama.cpp behaves is tested against the real one.

As its own process: `python -m tests.fakes.model_server --port 0 --text "..."` prints its base URL on one line
and runs until its standard input closes. `GET /requests` lists what was asked and when (Unix seconds).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web

from bot.memory.summary_text import SYSTEM
from tests.fakes.listener import Listener

PATIENCE = 30.0  # seconds
TEXT = "The door swings open. Rain drips from the lintel, and somebody inside puts down a cup."


@dataclass(frozen=True)
class Answer:
    """An ordinary streamed answer, a few characters to a chunk.

    `gate` holds it back before the first chunk, `gate_after` after that many chunks; `pause_s` waits between
    chunks. `opening` sends a chunk without text before all of that. Without `usage` no usage chunk is sent;
    `finish_reason` None ends the stream as if cut off. `dies_after` that many chunks the connection is cut,
    as by a server that was killed. A `thought` comes before it, in the field that servers have for that.
    """

    text: str = TEXT
    chunk: int = 8
    gate: asyncio.Event | None = None
    gate_after: int = 0
    pause_s: float = 0.0
    opening: bool = False
    usage: bool = True
    finish_reason: str | None = "stop"
    dies_after: int | None = None
    thought: str = ""


@dataclass(frozen=True)
class Refusal:
    """An HTTP error, or any other whole body: JSON, HTML, text."""

    status: int
    body: str
    content_type: str = "application/json"


@dataclass(frozen=True)
class Stream:
    """Bytes of an event stream exactly as they stand; `broken` cuts the connection after them."""

    data: bytes
    broken: bool = False
    content_type: str = "text/event-stream"


@dataclass
class Recorded:
    """One request as it came in. `opened` is set when the answer has begun,
    `gone` when the client has hung up before its end."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    received: float
    purpose: Purpose
    opened: asyncio.Event = field(default_factory=asyncio.Event)
    gone: asyncio.Event = field(default_factory=asyncio.Event)


Step = Answer | Refusal | Stream
Purpose = Literal["answer", "summary", "ahead"]


def event(data: Any) -> bytes:
    """Write one event of a stream."""
    return b"data: " + json.dumps(data).encode() + b"\n\n"


def chunk(
    text: str | None = None, finish_reason: str | None = None, model: str = "scripted"
) -> dict[str, Any]:
    """Make one chunk of an answer."""
    delta = {} if text is None else {"content": text}
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 0,
        "model": model,
        "choices": [choice],
    }


def sums_up(body: dict[str, Any]) -> bool:
    """Tell whether a request is there to have something summed up; of one that was not kept: no."""
    return any(SYSTEM in str(message["content"]) for message in body.get("messages", ())[:1])


def purpose(body: dict[str, Any]) -> Purpose:
    """Say what a chat request is for: an answer, a summary, or to have a prompt's beginning read ahead."""
    if sums_up(body):
        return "summary"
    return "ahead" if body.get("max_tokens") == 1 else "answer"


class ScriptedModelServer(Listener):
    """The server. `script` lists what the next chat requests get, in turn; then `default` again.

    Requests to sum something up get what `summary_script` lists, then what `summary` makes of them, `default`
    if that is None.
    """

    def __init__(
        self,
        *,
        models: tuple[str, ...] = ("scripted",),
        default: Step | None = None,
        dialect: Literal["plain", "vllm"] = "plain",
        context: int = 4096,
        api_key: str | None = None,
    ) -> None:
        super().__init__()
        self.models = models
        self.default: Step = default or Answer()
        self.script: deque[Step] = deque()
        self.summary: Callable[[str], Step] | None = None
        self.summary_script: deque[Step] = deque()
        self.listing: Refusal | None = None
        self.requests: list[Recorded] = []
        self.refused = 0
        """Requests that were longer than `context`; only vLLM's dialect minds."""
        self.arrived = asyncio.Condition()
        self.context = context
        self._dialect = dialect
        self._api_key = api_key

    @property
    def chats(self) -> list[Recorded]:
        return [request for request in self.requests if request.path == "/v1/chat/completions"]

    @property
    def summaries(self) -> list[Recorded]:
        """Requests to sum something up."""
        return [chat for chat in self.chats if sums_up(chat.body)]

    @property
    def answers(self) -> list[Recorded]:
        """Requests for an answer."""
        return [chat for chat in self.chats if chat.purpose == "answer"]

    def routes(self) -> list[web.RouteDef]:
        """Answer everything."""
        return [web.get("/requests", self._list_requests), web.route("*", "/{path:.*}", self._handle)]

    async def wait_for_chats(self, number: int) -> Recorded:
        """Wait until that many chat requests have come in all, and give the last. Raises TimeoutError."""
        async with asyncio.timeout(PATIENCE), self.arrived:
            await self.arrived.wait_for(lambda: len(self.chats) >= number)
        return self.chats[number - 1]

    async def _list_requests(self, request: web.Request) -> web.Response:
        return web.json_response(
            [
                {"path": r.path, "received": r.received, "purpose": r.purpose, "body": r.body}
                for r in self.requests
            ]
        )

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        received = time.time()
        body = await request.json() if request.can_read_body else {}
        recorded = Recorded(request.path, dict(request.headers), body, received, purpose(body))
        async with self.arrived:
            self.requests.append(recorded)
            self.arrived.notify_all()
        if not self._admits(request):
            return self._refuse(Refusal(401, '{"error": {"message": "Invalid API key"}}'))
        try:
            return await self._answer(request, recorded)
        except (asyncio.CancelledError, ConnectionError):
            recorded.gone.set()
            raise

    def _admits(self, request: web.Request) -> bool:
        return not self._api_key or request.headers.get("Authorization") == f"Bearer {self._api_key}"

    async def _answer(self, request: web.Request, recorded: Recorded) -> web.StreamResponse:
        match request.path:
            case "/v1/models":
                return self._refuse(self.listing) if self.listing else web.json_response(self._models())
            case "/tokenize" if self._dialect == "vllm":
                return web.json_response(self._tokens(recorded.body))
            case "/v1/chat/completions":
                step = self._step(recorded.body)
                if isinstance(step, Refusal):
                    return self._refuse(step)
                if self._dialect == "vllm" and (refusal := self._too_long(recorded.body)):
                    self.refused += 1
                    return self._refuse(refusal)
                return await self._stream(request, recorded, step)
        return self._refuse(Refusal(404, "<html><body>Not Found</body></html>", "text/html"))

    def _step(self, body: dict[str, Any]) -> Step:
        if not sums_up(body):
            return self.script.popleft() if self.script else self.default
        if self.summary_script:
            return self.summary_script.popleft()
        return self.summary(body["messages"][-1]["content"]) if self.summary else self.default

    def _models(self) -> dict[str, Any]:
        extra = {"max_model_len": self.context} if self._dialect == "vllm" else {}
        owner = "vllm" if self._dialect == "vllm" else "nobody"
        return {
            "object": "list",
            "data": [{"id": m, "object": "model", "owned_by": owner, **extra} for m in self.models],
        }

    def _tokens(self, body: dict[str, Any]) -> dict[str, Any]:
        text = body.get("prompt") or " ".join(f"<{m['role']}> {m['content']} <end>" for m in body["messages"])
        tokens = [len(word) for word in text.split()]
        return {"count": len(tokens), "max_model_len": self.context, "tokens": tokens}

    def _billed(self, body: dict[str, Any]) -> int:
        """Bill what vLLM's dialect counts; a plain server has no template that anybody knows of."""
        if self._dialect == "vllm":
            return int(self._tokens(body)["count"])
        return sum(len(message["content"].split()) for message in body["messages"])

    def _too_long(self, body: dict[str, Any]) -> Refusal | None:
        """Refuse what does not fit, in the words of vllm#20409."""
        prompt, wanted = self._tokens(body)["count"], body.get("max_tokens", 0)
        if prompt + wanted <= self.context:
            return None
        message = (
            f"This model's maximum context length is {self.context} tokens. However, you requested "
            f"{prompt + wanted} tokens ({prompt} in the messages, {wanted} in the completion)."
        )
        error = {"object": "error", "message": message, "type": "BadRequestError", "code": 400}
        return Refusal(400, json.dumps(error))

    def _refuse(self, refusal: Refusal) -> web.Response:
        return web.Response(status=refusal.status, text=refusal.body, content_type=refusal.content_type)

    async def _stream(
        self, request: web.Request, recorded: Recorded, step: Answer | Stream
    ) -> web.StreamResponse:
        content_type = step.content_type if isinstance(step, Stream) else "text/event-stream"
        response = web.StreamResponse(headers={"Content-Type": content_type})
        if isinstance(step, Answer) and step.gate and not step.gate_after and not step.opening:
            await step.gate.wait()
        await response.prepare(request)
        recorded.opened.set()
        if isinstance(step, Answer):
            if await self._write(response, recorded.body, step) and request.transport:
                request.transport.abort()
            return response
        await response.write(step.data)
        if step.broken and request.transport:
            request.transport.abort()
        return response

    async def _write(self, response: web.StreamResponse, body: dict[str, Any], step: Answer) -> bool:
        """Write the chunks of an answer, and tell whether the server dies of it."""
        model = str(body.get("model"))
        pieces = [step.text[i : i + step.chunk] for i in range(0, len(step.text), step.chunk)]
        if step.opening:
            await response.write(event(chunk("", model=model)))
        if step.thought:
            choice = {"index": 0, "delta": {"reasoning_content": step.thought}, "finish_reason": None}
            await response.write(event({**chunk(model=model), "choices": [choice]}))
        for number, piece in enumerate(pieces):
            if step.gate and number == step.gate_after:
                await step.gate.wait()
            if step.pause_s:
                await asyncio.sleep(step.pause_s)
            if step.dies_after == number:
                return True
            await response.write(event(chunk(piece, model=model)))
        if step.finish_reason is None:
            return False
        await response.write(event(chunk(finish_reason=step.finish_reason, model=model)))
        if step.usage and body.get("stream_options", {}).get("include_usage"):
            prompt = self._billed(body)
            usage = {
                "prompt_tokens": prompt,
                "completion_tokens": len(pieces),
                "total_tokens": prompt + len(pieces),
            }
            await response.write(event({**chunk(model=model), "choices": [], "usage": usage}))
        await response.write(b"data: [DONE]\n\n")
        return False


async def _serve(arguments: argparse.Namespace) -> None:
    answer = Answer(arguments.text, chunk=arguments.chunk, pause_s=arguments.pause)
    async with ScriptedModelServer(default=answer, models=(arguments.model,)) as server:
        await server.stop()
        await server.start(arguments.port)
        sys.stdout.write(server.url + "\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.buffer.read)


def main() -> None:
    """Run until standard input closes."""
    parser = argparse.ArgumentParser(description="A scripted OpenAI-compatible model server.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--text", default=TEXT, help="what every answer says")
    parser.add_argument("--chunk", type=int, default=8, help="characters in each chunk")
    parser.add_argument("--pause", type=float, default=0.0, help="seconds before each chunk")
    parser.add_argument("--model", default="scripted")
    asyncio.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
