"""Marks in a model's output that are no part of what is said: thoughts, and the tags of chat templates."""

from __future__ import annotations

import re
from enum import Enum

# Some put their name in front: <seed:think>, <longcat_think>, <ifm|think>.
_THOUGHT = r"(?:[a-z]{1,12}[:_|])?(?:think|thinking|thoughts?|reasoning|reflection|scratchpad|analysis)"
_CLOSE = (
    rf"</{_THOUGHT}>|\[/THINK\]|◁/think▷|<\|end_of_thought\|>|<\|END_THINKING\|>|<channel\|>"
    rf"|<\|/{_THOUGHT}\|>|<\|inner_suffix\|>"
    r"|(?-i:assistantfinal)"  # what is left of GPT-OSS's tags where a server drops special tokens
)
_CLOSES = re.compile(rf"{_CLOSE}|<\|channel\|>final[^<\n]{{0,40}}<\|message\|>", re.IGNORECASE)
_MARK = re.compile(
    rf"(?P<close>{_CLOSE})"
    # DeepSeek, Qwen and many; Magistral; Kimi; Sky-T1; Command A; Gemma and GPT-OSS; Solar; Apertus.
    rf"|(?P<open><{_THOUGHT}>|\[THINK\]|◁think▷|<\|begin_of_thought\|>|<\|START_THINKING\|>|<\|channel\|?>"
    rf"|<\|{_THOUGHT}\|>|<\|inner_prefix\|>)"
    r"|(?P<wrapper></?(?:answer|response)>)"  # around the answer itself: Hunyuan, Granite
    r"|(?P<special><\|[^<>|\s]{1,40}\|?>|<\uff5c[^<>\s]{1,40}\uff5c>|</?s>|<(?:bos|eos|turn\|)>"
    r"|<(?:start|end)_of_[a-z]{1,20}>|\[/?INST\]|<</?SYS>>)",
    re.IGNORECASE,
)
_ENDS = re.compile(r"end(?!_header)|eo[stm]\b|/s>|/INST|return|<turn\|", re.IGNORECASE)
_LONGEST = 64
_LONGEST_CLOSE = 80
_OPEN = re.compile(r"(?:<[|/\uff5c]?[\w|\uff5c:/]{0,60}|\[/?[A-Z_]{0,20}|◁/?\w{0,6})\Z")


class Mark(Enum):
    """What a mark says about the text around it."""

    THOUGHT_BEGINS = "thought begins"
    THOUGHT_ENDS = "thought ends"
    """Without a beginning: all before it was thought, which the template had opened."""
    NOTHING = "nothing"
    BETWEEN = "between messages"
    """Before any text it is dropped, after some it ends the answer."""
    END = "end of the message"


class MarkReader:
    """Takes marks and thoughts out of output that comes in pieces.

    However it is cut into pieces, the same text and the same marks come out: a mark is acted on when it is
    complete, and the text that might be the beginning of one stays in `rest`.
    """

    def __init__(self) -> None:
        self.rest = ""
        """Output after the last mark, not yet given out; empty within a thought."""
        self._raw = ""
        self._thinking = False

    def feed(self, text: str) -> list[str | Mark]:
        """Take a piece of output and give the text and the marks that are certain now, in their order."""
        self._raw += text
        found: list[str | Mark] = []
        while self._step(found):
            pass
        self.rest = "" if self._thinking else self._raw
        return found

    def _step(self, found: list[str | Mark]) -> bool:
        """Go on to behind the next mark; tell whether there was one."""
        if self._thinking:
            return self._leave_thought()
        mark = _MARK.search(self._raw)
        plain = mark.start() if mark else max(len(self._raw) - _LONGEST, 0)
        found.append(self._raw[:plain])
        self._raw = self._raw[plain:]
        if mark is None:
            return False
        found.append(_meaning(mark))
        self._thinking = mark["open"] is not None
        if not self._thinking:  # GPT-OSS's opening tag stays: the one that closes may be the same one
            self._raw = self._raw[len(mark[0]) :]
        return True

    def _leave_thought(self) -> bool:
        close = _CLOSES.search(self._raw)
        self._thinking = close is None
        self._raw = self._raw[close.end() :] if close else self._raw[-_LONGEST_CLOSE:]
        return close is not None


def without_open_mark(text: str) -> str:
    """Give `text` without an end that might become a mark."""
    mark = _OPEN.search(text, max(len(text) - _LONGEST, 0))
    return text[: mark.start()] if mark else text


def _meaning(mark: re.Match[str]) -> Mark:
    if mark["close"]:
        return Mark.THOUGHT_ENDS
    if mark["open"]:
        return Mark.THOUGHT_BEGINS
    if mark["wrapper"]:
        return Mark.NOTHING
    return Mark.END if _ENDS.search(mark[0]) else Mark.BETWEEN
