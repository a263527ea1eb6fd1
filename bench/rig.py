"""The table that the bot is measured at: rehearsal room here, bot and scripted model in own processes."""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
from sqlalchemy import insert

from bench.recall_speed import texts
from bot.rehearsal.messages import Message
from bot.scene.absence import COMPARED_MESSAGES
from bot.store import scenes
from bot.store.memory_tables import summaries
from bot.store.records import EntryKind, Mode, ReplyState, SceneRecord, SceneState
from bot.store.store import Store
from bot.store.tables import claims, entries, messages, replies, turns
from tests.acceptance.tabletop import Tabletop

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator, Mapping, Sequence

    from bot.rehearsal.gateway import Connection
    from bot.rehearsal.guilds import Channel
    from bot.rehearsal.people import User

PROJECT = Path(__file__).resolve().parents[1]
ANSWER = "The lantern gutters, and the stair goes on down."
"""One short sentence in one chunk: posted once and never edited, so that no turn waits for Discord's pace."""
LINES = (
    "I open the door and hold the lantern high.",
    "What does the old woman say about the bell?",
    "We go down, slowly, and count the steps.",
    "I draw my knife. Who is there?",
    "Can I read what is carved above the arch?",
)
WINDOW = 60
"""Entries that a stored scene has in its window: about a third of a context of 4096 tokens."""
REST_S = 0.05
"""Seconds after which a bot that has not done anything has nothing to do: no server here takes as long."""
FIRST_ID = 1 << 52
A_SCENE = 1_000_000
"""Messages of long ago have smaller ids than those of the room, each scene its own."""


class Rig:
    """One table with its model server. `patience` bounds every wait, in seconds."""

    command: tuple[str, ...] = (sys.executable, "-m", "bot", "run")

    def __init__(self, folder: Path, patience: float = 60.0) -> None:
        self.table = Tabletop(folder, folder / "empty.sqlite")
        self.patience = patience
        self.model_url = ""
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def served(self) -> AsyncIterator[Rig]:
        """Open the room and start the model server."""
        command = ("-m", "bench.model", "--text", ANSWER, "--chunk", "1000")
        async with self.table.served(), aiohttp.ClientSession() as self._session:
            model = await asyncio.create_subprocess_exec(
                sys.executable,
                *command,
                cwd=PROJECT,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
            assert model.stdin
            assert model.stdout
            try:
                self.model_url = (await model.stdout.readline()).decode().strip()
                yield self
            finally:
                model.stdin.close()
                await model.wait()

    @asynccontextmanager
    async def bot(self, database: Path) -> AsyncIterator[Bot]:
        """Run the bot on that database until the block ends."""
        environment = {
            **{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
            "DISCORD_TOKEN": self.table.application.token,
            "DISCORD_API_URL": self.table.api_url,
            "DATABASE_URL": f"sqlite:///{database.as_posix()}",
            "MODEL_URLS": self.model_url,
        }
        self.table.database = database
        path = self.table.folder / "bot.log"
        with path.open("wb") as log:
            spawned = time.time()
            process = await asyncio.create_subprocess_exec(
                *self.command, cwd=PROJECT, env=environment, stdout=log, stderr=log
            )
        try:
            yield Bot(process, spawned, path)
        except BaseException:
            print(path.read_text(encoding="utf-8"), file=sys.stderr)
            raise
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()

    async def asked(self) -> list[float]:
        """Give when each request for an answer had been read by the model server (Unix seconds)."""
        assert self._session
        async with self._session.get(self.model_url.removesuffix("/v1") + "/requests") as response:
            listed: list[dict[str, Any]] = await response.json()
        chats = [each for each in listed if each["path"] == "/v1/chat/completions"]
        return [each["received"] for each in chats if each["purpose"] == "answer"]

    async def answered(self, text: str, channel: Channel | None = None) -> None:
        """Have a player say something, and wait until the cast has answered and owes nothing more."""
        said = await self.table.says(self.table.ann, text, channel=channel)
        await self.table.shows(ANSWER, since=said.cursor, channel=channel)
        await self.table.at_rest()

    def stamp_frames(self) -> list[float]:
        """From now on note when each message of a player is written to the socket (Unix seconds)."""
        (connection,) = self.table.room.gateway.connections
        stamps: list[float] = []
        connection.compressor = _Stamping(connection, stamps)
        return stamps


class Bot:
    """The process that is measured. `spawned` is in Unix seconds."""

    def __init__(self, process: Process, spawned: float, log: Path) -> None:
        self.pid = process.pid
        self.spawned = spawned
        self._process = process
        self._log = log

    async def at_rest(self) -> None:
        """Wait until the bot has nothing left to do: its event loop has not run for `REST_S`."""
        ran, since = self._ran(), time.monotonic()
        while time.monotonic() - since < REST_S:
            await asyncio.sleep(REST_S / 10)
            if (now := self._ran()) != ran:
                ran, since = now, time.monotonic()

    def _ran(self) -> str:
        """Give what the system tells of how long its first thread, which has the event loop, has run."""
        return Path(f"/proc/{self.pid}/schedstat").read_text(encoding="ascii")

    async def logged(self, words: str) -> float:
        """Wait until the log has these words, and give the time (Unix seconds)."""
        while words not in self._log.read_text(encoding="utf-8"):
            assert self._process.returncode is None, "the bot has ended"
            await asyncio.sleep(0.002)
        return time.time()


class _Stamping:
    """In the place of a connection's compressor: the last thing that happens to a frame before it is sent."""

    def __init__(self, connection: Connection, stamps: list[float]) -> None:
        self._compressor = connection.compressor
        self._stamps = stamps
        self._is_message = False

    def compress(self, data: bytes) -> bytes:
        self._is_message = b'"t":"MESSAGE_CREATE"' in data and b'"webhook_id"' not in data
        compressed: bytes = self._compressor.compress(data)
        return compressed

    def flush(self, mode: int) -> bytes:
        flushed: bytes = self._compressor.flush(mode)
        if self._is_message:
            self._stamps.append(time.time())
        return flushed


def talk(count: int) -> list[str]:
    """Give so many lines as players say them, the same ones in every run.

    Words are as frequent as those of a language: recall looks for them all, and takes the longer, the more of
    the log has them.
    """
    said, _ = texts(random.Random(1), -(-3 * count // 2))  # noqa: S311  # nothing secret
    return [line for number, line in enumerate(said) if number % 3 < 2][:count]  # the third is an answer


async def fill(table: Tabletop, channels: Sequence[Channel], stored: int) -> None:
    """Store one scene for each channel, with that many entries in its log, as if they had been played."""
    lines = talk(stored)
    store = await Store.open(table.database)
    try:
        for channel in channels:
            scene_id = await _fill_scene(store, channel, lines)
            _show(channel, table.ann.user, table.application.user, scene_id, lines)
    finally:
        await store.aclose()


def _show(channel: Channel, player: User, bot: User, scene_id: int, lines: Sequence[str]) -> None:
    """Have a channel show what a scene's log ends with: a bot that comes back looks at that first."""
    for n in range(max(len(lines) - COMPARED_MESSAGES, 0) + 1, len(lines) + 1):
        message_id = FIRST_ID + scene_id * A_SCENE + n
        author = player if n % 2 else bot
        channel.messages[message_id] = Message(message_id, channel, author, 1.0, lines[n - 1])


async def _fill_scene(store: Store, channel: Channel, lines: Sequence[str]) -> int:
    record = SceneRecord(
        id=0,
        guild_id=channel.guild.id if channel.guild else None,
        channel_id=channel.id,
        parent_id=None,
        title="The Drowned Bell",
        premise="",
        mode=Mode.NATURAL,
        lead="narrator",
        model=None,
        state=SceneState.ACTIVE,
        started_by=1,
        created_at=1.0,
        ended_at=None,
        window_start=max(len(lines) - WINDOW, 0),
        heard_from=0,
    )
    async with store.transaction() as tx:
        scene_id = await scenes.create(tx, record)
        await scenes.set_cast(tx, scene_id, ["narrator"])
        if lines:
            base = FIRST_ID + scene_id * A_SCENE
            for table, rows in _history(scene_id, base, lines).items():
                await tx.execute(insert(table), rows)
        if record.window_start:
            await tx.execute(insert(summaries), _summary(scene_id, record.window_start))
    return scene_id


def _summary(scene_id: int, last: int) -> dict[str, Any]:
    """Give the row of a summary of all that left the window: the bot is not to sum it up meanwhile."""
    covers = {"first_seq": 1, "last_seq": last, "level": 0}
    return {"scene_id": scene_id, "text": "They went down. " * 20, "made_at": 1.0, **covers}


def _history(scene_id: int, base: int, lines: Sequence[str]) -> Mapping[Any, list[dict[str, Any]]]:
    """Give the rows of a log in which player and narrator take turns."""
    stored = len(lines)
    said, told = range(1, stored + 1, 2), range(2, stored + 1, 2)
    return {
        turns: [_row(id=base + n, scene_id=scene_id, state="closed") for n in said],
        entries: [
            _row(
                id=base + n,
                scene_id=scene_id,
                seq=n,
                turn_id=base + n - (n % 2 == 0),
                kind=EntryKind.PLAYER if n % 2 else EntryKind.ANSWER,
                speaker="Ann" if n % 2 else "The Narrator",
                persona=None if n % 2 else "narrator",
                author_id=1 if n % 2 else None,
                text=lines[n - 1],
            )
            for n in range(1, stored + 1)
        ],
        replies: [
            {
                "id": base + n,
                "turn_id": base + n - 1,
                "position": 0,
                "persona": "narrator",
                "state": ReplyState.DONE,
                "entry_id": base + n,
            }
            for n in told
        ],
        claims: [{"event_id": base + n, "at": 1.0} for n in said],
        messages: [
            {
                "message_id": base + n,
                "scene_id": scene_id,
                "entry_id": base + n,
                "reply_id": None if n % 2 else base + n,
            }
            for n in range(1, stored + 1)
        ],
    }


def _row(**values: Any) -> dict[str, Any]:
    return {**values, "created_at": 1.0}
