"""LM Studio, from its documentation's sources (lmstudio-ai/docs, `1_developer/2_rest`).

`list.md`: what `/api/v1/models` lists (`key`, `loaded_instances`, `config.context_length`, `quantization`).
`load.md`: what `/api/v1/models/load` takes, `context_length` beside `model`, and gives back. `endpoints.md`:
`/api/v0/models` before 0.4. That it refuses to load with fields it does not know is told in
lmstudio-ai/lmstudio-bug-tracker#2024, without its words.
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from tests.fakes.dialect_server import DialectServer, Model
from tests.fakes.model_server import Recorded

EMBEDDER = "text-embedding-nomic-embed-text-v1.5"


class FakeLMStudio(DialectServer):
    """Loads the model that a request names (just in time). `older`: before 0.4, without `/api/v1`."""

    def __init__(self, *, older: bool = False, **others: Any) -> None:
        super().__init__(**others)
        self.older = older
        self.contexts: dict[str, int] = {}
        """With which models were loaded, where that was asked for."""

    def _models(self) -> dict[str, Any]:
        return self._cards("organization_owner", [EMBEDDER, *self.folder])

    async def _own(self, request: web.Request, recorded: Recorded) -> web.StreamResponse | None:
        match request.method, request.path:
            case "GET", "/api/v1/models" if not self.older:
                cards = [_EMBEDDER, *map(self._card, self.folder.values())]
                return web.json_response({"models": cards})
            case "GET", "/api/v0/models":
                cards = [_OLD_EMBEDDER, *map(self._old, self.folder.values())]
                return web.json_response({"object": "list", "data": cards})
            case "POST", "/api/v1/models/load" if not self.older:
                return await self._load_named(recorded.body)
            case "POST", "/v1/chat/completions":
                return await self._load_in_time(recorded.body)
        return None

    async def _load_named(self, body: dict[str, Any]) -> web.Response:
        name, length = str(body["model"]), body.get("context_length")
        if unknown := sorted(body.keys() - _LOAD_FIELDS):
            error = {"type": "invalid_request", "message": f"Unrecognized key(s) in object: {unknown}"}
            return web.json_response({"error": error}, status=400)
        if name not in self.folder or name in self.refuses:
            return self._no_such_model(name)
        if not await self._load(name, alone=False):
            failed = {"error": {"type": "model_load_failed", "message": "Insufficient memory"}}
            return web.json_response(failed, status=500)
        if length:
            self.contexts[name] = length
        loaded = {"type": "llm", "instance_id": name, "load_time_seconds": 9.1, "status": "loaded"}
        return web.json_response(loaded)

    async def _load_in_time(self, body: dict[str, Any]) -> web.Response | None:
        name = str(body["model"])
        if name not in self.folder or name in self.refuses:
            return self._no_such_model(name)
        if name not in self.loaded:
            await self._load(name, alone=False)
        message = {"role": "assistant", "content": "."}
        return None if body.get("stream") else web.json_response({"choices": [{"message": message}]})

    def _card(self, model: Model) -> dict[str, Any]:
        config = {"context_length": self.contexts.get(model.name, model.context)}
        return {
            "type": "llm",
            "key": model.name,
            "quantization": {"name": model.quantization, "bits_per_weight": 4},
            "size_bytes": model.size,
            "loaded_instances": [{"id": model.name, "config": config}] if model.name in self.loaded else [],
            "max_context_length": model.trained,
            "format": model.format,
        }

    def _old(self, model: Model) -> dict[str, Any]:
        loaded = model.name in self.loaded
        return {
            "id": model.name,
            "object": "model",
            "type": "llm",
            "compatibility_type": model.format,
            "quantization": model.quantization,
            "state": "loaded" if loaded else "not-loaded",
            "max_context_length": model.trained,
            **({"loaded_context_length": model.context} if loaded else {}),
        }


_LOAD_FIELDS = {
    "model",
    "context_length",
    "eval_batch_size",
    "flash_attention",
    "num_experts",
    "offload_kv_cache_to_gpu",
    "echo_load_config",
}
_EMBEDDER = {
    "type": "embedding",
    "key": EMBEDDER,
    "quantization": {"name": "F16", "bits_per_weight": 16},
    "loaded_instances": [],
    "max_context_length": 2048,
    "format": "gguf",
}
_OLD_EMBEDDER = {
    "id": EMBEDDER,
    "object": "model",
    "type": "embeddings",
    "compatibility_type": "gguf",
    "state": "not-loaded",
    "max_context_length": 2048,
}
