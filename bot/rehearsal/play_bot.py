"""The bot as a child process of a rehearsal: started, watched, asked to stop, and never left behind."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from bot.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from pathlib import Path

STOP_SECONDS = 10.0
"""How long the bot may take to end after it was asked to, before it is killed."""

_SOON = 1.0
_TAIL_BYTES = 16_384


class BotProcess:
    """A running bot, whose standard output and error go to `log_path`."""

    def __init__(self, process: asyncio.subprocess.Process, log_path: Path) -> None:
        self._process = process
        self.log_path = log_path

    async def ended(self) -> int:
        """Wait for the bot to end, and give its exit code."""
        return await self._process.wait()

    @property
    def exit_code(self) -> int | None:
        """The code it ended with, None while it runs."""
        return self._process.returncode

    def last_lines(self, count: int = 12) -> list[str]:
        """Read the end of the log."""
        with self.log_path.open("rb") as log:
            log.seek(max(0, self.log_path.stat().st_size - _TAIL_BYTES))
            return log.read().decode("utf-8", errors="replace").splitlines()[-count:]

    def obituary(self) -> str:
        """Say that the bot has ended, with the last it wrote and where the rest is."""
        lines = "".join(f"\n  | {line}" for line in self.last_lines())
        return f"The bot has ended with exit code {self.exit_code}.{lines}\nIts whole log: {self.log_path}"

    async def stop(self, complain: Callable[[str], None]) -> None:
        """Ask the bot to end, wait, and kill it if it does not. On Windows there is no asking.

        `complain` hears of it when that takes long. Cancelled, it kills at once.
        """
        if self.exit_code is not None:
            return
        self._process.terminate()
        try:
            if not await self._ends_within(_SOON):
                complain("stopping the bot ...")
            if not await self._ends_within(STOP_SECONDS - _SOON):
                complain(f"The bot did not end within {STOP_SECONDS:g} seconds and is killed.")
        finally:
            if self.exit_code is None:
                self._process.kill()
        await self._process.wait()

    async def kill(self) -> None:
        """End it at once, as a power cut would."""
        self._process.kill()
        await self._process.wait()

    async def _ends_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._process.wait(), seconds)
        except TimeoutError:
            return False
        return True


@asynccontextmanager
async def running_bot(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    log_path: Path,
    folder: Path,
    complain: Callable[[str], None],
) -> AsyncIterator[BotProcess]:
    """Run the bot in `folder` with `environment` on top of this process's, and stop it at the end.

    Raises SetupError if it cannot be started or its log cannot be written.
    """
    try:
        log_path.parent.mkdir(parents=True, exist_ok=True)
        with log_path.open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *command,
                env={**os.environ, **environment},
                cwd=folder,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # A Ctrl-C at the terminal is for the terminal client, which then stops the bot in order.
                start_new_session=True,
                creationflags=0x200 if sys.platform == "win32" else 0,  # CREATE_NEW_PROCESS_GROUP
            )
    except OSError as error:
        raise SetupError(f"The bot cannot be started: {error}.") from error
    bot = BotProcess(process, log_path)
    try:
        yield bot
    finally:
        await bot.stop(complain)
