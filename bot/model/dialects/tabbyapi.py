"""TabbyAPI, which runs ExLlamaV2 and V3 (EXL2, EXL3, GPTQ, FP16): one model at a time.

Source: its documentation and the types its routes are declared with (`endpoints/core`, `endpoints/OAI`,
`common/sampling.py`). Its list of models holds everything in its folder for the admin's key, else only what
is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any, ClassVar

from bot.chat import Adapter, Sampling
from bot.errors import BackendError
from bot.model.backend import AdapterInfo, Capabilities, ModelInfo, Progress
from bot.model.dialects.base import COUNT_S, PlainOpenAI, Served, Site, set_values
from bot.model.dialects.reading import (
    SAMPLE,
    digest,
    embeds,
    entries,
    format_in,
    ids,
    mapping,
    mappings,
    quantization_in,
    text,
    texts,
    whole,
)
from bot.model.dialects.vllm import NO_THINKING
from bot.model.failures import sentence

_DRY = {"dry_base": 1.75, "dry_allowed_length": 2}
"""What llama.cpp takes where nothing is said; here that would be 0, and DRY off."""
_NEVER_NEGATIVE = ("presence_penalty", "frequency_penalty")
"""It refuses the whole request for a penalty below 0."""


class TabbyApi(PlainOpenAI):
    """TabbyAPI. Adapters that it has loaded are applied to everybody's answers."""

    name: ClassVar[str] = "TabbyAPI"
    names: ClassVar[Mapping[str, str | None]] = {
        "repeat_penalty": "repetition_penalty",
        "typical_p": "typical",
    }

    def sampling(self, sampling: Sampling) -> dict[str, Any]:
        """Use its names, and spell out DRY."""
        values = super().sampling(sampling)
        return {**_DRY, **values} if values.get("dry_multiplier") else values

    def dropped(self, sampling: Sampling) -> tuple[str, ...]:
        """Name the values it would refuse."""
        values = set_values(sampling)
        return tuple(name for name in _NEVER_NEGATIVE if values.get(name, 0) < 0)

    def schema(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        """Hold the answer to a JSON Schema."""
        return {"json_schema": dict(schema)}

    def without_thinking(self) -> dict[str, Any]:
        """Tell the template that there is to be no thinking."""
        return NO_THINKING

    def lora(self, adapter: Adapter) -> dict[str, Any] | None:
        """Say nothing, for an adapter that is loaded is applied."""
        return {} if any(one.name == adapter.name and one.loaded for one in self.served.adapters) else None

    async def token_ids(self, text: str) -> list[int] | None:
        """Ask `/v1/token/encode` with the text alone, without a leading special token."""
        return await _ids(self.site, text)

    async def load(self, model: str, on_progress: Progress | None) -> None:
        """Have another model of its folder loaded in place of this one; it says how far it is."""
        await self.site.loading(self._load(model, on_progress), model, None)

    async def _load(self, model: str, on_progress: Progress | None) -> None:
        body = {"model_name": model, "name": model}  # its newer and its older name for the same thing
        finished, why = False, "it stopped in the middle"
        async with aclosing(self.site.events("/v1/model/load", body)) as events:
            async for event in events:
                finished = event.get("status") == "finished"
                why = text(mapping(event.get("error")).get("message"))[:200] or why
                done, parts = whole(event.get("module")), whole(event.get("modules"))
                if on_progress is not None and done is not None and parts:
                    on_progress(f"loading {model} ... {100 * done // parts} %")
        if not finished:
            raise BackendError(f"{sentence(self.site.name)} could not load {model}: {why}.")

    async def load_adapter(self, adapter: Adapter, path: str) -> None:  # noqa: ARG002  # it knows its folder
        """Have an adapter of its folder loaded, beside those that are."""
        loaded = [one for one in self.served.adapters if one.loaded and one.name != adapter.name]
        wanted = [{"name": one.name, "scaling": one.scale or 1.0} for one in loaded]
        wanted.append({"name": adapter.name, "scaling": adapter.scale})
        if loaded:  # loading adds to what there is, and would add those twice
            await self.site.post("/v1/lora/unload", {}, admin=True, timeout_s=self.site.patience)
        answer = await self.site.post(
            "/v1/lora/load", {"loras": wanted}, admin=True, timeout_s=self.site.patience
        )
        if adapter.name in texts(mapping(answer).get("failure")):
            raise BackendError(f"{sentence(self.site.name)} could not load the adapter {adapter.name!r}.")


async def probe(site: Site, listing: Any) -> TabbyApi:
    """Find out what TabbyAPI has loaded, and what else it could."""
    card = mapping(await site.ask("/v1/model"))
    current = text(card.get("id"))
    context = whole(mapping(card.get("parameters")).get("max_seq_len"))
    everything = await site.ask("/v1/model/list", admin=True)
    names = [text(item.get("id")) for item in entries(everything) or entries(listing)]
    models = [_described(name) for name in dict.fromkeys([current, *names]) if name]
    models = [
        replace(one, context_length=context, loaded=True) if one.name == current else one for one in models
    ]
    models.sort(key=lambda one: (not one.loaded, embeds(one)))
    sample = await _ids(site, SAMPLE) if current else None
    operator = text(mapping(await site.ask("/v1/auth/permission", admin=True)).get("permission"))
    capabilities = Capabilities(
        tokenizes=sample is not None,
        caches_prefix=True,
        swaps="whole" if operator != "api" else "none",
        loads_loras=operator != "api",
        json_schema=True,
        tools=True,
        thinking_off=True,
    )
    fingerprint = digest("TabbyAPI", sample, current)
    adapters = await _adapters(site)
    return TabbyApi(Served(tuple(models), capabilities, fingerprint, adapters=adapters), site)


async def _adapters(site: Site) -> tuple[AdapterInfo, ...]:
    """List the adapters of its folder; those that are loaded have a scale."""
    loaded = {text(item.get("id")): item.get("scaling") for item in entries(await site.ask("/v1/lora"))}
    listed = mapping(await site.ask("/v1/lora/list", admin=True))
    names = dict.fromkeys([*loaded, *(text(item.get("id")) for item in mappings(listed.get("data")))])
    return tuple(AdapterInfo(name, name in loaded, _number(loaded.get(name))) for name in names if name)


async def _ids(site: Site, text: str) -> list[int] | None:
    body = {"text": text, "add_bos_token": False}
    return ids(mapping(await site.ask("/v1/token/encode", body, timeout_s=COUNT_S)).get("tokens"))


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _described(name: str) -> ModelInfo:
    """Describe a model of its folder by its name."""
    return ModelInfo(name, None, format_in(name), quantization_in(name), loaded=False)
