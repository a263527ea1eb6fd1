"""What a model is asked beside the characters' answers: which model can do it, and what it says."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from bot.errors import SetupError
from bot.model.gguf_header import read_gguf_header
from bot.prompt.answer import AnswerFilter

if TYPE_CHECKING:
    from pathlib import Path

    from bot.chat import ChatRequest
    from bot.model.backend import Backend

# In the metadata of the bundled model, and of no other: it plays, and can do nothing else.
PARROT = "hearthside.corpus_version"


class Parrots:
    """Knows which files are the bundled model."""

    def __init__(self) -> None:
        self._known: dict[Path, bool] = {}

    async def would_answer(self, backend: Backend, model: str | None) -> bool:
        """Tell whether it is the bundled model that would be asked."""
        path = backend.model_path(model)
        if path is None:
            return False
        if path not in self._known:
            self._known[path] = await asyncio.to_thread(_is_marked, path)
        return self._known[path]


async def said_by(backend: Backend, asked: ChatRequest, called: str) -> str:
    """Give what a model says without its thoughts; `called` is what it may put in front as if it were a name.

    What goes round in circles is nothing. Raises BackendError where the server fails.
    """
    answer, reason = AnswerFilter(called), None
    async with contextlib.aclosing(backend.stream(asked)) as deltas:
        async for delta in deltas:
            answer.feed(delta.text)
            reason = delta.finish_reason or reason
            if answer.done:
                break
    said = answer.finish(reason)
    return "" if answer.circled else said


def _is_marked(path: Path) -> bool:
    try:
        return PARROT in read_gguf_header(path)
    except SetupError:
        return False
