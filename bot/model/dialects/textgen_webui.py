"""text-generation-webui: one model at a time, by any of its loaders (llama.cpp, ExLlama, Transformers, GPTQ).

Source: its API's own declarations (`modules/api/script.py`, `typing.py`, `models.py`; before 2026
`extensions/openai`). It tells its context length nowhere and cuts a prompt that is too long without a word:
the operator has to say it (CONTEXT_LENGTH).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from bot.chat import Adapter, ChatMessage
from bot.model.backend import AdapterInfo, Capabilities, ModelInfo, Progress, wire_messages
from bot.model.dialects.base import COUNT_S, PlainOpenAI, Served, Site
from bot.model.dialects.reading import (
    SAMPLE,
    digest,
    format_in,
    ids,
    mapping,
    quantization_in,
    text,
    texts,
    whole,
)

_FORMATS = {
    "llama.cpp": "gguf",
    "ExLlamav2": "exl2",
    "ExLlamav2_HF": "exl2",
    "ExLlamav3": "exl3",
    "ExLlamav3_HF": "exl3",
    "AutoGPTQ": "gptq",
    "HQQ": "hqq",
    "Transformers": "safetensors",
}
"""The format that a loader reads, where the model's name does not say better (ExLlama reads GPTQ too)."""
_NO_MODEL = frozenset({"", "None"})
_NO_THINKING: dict[str, Any] = {"enable_thinking": False}


class TextGenWebUi(PlainOpenAI):
    """text-generation-webui. Adapters that it has loaded are applied to everybody's answers."""

    name: ClassVar[str] = "text-generation-webui"
    names: ClassVar[Mapping[str, str | None]] = {"repeat_penalty": "repetition_penalty"}

    def schema(self, schema: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG002  # cannot
        """There are only grammars."""
        return {}

    def grammar(self, grammar: str) -> dict[str, Any]:
        """Hold the answer to a grammar."""
        return {"grammar_string": grammar}

    def without_thinking(self) -> dict[str, Any]:
        """Tell the template that there is to be no thinking."""
        return _NO_THINKING

    def lora(self, adapter: Adapter) -> dict[str, Any] | None:
        """Say nothing, for an adapter that is loaded is applied."""
        return {} if any(one.name == adapter.name and one.loaded for one in self.served.adapters) else None

    async def count(self, messages: Sequence[ChatMessage], model: str) -> int | None:  # noqa: ARG002  # one
        """Ask for the prompt that it makes of the messages, and for its tokens."""
        return await _count(self.site, wire_messages(messages))

    async def token_ids(self, text: str) -> list[int] | None:
        """Ask `/v1/internal/encode`."""
        return await _ids(self.site, text)

    async def load(self, model: str, on_progress: Progress | None) -> None:
        """Have another model of its folder loaded in place of this one, with the settings it has for it."""
        await self.site.loading(self._load(model), model, on_progress)

    async def _load(self, model: str) -> None:
        seconds = self.site.patience
        await self.site.post("/v1/internal/model/load", {"model_name": model}, admin=True, timeout_s=seconds)

    async def load_adapter(self, adapter: Adapter, path: str) -> None:  # noqa: ARG002  # it knows its folder
        """Have an adapter of its folder applied, beside those that are; it knows no scales."""
        names = [one.name for one in self.served.adapters if one.loaded and one.name != adapter.name]
        body = {"lora_names": [*names, adapter.name]}
        await self.site.post("/v1/internal/lora/load", body, admin=True, timeout_s=self.site.patience)


async def probe(site: Site, info: Mapping[str, Any]) -> TextGenWebUi:
    """Find out what it has loaded, and what else it could. `info` is what `/v1/internal/model/info` said."""
    current, loader = text(info.get("model_name")), text(info.get("loader"))
    current = "" if current in _NO_MODEL else current
    files = texts(mapping(await site.ask("/v1/internal/model/list", admin=True)).get("model_names"))
    names = [name for name in dict.fromkeys([current, *files]) if name not in _NO_MODEL]
    models = tuple(_described(name, loader, loaded=name == current) for name in names)
    counted = await _count(site, [{"role": "user", "content": SAMPLE}]) if current else None
    sample = await _ids(site, SAMPLE) if current else None
    capabilities = Capabilities(
        counts=counted is not None,
        tokenizes=sample is not None,
        slots=1,
        caches_prefix=loader.startswith(("llama.cpp", "ExLlama")),
        swaps="whole" if files else "none",
        loads_loras=bool(files),
        grammar=True,
        tools=True,
        thinking_off=True,
    )
    fingerprint = digest("text-generation-webui", sample, counted, current)
    adapters = await _adapters(site, texts(info.get("lora_names")))
    return TextGenWebUi(Served(models, capabilities, fingerprint, adapters=adapters), site)


async def _adapters(site: Site, loaded: list[str]) -> tuple[AdapterInfo, ...]:
    listed = texts(mapping(await site.ask("/v1/internal/lora/list", admin=True)).get("lora_names"))
    return tuple(AdapterInfo(name, name in loaded) for name in dict.fromkeys([*loaded, *listed]))


async def _count(site: Site, messages: list[dict[str, str]]) -> int | None:
    made = mapping(await site.ask("/v1/internal/chat-prompt", {"messages": messages, **_NO_THINKING}))
    prompt = made.get("prompt")
    if not isinstance(prompt, str):
        return None
    answer = await site.ask("/v1/internal/token-count", {"text": prompt}, timeout_s=COUNT_S)
    return whole(mapping(answer).get("length"))


async def _ids(site: Site, text: str) -> list[int] | None:
    answer = await site.ask("/v1/internal/encode", {"text": text}, timeout_s=COUNT_S)
    return ids(mapping(answer).get("tokens"))


def _described(name: str, loader: str, *, loaded: bool) -> ModelInfo:
    kind = format_in(name) or (_FORMATS.get(loader) if loaded else None)
    return ModelInfo(name, None, kind, quantization_in(name), loaded=loaded)
