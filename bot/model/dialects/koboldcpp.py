"""KoboldCpp: one model at a time, by its own routes and OpenAI's chat completions.

Source: its API documentation (https://lite.koboldai.net/koboldcpp_api) and, for what that leaves out (the
admin routes, how chat completions are read), `koboldcpp.py`. It cuts a prompt that is too long without a
word, so that the context length it gives has to be kept to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, ClassVar

from bot.errors import BackendError
from bot.model.backend import Capabilities, ModelInfo, Progress
from bot.model.dialects.base import COUNT_S, PlainOpenAI, Served, Site, restarted
from bot.model.dialects.reading import (
    SAMPLE,
    digest,
    format_in,
    ids,
    mapping,
    quantization_in,
    read_models,
    texts,
    whole,
)
from bot.model.dialects.vllm import NO_THINKING
from bot.model.failures import sentence

_NO_FILES = frozenset({"unload_model", "initial_model"})
"""What it lists beside the files that it can load."""
_IDLE = "inactive"
"""The name it gives where no model is loaded."""


class KoboldCpp(PlainOpenAI):
    """KoboldCpp. It reads a frequency penalty as a presence penalty, so that none is sent."""

    name: ClassVar[str] = "KoboldCpp"
    names: ClassVar[Mapping[str, str | None]] = {
        "repeat_penalty": "rep_pen",
        "typical_p": "typical",
        "frequency_penalty": None,
    }

    def grammar(self, grammar: str) -> dict[str, Any]:
        """Hold the answer to a grammar."""
        return {"grammar": grammar}

    def without_thinking(self) -> dict[str, Any]:
        """Tell the template, where it uses the model's own (`--jinja`); it ignores what it does not know."""
        return NO_THINKING

    async def token_ids(self, text: str) -> list[int] | None:
        """Ask `/api/extra/tokencount`, without a leading special token."""
        return await _ids(self.site, text)

    async def load(self, model: str, on_progress: Progress | None) -> None:
        """Have it start anew with another of its files, and wait until it is back."""
        await self.site.loading(self._load(model), model, on_progress)

    async def _load(self, model: str) -> None:
        up_for = await _up_for(self.site)
        body = {"filename": model}
        answer = mapping(
            await self.site.post(
                "/api/admin/reload_config", body, admin=True, timeout_s=self.site.timeouts.health
            )
        )
        if answer.get("success") is not True:
            raise BackendError(
                f"{sentence(self.site.name)} would not load {model}.",
                hint="It needs --admin and --admindir, the file in that folder, and its --adminpassword as"
                " MODEL_ADMIN_KEY.",
            )
        gone = False
        while True:
            await asyncio.sleep(self.site.timeouts.poll)
            since = await _up_for(self.site)
            gone = gone or since is None or (up_for is not None and since < up_for)
            if gone and since is not None:
                break
        if await _model(self.site) in {"", _IDLE}:
            raise BackendError(
                f"{sentence(self.site.name)} came back without a model: it could not load {model}.",
                hint="Its log says why; often the memory is too small.",
            )


async def probe(site: Site, listing: Any) -> KoboldCpp:
    """Find out what KoboldCpp has loaded, and what else it could."""
    context = whole(mapping(await site.ask("/api/extra/true_max_context_length")).get("value"))
    names = [model.name for model in read_models(listing) if model.name != _IDLE]
    files = [name for name in texts(await _files(site)) if name not in _NO_FILES]
    loaded = [_described(_file_of(name, files), context, loaded=True) for name in names]
    others = [_described(file, None, loaded=False) for file in files if file not in {m.name for m in loaded}]
    sample = await _ids(site, SAMPLE) if loaded else None
    capabilities = Capabilities(
        tokenizes=sample is not None,
        slots=1,
        caches_prefix=True,
        swaps="whole" if files else "none",
        json_schema=True,
        grammar=True,
        tools=True,
    )
    fingerprint = digest("KoboldCpp", sample, names)
    return KoboldCpp(Served((*loaded, *others), capabilities, fingerprint), site)


async def _files(site: Site) -> Any:
    """List what the admin's folder holds; an empty list unless it is the admin who asks."""
    return await site.ask("/api/admin/list_options", admin=True)


async def _model(site: Site) -> str:
    return str(mapping(await site.ask("/api/v1/model")).get("result", ""))


async def _up_for(site: Site) -> float | None:
    """Give the seconds since it was started; None while it does not answer."""
    found = mapping(await restarted(site, "/api/extra/perf")).get("uptime")
    return float(found) if isinstance(found, int | float) else None


async def _ids(site: Site, text: str) -> list[int] | None:
    body = {"prompt": text, "special": False}
    return ids(mapping(await site.ask("/api/extra/tokencount", body, timeout_s=COUNT_S)).get("ids"))


def _file_of(name: str, files: list[str]) -> str:
    """Give the file whose model is called `koboldcpp/NAME` when it is loaded, else that name."""
    return next((file for file in files if f"koboldcpp/{file.removesuffix('.gguf')}" == name), name)


def _described(name: str, context: int | None, *, loaded: bool) -> ModelInfo:
    kind = format_in(name) or ("gguf" if loaded else None)
    return ModelInfo(name, context, kind, quantization_in(name), loaded=loaded)
