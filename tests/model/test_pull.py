from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bot import cli
from bot.errors import SetupError
from bot.model.library.hub import Hub, HubFile, choose

REPOSITORY = "ggml-org/gpt-oss-20b-GGUF"
MODEL = bytes(range(256)) * 4000


class Mirror(ThreadingHTTPServer):
    """A hub with one repository, with huggingface.co's routes. `breaks`: bytes after which a line drops."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), MirrorHandler)
        self.digest = hashlib.sha256(MODEL).hexdigest()
        self.breaks: list[int] = []
        self.ranges: list[str | None] = []
        self.tokens: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class MirrorHandler(BaseHTTPRequestHandler):
    server: Mirror

    def do_GET(self) -> None:
        self.server.tokens.append(self.headers["Authorization"])
        if self.path == f"/api/models/{REPOSITORY}/tree/main?recursive=true":
            self._list()
        elif self.path == f"/{REPOSITORY}/resolve/main/sub/model-Q4_K_M.gguf":
            self._redirect()
        elif self.path == "/storage/model":
            self._give()
        else:
            self.send_error(401 if "gated" in self.path else 404)

    def _list(self) -> None:
        lfs = {"oid": self.server.digest, "size": len(MODEL)}
        files = [
            {"type": "file", "path": "README.md", "size": 10},
            {"type": "file", "path": "mmproj-Q4_K_M.gguf", "size": 10, "lfs": lfs},
            {"type": "file", "path": "sub/model-Q4_K_M.gguf", "size": 130, "lfs": lfs},
            {"type": "file", "path": "model-Q8_0.gguf", "size": 130, "lfs": lfs},
        ]
        data = json.dumps(files).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _redirect(self) -> None:
        self.send_response(302)
        self.send_header("Location", "/storage/model")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _give(self) -> None:
        asked = self.headers["Range"]
        self.server.ranges.append(asked)
        start = int(re.sub(r"\D", "", asked or "0"))
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(MODEL) - start))
        self.end_headers()
        stop = self.server.breaks.pop(0) if self.server.breaks else len(MODEL)
        self.wfile.write(MODEL[start:stop])

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    server = Mirror()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def pull(folder: Path, *words: str) -> int:
    return cli.main(["model", "pull", "gpt-oss-20b", "--into", str(folder), *words])


def test_a_model_is_fetched_and_named(
    mirror: Mirror, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pull(tmp_path) == 0
    path = tmp_path / "model-Q4_K_M.gguf"
    assert path.read_bytes() == MODEL
    assert capsys.readouterr().out.endswith(f"CPU_MODEL={path}\n")
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    fetched = len(mirror.ranges)
    assert pull(tmp_path) == 0
    assert len(mirror.ranges) == fetched, "what is here is not fetched again"


def test_a_broken_line_is_taken_up_where_it_broke(mirror: Mirror, tmp_path: Path) -> None:
    mirror.breaks = [100_000, 700_000]
    assert pull(tmp_path) == 0
    assert mirror.ranges == [None, "bytes=100000-", "bytes=700000-"]
    assert (tmp_path / "model-Q4_K_M.gguf").read_bytes() == MODEL


def test_the_next_try_goes_on_too(mirror: Mirror, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mirror.breaks = [10_000, 20_000, 30_000, 40_000, 50_000]
    assert pull(tmp_path) == 2
    assert "goes on with model-Q4_K_M.gguf where it broke off" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["model-Q4_K_M.gguf.part"]
    assert pull(tmp_path) == 0
    assert mirror.ranges[-1] == "bytes=50000-"


def test_a_wrong_checksum_leaves_nothing(
    mirror: Mirror, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mirror.digest = "0" * 64
    assert pull(tmp_path) == 2
    assert "checksum is wrong" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_no_room(
    mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Usage(NamedTuple):
        free: int

    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(1000))
    assert pull(tmp_path) == 2
    assert "no room" in capsys.readouterr().err
    assert mirror.ranges == []


def test_a_disk_that_fills_up(mirror: Mirror, tmp_path: Path) -> None:
    def fill(_: int, __: int) -> None:
        raise OSError(28, "No space left on device")

    [file] = choose(Hub().files(REPOSITORY), "q4_k_m", REPOSITORY)
    with pytest.raises(SetupError, match="the disk is full"):
        Hub().fetch(REPOSITORY, file, tmp_path, fill)


def test_no_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    assert pull(tmp_path) == 2
    assert "does not answer" in capsys.readouterr().err


def test_what_is_not_there_is_said(
    mirror: Mirror, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pull(tmp_path, "--quant", "Q2_K") == 2
    assert "It has: model-Q4_K_M.gguf, model-Q8_0.gguf." in capsys.readouterr().err
    for name, complaint in (
        ("no/such", "There is no no/such"),
        ("a/gated", "HF_TOKEN"),
        ("a/../b", "OWNER/NAME"),
    ):
        assert cli.main(["model", "pull", name, "--into", str(tmp_path)]) == 2
        assert complaint in capsys.readouterr().err


def test_the_token_is_for_the_hub_alone(
    mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert pull(tmp_path) == 0
    assert mirror.tokens == ["Bearer hf_secret", "Bearer hf_secret", None]


def test_all_parts_of_a_split_file_are_chosen_and_no_near_name() -> None:
    names = [
        "m-IQ4_K_M.gguf",
        "m-Q4_K_M-00002-of-00002.gguf",
        "m-Q4_K_M-00001-of-00002.gguf",
        "../../m-Q8_0.gguf",
    ]
    files = [HubFile(name, 1, "") for name in names]
    assert [file.name for file in choose(files, "Q4_K_M", "a/b")] == [names[2], names[1]]
    assert [file.name for file in choose(files, "Q8_0", "a/b")] == ["m-Q8_0.gguf"]
