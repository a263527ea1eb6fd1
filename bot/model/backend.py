"""What answers: the shape every model server has in this house, whatever it speaks on the wire."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bot.chat import Adapter, ChatMessage, ChatRequest, Delta, TokenCount


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
    """One model that a server offers. `context_length`: tokens for one request; None where unknown."""

    name: str
    context_length: int | None = None


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a server can do beyond answering.

    `counts`: exact token counts of whole conversations. `tokenizes`: exact counts of plain text.
    `slots`: how many answers it works on at the same time, None where it does not say. `caches_prefix`: it is
    known to keep what it has read and to read on from there, and nobody pays for reading ahead.
    """

    counts: bool = False
    tokenizes: bool = False
    slots: int | None = None
    caches_prefix: bool = False


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
        """List the models that can be asked for by name; the first is the one that answers by default."""
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
