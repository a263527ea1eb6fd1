"""aiosqlite as SQLAlchemy and this bot use it: one trip to the driver's thread where they would take four."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar

import aiosqlite

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Executable

T = TypeVar("T")


class Compiled(NamedTuple):
    """A statement in SQLite's words, and the names of its parameters in their order."""

    sql: str
    names: tuple[str, ...]


class Driver(aiosqlite.Connection):
    """aiosqlite with one trip to its thread for each statement, where SQLAlchemy and its cursor take four.

    `begin` is the statement that a transaction waits to begin with: it goes on the trip of the next one.
    `compiled` are the statements that `Connection.repeat` has run: a driver serves many connections in turn.
    """

    def __init__(self, connector: Callable[[], sqlite3.Connection]) -> None:
        super().__init__(connector, iter_chunk_size=64)
        self._thread.daemon = True  # as SQLAlchemy has it: no connection keeps a process from ending
        self.begin = ""
        self.compiled: dict[Executable, Compiled] = {}

    def cursor(self) -> Cursor:  # type: ignore[override]  # what SQLAlchemy asks of one, and no more
        """Give a cursor for one statement."""
        return Cursor(self)

    async def fetched(self, method: str, sql: str, parameters: Any) -> tuple[sqlite3.Cursor, list[Any]]:
        """Run a statement by that method of a cursor; give the cursor, closed, and all rows."""

        def run() -> tuple[sqlite3.Cursor, list[Any]]:
            cursor = self._conn.cursor()
            try:
                getattr(cursor, method)(sql, parameters)
                return cursor, cursor.fetchall()
            finally:
                cursor.close()

        return await self.visit(run)

    async def visit(self, work: Callable[[], T]) -> T:
        """Run a function in the driver's thread, behind what a transaction waits to begin with."""
        begin, self.begin = self.begin, ""

        def trip() -> T:
            if begin:
                self._conn.execute(begin)
            return work()

        done: T = await self._execute(trip)  # type: ignore[no-untyped-call]
        return done

    @property
    def connection(self) -> sqlite3.Connection:
        """The driver's own connection: for its thread alone."""
        return self._conn

    async def commit(self) -> None:
        """Commit, if anything was run."""
        if not self._unbegun():
            await super().commit()

    async def rollback(self) -> None:
        """Take back what was run, if anything, before anything else is: that is not waited for."""
        if not self._unbegun():
            self._tx.put_nowait((None, self._conn.rollback))

    def _unbegun(self) -> bool:
        begin, self.begin = self.begin, ""
        return bool(begin)


class Cursor:
    """A statement and its rows, as SQLAlchemy asks a driver for them."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._rows: list[Any] = []
        self.arraysize = 1
        self.description: Any = None
        self.rowcount = -1
        self.lastrowid: int | None = None

    async def __aenter__(self) -> Self:
        return self

    async def execute(self, sql: str, parameters: Any = ()) -> None:
        """Run a statement."""
        await self._run("execute", sql, parameters)

    async def executemany(self, sql: str, parameters: Any) -> None:
        """Run a statement once for each set of parameters."""
        await self._run("executemany", sql, parameters)

    async def fetchall(self) -> list[Any]:
        """Give the rows, which are here already."""
        return self._rows

    async def close(self) -> None:
        """Do nothing: the driver's own cursor was closed when its rows had been read."""

    async def _run(self, method: str, sql: str, parameters: Any) -> None:
        done, self._rows = await self._driver.fetched(method, sql, parameters)
        self.description, self.rowcount, self.lastrowid = done.description, done.rowcount, done.lastrowid
