"""Discord as the stage of a scene."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import discord

from bot.clock import Clock
from bot.scene.ports import OnPosted, Place, Speaker
from bot.stage.alone import PrivateUtterance
from bot.stage.clean import Cleaner
from bot.stage.pace import Pace
from bot.stage.parts import Parts, nonce
from bot.stage.refusals import UnreachableError, reaching, refused, unreachable
from bot.stage.split import split
from bot.stage.utterance import StreamedUtterance
from bot.stage.voices import Voices

_log = logging.getLogger(__name__)

TYPING_INTERVAL = 5.0
"""Seconds between two typing signals. Discord shows one for ten."""

TYPING_AFTER = 0.05
"""Seconds before the first of them: the model is asked first, and a quick answer needs no signal."""

NOTICE_ATTEMPTS = 4

CLOSING_PATIENCE = 5.0
"""Seconds that requests under way are given when the stage closes."""

ORPHAN_SEARCH = 500
"""Messages looked at for what an interrupted run left behind."""


class DiscordStage:
    """Shows scenes in Discord's channels and threads. Implements `bot.scene.ports.Stage`.

    `allowed_link_domains` are the web domains whose addresses stand clickable in answers. To be made and
    used within one event loop, by a client that has logged in; `close` it before the client.
    """

    def __init__(
        self, client: discord.Client, clock: Clock, allowed_link_domains: Sequence[str] = ()
    ) -> None:
        self._client = client
        self._clock = clock
        self._cleaner = Cleaner(tuple(allowed_link_domains))
        self._voices = Voices(client, clock, quiet_links=not allowed_link_domains)
        self._pace = Pace(clock)
        self._typing: set[asyncio.Task[None]] = set()
        self._speaking: dict[asyncio.Task[None], StreamedUtterance] = {}

    def speak(
        self, place: Place, speaker: Speaker, *, key: str, posted: Sequence[int], on_posted: OnPosted
    ) -> StreamedUtterance:
        """Begin an answer. Nothing is sent before it is written to."""
        parts = Parts(self._voices, place, speaker, key=key, posted=posted, on_posted=on_posted)

        utterance = StreamedUtterance(
            parts,
            place,
            clock=self._clock,
            lane=self._pace.lane(place.channel_id),
            cleaner=self._cleaner,
            started=lambda task: self._keep(task, utterance),
        )
        return utterance

    def confide(self, speaker: Speaker, token: str) -> PrivateUtterance:
        """Begin an answer that only the member sees whose command had this `token`."""
        return PrivateUtterance(self._client, self._clock, self._cleaner, speaker, token)

    async def notice(self, place: Place, text: str, *, key: str | None = None) -> int | None:
        """Say something as the bot itself, in several messages if it is long; gives the first one's id.

        None where the bot may not write. Raises StageError if Discord does not answer or refuses the text.
        With the same `key` it is not said again within a few minutes.
        """
        voice, key = self._voices.own(place), key or secrets.token_hex(8)
        first: int | None = None
        for part, message in enumerate(split(text)):
            for attempt in range(NOTICE_ATTEMPTS):
                try:
                    posted = await voice.post(message, nonce(key, part, "notice"))
                except UnreachableError as error:
                    if attempt == NOTICE_ATTEMPTS - 1:
                        raise unreachable(place) from error
                    await self._clock.sleep(2.0**attempt)
                except (discord.Forbidden, discord.NotFound) as error:
                    _log.warning(
                        "A notice could not be posted in channel %d: %s", place.channel_id, error.text
                    )
                    return first
                except discord.HTTPException as error:
                    raise refused(error, place) from error
                else:
                    first = first or posted.id
                    break
        return first

    @asynccontextmanager
    async def thinking(self, place: Place) -> AsyncIterator[None]:
        """Show the typing signal while the context is open. Entering waits for nothing; no failure shows."""
        typing = asyncio.create_task(self._type(place))
        self._typing.add(typing)
        typing.add_done_callback(self._typing.discard)
        try:
            yield
        finally:
            typing.cancel()

    async def orphans(self, place: Place, speaker: Speaker, *, after: int, known: Sequence[int]) -> list[int]:
        """Find messages of ours under that speaker's name, later than message `after` and not in `known`.

        Empty where the bot may not read the channel's history. Raises StageError if Discord does not answer.
        """
        try:
            found = await self._voices.under_name(place, speaker, after=after, limit=ORPHAN_SEARCH)
        except UnreachableError as error:
            raise unreachable(place) from error
        return [message_id for message_id in found if message_id not in known]

    async def leave(self, place: Place, speakers: Sequence[Speaker]) -> None:
        """Remove the webhooks that carried these speakers there. Failures are logged, not raised."""
        await self._voices.remove(place, tuple(speakers))

    async def close(self) -> None:
        """Call off what is being said, let requests under way end, and let the connections go."""
        for typing in list(self._typing):
            typing.cancel()
        for utterance in self._speaking.values():
            utterance.call_off()
        if self._speaking:
            _, late = await asyncio.wait(self._speaking, timeout=CLOSING_PATIENCE)
            for task in late:
                _log.warning(
                    "A message was being posted when the bot stopped: whether it stands is not known."
                )
                task.cancel()
        await self._voices.close()

    async def _type(self, place: Place) -> None:
        await asyncio.sleep(TYPING_AFTER)
        with contextlib.suppress(UnreachableError, discord.HTTPException):
            while True:
                async with reaching():
                    await self._client.http.send_typing(place.channel_id)
                await self._clock.sleep(TYPING_INTERVAL)

    def _keep(self, task: asyncio.Task[None], utterance: StreamedUtterance) -> None:
        self._speaking[task] = utterance
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Let go of a task. Its failure surfaces where the utterance is ended."""
        del self._speaking[task]
        if not task.cancelled():
            task.exception()
