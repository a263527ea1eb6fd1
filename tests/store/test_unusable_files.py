"""A database that cannot be used: one sentence on what is wrong, one on what to do."""

# ruff: noqa: ASYNC240  # nothing else runs while a test lays out its files
from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from bot.errors import SetupError
from bot.store import schema
from bot.store.store import Store, warnings
from tests.store.story import started, texts

NOBODY = 65534


async def refusal(file: Path) -> str:
    with pytest.raises(SetupError) as refused:
        await Store.open(file, patience=0.05)
    assert refused.value.hint
    return str(refused.value)


async def made(file: Path) -> None:
    store = await Store.open(file)
    await started(store)
    await store.aclose()


@pytest.fixture
def shared_folder() -> Iterator[Path]:
    """A folder that other users may look into; pytest's own are closed to them."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


@contextmanager
def without_privileges() -> Iterator[None]:
    """Be somebody whom file permissions bind: root is bound by none."""
    if sys.platform == "win32" or os.geteuid() != 0:
        yield
        return
    try:
        os.seteuid(NOBODY)
    except OSError:
        pytest.skip("root here can write to every file and cannot become anybody else")
    try:
        yield
    finally:
        os.seteuid(0)


async def test_another_program_has_it_open_and_locked(file: Path) -> None:
    await made(file)
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        message = await refusal(file)
    assert message == (
        f"The database {file} is locked by another program."
        " Close the other copy of the bot, or whatever has the file open, and start again."
    )
    store = await Store.open(file)
    await store.aclose()


async def test_a_lock_that_is_let_go_in_time_is_waited_for(file: Path) -> None:
    await made(file)
    other = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")
    asyncio.get_running_loop().call_later(0.05, other.close)
    store = await Store.open(file, patience=5)
    await store.aclose()


async def test_a_lock_in_the_middle_of_play(file: Path) -> None:
    store = await Store.open(file, patience=0.05)
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(SetupError, match="locked by another program"):
            await started(store)
        assert await texts(store, 1) == [], "reading goes on"
    assert await started(store) == 1
    await store.aclose()


async def test_a_file_that_may_not_be_written(shared_folder: Path) -> None:
    file = shared_folder / "hearthside.sqlite"
    await made(file)
    file.chmod(0o444)
    shared_folder.chmod(0o777)
    with without_privileges():
        message = await refusal(file)
    assert message.startswith(f"The database {file} is read-only. Give the bot's user the right")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no read-only folders")
async def test_a_folder_that_may_not_be_written(shared_folder: Path) -> None:
    shared_folder.chmod(0o555)
    with without_privileges():
        new_file = await refusal(shared_folder / "hearthside.sqlite")
        new_folder = await refusal(shared_folder / "data" / "hearthside.sqlite")
    assert "cannot be opened. Check that its folder exists" in new_file
    assert f"The folder {shared_folder / 'data'} for the database cannot be made: Permission" in new_folder


async def test_a_folder_where_the_file_should_be(file: Path) -> None:
    file.mkdir(parents=True)
    assert f"The database {file} cannot be opened." in await refusal(file)


async def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("not a folder")
    assert "cannot be made" in await refusal(tmp_path / "data" / "hearthside.sqlite")


async def test_something_else_than_a_database(file: Path) -> None:
    file.parent.mkdir()
    file.write_bytes(b"<html>Please log in to the Wi-Fi</html>" * 100)
    assert f"The file {file} is not a SQLite database." in await refusal(file)
    assert file.read_bytes().startswith(b"<html>"), "and it is left as it is"


async def test_a_damaged_database(file: Path) -> None:
    await made(file)
    content = bytearray(file.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    file.write_bytes(content)
    assert f"The database {file} is damaged." in await refusal(file)


async def test_a_cut_off_database(file: Path) -> None:
    await made(file)
    file.write_bytes(file.read_bytes()[:5000])
    assert f"The database {file} is damaged." in await refusal(file)


async def test_an_empty_file_becomes_a_database(file: Path) -> None:
    file.parent.mkdir()
    file.touch()
    await made(file)


@pytest.mark.skipif(sys.platform == "win32", reason="such names do not exist on Windows")
async def test_a_path_is_taken_as_it_stands(tmp_path: Path) -> None:
    file = tmp_path / "100% of it? #1 süß" / "file name.sqlite"
    await made(file)
    assert file.exists()
    file.unlink()
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(schema.CREATE_VERSION_TABLE)
    await made(file)  # by way of the migrations and the copy


def test_a_sqlite_with_the_wal_reset_bug_is_warned_of() -> None:
    said = " ".join(warnings())
    assert (sqlite3.sqlite_version in said) == (sqlite3.sqlite_version_info < (3, 51, 3))
