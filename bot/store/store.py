"""The database: one writer, whole transactions, readers that do not block it."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from bot.errors import SetupError
from bot.store import schema

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

# How long to wait for another program that has the file locked, in seconds.
PATIENCE = 5.0
READERS = 2

# The WAL-reset bug that can corrupt a database with two connections: https://sqlite.org/wal.html
WAL_RESET_FIXED = (3, 51, 3)


class Store:
    """Where everything is kept that has to outlive the process.

    Every change goes through `transaction()`; nothing else writes.
    """

    def __init__(self, writer: AsyncConnection, engines: tuple[AsyncEngine, AsyncEngine], path: Path) -> None:
        self.path = path
        self._writer = writer
        self._engines = engines
        self._turnstile = asyncio.Lock()

    @classmethod
    async def open(cls, path: Path, *, patience: float = PATIENCE) -> Store:
        """Open the SQLite file, make or migrate its tables, and be ready to write.

        A file that another program has locked is waited for, `patience` seconds long.
        Raises SetupError if the file stays locked, is read-only, not a database, or from a newer version.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SetupError(
                f"The folder {path.parent} for the database cannot be made: {error.strerror}.",
                hint="Make it yourself, or point DATABASE_URL elsewhere.",
            ) from error
        write_engine = _engine(path, begin="BEGIN IMMEDIATE", size=1, patience=patience)
        read_engine = _engine(path, begin="BEGIN", size=READERS, patience=patience)
        try:
            with explained(path):
                # What cannot be opened fails here, not in a connection's thread that outlives the event loop.
                sqlite3.connect(path).close()
                await schema.prepare(write_engine, path)
                writer = await write_engine.connect()
        except BaseException:
            await write_engine.dispose()
            raise
        return cls(writer, (write_engine, read_engine), path)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """Change things: all of it is on disk when the block ends, or nothing if it raises."""
        with explained(self.path):
            async with self._turnstile, self._writer.begin():
                yield self._writer

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """Look things up in one consistent state, beside the writer."""
        with explained(self.path):
            async with self._engines[1].connect() as connection:
                yield connection

    async def aclose(self) -> None:
        """Close all connections. What was written stays."""
        async with self._turnstile:
            await self._writer.close()
        for engine in self._engines:
            await engine.dispose()


def warnings() -> list[str]:
    """Say what is known to be wrong with this machine's SQLite."""
    if sqlite3.sqlite_version_info >= WAL_RESET_FIXED:
        return []
    rare_bug = f"SQLite {sqlite3.sqlite_version} has a rare bug that can damage a database in WAL mode"
    return [f"{rare_bug} (mended in 3.51.3). Back up the data folder, or use a newer Python."]


def _engine(path: Path, *, begin: str, size: int, patience: float) -> AsyncEngine:
    engine = create_async_engine(
        URL.create("sqlite+aiosqlite", database=str(path)),
        pool_size=size,
        max_overflow=0 if size == 1 else 8,
        connect_args={"isolation_level": None, "timeout": patience},
        hide_parameters=True,  # what players say has no place in an error's text
    )

    @event.listens_for(engine.sync_engine, "connect")
    def configure(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            # Deleted text is overwritten in the file, not only unlinked.
            "secure_delete=ON",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def start(connection: Any) -> None:
        connection.exec_driver_sql(begin)

    return engine


class explained:  # noqa: N801  # reads as a phrase where it is used: `with explained(path)`
    """Turn SQLite's own words for a broken file into what the operator can do about it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """Raise SetupError in place of an error that the operator can mend."""
        if not isinstance(error, DBAPIError | sqlite3.Error):
            return
        said = str(getattr(error, "orig", error)).lower()
        for words, message, hint in _CAUSES:
            if words in said:
                raise SetupError(message.format(path=self._path), hint=hint) from error


_CAUSES = (
    (
        "locked",
        "The database {path} is locked by another program.",
        "Close the other copy of the bot, or whatever has the file open, and start again.",
    ),
    (
        "readonly",
        "The database {path} is read-only.",
        "Give the bot's user the right to write to it and to its folder.",
    ),
    (
        "unable to open",
        "The database {path} cannot be opened.",
        "Check that its folder exists and that the bot's user may write there.",
    ),
    (
        "not a database",
        "The file {path} is not a SQLite database.",
        "Point DATABASE_URL to another file, or move this one away.",
    ),
    (
        "malformed",
        "The database {path} is damaged.",
        "Put back your latest backup; `sqlite3 FILE .recover` may help.",
    ),
    (
        "disk is full",
        "The disk that holds {path} is full.",
        "Make room; nothing that was said so far is lost.",
    ),
    ("disk i/o error", "The disk refused to write {path}.", "Check the disk and its free space."),
)
