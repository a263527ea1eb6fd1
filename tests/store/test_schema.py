"""The database's version: made, migrated, refused, and never left half way."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from textwrap import dedent

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import URL, create_engine, event, text
from structlog.testing import capture_logs

from bot.errors import SetupError
from bot.store import log, schema, spaceless
from bot.store.store import Store
from tests.store.story import line, started, texts

# A next version as it will be written some day: SQLite can only change a table by replacing it.
CHANGES_SCENES = """
    with op.batch_alter_table("scenes", recreate="always") as scenes:
        scenes.add_column(sa.Column("weather", sa.String(20)))
"""
BREAKS_HALF_WAY = """
    op.add_column("scenes", sa.Column("weather", sa.String(20)))
    raise RuntimeError("the migration has a bug")
"""
# As kill -9 does it: no handler runs, nothing is closed.
DIES_HALF_WAY = """
    op.add_column("scenes", sa.Column("weather", sa.String(20)))
    import os
    os._exit(9)
"""
FIRST_SCENE = """
    INSERT INTO scenes (channel_id, title, mode, lead, state, started_by, created_at, heard_from)
    VALUES (5, 'The Drowned Bell', 'natural', 'narrator', 'active', 7, 0, 0)
"""
FIRST_ENTRY = """
    INSERT INTO entries (scene_id, seq, kind, speaker, text, created_at)
    VALUES (1, 1, 'player', 'Mira', 'I open the door.', 0)
"""
LEAVES_DANGLING_ROWS = """
    op.execute("DELETE FROM scenes")
"""


def next_version(folder: Path, upgrade: str) -> Path:
    copied = folder / "100% sure" / "migrations"
    shutil.copytree(schema.MIGRATIONS, copied, ignore=shutil.ignore_patterns("__pycache__"))
    (copied / "versions" / "9999_next.py").write_text(
        dedent(f"""\
            import sqlalchemy as sa
            from alembic import op

            revision = "9999"
            down_revision = {schema.HEAD!r}


            def upgrade():
            """)
        + upgrade,
        encoding="utf-8",
    )
    return copied


def become_next_version(monkeypatch: pytest.MonkeyPatch, folder: Path, upgrade: str) -> None:
    monkeypatch.setattr(schema, "MIGRATIONS", next_version(folder, upgrade))
    monkeypatch.setattr(schema, "HEAD", "9999")


def layout(file: Path) -> list[tuple[str, ...]]:
    """Everything that SQLite knows about the file's tables, indexes and constraints."""
    with closing(sqlite3.connect(file)) as connection:
        rows = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name")
        return [(kind, name, table, " ".join((sql or "").split())) for kind, name, table, sql in rows]


def version(file: Path) -> str | None:
    with closing(sqlite3.connect(file)) as connection:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return row[0] if row else None


async def an_evening(file: Path) -> None:
    store = await Store.open(file)
    scene_id = await started(store)
    async with store.transaction() as tx:
        await log.append(tx, line(scene_id, 1, "I ring the bell."), [77])
    await store.aclose()


def back_to_the_beginning(file: Path) -> None:
    """Make a file as Alembic leaves it after taking every migration back."""
    file.parent.mkdir()
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(schema.CREATE_VERSION_TABLE)


def migrations() -> Config:
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS).replace("%", "%%"))
    return config


HISTORY = [one.revision for one in reversed([*ScriptDirectory.from_config(migrations()).walk_revisions()])]


def knows_words(connection: sqlite3.Connection, _record: object) -> None:
    connection.create_function(spaceless.FUNCTION, 1, spaceless.apart, deterministic=True)


def made_by(revision: str, file: Path) -> None:
    """Make the file that an earlier version has left, with one evening in it."""
    file.parent.mkdir()
    config = migrations()
    engine = create_engine(URL.create("sqlite", database=str(file)))
    event.listen(engine, "connect", knows_words)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        # As the first version stored it; a later one that asks for more gives it a default.
        connection.execute(text(FIRST_SCENE))
        connection.execute(text(FIRST_ENTRY))
    engine.dispose()


def test_head_is_the_latest_migration() -> None:
    assert HISTORY[-1] == schema.HEAD


async def test_a_migrated_database_is_the_same_as_a_new_one(file: Path, tmp_path: Path) -> None:
    new, migrated = file, tmp_path / "migrated" / "hearthside.sqlite"
    back_to_the_beginning(migrated)
    for one in (new, migrated):
        store = await Store.open(one)
        await store.aclose()

    assert version(migrated) == version(new) == schema.HEAD
    assert layout(migrated) == layout(new)
    assert len([kind for kind, *_ in layout(new) if kind == "table"]) > 8


@pytest.mark.parametrize("revision", HISTORY)
async def test_every_earlier_version_is_migrated_with_its_rows(
    revision: str, file: Path, tmp_path: Path
) -> None:
    old, new = tmp_path / "old" / "hearthside.sqlite", file
    made_by(revision, old)
    await (await Store.open(new)).aclose()

    store = await Store.open(old)
    assert await texts(store, 1) == ["I open the door."]
    await store.aclose()
    assert layout(old) == layout(new)


async def test_a_next_version_keeps_every_row_and_a_copy_of_the_file_before_it(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await an_evening(file)
    old = version(file)
    become_next_version(monkeypatch, tmp_path, CHANGES_SCENES)
    with capture_logs() as said:
        store = await Store.open(file)

    assert await texts(store, 1) == ["I ring the bell."]
    with pytest.raises(Exception, match="FOREIGN KEY"):
        async with store.transaction() as tx:
            await log.append(tx, line(scene_id=999, seq=1))
    await store.aclose()
    assert version(file) == "9999"
    assert "weather" in str(layout(file))

    copy = file.with_name("hearthside.sqlite.before-9999")
    assert [one["copy"] for one in said] == [str(copy)]
    assert version(copy) == old
    assert "weather" not in str(layout(copy))
    shutil.copy(copy, tmp_path / "restored.sqlite")
    monkeypatch.undo()
    restored = await Store.open(tmp_path / "restored.sqlite")
    assert await texts(restored, 1) == ["I ring the bell."]
    await restored.aclose()


@pytest.mark.parametrize(
    ("upgrade", "complaint"),
    [(BREAKS_HALF_WAY, "the migration has a bug"), (LEAVES_DANGLING_ROWS, "rows that point nowhere")],
)
async def test_a_migration_that_fails_leaves_the_old_version(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, upgrade: str, complaint: str
) -> None:
    await an_evening(file)
    before = layout(file)
    become_next_version(monkeypatch, tmp_path, upgrade)
    with pytest.raises(Exception, match=complaint):
        await Store.open(file)
    monkeypatch.undo()

    assert (version(file), layout(file)) == (schema.HEAD, before)
    store = await Store.open(file)
    assert await texts(store, 1) == ["I ring the bell."]
    await store.aclose()


async def test_a_migration_that_is_killed_leaves_the_old_version(file: Path, tmp_path: Path) -> None:
    await an_evening(file)
    before = layout(file)
    dying = next_version(tmp_path, DIES_HALF_WAY)
    program = f"""
import asyncio, pathlib
from bot.store import schema
from bot.store.store import Store
schema.MIGRATIONS, schema.HEAD = pathlib.Path({str(dying)!r}), "9999"
asyncio.run(Store.open(pathlib.Path({str(file)!r})))
"""
    project = Path(__file__).parents[2]
    child = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", program], cwd=project, capture_output=True, check=False
    )
    assert child.returncode == 9, child.stderr.decode()

    assert (version(file), layout(file)) == (schema.HEAD, before)
    store = await Store.open(file)
    assert await texts(store, 1) == ["I ring the bell."]
    await store.aclose()


async def test_without_room_for_the_copy_nothing_is_migrated(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await an_evening(file)
    before = layout(file)
    file.with_name("hearthside.sqlite.before-9999").mkdir()
    become_next_version(monkeypatch, tmp_path, CHANGES_SCENES)
    with pytest.raises(SetupError, match=r"its copy .*before-9999 cannot be made"):
        await Store.open(file)
    monkeypatch.undo()
    assert (version(file), layout(file)) == (schema.HEAD, before)


async def test_a_newer_version_is_left_alone(file: Path) -> None:
    await an_evening(file)
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '2099'")
    with pytest.raises(SetupError, match=r"newer version of Hearthside\. Update Hearthside"):
        await Store.open(file)
    assert version(file) == "2099"


async def test_another_programs_database_is_left_alone(file: Path) -> None:
    file.parent.mkdir()
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE bookmarks (address TEXT)")
    before = layout(file)
    with pytest.raises(SetupError, match="belongs to another program"):
        await Store.open(file)
    assert layout(file) == before


async def test_migrating_is_not_loaded_for_a_database_that_is_up_to_date(file: Path) -> None:
    """It would cost every start 150 ms and 10 MiB."""
    await an_evening(file)
    program = f"""
import asyncio, pathlib, sys
from bot.store.store import Store
async def main():
    await (await Store.open(pathlib.Path({str(file)!r}))).aclose()
asyncio.run(main())
sys.exit("alembic" in sys.modules)
"""
    child = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", program], cwd=Path(__file__).parents[2], check=False
    )
    assert child.returncode == 0
