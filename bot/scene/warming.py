"""Quiet moments: what leaves the window is summed up, and the server reads what the next prompt begins with.

After an answer the window is cut, if the next turn would have it cut. What leaves it is summed up before, and
the new beginning is sent with a single token to generate. What players say without being answered at once
is sent in the same way. So a turn pays for what is new in it and for nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import structlog

from bot.chat import ChatRequest, Sampling
from bot.errors import HearthsideError

if TYPE_CHECKING:
    from bot.clock import Clock
    from bot.model.backend import Backend
    from bot.model.backends import Backends
    from bot.persona.personas import Personas
    from bot.scene.model_choices import ModelChoices
    from bot.scene.prompter import Prompter
    from bot.scene.scene import Scene
    from bot.scene.summarising import Summarising


class Warming:
    """Has servers sum up and read ahead for the scenes, one scene at a time on each, never in anybody's way.

    Nothing depends on it, so what goes wrong here is logged for the curious and otherwise ignored.
    """

    def __init__(
        self,
        backends: Backends,
        prompter: Prompter,
        summarising: Summarising,
        personas: Personas,
        models: ModelChoices,
        clock: Clock,
    ) -> None:
        self._backends = backends
        self._prompter = prompter
        self._summarising = summarising
        self._personas = personas
        self._models = models
        self._clock = clock
        self._wanted: set[int] = set()
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._retries: dict[int, asyncio.Task[None]] = {}
        self._log = structlog.get_logger("hearthside.warming")

    def soon(self, scene: Scene) -> None:
        """Have the scene's next beginning read. What is asked for while that goes on is done after it."""
        self._wanted.add(scene.id)
        if scene.id not in self._tasks:
            self._tasks[scene.id] = asyncio.create_task(self._run(scene), name=f"warming {scene.id}")

    def mend(self, scene: Scene) -> None:
        """Have summed up again what was changed in the log, if anything of it was summed up."""
        if self._summarising.is_due(scene):
            self.soon(scene)

    async def aclose(self) -> None:
        """Stop reading ahead."""
        tasks = [*self._tasks.values(), *self._retries.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, scene: Scene) -> None:
        try:
            while scene.id in self._wanted and scene.listening and not scene.answering:
                self._wanted.discard(scene.id)
                await self._read_ahead(scene)
        except HearthsideError as error:
            self._log.debug("not_read_ahead", scene=scene.id, error=str(error))
        except Exception:  # noqa: BLE001  # a bug here must be seen, and must not cost the scene anything
            self._log.exception("reading_ahead_broke", scene=scene.id)
        finally:
            self._wanted.discard(scene.id)
            del self._tasks[scene.id]

    async def _read_ahead(self, scene: Scene) -> None:
        lead = self._personas.get(scene.record.lead)
        wanted = self._models.model(scene, lead)
        backend = self._backends.at_hand(wanted, scene.id)
        if backend is None:
            return
        model = self._backends.model_for(backend, wanted)
        again_in = await self._summarising.catch_up(scene, backend, model)
        if again_in is not None and scene.id not in self._retries:
            self._retries[scene.id] = asyncio.create_task(self._again(scene, again_in))
        if scene.answering or not backend.capabilities.caches_prefix:
            return
        messages = await self._prompter.ahead(scene, backend, model=model)
        mark = hash((backend.name, model, messages))
        if mark == scene.read_ahead:
            return
        # Under another adapter llama.cpp would drop what it has cached.
        lora = self._models.adapter(scene.record.guild_id, lead)
        request = ChatRequest(
            messages,
            1,
            Sampling(temperature=0.0),
            model=model,
            lora=lora,
            ahead=True,
            session=scene.session,
        )

        async def read() -> None:
            if not scene.answering:  # else its own prompt is on its way, and says more
                await self._read(scene, backend, request)

        while not await self._backends.spare(backend, read):
            self._log.debug("reading_ahead_gave_way", scene=scene.id)
        scene.read_ahead = mark

    async def _again(self, scene: Scene, seconds: float) -> None:
        await self._clock.sleep(seconds)
        del self._retries[scene.id]
        self.soon(scene)

    async def _read(self, scene: Scene, backend: Backend, request: ChatRequest) -> None:
        async with contextlib.aclosing(backend.stream(request)) as deltas:
            async for delta in deltas:
                if delta.usage:
                    tokens, evaluated = delta.usage.prompt_tokens, delta.usage.evaluated_tokens
                    self._log.debug("read_ahead", scene=scene.id, tokens=tokens, evaluated=evaluated)
