"""One answer of one persona as it appears: streamed, at a pace that Discord bears."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from bot.clock import Clock
from bot.scene.ports import Place
from bot.stage.clean import Cleaner
from bot.stage.pace import EDIT_INTERVAL, Lane, unless
from bot.stage.parts import Parts
from bot.stage.refusals import UnreachableError, unreachable
from bot.stage.split import MESSAGE_LIMIT, first_sentence_ready, split

_log = logging.getLogger(__name__)

FIRST_TEXT_AFTER = EDIT_INTERVAL
"""Seconds after which the first text is shown even if no sentence is there yet."""

FIRST_TEXT_LENGTH = 200
"""Code points that are shown even if no sentence is there yet."""

ATTEMPTS = 6
"""How often the last change is tried while Discord does not answer: half a minute in all."""

LONGEST_WAIT = 15.0


class StreamedUtterance:
    """An answer that one task of its own brings into the channel, while the model still writes.

    A request that is under way is never cancelled: what it posts would stand there unknown to us.
    """

    def __init__(
        self,
        parts: Parts,
        place: Place,
        *,
        clock: Clock,
        lane: Lane,
        cleaner: Cleaner,
        started: Callable[[asyncio.Task[None]], None],
    ) -> None:
        self._parts = parts
        self._place = place
        self._clock = clock
        self._lane = lane
        self._cleaner = cleaner
        self._started = started
        self._text = ""
        self._final = False
        self._room = MESSAGE_LIMIT
        self._cut: tuple[tuple[str, bool, int], list[str]] = (("", False, 0), [])
        self._changed = asyncio.Event()
        self._called_off = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def write(self, text: str) -> None:
        """Show `text`, the whole answer so far. Returns at once; what a newer text overtakes is not sent."""
        if not self._final and not self._called_off.is_set():
            self._begin(text)

    async def finish(self, text: str) -> tuple[int, ...]:
        """Show the whole answer, which may be shorter than what was written; give its messages' ids.

        Raises StageError if it cannot be shown, and whatever `on_posted` raised.
        """
        self._final = True
        task = self._begin(text)
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            self.call_off()
            _log.info("An answer was called off with %d messages in the channel.", len(self._parts.ids))
            raise
        return self._parts.ids

    async def retract(self) -> None:
        """Take back what was shown. Raises StageError if Discord does not let us."""
        await self.halt()
        await self._until_reached(self._parts.clear, retracting=True)

    def call_off(self) -> None:
        """Let nothing follow the request that is under way. What was shown stays."""
        self._called_off.set()

    def _begin(self, text: str) -> asyncio.Task[None]:
        self._text = text
        self._changed.set()
        if self._task is None:
            self._task = asyncio.create_task(self._run())
            self._started(self._task)
        return self._task

    async def halt(self) -> None:
        """Let the request that is under way come to its end, and nothing follow it. What was shown stays."""
        self.call_off()
        if self._task is None:
            return
        await asyncio.wait({self._task})
        if not self._task.cancelled() and (error := self._task.exception()):
            _log.warning("An answer broke off: %s", error, exc_info=error)

    async def _run(self) -> None:
        await self._until_reached(self._prepare)
        await self._first_text()
        while not self._called_off.is_set():
            change = self._parts.next_change(self._texts(), final=self._final)
            if change is not None:
                await self._until_reached(self._change)
            elif self._final:
                return
            else:
                self._changed.clear()
                await unless(self._called_off, self._changed.wait())

    async def _prepare(self) -> None:
        self._room = (await self._parts.voice()).room

    async def _first_text(self) -> None:
        """Wait for a sentence, a length or a time, whichever comes first."""
        due = self._clock.monotonic() + FIRST_TEXT_AFTER
        while not (self._final or self._called_off.is_set() or self._is_worth_showing()):
            left = due - self._clock.monotonic()
            if left <= 0:
                return
            self._changed.clear()
            await unless(self._called_off, unless(self._changed, self._clock.sleep(left)))

    def _is_worth_showing(self) -> bool:
        return len(self._text) >= FIRST_TEXT_LENGTH or first_sentence_ready(self._text)

    def _texts(self) -> list[str]:
        """Give what the messages should show now."""
        wanted = (self._text, self._final, self._room)
        if self._cut[0] != wanted:
            clean = self._cleaner.clean if self._final else self._cleaner.clean_start
            self._cut = (wanted, split(clean(self._text), self._room))
        return self._cut[1]

    async def _change(self) -> None:
        """Make the next change with the newest text, waiting for the channel's turn if it is an edit."""
        if self._parts.next_change(self._texts(), final=self._final) == "edit":
            if not await unless(self._called_off, self._lane.turn()):
                return
            await self._parts.apply(self._texts(), final=self._final)
        else:
            await self._parts.apply(self._texts(), final=self._final)
            self._lane.changed()
        await self._prepare()

    async def _until_reached(self, act: Callable[[], Awaitable[None]], *, retracting: bool = False) -> None:
        """Do something, again and again while Discord does not answer.

        As long as the answer is being written there is time; after that the attempts are counted, and
        StageError is raised after the last. Gives up at once where the answer has been called off.
        """
        attempts, counted = 0, 0
        while True:
            try:
                await act()
            except UnreachableError as error:
                if self._called_off.is_set() and not retracting:
                    return
                attempts += 1
                counted += self._final or retracting
                _log.info("Discord does not answer (%s): attempt %d.", error, attempts)
                if counted >= ATTEMPTS:
                    raise unreachable(self._place) from error
                pause = self._clock.sleep(min(2.0 ** (attempts - 1), LONGEST_WAIT))
                await (pause if retracting else unless(self._called_off, pause))
            else:
                return
