"""The bot as a fork of a process that has imported it already: that saves a start most of its work.

Otherwise it is a process of its own as ever, with its own environment, signals and end. That it starts
without such help is seen in tests/rehearsal/test_play_session.py, where `python -m bot play` starts it.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

from bot.rehearsal.play_bot import BotProcess, running_bot

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerProcess

IMPORTED = [
    __name__,
    "bot.app",
    "bot.cli",
    "bot.logs",
    "bot.model.wire",
    "anyio._backends._asyncio",
    "truststore",
]
"""What every bot imports sooner or later. What is not found here, the bot imports itself."""


def run(arguments: Sequence[str], environment: Mapping[str, str], folder: Path, log: Path) -> None:
    """Be `hearthside` with those arguments; what it prints goes to the log."""
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    printed = os.open(log, os.O_WRONLY | os.O_APPEND)
    os.dup2(printed, 1)
    os.dup2(printed, 2)
    os.close(printed)
    from bot.cli import main  # noqa: PLC0415  # only a fork needs it

    sys.exit(main(arguments))


class Fork:
    """A forked process with what `BotProcess` asks of an `asyncio.subprocess.Process`."""

    def __init__(self, process: ForkServerProcess) -> None:
        self.pid = process.pid
        self.returncode: int | None = None
        self._process = process
        self._ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(process.sentinel, self._end)

    def _end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._process.sentinel)
        self._process.join()
        self.returncode = self._process.exitcode
        self._process.close()
        self._ended.set()

    async def wait(self) -> int | None:
        await self._ended.wait()
        return self.returncode

    def terminate(self) -> None:
        if self.returncode is None:
            self._process.terminate()

    def kill(self) -> None:
        if self.returncode is None:
            self._process.kill()


@asynccontextmanager
async def forked_bot(environment: Mapping[str, str], *, log: Path, folder: Path) -> AsyncIterator[BotProcess]:
    """Run the bot as `running_bot` does, forked where the system can."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        command = (sys.executable, "-m", "bot", "run")
        async with running_bot(command, environment, log_path=log, folder=folder, complain=print) as bot:
            yield bot
        return
    await asyncio.to_thread(log.write_bytes, b"")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED)
    process = context.Process(target=run, args=(["run"], {**os.environ, **environment}, folder, log))
    process.start()
    forked = BotProcess(cast("asyncio.subprocess.Process", Fork(process)), log)
    try:
        yield forked
    finally:
        await forked.stop(print)
