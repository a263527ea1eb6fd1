"""Files that a player brings to the table, and files that the bot sends there."""

from __future__ import annotations

import os
import re
from itertools import count
from pathlib import Path

import pytest

from bot.errors import TableError
from bot.rehearsal.messages import Attachment
from bot.rehearsal.terminal_files import MAX_BYTES, NAME_CHARACTERS, Downloads, paths, read_upload

IDS = count(1)


def sent(filename: str, data: bytes = b"ink") -> Attachment:
    return Attachment(next(IDS), 5, filename, data, "text/plain")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for name in ("marta.png", "My Cards/old marten.json", "My Cards/.hidden", "Maps/mill.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"ink")
    return tmp_path


@pytest.mark.parametrize("typed", ["marta.png", "~/marta.png", "{home}/marta.png", " ./Maps/../marta.png "])
def test_a_file_is_read_by_its_path(home: Path, typed: str) -> None:
    upload = read_upload(typed.format(home=home))
    assert (upload.filename, upload.data, upload.content_type) == ("marta.png", b"ink", "image/png")


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("", "Which file"),
        ("nobody.png", "There is no file 'nobody.png'. Type its path"),
        ("My Cards", "'My Cards' is a folder"),
        ("marta.png/x", "cannot be read|There is no file"),
        ("a\0b", "cannot be read|There is no file"),
        ("x" * 5000, "cannot be read|There is no file"),
        ("~nobody-of-that-name/x", "cannot be found|There is no file"),
    ],
)
@pytest.mark.usefixtures("home")
def test_what_cannot_be_attached_is_refused_with_the_reason(typed: str, says: str) -> None:
    with pytest.raises(TableError, match=says):
        read_upload(typed)


def test_a_file_may_have_eight_mebibytes_and_no_more(home: Path) -> None:
    large = home / "large.bin"
    large.write_bytes(bytes(MAX_BYTES))
    assert len(read_upload("large.bin").data) == MAX_BYTES
    large.write_bytes(bytes(MAX_BYTES + 1))
    with pytest.raises(TableError, match="too large: at most 8 MiB"):
        read_upload("large.bin")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_a_pipe_does_not_hold_up_the_table(home: Path) -> None:
    os.mkfifo(home / "pipe")
    with pytest.raises(TableError, match="no plain file"):
        read_upload("pipe")


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("", ["Maps/", "marta.png", "My Cards/"]),
        ("m", ["Maps/", "marta.png", "My Cards/"]),
        ("my", ["My Cards/"]),
        ("My Cards/", ["My Cards/old marten.json"]),
        ("My Cards/.", ["My Cards/.hidden"]),
        ("~/Ma", ["~/Maps/", "~/marta.png"]),
        ("nowhere/", []),
        ("a\0b/", []),
    ],
)
@pytest.mark.usefixtures("home")
def test_a_path_is_completed(typed: str, offered: list[str]) -> None:
    assert paths(typed) == offered


def test_what_the_bot_sends_is_kept_once_and_overwrites_nothing(home: Path) -> None:
    downloads = Downloads(home / "data" / "downloads")
    first, second = sent("window.png", bytes(1500)), sent("window.png")
    told = [downloads.tell(first), downloads.tell(second), downloads.tell(first)]
    folder = Path("data") / "downloads"
    assert told[0] == f"[file window.png, 2 kB; saved to {folder / 'window.png'}]"
    assert told[1] == f"[file window.png, 1 kB; saved to {folder / 'window-2.png'}]"
    assert told[2] == told[0]
    assert (folder / "window.png").read_bytes() == bytes(1500)
    assert len(list(folder.iterdir())) == 2


@pytest.mark.parametrize(
    "name",
    [
        "../../up.txt",
        "/etc/passwd",
        "..\\up.txt",
        ".bashrc",
        "..",
        "",
        "nul",
        "COM1.txt",
        "a\nb\x1b[2J",
        "x" * 400,
    ],
)
def test_no_name_leaves_the_folder_or_steers_the_terminal(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "downloads"
    told = Downloads(folder).tell(sent(name))
    (kept,) = folder.iterdir()
    assert str(kept) in told
    assert kept.read_bytes() == b"ink"
    assert re.fullmatch(r"[\w-][\w.-]*", kept.name)
    assert len(kept.name) <= NAME_CHARACTERS + 1
    assert kept.stem.lower() not in {"nul", "com1"}
    assert [path.name for path in tmp_path.iterdir()] == ["downloads"]


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "taken").write_bytes(b"")
    assert Downloads(tmp_path / "taken").tell(sent("a.txt")).startswith("[file a.txt, 1 kB; not saved: ")
