"""A rehearsal without a terminal: lines are typed in turn, and what a player would read is the transcript.

One line for each message, `Name: text`, in the order of the channel: what the players typed, the answers, the
bot's notices and its answers to commands. Line ends within a text become spaces; a message that changes after
it was printed is printed again.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import TYPE_CHECKING, Any, TypeVar

from bot.errors import HearthsideError, TableError
from bot.rehearsal.events import MessageCreated, MessageEdited, TypingStarted
from bot.rehearsal.interactions import Interaction
from bot.rehearsal.messages import Message
from bot.rehearsal.play_turn import FAILED, Patience, Turn
from bot.rehearsal.script import is_comment
from bot.rehearsal.terminal_client import Left, Told
from bot.rehearsal.terminal_line import Say, Word, parse_line
from bot.rehearsal.terminal_modal import field_value, question
from bot.rehearsal.terminal_text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from bot.clock import Clock
    from bot.rehearsal.modal_forms import Modal
    from bot.rehearsal.play_bot import BotProcess
    from bot.rehearsal.script import ScriptLines
    from bot.rehearsal.terminal_client import TerminalClient

T = TypeVar("T")

SLOW = 3.0
"""Seconds after which a turn that shows nothing is spoken of, and again each time as many have passed."""

_NOTICE = re.compile(rf"^{FAILED}.*", re.MULTILINE)


class BotEndedError(HearthsideError):
    """The bot is gone; the text is its obituary."""


class ScriptSession:
    """Plays lines to their end.

    `write` takes the lines of the transcript, `complain` what has to be said beside it.
    """

    def __init__(
        self,
        client: TerminalClient,
        bot: BotProcess,
        lines: ScriptLines,
        *,
        write: Callable[[str], None],
        complain: Callable[[str], None],
        patience: Patience,
        clock: Clock,
    ) -> None:
        self._client = client
        self._bot = bot
        self._lines = lines
        self._write = write
        self._complain = complain
        self._patience = patience
        self._clock = clock
        self._number = 0
        self._failures = 0
        self._turn = Turn(clock.monotonic(), patience)
        self._moved = asyncio.Event()
        self._changed: dict[int, Message] = {}
        self._printed: dict[int, str] = {}

    async def run(self) -> int:
        """Play every line. Gives the exit code: 0, or 1 if anything failed or the bot ended."""
        self._following = asyncio.create_task(self._follow(self._client.room.cursor))
        try:
            while await self._step():
                pass
        except BotEndedError as ended:
            self._print_changed()
            self._fail(str(ended))
        finally:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
        return 1 if self._failures else 0

    async def _step(self) -> bool:
        """Play the next line; false after the last."""
        try:
            line = await self._next_line()
            if line is None:
                return False
            return is_comment(line) or not line.strip() or await self._play(line.strip())
        except TableError as error:
            self._print_changed()
            self._fail(str(error))
            return True

    async def _play(self, line: str) -> bool:
        typed = parse_line(line)
        self._turn = Turn(self._clock.monotonic(), self._patience)
        if not isinstance(typed, Say | Word):
            self._write(f"{self._client.member.name}: {line}")
        match await self._client.perform(typed):
            case Left():
                return False
            case Told(text):
                self._complain(text)
                return True
            case Message() as said:
                self._write(one_line(f"{self._client.member.name}: {self._client.text(said)}"))
            case Interaction() as call:
                await self._answered(call)
        await self._until_quiet()
        self._print_changed()
        return True

    async def _answered(self, call: Interaction) -> None:
        """Wait for the answer to a command or control; a form that comes is filled from the next lines."""
        self._turn.waits_for_answer(self._clock.monotonic(), waits=True)
        try:
            await self._alive(call.answered(self._patience.turn))
            while call.modal is not None:
                call = await self._client.submit(call, await self._fill(call.modal))
                await self._alive(call.answered(self._patience.turn))
        except TimeoutError:
            raise TableError(f"No answer came in {self._patience.turn:g} seconds.") from None
        self._turn.waits_for_answer(self._clock.monotonic(), waits=False)

    async def _fill(self, modal: Modal) -> dict[str, Any]:
        values = {}
        for field in modal.fields:
            line = await self._next_line()
            if line is None:
                raise TableError(f"The script ends where the form asks {question(field).strip()!r}.")
            self._write(one_line(f"{self._client.member.name}: {question(field)}{line}"))
            values[field.custom_id] = field_value(field, line.strip(), self._client.names)
        return values

    async def _next_line(self) -> str | None:
        self._number += 1
        return await self._alive(self._lines.next())

    async def _until_quiet(self) -> None:
        began = self._clock.monotonic()
        told = began
        while (now := self._clock.monotonic()) < (due := self._turn.over_at()):
            if now - told >= SLOW and not self._turn.spoke:
                told = now
                self._complain(f"waiting for the answer to line {self._number} ... {now - began:.0f} s")
            self._moved.clear()
            with contextlib.suppress(TimeoutError):
                await self._alive(asyncio.wait_for(self._moved.wait(), min(due - now, SLOW)))
        if self._turn.expired(now):
            raise TableError(f"The turn had not ended after {self._patience.turn:g} seconds.")
        if self._turn.silent():
            raise TableError("The bot began to answer and then said nothing.")

    async def _alive(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something that takes time, unless the bot ends meanwhile."""
        task, ended = asyncio.ensure_future(work), asyncio.ensure_future(self._bot.ended())
        try:
            await asyncio.wait({task, ended, self._following}, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                raise BotEndedError(self._bot.obituary())
            if self._following.done():
                self._following.result()
            return await task
        finally:
            task.cancel()
            ended.cancel()

    async def _follow(self, since: int) -> None:
        """Note what the bot does in any channel."""
        client = self._client
        async for event in client.room.watch(since=since):
            match event:
                case TypingStarted(user=user) if user is client.application.user:
                    self._turn.typing(self._clock.monotonic())
                case MessageCreated(message=message) | MessageEdited(message=message) if client.is_bot(
                    message
                ):
                    self._changed[message.id] = message
                    if message.interaction is None:
                        self._turn.text(self._clock.monotonic())
            self._moved.set()

    def _print_changed(self) -> None:
        changed, self._changed = self._changed, {}
        for _, message in sorted(changed.items()):
            text = "" if message.deleted or message.loading else self._client.text(message)
            if text and text != self._printed.get(message.id):
                self._printed[message.id] = text
                self._print(message, text)

    def _print(self, message: Message, text: str) -> None:
        private = " (only you see this)" if message.ephemeral else ""
        self._write(one_line(f"{self._client.speaker(message)}: {text}") + private)
        notice = failure_notice(text, by_persona=message.webhook_id is not None)
        if notice:
            self._fail(notice)

    def _fail(self, reason: str) -> None:
        self._failures += 1
        self._complain(f"line {self._number}: {reason}")


def failure_notice(text: str, *, by_persona: bool) -> str | None:
    """Find the notice that a turn or command failed: what the bot says, or the line that ends an answer."""
    if not by_persona:
        return text if text.startswith(FAILED) else None
    found = _NOTICE.search(text)
    return found[0] if found else None
