from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import pytest

from bot.chat import ChatMessage, ChatRequest, Delta, Sampling
from bot.model.backend import Backend
from bot.model.cpu import Endpoint
from bot.model.cpu_child import Job
from bot.model.openai_server import OpenAIServer
from tests.fakes.model_server import ScriptedModelServer
from tests.tiny_gguf import write_tiny_gguf

PROJECT = Path(__file__).resolve().parents[2]
CONTEXT = 1024


@pytest.fixture(scope="session")
def tiny_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_gguf(tmp_path_factory.mktemp("models") / "tiny.gguf")


@contextmanager
def serving(model: Path, context: int, slots: int = 2) -> Iterator[Endpoint]:
    """A real llama.cpp server, in a child as the bot runs it."""
    job = Job(str(model), model.stem, "the-key", context, parallel=slots, threads=1, cache_mib=64)
    command = [sys.executable, "-m", "bot.model.cpu_child"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, cwd=PROJECT) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(json.dumps(asdict(job)).encode() + b"\n")
        child.stdin.flush()
        yield Endpoint(json.loads(child.stdout.readline())["url"], job.api_key)
        child.stdin.close()
        assert child.wait(10) == 0


@pytest.fixture(scope="session")
def llama_endpoint(tiny_gguf: Path) -> Iterator[Endpoint]:
    with serving(tiny_gguf, CONTEXT) as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def talkative_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """A model that goes on for seconds: what is idle soon after somebody left, is idle because they left."""
    path = tmp_path_factory.mktemp("models") / "talkative.gguf"
    with serving(write_tiny_gguf(path, context=32768, ends_after=1e9), 32768) as endpoint:
        yield endpoint


@pytest.fixture
async def llama(llama_endpoint: Endpoint) -> AsyncIterator[OpenAIServer]:
    server = OpenAIServer(llama_endpoint.url, api_key=llama_endpoint.api_key)
    yield server
    await server.aclose()


@pytest.fixture
async def talkative(talkative_endpoint: Endpoint) -> AsyncIterator[OpenAIServer]:
    server = OpenAIServer(talkative_endpoint.url, api_key=talkative_endpoint.api_key)
    yield server
    await server.aclose()


@pytest.fixture
async def scripted() -> AsyncIterator[ScriptedModelServer]:
    async with ScriptedModelServer() as server:
        yield server


@pytest.fixture
async def backend(scripted: ScriptedModelServer) -> AsyncIterator[OpenAIServer]:
    server = OpenAIServer(scripted.url)
    yield server
    await server.aclose()


def ask(
    *lines: str,
    max_tokens: int = 40,
    sampling: Sampling | None = None,
    stop: tuple[str, ...] = (),
    model: str | None = None,
) -> ChatRequest:
    """A request whose last messages are what players said, after a narrator's instructions."""
    messages = (
        ChatMessage("system", "You are the narrator."),
        *(ChatMessage("user", line) for line in lines or ("I open the door.",)),
    )
    return ChatRequest(messages, max_tokens, sampling or Sampling(seed=7), stop, model)


async def hear(backend: Backend, request: ChatRequest | None = None) -> tuple[str, Delta]:
    """The whole answer, and its last delta."""
    deltas = [delta async for delta in backend.stream(request or ask())]
    return "".join(delta.text for delta in deltas), deltas[-1]
