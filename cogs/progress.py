"""What takes long, seen while it goes on: one line in the answer to a command."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Self

import discord

if TYPE_CHECKING:
    from bot.clock import Clock

EVERY_S = 2.0  # Discord lets a message be edited five times in five seconds; nobody reads faster
HOURGLASS = "⏳"


class ProgressLine:
    """Shows the latest text it is called with in a deferred answer, for as long as the context is open."""

    def __init__(self, interaction: discord.Interaction[Any], clock: Clock) -> None:
        self._interaction = interaction
        self._clock = clock
        self._text = ""
        self._news = asyncio.Event()
        self._showing: asyncio.Task[None] | None = None

    def __call__(self, text: str) -> None:
        """Have a text shown; what a newer one overtakes is not."""
        self._text = text
        self._news.set()

    async def __aenter__(self) -> Self:
        """Begin."""
        self._showing = asyncio.create_task(self._show())
        return self

    async def __aexit__(self, *error: object) -> None:
        """Show nothing more: the answer itself comes next."""
        assert self._showing is not None
        self._showing.cancel()
        await asyncio.gather(self._showing, return_exceptions=True)

    async def _show(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            with contextlib.suppress(discord.HTTPException):
                await self._interaction.edit_original_response(content=f"{HOURGLASS} {self._text}"[:2000])
            await self._clock.sleep(EVERY_S)
