"""Having a summary written: by the model that serves the scene while nobody waits for it, or without one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from bot.chat import ChatRequest, Sampling
from bot.errors import PromptTooLongError
from bot.memory.summary_text import UnfitSummaryError, checked, excerpt, request
from bot.prompt.text import clean
from bot.scene.asking import said_by

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bot.memory.summary import Bounds
    from bot.memory.summary_text import Line
    from bot.model.backend import Backend
    from bot.model.backends import Backends
    from bot.scene.asking import Parrots
    from bot.scene.counting import ServerCounter
    from bot.scene.prompter import Prompter
    from bot.scene.scene import Scene

# How often a model may answer with what is no summary before the log's own sentences have to do.
REFUSALS = 3
# As good as no chance: the same log gives the same summary. One that was refused must not come again.
TEMPERATURE, WARMER = 0.2, 0.2
# What a model may put in front of its summary as if it were a name; nobody at a table is called that.
CALLED = "Summary"


class SummaryWriter:
    """Writes one summary after the other."""

    def __init__(self, backends: Backends, prompter: Prompter, parrots: Parrots) -> None:
        self._backends = backends
        self._prompter = prompter
        self._parrots = parrots
        self._log = structlog.get_logger("hearthside.summary")

    async def write(
        self,
        scene: Scene,
        backend: Backend,
        model: str | None,
        source: Sequence[Line],
        level: int,
        limits: Bounds,
        counter: ServerCounter,
    ) -> str | None:
        """Give a summary of `limits.summary` tokens at most; None where somebody came who is answered first.

        What no model can sum up is told in the log's own words. Raises BackendError where the server fails.
        """
        if not source:
            return ""
        if not limits.read or await self._parrots.would_answer(backend, model):
            return excerpt(source, limits.summary, counter.count)
        messages = request(source, limits.summary, level)
        for attempt in range(REFUSALS):
            sampling = Sampling(temperature=TEMPERATURE + attempt * WARMER, seed=attempt)
            wanted = max(int(limits.written * counter.scale), 1)
            asked = ChatRequest(messages, wanted, sampling, model=model, ahead=True, session=scene.session)
            try:
                said = await self._ask(scene, backend, asked)
            except PromptTooLongError as error:
                self._prompter.learn_limit(backend, error)
                break
            if said is None:
                return None
            try:
                return checked(said, source, limits.summary, await _counting(counter, said))
            except UnfitSummaryError as error:
                self._log.info("summary_refused", scene=scene.id, because=str(error), attempt=attempt + 1)
        return excerpt(source, limits.summary, counter.count)

    async def _ask(self, scene: Scene, backend: Backend, asked: ChatRequest) -> str | None:
        said: str | None = None

        async def work() -> None:
            nonlocal said
            if not scene.answering:  # else the turn comes first, and may change what is to be summed up
                said = clean(await said_by(backend, asked, CALLED))

        scene.read_ahead = 0  # another prompt takes the place of what the server has cached of the scene's
        while not await self._backends.spare(backend, work):
            self._log.debug("summary_gave_way", scene=scene.id)
            if scene.answering or not scene.listening:
                return None
        return said


async def _counting(counter: ServerCounter, text: str) -> Callable[[str], int]:
    """Give what counts parts of a text: by their share of it, since a server is asked only once."""
    await counter.prime([text])
    tokens, length = counter.count(text), max(len(text), 1)
    return lambda part: -(-tokens * len(part) // length)
