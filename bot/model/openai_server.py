"""Any OpenAI-compatible model server as a Backend."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from bot.chat import Adapter, ChatMessage, ChatRequest, Delta, Sampling, TokenCount
from bot.errors import BackendError, ModelRefusedError
from bot.model.address import ServerAddress, parse_address
from bot.model.backend import AdapterInfo, Capabilities, ModelInfo, Progress, fold_system
from bot.model.dialects.base import PlainOpenAI, Site, plain, set_values
from bot.model.dialects.probing import probe
from bot.model.dialects.reading import (
    believable,
    first_choice,
    is_model_list,
    read_models,
    signature,
    text_of,
)
from bot.model.failures import (
    broke_off,
    not_a_model_server,
    refused,
    refused_unasked,
    sentence,
    too_slow,
)
from bot.model.routes import RefusedError, Routes, SilentError, Timeouts
from bot.model.spared import Spared

if TYPE_CHECKING:
    from bot.model.wire import ChatClient

_NO_LIST = frozenset({400, 404, 405, 501})
"""HTTP codes for `/v1/models` of a server that has no such route but may well answer chats."""
SESSION_HEADERS = ("x-session-id", "x-litellm-session-id")
"""What names a request's session: a vLLM router's `--session-key`, most gateways, and LiteLLM's own name."""


class OpenAIServer:
    """A Backend that speaks OpenAI's API, and what else the server turns out to know (see `dialects`).

    `admin_key` is sent where models are loaded, in place of the `api_key`. `label` replaces the name made
    from dialect and address. `context_override` bounds the context length, in tokens. `expect_list`: whatever
    has no proper model list is taken for some other program on the port.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        admin_key: str | None = None,
        label: str | None = None,
        timeouts: Timeouts | None = None,
        context_override: int | None = None,
        expect_list: bool = False,
    ) -> None:
        self._address: ServerAddress = parse_address(url, api_key)
        self._label = label
        self._timeouts = timeouts or Timeouts()
        self._context_override = context_override
        self._expect_list = expect_list
        self._routes = Routes(self._address, lambda: self.name, self._timeouts)
        self._site = Site(self._routes, self._address, self._timeouts, admin_key or "", context_override)
        self._client: ChatClient | None = None
        self._dialect: PlainOpenAI | None = None
        self._signature = ""
        self._usual = ""  # the model that answers by default
        self._asked_as = ("", "")  # what a server calls the model it was told to load, and we called it
        self._spared = Spared()
        self._one_load = asyncio.Lock()
        self._told_dropped: set[str] = set()
        self._log = structlog.get_logger("hearthside.model")

    def __repr__(self) -> str:
        """Name it without its key."""
        return f"<OpenAIServer {self.name}>"

    @property
    def name(self) -> str:
        """What players read."""
        known = self._dialect is not None and type(self._dialect) is not PlainOpenAI
        return self._label or f"{self.dialect if known else 'the model server'} at {self._address.host}"

    @property
    def url(self) -> str:
        """The base URL without credentials."""
        return self._address.api

    @property
    def dialect(self) -> str | None:
        """The kind of server; None before it was first reached."""
        return self._dialect.name if self._dialect else None

    @property
    def capabilities(self) -> Capabilities:
        """What the server was last seen to be able to do."""
        return self._dialect.served.capabilities if self._dialect else Capabilities()

    def fingerprint(self, model: str | None = None) -> str:
        """Name the tokenizer and template by what they do to a sample: the name outlives a restart."""
        if self._dialect is None:
            return "unknown"
        served = self._dialect.served
        name = self._resolve(model)
        default = served.models[0].name if served.models else ""
        return served.fingerprint if name in {"", default} else f"{served.fingerprint}:{name}"

    def lists(self, model: str) -> bool:
        """Whether `model` is among those the server offered when it was last asked, loaded or not."""
        return self._dialect is not None and any(m.name == model for m in self._dialect.served.models)

    def is_at(self, url: str) -> bool:
        """Whether this is the server at that base URL."""
        return parse_address(url).api == self._address.api

    async def warm(self) -> None:
        """Import the openai package in a thread and prepare its client, ahead of the first turn."""
        await (self._client or await self._chat_client()).greet()

    async def health(self) -> None:
        """Ask for the model list, and what else the server is where that is not known or the list changed."""
        try:
            listing = await self._listing()
            dialect = self._dialect
            if dialect is None or signature(listing) + await dialect.state() != self._signature:
                await self._probe(listing)
        except RefusedError as error:
            raise self._refused(error) from None

    async def refresh(self) -> None:
        """Ask the server anew what it has, and what of that is loaded, though its list be the same."""
        try:
            await self._probe(await self._listing())
        except RefusedError as error:
            raise self._refused(error) from None

    def forget(self) -> None:
        """Have the server asked again what it is: it went away, and another may come back in its place."""
        self._dialect = None
        self._spared.forget()

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Delta, None]:
        """Answer, piece by piece; see `Backend.stream`."""
        dialect = await self._dialect_for_chat()
        self._tell_dropped(request.sampling)
        finish_reason, usage = None, None
        body = self._body(dialect, request)
        async with aclosing(self._chunks(dialect, body, _headers(request))) as chunks:
            async for chunk in chunks:
                choice = first_choice(chunk)
                finish_reason = choice.get("finish_reason") or finish_reason
                usage = dialect.usage(chunk) or usage
                if text := text_of(choice):
                    yield Delta(text)
        if finish_reason is None:
            raise broke_off(self.name)
        yield Delta(finish_reason=str(finish_reason), usage=usage)

    def as_sent(self, messages: Sequence[ChatMessage], model: str | None = None) -> tuple[ChatMessage, ...]:
        """Give messages as `stream` last wrote them: folded, for a model without a system role."""
        return fold_system(messages) if self._folds(self._resolve(model) or "default") else tuple(messages)

    def has_lora(self, adapter: Adapter) -> bool:
        """Tell whether the server has that adapter at hand."""
        return self._dialect is not None and self._dialect.lora(adapter) is not None

    def dropped(self, sampling: Sampling) -> tuple[str, ...]:
        """Name the values that are set and that the server goes without, those it has refused among them."""
        dialect = self._dialect or plain()
        lacking = dialect.dropped(sampling)
        refused_ones = [
            name
            for name in set_values(sampling)
            if name not in lacking and (dialect.names.get(name) or name) in self._spared.fields
        ]
        return (*lacking, *refused_ones)

    async def adapters(self) -> tuple[AdapterInfo, ...]:
        """List the LoRA adapters the server has, loaded or not."""
        return (await self._known()).served.adapters

    async def load_adapter(self, adapter: Adapter, path: str = "") -> None:
        """Have an adapter loaded; see `Backend.load_adapter`."""
        dialect = await self._known()
        try:
            await dialect.load_adapter(adapter, path)
        except RefusedError as error:
            raise self._site.refused(error, f"the adapter {adapter.name!r}") from None
        except TimeoutError:
            raise too_slow(self.name, self._site.patience, "did not load the adapter") from None
        await self.refresh()

    async def load(self, model: str, on_progress: Progress | None = None) -> None:
        """Have a model loaded; see `Backend.load`. One after the other: the second may be the first."""
        async with self._one_load:
            await self._load(model, on_progress)

    async def _load(self, model: str, on_progress: Progress | None) -> None:
        await self.refresh()
        models = await self.models()
        found = next((one for one in models if one.name == model), None)
        if found is None:
            offered = ", ".join(one.name for one in models[:20]) or "nothing that it tells"
            raise ModelRefusedError(
                f"{sentence(self.name)} has no model called {model!r}.",
                model=model,
                hint=f"It offers: {offered}.",
            )
        if found.loaded is False:
            await (await self._known()).load(model, on_progress)
            await self.refresh()
            shown = next(iter(await self.models()), found)
            if shown.loaded and shown.name != model and self.capabilities.swaps == "whole":
                self._asked_as = (shown.name, model)
                await self.refresh()

    def _as_asked(self, models: tuple[ModelInfo, ...]) -> tuple[ModelInfo, ...]:
        """Call a model as it was asked for, where a server has another name for what it then loaded.

        KoboldCpp loads settings, `tavern.kcpps`, and tells the name of the model that they are for.
        """
        shown, asked = self._asked_as
        if not any(one.loaded and one.name == shown for one in models):
            return models
        others = (one for one in models if one.name != asked)
        return tuple(replace(one, name=asked) if one.name == shown else one for one in others)

    async def count(self, messages: Sequence[ChatMessage], model: str | None = None) -> TokenCount | None:
        """Count what the server will bill as prompt tokens, template included."""
        dialect = await self._known()
        if not dialect.served.capabilities.counts:
            return None
        name = self._resolve(model)
        tokens = await dialect.count(fold_system(messages) if self._folds(name) else messages, name)
        return None if tokens is None else TokenCount(tokens, exact=True)

    async def token_ids(self, text: str) -> list[int] | None:
        """Give the ids of the tokens of plain text."""
        dialect = await self._known()
        return await dialect.token_ids(text) if dialect.served.capabilities.tokenizes else None

    async def tokenize(self, text: str) -> int | None:
        """Count the tokens of plain text, exactly."""
        ids = await self.token_ids(text)
        return None if ids is None else len(ids)

    def model_path(self, model: str | None = None) -> Path | None:
        """Give where a model lies on this machine, if the server is here and says so: a file or a folder."""
        served = self._dialect.served if self._dialect else None
        if served is None or not served.path or not self._address.is_here:
            return None
        default = served.models[0].name if served.models else ""
        return Path(served.path) if self._resolve(model) in {"", default} else None

    async def models(self) -> tuple[ModelInfo, ...]:
        """List the models the server offers; the first is the one that answers by default."""
        return (await self._known()).served.models

    async def context_length(self, model: str | None = None) -> int | None:
        """Give the tokens that prompt and answer together may have: the server's, or the override if less."""
        models = await self.models()
        name = self._resolve(model)
        said = next((m.context_length for m in models if m.name == name), None)
        return min((length for length in (said, self._context_override) if length), default=None)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._routes.aclose()
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    def _refused(self, error: RefusedError) -> BackendError:
        if self._expect_list:
            return refused_unasked(self.name, self.url, error.status, error.body)
        return refused(self.name, error.status, error.body)

    async def _listing(self) -> Any:
        """Fetch the list of models, None where there is no such route. Raises RefusedError otherwise."""
        listing = None
        try:
            listing = await self._routes.get(f"{self._address.api}/models", timeout_s=self._timeouts.health)
        except RefusedError as error:
            if self._expect_list or error.status not in _NO_LIST:
                raise
        if self._expect_list and not is_model_list(listing):
            raise not_a_model_server(self.name, "no list of models")
        return listing

    async def _probe(self, listing: Any) -> None:
        """Find out what the server is. One too busy to say is what it was, or any; it is asked again soon."""
        try:
            dialect = await probe(replace(self._site, usual=self._usual), listing)
            self._signature = signature(listing) + await dialect.state()
        except SilentError:
            self._signature = ""
            if self._dialect is not None:
                return
            dialect = plain(read_models(listing), self._site)
        dialect.served = replace(dialect.served, models=self._as_asked(believable(dialect.served.models)))
        self._usual = dialect.served.models[0].name if dialect.served.models else ""
        self._dialect = dialect

    async def _known(self) -> PlainOpenAI:
        if self._dialect is None:
            await self.health()
        assert self._dialect is not None
        return self._dialect

    async def _dialect_for_chat(self) -> PlainOpenAI:
        """Give the dialect; where the server cannot be asked now, the chat request itself says why."""
        try:
            return self._dialect or await self._known()
        except BackendError:
            return plain()

    async def _chat_client(self) -> ChatClient:
        client = await asyncio.to_thread(self._make_chat_client)
        if self._client is None:
            self._client = client
        return self._client

    def _make_chat_client(self) -> ChatClient:
        """Import what takes long and build the client, outside the event loop."""
        gc.disable()
        from bot.model.wire import ChatClient  # noqa: PLC0415  # imported when first needed: 100 ms, 4 MiB

        gc.freeze()  # what was imported stays: looking through it for garbage would hold all up for 0.1 s
        gc.enable()
        return ChatClient(self._address, lambda: self.name, self._timeouts)

    def _tell_dropped(self, sampling: Sampling) -> None:
        """Log, once for each, what the server has to be spared; players are told where they ask."""
        for name in self.dropped(sampling):
            if name not in self._told_dropped:
                self._told_dropped.add(name)
                self._log.info("sampling_value_dropped", server=self.name, value=name)

    def _body(self, dialect: PlainOpenAI, request: ChatRequest) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self._resolve(request.model) or "default",
            "messages": request.messages,
            "max_tokens": request.max_tokens,
            "stream": True,
            "stream_options": {"include_usage": True},
            **dialect.fields(request),
        }
        if request.stop:
            body["stop"] = list(request.stop)
        return body

    async def _chunks(
        self, dialect: PlainOpenAI, body: dict[str, Any], headers: dict[str, str]
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Send the request, without what the server is known not to support; learn that where it says so."""
        model = str(body["model"])
        while True:
            folded = self._folds(model)
            sent = self._spared.trimmed(body, folded=folded)
            answer = dialect.chunks(sent) or (self._client or await self._chat_client()).chunks(sent, headers)
            try:
                async with aclosing(answer) as chunks:
                    async for chunk in chunks:
                        yield chunk
            except RefusedError as error:
                if not self._spared.learns(error, body, folded=folded):
                    offered = tuple(m.name for m in dialect.served.models)
                    raise refused(
                        self.name, error.status, error.body, request=sent, model=model, offered=offered
                    ) from None
            else:
                return

    def _folds(self, model: str) -> bool:
        """Whether a model is sent the system text in the first user message, for want of a system role."""
        if self._spared.is_roleless(model):
            return True
        served = self._dialect.served if self._dialect else None
        return bool(served and served.no_system_role and model in {"", self._resolve(None)})

    def _resolve(self, model: str | None) -> str:
        """Give the name to ask for: the server's first where none was asked for or where it has none such.

        A model that would have to be put in the place of the loaded one is not asked for: see `load`.
        """
        models = self._dialect.served.models if self._dialect else ()
        by_name = self.capabilities.swaps == "named"
        names = [m.name for m in models if m.loaded is not False or by_name] or [m.name for m in models]
        if model and (model in names or not names):
            return model
        return names[0] if names else ""


def _headers(request: ChatRequest) -> dict[str, str]:
    """Give what tells proxies in front of several servers to send a scene always to the same one."""
    return dict.fromkeys(SESSION_HEADERS, request.session) if request.session else {}
