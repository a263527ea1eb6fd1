"""The schema's version: new databases are made whole, older ones are migrated, newer ones are left alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import inspect, text

from bot.errors import SetupError
from bot.store.tables import metadata

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncEngine

# The latest migration in migrations/versions/. A test compares the two.
HEAD = "0001"

MIGRATIONS = Path(__file__).parent / "migrations"


async def prepare(engine: AsyncEngine, path: Path) -> None:
    """Bring the database to this version.

    Alembic is only loaded for a database that is behind: it costs a start 0.15 s and 10 MiB.
    Raises SetupError for a database that a newer version has written.
    """
    async with engine.begin() as connection:
        version = await connection.run_sync(_version)
        if version is None:
            await connection.run_sync(_create)
        elif version != HEAD:
            await connection.run_sync(_migrate, version, path)


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one())


def _create(connection: Connection) -> None:
    metadata.create_all(connection)
    connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)"))
    connection.execute(text("INSERT INTO alembic_version VALUES (:head)"), {"head": HEAD})


def _migrate(connection: Connection, version: str, path: Path) -> None:
    from alembic import command  # noqa: PLC0415  # imported when first needed: 150 ms
    from alembic.config import Config  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if version not in known:
        raise SetupError(
            f"The database {path} was written by a newer version of Hearthside.",
            hint="Update Hearthside, or point DATABASE_URL to another file.",
        )
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
