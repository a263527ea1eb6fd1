"""A connection to the database for asyncio: SQLAlchemy Core over aiosqlite.

SQLAlchemy's own asyncio extension imports the whole ORM with it, which costs every start 0.1 s and 6 MiB.
What is left of it here is what it is made of: SQLAlchemy's blocking code runs in a greenlet that lets the
event loop go on while the driver's thread works.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Concatenate, NamedTuple, ParamSpec, Self, TypeVar

import aiosqlite
from sqlalchemy import URL, ClauseElement, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.util import greenlet_spawn

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from pathlib import Path

    import sqlalchemy
    from sqlalchemy import CursorResult, Engine, Executable

P = ParamSpec("P")
T = TypeVar("T")

BEGIN = "begin"
"""The execution option that says with which statement an engine's transactions begin."""
SHORT_PATIENCE_MS = 20
"""Milliseconds for which readers are waited for where it can be tried again."""
PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    # Deleted text is overwritten in the file, not only unlinked.
    "secure_delete=ON",
)


class Done(NamedTuple):
    """What a statement gave: its rows, and how many it changed."""

    rows: list[Any]
    rowcount: int


class Compiled(NamedTuple):
    """A statement in SQLite's words, and the names of its parameters in their order."""

    sql: str
    names: tuple[str, ...]


class Connection:
    """One connection. Statements come back complete: their results hold every row."""

    def __init__(self, blocking: sqlalchemy.Connection) -> None:
        self._blocking = blocking

    async def execute(
        self, statement: Executable, parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None
    ) -> CursorResult[Any]:
        """Run a statement, or one for each of several sets of parameters."""
        return await greenlet_spawn(self._blocking.execute, statement, parameters)

    async def repeat(self, statement: Executable, values: Mapping[str, Any]) -> Done:
        """Run one of the few statements that every message runs, past SQLAlchemy's 0.1 ms for each.

        It is compiled the first time and known by its identity after that: hand in the same object, with
        values for the same names, of types that SQLite takes as they are.
        """
        known = self._driver().compiled
        compiled = known.get(statement)
        if compiled is None:
            compiled = known[statement] = self._compile(statement, values)
        parameters = tuple(values[name] for name in compiled.names)
        if not self._blocking.in_transaction():
            self._blocking.begin()  # sends nothing yet; what is read next is read of the same state
        try:
            cursor, rows = await self._driver().fetched("execute", compiled.sql, parameters)
        except sqlite3.Error as error:
            raise DBAPIError.instance(
                compiled.sql, None, error, sqlite3.Error, hide_parameters=True, dialect=self._blocking.dialect
            ) from error
        return Done(rows, cursor.rowcount)

    async def exec_driver_sql(self, sql: str) -> CursorResult[Any]:
        """Run a statement that is SQLite's own."""
        return await greenlet_spawn(self._blocking.exec_driver_sql, sql)

    async def run(
        self,
        work: Callable[Concatenate[sqlalchemy.Connection, P], T],
        *arguments: P.args,
        **named: P.kwargs,
    ) -> T:
        """Run a function that uses the connection as if it blocked."""
        return await greenlet_spawn(partial(work, self._blocking, *arguments, **named))

    async def outside(self, sql: str) -> None:
        """Run a statement past SQLAlchemy, which would begin a transaction for it."""
        await self._driver().execute(sql)

    async def checkpoint(self) -> bool:
        """Empty the write-ahead log into the file, outside of a transaction; False if readers need it."""
        driver = self._driver()
        _, ((patience,),) = await driver.fetched("execute", "PRAGMA busy_timeout", ())
        await driver.fetched("execute", f"PRAGMA busy_timeout={SHORT_PATIENCE_MS}", ())
        try:
            _, ((busy, *_),) = await driver.fetched("execute", "PRAGMA wal_checkpoint(TRUNCATE)", ())
        finally:
            await driver.fetched("execute", f"PRAGMA busy_timeout={patience}", ())
        return not busy

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """Commit what is done inside, or roll it back if that raises or is cancelled."""
        transaction = await greenlet_spawn(self._blocking.begin)
        try:
            yield
        except BaseException:
            await greenlet_spawn(transaction.__exit__, *sys.exc_info())
            raise
        await greenlet_spawn(transaction.__exit__, None, None, None)

    async def rest(self) -> None:
        """End what was begun by reading; what was written since is taken back."""
        await greenlet_spawn(self._blocking.rollback)

    async def aclose(self) -> None:
        """Close it, also if the task is cancelled meanwhile."""
        await asyncio.shield(asyncio.ensure_future(greenlet_spawn(self._blocking.close)))

    def _driver(self) -> Driver:
        driver = self._blocking.connection.driver_connection
        assert isinstance(driver, Driver)
        return driver

    def _compile(self, statement: Executable, values: Mapping[str, Any]) -> Compiled:
        assert isinstance(statement, ClauseElement)
        compiled = statement.compile(dialect=self._blocking.dialect, column_keys=list(values))
        assert isinstance(compiled, SQLCompiler)
        return Compiled(str(compiled), tuple(compiled.positiontup or ()))


async def connected(engine: Engine) -> Connection:
    """Give a connection of an engine that `open_engine` made.

    If the task is cancelled meanwhile it is opened to its end and closed: the driver would drop it open.
    """
    opening = asyncio.ensure_future(greenlet_spawn(engine.connect))
    try:
        return Connection(await asyncio.shield(opening))
    except asyncio.CancelledError:
        await asyncio.wait({opening})
        if opening.exception() is None:
            await Connection(opening.result()).aclose()
        raise


async def dispose(engine: Engine) -> None:
    """Close the connections that nobody uses."""
    await greenlet_spawn(engine.dispose)


class Readers:
    """Connections to read with, `most` of them: who comes when all are in use waits for one.

    They are opened when they are needed and kept open, since opening one takes longer than most of what is
    read. Each has a thread, a cache and statements that SQLite has compiled: up to 2 MiB together.
    """

    def __init__(self, engine: Engine, most: int) -> None:
        self._engine = engine
        self._resting: list[Connection] = []
        self._room = asyncio.Semaphore(most)
        self._closed = False

    @asynccontextmanager
    async def one(self) -> AsyncIterator[Connection]:
        """Give a connection; one whose use fails or is cancelled is closed."""
        async with self._room:
            connection = self._resting.pop() if self._resting else await connected(self._engine)
            try:
                yield connection
                await connection.rest()
            except BaseException:
                await connection.aclose()
                raise
            if self._closed:
                await connection.aclose()
            else:
                self._resting.append(connection)

    async def aclose(self) -> None:
        """Close those that are not in use, and the others when they are not any more."""
        self._closed = True
        while self._resting:
            await self._resting.pop().aclose()


def open_engine(path: Path, *, patience: float) -> Engine:
    """Make the source of connections to a SQLite file. It is not opened before the first is asked for.

    `patience` is how long another program that has the file locked is waited for, in seconds.
    """
    engine = create_engine(
        URL.create("sqlite+aiosqlite", database=str(path)),
        poolclass=NullPool,  # what is kept open is the business of those who use it
        connect_args={"async_creator_fn": _connect, "isolation_level": None, "timeout": patience},
        hide_parameters=True,  # what players say has no place in an error's text
    )
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    return engine


def _connect(*arguments: Any, **options: Any) -> Driver:
    return Driver(partial(sqlite3.connect, *arguments, **options))


def _configure(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    for pragma in PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: sqlalchemy.Connection) -> None:
    driver = connection.connection.driver_connection
    assert isinstance(driver, Driver)
    driver.begin = connection.get_execution_options().get(BEGIN, "BEGIN")


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
        begin, self.begin = self.begin, ""

        def trip() -> tuple[sqlite3.Cursor, list[Any]]:
            if begin:
                self._conn.execute(begin)
            cursor = self._conn.cursor()
            try:
                getattr(cursor, method)(sql, parameters)
                return cursor, cursor.fetchall()
            finally:
                cursor.close()

        found: tuple[sqlite3.Cursor, list[Any]] = await self._execute(trip)  # type: ignore[no-untyped-call]
        return found

    async def commit(self) -> None:
        """Commit, if anything was run."""
        if not self._unbegun():
            await super().commit()

    async def rollback(self) -> None:
        """Take back what was run, if anything."""
        if not self._unbegun():
            await super().rollback()

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
