"""All model servers in their order: who answers now, who waits, and what happens when one goes away."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path

from bot.chat import Usage
from bot.clock import Clock
from bot.errors import BackendError, BackendUnavailableError, KeyRefusedError, ModelRefusedError
from bot.model.backend import AdapterInfo, Backend, ModelInfo, Progress
from bot.model.bounded_queue import OnWait, Queue
from bot.model.candidate import FIRST_WAIT_S, LOOK_S, Candidate
from bot.model.cpu import CpuServer, Endpoint
from bot.model.failures import sentence
from bot.model.fallback import Fallback
from bot.model.openai_server import OpenAIServer
from bot.model.routes import Timeouts
from bot.model.standing import BackendStatus, Offer, standing_of
from bot.model.switches import OnSwitch, Switches

LOCAL_PORTS = (8080, 9931, 8000, 5001, 5000, 1234, 11434)
"""Of llama.cpp (old, new), vLLM, KoboldCpp, TabbyAPI and text-generation-webui, LM Studio, Ollama."""
EQUALS = "|"
"""Stands between the addresses of servers that share the scenes."""
LOADING_S = 180.0
"""Seconds for which a server that loads its model is waited for where no other one is up."""
_LAST_RANK = 1_000_000
_CPU_PROBE_S = 10.0
"""Seconds for each question to the CPU model's server; it makes its machine busy, and windows go by them."""


class Backends:
    """The ordered servers, then the CPU model.

    Each of `urls` is an address, or several with `|` between them: those servers are equals, and each scene
    has its own among them. None at all means: look on the usual `local_ports`. The keys go to `urls` only,
    never to whatever happens to listen on a local port. `context_length` (tokens) bounds what servers say;
    `parallel` is how many answers a server works on where it does not say itself; `queue_bound` how many may
    wait for it.
    """

    def __init__(
        self,
        urls: Sequence[str],
        *,
        clock: Clock,
        cpu_model: Path,
        api_key: str | None = None,
        admin_key: str | None = None,
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
        self._line = [
            self._candidate(
                OpenAIServer(
                    one,
                    api_key=api_key,
                    admin_key=admin_key,
                    context_override=context_length,
                    timeouts=timeouts,
                ),
                rank,
            )
            for rank, url in enumerate(urls)
            for one in url.split(EQUALS)
        ] or [
            self._candidate(_local_server(port, context_length, timeouts), rank)
            for rank, port in enumerate(local_ports)
        ]
        cpu = CpuServer(
            cpu_model,
            clock=clock,
            context=context_length,
            parallel=parallel,
            binary=llama_server,
            slots=slots,
        )
        self._switches = Switches()
        self._fallback = Fallback(cpu, self._last, self._switches.replace)

    def start(self) -> None:
        """Begin to look for the servers, in the background."""
        for candidate in self._line:
            candidate.watch()

    def subscribe(self, callback: OnSwitch) -> None:
        """Have `callback` told whenever a scene goes on with another backend, before its next answer."""
        self._switches.subscribe(callback)

    async def warm(self) -> None:
        """Prepare what the first turn needs: the client, and the CPU model where nothing else answers."""
        with suppress(BackendError):
            line = await self._looked(0)
            soon = [one for one in line if one.is_up] or [one for one in line if one.is_loading]
            await (soon[0] if soon else await self._on_cpu(None)).server.warm()

    async def choose(
        self,
        scene_key: int,
        model: str | None = None,
        on_progress: Progress | None = None,
        *,
        avoid: Mapping[Backend, BackendError] | None = None,
    ) -> Backend:
        """Give the backend for a scene's next answer: the first in order that is up, then the CPU model.

        Of those that are up, one that answers as `model` comes before one that does not, and one to `avoid`,
        for what it said before, comes last. A server that is loading is waited for if no other one is up.
        `on_progress` is told of what takes longer than a second. Raises BackendUnavailableError if nothing
        answers.
        """
        avoid = avoid or {}
        candidate = await self._pick(scene_key, model, on_progress, avoid)
        line = self._order(scene_key)
        is_meant = self._guessed or (model is not None and candidate.answers_as(model))
        expected = candidate if is_meant or not line else line[0]
        await self._switches.note((scene_key, model), candidate, expected, line, avoid)
        return candidate.server

    def model_for(self, backend: Backend, wanted: str | None) -> str | None:
        """Give the model to ask a backend for: the one wanted, or None if another would answer as it."""
        return wanted if wanted and self._find(backend).answers_as(wanted) else None

    def at_hand(self, model: str | None = None, scene_key: int = 0) -> Backend | None:
        """Give the backend that would be chosen now, if one is up: nothing is started, nobody is told."""
        up = [one for one in (*self._order(scene_key), *self._fallback.there) if one.is_up]
        return _best(up, model).server if up else None

    async def load(self, model: str, scene_key: int = 0, on_progress: Progress | None = None) -> str:
        """Have a model ready on the first server that offers it, and give its name there once it is loaded.

        Where it takes the place of another, that is done once the answers under way are given; nobody is
        served meanwhile. Raises BackendError with the reason if no server offers it, or it cannot be loaded.
        """
        offer = await self.offer(model, scene_key)
        if offer.server is None:
            await self._on_cpu(on_progress)
            return model
        one = self._find(offer.server)
        swaps = not one.answers_as(model)
        if swaps and on_progress and one.queue.running:
            on_progress("waiting until the answers under way are given")
        async with one.queue.alone() if swaps else nullcontext():
            try:
                await one.server.load(model, on_progress)
            finally:
                await one.look()
        return (
            model if one.lists(model) else one.own_model
        )  # KoboldCpp calls a file otherwise once it is loaded

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
            except ModelRefusedError as error:
                candidate.refuse(error)
                raise

    async def wake(self, backend: Backend, model: str | None, on_progress: Progress) -> None:
        """Have a model loaded that a server loads when a request names it, where it says that it is not yet.

        The request alone would do, but nobody would see what it waits for. Raises BackendError.
        """
        candidate = self._find(backend)
        name = model or candidate.own_model
        asleep = any(one.name == name and one.loaded is False for one in candidate.models)
        if asleep and backend.capabilities.swaps == "named":
            await backend.load(name, on_progress)
            candidate.models = await backend.models()

    def note(self, backend: Backend, usage: Usage | None) -> None:
        """Take note of what an answer cost, if the server told what of the prompt it had cached."""
        candidate = next((one for one in self._there() if one.server is backend), None)
        if candidate and usage and usage.evaluated_tokens is not None:
            candidate.prompt_tokens += usage.prompt_tokens
            candidate.evaluated_tokens += usage.evaluated_tokens

    async def models(self) -> tuple[Offer, ...]:
        """List what every backend offers that is up, in their order, and the CPU model."""
        offers: list[Offer] = []
        for candidate in await self._everyone():
            if candidate.is_up:
                with suppress(BackendError):
                    offers += [_offer(candidate, model) for model in await candidate.server.models()]
        if not self._fallback.there:
            offers.append(await self._fallback.offer())
        return tuple(offers)

    async def offer(self, model: str, scene_key: int = 0) -> Offer:
        """Give the model of that name as a scene would get it. Raises BackendError if no server offers it."""
        line = [one for one in await self._looked(scene_key) if one.is_up and one.lists(model)]
        able = [one for one in line if one.answers_as(model)] or line
        found = [_offer(one, info) for one in able for info in one.models if info.name == model]
        found += [offer for offer in await self.models() if offer.model.name == model]
        if not found:
            names = list(dict.fromkeys(offer.model.name for offer in await self.models()))
            raise BackendError(
                f"No server offers a model called “{model[:80]}”.",
                hint=f"There is: {', '.join(names[:10]) or 'none'}.",
            )
        return found[0]

    async def adapters(self) -> tuple[tuple[Backend, tuple[AdapterInfo, ...]], ...]:
        """List the LoRA adapters of every backend that is up."""
        found = []
        for candidate in await self._everyone():
            if candidate.is_up:
                with suppress(BackendError):
                    found.append((candidate.server, await candidate.server.adapters()))
        return tuple(found)

    async def status(self) -> tuple[BackendStatus, ...]:
        """Say how every backend stands. Of the usual local ports only those with a server are told."""
        line = await self._everyone()
        on_cpu = self._fallback.there
        told = [one for one in line if one.is_up or not self._guessed or one in on_cpu or _wants_key(one)]
        found = [await standing_of(candidate) for candidate in told]
        if not on_cpu:
            found.append(await self._fallback.status())
        return tuple(found)

    async def forget(self) -> None:
        """Leave nothing on disk of what models have read: something of it was taken back."""
        await self._fallback.forget()

    async def aclose(self) -> None:
        """Stop looking, end the CPU model, close every connection."""
        for candidate in self._line:
            await candidate.aclose()
        await self._fallback.aclose()

    def _candidate(self, server: OpenAIServer, rank: int) -> Candidate:
        queue = Queue(
            lambda: server.name, lambda: server.capabilities.slots or self._parallel, self._queue_bound
        )
        return Candidate(
            server, queue, self._clock, rank=rank, look_s=self._look_s, first_wait_s=self._first_wait_s
        )

    def _last(self, endpoint: Endpoint, label: str) -> Candidate:
        """Give the CPU model's server, which stands at the end of the line."""
        server = OpenAIServer(
            endpoint.url,
            api_key=endpoint.api_key,
            label=label,
            context_override=self._context_length,
            timeouts=Timeouts(probe=_CPU_PROBE_S),
        )
        return self._candidate(server, _LAST_RANK)

    async def _pick(
        self,
        scene_key: int,
        model: str | None,
        on_progress: Progress | None,
        avoid: Mapping[Backend, BackendError],
    ) -> Candidate:
        began = self._clock.monotonic()
        while True:
            line = await self._looked(scene_key)
            up = [one for one in line if one.is_up]
            if model == self._fallback.model and not any(one.lists(model) for one in up):
                return await self._on_cpu(on_progress)
            if up:
                return _best([one for one in up if one.server not in avoid] or up, model)
            loading = next((one for one in line if one.is_loading), None)
            waited = self._clock.monotonic() - began
            if loading is None or waited > LOADING_S:
                return await self._on_cpu(on_progress)
            if on_progress and waited > 1:
                on_progress(f"{sentence(loading.server.name)} is loading its model ... {waited:.0f} s")
            await loading.next_look(1.0)

    def _order(self, scene_key: int) -> list[Candidate]:
        """Give the line as a scene sees it: of equals, each scene has another one first.

        That is rendezvous hashing: where one goes away only its own scenes move, and they spread out.
        """
        return sorted(self._line, key=lambda one: (one.rank, _weight(scene_key, one.server.url)))

    async def _looked(self, scene_key: int) -> list[Candidate]:
        for candidate in self._line:
            await candidate.looked.wait()
        return self._order(scene_key)

    async def _on_cpu(self, on_progress: Progress | None) -> Candidate:
        """Have the CPU model running, and give it."""
        try:
            return await self._fallback.ensure(on_progress)
        except BackendError as error:
            raise self._nothing_answers(error) from None

    def _nothing_answers(self, cpu_error: BackendError) -> BackendError:
        first = self._line[0].error if self._line and not self._guessed else None
        if first is None:
            return cpu_error
        return BackendUnavailableError(
            f"{first.args[0]} {cpu_error.args[0]}", hint=first.hint or cpu_error.hint
        )

    def _find(self, backend: Backend) -> Candidate:
        for candidate in self._there():
            if candidate.server is backend:
                return candidate
        raise BackendUnavailableError(f"{sentence(backend.name)} was restarted meanwhile.", hint="Try again.")

    async def _everyone(self) -> list[Candidate]:
        for candidate in self._line:
            await candidate.looked.wait()
        return self._there()

    def _there(self) -> list[Candidate]:
        return [*self._line, *self._fallback.there]


def _offer(candidate: Candidate, model: ModelInfo) -> Offer:
    server = candidate.server
    path = server.model_path(model.name)
    return Offer(server.name, model, server, candidate.answers_as(model.name), path)


def _best(candidates: Sequence[Candidate], model: str | None) -> Candidate:
    """Give the first that has the model, else the first that may answer as it, else the first."""
    if model is None:
        return candidates[0]
    able = [one for one in candidates if one.answers_as(model)]
    return next((one for one in able if one.lists(model)), next(iter(able), candidates[0]))


def _weight(scene_key: int, url: str) -> bytes:
    return hashlib.sha256(f"{scene_key} {url}".encode()).digest()


def _local_server(port: int, context_length: int | None, timeouts: Timeouts | None) -> OpenAIServer:
    """Make a server that may well not exist: it is not waited for long, and a stranger there is not one."""
    short = replace(timeouts or Timeouts(), connect=0.5, health=2.0)
    url = f"http://127.0.0.1:{port}"
    return OpenAIServer(url, context_override=context_length, timeouts=short, expect_list=True)


def _wants_key(candidate: Candidate) -> bool:
    return isinstance(candidate.error, KeyRefusedError)
