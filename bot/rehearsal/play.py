"""`hearthside play`: the rehearsal room, the real bot as a child process, and a seat at the table."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from bot.clock import SystemClock
from bot.errors import HearthsideError, SetupError
from bot.rehearsal.play_bot import BotProcess, running_bot
from bot.rehearsal.play_script import ScriptSession
from bot.rehearsal.play_turn import Patience
from bot.rehearsal.room import Room
from bot.rehearsal.script import ScriptLines
from bot.rehearsal.terminal_client import TerminalClient
from bot.rehearsal.terminal_files import Downloads

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping

    from bot.rehearsal.people import Application
    from bot.rehearsal.terminal import Terminal

PROJECT = Path(__file__).resolve().parents[2]
PERMISSIONS = 309774634048
"""What the invite link asks for."""

PLAYERS = ("Ann", "Bob", "Cleo", "Dov")
CHANNELS = ("campaign", "tavern")

_BROKEN_PIPE = 141
_PROGRESS_AFTER = 1.0
_PROGRESS_EVERY = 5.0


@dataclass(frozen=True, slots=True)
class PlayOptions:
    """What a rehearsal is given.

    `script` is a file of lines; without one, standard input is played unless it is a terminal.
    `bot_command` starts the bot, with `environment` on top of this process's and of the address of the room.
    `start_seconds` bounds its start. What the bot attaches is kept in `downloads` beside the log.
    """

    script: Path | None = None
    bot_command: tuple[str, ...] = (sys.executable, "-m", "bot", "run")
    environment: Mapping[str, str] = field(default_factory=dict)
    log_path: Path = PROJECT / "data" / "play.log"
    start_seconds: float = 60.0
    patience: Patience = field(default_factory=Patience)


async def play(options: PlayOptions) -> int:
    """Play until the player leaves or the script ends.

    Gives the exit code: 0, 1 if a turn failed or the bot ended, 128 + n if signal n stopped it, 141 if nobody
    reads the transcript any more.
    Raises HearthsideError if the rehearsal cannot begin.
    """
    with _stopping_on_signals() as stopped, ExitStack() as stack:
        script = _open_script(options.script, stack)
        try:
            terminal = asyncio.create_task(asyncio.to_thread(_terminal)) if script is None else None
            async with rehearsal(options) as (client, bot):
                if script is not None:
                    return await _by_script(client, bot, script, options)
                assert terminal is not None
                return await (await terminal)(client, bot, SystemClock()).run()
        except asyncio.CancelledError:
            if not stopped:
                raise
            return 128 + stopped[0]


def _open_script(path: Path | None, stack: ExitStack) -> int | None:
    """Open what is to be played, as a descriptor; None if a person sits at the terminal."""
    if path is not None:
        try:
            return stack.enter_context(path.open("rb", buffering=0)).fileno()
        except OSError as error:
            raise SetupError(f"The script {path} cannot be read: {error.strerror}.") from error
    return None if sys.stdin.isatty() and sys.stdout.isatty() else sys.stdin.fileno()


@asynccontextmanager
async def rehearsal(options: PlayOptions) -> AsyncIterator[tuple[TerminalClient, BotProcess]]:
    """Lay the table and start the bot; gives the seat of the first player once the bot is ready.

    Raises HearthsideError if the bot cannot be started or does not log in.
    """
    room = Room()
    application = room.add_application("Hearthside")
    guild = room.add_guild("The Table")
    campaign, *_ = [guild.add_text_channel(name) for name in CHANNELS]
    first, *_ = [guild.add_member(name) for name in PLAYERS]
    guild.invite(application, permissions=PERMISSIONS)
    with tempfile.TemporaryDirectory(prefix="hearthside-", ignore_cleanup_errors=True) as folder:
        async with room.serve() as address:
            environment = {
                "DISCORD_TOKEN": application.token,
                "DISCORD_API_URL": address.api_url,
                "DATABASE_URL": f"sqlite:///{(Path(folder) / 'rehearsal.sqlite').as_posix()}",
                **options.environment,
            }
            async with running_bot(
                options.bot_command, environment, log_path=options.log_path, folder=PROJECT, complain=say
            ) as bot:
                await _ready(room, application, bot, options.start_seconds)
                downloads = Downloads(options.log_path.parent / "downloads")
                yield TerminalClient(room, guild, application, campaign, first, downloads), bot


async def _ready(room: Room, application: Application, bot: BotProcess, seconds: float) -> None:
    """Wait until the bot has logged in and registered its commands; raises HearthsideError if it does not."""
    ready = asyncio.ensure_future(room.ready(application, timeout=seconds))
    ended = asyncio.ensure_future(bot.ended())
    waited, step = 0.0, _PROGRESS_AFTER
    try:
        while not (await asyncio.wait({ready, ended}, timeout=step, return_when=asyncio.FIRST_COMPLETED))[0]:
            waited, step = waited + step, _PROGRESS_EVERY
            say(f"starting the bot ... {waited:.0f} s")
        if not ready.done():
            raise HearthsideError(bot.obituary())
        await ready
    except TimeoutError:
        lines = "".join(f"\n  | {line}" for line in bot.last_lines())
        raise HearthsideError(
            f"The bot has not logged in within {seconds:g} seconds.{lines}",
            hint=f"\nIts whole log: {bot.log_path}",
        ) from None
    finally:
        ready.cancel()
        ended.cancel()


async def _by_script(client: TerminalClient, bot: BotProcess, script: int, options: PlayOptions) -> int:
    with suppress(AttributeError):  # a stream put in place of the real one may have nothing to set
        sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    session = ScriptSession(
        client,
        bot,
        ScriptLines(script),
        write=_printer(sys.stdout),
        complain=say,
        patience=options.patience,
        clock=SystemClock(),
    )
    try:
        return await session.run()
    except BrokenPipeError:
        # Nobody reads the transcript any more; what is still buffered must not complain at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE


def _terminal() -> type[Terminal]:
    """Load what a terminal needs and a script does not: 0.3 s, while the bot starts."""
    from bot.rehearsal.terminal import Terminal  # noqa: PLC0415  prompt_toolkit and rich, see above

    return Terminal


def _printer(stream: TextIO) -> Callable[[str], None]:
    def write(line: str) -> None:
        stream.write(f"{line}\n")
        stream.flush()

    return write


def say(text: str) -> None:
    """Say something beside the transcript."""
    _printer(sys.stderr)(text)


@contextmanager
def _stopping_on_signals() -> Iterator[list[int]]:
    """End in order when asked to or when the terminal's window is closed; gives what was received."""
    received: list[int] = []
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert task is not None

    def stop(number: int) -> None:
        received.append(number)
        task.cancel()

    handled = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    try:
        for number in handled:
            # Windows has no such handlers, and only the main thread may set them.
            with suppress(NotImplementedError, ValueError, RuntimeError):
                loop.add_signal_handler(number, stop, number)
        yield received
    finally:
        for number in handled:
            with suppress(NotImplementedError, ValueError, RuntimeError):
                loop.remove_signal_handler(number)
