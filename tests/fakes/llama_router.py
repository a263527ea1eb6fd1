"""llama.cpp's server as a router, from ggml-org/llama.cpp, `tools/server/README.md`, "Using multiple models".

From there: `/models` with `status.value` (unloaded, loading, loaded, sleeping; `failed` and `exit_code`
where a model would not load), `status.args`, `path` and `architecture.output_modalities`; `/models/load`;
the `model` and `autoload` parameters of GET routes; loading what a request names. Not from there: the words
of its errors. `/models/sse`, which tells how far a model has come, is not used: asking `/models` says that
it loads. What one model's server does is tested on the real one; its build in `xllamacpp` has no router.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from aiohttp import web

from tests.fakes.dialect_server import DialectServer, Model, token_ids
from tests.fakes.model_server import Recorded, Refusal
from tests.fakes.textgen_webui import prompt_of


class FakeLlamaRouter(DialectServer):
    """Routes by the model's name and loads it if need be (`autoload`).

    `woken` are models that a question or an answer had it load, rather than `/models/load`.
    """

    def __init__(self, *, autoload: bool = True, **others: Any) -> None:
        super().__init__(**others)
        self.autoload = autoload
        self.woken: list[str] = []
        self._failed: set[str] = set()
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def stop(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        await super().stop()

    def _models(self) -> dict[str, Any]:
        cards = self._cards("llamacpp", self.folder)
        for card in cards["data"]:
            model = self.folder[card["id"]]
            card |= {"path": f"/models/{model.name}-{model.quantization}.gguf", "status": self._status(model)}
            card["architecture"] = {"input_modalities": ["text"], "output_modalities": ["text"]}
        decider = {"id": "decider", "status": {"value": "unloaded"}}
        cards["data"].append(decider | {"architecture": {"output_modalities": ["decisions"]}})
        return cards

    async def _own(self, request: web.Request, recorded: Recorded) -> web.StreamResponse | None:
        match request.method, request.path:
            case "GET", "/models":
                return web.json_response(self._models())
            case "GET", "/props" if "model" not in request.query:
                return web.json_response(
                    {"role": "router", "build_info": "b1-abc", "default_generation_settings": {"n_ctx": 0}}
                )
            case "POST", "/models/load":
                return self._start_loading(str(recorded.body["model"]))
        name = request.query.get("model") or recorded.body.get("model")
        if request.path == "/v1/models" or name is None:
            return None
        if (refusal := await self._require(str(name), request)) is not None:
            return refusal
        return self._of_a_model(request, recorded.body, self.folder[str(name)])

    def _of_a_model(self, request: web.Request, body: dict[str, Any], model: Model) -> web.Response | None:
        """Answer as the model's own server."""
        match request.path:
            case "/props":
                found: Any = {
                    "build_info": "b1-abc",
                    "default_generation_settings": {"n_ctx": model.context},
                    "total_slots": 2,
                    "chat_template": "chatml",
                    "chat_template_caps": {"supports_system_role": True},
                    "model_path": f"/models/{model.name}-{model.quantization}.gguf",
                }
            case "/tokenize":
                found = {"tokens": token_ids(body["content"])}
            case "/v1/chat/completions/input_tokens":
                found = {"object": "response.input_tokens", "input_tokens": self._billed(body)}
            case "/lora-adapters":
                found = []
            case _:
                return None
        return web.json_response(found)

    async def _require(self, name: str, request: web.Request) -> web.Response | None:
        """Have the model loaded that a request names, as the router does by itself."""
        if name not in self.folder or name in self.refuses:
            return self._error(400, f"model '{name}' not found", "invalid_request_error")
        if name in self.loaded:
            return None
        if not self.autoload or request.query.get("autoload") == "false":
            return self._error(400, "model is not loaded", "invalid_request_error")
        self.woken.append(name)
        if not await self._load(name, alone=False):
            return self._error(500, f"model name={name} failed to load", "server_error")
        return None

    def _start_loading(self, name: str) -> web.Response:
        if name not in self.folder or name in self.refuses:
            return self._error(404, f"model '{name}' not found", "not_found_error")
        self._tasks[name] = asyncio.create_task(self._in_background(name))
        return web.json_response({"success": True})

    async def _in_background(self, name: str) -> None:
        if not await self._load(name, alone=False):
            self._failed.add(name)

    def _status(self, model: Model) -> dict[str, Any]:
        arguments = ["llama-server", "--ctx-size", str(model.context)]
        if model.name in self.loaded:
            return {"value": "loaded", "args": arguments}
        if model.name in self._failed:
            return {"value": "unloaded", "args": arguments, "failed": True, "exit_code": 1}
        task = self._tasks.get(model.name)
        return {"value": "loading" if task and not task.done() else "unloaded", "args": arguments}

    def _error(self, status: int, message: str, kind: str) -> web.Response:
        error = {"code": status, "message": message, "type": kind}
        return self._refuse(Refusal(status, json.dumps({"error": error})))

    def _billed(self, body: dict[str, Any]) -> int:
        return len(token_ids(prompt_of(body["messages"])))
