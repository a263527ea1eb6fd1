"""The interactive terminal: keys go in, the screen comes out, and the echo bot sits between."""

from __future__ import annotations

import asyncio
import re
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from prompt_toolkit.data_structures import Size
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output.vt100 import Vt100_Output

from bot.clock import SystemClock
from bot.rehearsal.events import InteractionAnswered, MessageEdited
from bot.rehearsal.play import PlayOptions, rehearsal
from bot.rehearsal.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bot.rehearsal.events import Event
    from bot.rehearsal.terminal_client import TerminalClient

ECHO = (sys.executable, str(Path(__file__).with_name("echo_bot.py")))


@dataclass
class Sitting:
    """A player at the keyboard."""

    client: TerminalClient
    keys: PipeInput
    screen: StringIO
    task: asyncio.Task[int]

    async def types(self, text: str, until: type[Event]) -> None:
        """Type, and wait until the room has seen that come of it."""
        since = self.client.room.cursor
        self.keys.send_text(text)
        await self.client.room.wait_for(lambda event: isinstance(event, until), since=since)

    async def leaves(self) -> str:
        """Leave once everything typed is done, and read all that was ever on the screen, without colours."""
        self.keys.send_text("/quit\r")
        assert await asyncio.wait_for(self.task, 5) == 0
        return self.read()

    def read(self) -> str:
        return re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", self.screen.getvalue()).replace("\r", "")


@asynccontextmanager
async def sitting(tmp_path: Path) -> AsyncIterator[Sitting]:
    screen = StringIO()
    output = Vt100_Output(screen, lambda: Size(rows=40, columns=110), term="xterm", enable_cpr=False)
    options = PlayOptions(bot_command=ECHO, log_path=tmp_path / "play.log")
    with create_pipe_input() as keys:
        async with rehearsal(options) as (client, bot):
            terminal = Terminal(client, bot, SystemClock(), input=keys, output=output)
            task = asyncio.create_task(terminal.run())
            try:
                yield Sitting(client, keys, screen, task)
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)


async def test_a_player_starts_a_scene_speaks_and_leaves(tmp_path: Path) -> None:
    async with sitting(tmp_path) as player:
        await player.types('/scene start title:"The Bell" persona:old marten\r', until=MessageEdited)
        await player.types("I open\x1b\rthe door.\r", until=MessageEdited)
        await player.types("/model info\r", until=InteractionAnswered)
        screen = await player.leaves()
    assert "You are Ann, in #campaign, with Bob, Cleo, Dov at the table." in screen
    assert 'Ann  /scene start title:"The Bell" persona:old marten\n' in screen
    assert "Hearthside  The Bell begins with marten.\n" in screen
    assert "Marta  Rain beats on the shutters. @Ann, come in.\n" in screen
    assert "Ann\nI open\nthe door.\n" in screen
    assert "Marta\nYou say:\nI open\nthe door.\n" in screen
    assert "Hearthside (only you see this)\nEcho\nNo model at all\nContext: 0 tokens\n" in screen
    assert screen.index("Rain beats") < screen.rindex("I open")


async def test_a_form_is_filled_at_the_keyboard_and_can_be_closed(tmp_path: Path) -> None:
    async with sitting(tmp_path) as player:
        await player.types("/form\r", until=InteractionAnswered)
        await player.types("\rVex\r\r", until=InteractionAnswered)
        await player.types("/form\r", until=InteractionAnswered)
        player.keys.send_text("\x03")
        player.keys.send_text("/sceen\r/as Bob\r")
        screen = await player.leaves()
    assert "A character (a form; Ctrl-C closes it)" in screen
    assert "⚠ 'Name' takes 1 to 4000 characters, not 0." in screen
    assert "Hearthside  Vex | no story\n" in screen
    assert "⚠ The form is closed; nothing was sent." in screen
    assert "⚠ There is no command /sceen. Did you mean /scene end or /scene start?" in screen
    assert "Bob speaks now." in screen


async def test_when_the_bot_dies_the_player_is_told_and_the_evening_ends(tmp_path: Path) -> None:
    async with sitting(tmp_path) as player:
        await player.types("/scene start A\r", until=MessageEdited)
        player.keys.send_text("die\r")
        assert await asyncio.wait_for(player.task, 5) == 1
    screen = player.read()
    assert "⚠ The bot has ended with exit code 3.\n  | about to die\n" in screen


async def test_an_empty_line_says_nothing_and_ctrl_d_leaves(tmp_path: Path) -> None:
    async with sitting(tmp_path) as player:
        player.keys.send_text("\r   \r\x03\x04")
        assert await asyncio.wait_for(player.task, 5) == 0
        assert player.client.room.messages(player.client.channel) == []
    assert "Ctrl-D or /quit leaves the table." in player.read()
