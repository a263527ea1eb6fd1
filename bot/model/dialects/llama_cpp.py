"""llama.cpp's own server, with one model or, as a router, with several.

Source: llama.cpp's `tools/server/README.md`; what one model's server does was also measured (b11549, whose
build has no router).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, ClassVar
from urllib.parse import quote

from bot.chat import Adapter, ChatMessage, Usage
from bot.errors import BackendError
from bot.model.backend import AdapterInfo, Capabilities, ModelInfo, Progress, wire_messages
from bot.model.dialects.base import COUNT_S, PlainOpenAI, Served, Site, base_name, in_order
from bot.model.dialects.reading import (
    SAMPLE,
    digest,
    entries,
    ids,
    mapping,
    mappings,
    openai_usage,
    quantization_in,
    read_models,
    text,
    texts,
    whole,
)
from bot.model.dialects.vllm import NO_THINKING
from bot.model.failures import refuses_roles, sentence
from bot.model.routes import RefusedError

_SYSTEM = "You keep the inn."
"""A system message that is looked for in what a template makes of it."""
_LOADED = frozenset({"loaded", "sleeping"})
"""States of a router's model that answer at once, or after waking up."""


class LlamaCpp(PlainOpenAI):
    """llama.cpp's server. `older`: it has no route that counts conversations."""

    name: ClassVar[str] = "llama.cpp"

    def __init__(self, served: Served, site: Site, *, older: bool = False) -> None:
        super().__init__(served, site)
        self._older = older
        self._numbers = {
            name: number
            for number, adapter in reversed(list(enumerate(served.adapters)))
            for name in (adapter.name.lower(), f"{adapter.name.lower()}.gguf")
        }

    def usage(self, chunk: dict[str, Any]) -> Usage | None:
        """Read `usage`, and from `timings` how much of the prompt was really evaluated."""
        usage = openai_usage(chunk)
        evaluated = whole(mapping(chunk.get("timings")).get("prompt_n"))
        if usage is None or evaluated is None:
            return usage
        return Usage(usage.prompt_tokens, usage.completion_tokens, evaluated)

    def grammar(self, grammar: str) -> dict[str, Any]:
        """Hold the answer to a grammar."""
        return {"grammar": grammar}

    def without_thinking(self) -> dict[str, Any]:
        """Tell the template that there is to be no thinking."""
        return NO_THINKING

    def lora(self, adapter: Adapter) -> dict[str, Any] | None:
        """Name the adapter by its number; those that are not named have the scale 0 then."""
        number = self._numbers.get(adapter.name.lower())
        return None if number is None else {"lora": [{"id": number, "scale": adapter.scale}]}

    async def count(self, messages: Sequence[ChatMessage], model: str) -> int | None:
        """Ask the route that applies the template and counts, or for both apart; nothing is evaluated."""
        questions = _Questions(self.site, model)
        wire = wire_messages(messages)
        return await (questions.templated(wire) if self._older else questions.counted(wire))

    async def token_ids(self, text: str) -> list[int] | None:
        """Read text as the server does in a chat: a special token's name is the token there."""
        default = self.served.models[0].name if self.served.models else ""
        return await _Questions(self.site, default).ids(text)

    async def load_adapter(self, adapter: Adapter, path: str) -> None:  # noqa: ARG002  # takes none
        """Refuse what is not there: adapters are loaded at the start."""
        if self.lora(adapter) is None:
            raise BackendError(
                f"{sentence(self.site.name)} has no LoRA adapter called {adapter.name!r}.",
                hint="Start it with --lora FILE.gguf (and --lora-init-without-apply).",
            )


class LlamaRouter(LlamaCpp):
    """llama.cpp's server in front of several models, of which requests name one."""

    async def count(self, messages: Sequence[ChatMessage], model: str) -> int | None:
        """Count for a model that is loaded; the question would load any other, and wait for it."""
        loaded = any(one.name == model and one.loaded for one in self.served.models)
        return await super().count(messages, model) if loaded else None

    async def load(self, model: str, on_progress: Progress | None) -> None:
        """Ask for the model, and its status until it can answer."""
        await self.site.loading(self._load(model), model, on_progress)

    async def _load(self, model: str) -> None:
        await self.site.post("/models/load", {"model": model}, timeout_s=self.site.timeouts.health)
        while True:
            listing = await self.site.get("/models", timeout_s=self.site.timeouts.health)
            status = next(
                (mapping(item.get("status")) for item in entries(listing) if item.get("id") == model), {}
            )
            if text(status.get("value")) in _LOADED:
                return
            if status.get("failed"):
                code = whole(status.get("exit_code"))
                how = "" if code is None else f" (its process ended with code {code})"
                raise BackendError(
                    f"{sentence(self.site.name)} could not load {model}{how}.",
                    hint="Its log says why; often the memory is too small.",
                )
            await asyncio.sleep(self.site.timeouts.poll)


async def probe(site: Site, listing: Any, properties: Mapping[str, Any]) -> LlamaCpp:
    """Find out what a llama.cpp server has. `properties` is what its `/props` said."""
    if any(text(mapping(item.get("status")).get("value")) for item in entries(listing)):
        return await _probe_router(site, listing)
    models = _single(listing, properties)
    served, older = await _asked(site, models, properties, "")
    return LlamaCpp(served, site, older=older)


async def _probe_router(site: Site, listing: Any) -> LlamaRouter:
    """Find out what a router has; a model that is not loaded is asked nothing, for that would load it."""
    models = list(in_order(map(_routed, filter(_writes, entries(listing))), site.usual))
    served = Served(
        tuple(models), Capabilities(caches_prefix=True), digest("llama.cpp", [m.name for m in models[:1]])
    )
    older = False
    if models and models[0].loaded:
        first = models[0].name
        properties = mapping(await site.ask(f"/props?model={quote(first, safe='')}&autoload=false"))
        models[0] = replace(models[0], context_length=_context(properties) or models[0].context_length)
        served, older = await _asked(site, tuple(models), properties, first)
    capabilities = replace(served.capabilities, swaps="named", **_ALWAYS)
    return LlamaRouter(replace(served, capabilities=capabilities), site, older=older)


_ALWAYS: dict[str, Any] = {"json_schema": True, "grammar": True, "tools": True, "thinking_off": True}


async def _asked(
    site: Site, models: tuple[ModelInfo, ...], properties: Mapping[str, Any], model: str
) -> tuple[Served, bool]:
    """Ask about the model that answers, and whether the server is an older one."""
    questions = _Questions(site, model, site.timeouts.probe)
    sample = [{"role": "user", "content": SAMPLE}]
    counted = await questions.counted(sample)
    if older := counted is None:
        counted = await questions.templated(sample)
    tokens = await questions.ids(SAMPLE)
    adapters = await _adapters(site, model)
    capabilities = Capabilities(
        counts=counted is not None,
        tokenizes=tokens is not None,
        slots=whole(properties.get("total_slots")),
        caches_prefix=True,
        loras=True,
        **_ALWAYS,
    )
    template = properties.get("chat_template")
    served = Served(
        models=models,
        capabilities=capabilities,
        fingerprint=digest("llama.cpp", tokens, counted, template, _special(properties, models, tokens)),
        path=text(properties.get("model_path")),
        no_system_role=await _lacks_system_role(site, properties, model),
        adapters=adapters,
    )
    return served, older


@dataclass(frozen=True, slots=True)
class _Questions:
    """Questions about tokens, to one model: a router goes by its name, a single server does not mind it."""

    site: Site
    model: str = ""
    timeout_s: float = COUNT_S

    async def counted(self, messages: list[dict[str, str]]) -> int | None:
        body = {"messages": messages, **NO_THINKING}
        return whole(mapping(await self._ask("/v1/chat/completions/input_tokens", body)).get("input_tokens"))

    async def templated(self, messages: list[dict[str, str]]) -> int | None:
        """Count a conversation in two steps, as a server does that has no route for both."""
        answer = await self._ask("/apply-template", {"messages": messages, **NO_THINKING})
        prompt = mapping(answer).get("prompt")
        tokens = await self.ids(prompt, add_special=True) if isinstance(prompt, str) else None
        return None if tokens is None else len(tokens)

    async def ids(self, text: str, *, add_special: bool = False) -> list[int] | None:
        body = {"content": text, "add_special": add_special, "parse_special": True}
        return ids(mapping(await self._ask("/tokenize", body)).get("tokens"))

    async def _ask(self, path: str, body: dict[str, Any]) -> Any:
        named = {"model": self.model} if self.model else {}
        return await self.site.ask(path, {**body, **named}, timeout_s=self.timeout_s)


def _single(listing: Any, properties: Mapping[str, Any]) -> tuple[ModelInfo, ...]:
    """Describe the one model of a server; its file's name says how it is quantized."""
    context, path = _context(properties), text(properties.get("model_path"))
    meta = mapping(entries(listing)[0].get("meta")) if entries(listing) else {}
    return tuple(
        ModelInfo(
            model.name,
            context or model.context_length,
            "gguf",
            quantization_in(base_name(path)) or quantization_in(model.name),
            loaded=True,
            size_bytes=whole(meta.get("size")),
        )
        for model in read_models(listing)
    )


def _routed(item: dict[str, Any]) -> ModelInfo:
    """Describe a model of a router, as far as it says without loading it."""
    name, status = text(item.get("id")), mapping(item.get("status"))
    path = base_name(text(item.get("path")))
    return ModelInfo(
        name,
        _context_argument(status.get("args")),
        "gguf",
        quantization_in(path) or quantization_in(name),
        loaded=text(status.get("value")) in _LOADED,
        size_bytes=whole(mapping(item.get("meta")).get("size")),
    )


def _writes(item: dict[str, Any]) -> bool:
    """Tell a model that answers in text from one that only decides or embeds, as newer routers do."""
    given = texts(mapping(item.get("architecture")).get("output_modalities"))
    return not given or "text" in given


def _context(properties: Mapping[str, Any]) -> int | None:
    """Give the tokens of one slot."""
    return whole(mapping(properties.get("default_generation_settings")).get("n_ctx"))


def _context_argument(arguments: Any) -> int | None:
    """Find `--ctx-size N` among the arguments that a model is started with: all its slots share that."""
    listed = arguments if isinstance(arguments, list) else []
    for name, value in pairwise(listed):
        if name in {"-c", "-ctx", "--ctx-size"} and isinstance(value, str) and value.isdigit():
            return int(value) or None
    return None


async def _adapters(site: Site, model: str) -> tuple[AdapterInfo, ...]:
    """Read `/lora-adapters`: `[{"id": 0, "path": "elf.gguf", "scale": 1.0}]`, in the order of their ids."""
    query = f"?model={quote(model, safe='')}" if model else ""
    listed = mappings(await site.ask(f"/lora-adapters{query}"))
    listed.sort(key=lambda one: whole(one.get("id")) or 0)
    found = []
    for number, item in enumerate(listed):
        scale = item.get("scale")
        if whole(item.get("id")) != number:
            break  # a request names an adapter by its number, so a list that leaves some out is no use
        found.append(
            AdapterInfo(
                base_name(text(item.get("path"))), scale=scale if isinstance(scale, (int, float)) else None
            )
        )
    return tuple(found)


async def _lacks_system_role(site: Site, properties: Mapping[str, Any], model: str) -> bool:
    """Find out what the chat template does with a system message: newer builds say so, older ones show it."""
    said = mapping(properties.get("chat_template_caps")).get("supports_system_role")
    if isinstance(said, bool):
        return not said
    messages = wire_messages([ChatMessage("system", _SYSTEM), ChatMessage("user", "Hello.")])
    named = {"model": model} if model else {}
    try:
        answer = await site.post("/apply-template", {"messages": messages, **named})
    except RefusedError as error:
        return refuses_roles(error.status, error.body)
    return _SYSTEM not in str(mapping(answer).get("prompt", _SYSTEM))


def _special(
    properties: Mapping[str, Any], models: tuple[ModelInfo, ...], tokens: list[int] | None
) -> list[Any]:
    """Give what else tells two tokenizers apart, the model's name where there is nothing better."""
    names = [model.name for model in models] if tokens is None else []
    return [properties.get("bos_token"), properties.get("eos_token"), names]
