"""One model server in the line, and how it stands: up, or down with a reason and a time to look again."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from bot.clock import Clock
from bot.errors import BackendError
from bot.model.bounded_queue import Queue
from bot.model.openai_server import OpenAIServer

FIRST_WAIT_S, LONGEST_WAIT_S = 2.0, 60.0
"""Seconds before a server that is down is looked at again: doubled with every failure, up to the longer."""
STEADY_S = 60.0
"""Seconds after which a server that came back is trusted again, and its failures are forgotten."""
LOOK_S = 30.0
"""Seconds between looks at a server that is up, which notice that it now serves another model."""


class Candidate:
    """A server with its health and its queue. `look_s` and `first_wait_s` are in seconds."""

    def __init__(
        self,
        server: OpenAIServer,
        queue: Queue,
        clock: Clock,
        *,
        look_s: float = LOOK_S,
        first_wait_s: float = FIRST_WAIT_S,
    ) -> None:
        self.server = server
        self.queue = queue
        self.error: BackendError | None = None
        self.looked = asyncio.Event()
        """Set while it is known whether the server is there; not at the start, nor right after a failure."""
        self.prompt_tokens = 0
        """Of all answers since the bot started, as far as the server told;"""
        self.evaluated_tokens = 0
        """and those of them that it had not cached."""
        self._clock = clock
        self._look_s = look_s
        self._first_wait_s = first_wait_s
        self._failures = 0
        self._up_since = clock.monotonic()
        self._at_once = False
        self._woken = asyncio.Event()

    @property
    def is_up(self) -> bool:
        """Whether it answered when it was last asked."""
        return self.looked.is_set() and self.error is None

    async def watch(self) -> None:
        """Look at the server for ever: now and then while it is up, less and less often while it is down."""
        while True:
            await self.look()
            while await self._woken_within(self._wait_s()):
                pass  # it failed meanwhile: its time to be looked at again starts now

    async def look(self) -> None:
        """Ask the server whether it is there."""
        try:
            await self.server.health()
        except BackendError as error:
            self._note(error)
        else:
            if self.error is not None:
                self._up_since = self._clock.monotonic()
            self.error = None
        self._at_once = False
        self.looked.set()

    def fail(self, error: BackendError) -> None:
        """Take note that a request failed: nobody is sent there until it was looked at again.

        That is at once after one failure, for an answer may break off on a server that is well; a server that
        fails again within a minute of coming back is left alone for a while, longer each time.
        """
        self._note(error)
        if self._failures == 1:
            self._at_once = True
            self.looked.clear()
        self._woken.set()

    def _note(self, error: BackendError) -> None:
        if self.error is None:
            if self._clock.monotonic() - self._up_since > STEADY_S:
                self._failures = 0
            self.server.forget()
        self._failures += 1
        self.error = error

    def _wait_s(self) -> float:
        if self._at_once:
            return 0.0
        if self.error is None:
            return self._look_s
        return float(min(self._first_wait_s * 2 ** min(self._failures - 1, 10), LONGEST_WAIT_S))

    async def _woken_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        woken = self._woken.is_set()
        self._woken.clear()
        return woken
