"""Under which face a message is posted, changed and taken back: a webhook's or the bot's own."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

import aiohttp
import discord

from bot.clock import Clock
from bot.scene.ports import Place, Speaker
from bot.stage.clean import shown_name
from bot.stage.refusals import UnreachableError, missing_permissions, reaching
from bot.stage.split import MESSAGE_LIMIT
from bot.stage.webhooks import Hook, Webhooks, own_name

REQUEST_TIMEOUT = 30.0
"""Seconds after which a webhook request that got no response counts as failed."""

RECENT = 50
"""Messages of a channel looked at for one that may have been posted."""

RECENT_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Posted:
    """A message that stands in a channel."""

    id: int
    text: str


class Voice(Protocol):
    """One face in one place. All methods raise UnreachableError and what Discord refuses."""

    room: int
    """Code points of text in one message."""

    idempotent: bool
    """Whether posting again under the same nonce cannot post twice."""

    async def post(self, text: str, nonce: str) -> Posted:
        """Post a message, or find the one that was posted under this nonce (25 characters at most)."""
        ...

    async def edit(self, message_id: int, text: str) -> None:
        """Replace a message's text."""
        ...

    async def delete(self, message_id: int) -> None:
        """Take a message back."""
        ...

    def spoke(self, message: discord.Message) -> bool:
        """Say whether the message was posted under this face."""
        ...

    def text_of(self, message: discord.Message) -> str:
        """Give the text that was posted, without what the face added."""
        ...


class OwnVoice:
    """The bot's own messages. A persona's name stands above what it says, in each of them."""

    idempotent = True

    def __init__(self, client: discord.Client, place: Place, name: str | None, *, quiet_links: bool) -> None:
        self._bot_id = client.user.id if client.user else 0
        self._channel = client.get_partial_messageable(place.channel_id, guild_id=place.guild_id)
        self._head = f"**{discord.utils.escape_markdown(name)}**\n" if name else ""
        self._quiet_links = quiet_links
        self.room = MESSAGE_LIMIT - len(self._head)

    async def post(self, text: str, nonce: str) -> Posted:
        """Post a message, or find the one that was posted under this nonce."""
        async with reaching():
            message = await self._channel.send(
                self._head + text,
                nonce=nonce,
                allowed_mentions=discord.AllowedMentions.none(),
                suppress_embeds=self._quiet_links,
            )
        return Posted(message.id, self.text_of(message))

    async def edit(self, message_id: int, text: str) -> None:
        """Replace a message's text."""
        message = self._channel.get_partial_message(message_id)
        async with reaching():
            await message.edit(content=self._head + text, allowed_mentions=discord.AllowedMentions.none())

    async def delete(self, message_id: int) -> None:
        """Take a message back."""
        async with reaching():
            await self._channel.get_partial_message(message_id).delete()

    def spoke(self, message: discord.Message) -> bool:
        """Say whether the message was posted under this face."""
        own = message.author.id == self._bot_id and message.webhook_id is None
        return own and message.content.startswith(self._head)

    def text_of(self, message: discord.Message) -> str:
        """Give the text that was posted, without the name above it."""
        return message.content.removeprefix(self._head)


class WebhookVoice:
    """A webhook's messages, under a persona's name."""

    idempotent = False
    room = MESSAGE_LIMIT

    def __init__(
        self, session: aiohttp.ClientSession, place: Place, hook: Hook, speaker: Speaker, *, quiet_links: bool
    ) -> None:
        self._webhook = discord.Webhook.partial(hook.id, hook.token, session=session)
        self._name = shown_name(speaker.name)
        wears_own = hook.name == own_name(speaker)
        self._avatar_url = discord.utils.MISSING if wears_own else speaker.avatar_url or discord.utils.MISSING
        self._thread = discord.Object(place.channel_id) if place.parent_id else discord.utils.MISSING
        self._quiet_links = quiet_links

    async def post(self, text: str, nonce: str) -> Posted:  # noqa: ARG002  webhooks know no nonce
        """Post a message."""
        async with reaching():
            message = await self._webhook.send(
                text,
                username=self._name,
                avatar_url=self._avatar_url,
                allowed_mentions=discord.AllowedMentions.none(),
                suppress_embeds=self._quiet_links,
                thread=self._thread,
                wait=True,
            )
        return Posted(message.id, message.content)

    async def edit(self, message_id: int, text: str) -> None:
        """Replace a message's text."""
        async with reaching():
            await self._webhook.edit_message(
                message_id, content=text, allowed_mentions=discord.AllowedMentions.none(), thread=self._thread
            )

    async def delete(self, message_id: int) -> None:
        """Take a message back."""
        async with reaching():
            await self._webhook.delete_message(message_id, thread=self._thread)

    def spoke(self, message: discord.Message) -> bool:
        """Say whether the message was posted under this face."""
        return message.webhook_id == self._webhook.id and _same_name(message.author.name, self._name)

    def text_of(self, message: discord.Message) -> str:
        """Give the text that was posted."""
        return message.content


class Voices:
    """The voices of all places."""

    def __init__(self, client: discord.Client, clock: Clock, *, quiet_links: bool) -> None:
        self._client = client
        self._clock = clock
        self._quiet_links = quiet_links
        self._webhooks = Webhooks(client, clock)
        self._session: aiohttp.ClientSession | None = None
        self._heard: deque[int] = deque(maxlen=1000)

    async def of(self, place: Place, speaker: Speaker) -> Voice:
        """Give the voice in which `speaker` speaks there. Raises UnreachableError."""
        hook = await self._webhooks.of(place, speaker)
        return self.own(place, speaker) if hook is None else self._of_hook(place, hook, speaker)

    def own(self, place: Place, speaker: Speaker | None = None) -> Voice:
        """Give the bot's own voice, speaking for itself or for a persona."""
        name = shown_name(speaker.name) if speaker else None
        return OwnVoice(self._client, place, name, quiet_links=self._quiet_links and speaker is not None)

    async def of_message(self, place: Place, message_id: int, speaker: Speaker) -> Voice | None:
        """Give the voice that can change a message of ours, None if nothing can. Raises UnreachableError."""
        try:
            async with reaching():
                message = await self._channel(place).fetch_message(message_id)
        except discord.Forbidden:
            return await self.of(place, speaker)
        except discord.NotFound:
            return None
        if message.webhook_id is None:
            return self.own(place, speaker)
        hook = await self._webhooks.by_id(place, message.webhook_id)
        return None if hook is None else self._of_hook(place, hook, speaker)

    def lost(self, place: Place) -> None:
        """Note that a webhook there is gone."""
        self._webhooks.forget(place)

    def heard(self, message_id: int) -> None:
        """Note a message that is known to stand, so that it is never taken for another one."""
        self._heard.append(message_id)

    async def find(self, place: Place, voice: Voice, text: str, known: Collection[int]) -> int | None:
        """Find the message that a post without a response may have left behind.

        Gives None too where the bot may not read. Raises UnreachableError.
        """
        since = self._clock.now() - RECENT_SECONDS
        taken = {*known, *self._heard}
        for message in await self._history(place, limit=RECENT):
            if (
                message.id not in taken
                and message.created_at.timestamp() >= since
                and voice.spoke(message)
                and voice.text_of(message).strip() == text.strip()
            ):
                return message.id
        return None

    async def under_name(self, place: Place, speaker: Speaker, *, after: int, limit: int) -> list[int]:
        """Give our messages under that speaker's name later than message `after`, oldest first.

        Looks at no more than `limit` messages. Raises UnreachableError.
        """
        name, own = shown_name(speaker.name), self.own(place, speaker)
        found = []
        for message in await self._history(place, limit=limit, after=after):
            if message.webhook_id is None:
                ours = own.spoke(message)
            else:
                ours = _same_name(message.author.name, name) and await self._is_our_webhook(place, message)
            if ours:
                found.append(message.id)
        return found

    def missing(self, place: Place) -> tuple[str, ...]:
        """Name the permissions that the bot is known to lack to speak there."""
        return missing_permissions(self._client, place)

    async def remove(self, place: Place, speakers: tuple[Speaker, ...]) -> None:
        """Remove the webhooks that carried these speakers there."""
        await self._webhooks.remove(place, speakers)

    async def close(self) -> None:
        """Let the connections go."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _is_our_webhook(self, place: Place, message: discord.Message) -> bool:
        if message.application_id is not None:
            return message.application_id == self._client.application_id
        return (
            message.webhook_id is not None
            and await self._webhooks.by_id(place, message.webhook_id) is not None
        )

    async def _history(self, place: Place, *, limit: int, after: int | None = None) -> list[discord.Message]:
        start = discord.Object(after) if after is not None else None
        try:
            async with reaching():
                return [message async for message in self._channel(place).history(limit=limit, after=start)]
        except (discord.Forbidden, discord.NotFound):
            return []

    def _channel(self, place: Place) -> discord.PartialMessageable:
        return self._client.get_partial_messageable(place.channel_id, guild_id=place.guild_id)

    def _of_hook(self, place: Place, hook: Hook, speaker: Speaker) -> Voice:
        if self._session is None:
            self._session = _session(self._client)
        return WebhookVoice(self._session, place, hook, speaker, quiet_links=self._quiet_links)


def _same_name(first: str, second: str) -> bool:
    """Compare names as Discord gives them back: it may have put plain spaces for others."""
    return first.split() == second.split()


def _session(client: discord.Client) -> aiohttp.ClientSession:
    """Open a session on the client's own connections for webhook requests.

    discord.py sends a webhook request again after a server error or a reset connection, which would post
    twice what was posted: here both surface, and who posts looks first.
    """
    return aiohttp.ClientSession(
        connector=client.http.connector,
        connector_owner=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT),
        middlewares=(_once,),
    )


async def _once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    try:
        response = await handler(request)
    except OSError as error:
        raise UnreachableError(str(error)) from error
    if response.status >= 500:
        response.release()
        raise UnreachableError(f"Discord answered {response.status} {response.reason}")
    return response
