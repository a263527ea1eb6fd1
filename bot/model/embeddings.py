"""Embedding models: any `/v1/embeddings` route, and a GGUF that llama.cpp serves in a child process."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import math
import re
import sys
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bot.chat import Vector
from bot.clock import Clock
from bot.errors import BackendBusyError, BackendError, BackendUnavailableError, TextRefusedError
from bot.model.address import parse_address
from bot.model.cpu import CpuServer, Endpoint
from bot.model.failures import names_unsupported, refused, sentence
from bot.model.routes import RefusedError, Routes, Timeouts

MOST_CHARACTERS = 2000
"""Of one text: the longest message of Discord, and about what the usual 512 tokens hold."""
LEAST_CHARACTERS = 64
"""A text that a model refuses even at this length is refused for another reason."""
MOST_DIMENSIONS = 16_384
PATIENCE_S = 60.0
"""Seconds for one batch. A CPU takes 40 ms for a text of 67 tokens, with a model of 22 million parameters."""
_LONGEST_NAME = 80
_LIST_S = 5.0
_ADDRESS_HINT = (
    "Check that EMBEDDING_URL has the address of an OpenAI-compatible server with an embedding model, "
    "such as http://127.0.0.1:8081/v1."
)
_KEY_HINT = "Set EMBEDDING_API_KEY to the key it expects."

# What a model was trained to read before a query and before a text, by its name. Sources: the models' own
# pages (intfloat/e5-base-v2, nomic-ai/nomic-embed-text-v1.5, BAAI/bge-small-en-v1.5,
# google/embeddinggemma-300m, mixedbread-ai/mxbai-embed-large-v1, Snowflake/snowflake-arctic-embed-m,
# Qwen/Qwen3-Embedding-0.6B).
_SEARCH = "Represent this sentence for searching relevant passages: "
_TASK = "Instruct: Given what is said at a role-playing table, retrieve what was said about it before\nQuery:"
_PREFIXES: tuple[tuple[re.Pattern[str], str, str], ...] = (
    (re.compile(r"nomic-embed", re.IGNORECASE), "search_query: ", "search_document: "),
    (re.compile(r"qwen3-embedding|e5-.*instruct", re.IGNORECASE), _TASK, ""),
    (re.compile(r"\be5-", re.IGNORECASE), "query: ", "passage: "),
    (re.compile(r"bge-.*-en|mxbai-embed|arctic-embed", re.IGNORECASE), _SEARCH, ""),
    (re.compile(r"embeddinggemma", re.IGNORECASE), "task: search result | query: ", "title: none | text: "),
)


class EmbeddingServer:
    """A server with an OpenAI-compatible `/v1/embeddings` route.

    `model` is the name to ask for; empty: the first that the server lists. `label` replaces the name made
    from the address, `identity` the name under which vectors are kept.
    """

    def __init__(
        self,
        url: str,
        *,
        model: str = "",
        api_key: str | None = None,
        label: str = "",
        identity: str = "",
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._url, self._key, self._patience_s = url, api_key, patience_s
        self._address = parse_address(url, api_key)
        self._label = label
        self._wished = model
        self._identity = identity
        self._model = model
        self._dimensions = 0
        self._base64 = True
        self._routes = Routes(self._address, lambda: self._server, Timeouts())

    @property
    def name(self) -> str:
        """Say which model it is and where, without the key."""
        if self._label:
            return self._label
        model = _short(self._wished or self._model)
        return f"{model} at {self._address.host}" if model else self._server

    async def embed(self, texts: Sequence[str], *, query: bool = False) -> list[Vector]:
        """Give one vector for each text; see `Embedder` in `bot.memory.embedding`."""
        texts = [text.strip()[:MOST_CHARACTERS] for text in texts]
        if not all(texts):
            raise TextRefusedError("There is nothing to embed in an empty text.")
        if not self._model:
            self._model = await self._first_listed()
        prefix = _prefix(self._identity or self._model, query=query)
        try:
            found = await self._ask_for([prefix + text for text in texts])
        except TextRefusedError:
            if len(texts) > 1 or len(texts[0]) < 2 * LEAST_CHARACTERS:
                raise
            return await self.embed([texts[0][: len(texts[0]) // 2]], query=query)
        except BackendError:
            self._model = self._wished  # whatever comes back may be another one
            raise
        if self._dimensions not in {0, len(found[0])}:
            self._model = self._wished or await self._first_listed()
        self._dimensions = len(found[0])
        model = f"{self._identity or _short(self._model) or 'default'}/{self._dimensions}"
        return [Vector(model, values) for values in found]

    async def of_model(self, model: str) -> EmbeddingServer | None:
        """Give the source of an older model's vectors: this server, if it lists that model too."""
        name = model.rpartition("/")[0]
        try:
            there = next((one for one in await self._listed() if _short(one) == name), None)
        except BackendError:
            return None
        if there is None or there == self._model:
            return None
        return EmbeddingServer(self._url, model=there, api_key=self._key, patience_s=self._patience_s)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._routes.aclose()

    @property
    def _server(self) -> str:
        return self._label or f"the embedding server at {self._address.host}"

    async def _first_listed(self) -> str:
        return next(iter(await self._listed()), "")

    async def _listed(self) -> list[str]:
        """Give the models that the server lists; none where it has no such route. Raises BackendError."""
        try:
            listing = await self._routes.get(f"{self._address.api}/models", timeout_s=_LIST_S)
        except RefusedError as error:
            if error.status in {401, 403}:
                raise self._means(error) from None
            return []
        except BackendUnavailableError as error:
            raise BackendUnavailableError(error.args[0], hint=_ADDRESS_HINT) from None
        match listing:
            case {"data": list(models)}:
                return [str(one["id"]) for one in models if isinstance(one, dict) and "id" in one]
        return []

    async def _ask_for(self, texts: Sequence[str]) -> list[array[float]]:
        body: dict[str, Any] = {"model": self._model or "default", "input": list(texts)}
        if self._base64:  # a fifth of the bytes, and no JSON numbers to read
            body["encoding_format"] = "base64"
        try:
            answer = await self._routes.post(
                f"{self._address.api}/embeddings", body, timeout_s=self._patience_s
            )
        except RefusedError as error:
            if self._base64 and names_unsupported(error.status, error.body, frozenset({"encoding_format"})):
                self._base64 = False
                return await self._ask_for(texts)
            raise self._means(error, body) from None
        except BackendUnavailableError as error:
            raise BackendUnavailableError(error.args[0], hint=_ADDRESS_HINT) from None
        found = [self._values(one) for one in self._rows(answer, len(texts))]
        if len({len(values) for values in found}) > 1:
            raise self._nonsense("vectors of different lengths")
        return [_of_length_1(values) for values in found]

    def _rows(self, answer: Any, texts: int) -> list[Any]:
        """Give the embeddings in the order of the texts."""
        match answer:
            case {"data": list(rows)} if all(isinstance(row, dict) and "embedding" in row for row in rows):
                ordered = sorted(rows, key=lambda row: _index(row, len(rows)))
            case _:
                raise self._nonsense("something other than embeddings")
        if len(ordered) != texts or any(_index(row, n) != n for n, row in enumerate(ordered)):
            raise self._nonsense(f"{len(ordered)} embeddings for {texts} texts")
        return [row["embedding"] for row in ordered]

    def _values(self, embedding: Any) -> array[float]:
        match embedding:
            case [[*_] as only]:  # llama.cpp's own shape, one vector for each sequence
                embedding = only
        try:
            if isinstance(embedding, str):
                values = array("f", base64.b64decode(embedding, validate=True))
                if sys.byteorder == "big":
                    values.byteswap()
            else:
                values = array("f", embedding)
        except (TypeError, ValueError, OverflowError, binascii.Error):
            raise self._nonsense("embeddings that are no lists of numbers") from None
        if not 1 < len(values) <= MOST_DIMENSIONS:
            raise self._nonsense(f"vectors of {len(values)} numbers")
        return values

    def _nonsense(self, what: str) -> BackendError:
        return BackendUnavailableError(
            f"{sentence(self._server)} answered with {what}.", hint="Is it an embedding model?"
        )

    def _means(self, error: RefusedError, request: dict[str, Any] | None = None) -> BackendError:
        """Tell what has nothing to do with the text from what may."""
        meant = refused(self._server, error.status, error.body, request=request)
        text = str(meant.args[0])
        match error.status:
            case 401 | 403:
                return BackendUnavailableError(text, hint=_KEY_HINT)
            case 404 | 405 | 501:
                none = f"{sentence(self._server)} embeds nothing (HTTP {error.status})."
                return BackendUnavailableError(none, hint=f"{_ADDRESS_HINT} llama.cpp's needs --embeddings.")
            case 429 | 502 | 503 | 504:
                return meant if isinstance(meant, BackendBusyError) else BackendUnavailableError(text)
            case status if 300 <= status < 400:
                return BackendUnavailableError(text, hint=_ADDRESS_HINT)
        return TextRefusedError(text)


class EmbeddingModel:
    """A GGUF embedding model, served by a llama.cpp of its own in a child process."""

    def __init__(self, path: Path, *, clock: Clock, binary: str = "") -> None:
        self._path, self._clock, self._binary = path, clock, binary
        self._cpu = CpuServer(path, clock=clock, parallel=1, binary=binary, embedding=True)
        self._server: EmbeddingServer | None = None
        self._endpoint: Endpoint | None = None

    @property
    def name(self) -> str:
        """Say which model it is."""
        return f"{self._path.stem} on the CPU"

    async def embed(self, texts: Sequence[str], *, query: bool = False) -> list[Vector]:
        """Give one vector for each text; see `Embedder` in `bot.memory.embedding`. Starts the child."""
        server = await self._running()
        try:
            return await server.embed(texts, query=query)
        except BackendUnavailableError:
            await self._cpu.bury()
            raise

    async def of_model(self, model: str) -> EmbeddingModel | None:
        """Give the source of an older model's vectors: its file, if that lies in the same folder."""
        stem = model.rpartition("/")[0].rpartition(".")[0]
        path = self._path.with_name(f"{stem}.gguf")
        try:
            there = await asyncio.to_thread(identity, path)
        except OSError:
            return None
        if path == self._path or not model.startswith(f"{there}/"):
            return None
        return EmbeddingModel(path, clock=self._clock, binary=self._binary)

    async def aclose(self) -> None:
        """End the child."""
        if self._server is not None:
            await self._server.aclose()
        await self._cpu.stop()

    async def _running(self) -> EmbeddingServer:
        endpoint = await self._cpu.ensure()
        if self._server is None or endpoint != self._endpoint:
            if self._server is not None:
                await self._server.aclose()
            model = await asyncio.to_thread(identity, self._path)
            self._endpoint = endpoint
            self._server = EmbeddingServer(
                endpoint.url,
                model=self._path.stem,
                api_key=endpoint.api_key,
                label=self.name,
                identity=model,
            )
        return self._server


def identity(path: Path) -> str:
    """Name a GGUF file by its stem, and its size, beginning and end: a replaced file is another model."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(65_536)
        file.seek(max(0, size - 65_536))
        digest = hashlib.sha256(start + file.read() + str(size).encode()).hexdigest()
    return f"{path.stem[: _LONGEST_NAME - 9]}.{digest[:8]}"


def _short(name: str) -> str:
    """Give a model's name without the folders that llama.cpp puts before it, and never a very long one."""
    name = name.replace("\\", "/").rpartition("/")[2] if name.endswith(".gguf") else name
    if len(name) <= _LONGEST_NAME:
        return name
    return f"{name[: _LONGEST_NAME - 9]}.{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _prefix(model: str, *, query: bool) -> str:
    for pattern, of_query, of_text in _PREFIXES:
        if pattern.search(model):
            return of_query if query else of_text
    return ""


def _index(row: dict[str, Any], otherwise: int) -> int:
    index = row.get("index", otherwise)
    return index if isinstance(index, int) else otherwise


def _of_length_1(values: array[float]) -> array[float]:
    """Scale a vector to length 1. Raises TextRefusedError for what has no direction: NaN, infinity, zero."""
    length = math.hypot(*values)
    if not math.isfinite(length) or length == 0.0:
        raise TextRefusedError("The embedding model gave a vector that is not a number, infinite or zero.")
    return array("f", (value / length for value in values))
