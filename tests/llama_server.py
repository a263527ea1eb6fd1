"""A real llama.cpp server as an operator's own: on a port that stays, with adapters, and killed at will."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Self

SERVE = """
import os, sys, xllamacpp
params = xllamacpp.CommonParams()
params.model.path, port, context, *adapters = sys.argv[1:]
params.model_alias = {os.path.basename(params.model.path).removesuffix(".gguf")}
params.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(path, 0.0) for path in adapters]
params.lora_init_without_apply = True
params.hostnames, params.port, params.n_ctx, params.n_parallel = ["127.0.0.1"], int(port), int(context), 1
params.cpuparams.n_threads, params.ui, params.fit_params, params.use_jinja = 1, False, False, True
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
os._exit(0)
"""
"""What `llama-server -m MODEL --port PORT -c CONTEXT --lora ADAPTER --lora-init-without-apply` is."""


class LlamaServer:
    """The server, named after its file, with one slot. `context` is in tokens; port 0 takes any."""

    def __init__(
        self, model: Path, *, context: int = 2048, port: int = 0, adapters: Sequence[Path] = ()
    ) -> None:
        self.url = ""
        self._model = model
        self._arguments = [str(context), *map(str, adapters)]
        self._port = port
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.kill()

    @property
    def host(self) -> str:
        """Its host and port."""
        return self.url.removeprefix("http://")

    async def start(self, model: Path | None = None) -> None:
        """Start it, where it was killed on the same port, and wait until it serves; perhaps another model."""
        self._model = model or self._model
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", SERVE, str(self._model), str(self._port), *self._arguments,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        assert self._process.stdout
        self.url = (await self._process.stdout.readline()).decode().strip()
        self._port = int(self.url.rpartition(":")[2])

    async def kill(self) -> None:
        """Kill it as `kill -9` does, whatever it is doing."""
        if self._process is not None and self._process.returncode is None:
            os.kill(self._process.pid, signal.SIGKILL)
            await self._process.wait()
