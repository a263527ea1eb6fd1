"""The database: one writer, whole transactions, readers that do not block it."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy.exc import DBAPIError

from bot.errors import SetupError, StoreError
from bot.store import schema
from bot.store.connection import BEGIN, Connection, Readers, connected, dispose, open_engine

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from sqlalchemy import Engine

    from bot.store.connection import Work

T = TypeVar("T")

# How long to wait for another program that has the file locked, in seconds.
PATIENCE = 5.0
# Who reads at the same time, beside the writer. Others wait: what is read takes some milliseconds at most.
READERS = 3

# The WAL-reset bug that can corrupt a database with two connections: https://sqlite.org/wal.html
WAL_RESET_FIXED = (3, 51, 3)


class Store:
    """Where everything is kept that has to outlive the process.

    Every change goes through `transaction()` or `change()`; nothing else writes.
    """

    def __init__(self, writer: Connection, engine: Engine, path: Path) -> None:
        self.path = path
        self._writer = writer
        self._engine = engine
        self._readers = Readers(engine, READERS)
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
        async with AsyncExitStack() as undo:
            with explained(path):
                # What cannot be opened fails here, not in a connection's thread that outlives the event loop.
                sqlite3.connect(path).close()
                engine = open_engine(path, patience=patience)
                undo.push_async_callback(dispose, engine)
                # Others wait when a transaction begins, not in its middle, where SQLite would refuse.
                writer = await connected(engine.execution_options(**{BEGIN: "BEGIN IMMEDIATE"}))
                undo.push_async_callback(writer.aclose)
                await schema.prepare(writer, path)
            undo.pop_all()
        return cls(writer, engine, path)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Change things: all of it is on disk when the block ends, or nothing if it raises."""
        with explained(self.path):
            async with self._turnstile, self._writer.transaction():
                yield self._writer

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Connection]:
        """Look things up in one consistent state, beside the writer.

        There are few connections to read with, so nothing else is waited for inside: no other block of this
        kind, no transaction, no lock.
        """
        with explained(self.path):
            async with self._readers.one() as connection:
                yield connection

    async def change(self, work: Work[T]) -> T:
        """Change things in a transaction that is one trip to the writer's thread; see `Connection.together`.

        All of it is on disk when this returns, or nothing if it raises. Most of what a transaction takes is
        the way there and back, and a thread that waits for the interpreter.
        """
        with explained(self.path):
            async with self._turnstile:
                return await self._writer.at_once(work, "COMMIT")

    async def look_up(self, work: Work[T]) -> T:
        """Look things up like `read`, in one trip to a reader's thread; see `Connection.together`."""
        with explained(self.path):
            return await self._readers.at_once(work)

    async def checkpoint(self) -> bool:
        """Have the database file take over what the write-ahead log holds, and empty that.

        False if somebody is reading an older state: try again later.
        """
        with explained(self.path):
            async with self._turnstile:
                return await self._writer.checkpoint()

    async def rewrite(self) -> None:
        """Write the whole database anew; nobody else writes meanwhile: a second for each 100 MB.

        SQLite overwrites what is deleted, but not the copies that it left between the rows of a page when it
        moved them to another: of 7,130 texts that were changed or deleted, 15 still stood in the file.
        """
        with explained(self.path):
            async with self._turnstile:
                await self._writer.outside("VACUUM")

    async def aclose(self) -> None:
        """Close all connections. What was written stays."""
        async with self._turnstile:
            await self._writer.aclose()
        await self._readers.aclose()
        await dispose(self._engine)


def warnings() -> list[str]:
    """Say what is known to be wrong with this machine's SQLite."""
    if sqlite3.sqlite_version_info >= WAL_RESET_FIXED:
        return []
    rare_bug = f"SQLite {sqlite3.sqlite_version} has a rare bug that can damage a database in WAL mode"
    return [f"{rare_bug} (mended in 3.51.3). Back up the data folder, or use a newer Python."]


class explained:  # noqa: N801  # reads as a phrase where it is used: `with explained(path)`
    """Turn SQLite's own words for a broken file into what the operator can do about it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """Raise StoreError in place of an error that the operator can mend."""
        if not isinstance(error, DBAPIError | sqlite3.Error):
            return
        said = str(getattr(error, "orig", error)).lower()
        for words, message, hint in _CAUSES:
            if words in said:
                raise StoreError(message.format(path=self._path), hint=hint) from error


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
