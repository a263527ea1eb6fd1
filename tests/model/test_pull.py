from __future__ import annotations

import hashlib
import json
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from bot import cli
from bot.errors import SetupError
from bot.model.library.env_file import point_at
from bot.model.library.hub import HubFile, choose
from bot.settings import load_settings

REPOSITORY = "Qwen/Qwen3-8B-GGUF"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
MODEL = bytes(range(256)) * 4000


class Server(ThreadingHTTPServer):
    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Storage(Server):
    """Where a hub sends a download on to. `breaks`: bytes after which a line drops; `dies` then."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), StorageHandler)
        self.breaks: list[int] = []
        self.dies = False
        self.ranges: list[str | None] = []
        self.tokens: list[str | None] = []


class Mirror(Server):
    """A hub with one repository, with huggingface.co's routes."""

    def __init__(self, storage: Storage) -> None:
        super().__init__(("127.0.0.1", 0), MirrorHandler)
        self.storage = storage
        self.digest = hashlib.sha256(MODEL).hexdigest()
        self.tokens: list[str | None] = []


class Quiet(BaseHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def answer(self, status: int, data: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


class MirrorHandler(Quiet):
    server: Mirror

    def do_GET(self) -> None:
        self.server.tokens.append(self.headers["Authorization"])
        if self.path == f"/api/models/{REPOSITORY}?blobs=true":
            self._list()
        elif self.path == f"/{REPOSITORY}/resolve/{COMMIT}/sub/model-Q4_K_M.gguf":
            self.answer(302, Location=f"{self.server.storage.url}/model")
        else:
            self.answer(401 if "gated" in self.path else 404)

    def _list(self) -> None:
        lfs = {"sha256": self.server.digest, "size": len(MODEL), "pointerSize": 130}
        files = [
            {"rfilename": "README.md", "size": 10, "blobId": "1"},
            {"rfilename": "mmproj-Q4_K_M.gguf", "size": 10, "blobId": "2", "lfs": lfs},
            {"rfilename": "sub/model-Q4_K_M.gguf", "size": len(MODEL), "blobId": "3", "lfs": lfs},
            {"rfilename": "model-Q8_0.gguf", "size": len(MODEL), "blobId": "4", "lfs": lfs},
        ]
        self.answer(200, json.dumps({"id": REPOSITORY, "sha": COMMIT, "siblings": files}).encode())


class StorageHandler(Quiet):
    server: Storage

    def do_GET(self) -> None:
        asked = self.headers["Range"]
        self.server.ranges.append(asked)
        self.server.tokens.append(self.headers["Authorization"])
        if self.server.dies and len(self.server.ranges) > 1:
            return  # hangs up
        start = int(re.sub(r"\D", "", asked or "0"))
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(MODEL) - start))
        self.end_headers()
        stop = self.server.breaks.pop(0) if self.server.breaks else len(MODEL)
        self.wfile.write(MODEL[start:stop])


@contextmanager
def running(server: Server) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    from huggingface_hub import close_session  # noqa: PLC0415  # only these tests need it: 0.7 s

    storage = Storage()
    server = Mirror(storage)
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.delenv("CPU_MODEL", raising=False)
    # Between two tries it waits a second.
    monkeypatch.setattr("huggingface_hub.file_download.time", SimpleNamespace(sleep=lambda _: None))
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 50_000)  # not 10 MB: a small model
    with running(storage), running(server):
        yield server
        close_session()


def pull(folder: Path, *words: str) -> int:
    into = ["--into", str(folder / "models"), "--env", str(folder / ".env")]
    return cli.main(["model", "pull", "qwen3-8b", *into, *words])


def fetched(folder: Path) -> list[str]:
    return [file.name for file in (folder / "models").iterdir()]


def test_a_model_is_fetched_and_the_settings_point_at_it(
    mirror: Mirror, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pull(tmp_path) == 0
    path = tmp_path / "models" / "model-Q4_K_M.gguf"
    assert path.read_bytes() == MODEL
    assert fetched(tmp_path) == [path.name]
    assert f"now says CPU_MODEL={path}" in capsys.readouterr().out
    assert load_settings(tmp_path / ".env").cpu_model == path
    before = len(mirror.storage.ranges)
    assert pull(tmp_path) == 0
    assert len(mirror.storage.ranges) == before, "what is here is not fetched again"


def test_a_broken_line_is_taken_up_where_it_broke(mirror: Mirror, tmp_path: Path) -> None:
    mirror.storage.breaks = [100_000, 700_000]
    assert pull(tmp_path) == 0
    assert mirror.storage.ranges == [None, "bytes=100000-", "bytes=700000-"]
    assert (tmp_path / "models" / "model-Q4_K_M.gguf").read_bytes() == MODEL


def test_the_next_try_goes_on_too(mirror: Mirror, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mirror.storage.breaks, mirror.storage.dies = [50_000], True
    assert pull(tmp_path) == 2
    assert "goes on with model-Q4_K_M.gguf where it broke off" in capsys.readouterr().err
    assert fetched(tmp_path) == ["model-Q4_K_M.gguf.part"]
    assert not (tmp_path / ".env").exists()
    mirror.storage.dies = False
    assert pull(tmp_path) == 0
    assert mirror.storage.ranges[-1] == "bytes=50000-"
    assert fetched(tmp_path) == ["model-Q4_K_M.gguf"]


def test_a_wrong_checksum_leaves_nothing(
    mirror: Mirror, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mirror.digest = "0" * 64
    assert pull(tmp_path) == 2
    assert "checksum is wrong" in capsys.readouterr().err
    assert fetched(tmp_path) == []
    assert not (tmp_path / ".env").exists()


def test_no_room(
    mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Usage(NamedTuple):
        free: int

    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(1000))
    assert pull(tmp_path) == 2
    assert "no room" in capsys.readouterr().err
    assert mirror.storage.ranges == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has a disk that is always full")  # noqa: PTH110  # asked before a test has begun
def test_a_disk_that_fills_up(mirror: Mirror, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "model-Q4_K_M.gguf.part").symlink_to("/dev/full")
    assert pull(tmp_path) == 2
    assert "the disk is full" in capsys.readouterr().err
    assert not (tmp_path / "models" / "model-Q4_K_M.gguf").exists()


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


def test_what_is_no_hub_is_said(
    mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", mirror.storage.url)
    assert pull(tmp_path) == 2
    assert "not as a model hub" in capsys.readouterr().err


def test_the_token_is_for_the_hub_alone(
    mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert pull(tmp_path) == 0
    assert mirror.tokens == ["Bearer hf_secret", "Bearer hf_secret"]
    assert mirror.storage.tokens == [None]


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
    with pytest.raises(SetupError, match="1 of the 2 parts"):
        choose(files[2:], "Q4_K_M", "a/b")


def test_the_other_settings_stay_as_they_are(tmp_path: Path) -> None:
    env, model = tmp_path / ".env", tmp_path / "my models" / "a.gguf"
    env.write_text("# mine\nDISCORD_TOKEN=abc\nCPU_MODEL=old.gguf\n#CPU_MODEL=older.gguf", encoding="utf-8")
    env.chmod(0o600)
    point_at(model, env)
    assert env.read_text(encoding="utf-8") == (
        f"# mine\nDISCORD_TOKEN=abc\nCPU_MODEL='{model.as_posix()}'\n#CPU_MODEL=older.gguf"
    )
    assert env.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [env]
    with pytest.raises(SetupError, match="cannot be changed") as caught:
        point_at(model, tmp_path / "no folder" / ".env")
    assert "CPU_MODEL=" in str(caught.value)


@pytest.mark.parametrize(
    "name", ["a b.gguf", "Bob's model.gguf", "#1 $HOME.gguf", "plain.gguf", "'quoted'.gguf"]
)
def test_the_bot_reads_the_path_that_was_written(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CPU_MODEL", raising=False)
    point_at(tmp_path / name, tmp_path / ".env")
    assert load_settings(tmp_path / ".env").cpu_model == tmp_path / name
