"""LM Studio, which loads the model that a request names (just in time).

Source: its documentation (lmstudio-ai/docs, `1_developer/2_rest`: `list.md` and `load.md` for what 0.4 has at
`/api/v1/models`, `endpoints.md` for the older `/api/v0/models`; `3_openai-compat/chat-completions.md` for the
parameters that chats take). `min_p` is not on that list, but on its own chat route's, and is sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from bot.errors import BackendError
from bot.model.backend import Capabilities, ModelInfo, Progress
from bot.model.dialects.base import PlainOpenAI, Served, Site, in_order
from bot.model.dialects.reading import digest, mapping, mappings, text, whole
from bot.model.failures import sentence
from bot.model.routes import RefusedError


class LmStudio(PlainOpenAI):
    """LM Studio. It has no route that counts tokens, and no LoRA adapters."""

    name: ClassVar[str] = "LM Studio"
    names: ClassVar[Mapping[str, str | None]] = {
        "typical_p": None,
        "dry_multiplier": None,
        "dry_base": None,
        "dry_allowed_length": None,
        "xtc_probability": None,
        "xtc_threshold": None,
    }

    async def state(self) -> str:
        """Tell its lists as they are now; that at `/v1/models` leaves out what is loaded."""
        return digest(await self.site.ask("/api/v1/models") or await self.site.ask("/api/v0/models"))

    async def load(self, model: str, on_progress: Progress | None) -> None:
        """Have a model loaded, with the operator's context where they set one."""
        await self.site.loading(self._load(model), model, on_progress)

    async def _load(self, model: str) -> None:
        body: dict[str, Any] = {"model": model}
        if self.site.context:
            body["context_length"] = self.site.context
        seconds = self.site.patience
        try:
            await self.site.post("/api/v1/models/load", body, timeout_s=seconds)
        except RefusedError as error:
            if error.status not in {404, 405}:
                raise
            await self._name(model, seconds)

    async def _name(self, model: str, seconds: float) -> None:
        """Have a model loaded by an older server: a request that names it does that."""
        if not self.served.capabilities.swaps == "named":
            raise BackendError(f"{sentence(self.site.name)} cannot load models.")
        chat = {"model": model, "messages": [{"role": "user", "content": "."}], "max_tokens": 1}
        await self.site.post("/v1/chat/completions", chat, timeout_s=seconds)


async def probe(site: Site, found: Any) -> LmStudio:
    """Read what models LM Studio has. `found` is what `/api/v1/models` said, else `/api/v0/models`."""
    newer, older = mappings(mapping(found).get("models")), mappings(mapping(found).get("data"))
    models = [_newer(item) for item in newer if item.get("type") == "llm"]
    models += [_older(item) for item in older if text(item.get("type")) in {"llm", "vlm"}]
    models = list(in_order(models, site.usual))
    kinds = {text(item.get("type")) for item in (*newer, *older)}
    capabilities = Capabilities(
        caches_prefix=True,
        swaps="named",
        json_schema=True,
        tools=True,
        embeddings=bool(kinds & {"embedding", "embeddings"}),
    )
    fingerprint = digest("LM Studio", [model.name for model in models[:1]])
    return LmStudio(Served(tuple(models), capabilities, fingerprint), site)


def _newer(item: dict[str, Any]) -> ModelInfo:
    """Describe a model of `/api/v1/models`. Not loaded, its context is what LM Studio will choose."""
    instances = mappings(item.get("loaded_instances"))
    context = whole(mapping(instances[0].get("config")).get("context_length")) if instances else None
    return ModelInfo(
        text(item.get("key")),
        context,
        text(item.get("format")) or None,
        text(mapping(item.get("quantization")).get("name")) or None,
        loaded=bool(instances),
        size_bytes=whole(item.get("size_bytes")),
    )


def _older(item: dict[str, Any]) -> ModelInfo:
    """Describe a model of `/api/v0/models`."""
    return ModelInfo(
        text(item.get("id")),
        whole(item.get("loaded_context_length")),
        text(item.get("compatibility_type")) or None,
        text(item.get("quantization")) or None,
        loaded=item.get("state") == "loaded",
    )
