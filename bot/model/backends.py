"""All model servers in their order: who answers now, who waits, and what happens when one goes away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from bot.chat import Usage
from bot.clock import Clock
from bot.errors import BackendError, BackendUnavailableError, SetupError
from bot.model.backend import Backend, ModelInfo
from bot.model.bounded_queue import OnWait, Queue
from bot.model.candidate import FIRST_WAIT_S, LOOK_S, Candidate
from bot.model.cpu import CpuServer, Endpoint, Progress
from bot.model.failures import sentence
from bot.model.openai_server import OpenAIServer
from bot.model.routes import Timeouts

LOCAL_PORTS = (8080, 9931, 8000, 5001, 5000, 1234, 11434)
"""Of llama.cpp (old, new), vLLM, KoboldCpp, TabbyAPI and text-generation-webui, LM Studio, Ollama."""
_MOST_SCENES = 10_000


@dataclass(frozen=True, slots=True)
class Switch:
    """A scene goes on with another backend. `text` is what to tell the table."""

    scene_key: int
    before: str
    after: str
    text: str


OnSwitch = Callable[[Switch], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Offer:
    """A model, and the name of the backend that has it."""

    backend: str
    model: ModelInfo


@dataclass(frozen=True, slots=True)
class BackendStatus:
    """How one backend stands. `standby`: the CPU model before it is needed; `context_length` in tokens.

    `prompt_tokens` are those of all answers so far, `evaluated_tokens` the part of them that no cache held.
    """

    name: str
    url: str
    state: Literal["up", "down", "standby"]
    dialect: str | None = None
    model: str | None = None
    context_length: int | None = None
    exact_counts: bool = False
    running: int = 0
    waiting: int = 0
    error: str = ""
    prompt_tokens: int = 0
    evaluated_tokens: int = 0


class Backends:
    """The ordered servers, then the CPU model.

    `urls` empty means: look on the usual `local_ports`. The key goes to `urls` only, never to whatever
    happens to listen on a local port. `context_length` (tokens) bounds what servers say; `parallel` is how
    many answers a server works on where it does not say itself; `queue_bound` how many may wait for it.
    """

    def __init__(
        self,
        urls: Sequence[str],
        *,
        clock: Clock,
        cpu_model: Path,
        api_key: str | None = None,
        llama_server: str = "",
        slots: Path | None = None,
        context_length: int | None = None,
        parallel: int = 4,
        queue_bound: int = 32,
        local_ports: Sequence[int] = LOCAL_PORTS,
        timeouts: Timeouts | None = None,
        look_s: float = LOOK_S,
        first_wait_s: float = FIRST_WAIT_S,
    ) -> None:
        self._clock = clock
        self._context_length = context_length
        self._parallel = parallel
        self._queue_bound = queue_bound
        self._look_s = look_s
        self._first_wait_s = first_wait_s
        self._guessed = not urls
        servers = [
            OpenAIServer(url, api_key=api_key, context_override=context_length, timeouts=timeouts)
            for url in urls
        ] or [_local_server(port, context_length, timeouts) for port in local_ports]
        self._line = [self._candidate(server) for server in servers]
        self._cpu = CpuServer(
            cpu_model,
            clock=clock,
            context=context_length,
            parallel=parallel,
            binary=llama_server,
            slots=slots,
        )
        self._fallback: Candidate | None = None
        self._one_fallback = asyncio.Lock()  # two scenes must not each make one
        self._watching: dict[Candidate, asyncio.Task[None]] = {}
        self._subscribers: list[OnSwitch] = []
        self._last: dict[int, Candidate] = {}

    def start(self) -> None:
        """Begin to look for the servers, in the background."""
        for candidate in self._line:
            self._watch(candidate)

    def subscribe(self, callback: OnSwitch) -> None:
        """Have `callback` told whenever a scene goes on with another backend, before its next answer."""
        self._subscribers.append(callback)

    async def warm(self) -> None:
        """Prepare what the first turn needs: the client, and the CPU model where nothing else answers."""
        with suppress(BackendError):
            await (await self._pick(None, None)).server.warm()

    async def choose(
        self, scene_key: int, model: str | None = None, on_progress: Progress | None = None
    ) -> Backend:
        """Give the backend for a scene's next answer: the first in order that is up, then the CPU model.

        Of those that are up, one that offers `model` comes before one that does not. `on_progress` is told
        when the CPU model takes longer than a second. Raises BackendUnavailableError if nothing answers.
        """
        candidate = await self._pick(model, on_progress)
        await self._announce(scene_key, candidate)
        return candidate.server

    def at_hand(self, model: str | None = None) -> Backend | None:
        """Give the backend that would be chosen now, if one is up: nothing is started, nobody is told."""
        up = [candidate.server for candidate in self._everyone() if candidate.is_up]
        return next((one for one in up if model is None or one.lists(model)), next(iter(up), None))

    async def spare(self, backend: Backend, work: Callable[[], Awaitable[None]]) -> bool:
        """Have a backend do `work` as soon as it has nothing to answer; see `Queue.spare`."""
        return await self._find(backend).queue.spare(work)

    @asynccontextmanager
    async def lease(self, backend: Backend, on_wait: OnWait | None = None) -> AsyncGenerator[None, None]:
        """Hold one of the places of a backend for as long as an answer takes.

        `on_wait` is told the place in the queue. A BackendUnavailableError from inside takes the backend out
        of the line until it answers again. Raises BackendBusyError if the queue is full.
        """
        candidate = self._find(backend)
        async with candidate.queue.place(on_wait):
            await candidate.looked.wait()
            if candidate.error is not None:
                raise BackendUnavailableError(candidate.error.args[0], hint=candidate.error.hint)
            try:
                yield
            except BackendUnavailableError as error:
                candidate.fail(error)
                raise

    def note(self, backend: Backend, usage: Usage | None) -> None:
        """Take note of what an answer cost, if the server told what of the prompt it had cached."""
        candidate = next((one for one in self._everyone() if one.server is backend), None)
        if candidate and usage and usage.evaluated_tokens is not None:
            candidate.prompt_tokens += usage.prompt_tokens
            candidate.evaluated_tokens += usage.evaluated_tokens

    async def models(self) -> tuple[Offer, ...]:
        """List what every backend offers that is up, in their order, and the CPU model."""
        offers: list[Offer] = []
        for candidate in await self._looked():
            if candidate.is_up:
                with suppress(BackendError):
                    offers += [Offer(candidate.server.name, m) for m in await candidate.server.models()]
        if self._fallback is None:
            offers.append(Offer(self._cpu_name, ModelInfo(self._cpu.model.stem, self._context_length)))
        return tuple(offers)

    async def status(self) -> tuple[BackendStatus, ...]:
        """Say how every backend stands. Of the usual local ports only those with a server are told."""
        line = await self._looked()
        told = [c for c in line if c.is_up or not self._guessed or c is self._fallback or _wants_key(c)]
        found = [await _status(candidate) for candidate in told]
        if self._fallback is None:
            found.append(await self._cpu_status())
        return tuple(found)

    async def aclose(self) -> None:
        """Stop looking, end the CPU model, close every connection."""
        for candidate in list(self._watching):
            await self._drop(candidate)
        await self._cpu.stop()

    @property
    def _cpu_name(self) -> str:
        bundled = self._cpu.model.parent == Path(__file__).parent
        return "the bundled CPU model" if bundled else f"the CPU model {self._cpu.model.stem}"

    def _candidate(self, server: OpenAIServer) -> Candidate:
        queue = Queue(
            lambda: server.name, lambda: server.capabilities.slots or self._parallel, self._queue_bound
        )
        return Candidate(server, queue, self._clock, look_s=self._look_s, first_wait_s=self._first_wait_s)

    async def _cpu_status(self) -> BackendStatus:
        try:
            await self._cpu.check()
        except SetupError as error:
            return BackendStatus(self._cpu_name, "", "down", error=str(error))
        return BackendStatus(self._cpu_name, "", "standby", "llama.cpp", self._cpu.model.stem)

    async def _pick(self, model: str | None, on_progress: Progress | None) -> Candidate:
        second_best: Candidate | None = None
        for candidate in self._line:
            await candidate.looked.wait()
            if candidate.is_up:
                if model is None or candidate.server.lists(model):
                    return candidate
                second_best = second_best or candidate
        return second_best or await self._on_cpu(on_progress)

    async def _on_cpu(self, on_progress: Progress | None) -> Candidate:
        """Have the CPU model running, and give it."""
        try:
            if self._fallback is not None:
                await self._bury_if_dead(self._fallback)
            endpoint = await self._cpu.ensure(on_progress)
            async with self._one_fallback:
                if self._fallback is None or not self._fallback.server.is_at(endpoint.url):
                    await self._replace_fallback(endpoint)
        except BackendError as error:
            raise self._nothing_answers(error) from None
        assert self._fallback is not None
        return self._fallback

    async def _bury_if_dead(self, fallback: Candidate) -> None:
        """Find out what a failed request meant: nothing, or a child that is dying or hangs."""
        await fallback.looked.wait()
        if not fallback.is_up and fallback is self._fallback:
            await self._cpu.bury()

    async def _replace_fallback(self, endpoint: Endpoint) -> None:
        old, self._fallback = self._fallback, None
        if old is not None:
            await self._drop(old)
        server = OpenAIServer(
            endpoint.url,
            api_key=endpoint.api_key,
            label=self._cpu_name,
            context_override=self._context_length,
        )
        fallback = self._candidate(server)
        self._watch(fallback)
        await fallback.looked.wait()
        if fallback.error is not None:
            await self._drop(fallback)
            raise fallback.error
        self._fallback = fallback
        self._last = {key: fallback if last is old else last for key, last in self._last.items()}

    def _watch(self, candidate: Candidate) -> None:
        self._watching[candidate] = asyncio.create_task(candidate.watch())

    async def _drop(self, candidate: Candidate) -> None:
        """Stop looking at a server and close its connections."""
        task = self._watching.pop(candidate)
        task.cancel()
        await asyncio.wait({task})
        await candidate.server.aclose()

    def _nothing_answers(self, cpu_error: BackendError) -> BackendError:
        first = self._line[0].error if self._line and not self._guessed else None
        if first is None:
            return cpu_error
        return BackendUnavailableError(
            f"{first.args[0]} {cpu_error.args[0]}", hint=first.hint or cpu_error.hint
        )

    async def _announce(self, scene_key: int, candidate: Candidate) -> None:
        expected = candidate if self._guessed else self._line[0]
        before = self._last.pop(scene_key, expected)
        self._last[scene_key] = candidate
        if len(self._last) > _MOST_SCENES:
            del self._last[next(iter(self._last))]
        if before is candidate:
            return
        text = f"Going on with {candidate.server.name}."
        if before.error is not None:
            text = f"{before.error.args[0]} {text}"
        elif before is self._fallback:
            text = f"{sentence(candidate.server.name)} answers again. {text}"
        switch = Switch(scene_key, before.server.name, candidate.server.name, text)
        for callback in self._subscribers:
            await callback(switch)

    def _find(self, backend: Backend) -> Candidate:
        for candidate in self._everyone():
            if candidate.server is backend:
                return candidate
        raise BackendUnavailableError(f"{sentence(backend.name)} was restarted meanwhile.", hint="Try again.")

    async def _looked(self) -> list[Candidate]:
        for candidate in self._line:
            await candidate.looked.wait()
        return self._everyone()

    def _everyone(self) -> list[Candidate]:
        return [*self._line, *([self._fallback] if self._fallback else [])]


def _local_server(port: int, context_length: int | None, timeouts: Timeouts | None) -> OpenAIServer:
    """Make a server that may well not exist: it is not waited for long, and a stranger there is not one."""
    short = replace(timeouts or Timeouts(), connect=0.5, health=2.0)
    url = f"http://127.0.0.1:{port}"
    return OpenAIServer(url, context_override=context_length, timeouts=short, expect_list=True)


def _wants_key(candidate: Candidate) -> bool:
    return candidate.error is not None and "API key" in candidate.error.args[0]


async def _status(candidate: Candidate) -> BackendStatus:
    server = candidate.server
    if candidate.error is not None:
        return BackendStatus(server.name, server.url, "down", server.dialect, error=str(candidate.error))
    models = await server.models()
    return BackendStatus(
        name=server.name,
        url=server.url,
        state="up",
        dialect=server.dialect,
        model=models[0].name if models else None,
        context_length=await server.context_length(),
        exact_counts=server.capabilities.counts,
        running=candidate.queue.running,
        waiting=candidate.queue.waiting,
        prompt_tokens=candidate.prompt_tokens,
        evaluated_tokens=candidate.evaluated_tokens,
    )
