"""What the fakes of model servers share: models in a folder, one or more of them loaded, and words as tokens.

Each fake is written from its server's published API and names it; none has been compared with a running
server. They all count words (`TOKEN`) where the real ones count tokens, answer from a script (see
`ScriptedModelServer`), and can be slow to load, refuse a model's name, fail to load one, or die in an answer.
"""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from tests.fakes.model_server import Answer, Recorded, Refusal, ScriptedModelServer, Step

TOKEN = re.compile(r"\s*\S+")
API_KEY, ADMIN_KEY = "the-key", "the-admin-key"


@dataclass(frozen=True)
class Model:
    """A model in a server's folder, and the context in tokens with which it is loaded."""

    name: str
    context: int = 4096
    format: str = "gguf"
    quantization: str = "Q4_K_M"
    size: int = 4_700_000_000
    trained: int = 131_072


INN = Model("inn-8b")
SEA = Model("sea-24b", context=8192, quantization="Q5_K_M", size=17_000_000_000)


def token_ids(text: str) -> list[int]:
    """Give a number for each word: the same for the same word."""
    return [zlib.crc32(word.encode()) % 32_000 for word in TOKEN.findall(text)]


class DialectServer(ScriptedModelServer):
    """A server with a folder of models.

    `loading` is cleared by a test to have loading take until it is set again; `started_loading` is set when
    it began. Of `refuses` the server says that it has no such model; those of `unloadable` it fails to load.
    """

    def __init__(
        self,
        folder: Iterable[Model] = (INN, SEA),
        loaded: Model | None = INN,
        *,
        default: Step | None = None,
        api_key: str | None = None,
        admin_key: str | None = None,
    ) -> None:
        super().__init__(default=default, api_key=api_key)
        self.folder = {model.name: model for model in folder}
        self.loaded = {loaded.name} if loaded else set()
        self.refuses: set[str] = set()
        self.unloadable: set[str] = set()
        self.loading = asyncio.Event()
        self.loading.set()
        self.started_loading = asyncio.Event()
        self.admin_key = admin_key

    def dies_in_mid_answer(self, after: int = 2) -> None:
        """Have the connection of the next answer cut after that many chunks."""
        self.script.append(Answer(dies_after=after))

    async def _load(self, name: str, *, alone: bool) -> bool:
        """Load a model, `alone` in place of all others; tell whether that went well."""
        self.started_loading.set()
        if alone:
            self.loaded.clear()
        await self.loading.wait()
        if name in self.unloadable:
            return False
        self.loaded.add(name)
        return True

    def _admits(self, request: web.Request) -> bool:
        return super()._admits(request) or self._is_operator(request)

    def _is_operator(self, request: web.Request) -> bool:
        """Tell whether the request bears the admin's key, or needs none."""
        return not self.admin_key or request.headers.get("Authorization") == f"Bearer {self.admin_key}"

    async def _answer(self, request: web.Request, recorded: Recorded) -> web.StreamResponse:
        own = await self._own(request, recorded)
        return own if own is not None else await super()._answer(request, recorded)

    async def _own(self, request: web.Request, recorded: Recorded) -> web.StreamResponse | None:
        """Answer what this server alone knows; None for the rest."""
        raise NotImplementedError

    def _no_such_model(self, name: str) -> web.Response:
        message = f"The model `{name}` does not exist."
        return self._refuse(Refusal(404, f'{{"error": {{"message": "{message}", "type": "NotFoundError"}}}}'))

    def _cards(self, owner: str, names: Iterable[str], **extra: Any) -> dict[str, Any]:
        cards = [{"id": name, "object": "model", "created": 0, "owned_by": owner, **extra} for name in names]
        return {"object": "list", "data": cards}
