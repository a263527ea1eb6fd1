"""What of a model's output is the character's answer: no thoughts, no name in front, no words of others.

The output is read from its beginning to the first thing that ends the answer. Whether something ends it
depends on nothing that comes later, so an answer cut while it streamed is the same as one read at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from bot.prompt.loops import Loop, without_echo
from bot.prompt.marks import Mark, MarkReader, without_open_mark
from bot.prompt.text import table_name

LONGEST_OUTPUT = 200_000
"""Characters of output, thoughts included, after which an answer is over: a bound, not a style."""
ROLES = ("User", "Assistant", "System", "Human", "Instruction", "Response", "Input", "Player")
"""Labels that models fall back to from their training: `User:`, `### Response:`."""

_COLON = r"[ \t]*[:\uff1a]"
_DECORATION = ">*_~#[ \t"
_BARE_ROLE = re.compile(r"\s*(?:(?P<own>assistant|model)|user|system|human|tool)\s*\Z")
_OPEN_CUE = re.compile(r"[*_ \t]*\[[^\]]{0,90}\Z")
_LABEL_REST = re.compile(r"[ \t]*(?:\([^()]{0,40}\)?)?[\]*_~]*[ \t]*[:\uff1a]?[*_~]*[ \t]*\Z")
_SENTENCE_END = re.compile(
    r"[.!?…][\"'\u201d\u2019»*_)\]]*(?=\s|\Z)|[\u3002\uff01\uff1f][\u201d\u2019」』*_)]*"
)


class AnswerFilter:
    """The answer of `speaker`, out of the pieces that a model streams.

    `others` are the names that may stand in front of a line and must not speak: the players and the rest of
    the cast. `done` tells that nothing more can come, so that the request may be closed.
    """

    def __init__(self, speaker: str, others: Iterable[str] = ()) -> None:
        self._labels = _Labels(speaker, others)
        self._marks = MarkReader()
        self._loop = Loop()
        self._kept = ""  # whole lines of the answer
        self._line = ""  # the output on the line after them
        self._length = 0
        self.done = False
        self.circled = False
        """Whether it went round in circles, and was ended for that."""

    def feed(self, text: str) -> str:
        """Take the next piece of output and give what may be shown of the answer so far.

        What might still turn out to be a name or a tag is held back. The text may get shorter once: when the
        end of a thought appears whose beginning was not seen, or a passage is said over and over.
        """
        if not self.done:
            self._take(text[: LONGEST_OUTPUT - self._length])
        if self.done:
            return self._kept.strip()
        said = without_open_mark(self._read(self._marks.rest)[2])
        start = said.rfind("\n") + 1
        return said[:start].strip() if self._labels.may_begin(said[start:]) else said.strip()

    def finish(self, reason: str | None = None) -> str:
        """Give the whole answer.

        `reason` is the request's `finish_reason`: after `length` an unfinished last sentence is left out, or
        marked as unfinished where it is most of the answer. What ends it twice is said once, though it was
        shown twice.
        """
        said = self._read(self._marks.rest)[2]
        if not self.done:
            self._judge(said, ended=True)
            unfinished = reason == "length" and not self.circled
            said = _completed(self._kept.strip()) if unfinished and said.strip() else self._kept
        return without_echo(said.strip())

    def _take(self, text: str) -> None:
        self._length += len(text)
        for piece in self._marks.feed(text):
            if isinstance(piece, Mark):
                self._pass(piece)
            else:
                self._kept, self._line, said, ended = self._read(piece)
                self._judge(said, ended=ended)
            if self.done:
                return
        _, _, said, ended = self._read(self._marks.rest)
        ended = ended or self._length == LONGEST_OUTPUT
        self._judge(said if ended else without_open_mark(said), ended=ended)

    def _judge(self, said: str, *, ended: bool) -> None:
        """End the answer where somebody else would speak, or where it has begun to go round in circles."""
        if (once := self._loop.look(said, whole=ended)) is not None:
            self.circled = True
            self._end(_completed(said[:once].strip()))
        elif ended:
            self._end(said)

    def _pass(self, mark: Mark) -> None:
        """Act on a mark."""
        if mark is Mark.THOUGHT_ENDS:
            self._kept = self._line = ""
            return
        role = None if self._kept.strip() else _BARE_ROLE.match(self._line)
        if role:  # the header of a message, <|im_start|>assistant: no part of what is said
            self._line = ""
        if mark in {Mark.BETWEEN, Mark.END}:
            said = self._read("")[2]
            if said.strip() or mark is Mark.END or (role and not role["own"]):
                self._end(said)

    def _end(self, said: str) -> None:
        self._kept, self._line, self._marks = said, "", MarkReader()
        self.done = True

    def _read(self, more: str) -> tuple[str, str, str, bool]:
        """Read on through `more`, without keeping it.

        Gives the whole lines of the answer, the output on the line after them, all that is said by then, and
        whether the answer ended there.
        """
        kept = self._kept
        if self.done:
            return kept, "", kept, True
        *lines, rest = (self._line + more).split("\n")
        for line in lines:
            spoken = self._labels.spoken(line, first=not kept.strip(), whole=True)
            if spoken is None:
                return kept, "", kept, True
            kept += f"{spoken}\n"
        spoken = self._labels.spoken(rest, first=not kept.strip(), whole=False)
        return kept, rest, kept + (spoken or ""), spoken is None


class _Labels:
    """Names in front of a line: the speaker's own are taken off, those of others end the answer."""

    def __init__(self, speaker: str, others: Iterable[str]) -> None:
        own = _names([speaker])
        taken = {name.lower() for name in own}
        foreign = {name for name in (*_names(others), *ROLES) if name.lower() not in taken}
        name = _either(own)
        label = rf"[*_]{{1,3}}(?:{name})(?:[*_]{{1,3}}{_COLON}|{_COLON}[*_]{{1,3}})|(?:{name}){_COLON}"
        cue = rf"\[(?:{name})(?: answers\.)?\](?:{_COLON})?"
        self._names = {name.lower() for name in own | foreign}
        self._own = re.compile(rf"[ \t]*(?:(?:{label})[ \t]*)+", re.IGNORECASE)
        self._opening = re.compile(rf"\s*(?:(?:{label}|{cue}|assistant{_COLON})\s*)+", re.IGNORECASE)
        self._foreign = re.compile(
            rf"[{re.escape(_DECORATION)}]*(?:{_either(foreign)})(?:[ \t]*\([^()]{{0,40}}\))?[\]*_~]*{_COLON}"
            r"|[*_ \t]*\[[^\[\]<]{1,80} answers\.\]",
            re.IGNORECASE,
        )

    def spoken(self, line: str, *, first: bool, whole: bool) -> str | None:
        """Give what the speaker says on a line, None if somebody else speaks there.

        The `first` line that says anything may repeat the cue, or the header of the message.
        """
        if first and whole and (role := _BARE_ROLE.match(line)):
            return "" if role["own"] else None
        own = (self._opening if first else self._own).match(line)
        said = line[own.end() :] if own else line
        return None if self._foreign.match(said) else said

    def may_begin(self, line: str) -> bool:
        """Tell whether a line that is still being written may become one with a name in front."""
        if not line:
            return False
        body = line.lstrip(_DECORATION).lower()
        if _OPEN_CUE.match(line) or any(name.startswith(body) for name in self._names):
            return True
        return any(body.startswith(name) and _LABEL_REST.match(body, len(name)) for name in self._names)


def stop_sequences(names: Iterable[str], limit: int) -> tuple[str, ...]:
    r"""Give stop strings for a request, `\nAnn:` for each name, the first `limit` of them.

    They only spare the server work: the filter cuts at the same places. OpenAI takes 4, llama.cpp any number.
    """
    return tuple(dict.fromkeys(f"\n{table_name(name)}:" for name in names))[:limit]


def _names(names: Iterable[str]) -> set[str]:
    """Give what may stand for these names in front of a line: the name, its first word, and its last.

    "The Narrator" and "Sister Ilse" become "Narrator:" and "Ilse:" with models that are not told to.
    """
    whole = {table_name(name) for name in names}
    ends = {word for name in whole for word in (name.split(" ", 1)[0], name.rsplit(" ", 1)[-1])}
    return whole | {word for word in ends if len(word) > 2 and word.lower() != "the"}


def _either(names: Iterable[str]) -> str:
    return "|".join(re.escape(name) for name in sorted(names, key=lambda name: (-len(name), name)))


def whole_sentences(said: str) -> str:
    """Give a text up to the end of its last whole sentence; nothing if there is none."""
    ends = [match.end() for match in _SENTENCE_END.finditer(said)]
    return said[: ends[-1]] if ends else ""


def _completed(said: str) -> str:
    """Cut an answer that ran out of tokens after its last whole sentence, or after its last whole word."""
    whole = whole_sentences(said)
    if whole and 2 * len(whole) >= len(said):
        return whole
    head, _, _ = said.rpartition(" ")
    return f"{(head or said).rstrip(' ,;:-')}…"
