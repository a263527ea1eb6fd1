"""What an answer is made of, noted while it is made, so that it can be told and replayed later."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from bot.errors import BackendError
from bot.prompt.replay import kept_head, prompt_sha256, shortened_lengths
from bot.store.answers import AnswerRecord

if TYPE_CHECKING:
    from random import Random

    from bot.chat import ChatRequest, Delta, Sampling, Usage
    from bot.clock import Clock
    from bot.model.backend import Backend
    from bot.scene.prompter import Prompt

SEED_BITS = 31  # what every server takes: some read a signed 32-bit number


def seeded(sampling: Sampling, rng: Random) -> Sampling:
    """Give the sampling with a seed of our own where none is set: without it an answer cannot be repeated."""
    return sampling if sampling.seed is not None else replace(sampling, seed=rng.getrandbits(SEED_BITS))


class Making:
    """One request on its way: made with it in hand, told when it is sent and what comes back."""

    def __init__(self, clock: Clock, backend: Backend, prompt: Prompt, request: ChatRequest) -> None:
        self._clock = clock
        self._backend = backend
        self._fingerprint = backend.fingerprint(prompt.model)
        self._prompt = prompt
        self._request = request
        self._asked_at = clock.now()
        self._sent = clock.monotonic()
        self._first: float | None = None
        self._model = request.model
        self.finish_reason: str | None = None
        self.usage: Usage | None = None

    async def sent(self) -> None:
        """Begin to measure: the server has a place for the request."""
        with contextlib.suppress(BackendError):  # if the server went away, the request itself will say so
            names = [model.name for model in await self._backend.models()]
            self._model = self._model if self._model in names else next(iter(names), self._model)
        self._sent = self._clock.monotonic()

    def came(self, delta: Delta) -> None:
        """Take note of a piece of the answer."""
        if delta.text and self._first is None:
            self._first = self._clock.monotonic()
        self.finish_reason = delta.finish_reason or self.finish_reason
        self.usage = delta.usage or self.usage

    def record(self) -> AnswerRecord:
        """Give what there is to remember, after the last piece."""
        prompt, usage = self._prompt, self.usage
        ended = self._clock.monotonic()
        return AnswerRecord(
            backend=self._backend.name,
            model=self._model,
            fingerprint=self._fingerprint,
            sampling=replace(self._request.sampling, max_tokens=None),
            stop=prompt.stop,
            max_tokens=prompt.max_tokens,
            prompt_sha256=prompt_sha256(self._backend.as_sent(prompt.messages, prompt.model)),
            head=kept_head(prompt.messages[0].content, prompt.aside),
            window=tuple(entry.seq for entry in prompt.entries),
            shortened=shortened_lengths(prompt.entries),
            asked_at=self._asked_at,
            context_length=prompt.context_length,
            prompt_tokens=usage.prompt_tokens if usage else prompt.tokens.tokens,
            exact=bool(usage) or prompt.tokens.exact,
            evaluated_tokens=usage.evaluated_tokens if usage else None,
            completion_tokens=usage.completion_tokens if usage else None,
            first_token_s=None if self._first is None else self._first - self._sent,
            seconds=ended - self._sent,
        )
