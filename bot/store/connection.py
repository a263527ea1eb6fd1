"""A connection to the database for asyncio: SQLAlchemy Core over aiosqlite.

SQLAlchemy's own asyncio extension imports the whole ORM with it, which costs every start 0.1 s and 6 MiB.
What is left of it here is what it is made of: SQLAlchemy's blocking code runs in a greenlet that lets the
event loop go on while the driver's thread works.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Concatenate, NamedTuple, ParamSpec, TypeVar

from sqlalchemy import URL, ClauseElement, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.util import greenlet_spawn

from bot.store import spaceless
from bot.store.driver import Compiled, Driver

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
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
        sql, parameters = self._written(statement, values)
        if not self._blocking.in_transaction():
            self._blocking.begin()  # sends nothing yet; what is read next is read of the same state
        try:
            cursor, rows = await self._driver().fetched("execute", sql, parameters)
        except sqlite3.Error as error:
            raise self._explained(error, sql) from error
        return Done(rows, cursor.rowcount)

    async def together(self, work: Work[T]) -> T:
        """Do several things in one trip to the driver's thread: `work` awaits nothing but `repeat`.

        What it is handed is this connection there, and good for nothing after that.
        """
        if not self._blocking.in_transaction():
            self._blocking.begin()
        return await self._driver().visit(partial(_finished, work, _There(self._blocking)))

    async def at_once(self, work: Work[T], end: str) -> T:
        """Do a whole transaction, up to the statement that is its `end`, in one trip, like `together`.

        It is taken back if anything fails. Who is cancelled meanwhile does not learn what became of it.
        """
        begin = self._blocking.get_execution_options().get(BEGIN, "BEGIN")
        connection = self._driver().connection

        def trip() -> T:
            connection.execute(begin)
            try:
                done = _finished(work, _There(self._blocking))
                connection.execute(end)
            except BaseException:
                connection.rollback()
                raise
            return done

        return await self._driver().visit(trip)

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
        closing = asyncio.ensure_future(greenlet_spawn(self._blocking.close))
        try:
            await asyncio.shield(closing)
        except asyncio.CancelledError:
            await asyncio.wait({closing})  # the event loop may be about to end, and would leave it open
            raise

    def _driver(self) -> Driver:
        driver = self._blocking.connection.driver_connection
        assert isinstance(driver, Driver)
        return driver

    def _written(self, statement: Executable, values: Mapping[str, Any]) -> tuple[str, tuple[Any, ...]]:
        """Give a statement in SQLite's words, and its parameters in their order."""
        known = self._driver().compiled
        compiled = known.get(statement)
        if compiled is None:
            compiled = known[statement] = self._compile(statement, values)
        return compiled.sql, tuple([values[name] for name in compiled.names])

    def _explained(self, error: sqlite3.Error, sql: str) -> Exception:
        """Give an error as SQLAlchemy would have raised it."""
        explained = DBAPIError.instance(
            sql, None, error, sqlite3.Error, hide_parameters=True, dialect=self._blocking.dialect
        )
        assert isinstance(explained, Exception)
        return explained

    def _compile(self, statement: Executable, values: Mapping[str, Any]) -> Compiled:
        assert isinstance(statement, ClauseElement)
        compiled = statement.compile(dialect=self._blocking.dialect, column_keys=list(values))
        assert isinstance(compiled, SQLCompiler)
        return Compiled(str(compiled), tuple(compiled.positiontup or ()))


Work = Callable[[Connection], Coroutine[Any, Any, T]]
"""What is done with a connection in its driver's thread."""


class _There(Connection):
    """A connection in its driver's thread, for one trip: it can `repeat`, and nothing else."""

    async def repeat(self, statement: Executable, values: Mapping[str, Any]) -> Done:
        """Run a statement without ever waiting."""
        sql, parameters = self._written(statement, values)
        try:
            cursor = self._driver().connection.execute(sql, parameters)
            return Done(cursor.fetchall(), cursor.rowcount)
        except sqlite3.Error as error:
            raise self._explained(error, sql) from error


def _finished(work: Work[T], connection: Connection) -> T:
    """Run a coroutine that never waits to its end, where there is no event loop."""
    running = work(connection)
    try:
        running.send(None)
    except StopIteration as end:
        done: T = end.value
        return done
    finally:
        running.close()
    raise RuntimeError("in a trip to the driver's thread nothing but `repeat` can be awaited")


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
        async with self._lent() as connection:
            yield connection
            await connection.rest()

    async def at_once(self, work: Work[T]) -> T:
        """Read several things, of one state, in one trip to a driver's thread; see `Connection.together`."""
        async with self._lent() as connection:
            return await connection.at_once(work, "ROLLBACK")

    @asynccontextmanager
    async def _lent(self) -> AsyncIterator[Connection]:
        async with self._room:
            connection = self._resting.pop() if self._resting else await connected(self._engine)
            try:
                yield connection
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
    # The triggers that keep the index of words ask for it.
    connection.create_function(spaceless.FUNCTION, 1, spaceless.apart, deterministic=True)


def _begin(connection: sqlalchemy.Connection) -> None:
    driver = connection.connection.driver_connection
    assert isinstance(driver, Driver)
    driver.begin = connection.get_execution_options().get(BEGIN, "BEGIN")
