"""What stands on the screen: what still changes, in the order of the channel, and what can scroll away.

A message streams in by edits, so it stays in the live part until it has been left alone for a while. What
comes after it waits behind it, so that the scrollback reads as the channel does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

SETTLES = 2.5
"""Seconds without an edit after which a streamed message counts as finished."""

GIVES_UP = 90.0
"""Seconds after which a message that never got its text no longer holds up what comes after it."""

MOST_LIVE = 40
"""Entries in the live part; more push the oldest out."""

MOST_REMEMBERED = 1000
"""Messages whose later edits are told after they have scrolled away."""


@dataclass(slots=True)
class Entry:
    """One block on the screen. `moved` is its last change in seconds, `holds` how long it may change on."""

    speaker: str
    text: str
    moved: float
    holds: float = 0.0
    private: bool = False
    aside: bool = False
    """The terminal's own words, not something said at the table."""
    before: str | None = None
    """Its text when it scrolled away, for one that has changed since."""

    @property
    def shown(self) -> str:
        """What is to be shown of it: for one told before its new end, or the whole if it was rewritten."""
        if self.before is None:
            return self.text
        longer = self.text.startswith(self.before)
        return f"… {self.text[len(self.before) :].lstrip()}" if longer else f"(changed) {self.text}"

    def settled(self, now: float) -> bool:
        """Tell whether it is not expected to change any more."""
        return now - self.moved >= self.holds


class Feed:
    """The entries of the screen. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._live: dict[int, Entry] = {}
        self._scrolled: dict[int, str] = {}
        self._asides = 0

    @property
    def live(self) -> list[Entry]:
        """Everything that has not scrolled away, the oldest first."""
        return list(self._live.values())

    def aside(self, text: str, now: float, speaker: str = "") -> None:
        """Add a word of the terminal itself, or the echo of a command that `speaker` typed."""
        self._asides -= 1
        self._live[self._asides] = Entry(speaker, text, now, aside=True)

    def message(self, key: int, entry: Entry) -> None:
        """Add the message with that id, or change it."""
        known = self._live.get(key)
        if known is not None:
            known.text, known.moved, known.holds = entry.text, entry.moved, entry.holds
        elif entry.text != self._scrolled.get(key):
            entry.before = self._scrolled.get(key)
            self._live[key] = entry

    def remove(self, key: int) -> None:
        """Take a message away that was deleted, if it has not scrolled away."""
        self._live.pop(key, None)

    def settled(self, now: float) -> Iterator[Entry]:
        """Give what scrolls away now, in order, and forget it."""
        for key, entry in list(self._live.items()):
            if not entry.settled(now) and len(self._live) <= MOST_LIVE:
                return
            del self._live[key]
            if key > 0:
                self._scrolled[key] = entry.text
                if len(self._scrolled) > MOST_REMEMBERED:
                    del self._scrolled[next(iter(self._scrolled))]
            yield entry
