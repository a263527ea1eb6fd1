from __future__ import annotations

import asyncio
import time
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

with warnings.catch_warnings():
    # On Python 3.11 and 3.12 discord.py imports a module of the standard library that 3.13 drops.
    warnings.simplefilter("ignore", DeprecationWarning)
    import discord

from bot.rehearsal.guilds import Channel, Guild, Member
from bot.rehearsal.messages import Message
from bot.rehearsal.people import Application
from bot.rehearsal.room import Room
from bot.rehearsal.server import Request
from bot.scene.ports import Place, Speaker, Stage
from bot.stage.stage import DiscordStage
from bot.stage.utterance import StreamedUtterance

INVITE = 309774634048
"""Permissions that Hearthside's invite asks for."""


class TableClock:
    """Time that passes when the test says so, or, if `hurried`, as soon as somebody waits for it."""

    def __init__(self, *, hurried: bool = True) -> None:
        self.hurried = hurried
        self.passed = 0.0
        self._start = time.time()
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []
        self._slept = asyncio.Event()

    def now(self) -> float:
        return self._start + self.passed

    def monotonic(self) -> float:
        return self.passed

    async def sleep(self, seconds: float) -> None:
        if self.hurried:
            self.passed += seconds
            await asyncio.sleep(0)
            return
        sleeper: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.passed + seconds, sleeper))
        self._slept.set()
        await sleeper

    async def somebody_waits(self) -> None:
        """Return once somebody waits for time to pass."""
        while not any(not sleeper.done() for _, sleeper in self._sleepers):
            self._slept.clear()
            await asyncio.wait_for(self._slept.wait(), 5)

    def advance(self, seconds: float) -> None:
        self.passed += seconds
        for due, sleeper in self._sleepers:
            if due <= self.passed and not sleeper.done():
                sleeper.set_result(None)
        self._sleepers = [each for each in self._sleepers if not each[1].done()]


@dataclass
class Table:
    """A served room with one server and channel, a real discord.py client logged in to it, and the stage."""

    room: Room
    application: Application
    guild: Guild
    channel: Channel
    ann: Member
    client: discord.Client
    clock: TableClock
    stage: DiscordStage
    posted: list[int] = field(default_factory=list)

    @property
    def place(self) -> Place:
        return Place(self.guild.id, self.channel.id)

    def speak(
        self,
        speaker: Speaker,
        *,
        place: Place | None = None,
        key: str = "turn-1",
        posted: tuple[int, ...] = (),
    ) -> StreamedUtterance:
        async def on_posted(message_id: int) -> None:
            self.posted.append(message_id)

        return self.stage.speak(place or self.place, speaker, key=key, posted=posted, on_posted=on_posted)

    async def say(self, speaker: Speaker, text: str, **more: object) -> tuple[int, ...]:
        """Show a whole answer at once."""
        return await self.speak(speaker, **more).finish(text)  # type: ignore[arg-type]

    def shown(self, channel: Channel | None = None) -> list[tuple[str, str]]:
        """Who said what, as the channel shows it."""
        return [(each.author_name, each.content) for each in self.messages(channel)]

    def messages(self, channel: Channel | None = None) -> list[Message]:
        return self.room.messages(channel or self.channel)

    def webhooks(self) -> list[str]:
        return sorted(each.name for each in self.room.state.webhooks.values() if each.channel is self.channel)

    def requests(self, method: str, route: str) -> list[Request]:
        return [each for each in self.room.requests if each.method == method and each.route.endswith(route)]

    async def seen(self, holds: Callable[[], object]) -> None:
        """Wait until something holds in the channels."""
        while not holds():
            await self.room.wait_for(lambda _: True)

    def was_edited(self, times: int) -> bool:
        return sum(each.edited_count for each in self.messages()) == times

    async def asked(self, method: str, route: str) -> None:
        """Wait until the client has made such a request."""
        while not self.requests(method, route):  # noqa: ASYNC110  the room tells of what people see, not of requests
            await asyncio.sleep(0.005)

    async def known(self, channel: Channel, **permissions: bool) -> None:
        """Wait until the gateway has told the client of these permissions of its own."""
        while True:
            known = self.client.get_channel(channel.id)
            if isinstance(known, discord.TextChannel):
                own = known.permissions_for(known.guild.me)
                if all(getattr(own, name) is value for name, value in permissions.items()):
                    return
            await asyncio.sleep(0.005)

    def new_stage(self) -> DiscordStage:
        """The stage of a bot that has just been started."""
        return DiscordStage(self.client, self.clock)


@asynccontextmanager
async def _connected(client: discord.Client, token: str) -> AsyncIterator[None]:
    running = asyncio.create_task(client.start(token))
    try:
        await _ready(client, running)
        yield
    finally:
        await client.close()
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def _ready(client: discord.Client, running: asyncio.Task[None]) -> None:
    while not client.is_ready():
        if running.done():
            running.result()
        await asyncio.sleep(0.005)


@asynccontextmanager
async def _lay(*, gateway: bool) -> AsyncIterator[Table]:
    room = Room(rng_seed=1)
    application = room.add_application("Hearthside")
    guild = room.add_guild("The Table")
    channel = guild.add_text_channel("campaign")
    ann = guild.add_member("Ann")
    guild.invite(application, permissions=INVITE)
    before = discord.http.Route.BASE
    async with room.serve() as address:
        discord.http.Route.BASE = address.api_url
        intents = discord.Intents.default()
        client = discord.AutoShardedClient(intents=intents, guild_ready_timeout=0.05)
        try:
            clock = TableClock()
            stage = DiscordStage(client, clock)
            table = Table(room, application, guild, channel, ann, client, clock, stage)
            if gateway:
                async with _connected(client, application.token):
                    yield table
                    await stage.close()
            else:
                await client.login(application.token)
                room.requests.clear()
                yield table
                await stage.close()
                await client.close()
        finally:
            discord.http.Route.BASE = before


@pytest.fixture
async def table() -> AsyncIterator[Table]:
    """A table whose client knows only its own name, as right after a start in thousands of servers."""
    async with _lay(gateway=False) as laid:
        stage: Stage = laid.stage  # the protocol, checked
        assert stage
        yield laid


@pytest.fixture
async def connected_table() -> AsyncIterator[Table]:
    """A table whose client is on the gateway and knows servers, channels and its permissions."""
    async with _lay(gateway=True) as laid:
        yield laid


PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360000002000001e221bc330000000049454e44ae426082"
)


@pytest.fixture
def marta(tmp_path: Path) -> Speaker:
    """An innkeeper with a picture of her own."""
    picture = tmp_path / "marta.png"
    picture.write_bytes(PNG)
    return Speaker("marta", "Marta", picture)


@pytest.fixture
def oracle() -> Speaker:
    """An oracle without a picture."""
    return Speaker("oracle", "The Oracle")
