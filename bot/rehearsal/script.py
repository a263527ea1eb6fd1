"""Lines typed without a terminal: from a script file or piped standard input."""

from __future__ import annotations

import asyncio
import os
import threading

from bot.errors import TableError
from bot.rehearsal.terminal_line import LINE_LIMIT

_BYTES = 4 * LINE_LIMIT + 4  # more than a line may have in UTF-8, where a character takes at most four
_CHUNK = 65_536
_READ_AHEAD = 64


def is_comment(line: str) -> bool:
    """Tell whether a line is a remark to the reader (`# like this`). `#3` is a control being pressed."""
    return line == "#" or line.startswith("# ")


class ScriptLines:
    """The lines of a file or pipe, read as they arrive, without ever holding up the event loop.

    A thread reads the descriptor itself: a silent pipe must not keep the program from ending, and Python's
    own standard input may not be in use when it does.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._loop = asyncio.get_running_loop()
        self._lines: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._space = threading.Semaphore(_READ_AHEAD)
        threading.Thread(target=self._read, name="script", daemon=True).start()

    async def next(self) -> str | None:
        """Give the next line without its end, or None after the last.

        Raises TableError if it is longer than `LINE_LIMIT` or not UTF-8.
        """
        raw = await self._lines.get()
        self._space.release()
        if raw is None:
            return None
        line = raw.rstrip(b"\r").decode("utf-8", errors="replace").removeprefix("\ufeff")
        if len(line) > LINE_LIMIT:
            raise TableError(f"A line is longer than {LINE_LIMIT} characters.")
        if "\ufffd" in line:
            raise TableError("A line is not UTF-8 text.", hint="Save the script as UTF-8.")
        return line

    def _read(self) -> None:
        rest = b""
        try:
            while chunk := os.read(self._descriptor, _CHUNK):
                *whole, rest = (rest + chunk).split(b"\n")
                for line in whole:
                    self._put(line)
                rest = rest[:_BYTES]  # an overlong line is refused, not kept
            if rest:
                self._put(rest)
            self._put(None)
        except (OSError, RuntimeError):
            return  # the file is closed or the loop is: nobody listens any more

    def _put(self, line: bytes | None) -> None:
        self._space.acquire()
        self._loop.call_soon_threadsafe(self._lines.put_nowait, line)
