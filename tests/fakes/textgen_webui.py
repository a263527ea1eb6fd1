"""text-generation-webui, from its source (oobabooga/text-generation-webui).

`modules/api/script.py` (before 2026 `extensions/openai/script.py`): the routes under `/v1/internal`, which of
them want the admin's key, "OK" for what was loaded and a 400 with `detail` for what was not.
`modules/api/models.py`: `model_name`, `lora_names` and `loader` of what is loaded, and no context length.
`modules/api/typing.py`: the fields, sampling values among them; adapters have no scale.
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from tests.fakes.dialect_server import DialectServer, token_ids
from tests.fakes.model_server import Recorded, Refusal


class FakeTextGenWebUI(DialectServer):
    """Loads one model at a time, with the loader that it is told has; applies adapters to everybody."""

    def __init__(self, *, loader: str = "ExLlamav2_HF", **others: Any) -> None:
        super().__init__(**others)
        self.loader = loader
        self.adapters = ["elf", "dwarf"]
        self.active: list[str] = []

    def _models(self) -> dict[str, Any]:
        return self._cards("user", self.loaded)

    async def _own(self, request: web.Request, recorded: Recorded) -> web.StreamResponse | None:
        path, body = request.path.removeprefix("/v1/internal/"), recorded.body
        if path in {"model/list", "model/load", "lora/list", "lora/load"} and not self._is_operator(request):
            return self._refuse(Refusal(401, '{"detail": "Unauthorized"}'))
        if path in {"model/load", "lora/load"}:
            return await self._loaded(path, body)
        if path == "chat-prompt":
            return web.json_response({"prompt": prompt_of(body["messages"])})
        if path in {"encode", "token-count"}:
            ids = token_ids(body["text"])
            return web.json_response({"length": len(ids), **({"tokens": ids} if path == "encode" else {})})
        model = next(iter(self.loaded), "None")
        found = {
            "model/info": {"model_name": model, "lora_names": self.active, "loader": self.loader},
            "model/list": {"model_names": ["None", *self.folder]},
            "lora/list": {"lora_names": self.adapters},
        }.get(path)
        return None if found is None else web.json_response(found)

    async def _loaded(self, path: str, body: dict[str, Any]) -> web.Response:
        if path == "lora/load":
            if not set(body["lora_names"]) <= set(self.adapters):
                return self._refuse(Refusal(400, '{"detail": "Failed to apply the LoRA(s)."}'))
            self.active = list(body["lora_names"])
            return web.json_response("OK")
        name = str(body["model_name"])
        if name not in self.folder or not await self._load(name, alone=True):
            return self._refuse(Refusal(400, '{"detail": "Failed to load the model."}'))
        return web.json_response("OK")

    def _billed(self, body: dict[str, Any]) -> int:
        return len(token_ids(prompt_of(body["messages"])))


def prompt_of(messages: list[dict[str, str]]) -> str:
    """Make a prompt of messages, with the words that a template would add."""
    return " ".join(f"<{one['role']}> {one['content']} <end>" for one in messages) + " <assistant>"
