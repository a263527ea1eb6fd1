"""What answers: the shape every model server has in this house, whatever it speaks on the wire."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from bot.chat import Adapter, ChatMessage, ChatRequest, Delta, Sampling, TokenCount

Progress = Callable[[str], None]
"""Told what is being done, in a few words for players: `loading Qwen3-8B ... 12 s`."""
Swaps = Literal["none", "named", "whole"]
"""How another model comes to answer: it cannot; a request names it and the server loads it; or `load` puts it
in the place of the one that answered everybody."""


def wire_messages(messages: Sequence[ChatMessage]) -> list[dict[str, str]]:
    """Write messages as every chat API takes them (`dataclasses.asdict` would take ten times as long)."""
    return [{"role": message.role, "content": message.content} for message in messages]


def fold_system(messages: Sequence[ChatMessage]) -> tuple[ChatMessage, ...]:
    """Give the same prompt for a template without a system role: its text opens the first user message."""
    match messages:
        case [ChatMessage("system"), ChatMessage("user"), *_]:
            text = f"{messages[0].content}\n\n{messages[1].content}"
            return (ChatMessage("user", text), *messages[2:])
    return tuple(messages)


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """One model that a server offers. What the server does not say is None.

    `context_length`: tokens for one request, as it is loaded; of one that is not loaded, as it would be.
    `format` is that of its files in small letters (`gguf`, `exl2`, `exl3`, `gptq`, `awq`, `safetensors`,
    `mlx`), `quantization` as the server writes it (`Q4_K_M`, `4.25bpw`). `loaded`: it can answer at once.
    `adapter_of`: it is a LoRA adapter that is asked for as if it were a model; the name of that model.
    """

    name: str
    context_length: int | None = None
    format: str | None = None
    quantization: str | None = None
    loaded: bool | None = None
    size_bytes: int | None = None
    adapter_of: str | None = None


@dataclass(frozen=True, slots=True)
class AdapterInfo:
    """A LoRA adapter of a server. `loaded`: a request can use it. `scale` is that without a request's own."""

    name: str
    loaded: bool = True
    scale: float | None = None


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a server can do beyond answering.

    `counts`: exact token counts of whole conversations. `tokenizes`: exact counts of plain text.
    `slots`: how many answers it works on at the same time, None where it does not say. `caches_prefix`: it is
    known to keep what it has read and to read on from there, and nobody pays for reading ahead.
    `swaps`: how another model comes to answer. `loras`: adapters can be chosen for each request;
    `loads_loras`: `load_adapter` can have one loaded. `json_schema`: answers can be held to a schema,
    `grammar`: to a GBNF grammar. `tools`, `embeddings`: it offers OpenAI's. `thinking_off`: a request can
    turn a model's thinking off. `priority`: it takes a request's importance.
    """

    counts: bool = False
    tokenizes: bool = False
    slots: int | None = None
    caches_prefix: bool = False
    swaps: Swaps = "none"
    loras: bool = False
    loads_loras: bool = False
    json_schema: bool = False
    grammar: bool = False
    tools: bool = False
    embeddings: bool = False
    thinking_off: bool = False
    priority: bool = False


class Backend(Protocol):
    """A model server. Its methods may raise BackendError; what it cannot tell is None, never a guess."""

    @property
    def name(self) -> str:
        """What players read, such as `llama.cpp at 127.0.0.1:8080`. Holds no credentials."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What the server was last seen to be able to do; nothing before it was first reached."""
        ...

    def fingerprint(self, model: str | None = None) -> str:
        """Name the tokenizer and chat template in use: counts made under another fingerprint are void."""
        ...

    def stream(self, request: ChatRequest) -> AsyncGenerator[Delta, None]:
        """Answer, piece by piece. The last Delta has the finish reason and, where the server says, the usage.

        A model that the server does not list is answered by its default one.
        Closing the generator (`aclose`, or cancelling the task that reads it) ends the work on the server.
        An answer without any text is no error here: it is a last Delta after no other.
        Raises PromptTooLongError, BackendBusyError, BackendUnavailableError, BackendError.
        """
        ...

    def as_sent(self, messages: Sequence[ChatMessage], model: str | None = None) -> tuple[ChatMessage, ...]:
        """Give messages as `stream` last wrote them: folded, for a model without a system role."""
        ...

    def has_lora(self, adapter: Adapter) -> bool:
        """Tell whether the server has that adapter at hand; a request for another goes without."""
        ...

    def dropped(self, sampling: Sampling) -> tuple[str, ...]:
        """Name the values of `sampling` that are set and that the server is known to go without."""
        ...

    async def adapters(self) -> tuple[AdapterInfo, ...]:
        """List the LoRA adapters the server has, loaded or not."""
        ...

    async def load_adapter(self, adapter: Adapter, path: str = "") -> None:
        """Have an adapter loaded, for all who use the server. `path`: where it lies there, for vLLM.

        Raises BackendError with the reason where the server cannot.
        """
        ...

    async def load(self, model: str, on_progress: Progress | None = None) -> None:
        """Have a model of the server's list loaded, and return when it can answer.

        On a server that swaps the `whole`, it answers everybody from then on. Nothing is done about a model
        that can answer already. Cancelling stops the waiting; some servers (TabbyAPI) stop loading then, too.
        Raises BackendError with the reason where the server cannot or will not, ModelRefusedError where it
        lists no such model.
        """
        ...

    async def count(self, messages: Sequence[ChatMessage], model: str | None = None) -> TokenCount | None:
        """Count what the server will bill as prompt tokens, template included. None where it cannot."""
        ...

    async def tokenize(self, text: str) -> int | None:
        """Count the tokens of plain text, exactly. None where the server cannot."""
        ...

    async def token_ids(self, text: str) -> Sequence[int] | None:
        """Give the ids of the tokens of plain text. None where the server cannot."""
        ...

    def model_path(self, model: str | None = None) -> Path | None:
        """Give where a model lies on this machine, a file or a folder. None where that is not known."""
        ...

    async def models(self) -> tuple[ModelInfo, ...]:
        """List the models the server offers; the first is the one that answers by default.

        Those that are not loaded can be asked for only where the server swaps `named`; see `load`.
        """
        ...

    async def refresh(self) -> None:
        """Ask the server anew what it has, and what of that is loaded now. Raises BackendError."""
        ...

    async def context_length(self, model: str | None = None) -> int | None:
        """Give the tokens that prompt and answer together may have. None where unknown."""
        ...

    async def health(self) -> None:
        """Return if the server would take a request now, else raise BackendError saying why not."""
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...
