from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import yarl

with warnings.catch_warnings():
    # On Python 3.11 and 3.12 discord.py imports a module of the standard library that 3.13 drops.
    warnings.simplefilter("ignore", DeprecationWarning)
    import discord
    from discord.ext import commands

from bot.rehearsal.room import Room
from bot.rehearsal.waiting import Waker
from tests.rehearsal.hand_clock import HandClock

if TYPE_CHECKING:
    from bot.rehearsal.guilds import Channel, Guild, Member
    from bot.rehearsal.people import Application
    from bot.rehearsal.room import Address

INVITE = 309774634048
"""Permissions that Hearthside's invite asks for."""


class Actor(commands.AutoShardedBot):
    """A plain discord.py bot; only the pause before a second IDENTIFY is left out, by its documented hook."""

    def __init__(self, prepare: Callable[[Actor], None] | None = None, **options: object) -> None:
        intents = options.pop("intents", None) or discord.Intents.all()
        assert isinstance(intents, discord.Intents)
        intents.presences = False
        super().__init__(
            command_prefix=commands.when_mentioned,
            intents=intents,
            allowed_mentions=discord.AllowedMentions.none(),
            max_messages=100,
            guild_ready_timeout=0.05,  # else discord.py waits two seconds for servers that may still come
        )
        self.prepare = prepare
        self.heard: list[discord.Message] = []
        self.lines: list[str] = []  # as they were; `heard` changes with edits
        self.edits: list[discord.RawMessageUpdateEvent] = []
        self.deleted: list[int] = []
        self.typing: list[int] = []
        self.news = Waker()

    async def setup_hook(self) -> None:
        if self.prepare is not None:
            self.prepare(self)
        await self.tree.sync()

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        pass

    async def on_message(self, message: discord.Message) -> None:
        self.heard.append(message)
        self.lines.append(message.content)
        self.news.notify()

    async def hear(self, message_id: int) -> discord.Message:
        """Wait until a message is heard; it may have been before."""
        async with asyncio.timeout(5):
            await self.news.until(lambda: any(each.id == message_id for each in self.heard))
        return next(each for each in self.heard if each.id == message_id)

    async def on_raw_message_edit(self, event: discord.RawMessageUpdateEvent) -> None:
        self.edits.append(event)

    async def on_raw_message_delete(self, event: discord.RawMessageDeleteEvent) -> None:
        self.deleted.append(event.message_id)
        self.news.notify()

    async def learn_of(self, deleted: int) -> None:
        """Wait until a message is known to be deleted."""
        async with asyncio.timeout(5):
            await self.news.until(lambda: deleted in self.deleted)

    async def on_raw_typing(self, event: discord.RawTypingEvent) -> None:
        self.typing.append(event.user_id)


@dataclass
class Reply:
    """What the room answered."""

    status: int
    json: Any
    headers: Mapping[str, str]

    @property
    def code(self) -> int:
        """Discord's code for a refusal."""
        return int(self.json["code"])

    def faults(self) -> dict[str, str]:
        """Where in the body which mistake is: dotted path to Discord's word for it."""
        found: dict[str, str] = {}

        def walk(tree: Mapping[str, Any], path: str) -> None:
            for name, inner in tree.items():
                if name == "_errors":
                    found[path] = inner[0]["code"]
                else:
                    walk(inner, f"{path}.{name}".lstrip("."))

        walk(self.json.get("errors", {}), "")
        return found


@dataclass
class Table:
    """A served room with one server, one channel, two people and an invited application."""

    room: Room
    clock: HandClock
    address: Address
    application: Application
    guild: Guild
    channel: Channel
    ann: Member
    ben: Member

    async def api(
        self, method: str, path: str, json: object = None, *, token: str | None = "", **options: Any
    ) -> Reply:
        """Make one request as the bot, without discord.py's own checks in front of it."""
        headers = options.pop("headers", {})
        if token is not None:
            headers["Authorization"] = f"Bot {token or self.application.token}"
        async with (
            aiohttp.ClientSession() as session,
            session.request(
                method, self.address.api_url + path, json=json, headers=headers, **options
            ) as reply,
        ):
            read = await reply.json() if reply.content_type == "application/json" else None
            return Reply(reply.status, read, reply.headers)

    @asynccontextmanager
    async def actor(
        self, prepare: Callable[[Actor], None] | None = None, *, ready: bool = True, **options: object
    ) -> AsyncIterator[Actor]:
        """Run a bot for the length of the block."""
        actor = Actor(prepare, **options)
        running = asyncio.create_task(actor.start(self.application.token))
        try:
            if ready:
                await asyncio.wait(
                    [running, asyncio.create_task(actor.wait_until_ready())],
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if running.done():
                    running.result()
            yield actor
        finally:
            await actor.close()
            running.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await running


@asynccontextmanager
async def _lay(room: Room, clock: HandClock) -> AsyncIterator[Table]:
    application = room.add_application("Hearthside")
    guild = room.add_guild("The Table")
    channel = guild.add_text_channel("campaign")
    ann, ben = guild.add_member("Ann"), guild.add_member("Ben")
    guild.invite(application, permissions=INVITE)
    async with room.serve() as address:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(discord.http.Route, "BASE", address.api_url)
            patch.setattr(discord.asset.Asset, "BASE", address.cdn_url)
            # Where discord.py goes after an invalid session; the first time it asks GET /gateway/bot.
            patch.setattr(discord.gateway.DiscordWebSocket, "DEFAULT_GATEWAY", yarl.URL(address.gateway_url))
            yield Table(room, clock, address, application, guild, channel, ann, ben)


@pytest.fixture
async def table() -> AsyncIterator[Table]:
    """A table whose clock stands still unless the test moves it."""
    clock = HandClock()
    async with _lay(Room(rng_seed=1, clock=clock), clock) as laid:
        yield laid
