"""The words in which prompt, memory and model talk to each other: messages, requests, deltas, vectors."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message of a chat completion request."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is drawn. `None` leaves a value to the server.

    The names are those of llama.cpp and the OpenAI API; a dialect translates them. `dry_*` (don't repeat
    yourself) punishes sequences that were said before, `xtc_*` (exclude top choices) leaves out the likeliest
    tokens now and then; both are off where their multiplier or probability is 0.
    """

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    typical_p: float | None = None
    repeat_penalty: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    dry_multiplier: float | None = None
    dry_base: float | None = None
    dry_allowed_length: int | None = None
    xtc_probability: float | None = None
    xtc_threshold: float | None = None
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
    backend has it. `json_schema` holds the answer to a JSON Schema, else `grammar` to a GBNF grammar, where
    the backend can; an answer must be checked all the same. `thinking`: let a model think before it answers,
    if it does; otherwise it is asked not to. `ahead`: nobody waits for the answer. `session` is the same for
    all requests of one scene and means nothing to anybody else: a proxy in front of several servers can
    send them all to the one that has the scene's prompt cached.
    """

    messages: tuple[ChatMessage, ...]
    max_tokens: int
    sampling: Sampling = field(default_factory=Sampling)
    stop: tuple[str, ...] = ()
    model: str | None = None
    lora: Adapter | None = None
    json_schema: Mapping[str, Any] | None = None
    grammar: str | None = None
    thinking: bool = False
    ahead: bool = False
    session: str = ""


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


@dataclass(frozen=True, slots=True)
class Vector:
    """What a text means to an embedding model: a direction, as 32-bit numbers of length 1 together.

    `model` names the model, how many numbers it gives included. Vectors of two models are never compared.
    """

    model: str
    values: array[float]
