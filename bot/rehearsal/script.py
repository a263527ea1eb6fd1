"""Lines typed without a terminal: from a script file or piped standard input."""

from __future__ import annotations

import asyncio
import threading
from typing import BinaryIO

from bot.errors import TableError
from bot.rehearsal.terminal_line import LINE_LIMIT

_BYTES = 4 * LINE_LIMIT  # UTF-8 takes at most four bytes for a character


def is_comment(line: str) -> bool:
    """Tell whether a line is a remark to the reader (`# like this`). `#3` is a control being pressed."""
    return line == "#" or line.startswith("# ")


class ScriptLines:
    """The lines of a stream, read as they arrive, without ever holding up the event loop.

    A thread of its own does the reading: a pipe whose writer is silent must not keep the program from ending.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._loop = asyncio.get_running_loop()
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()
        self._room = threading.Semaphore(64)  # lines read ahead
        threading.Thread(target=self._read, name="script", daemon=True).start()

    async def next(self) -> str | None:
        """Give the next line without its end, or None after the last.

        Raises TableError if it is longer than `LINE_LIMIT` or not UTF-8.
        """
        line = await self._lines.get()
        self._room.release()
        if line is not None and len(line) > LINE_LIMIT:
            raise TableError(f"A line is longer than {LINE_LIMIT} characters.")
        if line is not None and "\ufffd" in line:
            raise TableError("A line is not UTF-8 text.", hint="Save the script as UTF-8.")
        return line

    def _read(self) -> None:
        first = True
        while self._room.acquire():
            raw = self._stream.readline(_BYTES + 2)
            text = (
                raw.decode("utf-8-sig" if first else "utf-8", errors="replace").rstrip("\r\n")
                if raw
                else None
            )
            first = False
            try:
                self._loop.call_soon_threadsafe(self._lines.put_nowait, text)
            except RuntimeError:  # the loop has closed: nobody is listening any more
                return
            if text is None:
                return
