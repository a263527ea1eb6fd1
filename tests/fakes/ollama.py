"""Ollama, from its documentation (ollama/ollama).

`docs/api.md`: `/api/version`, `/api/tags`, `/api/ps` (`context_length`), `/api/show` (`parameters`,
`model_info`, `capabilities`), `/api/chat` line by line with `options`, `format` and `think`, a chat without
messages that loads. `docs/context-length.mdx`: 4096 tokens where nobody says more.
`docs/capabilities/thinking.mdx`: `think`. That a prompt which is too long is cut without a word:
ollama/ollama's issues; the words of its errors: its source.
"""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from tests.fakes.dialect_server import DialectServer, Model, token_ids
from tests.fakes.model_server import Answer, Recorded, Refusal


class FakeOllama(DialectServer):
    """Loads the model that a request names, with the `num_ctx` it says, else its Modelfile's, else 4096.

    A prompt that is longer is cut without a word, and `cut` counts them. `thinkers` can think; the others
    refuse to. Modelfiles may set `num_ctx` (`modelfiles`).
    """

    def __init__(self, *, thinkers: tuple[str, ...] = (), **others: Any) -> None:
        super().__init__(**others)
        self.thinkers = set(thinkers)
        self.modelfiles: dict[str, int] = {}
        self.contexts: dict[str, int] = dict.fromkeys(self.loaded, 4096)
        self.cut = 0
        self.reloads = 0

    def _models(self) -> dict[str, Any]:
        return self._cards("library", self.folder)

    @property
    def chats(self) -> list[Recorded]:
        return [one for one in self.requests if one.path == "/api/chat" and one.body.get("messages")]

    async def _own(self, request: web.Request, recorded: Recorded) -> web.StreamResponse | None:
        body = recorded.body
        match request.method, request.path:
            case "GET", "/api/version":
                found: Any = {"version": "0.13.5"}
            case "GET", "/api/tags":
                found = {"models": [_tag(model) for model in self.folder.values()]}
            case "GET", "/api/ps":
                found = {"models": [self._running(self.folder[name]) for name in self.loaded]}
            case "POST", "/api/show":
                found = self._shown(self.folder[body["model"]])
            case "POST", "/api/chat":
                return await self._chat(request, recorded)
            case _:
                return None
        return web.json_response(found)

    def _shown(self, model: Model) -> dict[str, Any]:
        length = self.modelfiles.get(model.name)
        able = ["completion", "tools", *(["thinking"] if model.name in self.thinkers else [])]
        return {
            "parameters": f'num_ctx                        {length}\nstop  "<|eot|>"' if length else "",
            "details": _details(model),
            "model_info": {"general.architecture": "llama", "llama.context_length": model.trained},
            "capabilities": able,
        }

    def _running(self, model: Model) -> dict[str, Any]:
        return {**_tag(model), "size_vram": model.size, "context_length": self.contexts[model.name]}

    async def _chat(self, request: web.Request, recorded: Recorded) -> web.StreamResponse:
        body, name = recorded.body, str(recorded.body["model"])
        if name not in self.folder or name in self.refuses:
            return self._refuse(Refusal(404, json.dumps({"error": f"model '{name}' not found"})))
        if body.get("think") and name not in self.thinkers:
            return self._refuse(Refusal(400, json.dumps({"error": f'"{name}" does not support thinking'})))
        context = body.get("options", {}).get("num_ctx") or self.modelfiles.get(name) or 4096
        if name not in self.loaded or self.contexts.get(name) != context:
            self.reloads += 1
            if not await self._load(name, alone=False):
                return self._refuse(Refusal(500, json.dumps({"error": "model requires more system memory"})))
            self.contexts[name] = context
        if not body["messages"]:
            return web.json_response({"model": name, "done_reason": "load", "done": True})
        return await self._say(request, recorded, context)

    async def _say(self, request: web.Request, recorded: Recorded, context: int) -> web.StreamResponse:
        prompt = sum(len(token_ids(message["content"])) for message in recorded.body["messages"])
        self.cut += prompt > context
        step = self.script.popleft() if self.script else self.default
        if isinstance(step, Refusal):
            return self._refuse(step)
        assert isinstance(step, Answer)
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        recorded.opened.set()
        if step.thought:
            message = {"role": "assistant", "content": "", "thinking": step.thought}
            await response.write(_line({"message": message, "done": False}))
        pieces = [step.text[i : i + step.chunk] for i in range(0, len(step.text), step.chunk)]
        for number, piece in enumerate(pieces):
            if step.gate and number == step.gate_after:
                await step.gate.wait()
            if step.dies_after == number:
                assert request.transport is not None
                request.transport.abort()
                return response
            await response.write(_line({"message": {"role": "assistant", "content": piece}, "done": False}))
        if step.finish_reason:
            counts = {"prompt_eval_count": min(prompt, context), "eval_count": len(pieces)}
            last = {"message": {"role": "assistant", "content": ""}, "done": True, **counts}
            await response.write(_line({**last, "done_reason": step.finish_reason}))
        return response


def _line(data: Any) -> bytes:
    return json.dumps(data).encode() + b"\n"


def _details(model: Model) -> dict[str, Any]:
    return {"format": model.format, "family": "llama", "quantization_level": model.quantization}


def _tag(model: Model) -> dict[str, Any]:
    return {"name": model.name, "model": model.name, "size": model.size, "details": _details(model)}
