"""Having the model say what to search for: an option, for it costs each answer a request of its own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from bot.chat import ChatRequest, Sampling
from bot.errors import HearthsideError
from bot.memory.rewrite import LINES, MOST_TOKENS, kept, request
from bot.prompt.log import SPOKEN
from bot.prompt.text import clean, table_name, unbracketed
from bot.scene.asking import said_by
from bot.scene.knowledge import shortened
from bot.store.records import EntryKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bot.model.backends import Backends
    from bot.persona.persona import Persona
    from bot.scene.asking import Parrots
    from bot.scene.model_choices import ModelChoices
    from bot.scene.scene import Scene
    from bot.store.records import Entry

PATIENCE_S = 3.0
"""Seconds that an answer waits for it, with those that the server is busy."""
LINE_CHARACTERS = 400
CALLED = "Query"
"""What a model may put in front of its words as if it were a name; nobody at a table is called that."""

SAID = frozenset({EntryKind.PLAYER, *SPOKEN})


class Rewriting:
    """Asks the model that answers in a scene what to look for, before it answers."""

    def __init__(
        self, backends: Backends, models: ModelChoices, parrots: Parrots, *, patience_s: float = PATIENCE_S
    ) -> None:
        self._backends = backends
        self._models = models
        self._parrots = parrots
        self._patience_s = patience_s
        self._log = structlog.get_logger("hearthside.recall")

    async def query(self, scene: Scene, persona: Persona, heard: Sequence[Entry]) -> str:
        """Give what to search for after what a persona heard; empty where nobody can say so in time."""
        wanted = self._models.model(scene, persona)
        backend = self._backends.at_hand(wanted, scene.id)
        model = self._backends.model_for(backend, wanted) if backend else None
        if backend is None or await self._parrots.would_answer(backend, model):
            return ""
        said = [one for one in heard if one.kind in SAID][-LINES:]
        lines = [
            shortened(f"{table_name(one.speaker)}: {unbracketed(clean(one.text))}", LINE_CHARACTERS)
            for one in said
        ]
        sampling = Sampling(temperature=0.0, seed=0)
        asked = ChatRequest(request(lines), MOST_TOKENS, sampling, model=model, session=scene.session)
        scene.read_ahead = 0  # another prompt takes the place of what the server has cached of the scene's
        try:
            async with asyncio.timeout(self._patience_s), self._backends.lease(backend):
                return kept(await said_by(backend, asked, CALLED))
        except (HearthsideError, TimeoutError) as error:
            self._log.info("query_not_rewritten", scene=scene.id, error=str(error) or "it took too long")
            return ""
