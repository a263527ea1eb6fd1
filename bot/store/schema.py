"""The schema's version: new databases are made whole, older ones are migrated, newer ones are left alone."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import inspect, text

from bot.errors import SetupError
from bot.store import memory_tables

if TYPE_CHECKING:
    import sqlalchemy

    from bot.store.connection import Connection

# The latest migration in migrations/versions/. A test compares the two.
HEAD = "0009"

MIGRATIONS = Path(__file__).parent / "migrations"

# Alembic's own table, as Alembic makes it.
VERSION_TABLE = "alembic_version"
CREATE_VERSION_TABLE = """
CREATE TABLE alembic_version (
    version_num VARCHAR(32) NOT NULL,
    CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
)
"""


async def prepare(connection: Connection, path: Path) -> None:
    """Bring the database to this version, in one transaction.

    Alembic is only loaded for a database that is behind: it costs a start 0.15 s and 10 MiB.
    Raises SetupError for a database that a newer version or another program has written.
    """
    # SQLite cannot change a table, only replace it: with foreign keys on, dropping the old `scenes` would
    # delete every entry of theirs. Inside a transaction the switch does nothing.
    await connection.outside("PRAGMA foreign_keys=OFF")
    async with connection.transaction():
        await connection.run(_bring_up, path)
    await connection.outside("PRAGMA foreign_keys=ON")


def _bring_up(connection: sqlalchemy.Connection, path: Path) -> None:
    tables = inspect(connection).get_table_names()
    if not tables:
        _create(connection)
    elif VERSION_TABLE not in tables:
        raise SetupError(
            f"The database {path} belongs to another program.",
            hint="Point DATABASE_URL to another file.",
        )
    else:
        _require_writable(connection)
        if (version := _version(connection)) != HEAD:
            _migrate(connection, version, path)


def _require_writable(connection: sqlalchemy.Connection) -> None:
    """Fail for a read-only file: SQLite begins a transaction on it and says so only when it shall write."""
    connection.execute(text("DELETE FROM alembic_version WHERE 0"))


def _version(connection: sqlalchemy.Connection) -> str | None:
    """Give the version that the database says it has; None if every migration was taken back."""
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _create(connection: sqlalchemy.Connection) -> None:
    # Of all tables: these are imported last. None is there, and to ask for each takes as long as to make it.
    memory_tables.recalled.metadata.create_all(connection, checkfirst=False)
    for sql in memory_tables.PASSAGES:
        connection.exec_driver_sql(sql)
    connection.execute(text(CREATE_VERSION_TABLE))
    connection.execute(text("INSERT INTO alembic_version VALUES (:head)"), {"head": HEAD})


def _migrate(connection: sqlalchemy.Connection, version: str | None, path: Path) -> None:
    from alembic import command  # noqa: PLC0415  # imported when first needed: 150 ms
    from alembic.config import Config  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if version is not None and version not in known:
        raise SetupError(
            f"The database {path} was written by a newer version of Hearthside.",
            hint="Update Hearthside, or point DATABASE_URL to another file.",
        )
    copy = _copy(path)
    command.upgrade(config, "head")
    dangling = connection.execute(text("PRAGMA foreign_key_check")).all()
    assert not dangling, f"the migration from {version} to {HEAD} leaves rows that point nowhere: {dangling}"
    structlog.get_logger("store").info("database_migrated", since=version, to=HEAD, copy=str(copy))


def _copy(path: Path) -> Path:
    """Copy the database as it was before the transaction that is open now: what an operator goes back to."""
    copy = path.with_name(f"{path.name}.before-{HEAD}")
    unfinished = path.with_name(f"{copy.name}.part")
    try:
        unfinished.unlink(missing_ok=True)
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(unfinished)) as target:
            source.backup(target)
        return unfinished.replace(copy)
    except (OSError, sqlite3.Error) as error:
        raise SetupError(
            f"The database {path} is of an older version, and its copy {copy} cannot be made: {error}.",
            hint="Make room on the disk, and give the bot's user the right to write to the folder.",
        ) from error
