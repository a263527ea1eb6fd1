"""The words in which the prompt and the model talk to each other: messages, sampling, requests, deltas."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message of a chat completion request."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is drawn. `None` leaves a value to the server.

    The names are those of llama.cpp and the OpenAI API; a dialect translates them.
    """

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    repeat_penalty: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    max_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Adapter:
    """A LoRA adapter, by the name of its file without the ending, and how strongly it is applied."""

    name: str
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One request for an answer.

    `max_tokens` bounds the answer in tokens, `stop` ends it before any of its strings,
    `model` is a name from the backend's own list, or None for the one it serves. `lora` is applied if the
    backend has it.
    """

    messages: tuple[ChatMessage, ...]
    max_tokens: int
    sampling: Sampling = field(default_factory=Sampling)
    stop: tuple[str, ...] = ()
    model: str | None = None
    lora: Adapter | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """What an answer cost, in tokens. `evaluated_tokens` is the part of the prompt that no cache held."""

    prompt_tokens: int
    completion_tokens: int
    evaluated_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of an answer: some text, and with the last piece the reason it ended and its cost."""

    text: str = ""
    finish_reason: str | None = None
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class TokenCount:
    """A number of tokens, and whether a real tokenizer counted it."""

    tokens: int
    exact: bool
