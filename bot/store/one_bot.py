"""One bot to a database: what a scene is lies in a bot's memory too, and two would each have their own."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bot.errors import SetupError


@contextmanager
def one_bot(database: Path) -> Iterator[None]:
    """Keep other copies of the bot from a database for as long as this one has it.

    The system holds the lock, on a file beside the database, and lets go of it however the bot ends. Where
    there are no such locks (some network drives), nothing is kept from anybody.
    Raises SetupError where another copy has it.
    """
    try:
        database.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(database.with_name(f"{database.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:  # whoever opens the database says what is wrong there
        yield
        return
    try:
        _lock(file, database)
        yield
    finally:
        os.close(file)


def _lock(file: int, database: Path) -> None:
    taken = SetupError(
        f"Another copy of Hearthside is running with {database}.",
        hint="Stop that one first, or give this one a DATABASE_URL of its own.",
    )
    if sys.platform == "win32":
        import msvcrt  # noqa: PLC0415  # only Windows has it

        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            raise taken from None
    else:
        import fcntl  # noqa: PLC0415  # only Windows has it not

        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise taken from None
        except OSError:
            return  # no such locks there
