"""The CPU model: a llama.cpp server in a child process, started when it is needed and kept alive."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import re
import secrets
import sys
from dataclasses import dataclass, field
from pathlib import Path

from bot.clock import Clock
from bot.errors import BackendUnavailableError, SetupError
from bot.model.backend import Progress
from bot.model.cpu_child import BATCH, Job
from bot.model.gguf_header import Scalar, read_gguf_header, trained_context
from bot.model.machine import total_memory, usable_cores
from bot.model.slots import SavedSlots

_PROJECT = Path(__file__).resolve().parents[2]
_MIB = 1024 * 1024
_LONGEST_CONTEXT = 8192
"""Tokens for one slot where the operator sets none: what a CPU evaluates in bearable time."""
_LONGEST_TEXT = 1024
"""Tokens of a text that is embedded: more than two thousand characters have in most scripts."""
_MOST_SLOTS = 4
_SCORES_SHARE = 32
"""Flash attention is left off while what it saves is less than this part of the memory. Behind 3,500 tokens a
CPU evaluated 50 more in 0.5 to 0.7 s rather than 0.9 to 2.1, and generated one in 11 to 14 ms rather than 21
(4 layers, 16 heads of 64, two cores with other work to do)."""
_LONGEST_START_S = 900.0
_LOG_TAIL = 8192
"""Bytes of the child's log that are kept, to say why it died."""
_STEADY_S = 60.0
"""A child that lived this long was well; the next death is counted as the first."""
_FREE_RESTARTS = 2
"""Deaths in a row after which it is restarted at once; from then on it is waited for longer each time."""
_FIRST_WAIT_S, _LONGEST_WAIT_S = 5.0, 300.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the child answers. The key is made anew for every child."""

    url: str
    api_key: str = field(repr=False)


class CpuServer:
    """The child and its life.

    `context` is in tokens for one slot, None for what the model was trained for (8192 at most); `parallel` is
    the number of slots wished for, 1 to 4; `binary` a llama-server to run in place of the built-in one;
    `slots` a folder of our own in which what was read is kept until the next start. `embedding`: the model
    gives vectors instead of answers.
    """

    def __init__(
        self,
        model: Path,
        *,
        clock: Clock,
        context: int | None = None,
        parallel: int = 4,
        binary: str = "",
        slots: Path | None = None,
        embedding: bool = False,
    ) -> None:
        self.model = model
        self._embedding = embedding
        self._what = f"embedding model {model}" if embedding else f"CPU model {model}"
        self._slots = SavedSlots(slots) if slots else None
        self._clock = clock
        self._context = context
        self._parallel = parallel
        self._binary = binary
        self._child: _Child | None = None
        self._starting: asyncio.Task[_Child] | None = None
        self._failures = 0
        self._blocked_until = 0.0
        self._has_read_too_much = False
        self._error: BackendUnavailableError | None = None
        self._stamp: tuple[int, int] | None = None
        self._default: tuple[tuple[int, int] | None, int] | None = None  # a file's state, and its context

    @property
    def pid(self) -> int | None:
        """The child's process id while it runs."""
        return self._child.process.pid if self._child and self._child.is_alive else None

    async def ensure(self, on_progress: Progress | None = None) -> Endpoint:
        """Give the address of the running child, starting one if there is none.

        Raises BackendUnavailableError naming file and reason where it cannot be loaded or keeps dying.
        """
        if self._child is not None:
            if self._child.is_alive:
                return self._child.endpoint
            child, self._child = self._child, None
            self._mourn(child)
        if self._starting is None:
            self._refuse_while_hopeless()
            self._starting = asyncio.create_task(self._start())
            self._starting.add_done_callback(_retrieve)
        starting = self._starting
        await _wait(starting, on_progress, f"Loading the CPU model {self.model.name}")
        if self._starting is starting:
            self._starting = None
        if starting.cancelled():
            raise BackendUnavailableError("The CPU model is being stopped.")
        self._child = starting.result()
        return self._child.endpoint

    async def bury(self) -> None:
        """End a child that no longer answers, if it has not died already, and count it as a death."""
        child, self._child = self._child, None
        if child is not None:
            await child.end()
            self._mourn(child)

    async def check(self) -> None:
        """Look whether the file is a model, without loading it. Raises SetupError."""
        await asyncio.to_thread(self._header)

    async def context_length(self) -> int | None:
        """Give the tokens of context that each slot would have; None if the file cannot be read."""
        if self._context is not None:
            return self._context
        stamp = _stamp(self.model)
        if self._default is None or self._default[0] != stamp:
            try:
                context = _default_context(await asyncio.to_thread(read_gguf_header, self.model))
            except SetupError:
                return None
            self._default = (stamp, context)
        return self._default[1]

    async def forget(self) -> None:
        """Leave nothing on disk of what the child has read: something of it was taken back."""
        self._has_read_too_much = True
        if self._slots:
            with contextlib.suppress(OSError):
                await asyncio.to_thread(self._slots.forget)

    async def stop(self) -> None:
        """End the child, also one that is just starting."""
        if (starting := self._starting) is not None:
            starting.cancel()
            await asyncio.wait({starting})
            if not starting.cancelled() and starting.exception() is None:
                self._child = starting.result()
            self._starting = None
        if self._child is not None:
            if self._slots and self._child.is_alive and not self._has_read_too_much:
                with contextlib.suppress(OSError):
                    await self._slots.save(self._child.endpoint.url, self._child.job)
            await self._child.end()
            self._child = None
            self._has_read_too_much = False

    async def _start(self) -> _Child:
        self._stamp = await asyncio.to_thread(_stamp, self.model)
        try:
            job = await asyncio.to_thread(self._plan)
            return await self._restored(await _Child.start(job, self._clock))
        except SetupError as error:
            raise self._failed(BackendUnavailableError(error.args[0], hint=error.hint)) from None
        except _ChildDiedError as error:
            by = f" by {self._binary}" if self._binary else ""
            hint = "Install the package libgomp1." if "libgomp" in str(error) else ""
            raise self._failed(
                BackendUnavailableError(f"The {self._what} could not be loaded{by}: {error}.", hint=hint)
            ) from None

    def _header(self) -> dict[str, Scalar]:
        metadata = read_gguf_header(self.model)
        if _pools(metadata) and not self._embedding:
            raise SetupError(
                f"{self.model} is an embedding model, which answers nobody.",
                hint="Set EMBEDDING_GGUF to it, and CPU_MODEL to a model for chats.",
            )
        return metadata

    def _plan(self) -> Job:
        metadata = self._header()
        longest = _LONGEST_TEXT if self._embedding else _LONGEST_CONTEXT
        context = self._context or min(trained_context(metadata) or 4096, longest)
        memory = total_memory() or 8 * 1024 * _MIB
        return Job(
            model=str(self.model),
            name=self.model.stem,
            api_key=secrets.token_urlsafe(32),
            context=context,
            parallel=_slots(metadata, context, self._parallel, memory),
            threads=max(1, usable_cores() - 1),  # all of them are slower as soon as anything else wants one
            cache_mib=0 if self._embedding else max(64, min(8192, memory // _MIB // 8)),
            binary=self._binary,
            slots=self._slots_folder(),
            flash_attention=_scores(metadata, context) > memory // _SCORES_SHARE,
            embedding=self._embedding,
            pooling="mean" if self._embedding and not _pools(metadata) else "",
        )

    async def _restored(self, child: _Child) -> _Child:
        if self._slots:
            try:
                with contextlib.suppress(OSError):
                    await self._slots.restore(child.endpoint.url, child.job)
            except BaseException:
                await child.end()
                raise
        return child

    def _slots_folder(self) -> str:
        """Make the folder for what is kept of the slots; empty where there is to be none, or none can be."""
        if self._slots:
            with contextlib.suppress(OSError):
                self._slots.folder.mkdir(parents=True, exist_ok=True)
                return str(self._slots.folder)
        return ""

    def _mourn(self, child: _Child) -> None:
        """Take note that a child that served has died."""
        if self._clock.monotonic() - child.born > _STEADY_S:
            self._failures = 0
        self._failures += 1
        if self._failures > _FREE_RESTARTS:
            self._block(self._failures - _FREE_RESTARTS)
            self._error = BackendUnavailableError(
                f"The {self._what} stopped {self._failures} times in a row: {child.last_words()}."
            )

    def _failed(self, error: BackendUnavailableError) -> BackendUnavailableError:
        self._failures += 1
        self._block(self._failures)
        self._error = error
        return error

    def _block(self, times: int) -> None:
        wait = min(_FIRST_WAIT_S * 2 ** (times - 1), _LONGEST_WAIT_S)
        self._blocked_until = self._clock.monotonic() + wait

    def _refuse_while_hopeless(self) -> None:
        """Repeat the last error without trying again, until its time is over or the file is another."""
        if self._error is None:
            return
        if _stamp(self.model) != self._stamp:
            self._failures = 0
        elif self._clock.monotonic() < self._blocked_until:
            raise self._error
        self._error = None


class _ChildDiedError(Exception):
    """The child ended, or said that it cannot serve, before it did."""


class _Child:
    """One life of the child process."""

    def __init__(self, process: asyncio.subprocess.Process, job: Job, clock: Clock) -> None:
        self.process = process
        self.job = job
        self.born = clock.monotonic()
        self.endpoint = Endpoint("", job.api_key)
        self._log = b""
        self._reader = asyncio.create_task(self._read_log())

    @classmethod
    async def start(cls, job: Job, clock: Clock) -> _Child:
        """Start a child and wait until it serves. Raises _ChildDiedError."""
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bot.model.cpu_child",
            stdin=pipe, stdout=pipe, stderr=pipe, env=_environment(),
        )  # fmt: skip
        child = cls(process, job, clock)
        try:
            async with asyncio.timeout(_LONGEST_START_S):
                child.endpoint = Endpoint(await child._greet(job), job.api_key)
        except TimeoutError:
            await child.end()
            raise _ChildDiedError(f"it was not ready after {_LONGEST_START_S / 60:g} minutes") from None
        except BaseException:
            await child.end()
            raise
        return child

    @property
    def is_alive(self) -> bool:
        return self.process.returncode is None

    async def end(self) -> None:
        """Let it go: it ends by itself when its standard input closes, else it is made to."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            async with asyncio.timeout(3.0):
                await self.process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            await self.process.wait()
        await self._reader

    def last_words(self, said: str | None = None) -> str:
        """Say why it died: the error llama.cpp logged, else what it `said`, else how the process ended."""
        log = self._log.decode("utf-8", "replace")
        errors = re.findall(r"^[\d.]+ E \S+ (?:error loading model: )?(.+)$", log, re.MULTILINE)
        if errors:
            return str(errors[0]).strip().rstrip(".")
        if said:
            return said.rstrip(".")
        code = self.process.returncode
        if code is not None and code < 0:
            return f"the process was ended by signal {-code}" + (" (out of memory?)" if code == -9 else "")
        return f"the process ended with code {code}"

    async def _greet(self, job: Job) -> str:
        """Hand over the job and read where it serves."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(ConnectionError):  # it died at once; the empty answer below says so
            self.process.stdin.write(json.dumps(dataclasses.asdict(job)).encode() + b"\n")
            await self.process.stdin.drain()
        line = await self.process.stdout.readline()
        answer = json.loads(line) if line else {}
        if "url" not in answer:
            await self.process.wait()
            await self._reader
            raise _ChildDiedError(self.last_words(answer.get("error")))
        return str(answer["url"])

    async def _read_log(self) -> None:
        assert self.process.stderr is not None
        while data := await self.process.stderr.read(4096):
            self._log = (self._log + data)[-_LOG_TAIL:]


def _environment() -> dict[str, str]:
    """Give the child an environment in which it finds this package, and none of the bot's secrets."""
    kept = {
        name: value for name, value in os.environ.items() if not name.upper().endswith(("_TOKEN", "_KEY"))
    }
    path = os.pathsep.join(filter(None, [str(_PROJECT), os.environ.get("PYTHONPATH")]))
    # llama.cpp has gdb look at a process that it aborts, where there is one: seconds of work for a report
    # that nobody reads. What went wrong stands in its log.
    return {"GGML_NO_BACKTRACE": "1", **kept, "PYTHONPATH": path}


async def _wait(task: asyncio.Task[_Child], on_progress: Progress | None, what: str) -> None:
    """Wait for a task that others may be waiting for too: giving up does not end it."""
    seconds = 0
    while not (await asyncio.wait({task}, timeout=1.0))[0]:
        seconds += 1
        if on_progress is not None:
            on_progress(f"{what} ... {seconds} s")


def _retrieve(task: asyncio.Task[_Child]) -> None:
    """Look at the error even if everybody who waited has left; otherwise asyncio complains about it."""
    if not task.cancelled():
        task.exception()


def _stamp(path: Path) -> tuple[int, int] | None:
    """Tell one state of a file from the next."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def _default_context(metadata: dict[str, Scalar]) -> int:
    return min(trained_context(metadata) or 4096, _LONGEST_CONTEXT)


def _pools(metadata: dict[str, Scalar]) -> bool:
    """Tell whether a model says how the vectors of its tokens become one."""
    return bool(metadata.get(f"{metadata.get('general.architecture')}.pooling_type"))


def _scores(metadata: dict[str, Scalar], context: int) -> int:
    """Give the bytes of one batch's attention where it is not flash attention: 32 bit for each score."""
    heads = metadata.get(f"{metadata.get('general.architecture')}.attention.head_count", 0)
    return BATCH * context * (heads if isinstance(heads, int) else 0) * 4


def _slots(metadata: dict[str, Scalar], context: int, wished: int, memory: int) -> int:
    """Take as many slots as their key-value cache fits into a quarter of the memory, 1 to 4.

    Bytes for a token: 2 (key, value) x layers x KV heads x head size x 2 (16 bit).
    """

    def number(key: str) -> int:
        value = metadata.get(f"{metadata.get('general.architecture')}.{key}", 0)
        return value if isinstance(value, int) else 0

    heads = number("attention.head_count") or 1
    head_size = number("attention.key_length") or number("embedding_length") // heads
    kv_heads = number("attention.head_count_kv") or heads
    slot = max(1, 2 * number("block_count") * kv_heads * head_size * 2 * context)
    return max(1, min(wished, _MOST_SLOTS, memory // 4 // slot))
