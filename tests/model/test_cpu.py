"""The CPU model in its child: started when needed, back after a death, gone with its parent."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import stat
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from bot.errors import BackendUnavailableError, HearthsideError
from bot.model.cpu import CpuServer, Endpoint
from bot.model.openai_server import OpenAIServer
from tests.model.conftest import PROJECT, hear
from tests.tiny_bert import write_tiny_bert
from tests.tiny_gguf import write_tiny_gguf

MakeServer = Callable[..., CpuServer]


class StandingClock:
    """A clock that moves only when a test says so."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> float:
        return self.seconds

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock()


@pytest.fixture
async def make(clock: StandingClock) -> AsyncIterator[MakeServer]:
    made: list[CpuServer] = []

    def make_server(model: Path, *, context: int = 512, parallel: int = 1, binary: str = "") -> CpuServer:
        made.append(CpuServer(model, clock=clock, context=context, parallel=parallel, binary=binary))
        return made[-1]

    yield make_server
    for server in made:
        await server.stop()


def connect(endpoint: Endpoint) -> socket.socket:
    """A connection to the child's server: it ends when the child does."""
    address = urlsplit(endpoint.url)
    assert address.hostname is not None
    assert address.port is not None
    connection = socket.create_connection((address.hostname, address.port))
    connection.setblocking(False)
    return connection


async def wait_for_end(connection: socket.socket) -> None:
    async with asyncio.timeout(5):
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.get_running_loop().sock_recv(connection, 1) == b""
    connection.close()


async def kill(server: CpuServer) -> None:
    assert server._child is not None
    os.kill(server._child.process.pid, signal.SIGKILL)
    await server._child.process.wait()


async def test_it_starts_once_for_all_who_need_it_and_stops_with_the_bot(
    make: MakeServer, tiny_gguf: Path
) -> None:
    server = make(tiny_gguf)
    first, second = await asyncio.gather(server.ensure(), server.ensure())
    assert first == second
    assert await server.ensure() == first
    assert first.url.startswith("http://127.0.0.1:")
    connection = connect(first)
    await server.stop()
    await wait_for_end(connection)
    assert server.pid is None


async def test_it_answers_only_who_has_the_key(make: MakeServer, tiny_gguf: Path) -> None:
    endpoint = await make(tiny_gguf).ensure()
    stranger = OpenAIServer(endpoint.url)
    with pytest.raises(BackendUnavailableError, match="API key"):
        await hear(stranger)
    await stranger.aclose()
    owner = OpenAIServer(endpoint.url, api_key=endpoint.api_key)
    assert (await hear(owner))[0]
    await owner.aclose()
    assert endpoint.api_key not in repr(endpoint)


async def test_its_key_is_on_no_command_line(make: MakeServer, tiny_gguf: Path) -> None:
    server = make(tiny_gguf)
    endpoint = await server.ensure()
    if sys.platform != "linux":
        pytest.skip("only Linux shows command lines as files")
    command = await asyncio.to_thread(Path(f"/proc/{server.pid}/cmdline").read_bytes)
    assert endpoint.api_key.encode() not in command


async def test_slots_share_nothing_of_the_context(make: MakeServer, tiny_gguf: Path) -> None:
    endpoint = await make(tiny_gguf, context=600, parallel=3).ensure()
    backend = OpenAIServer(endpoint.url, api_key=endpoint.api_key)
    assert (await backend.context_length() or 0) >= 600
    assert backend.capabilities.slots == 3
    assert [model.name for model in await backend.models()] == ["tiny"]
    await backend.aclose()


async def test_without_a_setting_it_takes_the_models_own_context(
    clock: StandingClock, tmp_path: Path
) -> None:
    for trained, expected in ((2048, 2048), (131072, 8192)):
        server = CpuServer(
            write_tiny_gguf(tmp_path / f"{trained}.gguf", context=trained), clock=clock, parallel=1
        )
        endpoint = await server.ensure()
        backend = OpenAIServer(endpoint.url, api_key=endpoint.api_key)
        assert await backend.context_length() == expected
        await backend.aclose()
        await server.stop()


async def test_it_is_told_none_of_the_bots_secrets(
    make: MakeServer, tiny_gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if sys.platform != "linux":
        pytest.skip("only Linux shows environments as files")
    monkeypatch.setenv("DISCORD_TOKEN", "the-bots-token")
    monkeypatch.setenv("MODEL_API_KEY", "the-groups-key")
    server = make(tiny_gguf)
    await server.ensure()
    environment = await asyncio.to_thread(Path(f"/proc/{server.pid}/environ").read_bytes)
    assert b"PATH=" in environment
    assert b"the-bots-token" not in environment
    assert b"the-groups-key" not in environment


async def test_ctrl_c_leaves_it_to_the_bot_to_end_it(make: MakeServer, tiny_gguf: Path) -> None:
    server = make(tiny_gguf)
    endpoint = await server.ensure()
    assert server.pid is not None
    os.kill(server.pid, signal.SIGINT)
    backend = OpenAIServer(endpoint.url, api_key=endpoint.api_key)
    assert (await hear(backend))[0]
    await backend.aclose()
    assert await server.ensure() == endpoint


async def test_after_a_death_it_is_started_again(make: MakeServer, tiny_gguf: Path) -> None:
    server = make(tiny_gguf)
    first = await server.ensure()
    await kill(server)
    second = await server.ensure()
    assert second.url != first.url or second.api_key != first.api_key
    backend = OpenAIServer(second.url, api_key=second.api_key)
    assert (await hear(backend))[0]
    await backend.aclose()


async def test_one_that_keeps_dying_is_let_rest_for_a_while(
    make: MakeServer, clock: StandingClock, tiny_gguf: Path
) -> None:
    server = make(tiny_gguf)
    for _ in range(3):
        await server.ensure()
        await kill(server)
    for _ in range(2):
        with pytest.raises(BackendUnavailableError) as error:
            await server.ensure()
        assert "stopped 3 times in a row" in str(error.value)
        assert str(tiny_gguf) in str(error.value)
        assert "signal 9" in str(error.value)
    clock.seconds += 10
    await server.ensure()


async def test_deaths_far_apart_are_not_held_against_it(
    make: MakeServer, clock: StandingClock, tiny_gguf: Path
) -> None:
    server = make(tiny_gguf)
    for _ in range(4):
        await server.ensure()
        clock.seconds += 3600
        await kill(server)
    await server.ensure()


async def test_it_ends_when_its_parent_is_killed(tiny_gguf: Path) -> None:
    program = f"""
import asyncio, pathlib
from bot.clock import SystemClock
from bot.model.cpu import CpuServer
async def main():
    server = CpuServer(pathlib.Path({str(tiny_gguf)!r}), clock=SystemClock(), context=512, parallel=1)
    print((await server.ensure()).url, flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE, cwd=PROJECT
    )
    assert parent.stdout is not None
    connection = connect(Endpoint((await parent.stdout.readline()).decode().strip(), ""))
    parent.kill()
    await parent.wait()
    await wait_for_end(connection)


@pytest.fixture(scope="session")
def whole(tiny_gguf: Path) -> bytes:
    return tiny_gguf.read_bytes()


def cut_short(path: Path, whole: bytes) -> None:
    path.write_bytes(whole[: len(whole) // 2])


def cut_in_the_header(path: Path, whole: bytes) -> None:
    path.write_bytes(whole[:100])


def something_else(path: Path, whole: bytes) -> None:
    path.write_bytes(b"PK\x03\x04" + whole)


def from_the_future(path: Path, whole: bytes) -> None:
    path.write_bytes(whole[:4] + b"\x63" + whole[5:])


def nothing(path: Path, whole: bytes) -> None:
    path.write_bytes(b"")


def nonsense(path: Path, whole: bytes) -> None:
    path.write_bytes(whole[:24] + b"\xff" * 4000)


def a_folder(path: Path, whole: bytes) -> None:
    path.mkdir()


def missing(path: Path, whole: bytes) -> None:
    path.unlink(missing_ok=True)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (cut_short, "not within the file bounds"),
        (cut_in_the_header, "cut short"),
        (something_else, "not a GGUF file"),
        (from_the_future, "version 99"),
        (nothing, "not a GGUF file"),
        (nonsense, "makes no sense"),
        (a_folder, "cannot be read"),
        (missing, "no file"),
    ],
)
async def test_a_file_that_is_no_model_is_named_with_what_is_wrong(
    make: MakeServer,
    tmp_path: Path,
    whole: bytes,
    damage: Callable[[Path, bytes], None],
    told: str,
) -> None:
    path = tmp_path / "broken.gguf"
    damage(path, whole)
    server = make(path)
    for _ in range(2):
        with pytest.raises(BackendUnavailableError) as error:
            await server.ensure()
        assert str(path) in str(error.value)
        assert told in str(error.value)


async def test_an_embedding_model_is_not_asked_for_answers(make: MakeServer, tmp_path: Path) -> None:
    path = tmp_path / "minilm.gguf"
    write_tiny_bert(path)
    for asked in (make(path).ensure, make(path).check):
        with pytest.raises(HearthsideError, match="is an embedding model") as error:
            await asked()
        assert "EMBEDDING_GGUF" in str(error.value)


async def test_a_mended_file_is_tried_at_once(make: MakeServer, tmp_path: Path, whole: bytes) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(whole[:50_000])
    server = make(path)
    with pytest.raises(BackendUnavailableError):
        await server.ensure()
    path.write_bytes(whole)
    assert (await server.ensure()).url


async def test_who_waits_long_sees_progress_and_may_leave(
    make: MakeServer, tmp_path: Path, tiny_gguf: Path
) -> None:
    """A pipe in place of the file: it can be opened only when the test writes to it."""
    path = tmp_path / "slow.gguf"
    if not hasattr(os, "mkfifo"):
        pytest.skip("needs a named pipe")
    os.mkfifo(path)
    server = make(path)
    told: asyncio.Queue[str] = asyncio.Queue()
    patient = asyncio.create_task(server.ensure(told.put_nowait))
    hasty = asyncio.create_task(server.ensure())
    assert "slow.gguf" in await told.get()
    hasty.cancel()
    assert not patient.done()
    await asyncio.to_thread(path.write_bytes, b"no model")
    with pytest.raises(BackendUnavailableError, match="not a GGUF file"):
        await patient


async def test_who_waits_for_it_while_the_bot_stops_is_told_so(make: MakeServer, tiny_gguf: Path) -> None:
    server = make(tiny_gguf)
    waiting = asyncio.create_task(server.ensure())
    await asyncio.sleep(0)  # now it waits
    await server.stop()
    with pytest.raises(BackendUnavailableError, match="is being stopped"):
        await waiting
    assert server.pid is None


async def test_a_llama_server_binary_may_take_its_place(
    make: MakeServer, tmp_path: Path, tiny_gguf: Path
) -> None:
    """The binary here is a script around the real server that reads llama-server's environment."""
    if os.name == "nt":
        pytest.skip("needs an executable script")
    binary = tmp_path / "llama-server"
    binary.write_text(
        f"""#!{sys.executable}
import os, sys, threading, xllamacpp
assert len(sys.argv) == 1
params = xllamacpp.CommonParams()
params.model.path = os.environ["LLAMA_ARG_MODEL"]
params.port = int(os.environ["LLAMA_ARG_PORT"])
params.api_keys = [os.environ["LLAMA_API_KEY"]]
params.n_ctx = int(os.environ["LLAMA_ARG_CTX_SIZE"])
params.n_parallel = int(os.environ["LLAMA_ARG_N_PARALLEL"])
params.fit_params = False
server = xllamacpp.Server(params)
print("chatter on standard output")
threading.Event().wait()
"""
    )
    binary.chmod(binary.stat().st_mode | stat.S_IXUSR)
    server = make(tiny_gguf, context=512, parallel=2, binary=str(binary))
    endpoint = await server.ensure()
    backend = OpenAIServer(endpoint.url, api_key=endpoint.api_key)
    assert (await hear(backend))[0]
    assert await backend.context_length() == 512
    await backend.aclose()
    connection = connect(endpoint)
    await server.stop()
    await wait_for_end(connection)


@pytest.mark.parametrize("binary", ["/no/such/llama-server", "/bin/false"])
async def test_a_binary_that_does_not_run_is_named(make: MakeServer, tiny_gguf: Path, binary: str) -> None:
    with pytest.raises(BackendUnavailableError) as error:
        await make(tiny_gguf, binary=binary).ensure()
    assert binary in str(error.value)
