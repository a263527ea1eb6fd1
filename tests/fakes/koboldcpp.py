"""KoboldCpp, from its API documentation and its source.

https://lite.koboldai.net/koboldcpp_api: `true_max_context_length`, `version`, `tokencount` (`value`, `ids`),
`perf` (`uptime`), `/api/v1/model`, `list_options` and `reload_config` (`filename`; `success`). From
LostRuins/koboldcpp, `koboldcpp.py`: that admin routes want the password as a bearer's and answer an empty
list or `success: false` without it, `unload_model` among the options, "Server is busy" as a 503 with
`detail.msg`, and what it answers in llama.cpp's and Ollama's name.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, ClassVar

from aiohttp import web

from tests.fakes.dialect_server import DialectServer, token_ids
from tests.fakes.model_server import Recorded, Refusal


class FakeKoboldCpp(DialectServer):
    """Started with `--admin --admindir DIR`, and `--adminpassword` where there is an `admin_key`.

    As the real one does, it restarts to load another of its folder's files: until that is done it answers
    nothing, and its uptime begins again. `busy` has it refuse answers as it does while it works on another.
    """

    busy = False
    settings: ClassVar[dict[str, str]] = {"tavern.kcpps": "sea-24b"}
    """Files of settings in its folder, and the models they are for."""
    admin = True
    _born = 0.0
    _restart: asyncio.Task[None] | None = None

    async def stop(self) -> None:
        if self._restart is not None:
            self._restart.cancel()
        await super().stop()

    def _models(self) -> dict[str, Any]:
        return self._cards("koboldcpp", [self._current], permission=[], root="koboldcpp")

    async def _own(self, request: web.Request, recorded: Recorded) -> web.StreamResponse | None:
        if self._restart is not None and not self._restart.done():
            assert request.transport is not None
            request.transport.abort()  # nobody listens on the port
            return web.Response(status=503)
        found = self._asked(request) if request.method == "GET" else self._told(request, recorded.body)
        if found is None and self.busy and request.path == "/v1/chat/completions":
            detail = {"msg": "Server is busy; please try again later.", "type": "service_unavailable"}
            return self._refuse(Refusal(503, json.dumps({"detail": detail})))
        return None if found is None else web.json_response(found)

    def _asked(self, request: web.Request) -> Any:
        """Answer a GET. What is llama.cpp's or Ollama's here, KoboldCpp answers in their name."""
        admitted = self.admin and self._is_operator(request)
        uptime = asyncio.get_running_loop().time() - self._born
        return {
            "/api/extra/version": {"result": "KoboldCpp", "version": "1.104", "admin": int(self.admin)},
            "/api/extra/true_max_context_length": {"value": self._context},
            "/api/v1/model": {"result": self._current},
            "/api/extra/perf": {"uptime": uptime, "queue": 0, "idle": 1},
            "/api/admin/list_options": self._options if admitted else [],
            "/props": {"chat_template": "", "default_generation_settings": {"n_ctx": self._context}},
            "/api/ps": {"models": [{"name": "koboldcpp", "model": self._current}]},
            "/api/version": {"version": "0.7.0"},
        }.get(request.path)

    @property
    def _options(self) -> list[str]:
        return [*(f"{name}.gguf" for name in self.folder), *self.settings, "unload_model"]

    def _told(self, request: web.Request, body: dict[str, Any]) -> Any:
        if request.path == "/api/extra/tokencount":
            ids = token_ids(str(body["prompt"]))
            return {"value": len(ids), "ids": ids}
        if request.path == "/api/admin/reload_config":
            return {"success": self._reload(str(body["filename"]), operator=self._is_operator(request))}
        return None

    @property
    def _context(self) -> int:
        return max((self.folder[name].context for name in self.loaded), default=0)

    @property
    def _current(self) -> str:
        return f"koboldcpp/{next(iter(self.loaded))}" if self.loaded else "inactive"

    def _reload(self, file: str, *, operator: bool) -> bool:
        name = self.settings.get(file, file.removesuffix(".gguf"))
        if not (self.admin and operator and name in self.folder):
            return False
        self._restart = asyncio.create_task(self._start_anew(name))
        return True

    async def _start_anew(self, name: str) -> None:
        await self._load(name, alone=True)
        self._born = asyncio.get_running_loop().time()
