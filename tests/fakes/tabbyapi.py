"""TabbyAPI, from its source (theroyallab/tabbyAPI).

`endpoints/core/router.py`: `/v1/model` (503 while nothing is loaded), `/v1/model/list` (the folder for the
admin's key, else what is loaded), `/v1/auth/permission`, `/v1/token/encode`, `/v1/lora`, `lora/list`,
`lora/load`, `unload`, and its refusals. `endpoints/core/types`: the fields (`parameters.max_seq_len`;
`model_name`, `name` before; `loras` of `name` and `scaling`). `endpoints/core/utils/model.py`: the events of
a load, `module` of `modules`, then `finished`, or an `error`. `common/auth.py`: the keys, in `x-admin-key` or
as a bearer's. `common/sampling.py`: names and bounds of sampling values, no penalty below 0 among them.
"""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from tests.fakes.dialect_server import API_KEY, DialectServer, Model, token_ids
from tests.fakes.model_server import Recorded, Refusal, event

INN_EXL2 = Model("inn-8b-exl2-4.0bpw", format="exl2", quantization="4.0bpw")
SEA_EXL3 = Model("sea-24b-exl3-3.5bpw", context=16_384, format="exl3", quantization="3.5bpw")
_PARTS = 4


class FakeTabbyAPI(DialectServer):
    """Lists its folder for the admin's key, else only what is loaded; loads with a stream of events."""

    def __init__(self, *, api_key: str | None = API_KEY, admin_key: str | None = None, **others: Any) -> None:
        super().__init__(**{"folder": (INN_EXL2, SEA_EXL3), "loaded": INN_EXL2, **others}, api_key=api_key)
        self.admin_key = admin_key
        self.adapters = ["elf", "dwarf"]
        self.active: dict[str, float] = {}

    def _is_operator(self, request: web.Request) -> bool:
        if self.admin_key is None:
            return self._api_key is None or request.headers.get("Authorization") == f"Bearer {self._api_key}"
        return super()._is_operator(request)

    def _models(self) -> dict[str, Any]:
        return self._cards("tabbyAPI", self.loaded)

    async def _own(self, request: web.Request, recorded: Recorded) -> web.StreamResponse | None:
        operator, body = self._is_operator(request), recorded.body
        if request.method == "POST" and request.path.startswith(("/v1/model/", "/v1/lora/")) and not operator:
            return self._refuse(Refusal(401, '{"detail": "Invalid admin key"}'))
        if request.path == "/v1/chat/completions":
            return self._invalid(body)
        if request.path == "/v1/model" and not self.loaded:
            return self._refuse(Refusal(503, '{"detail": "No models are currently loaded."}'))
        if request.path == "/v1/model/load":
            return await self._load_telling(request, str(body["model_name"]))
        found = self._asked(request.path, operator=operator) or self._told(request.path, body)
        return None if found is None else web.json_response(found)

    def _asked(self, path: str, *, operator: bool) -> Any:
        listed = self._cards("tabbyAPI", self.folder if operator else self.loaded)
        return {
            "/v1/models": listed,
            "/v1/model/list": listed,
            "/v1/model": self._card(),
            "/v1/auth/permission": {"permission": "admin" if operator else "api"},
            "/v1/lora": {"data": [{"id": name, "scaling": scale} for name, scale in self.active.items()]},
            "/v1/lora/list": {"data": [{"id": name} for name in self.adapters if operator]},
        }.get(path)

    def _told(self, path: str, body: dict[str, Any]) -> Any:
        match path:
            case "/v1/token/encode":
                text = body["text"] if isinstance(body["text"], str) else json.dumps(body["text"])
                return {"tokens": (ids := token_ids(text)), "length": len(ids)}
            case "/v1/lora/load":
                return self._load_loras(body["loras"])
            case "/v1/lora/unload":
                self.active.clear()
                return {}
        return None

    def _card(self) -> dict[str, Any]:
        name = next(iter(self.loaded), "")
        context = self.folder[name].context if name else None
        parameters = {"max_seq_len": context, "cache_mode": "FP16", "chunk_size": 2048}
        return {"id": name, "object": "model", "owned_by": "tabbyAPI", "parameters": parameters}

    async def _load_telling(self, request: web.Request, name: str) -> web.StreamResponse:
        if name not in self.folder or name in self.refuses:
            text = '{"detail": "Could not find the model path for load. Check model name or config.yml?"}'
            return self._refuse(Refusal(400, text))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for part in range(1, _PARTS):
            await response.write(self._part(part, "processing"))
        if await self._load(name, alone=True):
            await response.write(self._part(_PARTS, "processing") + self._part(_PARTS, "finished"))
        else:
            await response.write(event({"error": {"message": "CUDA out of memory", "trace": ""}}))
        return response

    def _part(self, module: int, status: str) -> bytes:
        return event({"model_type": "model", "module": module, "modules": _PARTS, "status": status})

    def _load_loras(self, loras: list[dict[str, Any]]) -> dict[str, list[str]]:
        known = [one for one in loras if one["name"] in self.adapters]
        self.active |= {one["name"]: one.get("scaling", 1.0) for one in known}
        return {
            "success": [one["name"] for one in known],
            "failure": [one["name"] for one in loras if one not in known],
        }

    def _invalid(self, body: dict[str, Any]) -> web.Response | None:
        """Refuse what its sampler's declaration does not allow, in FastAPI's words."""
        for name in ("presence_penalty", "frequency_penalty"):
            if body.get(name, 0) < 0:
                complaint = {"loc": ["body", name], "msg": "Input should be greater than or equal to 0"}
                return self._refuse(Refusal(422, json.dumps({"detail": [complaint]})))
        return None
