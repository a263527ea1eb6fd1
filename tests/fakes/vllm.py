"""vLLM, from its documentation and the types its routes are declared with.

vllm-project/vllm, `vllm/entrypoints/serve/tokenize/protocol.py`: `/tokenize` of a `prompt` or of `messages`
(`count`, `max_model_len`, `tokens`). `docs/features/lora.md`: `/v1/load_lora_adapter` (`lora_name`,
`lora_path`; a text as the answer; no such route without VLLM_ALLOW_RUNTIME_LORA_UPDATING), adapters as models
whose `parent` is the base model. docs.vllm.ai, OpenAI-compatible server: `max_model_len` of `/v1/models`, and
that a `priority` other than 0 is an error unless the scheduler goes by it. The words of errors are those of
issues on GitHub.
"""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from tests.fakes.dialect_server import INN, DialectServer, token_ids
from tests.fakes.model_server import Recorded, Refusal
from tests.fakes.textgen_webui import prompt_of


class FakeVllm(DialectServer):
    """Serves one model, and adapters beside it as models.

    `updates_loras`: it was started with VLLM_ALLOW_RUNTIME_LORA_UPDATING; `schedules`: with
    `--scheduling-policy priority`, without which a priority is an error.
    """

    def __init__(self, *, updates_loras: bool = True, schedules: bool = False, **others: Any) -> None:
        super().__init__(**{"folder": (INN,), "loaded": INN, **others})
        self.updates_loras = updates_loras
        self.schedules = schedules
        self.adapters: dict[str, str] = {}
        self.paths = {"/adapters/elf"}

    def _models(self) -> dict[str, Any]:
        base = next(iter(self.loaded))
        context = self.folder[base].context
        cards = self._cards("vllm", [base], root=f"/models/{base}-AWQ", parent=None, max_model_len=context)
        for name, path in self.adapters.items():
            cards["data"] += self._cards("vllm", [name], root=path, parent=base)["data"]
        return cards

    async def _own(self, request: web.Request, recorded: Recorded) -> web.StreamResponse | None:
        body = recorded.body
        match request.method, request.path:
            case "POST", "/tokenize":
                text = body["prompt"] if "prompt" in body else prompt_of(body["messages"])
                ids = token_ids(text)
                context = self.folder[next(iter(self.loaded))].context
                return web.json_response({"count": len(ids), "max_model_len": context, "tokens": ids})
            case "POST", "/v1/load_lora_adapter" if self.updates_loras:
                return self._load_adapter(str(body["lora_name"]), str(body["lora_path"]))
            case "POST", "/v1/chat/completions":
                return self._refused(body)
        return None

    def _load_adapter(self, name: str, path: str) -> web.Response:
        if path not in self.paths:
            error = {"object": "error", "message": f"No adapter found for {path}", "type": "NotFoundError"}
            return self._refuse(Refusal(404, json.dumps({"error": {**error, "code": 404}})))
        self.adapters[name] = path
        return web.Response(text=f"Success: LoRA adapter '{name}' added successfully.")

    def _refused(self, body: dict[str, Any]) -> web.Response | None:
        name = str(body["model"])
        if name in self.refuses or name not in {*self.loaded, *self.adapters}:
            return self._no_such_model(name)
        if body.get("priority") and not self.schedules:
            message = f"Got priority {body['priority']} but Priority scheduling is not enabled."
            return self._refuse(Refusal(400, json.dumps({"error": {"message": message, "code": 400}})))
        return None

    def _billed(self, body: dict[str, Any]) -> int:
        return len(token_ids(prompt_of(body["messages"])))
