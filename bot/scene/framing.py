"""What a model's chat template adds to a prompt, in tokens: measured once, by counting small conversations.

The conversations have the log's own shape (see `bot.prompt.log`) and differ in how their texts begin and end,
for a tokenizer may join the last characters of a text with what the template puts behind it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bot.chat import ChatMessage
from bot.prompt.log import cue
from bot.prompt.tokens import Frame

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    CountMessages = Callable[[Sequence[ChatMessage]], Awaitable[int | None]]
    CountText = Callable[[str], Awaitable[int | None]]

_CUE = cue("Marta")
_HEADS = tuple(
    f"Rain. {end}"
    for end in ("Marta waits.", "waits", "“Yes?”", "*nods*", "20", "雨", "🎲", "(quiet)", "...")
)
_ANSWERS = (
    "The inn waits.",
    "*She nods*",
    "“Yes? No",
    "20 bells.\n\nRain: 20",
    "雨。雨",
    "🎲 rolls 🎲",
    "(quiet)",
    "...",
    "- a room",
    "#1 it's `x = 1`",
    "Ünder the bell —",
)
_LINES = (
    "Ann: I open the door.",
    "Zoë: *nods*\n  Yes",
    "李: 雨。",
    "7th: 20",
    "_x_: “Who?”",
    "[Ann rolls 1d20: 17]",
    "Bo: 🎲",
)


class UnmeasuredError(Exception):
    """The server does not count one of the conversations."""


async def measure(count: CountMessages, tokens: CountText) -> tuple[Frame, bool]:
    """Give a model's frame, and whether every sum made with it is what the server bills, to the token.

    `count` gives the tokens that a conversation is billed, `tokens` those of a text alone. Where the frame
    depends on the texts, the largest one is given. Raises UnmeasuredError, and what the two raise.
    """
    scale = _Scale(count, tokens)
    await scale.tare()
    prompts = await asyncio.gather(*(scale.prompt(head) for head in _HEADS))
    exchanges = await asyncio.gather(*(scale.exchange(answer) for answer in _ANSWERS))
    neighbours = zip(_LINES, (*_LINES[1:], _LINES[0]), strict=True)
    lines = await asyncio.gather(*(scale.lines(*pair) for pair in neighbours))
    frame = Frame(max(prompts), max(exchanges), max(0, *lines))
    missing = await scale.missing(frame)
    exact = len({*prompts}) == len({*exchanges}) == 1 and not any(lines) and missing == 0
    if missing > 0:
        frame = Frame(frame.prompt, frame.exchange + -(-missing // len(_ANSWERS)), frame.line)
    return frame, exact


class _Scale:
    """Weighs conversations."""

    def __init__(self, count: CountMessages, tokens: CountText) -> None:
        self._count = count
        self._tokens = tokens
        self._empty = 0

    async def tare(self) -> None:
        """Weigh the conversation that the others go on from."""
        self._empty = await self._billed(_HEADS[0], _CUE)

    async def prompt(self, head: str) -> int:
        """Weigh what stands around a head and a cue."""
        return await self._billed(head, _CUE) - await self._alone(head, _CUE)

    async def exchange(self, answer: str) -> int:
        """Weigh what stands around an answer and a cue."""
        billed = await self._billed(_HEADS[0], _CUE, answer, _CUE)
        return billed - self._empty - await self._alone(answer, _CUE)

    async def lines(self, *lines: str) -> int:
        """Weigh what lines cost more in one message than each alone."""
        written = [f"{line}\n" for line in lines]
        billed = await self._billed(_HEADS[0], "".join([*written, _CUE]))
        return billed - self._empty - await self._alone(*written)

    async def missing(self, frame: Frame) -> int:
        """Weigh what the sum lacks for a long conversation."""
        texts = [_HEADS[0]]
        for place, answer in enumerate(_ANSWERS):
            texts += f"{_LINES[place % len(_LINES)]}\n{_CUE}", answer
        lines = [f"{_LINES[place % len(_LINES)]}\n" for place in range(len(_ANSWERS))]
        alone = await self._alone(_HEADS[0], *lines, *_ANSWERS, *[_CUE] * (len(_ANSWERS) + 1))
        framed = frame.prompt + len(_ANSWERS) * (frame.exchange + frame.line)
        return await self._billed(*texts, _CUE) - alone - framed

    async def _billed(self, head: str, *texts: str) -> int:
        messages = [ChatMessage("system", head)]
        messages += [ChatMessage("assistant" if n % 2 else "user", text) for n, text in enumerate(texts)]
        return _sure(await self._count(messages))

    async def _alone(self, *texts: str) -> int:
        return sum([_sure(await self._tokens(text)) for text in texts])


def _sure(tokens: int | None) -> int:
    if tokens is None:
        raise UnmeasuredError
    return tokens
