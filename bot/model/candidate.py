"""One model server in the line, and how it stands: up, or down with a reason and a time to look again."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import structlog

from bot.clock import Clock
from bot.errors import BackendError, BackendLoadingError, KeyRefusedError, ModelRefusedError
from bot.model.backend import ModelInfo
from bot.model.bounded_queue import Queue
from bot.model.failures import not_a_model_server
from bot.model.openai_server import OpenAIServer

FIRST_WAIT_S, LONGEST_WAIT_S = 2.0, 60.0
"""Seconds before a server that is down is looked at again: doubled with every failure, up to the longer."""
STEADY_S = 60.0
"""Seconds after which a server that came back is trusted again, and its failures are forgotten."""
LOOK_S = 30.0
"""Seconds between looks at a server that is up, which notice that it now serves another model."""
REFUSED_S = 300.0
"""Seconds for which a model or key that was refused is not tried again: it may be put right meanwhile."""


class Candidate:
    """A server with its health and its queue. `look_s` and `first_wait_s` are in seconds.

    `rank` is its place in the line; servers of the same rank are equals that share the scenes.
    """

    def __init__(
        self,
        server: OpenAIServer,
        queue: Queue,
        clock: Clock,
        *,
        rank: int = 0,
        look_s: float = LOOK_S,
        first_wait_s: float = FIRST_WAIT_S,
    ) -> None:
        self.server = server
        self.rank = rank
        self.queue = queue
        self.error: BackendError | None = None
        self.cause: BackendError | None = None
        """What was wrong first, while it is down: a look that fails later says less."""
        self.models: tuple[ModelInfo, ...] = ()
        """What it offered when it was last looked at; the first answers where none is asked for."""
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
        self._next_look = asyncio.Event()
        self._refused: dict[str, tuple[float, ModelRefusedError]] = {}  # and until when that counts
        self._key_refused: tuple[float, KeyRefusedError] | None = None  # likewise, by a chat
        self._watching: asyncio.Task[None] | None = None

    @property
    def is_up(self) -> bool:
        """Whether it answered when it was last asked."""
        return self.looked.is_set() and self.error is None

    @property
    def is_loading(self) -> bool:
        """Whether it is there and will answer once its model is loaded."""
        return self.looked.is_set() and isinstance(self.error, BackendLoadingError)

    def lists(self, model: str) -> bool:
        """Whether the server offers that model, loaded or not, and has not refused it lately."""
        return any(one.name == model for one in self.models) and not self._refuses(model)

    def answers_as(self, model: str) -> bool:
        """Whether a request that names that model is answered by it; a server without a list may do so."""
        if self._refuses(model):
            return False
        found = next((one for one in self.models if one.name == model), None)
        if found is None:
            return not self.models
        return found.loaded is not False or self.server.capabilities.swaps == "named"

    def watch(self) -> None:
        """Begin to look at the server: now and then while it is up, less and less often while it is down."""
        self._watching = asyncio.create_task(self._watch())

    async def aclose(self) -> None:
        """Stop looking at the server and close its connections."""
        if self._watching:
            self._watching.cancel()
            await asyncio.wait({self._watching})
        await self.server.aclose()

    async def _watch(self) -> None:
        while True:
            await self.look()
            while await self._woken_within(self._wait_s()):
                pass  # it failed meanwhile: its time to be looked at again starts now

    async def look(self) -> None:
        """Ask the server whether it is there."""
        try:
            await self.server.health()
            self.models = await self.server.models()
            self._require_key()
            self._require_own_model()
        except BackendError as error:
            self._note(error)
        except Exception:  # noqa: BLE001  # a bug of ours: it must not end the looking, for which every scene waits
            structlog.get_logger("hearthside.model").exception("look_failed", server=self.server.name)
            self._note(not_a_model_server(self.server.name, "something that cannot be read"))
        else:
            if self.error is not None:
                self._up_since = self._clock.monotonic()
            self.error = None
        self._at_once = False
        self.looked.set()
        self._next_look.set()

    async def next_look(self, seconds: float) -> None:
        """Wait until the server has been looked at again, or that long."""
        self._next_look.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._next_look.wait()

    def refuse(self, error: ModelRefusedError) -> None:
        """Take note that the server refused a model by its name; if that is its own, it cannot answer."""
        self._refused[error.model] = (self._clock.monotonic() + REFUSED_S, error)
        if error.model == self.own_model:
            self.fail(error)

    def fail(self, error: BackendError) -> None:
        """Take note that a request failed: nobody is sent there until it was looked at again.

        That is at once after one failure, for an answer may break off on a server that is well; a server that
        fails again within a minute of coming back is left alone for a while, longer each time.
        """
        self._note(error)
        if isinstance(error, KeyRefusedError):  # many list their models for everybody: a look tells nothing
            self._key_refused = self._clock.monotonic() + REFUSED_S, error
        if self._failures == 1 and not isinstance(error, BackendLoadingError):
            self._at_once = True
            self.looked.clear()
        self._woken.set()

    def _note(self, error: BackendError) -> None:
        if self.error is None:
            if self._clock.monotonic() - self._up_since > STEADY_S:
                self._failures = 0
            self.cause = error
            self.server.forget()
        if not isinstance(error, BackendLoadingError):  # that is no failure: it is on its way
            self._failures += 1
        self.error = error

    @property
    def own_model(self) -> str:
        """The name of the model that answers where none is asked for."""
        return self.models[0].name if self.models else "default"

    def _require_key(self) -> None:
        if self._key_refused and self._clock.monotonic() < self._key_refused[0]:
            raise self._key_refused[1]

    def _require_own_model(self) -> None:
        if self._refuses(self.own_model):
            raise self._refused[self.own_model][1]

    def _refuses(self, model: str) -> bool:
        return model in self._refused and self._clock.monotonic() < self._refused[model][0]

    def _wait_s(self) -> float:
        if self._at_once:
            return 0.0
        if self.error is None:
            return self._look_s
        if self.is_loading:
            return self._first_wait_s
        return float(min(self._first_wait_s * 2 ** min(self._failures - 1, 10), LONGEST_WAIT_S))

    async def _woken_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        woken = self._woken.is_set()
        self._woken.clear()
        return woken
