"""A whole table for a test: the rehearsal room, the real bot as its own process, and people who play."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bot.invite import PERMISSIONS
from bot.rehearsal.events import Event, MessageCreated, MessageEdited
from bot.rehearsal.play_bot import BotProcess
from bot.rehearsal.room import Room
from bot.store.store import Store
from tests.acceptance.fork_server import forked_bot

if TYPE_CHECKING:
    from bot.rehearsal.guilds import Channel, Member
    from bot.rehearsal.interactions import Interaction
    from bot.rehearsal.messages import Message

PROJECT = Path(__file__).resolve().parents[2]
PATIENCE = 30.0  # seconds; nothing takes so long unless it is broken


class Tabletop:
    """One server with one bot and five players. Everything is driven as Discord would drive it."""

    def __init__(self, folder: Path, empty: Path) -> None:
        """`empty` is where a database without a line is kept for all tables, once one was made."""
        self.folder = folder
        self.database = folder / "hearthside.sqlite"
        self._empty = empty
        self.room = Room(rng_seed=1)
        self.application = self.room.add_application("Hearthside")
        self.guild = self.room.add_guild("The Table")
        self.campaign = self.guild.add_text_channel("campaign")
        self.tavern = self.guild.add_text_channel("tavern")
        self.ann, self.bob, self.cleo, self.dov, self.eve = (
            self.guild.add_member(name) for name in ("Ann", "Bob", "Cleo", "Dov", "Eve")
        )
        self.guild.invite(self.application, permissions=sum(PERMISSIONS.values()))
        self.api_url = ""
        self.process: BotProcess | None = None

    @asynccontextmanager
    async def served(self) -> AsyncIterator[Tabletop]:
        """Open the room."""
        async with self.room.serve() as address:
            self.api_url = address.api_url
            yield self

    @asynccontextmanager
    async def bot(self, model_url: str = "", **environment: str) -> AsyncIterator[BotProcess]:
        """Run the bot until the block ends. Settings of the machine that runs the tests do not leak in."""
        settings: Mapping[str, str] = {
            "DISCORD_TOKEN": self.application.token,
            "DISCORD_API_URL": self.api_url,
            "DATABASE_URL": f"sqlite:///{self.database.as_posix()}",
            "MODEL_URLS": model_url or "http://127.0.0.1:9/v1",
            **environment,
        }
        if not self.database.exists():
            await self._lay_database()
        log = self.folder / "bot.log"
        async with forked_bot(settings, log=log, folder=PROJECT) as process:
            self.process = process
            try:
                await self._ready(process)
                yield process
            except BaseException:
                print(self.log())  # noqa: T201  # pytest shows it with the failure
                raise

    async def _lay_database(self) -> None:
        """Copy an empty database: to make its tables takes a bot longer than all the rest of its start."""
        if not self._empty.exists():
            await (await Store.open(self._empty)).aclose()
        await asyncio.to_thread(shutil.copyfile, self._empty, self.database)

    async def _ready(self, process: BotProcess) -> None:
        ready = asyncio.ensure_future(self.room.ready(self.application, timeout=PATIENCE))
        ended = asyncio.ensure_future(process.ended())
        await asyncio.wait({ready, ended}, return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
        if not ready.done():
            ready.cancel()
            raise AssertionError(f"The bot has ended with exit code {process.exit_code}.")
        await ready

    def log(self) -> str:
        """Give what the bot has logged."""
        return (self.folder / "bot.log").read_text(encoding="utf-8")

    async def command(
        self,
        name: str,
        options: Mapping[str, Any] | None = None,
        *,
        who: Member | None = None,
        channel: Channel | None = None,
    ) -> Message:
        """Call a slash command and give the bot's answer."""
        call: Interaction = await self.room.command(
            who or self.ann, channel or self.campaign, name, options or {}
        )
        await call.answered(PATIENCE)
        return call.responses[0]

    async def start_scene(self, channel: Channel | None = None, **options: Any) -> Message:
        """Open a scene, and give its opening."""
        since = self.room.cursor
        channel = channel or self.campaign
        answer = await self.command("scene start", options or {"title": "The Drowned Bell"}, channel=channel)
        assert not answer.content.startswith("⚠"), answer.content
        event = await self.room.wait_for(
            lambda event: event.channel is channel and self.in_character(event),
            PATIENCE,
            since=since,
        )
        assert isinstance(event, MessageCreated)
        return event.message

    def in_character(self, event: Event) -> bool:
        """Tell whether a persona has spoken: through a webhook that is not the answer to a command."""
        if not isinstance(event, MessageCreated) or event.message.webhook_id is None:
            return False
        return event.message.author.id != self.application.user.id

    async def says(
        self, who: Member, text: str, *, channel: Channel | None = None, **options: Any
    ) -> Message:
        """Have a player say something."""
        return await self.room.say(who, channel or self.campaign, text, **options)

    async def shows(self, text: str, *, since: int, channel: Channel | None = None) -> Message:
        """Wait until a message in the channel reads exactly `text`, and give it."""
        channel = channel or self.campaign
        event = await self.room.wait_for(
            lambda event: (
                isinstance(event, MessageCreated | MessageEdited)
                and event.channel is channel
                and event.message.content == text
            ),
            PATIENCE,
            since=since,
        )
        assert isinstance(event, MessageCreated | MessageEdited)
        return event.message

    async def begins(self, text: str, *, since: int) -> Message:
        """Wait until a message in the campaign begins with `text`, and give it."""
        event = await self.room.wait_for(
            lambda event: (
                isinstance(event, MessageCreated | MessageEdited) and event.message.content.startswith(text)
            ),
            PATIENCE,
            since=since,
        )
        assert isinstance(event, MessageCreated | MessageEdited)
        return event.message

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something is true of the store or the channel that nobody announces."""
        async with asyncio.timeout(PATIENCE):
            while not holds():  # noqa: ASYNC110  # the store is another process's: there is no event
                await asyncio.sleep(0.01)

    def stored(self) -> list[str]:
        """Give what the store has of the players' words, in order."""
        rows = self.query("SELECT text FROM entries WHERE kind = 'player' ORDER BY scene_id, seq")
        return [text for (text,) in rows]

    def guild_webhooks(self) -> list[object]:
        """Give the webhooks that stand on the server."""
        return list(self.room.state.webhooks.values())

    async def at_rest(self) -> None:
        """Wait until no scene owes an answer. The store is the only place that knows it for certain."""
        await self.until(lambda: not self.query("SELECT 1 FROM turns WHERE state = 'open'"))

    def query(self, sql: str, *arguments: Any) -> list[tuple[Any, ...]]:
        """Look into the bot's database."""
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as connection:
            return connection.execute(sql, arguments).fetchall()

    def bot_seconds(self) -> float:
        """Give the CPU time that the bot has taken so far, or a clock's where the system does not tell."""
        assert self.process is not None
        told = Path(f"/proc/{self.process._process.pid}/stat")
        if not told.exists():
            return time.monotonic()
        user, system = told.read_text().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    @contextmanager
    def full_disk(self) -> Iterator[None]:
        """Let the database grow no more, as on a disk that is full. Only Linux can do that to one process."""
        resource = pytest.importorskip("resource")
        if not hasattr(resource, "prlimit"):
            pytest.skip("this system cannot limit another process")
        assert self.process is not None
        pid, size = self.process._process.pid, Path(f"{self.database}-wal").stat().st_size
        before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, before[1]))
        yield
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)

    async def kill(self) -> None:
        """End the bot as a power cut would."""
        assert self.process is not None
        await self.process.kill()

    def spoken(self, channel: Channel | None = None) -> list[tuple[str, str]]:
        """Give what stands in the channel, as (name, text)."""
        shown = self.room.messages(channel or self.campaign)
        return [(message.author_name, message.content) for message in shown if not message.ephemeral]
