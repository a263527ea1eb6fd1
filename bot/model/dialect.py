"""What is particular to each kind of model server, found by asking it once.

Sources: llama.cpp `tools/server/README.md`; vLLM's OpenAI-compatible server documentation (`/tokenize`,
`max_model_len`). Everything else is spoken to as plain OpenAI: chat completions, and perhaps a model list.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Protocol

from bot.chat import Adapter, ChatMessage, Sampling, Usage
from bot.errors import BackendUnavailableError
from bot.model.address import ServerAddress
from bot.model.backend import Capabilities, ModelInfo, wire_messages
from bot.model.failures import refuses_roles
from bot.model.routes import RefusedError, Routes

PROBE_S = 2.0
"""Seconds for each question that tells the dialects apart."""
COUNT_S = 5.0
"""Seconds for a token count; llama.cpp takes 1.3 ms, more while it loads a model."""

_SAMPLE = "Ägir's hall, 12:34 — “Who knocks?” <|im_end|> naïve 東京 🎲\n\tdef f(x): return x**2  # …"
"""Text that tokenizers split differently: the ids they give for it tell them apart."""
_SYSTEM = "You keep the inn."
"""A system message that is looked for in what a template makes of it."""


@dataclass(frozen=True, slots=True)
class Served:
    """What a server had to offer when it was last asked; the first of `models` answers by default.

    `path` is where that one lies on the server's machine, a file or a folder; empty where it does not say.
    `no_system_role`: its chat template has none. `adapters`: the numbers of the LoRA adapters that are loaded
    beside it, by the names of their files in small letters, with and without the ending.
    """

    models: tuple[ModelInfo, ...] = ()
    capabilities: Capabilities = field(default_factory=Capabilities)
    fingerprint: str = "unknown"
    path: str = ""
    no_system_role: bool = False
    adapters: Mapping[str, int] = field(default_factory=dict)


class Dialect(Protocol):
    """How one kind of server is spoken to."""

    name: ClassVar[str]
    served: Served

    def sampling(self, sampling: Sampling) -> dict[str, Any]:
        """Name the sampling values that are set as this server does."""
        ...

    def usage(self, chunk: dict[str, Any]) -> Usage | None:
        """Read the cost of an answer from the chunk of its stream that has it."""
        ...

    def lora(self, adapter: Adapter) -> dict[str, Any] | None:
        """Give what has an adapter applied to one request; None where the server has none of that name."""
        ...

    async def count(self, messages: Sequence[ChatMessage], model: str) -> int | None:
        """Count prompt tokens, template included."""
        ...

    async def token_ids(self, text: str) -> list[int] | None:
        """Give the ids of the tokens of plain text."""
        ...


class PlainOpenAI:
    """A server of which nothing is known but OpenAI's own API."""

    name: ClassVar[str] = "OpenAI API"

    def __init__(self, models: tuple[ModelInfo, ...] = ()) -> None:
        self.served = Served(
            models=models, fingerprint=_digest("plain", [model.name for model in models[:1]])
        )

    def sampling(self, sampling: Sampling) -> dict[str, Any]:
        """Keep llama.cpp's names, which most local servers took over; what one refuses is left out later."""
        return _set_values(sampling)

    def usage(self, chunk: dict[str, Any]) -> Usage | None:
        """Read OpenAI's `usage`."""
        return _openai_usage(chunk)

    def lora(self, adapter: Adapter) -> dict[str, Any] | None:  # noqa: ARG002  # cannot
        """There is no field for it."""
        return None

    async def count(self, messages: Sequence[ChatMessage], model: str) -> int | None:  # noqa: ARG002  # cannot
        """There is no route for it."""
        return None

    async def token_ids(self, text: str) -> list[int] | None:  # noqa: ARG002  # cannot
        """There is no route for it."""
        return None


class LlamaCpp:
    """llama.cpp's own server, with one model loaded. `older`: it has no route that counts conversations."""

    name: ClassVar[str] = "llama.cpp"

    def __init__(
        self, routes: Routes, address: ServerAddress, served: Served, *, older: bool = False
    ) -> None:
        self._routes = routes
        self._address = address
        self._older = older
        self.served = served

    def sampling(self, sampling: Sampling) -> dict[str, Any]:
        """Our names are llama.cpp's."""
        return _set_values(sampling)

    def usage(self, chunk: dict[str, Any]) -> Usage | None:
        """Read `usage`, and from `timings` how much of the prompt was really evaluated."""
        usage = _openai_usage(chunk)
        evaluated = _whole(_mapping(chunk.get("timings")).get("prompt_n"))
        if usage is None or evaluated is None:
            return usage
        return Usage(usage.prompt_tokens, usage.completion_tokens, evaluated)

    def lora(self, adapter: Adapter) -> dict[str, Any] | None:
        """Name the adapter by its number; those that are not named have the scale 0 then."""
        number = self.served.adapters.get(adapter.name.lower())
        return None if number is None else {"lora": [{"id": number, "scale": adapter.scale}]}

    async def count(self, messages: Sequence[ChatMessage], model: str) -> int | None:
        """Ask the route that applies the template and counts, or for both apart; nothing is evaluated."""
        wire = wire_messages(messages)
        if self._older:
            return await _templated_tokens(self._routes, self._address, wire)
        return await _input_tokens(self._routes, self._address, wire, model)

    async def token_ids(self, text: str) -> list[int] | None:
        """Read text as the server does in a chat: a special token's name is the token there."""
        return await _llama_ids(self._routes, self._address, text)


class Vllm:
    """vLLM's OpenAI-compatible server."""

    name: ClassVar[str] = "vLLM"
    _NAMES: ClassVar[dict[str, str]] = {"repeat_penalty": "repetition_penalty"}

    def __init__(self, routes: Routes, address: ServerAddress, served: Served) -> None:
        self._routes = routes
        self._address = address
        self.served = served

    def sampling(self, sampling: Sampling) -> dict[str, Any]:
        """Use vLLM's name where it differs."""
        return {self._NAMES.get(name, name): value for name, value in _set_values(sampling).items()}

    def usage(self, chunk: dict[str, Any]) -> Usage | None:
        """Read OpenAI's `usage`; cached tokens are in it where the server was started to tell."""
        return _openai_usage(chunk)

    def lora(self, adapter: Adapter) -> dict[str, Any] | None:
        """Ask for the adapter as the model that it is listed as; its scale is the server's business."""
        listed = any(model.name == adapter.name for model in self.served.models)
        return {"model": adapter.name} if listed else None

    async def count(self, messages: Sequence[ChatMessage], model: str) -> int | None:
        """Ask `/tokenize` with the messages, as a chat request would send them."""
        body = {"model": model, "messages": wire_messages(messages), "add_generation_prompt": True}
        return _whole(
            _mapping(await _ask(self._routes, f"{self._address.root}/tokenize", body, COUNT_S)).get("count")
        )

    async def token_ids(self, text: str) -> list[int] | None:
        """Ask `/tokenize` with the text alone, without a leading special token."""
        return await _vllm_ids(self._routes, self._address, text, self.served.models[0].name)


async def probe(routes: Routes, address: ServerAddress, listing: Any) -> Dialect:
    """Find the dialect of a server whose `/v1/models` answered `listing` (None where it has no such list).

    A server that answers none of the questions speaks plain OpenAI. Raises RefusedError where llama.cpp wants
    a key: it lists its models for everybody, so that only here it is found out.
    """
    models = read_models(listing)
    owner = _owner(listing)
    try:
        if owner == "vllm" and models:
            return await _probe_vllm(routes, address, models, _text(_entries(listing)[0].get("root")))
        if owner in {"llamacpp", ""}:
            properties = _mapping(await routes.get(f"{address.root}/props", timeout_s=PROBE_S))
            if "build_info" in properties and "default_generation_settings" in properties:
                return await _probe_llama(routes, address, models, properties)
    except RefusedError as error:
        if owner == "llamacpp" and error.status == 401:
            raise
    except BackendUnavailableError:
        pass  # it hung up on the question, or answered with a page
    return PlainOpenAI(models)


def read_models(listing: Any) -> tuple[ModelInfo, ...]:
    """Read the answer of `/v1/models`; what is not a list of models gives none."""
    found = []
    for item in _entries(listing)[:1000]:
        name = item.get("id")
        if isinstance(name, str) and name:
            context = _whole(item.get("max_model_len")) or _whole(_mapping(item.get("meta")).get("n_ctx"))
            found.append(ModelInfo(name, context))
    # Servers such as LM Studio list embedding models too; one of them must not be what answers by default.
    return tuple(sorted(found, key=lambda model: "embed" in model.name.lower()))


def is_model_list(listing: Any) -> bool:
    """Tell a model server's answer from that of any other program on the port."""
    return isinstance(listing, dict) and isinstance(listing.get("data"), list)


def signature(listing: Any) -> str:
    """Give what changes when a server comes back with another model, without what changes all the time."""
    fields = ("id", "owned_by", "max_model_len", "meta")
    return _digest([[item.get(field) for field in fields] for item in _entries(listing)])


async def _probe_llama(
    routes: Routes, address: ServerAddress, models: tuple[ModelInfo, ...], properties: dict[str, Any]
) -> LlamaCpp:
    context = _whole(_mapping(properties.get("default_generation_settings")).get("n_ctx"))
    models = tuple(ModelInfo(model.name, context or model.context_length) for model in models)
    sample = [{"role": "user", "content": _SAMPLE}]
    counted = await _input_tokens(routes, address, sample, "", PROBE_S)
    if older := counted is None:
        counted = await _templated_tokens(routes, address, sample, PROBE_S)
    ids = await _llama_ids(routes, address, _SAMPLE, timeout_s=PROBE_S)
    served = Served(
        models=models,
        capabilities=Capabilities(
            counts=counted is not None,
            tokenizes=ids is not None,
            slots=_whole(properties.get("total_slots")),
            caches_prefix=True,
        ),
        fingerprint=_digest(
            "llama.cpp", ids, counted, properties.get("chat_template"), _special(properties, models, ids)
        ),
        path=_text(properties.get("model_path")),
        no_system_role=await _lacks_system_role(routes, address, properties),
        adapters=await _adapters(routes, address),
    )
    return LlamaCpp(routes, address, served, older=older)


async def _adapters(routes: Routes, address: ServerAddress) -> dict[str, int]:
    """Read `/lora-adapters`: `[{"id": 0, "path": "elf.gguf", "scale": 1.0}]`."""
    try:
        listed = await routes.get(f"{address.root}/lora-adapters", timeout_s=PROBE_S)
    except RefusedError:
        return {}
    found: dict[str, int] = {}
    for item in listed[:1000] if isinstance(listed, list) else []:
        number, path = _whole(_mapping(item).get("id")), _text(_mapping(item).get("path")).lower()
        if number is not None and path:
            file = re.split(r"[/\\\\]", path)[-1]
            found |= {name: number for name in (file, file.removesuffix(".gguf")) if name not in found}
    return found


async def _lacks_system_role(routes: Routes, address: ServerAddress, properties: dict[str, Any]) -> bool:
    """Find out what the chat template does with a system message: newer builds say so, older ones show it."""
    said = _mapping(properties.get("chat_template_caps")).get("supports_system_role")
    if isinstance(said, bool):
        return not said
    body = {"messages": wire_messages([ChatMessage("system", _SYSTEM), ChatMessage("user", "Hello.")])}
    try:
        answer = await routes.post(f"{address.root}/apply-template", body, timeout_s=PROBE_S)
    except RefusedError as error:
        return refuses_roles(error.status, error.body)
    return _SYSTEM not in str(_mapping(answer).get("prompt", _SYSTEM))


async def _probe_vllm(
    routes: Routes, address: ServerAddress, models: tuple[ModelInfo, ...], path: str
) -> Vllm:
    name = models[0].name
    ids = await _vllm_ids(routes, address, _SAMPLE, name)
    chat = {"model": name, "messages": [{"role": "user", "content": _SAMPLE}], "add_generation_prompt": True}
    chat_ids = _mapping(await _ask(routes, f"{address.root}/tokenize", chat, PROBE_S)).get("tokens")
    served = Served(
        models=models,
        capabilities=Capabilities(counts=chat_ids is not None, tokenizes=ids is not None, caches_prefix=True),
        fingerprint=_digest("vLLM", ids, chat_ids, name if ids is None else None),
        path=path,
    )
    return Vllm(routes, address, served)


async def _input_tokens(
    routes: Routes,
    address: ServerAddress,
    messages: list[dict[str, Any]],
    model: str,
    timeout_s: float = COUNT_S,
) -> int | None:
    url = f"{address.api}/chat/completions/input_tokens"
    body = {"messages": messages, **({"model": model} if model else {})}
    return _whole(_mapping(await _ask(routes, url, body, timeout_s)).get("input_tokens"))


async def _templated_tokens(
    routes: Routes, address: ServerAddress, messages: list[dict[str, Any]], timeout_s: float = COUNT_S
) -> int | None:
    """Count a conversation in two steps, as a server does that has no route for both."""
    url = f"{address.root}/apply-template"
    prompt = _mapping(await _ask(routes, url, {"messages": messages}, timeout_s)).get("prompt")
    if not isinstance(prompt, str):
        return None
    ids = await _llama_ids(routes, address, prompt, add_special=True, timeout_s=timeout_s)
    return None if ids is None else len(ids)


async def _llama_ids(
    routes: Routes,
    address: ServerAddress,
    text: str,
    *,
    add_special: bool = False,
    timeout_s: float = COUNT_S,
) -> list[int] | None:
    body = {"content": text, "add_special": add_special, "parse_special": True}
    return _ids(await _ask(routes, f"{address.root}/tokenize", body, timeout_s))


async def _vllm_ids(routes: Routes, address: ServerAddress, text: str, model: str) -> list[int] | None:
    body = {"model": model, "prompt": text, "add_special_tokens": False}
    return _ids(await _ask(routes, f"{address.root}/tokenize", body, COUNT_S))


def _ids(answer: Any) -> list[int] | None:
    ids = _mapping(answer).get("tokens")
    return ids if isinstance(ids, list) and all(isinstance(one, int) for one in ids) else None


async def _ask(routes: Routes, url: str, body: dict[str, Any], timeout_s: float) -> Any:
    """Post a question; None where the server does not know the route or cannot answer this one."""
    try:
        return await routes.post(url, body, timeout_s=timeout_s)
    except RefusedError:
        return None


def _set_values(sampling: Sampling) -> dict[str, Any]:
    """Give the values that are set, but for `max_tokens`, which the request decides."""
    return {
        name: value for name, value in asdict(sampling).items() if value is not None and name != "max_tokens"
    }


def _openai_usage(chunk: dict[str, Any]) -> Usage | None:
    usage = _mapping(chunk.get("usage"))
    prompt, completion = _whole(usage.get("prompt_tokens")), _whole(usage.get("completion_tokens"))
    if prompt is None or completion is None:
        return None
    cached = _whole(_mapping(usage.get("prompt_tokens_details")).get("cached_tokens"))
    return Usage(prompt, completion, None if cached is None else prompt - cached)


def _owner(listing: Any) -> str:
    entries = _entries(listing)
    return str(entries[0].get("owned_by", "")) if entries else ""


def _entries(listing: Any) -> list[dict[str, Any]]:
    data = listing.get("data") if isinstance(listing, dict) else None
    return [item for item in data if isinstance(item, dict)] if isinstance(data, list) else []


def _special(properties: dict[str, Any], models: tuple[ModelInfo, ...], ids: list[int] | None) -> list[Any]:
    """Give what else tells two tokenizers apart, the model's name where there is nothing better."""
    names = [model.name for model in models] if ids is None else []
    return [properties.get("bos_token"), properties.get("eos_token"), names]


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
