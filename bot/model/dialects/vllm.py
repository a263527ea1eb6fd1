"""vLLM's OpenAI-compatible server.

Source: its documentation of the OpenAI-compatible server (`max_model_len`) and of LoRA adapters
(`/v1/load_lora_adapter`), and the types its routes are declared with (vllm-project/vllm, `vllm/entrypoints`:
`serve/tokenize/protocol.py`; `openai/chat_completion/protocol.py` for sampling parameters,
`chat_template_kwargs`, `structured_outputs` and `priority`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from typing import Any, ClassVar

from bot.chat import Adapter, ChatMessage
from bot.errors import BackendError
from bot.model.backend import AdapterInfo, Capabilities, ModelInfo, wire_messages
from bot.model.dialects.base import COUNT_S, PlainOpenAI, Served, Site
from bot.model.dialects.reading import (
    SAMPLE,
    digest,
    entries,
    format_in,
    ids,
    mapping,
    quantization_in,
    read_models,
    text,
    whole,
)
from bot.model.failures import sentence
from bot.model.routes import RefusedError

NO_THINKING = {"chat_template_kwargs": {"enable_thinking": False, "thinking": False}}
"""What templates of models that think look for: Qwen's and most others' the first, DeepSeek's the second."""
AHEAD = 10
"""The priority of what nobody waits for; answers have 0, and lower comes first."""


class Vllm(PlainOpenAI):
    """vLLM, which serves the model it was started with, and LoRA adapters beside it as models."""

    name: ClassVar[str] = "vLLM"
    names: ClassVar[Mapping[str, str | None]] = {
        "repeat_penalty": "repetition_penalty",
        "typical_p": None,
        "dry_multiplier": None,
        "dry_base": None,
        "dry_allowed_length": None,
        "xtc_probability": None,
        "xtc_threshold": None,
    }

    def grammar(self, grammar: str) -> dict[str, Any]:
        """Hold the answer to a grammar."""
        return {"structured_outputs": {"grammar": grammar}}

    def without_thinking(self) -> dict[str, Any]:
        """Tell the template that there is to be no thinking."""
        return NO_THINKING

    def ahead(self) -> dict[str, Any]:
        """Let answers go first. An error unless the server schedules by priority; then it is left out."""
        return {"priority": AHEAD}

    def lora(self, adapter: Adapter) -> dict[str, Any] | None:
        """Ask for the adapter as the model that it is listed as; its scale is the server's business."""
        listed = any(model.name == adapter.name for model in self.served.models)
        return {"model": adapter.name} if listed else None

    async def count(self, messages: Sequence[ChatMessage], model: str) -> int | None:
        """Ask `/tokenize` with the messages, as a chat request would send them."""
        body = {"model": model, "messages": wire_messages(messages), "add_generation_prompt": True}
        answer = await self.site.ask("/tokenize", {**body, **NO_THINKING}, timeout_s=COUNT_S)
        return whole(mapping(answer).get("count"))

    async def token_ids(self, text: str) -> list[int] | None:
        """Ask `/tokenize` with the text alone, without a leading special token."""
        return await _ids(self.site, text, self.served.models[0].name)

    async def load_adapter(self, adapter: Adapter, path: str) -> None:
        """Load an adapter from a folder of the server's machine; it is a model of its list from then on."""
        body = {"lora_name": adapter.name, "lora_path": path or adapter.name}
        url, seconds = f"{self.site.address.root}/v1/load_lora_adapter", self.site.patience
        try:
            async with aclosing(self.site.routes.lines(url, body, first_s=seconds, next_s=seconds)) as said:
                async for _ in said:
                    pass
        except RefusedError as error:
            if error.status in {404, 405} and "adapter" not in error.body.lower():  # there is no such route
                raise BackendError(
                    f"{sentence(self.site.name)} does not load LoRA adapters while it runs.",
                    hint="Start it with --enable-lora and VLLM_ALLOW_RUNTIME_LORA_UPDATING=True.",
                ) from None
            raise


async def probe(site: Site, listing: Any) -> Vllm:
    """Find out what a vLLM server has."""
    models = tuple(_with_details(model, item) for model, item in _listed(listing))
    name, path = models[0].name, text(entries(listing)[0].get("root"))
    sample = await _ids(site, SAMPLE, name)
    chat = {"model": name, "messages": [{"role": "user", "content": SAMPLE}], "add_generation_prompt": True}
    chat_ids = mapping(await site.ask("/tokenize", {**chat, **NO_THINKING})).get("tokens")
    adapters = tuple(AdapterInfo(model.name) for model in models if model.adapter_of)
    capabilities = Capabilities(
        counts=chat_ids is not None,
        tokenizes=sample is not None,
        caches_prefix=True,
        loras=True,
        loads_loras=True,
        json_schema=True,
        grammar=True,
        tools=True,
        thinking_off=True,
        priority=True,
    )
    fingerprint = digest("vLLM", sample, chat_ids, name if sample is None else None)
    return Vllm(Served(models, capabilities, fingerprint, path, adapters=adapters), site)


def _listed(listing: Any) -> list[tuple[ModelInfo, dict[str, Any]]]:
    items = {text(item.get("id")): item for item in entries(listing)}
    return [(model, items[model.name]) for model in read_models(listing)]


def _with_details(model: ModelInfo, item: dict[str, Any]) -> ModelInfo:
    root = text(item.get("root"))
    return ModelInfo(
        model.name,
        model.context_length,
        format_in(root) or format_in(model.name),
        quantization_in(root) or quantization_in(model.name),
        loaded=True,
        adapter_of=text(item.get("parent")) or None,
    )


async def _ids(site: Site, text: str, model: str) -> list[int] | None:
    body = {"model": model, "prompt": text, "add_special_tokens": False}
    return ids(mapping(await site.ask("/tokenize", body, timeout_s=COUNT_S)).get("tokens"))
