"""What members write, change, delete and type, carried from Discord to the table."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import aiohttp
import discord
import structlog
from discord.ext import commands

from bot.invite import invite_link
from bot.scene.absence import Absence, ChannelMessage
from bot.scene.reports import backend_line
from bot.scene.table import Said

if TYPE_CHECKING:
    from bot.client import Hearthside
    from bot.model.backends import Backends
    from bot.scene.scene import Scene
    from bot.scene.table import Table

# For how many scenes at once what was missed is read in.
CHANNELS_AT_ONCE = 5

# How long what comes in waits for what was missed before it, in seconds.
LONGEST_HOLD = 30.0

# Discord's code for a message that is not there (or not any more); 10003 would be the channel's.
UNKNOWN_MESSAGE = 10008

# How Discord can fail to say what was missed: it refuses, or the line breaks.
UNREADABLE = (discord.HTTPException, aiohttp.ClientError, OSError, TimeoutError)

NO_SCENE = "Nobody is playing here. `/scene start` opens a scene; `/help` shows the rest."


@dataclass(slots=True)
class Behind:
    """A channel whose scene has yet to be told what it missed; `held` is the first message since then."""

    caught_up: asyncio.Event = field(default_factory=asyncio.Event)
    held: int | None = None


class Listening(commands.Cog):
    """Listens in every channel that has a scene, and reads in what was said while the bot was away."""

    def __init__(self, client: Hearthside, table: Table, backends: Backends) -> None:
        self._client = client
        self._table = table
        self._backends = backends
        self._absence = Absence(table)
        self._log = structlog.get_logger("hearthside")
        self._arrived = False
        self._catching_up: set[asyncio.Task[None]] = set()
        self._behind: dict[int, Behind] = {}  # by channel

    async def cog_unload(self) -> None:
        """Stop making up for what was missed, before the line to Discord is taken away from under it."""
        for task in self._catching_up:
            task.cancel()
        await asyncio.gather(*self._catching_up, return_exceptions=True)

    @commands.Cog.listener()
    async def on_connect(self) -> None:
        """Note how far was heard: messages of a new session may come before it is ready."""
        for scene in self._table.scenes():
            self._behind.setdefault(scene.place.channel_id, Behind())
        await self._absence.begin()

    @commands.Cog.listener()
    async def on_ready(self) -> None:
        """Say hello in the log once, and read in what was missed: a new session never replays it."""
        if not self._arrived:
            self._arrived = True
            self._log.info("ready", user=str(self._client.user), servers=len(self._client.guilds))
            if self._client.application_id:
                self._log.info(f"Invite: {invite_link(self._client.application_id)}")
            self._client.soon(self._report_backend())
        await self.catch_up(self._table.scenes())

    @commands.Cog.listener()
    async def on_resumed(self) -> None:
        """Try again where it could not be read what was missed; what came since, Discord has sent again."""
        await self.catch_up([scene for scene in self._table.scenes() if self._absence.is_owed(scene)])

    async def _report_backend(self) -> None:
        for status in await self._backends.status():
            self._log.info(backend_line(status))
        await self._backends.warm()

    async def catch_up(self, scenes: Sequence[Scene]) -> None:
        """Make up for what was said, changed and deleted in these scenes' channels meanwhile."""
        gate = asyncio.Semaphore(CHANNELS_AT_ONCE)

        async def one(scene: Scene) -> None:
            async with gate:
                await self._catch_up(scene)
            if behind := self._behind.pop(scene.place.channel_id, None):
                behind.caught_up.set()
            self._table.wake(scene)

        async def all_of_them() -> None:
            await asyncio.gather(*map(one, scenes))

        task = asyncio.create_task(all_of_them(), name="catching up")
        self._catching_up.add(task)
        task.add_done_callback(self._catching_up.discard)
        await task

    async def _catch_up(self, scene: Scene) -> None:
        place = scene.place
        channel = self._client.get_partial_messageable(place.channel_id, guild_id=place.guild_id)
        behind = self._behind.get(place.channel_id)
        held = behind.held if behind else None
        try:
            await self._absence.make_up(scene, ChannelHistory(channel, partial(self._read, held=held)))
        except UNREADABLE as error:
            self._log.warning("history_unreadable", channel=place.channel_id, error=str(error))

    async def _in_turn(self, channel_id: int, message_id: int | None = None) -> None:
        """Wait until a channel's scene was told what it missed: what comes in now came after that."""
        if behind := self._behind.get(channel_id):
            behind.held = behind.held or message_id
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LONGEST_HOLD):
                    await behind.caught_up.wait()

    def _read(self, message: discord.Message, held: int | None) -> ChannelMessage:
        """Tell what stands in a channel. From what is held on, events know more than the history."""
        is_held = held is not None and message.id >= held
        if is_held or not _is_a_members(message) or self._is_hidden(message):
            return ChannelMessage(message.id)
        edited_at = message.edited_at.timestamp() if message.edited_at else None
        return ChannelMessage(message.id, self._said(message), edited_at)

    @commands.Cog.listener()
    async def on_message(self, message: discord.Message) -> None:
        """Carry a member's message to its scene."""
        if not _is_a_members(message):
            return
        if self._table.scene_in(message.channel.id) is None:
            if self._is_meant(message):
                await message.channel.send(NO_SCENE, allowed_mentions=discord.AllowedMentions.none())
            return
        await self._in_turn(message.channel.id, message.id)
        await self._table.hear(self._said(message))

    def _said(self, message: discord.Message) -> Said:
        return Said(
            message_id=message.id,
            channel_id=message.channel.id,
            author_id=message.author.id,
            author_name=message.author.display_name,
            text=message.content,
            created_at=message.created_at.timestamp(),
            mentions_bot=self._is_meant(message),
            reply_to=message.reference.message_id if message.reference else None,
            names=_names(message),
        )

    def _is_hidden(self, message: discord.Message) -> bool:
        """Tell whether a message may say more than we are told, who may not read what members write."""
        return not message.content and not self._client.listens

    def _is_meant(self, message: discord.Message) -> bool:
        return (
            any(member.id == self._client.user.id for member in message.mentions)
            if self._client.user
            else False
        )

    @commands.Cog.listener()
    async def on_raw_message_edit(self, event: discord.RawMessageUpdateEvent) -> None:
        """Carry a changed message to its scene. Discord also sends this for link previews."""
        message = event.message
        if not (message.author.bot or message.webhook_id or self._is_hidden(message)):
            await self._in_turn(event.channel_id)
            await self._table.edited(event.channel_id, event.message_id, message.content, _names(message))

    @commands.Cog.listener()
    async def on_raw_message_delete(self, event: discord.RawMessageDeleteEvent) -> None:
        """Carry a deletion to its scene."""
        await self._in_turn(event.channel_id)
        await self._table.deleted(event.channel_id, event.message_id)

    @commands.Cog.listener()
    async def on_raw_bulk_message_delete(self, event: discord.RawBulkMessageDeleteEvent) -> None:
        """Carry many deletions to their scene."""
        await self._in_turn(event.channel_id)
        for message_id in sorted(event.message_ids):
            await self._table.deleted(event.channel_id, message_id)

    @commands.Cog.listener()
    async def on_raw_typing(self, event: discord.RawTypingEvent) -> None:
        """Let the cast wait for a player who is writing."""
        if self._client.user is None or event.user_id != self._client.user.id:
            self._table.typing(event.channel_id, event.user_id)


class ChannelHistory:
    """What stands in a channel, read through discord.py: a request for each 100 messages."""

    def __init__(
        self, channel: discord.PartialMessageable, read: Callable[[discord.Message], ChannelMessage]
    ) -> None:
        self._channel = channel
        self._read = read

    async def latest(self, limit: int) -> AsyncGenerator[ChannelMessage, None]:
        """Give the latest messages, newest first."""
        async for message in self._channel.history(limit=limit):
            yield self._read(message)

    async def is_gone(self, message_id: int) -> bool:
        """Say whether Discord knows the channel, but no such message in it."""
        try:
            await self._channel.fetch_message(message_id)
        except discord.NotFound as error:
            return error.code == UNKNOWN_MESSAGE
        return False


def _is_a_members(message: discord.Message) -> bool:
    return not (message.author.bot or message.webhook_id or message.is_system())


def _names(message: discord.Message) -> tuple[tuple[int, str], ...]:
    return tuple((member.id, member.display_name) for member in message.mentions)
