"""What a scene needs from the surface it plays on. `bot/stage/` is the one that Discord sees."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from bot.persona.persona import Persona


@dataclass(frozen=True, slots=True)
class Place:
    """Where a scene plays: a channel, or a thread of `parent_id`. `guild_id` is None in direct messages."""

    guild_id: int | None
    channel_id: int
    parent_id: int | None = None


@dataclass(frozen=True, slots=True)
class Speaker:
    """The face of a persona: its slug, its name, and a local picture or the address of one."""

    slug: str
    name: str
    avatar: Path | None = None
    avatar_url: str | None = None

    @classmethod
    def of(cls, persona: Persona) -> Self:
        """Give the face of a persona."""
        return cls(persona.slug, persona.name, persona.avatar, persona.avatar_url)


OnPosted = Callable[[int], Awaitable[None]]
"""Told the id of each message as soon as it stands in the channel, before more text is written to it."""


class Utterance(Protocol):
    """One answer of one persona as it appears, streamed."""

    def write(self, text: str) -> None:
        """Show `text`, the whole answer so far. Returns at once; what a newer text overtakes is not sent."""
        ...

    async def finish(self, text: str) -> tuple[int, ...]:
        """Show the whole answer, which may be shorter than what was written; give its messages' ids.

        Raises StageError if it cannot be shown.
        """
        ...

    async def halt(self) -> None:
        """Show nothing more. What was shown stays, and what is on its way has come when this returns."""
        ...

    async def retract(self) -> None:
        """Take back what was shown, because the answer was called off."""
        ...


class Stage(Protocol):
    """The surface."""

    def speak(
        self, place: Place, speaker: Speaker, *, key: str, posted: Sequence[int], on_posted: OnPosted
    ) -> Utterance:
        """Begin an answer.

        `key` is the same for the same answer after a restart (it makes nonces);
        `posted` are messages that an interrupted run already showed for it: they are written over.
        """
        ...

    def confide(self, speaker: Speaker, token: str) -> Utterance:
        """Begin an answer that only the member sees whose command had this `token`."""
        ...

    async def notice(self, place: Place, text: str, *, key: str | None = None) -> int | None:
        """Say something as the bot itself. Gives the message's id, or None where the bot may not write."""
        ...

    def thinking(self, place: Place) -> AbstractAsyncContextManager[None]:
        """Show that an answer is on its way, for as long as the context is open."""
        ...

    async def orphans(self, place: Place, speaker: Speaker, *, after: int, known: Sequence[int]) -> list[int]:
        """Find messages of ours under that speaker's name, later than message `after`, not in `known`.

        An interrupted run posted them and had no time to write it down.
        """
        ...

    async def leave(self, place: Place, speakers: Sequence[Speaker]) -> None:
        """Clear what was set up for these speakers there (webhooks), because the scene has ended."""
        ...
