"""Counting tokens with a model server's own tokenizer, ahead of the arithmetic that needs the numbers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bot.errors import BackendError
from bot.prompt.log import entry_text
from bot.prompt.tokens import EstimatingCounter

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bot.model.backend import Backend
    from bot.store.records import Entry

# Texts that are counted at the same time: enough to hide the way there and back, few for a small server.
AT_ONCE = 8
# Heads whose count is remembered; each scene has one.
REMEMBERED_HEADS = 256


class ServerCounter:
    """A TokenCounter that asks a server where it can, and estimates where it cannot.

    Asking takes time, so texts are counted ahead with `prime`; a text that was not is estimated.
    """

    def __init__(self, backend: Backend, fingerprint: str) -> None:
        self.backend = backend
        self._estimate = EstimatingCounter()
        self._exact = backend.capabilities.tokenizes
        self.fingerprint = fingerprint if self._exact else self._estimate.fingerprint
        self._heads: dict[str, int] = {}
        self._entries: dict[str, int] = {}
        self._tight = 1.0

    @property
    def exact(self) -> bool:
        """Whether the server's tokenizer counts."""
        return self._exact

    @property
    def scale(self) -> float:
        """The server's tokens for one token counted here."""
        return (1.0 if self._exact else self._estimate.scale) * self._tight

    def count(self, text: str) -> int:
        """Give the tokens of `text`: the server's number if it was primed, else an estimate."""
        known = self._entries.get(text) or self._heads.get(text)
        return known if known is not None else self._estimate.count(text)

    async def prime(self, heads: Sequence[str], entries: Iterable[Entry]) -> None:
        """Have the server count these texts, if it can."""
        if not self._exact:
            return
        gate = asyncio.Semaphore(AT_ONCE)
        if len(self._heads) > REMEMBERED_HEADS:
            self._heads.clear()

        async def ask(text: str, into: dict[str, int]) -> None:
            async with gate:
                tokens = await self.backend.tokenize(text)
            if tokens is not None:
                into[text] = tokens

        asked = [ask(text, self._heads) for text in heads if text not in self._heads]
        asked += [ask(text, self._entries) for text in {entry_text(entry) for entry in entries} if text]
        for outcome in await asyncio.gather(*asked, return_exceptions=True):
            if isinstance(outcome, BaseException) and not isinstance(outcome, BackendError):
                raise outcome

    def forget_entries(self) -> None:
        """Let go of the entries' texts: their counts are kept with the entries."""
        self._entries.clear()

    def calibrate(self, counted: int, billed: int) -> None:
        """Learn from a prompt that came to `counted` tokens here and to `billed` at the server."""
        if not self._exact:
            self._estimate.calibrate(counted, billed)

    def tighten(self, factor: float) -> None:
        """Take everything for that much longer, because a prompt that should have fitted was refused."""
        self._tight *= factor
