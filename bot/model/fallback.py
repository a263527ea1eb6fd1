"""The CPU model at the end of the line: it is started when nothing else answers, and anew when it died."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

from bot.errors import SetupError
from bot.model.backend import ModelInfo, Progress
from bot.model.candidate import Candidate
from bot.model.cpu import CpuServer, Endpoint
from bot.model.standing import BackendStatus, Offer

Make = Callable[[Endpoint, str], Candidate]
"""Makes the candidate for a server that was started, and that is to be called so."""
OnReplaced = Callable[[Candidate, Candidate], None]
"""Is told which candidate stands for which from now on: the same server was started again."""


class Fallback:
    """The CPU model's server."""

    def __init__(self, cpu: CpuServer, make: Make, on_replaced: OnReplaced) -> None:
        self._cpu = cpu
        self._make = make
        self._on_replaced = on_replaced
        self._one = asyncio.Lock()  # two scenes must not each make one
        self._running: Candidate | None = None

    @property
    def there(self) -> tuple[Candidate, ...]:
        """Give the server that runs; none before it is needed for the first time."""
        return (self._running,) if self._running else ()

    @property
    def model(self) -> str:
        """Give the name of the model."""
        return self._cpu.model.stem

    async def ensure(self, on_progress: Progress | None) -> Candidate:
        """Have the server running, and give it. Raises BackendError if it does not come up."""
        if self._running is not None:
            await self._bury_if_dead(self._running)
        endpoint = await self._cpu.ensure(on_progress)
        async with self._one:
            if self._running is not None and self._running.server.is_at(endpoint.url):
                return self._running
            return await self._start(endpoint)

    async def offer(self) -> Offer:
        """Give what it offers while it does not run."""
        model = ModelInfo(self.model, await self._cpu.context_length(), format="gguf", loaded=False)
        return Offer(self._name, model, path=self._cpu.model)

    async def status(self) -> BackendStatus:
        """Say how it stands while it does not run."""
        try:
            await self._cpu.check()
        except SetupError as error:
            return BackendStatus(self._name, "", "down", error=str(error))
        return BackendStatus(self._name, "", "standby", "llama.cpp", self.model)

    async def forget(self) -> None:
        """Leave nothing on disk of what the model has read."""
        await self._cpu.forget()

    async def aclose(self) -> None:
        """End the server."""
        if self._running is not None:
            await self._running.aclose()
        await self._cpu.stop()
        async with self._one:  # a start that was under way has failed by now, or was over just before
            if self._running is not None:
                await self._running.aclose()

    @property
    def _name(self) -> str:
        bundled = self._cpu.model.parent == Path(__file__).parent
        return "the bundled CPU model" if bundled else f"the CPU model {self.model}"

    async def _bury_if_dead(self, running: Candidate) -> None:
        """Find out what a failed request meant: nothing, or a child that is dying or hangs."""
        await running.looked.wait()
        if not running.is_up and running is self._running:
            await self._cpu.bury()

    async def _start(self, endpoint: Endpoint) -> Candidate:
        old, self._running = self._running, None
        if old is not None:
            await old.aclose()
        fresh = self._make(endpoint, self._name)
        async with AsyncExitStack() as undo:
            undo.push_async_callback(fresh.aclose)
            fresh.watch()
            await fresh.looked.wait()
            if fresh.error is not None:
                raise fresh.error
            undo.pop_all()
        self._running = fresh
        if old is not None:
            self._on_replaced(old, fresh)
        return fresh
