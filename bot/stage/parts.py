"""The messages of one answer, and how they come to show its text."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import discord

from bot.scene.ports import OnPosted, Place, Speaker
from bot.stage.refusals import (
    MESSAGE_GONE,
    NOT_THE_AUTHOR,
    TOO_MANY_EDITS,
    StageError,
    UnreachableError,
    refused,
    webhook_is_gone,
)
from bot.stage.voices import Posted, Voice, Voices

_log = logging.getLogger(__name__)

Change = Literal["post", "edit", "delete"]


def nonce(key: str, part: int, kind: str) -> str:
    """Give the nonce of one message: the same for the same message, 25 characters as Discord allows."""
    return hashlib.sha256(f"{kind}\0{part}\0{key}".encode()).hexdigest()[:25]


@dataclass(slots=True)
class _Part:
    """A message that stands. `text` and `voice` are None until an interrupted run's message is looked at."""

    id: int
    text: str | None = None
    voice: Voice | None = None


class Parts:
    """The messages of one answer in the channel, oldest first.

    Methods that write raise UnreachableError (try again), StageError (refused for good) and whatever
    `on_posted` raises.
    """

    def __init__(
        self,
        voices: Voices,
        place: Place,
        speaker: Speaker,
        *,
        key: str,
        posted: Sequence[int],
        on_posted: OnPosted,
    ) -> None:
        self._voices = voices
        self._place = place
        self._speaker = speaker
        self._key = key
        self._on_posted = on_posted
        self._standing = [_Part(message_id) for message_id in posted]
        self._voice: Voice | None = None
        self._attempted: tuple[Voice, str] | None = None
        self._changed_voice = False
        self._started_anew = False

    @property
    def ids(self) -> tuple[int, ...]:
        """The messages' ids."""
        return tuple(part.id for part in self._standing)

    async def voice(self) -> Voice:
        """Give the voice in which the next message will be posted."""
        if self._voice is None:
            self._voice = await self._voices.of(self._place, self._speaker)
        return self._voice

    def next_change(self, texts: Sequence[str], *, final: bool) -> Change | None:
        """Say what is to be done next so that the messages show `texts`, one each. None: nothing."""
        for part, text in zip(self._standing, texts, strict=False):
            if part.text != text:
                return "edit"
        if len(self._standing) < len(texts):
            return "post"
        return "delete" if final and len(self._standing) > len(texts) else None

    async def apply(self, texts: Sequence[str], *, final: bool) -> None:
        """Make that one change."""
        try:
            match self.next_change(texts, final=final):
                case "post":
                    await self._post(texts[len(self._standing)])
                case "edit":
                    await self._edit(texts)
                case "delete":
                    await self._delete_last()
        except discord.HTTPException as error:
            raise refused(error, self._place, self._voices.missing(self._place)) from error

    async def clear(self) -> None:
        """Take all messages back."""
        while self._standing:
            await self.apply((), final=True)

    async def _post(self, text: str) -> None:
        if await self._posted_before():
            return
        voice = await self.voice()
        try:
            posted = await voice.post(text, nonce(self._key, len(self._standing), self._kind()))
        except UnreachableError:
            if not voice.idempotent:
                self._attempted = (voice, text)
            raise
        except discord.HTTPException as error:
            if voice.idempotent or error.status == 429:
                raise
            await self._change_voice(error)  # in which the text may have to be cut differently
        else:
            await self._stands(posted)

    async def _posted_before(self) -> bool:
        """Look for what a post without a response may have left behind."""
        if self._attempted is None:
            return False
        voice, text = self._attempted
        found = await self._voices.find(self._place, voice, text, self.ids)
        self._attempted = None
        if found is None:
            return False
        self._voice = voice
        await self._stands(Posted(found, text))
        return True

    async def _change_voice(self, error: discord.HTTPException) -> None:
        """Find a new webhook for one that is gone, once; speak as the bot where Discord refuses webhooks."""
        if webhook_is_gone(error) and not self._changed_voice:
            self._voices.lost(self._place)
            self._voice = None
        else:
            _log.warning("%s speaks in the bot's own messages: %s", self._speaker.slug, error.text)
            self._voice = self._voices.own(self._place, self._speaker)
        self._changed_voice = True

    async def _stands(self, posted: Posted) -> None:
        self._standing.append(_Part(posted.id, posted.text, self._voice))
        self._voices.heard(posted.id)
        await self._on_posted(posted.id)

    def _kind(self) -> str:
        return "again" if self._started_anew else "answer"

    async def _edit(self, texts: Sequence[str]) -> None:
        index, part = next(
            (index, part) for index, part in enumerate(self._standing) if part.text != texts[index]
        )
        voice = await self._voice_of(part)
        if voice is None:
            await self._begin_anew(index)
            return
        try:
            await voice.edit(part.id, texts[index])
            part.text = texts[index]
        except discord.HTTPException as error:
            if not _is_lost(error):
                raise
            if webhook_is_gone(error):
                self._voices.lost(self._place)
                self._voice = None
            await self._begin_anew(index)

    async def _voice_of(self, part: _Part) -> Voice | None:
        if part.voice is None:
            part.voice = await self._voices.of_message(self._place, part.id, self._speaker)
        return part.voice

    async def _begin_anew(self, index: int) -> None:
        """Post anew from message `index` on, once, because it can no longer be changed."""
        if self._started_anew:
            raise StageError(
                f"What {self._speaker.name} says in <#{self._place.channel_id}> is deleted while written.",
                hint="Check what moderates that channel.",
            )
        while len(self._standing) > index:
            await self._delete_last()
        self._started_anew = True

    async def _delete_last(self) -> None:
        part = self._standing[-1]
        voice = await self._voice_of(part)
        if voice is not None:
            try:
                await voice.delete(part.id)
            except discord.HTTPException as error:
                if not _is_lost(error):
                    raise
        self._standing.remove(part)


def _is_lost(error: discord.HTTPException) -> bool:
    """Say whether the message can never be changed again."""
    return error.code in {MESSAGE_GONE, TOO_MANY_EDITS, NOT_THE_AUTHOR} or webhook_is_gone(error)
