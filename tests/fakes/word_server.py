"""A model server that only counts, in this process: a word or a sign is a token. It never answers.

For what happens while counts are awaited: `gate` holds back whatever is asked. How real servers count is
tested against them.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import cast

from bot.chat import ChatMessage, TokenCount
from bot.model.backend import Backend, Capabilities

TOKEN = re.compile(r"\w+|[^\w\s]|\n")
AROUND_MESSAGE = 4
AROUND_PROMPT = 3


class WordServer:
    """As much of a Backend as prompts are built with."""

    name = "the counting house"
    capabilities = Capabilities(counts=True, tokenizes=True, caches_prefix=True)

    def __init__(self, context: int) -> None:
        self.context = context
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked = asyncio.Event()
        self.texts: list[str] = []

    def as_backend(self) -> Backend:
        return cast("Backend", self)

    def hold(self) -> None:
        """Let nothing that is asked from now on be answered, until `gate` is set."""
        self.gate.clear()
        self.asked.clear()

    def fingerprint(self, model: str | None = None) -> str:
        return "words"

    def model_path(self, model: str | None = None) -> None:
        return None

    async def context_length(self, model: str | None = None) -> int:
        return self.context

    async def tokenize(self, text: str) -> int:
        self.texts.append(text)
        await self._pass()
        return len(TOKEN.findall(text))

    async def count(self, messages: Sequence[ChatMessage], model: str | None = None) -> TokenCount:
        await self._pass()
        return TokenCount(self.billed(messages), exact=True)

    def billed(self, messages: Sequence[ChatMessage]) -> int:
        """What a prompt of these messages is billed."""
        words = sum(len(TOKEN.findall(one.content)) for one in messages)
        return words + AROUND_MESSAGE * len(messages) + AROUND_PROMPT

    async def _pass(self) -> None:
        self.asked.set()
        await asyncio.sleep(0)  # as an answer from outside would, it lets others go on
        await self.gate.wait()
