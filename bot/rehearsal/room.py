"""The rehearsal room: Discord on loopback, for a real bot to run against and people to play at.

    room = Room()
    application = room.add_application("Hearthside")          # .id .token .user
    guild = room.add_guild("The Table")
    channel = guild.add_text_channel("campaign")              # nsfw=, topic=
    ann = guild.add_member("Ann")                             # nick=; the first member owns the server
    guild.invite(application, permissions=309774634048)
    async with room.serve() as address:                       # address.api_url, .gateway_url, .cdn_url
        ... start a bot with DISCORD_API_URL=address.api_url and application.token ...
        await room.ready(application)                         # identified and commands registered
        said = await room.say(ann, channel, "I open the door.")
        event = await room.wait_for(lambda e: isinstance(e, MessageCreated) and e.message.webhook_id)
        call = await room.command(ann, channel, "scene start", {"title": "The Drowned Bell"})
        await call.answered()

What people do (all raise bot.errors.TableError where Discord would not let them; `who` is a Member or User):
    say(who, channel, text, reply_to=, ping=, files=[Upload(...)])  edit(message, text)  delete(*messages)
    type(who, channel)  react(who, message, "👍")  unreact(who, message, "👍")
    dm(who, application) -> Channel           open_thread(who, channel, name, message=) -> Thread
    command(who, channel, "scene start", {...}) -> Interaction      commands(application) -> payloads
    autocomplete(who, channel, "persona set", {"persona": "ma"}, focused="persona") -> [(name, value)]
    message_command(who, channel, "Remember this", message)   user_command(who, channel, name, member)
    press(who, message, custom_id)   select(who, message, custom_id, values)
    submit(who, call, {custom_id: text})      for a call whose .modal is not None
Interaction: .state pending|deferred|answered|failed, .responses, .original, .modal, .choices;
    await call.answered(timeout) past any "is thinking", await call.responded(timeout) for the first response.
Message: .id .channel .author_name .content .embeds .components .attachments .webhook_id .ephemeral
    .loading .edited_count .mentions .mention_everyone .reactions .interaction .deleted .cursor

What is seen: messages(channel, viewer=None), controls(message), watch(channel=None, since=None),
wait_for(holds, timeout=, since=None), cursor; events are in bot.rehearsal.events. `since` is a number as
`room.cursor`, `message.cursor` or `call.cursor` give it: nothing that came after it is missed.

Rights: guild.set_permissions(application | role | None, bits), channel.deny(application | member | role |
None, Permission.X), channel.allow(...), guild.add_role(...), guild.remove(who), channel.delete();
application.message_content / .members / .presences are the switches of the developer portal.

Trouble: drop_gateway(resumable=, application=), ask_reconnect(), invalidate_sessions(resumable=),
refuse_token, deny_intent_message_content, fail_next(method, route, status=, json=, after_effect=, times=),
limits.set(route, requests, per, method=), limits.like_discord(). requests keeps what the bot sent;
faults keeps exceptions of the room itself and `serve` raises them at its end.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import web

from bot.clock import SystemClock
from bot.rehearsal import players
from bot.rehearsal.gateway import Gateway
from bot.rehearsal.room_people import People
from bot.rehearsal.room_trouble import TroubleMaker
from bot.rehearsal.server import PREFIX, Request, Server
from bot.rehearsal.state import State
from bot.rehearsal.trouble import Trouble

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import AsyncIterator, Callable

    from bot.clock import Clock
    from bot.rehearsal.events import Event
    from bot.rehearsal.guilds import Channel, Guild, Member
    from bot.rehearsal.messages import Message
    from bot.rehearsal.people import Application, User
    from bot.rehearsal.ratelimits import RateLimits

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Address:
    """Where the room listens while it is served."""

    host: str
    port: int

    @property
    def origin(self) -> str:
        """The start of every address: `http://127.0.0.1:PORT`."""
        return f"http://{self.host}:{self.port}"

    @property
    def api_url(self) -> str:
        """What stands in for https://discord.com/api/v10."""
        return f"{self.origin}{PREFIX}"

    @property
    def cdn_url(self) -> str:
        """What stands in for https://cdn.discordapp.com."""
        return f"{self.origin}/cdn"

    @property
    def gateway_url(self) -> str:
        """What `GET /gateway/bot` names."""
        return f"ws://{self.host}:{self.port}/gateway"


class Room(People, TroubleMaker):
    """One table on loopback. The page of this module says how to use it.

    `shards` is what `GET /gateway/bot` asks bots to run; `rng_seed` makes tokens repeatable;
    `kept_requests` bounds `requests`.
    """

    def __init__(
        self,
        rng_seed: int | None = None,
        clock: Clock | None = None,
        *,
        shards: int = 1,
        kept_requests: int = 10_000,
    ) -> None:
        rng = random.Random(rng_seed)  # noqa: S311  tokens of a rehearsal guard nothing
        self.clock = clock or SystemClock()
        self.state = State(self.clock, rng)
        self.state.shards = shards
        self.trouble = Trouble()
        self.gateway = Gateway(self.state, self.trouble)
        self.server = Server(self.state, self.gateway, self.trouble, kept=kept_requests)

    # --- the table is laid ---

    def add_application(self, name: str) -> Application:
        """Register a bot."""
        return self.state.add_application(name)

    def add_guild(self, name: str) -> Guild:
        """Make a server, empty at first."""
        return self.state.add_guild(name)

    def dm(self, who: Member | User, application: Application) -> Channel:
        """Give the direct message channel of a person and a bot."""
        return self.state.direct_channel(players.user_of(who), application)

    @asynccontextmanager
    async def serve(self, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Address]:
        """Listen until the block ends; a bug of the room that showed meanwhile is raised then."""
        runner = web.AppRunner(self.server.application(), access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, host, port)
        await site.start()
        bound = runner.addresses[0][1]
        address = Address(host, bound)
        self.state.api_url, self.state.gateway_url = address.api_url, address.gateway_url
        self.state.media.base_url = address.cdn_url
        try:
            yield address
        finally:
            for connection in list(self.gateway.connections):
                connection.abort()
            await self.state.timers.close()
            await runner.cleanup()
        if self.faults:
            raise self.faults[0]

    async def ready(
        self,
        application: Application,
        *,
        commands: bool = True,
        timeout: float = 10.0,  # noqa: ASYNC109  the caller's patience
    ) -> None:
        """Wait until a bot has identified on every shard and, if `commands`, registered its commands."""

        def holds() -> bool:
            sessions = self.gateway.connected(application)
            shards = {each.shard for each in sessions}
            complete = bool(sessions) and len(shards) == sessions[0].shard[1]
            return complete and (application.commands_written or not commands)

        try:
            async with asyncio.timeout(timeout):
                await self.state.changed.until(holds)
        except TimeoutError:
            connected = bool(self.gateway.connected(application))
            missing = "it has not registered its commands" if connected else "it has not connected"
            raise TimeoutError(f"{application.name} was not ready after {timeout} s: {missing}.") from None

    # --- what is seen ---

    def commands(self, application: Application, guild: Guild | None = None) -> list[Json]:
        """Give what a bot has registered, as Discord keeps it."""
        return [each.payload for each in application.commands(guild.id if guild else None)]

    def messages(self, channel: Channel, viewer: Member | User | None = None) -> list[Message]:
        """Give what people and bots wrote in a channel, oldest first, without Discord's own notices.

        A viewer does not see others' ephemeral messages.
        """
        known = [each for each in channel.messages.values() if not each.notice]
        return known if viewer is None else [each for each in known if each.visible_to(viewer.id)]

    def controls(self, message: Message) -> list[Json]:
        """Give a message's usable buttons and selects, in reading order."""
        return players.controls(message)

    @property
    def cursor(self) -> int:
        """The number of the latest event."""
        return self.state.journal.last

    async def watch(
        self, channel: Channel | None = None, *, since: int | None = None
    ) -> AsyncIterator[Event]:
        """Give what happens, in order and for ever, in one channel or everywhere."""
        start = self.cursor if since is None else since
        async for event in self.state.journal.after(start):
            if channel is None or event.channel is channel:
                yield event

    async def wait_for(
        self,
        holds: Callable[[Event], Any],
        timeout: float = 5.0,  # noqa: ASYNC109  the caller's patience
        *,
        since: int | None = None,
    ) -> Event:
        """Wait for the first event for which `holds` is true, from now on or after `since`."""
        start = self.cursor if since is None else since
        try:
            async with asyncio.timeout(timeout):
                return await self.state.journal.first(holds, start)
        except TimeoutError:
            seen = ", ".join(type(event).__name__ for event in self.state.journal.since(start)[-8:])
            raise TimeoutError(
                f"Nothing of the kind in {timeout} s; there was: {seen or 'nothing'}."
            ) from None

    @property
    def requests(self) -> deque[Request]:
        """The latest REST requests, oldest first."""
        return self.server.requests

    @property
    def faults(self) -> list[Exception]:
        """Exceptions of the room itself."""
        return self.server.faults

    @property
    def limits(self) -> RateLimits:
        """The rate limits in force."""
        return self.server.limits
