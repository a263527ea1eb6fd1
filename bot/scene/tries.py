"""How often one answer is asked for, and of whom, before the turn fails visibly."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from bot.errors import (
    BackendError,
    BackendLoadingError,
    BackendUnavailableError,
    ModelRefusedError,
    PromptTooLongError,
)
from bot.model.backends import LOADING_S

if TYPE_CHECKING:
    from bot.clock import Clock
    from bot.model.backend import Backend

ON_ONE = 3
"""The first time, once after a cut or a broken connection, and once after an answer without words."""
IN_ALL = 6
"""Every failure sends an answer on, and there may be many servers."""


class Tries:
    """Keeps count for one answer.

    `error` is what went wrong last, None for an answer without words; `tight` says that a prompt was refused
    for its length, `avoid` which servers refused for what, `leaked` that an answer gave a secret away.
    """

    def __init__(self, clock: Clock) -> None:
        self.error: BackendError | None = None
        self.tight = False
        self.leaked = False
        self.avoid: dict[Backend, BackendError] = {}
        self._clock = clock
        self._until = clock.monotonic() + LOADING_S
        self._backend: Backend | None = None
        self._counts: Counter[Backend | None] = Counter()

    @property
    def left(self) -> bool:
        """Whether there is another one."""
        return self._counts.total() < IN_ALL and max(self._counts.values(), default=0) < ON_ONE

    def begin(self) -> None:
        """Begin one: it is not known yet who will answer."""
        self._backend = None

    def asks(self, backend: Backend) -> None:
        """Take note who is asked."""
        self._backend = backend

    def failed(self, error: BackendError | None) -> None:
        """Take note of what came of it: an error, or not a word."""
        self.error = error
        if isinstance(error, BackendLoadingError) and self._clock.monotonic() < self._until:
            return  # it is waited for, which takes no tries
        self._counts[self._backend] += 1
        self.tight = isinstance(error, PromptTooLongError)
        passing = BackendUnavailableError | PromptTooLongError | ModelRefusedError
        if error and self._backend and not isinstance(error, passing):
            self.avoid[self._backend] = error
