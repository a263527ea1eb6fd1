"""What happened at the table, in order, for whoever watches: the terminal and the tests."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from bot.rehearsal.waiting import Waker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from bot.rehearsal.guilds import Channel, Thread
    from bot.rehearsal.interactions import Interaction
    from bot.rehearsal.messages import Message
    from bot.rehearsal.people import User


@dataclass(slots=True, kw_only=True, eq=False)
class Event:
    """Something a person in the channel would notice. `at` is the Unix time in seconds."""

    channel: Channel
    number: int = 0
    at: float = 0.0


@dataclass(slots=True, kw_only=True, eq=False)
class MessageCreated(Event):
    """A message appeared. `content` is its text then; `message` changes with later edits."""

    message: Message
    content: str = ""


@dataclass(slots=True, kw_only=True, eq=False)
class MessageEdited(Event):
    """A message changed; also when a deferred answer arrives. `content` is its text after this edit."""

    message: Message
    content: str = ""


@dataclass(slots=True, kw_only=True, eq=False)
class MessageDeleted(Event):
    """A message went away."""

    message: Message


@dataclass(slots=True, kw_only=True, eq=False)
class ReactionChanged(Event):
    """Somebody put a reaction on a message or took one off."""

    message: Message
    user: User
    emoji: str
    added: bool


@dataclass(slots=True, kw_only=True, eq=False)
class TypingStarted(Event):
    """Somebody is typing, for ten seconds from now or until their message."""

    user: User


@dataclass(slots=True, kw_only=True, eq=False)
class InteractionDeferred(Event):
    """A bot said that its answer will come ("is thinking")."""

    interaction: Interaction


@dataclass(slots=True, kw_only=True, eq=False)
class InteractionAnswered(Event):
    """A bot answered a command, button, select or modal; `interaction.modal` may be what it answered with."""

    interaction: Interaction
    message: Message | None = None


@dataclass(slots=True, kw_only=True, eq=False)
class InteractionFailed(Event):
    """A bot let three seconds pass: its user reads "The application did not respond"."""

    interaction: Interaction


@dataclass(slots=True, kw_only=True, eq=False)
class ThreadCreated(Event):
    """A thread was opened under `channel`."""

    thread: Thread


@dataclass(slots=True, kw_only=True, eq=False)
class ThreadUpdated(Event):
    """A thread was renamed, archived, locked or opened again."""

    thread: Thread


@dataclass(slots=True)
class Journal:
    """The latest events, numbered from 1, and a way to wait for more.

    Keeps `kept` events; a watcher that falls further behind is told so.
    """

    kept: int = 20_000
    last: int = 0
    _events: deque[Event] = field(default_factory=deque)
    _woken: Waker = field(default_factory=Waker)

    def append(self, event: Event, at: float) -> int:
        """Add an event, wake the watchers, and give its number."""
        self.last += 1
        event.number = self.last
        event.at = at
        self._events.append(event)
        if len(self._events) > self.kept:
            self._events.popleft()
        self._woken.notify()
        return self.last

    async def after(self, number: int) -> AsyncIterator[Event]:
        """Give every event after that number, first those that happened, then those to come, for ever."""
        while True:
            while number < self.last:
                first = self._events[0].number
                if number + 1 < first:
                    raise LookupError(f"Events up to {first - 1} are gone; only {self.kept} are kept.")
                event = self._events[number + 1 - first]
                number = event.number
                yield event
            await self._woken.until(partial(self._has_more, number))

    def _has_more(self, number: int) -> bool:
        return self.last > number

    def since(self, number: int) -> list[Event]:
        """Give the kept events after that number."""
        return [event for event in self._events if event.number > number]

    async def first(self, holds: Callable[[Event], bool], since: int) -> Event:
        """Wait for the first event after `since` for which `holds` is true."""
        async for event in self.after(since):
            if holds(event):
                return event
        raise AssertionError  # pragma: no cover  `after` never ends
