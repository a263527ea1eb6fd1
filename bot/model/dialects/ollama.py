"""Ollama, spoken to by its own chat route: OpenAI's would not let the context be set.

Source: `docs/api.md`, `docs/context-length.mdx` and `docs/capabilities/thinking.mdx` of ollama/ollama. It
loads the model that a request names, with a context that is far smaller than the model's, 4096 tokens on
small machines, and cuts a longer prompt without a word. So every request says `num_ctx`: the operator's
CONTEXT_LENGTH, else what the loaded model has, else what its Modelfile says, else those 4096; and never more
than the model can. Two requests with different contexts would have the model loaded anew each time.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, ClassVar

from bot.chat import Sampling, Usage
from bot.model.backend import Capabilities, ModelInfo, Progress
from bot.model.dialects.base import PlainOpenAI, Served, Site, in_order
from bot.model.dialects.reading import digest, mapping, mappings, text, texts, whole
from bot.model.failures import failed_in_stream, not_a_model_server, too_slow

DEFAULT_CONTEXT = 4096
"""Tokens that Ollama takes where nobody says anything and there is less than 24 GiB of GPU memory."""
_MOST_SHOWN = 64
"""Models that are asked for their details, one after the other."""


class Ollama(PlainOpenAI):
    """Ollama, which has no route that counts tokens, and LoRA adapters only as part of a Modelfile."""

    name: ClassVar[str] = "Ollama"
    names: ClassVar[Mapping[str, str | None]] = {
        "dry_multiplier": None,
        "dry_base": None,
        "dry_allowed_length": None,
        "xtc_probability": None,
        "xtc_threshold": None,
    }

    def __init__(self, served: Served, site: Site, thinking: frozenset[str] = frozenset()) -> None:
        super().__init__(served, site)
        self._thinking = thinking

    def sampling(self, sampling: Sampling) -> dict[str, Any]:
        """Put the values where Ollama looks for them."""
        return {"options": super().sampling(sampling)}

    def schema(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        """Hold the answer to a JSON Schema."""
        return {"format": dict(schema)}

    def without_thinking(self) -> dict[str, Any]:
        """Ask for no thinking; models that cannot think are not sent it (see `chunks`)."""
        return {"think": False}

    def usage(self, chunk: dict[str, Any]) -> Usage | None:
        """Read the counts of the last line; how much of the prompt was cached it does not say."""
        prompt, completion = whole(chunk.get("prompt_eval_count")), whole(chunk.get("eval_count"))
        return None if prompt is None or completion is None else Usage(prompt, completion)

    async def chunks(self, body: dict[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        """Answer by `/api/chat`, line by line, each made like a chunk of OpenAI's.

        Raises RefusedError where it refused the request itself, BackendError for everything else.
        """
        times, name = self.site.timeouts, self.site.name
        url, begun = f"{self.site.address.root}/api/chat", False
        lines = self.site.routes.lines(
            url, self._native(body), first_s=times.first_token, next_s=times.between_tokens
        )
        try:
            async with aclosing(lines):
                async for line in lines:
                    chunk = _chunk(line)
                    if chunk is None:
                        raise not_a_model_server(name, "broken JSON")
                    if "error" in chunk:
                        raise failed_in_stream(name, chunk["error"], body)
                    begun = True
                    yield chunk
        except TimeoutError:
            if begun:
                raise too_slow(name, times.between_tokens, "did not go on with its answer") from None
            raise too_slow(name, times.first_token, "did not begin to answer") from None

    async def state(self) -> str:
        """Tell what is loaded now, and with what context."""
        return digest(sorted((await _running(self.site)).items()))

    async def load(self, model: str, on_progress: Progress | None) -> None:
        """Have a model loaded with its context: a chat without messages does that."""
        await self.site.loading(self._load(model), model, on_progress)

    async def _load(self, model: str) -> None:
        body = {"model": model, "messages": [], "stream": False, "options": {"num_ctx": self._context(model)}}
        await self.site.post("/api/chat", body, timeout_s=self.site.patience)

    def _native(self, body: dict[str, Any]) -> dict[str, Any]:
        """Write a chat request as Ollama has it."""
        model = str(body["model"])
        options = {**body.get("options", {}), "num_ctx": self._context(model)}
        options["num_predict"] = body.get("max_tokens", -1)
        if stop := body.get("stop"):
            options["stop"] = stop
        native = {"model": model, "messages": body["messages"], "stream": True, "options": options}
        native |= {name: body[name] for name in ("format",) if name in body}
        if "think" in body and model in self._thinking:
            native["think"] = body["think"]
        return native

    def _context(self, model: str) -> int:
        found = next((one.context_length for one in self.served.models if one.name == model), None)
        return found or DEFAULT_CONTEXT


async def probe(site: Site) -> Ollama:
    """Find out what models Ollama has, and with what context they are or would be loaded."""
    running = await _running(site)
    listed = mappings(mapping(await site.ask("/api/tags")).get("models"))
    models, able = [], {}
    for number, item in enumerate(listed):
        name = text(item.get("name"))
        shown = mapping(await site.ask("/api/show", {"model": name})) if number < _MOST_SHOWN else {}
        able[name] = frozenset(texts(shown.get("capabilities")))
        if able[name] and "completion" not in able[name]:
            continue
        context = _trusted(site.context, running.get(name), shown)
        models.append(_described(item, context, loaded=name in running))
    models = list(in_order(models, site.usual))
    capabilities = Capabilities(
        caches_prefix=True,
        swaps="named",
        json_schema=True,
        tools=any("tools" in one for one in able.values()),
        embeddings=any("embedding" in one for one in able.values()),
        thinking_off=True,
    )
    thinking = frozenset(name for name, can in able.items() if "thinking" in can)
    fingerprint = digest("Ollama", [model.name for model in models[:1]])
    return Ollama(Served(tuple(models), capabilities, fingerprint), site, thinking)


async def _running(site: Site) -> dict[str, int | None]:
    """Give the models that are loaded, with their context where it is told."""
    found = mappings(mapping(await site.ask("/api/ps")).get("models"))
    return {text(item.get("name")): whole(item.get("context_length")) for item in found}


def _trusted(wished: int | None, running: int | None, shown: Mapping[str, Any]) -> int:
    """Give the context that requests are to ask for: one that the prompt can be cut to."""
    most = next(
        (
            length
            for key, value in mapping(shown.get("model_info")).items()
            if key.endswith(".context_length") and (length := whole(value))
        ),
        None,
    )
    context = wished or running or _modelfile_context(text(shown.get("parameters"))) or DEFAULT_CONTEXT
    return min(context, most) if most else context


def _modelfile_context(parameters: str) -> int | None:
    """Find `num_ctx` among the parameters of a Modelfile: one on a line, name and value."""
    for line in parameters.splitlines():
        name, _, value = line.strip().partition(" ")
        if name == "num_ctx" and value.strip().isdigit():
            return int(value)
    return None


def _described(item: dict[str, Any], context: int, *, loaded: bool) -> ModelInfo:
    details = mapping(item.get("details"))
    return ModelInfo(
        text(item.get("name")),
        context,
        text(details.get("format")) or None,
        text(details.get("quantization_level")) or None,
        loaded=loaded,
        size_bytes=whole(item.get("size")),
    )


def _chunk(line: str) -> dict[str, Any] | None:
    """Make a chunk like OpenAI's of a line; None of what is not JSON. What it thought is left out."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    found = mapping(found)
    reason = text(found.get("done_reason")) or "stop"
    choice = {
        "delta": {"content": text(mapping(found.get("message")).get("content"))},
        "finish_reason": reason if found.get("done") is True else None,
    }
    return {**found, "choices": [choice]}
