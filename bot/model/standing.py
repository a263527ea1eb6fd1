"""How the model servers stand and what they offer, for those who ask."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bot.model.backend import Backend, ModelInfo

if TYPE_CHECKING:
    from bot.model.candidate import Candidate


@dataclass(frozen=True, slots=True)
class Offer:
    """A model, and the name of the backend that has it.

    `server` is there while that is up. `answers`: a request that names the model is answered by it.
    `path` is where it lies on this machine, a file or a folder, where that is known.
    """

    backend: str
    model: ModelInfo
    server: Backend | None = None
    answers: bool = True
    path: Path | None = None


@dataclass(frozen=True, slots=True)
class BackendStatus:
    """How one backend stands. `standby`: the CPU model before it is needed; `context_length` in tokens.

    `backend` is there while it is up. `prompt_tokens` are those of all answers so far, `evaluated_tokens` the
    part of them that no cache held.
    """

    name: str
    url: str
    state: Literal["up", "down", "standby"]
    dialect: str | None = None
    model: str | None = None
    context_length: int | None = None
    exact_counts: bool = False
    running: int = 0
    waiting: int = 0
    error: str = ""
    prompt_tokens: int = 0
    evaluated_tokens: int = 0
    backend: Backend | None = None


async def standing_of(candidate: Candidate) -> BackendStatus:
    """Say how one server stands."""
    server = candidate.server
    if candidate.error is not None:
        return BackendStatus(server.name, server.url, "down", server.dialect, error=str(candidate.error))
    models = await server.models()
    return BackendStatus(
        name=server.name,
        url=server.url,
        state="up",
        dialect=server.dialect,
        model=models[0].name if models else None,
        context_length=await server.context_length(),
        exact_counts=server.capabilities.counts,
        running=candidate.queue.running,
        waiting=candidate.queue.waiting,
        prompt_tokens=candidate.prompt_tokens,
        evaluated_tokens=candidate.evaluated_tokens,
        backend=server,
    )
