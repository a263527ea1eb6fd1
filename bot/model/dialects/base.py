"""What every dialect has: plain OpenAI's, which the others make more of."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Coroutine, Iterable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

from bot.chat import Adapter, ChatMessage, ChatRequest, Sampling, Usage
from bot.errors import BackendError, BackendUnavailableError
from bot.model.address import ServerAddress
from bot.model.backend import AdapterInfo, Capabilities, ModelInfo, Progress
from bot.model.dialects.reading import digest, mapping, openai_usage
from bot.model.failures import own_words, sentence, too_slow
from bot.model.routes import RefusedError, Routes, Timeouts

COUNT_S = 5.0
"""Seconds for a token count; llama.cpp takes 1.3 ms, more while it loads a model."""


@dataclass(frozen=True, slots=True)
class Served:
    """What a server had to offer when it was last asked; the first of `models` answers by default.

    `path` is where that one lies on the server's machine, a file or a folder; empty where it does not say.
    `no_system_role`: its chat template has none. `adapters` are the LoRA adapters it has.
    """

    models: tuple[ModelInfo, ...] = ()
    capabilities: Capabilities = field(default_factory=Capabilities)
    fingerprint: str = "unknown"
    path: str = ""
    no_system_role: bool = False
    adapters: tuple[AdapterInfo, ...] = ()


@dataclass(frozen=True, slots=True)
class Site:
    """Where a dialect is spoken.

    `admin_key` is for loading models, `context` is the operator's bound on it, in tokens. `usual` is the
    model that answered by default when the server was last asked.
    """

    routes: Routes
    address: ServerAddress
    timeouts: Timeouts = field(default_factory=Timeouts)
    admin_key: str = field(default="", repr=False)
    context: int | None = None
    usual: str = ""

    @property
    def name(self) -> str:
        """What players read."""
        return self.routes.name

    @property
    def patience(self) -> float:
        """Seconds for a request that loads something; `loading` gives up before."""
        return self.timeouts.load + 60

    async def get(self, path: str, *, admin: bool = False, timeout_s: float | None = None) -> Any:
        """Fetch JSON from one of the server's own routes. Raises RefusedError, BackendUnavailableError."""
        url, seconds = self.address.root + path, timeout_s or self.timeouts.probe
        return await self.routes.get(url, timeout_s=seconds, headers=self.headers(admin=admin))

    async def post(
        self, path: str, body: dict[str, Any], *, admin: bool = False, timeout_s: float | None = None
    ) -> Any:
        """Send JSON to one of the server's own routes. Raises as `get` does."""
        url, seconds = self.address.root + path, timeout_s or self.timeouts.probe
        return await self.routes.post(url, body, timeout_s=seconds, headers=self.headers(admin=admin))

    async def ask(
        self,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        admin: bool = False,
        timeout_s: float | None = None,
    ) -> Any:
        """Ask a question; None where the server does not know the route or will not answer this one."""
        try:
            if body is None:
                return await self.get(path, admin=admin, timeout_s=timeout_s)
            return await self.post(path, body, admin=admin, timeout_s=timeout_s)
        except RefusedError:
            return None

    def headers(self, *, admin: bool) -> dict[str, str]:
        """Give the headers by which servers know their operator: all take the key as a bearer's.

        TabbyAPI reads `x-admin-key` as well, KoboldCpp and text-generation-webui nothing else. A user and
        password for a proxy in front of the server stay where they are.
        """
        if not (admin and self.admin_key):
            return {}
        headers = {"x-admin-key": self.admin_key}
        if not (self.address.authorization or "").startswith("Basic "):
            headers["Authorization"] = f"Bearer {self.admin_key}"
        return headers

    async def events(self, path: str, body: dict[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        """Send JSON, as the operator, and give the events that come back. Raises as `get` does."""
        url, seconds = self.address.root + path, self.patience
        headers = self.headers(admin=True)
        lines = self.routes.lines(url, body, first_s=seconds, next_s=seconds, headers=headers)
        async with aclosing(lines):
            async for line in lines:
                if line.startswith("data:"):
                    with suppress(ValueError, RecursionError):
                        yield mapping(json.loads(line.removeprefix("data:")))

    def refused(self, error: RefusedError, what: str) -> BackendError:
        """Say why the server would not load something. It is none the worse for it, and can answer."""
        if error.status in {401, 403}:
            return BackendError(
                f"{sentence(self.name)} loads things only for its operator.",
                hint="Set MODEL_ADMIN_KEY to its admin key or password.",
            )
        said = own_words(error.body) or f"HTTP {error.status}"
        return BackendError(f"{sentence(self.name)} could not load {what}: {said}.")

    async def loading(
        self, work: Coroutine[Any, Any, None], model: str, on_progress: Progress | None
    ) -> None:
        """Have a model loaded by `work`, telling now and then that it is. Raises BackendError."""
        clock = asyncio.get_running_loop()
        began, task = clock.time(), asyncio.ensure_future(work)
        try:
            async with asyncio.timeout(self.timeouts.load):
                while not (await asyncio.wait({task}, timeout=self.timeouts.poll))[0]:
                    if on_progress is not None:
                        on_progress(f"loading {model} ... {clock.time() - began:.0f} s")
                await task
        except RefusedError as error:
            raise self.refused(error, model) from None
        except TimeoutError:
            raise too_slow(self.name, self.timeouts.load, f"did not load {model}") from None
        finally:
            task.cancel()


class PlainOpenAI:
    """A server of which nothing is known but OpenAI's own API: chat completions, and perhaps a model list.

    `names` has the server's name for a sampling value that it calls otherwise, None for one it lacks. Where
    nothing is known, llama.cpp's names are tried, which most took over; what one refuses is left out later.
    """

    name: ClassVar[str] = "OpenAI API"
    names: ClassVar[Mapping[str, str | None]] = {}

    def __init__(self, served: Served, site: Site | None = None) -> None:
        self.served = served
        self._site = site

    @property
    def site(self) -> Site:
        """Where it is spoken; only what knows nothing of its server has none."""
        assert self._site is not None
        return self._site

    def fields(self, request: ChatRequest) -> dict[str, Any]:
        """Give what a request says beyond the messages and their bounds, in this server's words."""
        fields = self.sampling(request.sampling)
        if request.json_schema is not None:
            fields |= self.schema(request.json_schema)
        elif request.grammar:
            fields |= self.grammar(request.grammar)
        if not request.thinking:
            fields |= self.without_thinking()
        if request.ahead:
            fields |= self.ahead()
        if request.lora:
            fields |= self.lora(request.lora) or {}
        return fields

    def sampling(self, sampling: Sampling) -> dict[str, Any]:
        """Name the sampling values that are set as this server does, without those it lacks."""
        dropped = self.dropped(sampling)
        return {
            self.names.get(name) or name: value
            for name, value in set_values(sampling).items()
            if name not in dropped
        }

    def dropped(self, sampling: Sampling) -> tuple[str, ...]:
        """Name the sampling values that are set and that this server lacks."""
        return tuple(name for name in set_values(sampling) if self.names.get(name, name) is None)

    def schema(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        """Hold the answer to a JSON Schema, as OpenAI's structured outputs do."""
        return {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": dict(schema), "strict": True},
            }
        }

    def grammar(self, grammar: str) -> dict[str, Any]:  # noqa: ARG002  # cannot
        """There is no field for it."""
        return {}

    def without_thinking(self) -> dict[str, Any]:
        """There is no field that all such servers bear."""
        return {}

    def ahead(self) -> dict[str, Any]:
        """There is no field for it."""
        return {}

    def lora(self, adapter: Adapter) -> dict[str, Any] | None:  # noqa: ARG002  # cannot
        """Give what has an adapter applied to one request; None where the server has none of that name."""
        return None

    def usage(self, chunk: dict[str, Any]) -> Usage | None:
        """Read the cost of an answer from the chunk of its stream that has it."""
        return openai_usage(chunk)

    def chunks(self, body: dict[str, Any]) -> AsyncGenerator[dict[str, Any], None] | None:  # noqa: ARG002
        """Answer a chat request by the server's own route; None where that is OpenAI's."""
        return None

    async def state(self) -> str:
        """Give what changes when something is loaded or unloaded, where the list of models does not tell."""
        return ""

    async def count(self, messages: Sequence[ChatMessage], model: str) -> int | None:  # noqa: ARG002  # cannot
        """Count prompt tokens, template included; None where there is no route for it."""
        return None

    async def token_ids(self, text: str) -> list[int] | None:  # noqa: ARG002  # cannot
        """Give the ids of the tokens of plain text; None where there is no route for it."""
        return None

    async def load(self, model: str, on_progress: Progress | None) -> None:  # noqa: ARG002  # cannot
        """Have a model loaded that is not. Raises BackendError, RefusedError."""
        raise BackendError(
            f"{sentence(self._named)} cannot be told to load a model.",
            hint="Start it with that model, or set one that it lists as loaded.",
        )

    async def load_adapter(self, adapter: Adapter, path: str) -> None:  # noqa: ARG002  # cannot
        """Have a LoRA adapter loaded. Raises BackendError, RefusedError."""
        raise BackendError(
            f"{sentence(self._named)} cannot be told to load a LoRA adapter.",
            hint="Start it with the adapter, if it knows them at all.",
        )

    @property
    def _named(self) -> str:
        return self._site.name if self._site else "the model server"


def plain(models: tuple[ModelInfo, ...] = (), site: Site | None = None) -> PlainOpenAI:
    """Make the dialect of a server of which nothing is known but its models."""
    fingerprint = digest("plain", [model.name for model in models[:1]])
    return PlainOpenAI(
        Served(models, Capabilities(json_schema=True, tools=True), fingerprint=fingerprint), site
    )


def in_order(models: Iterable[ModelInfo], usual: str) -> tuple[ModelInfo, ...]:
    """Put first what is loaded, and of that, or where nothing is, what answered before."""
    return tuple(sorted(models, key=lambda model: (not model.loaded, model.name != usual)))


def set_values(sampling: Sampling) -> dict[str, Any]:
    """Give the values that are set, but for `max_tokens`, which the request decides."""
    return {
        name: value for name, value in asdict(sampling).items() if value is not None and name != "max_tokens"
    }


def base_name(path: str) -> str:
    """Give the name of a file, whichever system its path is of, without the ending of a model's file."""
    file = path.replace("\\", "/").rstrip("/").rpartition("/")[2]
    return file[:-5] if file.lower().endswith(".gguf") else file


async def restarted(site: Site, path: str) -> Any:
    """Ask a server that may be restarting; None while it does not answer."""
    try:
        return await site.ask(path)
    except BackendUnavailableError:
        return None
