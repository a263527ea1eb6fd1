"""Which backend each scene was last answered by, and what its table is told when that changes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bot.model.failures import sentence

if TYPE_CHECKING:
    from bot.errors import BackendError
    from bot.model.backend import Backend
    from bot.model.candidate import Candidate

_MOST_KEYS = 10_000
_Key = tuple[int, str | None]
"""A scene, and the model that was asked for: characters with models of their own have their own servers."""


@dataclass(frozen=True, slots=True)
class Switch:
    """A scene goes on with another backend. `text` is what to tell the table."""

    scene_key: int
    before: str
    after: str
    text: str


OnSwitch = Callable[[Switch], Awaitable[None]]


class Switches:
    """Remembers who answered, and tells of changes."""

    def __init__(self) -> None:
        self._subscribers: list[OnSwitch] = []
        self._last: dict[_Key, Candidate] = {}

    def subscribe(self, callback: OnSwitch) -> None:
        """Have `callback` told of every change."""
        self._subscribers.append(callback)

    async def note(
        self,
        key: _Key,
        candidate: Candidate,
        expected: Candidate,
        line: Sequence[Candidate],
        reasons: Mapping[Backend, BackendError],
    ) -> None:
        """Take note that `candidate` answers next, and tell if another did before.

        `expected` stands for the one before if there was none. `line` is the order of the servers, `reasons`
        are what some of them said lately.
        """
        before = self._last.pop(key, expected)
        self._last[key] = candidate
        if len(self._last) > _MOST_KEYS:
            del self._last[next(iter(self._last))]
        if before is candidate:
            return
        text = f"Going on with {candidate.server.name}."
        if reason := (before.error and before.cause) or reasons.get(before.server):
            text = f"{reason.args[0]} {text}"
        elif candidate in line and (before not in line or line.index(candidate) < line.index(before)):
            text = f"{sentence(candidate.server.name)} answers again. {text}"
        switch = Switch(key[0], before.server.name, candidate.server.name, text)
        for callback in self._subscribers:
            await callback(switch)

    def replace(self, old: Candidate, new: Candidate) -> None:
        """Let one backend be another from now on, without a word: the same server was started again."""
        self._last = {key: new if last is old else last for key, last in self._last.items()}
