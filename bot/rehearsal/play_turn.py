"""When a turn is over, told from what a player sees on Discord: typing, messages, edits.

Discord has no sign for "that was all". What there is: the bot types the moment a turn begins and before each
answer, and again every five seconds until the last answer is complete; while an answer streams it is edited;
a failed turn ends with a notice. So a turn is over
- if nothing moves for `begins` seconds after a line: it gets no answer (out of character, no scene);
- if typing came last: when no trigger has followed for `typing` seconds, more than the bot's own interval;
- if text came last: after twice the longest pause between two texts, or as long as the first one took,
  within `settles` and `typing`: a quick model is not waited for long and a slow one not cut short.
The trigger at the very beginning can be overtaken by a quick answer, and then promises nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

FAILED = "⚠"
"""What the bot's own message starts with when it could not do what was asked."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for what, in seconds."""

    begins: float = 1.5
    settles: float = 2.0
    typing: float = 6.5
    turn: float = 120.0


class Turn:
    """One line typed by a player and what follows from it. Times are monotonic seconds."""

    def __init__(self, began: float, patience: Patience) -> None:
        self._patience = patience
        self._bound = began + patience.turn
        self._began = began
        self._typed: float | None = None  # the last trigger, if no text has followed it
        self._untyped = True
        self._silent_since: float | None = None
        self._slowness = 0.0
        self._waits = False
        self.spoke = False

    def waits_for_answer(self, at: float, *, waits: bool) -> None:
        """Note that a command was sent and its answer is due, or that the answer has come."""
        self._waits = waits
        self._began = max(self._began, at)

    def typing(self, at: float) -> None:
        """Note a typing trigger of the bot."""
        overtaken = self._untyped and self.spoke
        self._untyped = False
        if self._silent_since is None:
            self._silent_since = at
        if not overtaken:
            self._typed = at

    def text(self, at: float) -> None:
        """Note a message of the bot, or an edit of one."""
        if self._silent_since is not None:
            pauses = 2 if self.spoke else 1
            self._slowness = max(self._slowness, pauses * (at - self._silent_since))
        self.spoke = True
        self._silent_since = at
        self._typed = None

    def over_at(self) -> float:
        """Give the time at which the turn is over if nothing more happens, at the latest its bound."""
        if self._waits:
            return self._bound
        return min(self._bound, max(self._began + self._patience.begins, self._quiet_from()))

    def expired(self, now: float) -> bool:
        """Tell whether the turn has run into its bound."""
        return now >= self._bound

    def silent(self) -> bool:
        """Tell whether the bot began to type and never said anything."""
        return self._typed is not None and not self.spoke

    def _quiet_from(self) -> float:
        if self._typed is not None:
            return self._typed + self._patience.typing
        if self._silent_since is None:
            return self._began
        return self._silent_since + min(max(self._slowness, self._patience.settles), self._patience.typing)
