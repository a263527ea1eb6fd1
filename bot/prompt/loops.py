"""Noticing that a model repeats itself: small ones go round in circles, or end twice. Pure."""

from __future__ import annotations

import re
from collections import Counter

LEAST, TIMES = 24, 3
"""Words that go round, and how often they do, before it counts: a refrain and "no, no, no" are no circle."""
LONGEST = 60
"""Words of the longest passage whose return is noticed."""
STRETCH, FEW = 32, 8
"""So many words in a row that are no more than a few different ones go round, too: prose has twenty."""
ECHO, LONGEST_ECHO = 8, 200
"""Words of the shortest and the longest passage that is said once where it would end an answer twice."""

_UNSPACED = "\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff"  # Thai, Lao, Japanese, Chinese: a word for each letter
_WORD = re.compile(rf"[{_UNSPACED}]|(?:(?![{_UNSPACED}])\w)+")

# Between two passages: the first is a whole sentence, and what stands behind its end belongs to the second.
_BETWEEN = re.compile(
    r"""[.!?…][\"'\u201d\u2019»*_)\]]*(?=\s)|[\u3002\uff01\uff1f][\u201d\u2019」』*_)]*|(?=\n)"""
)


def without_echo(text: str) -> str:
    """Leave out a last passage that only says again what stands right before it, in whole sentences."""
    words = [*_WORD.finditer(text)]
    said = [word[0].casefold() for word in words]
    for length in range(min(len(said) // 2, LONGEST_ECHO), ECHO - 1, -1):
        if said[-length:] == said[-2 * length : -length]:
            end = _BETWEEN.search(text, words[-length - 1].end(), words[-length].start())
            if end:
                return without_echo(text[: end.end()])
    return text


class Loop:
    """Looks at one answer while it is written, for a passage that is said over and over."""

    def __init__(self) -> None:
        self._read = ""
        self._reset()

    def look(self, text: str, *, whole: bool = False) -> int | None:
        """Give how much of a text that goes round in circles says things once, in characters; else None.

        A text that goes on from the last one is read on from there. Unless it is the `whole` text, its last
        word may not be finished and does not count: so it ends at the same place however it comes in.
        """
        if not text.startswith(self._read):
            self._reset()
        end, second = len(self._read), None
        for found in _WORD.finditer(text, end):
            if second is not None or (found.end() == len(text) and not whole):
                break
            end = found.end()
            self._starts.append(found.start())
            second = self._add(found[0].casefold())
        self._read = text[:end]
        return None if second is None else self._starts[second]

    def _reset(self) -> None:
        """Begin anew, with a text of which nothing was read."""
        self._read = ""
        self._words: list[str] = []
        self._starts: list[int] = []
        self._same = [0] * (LONGEST + 1)  # words up to the last that equal the one so many words before
        self._latest: Counter[str] = Counter()  # of the last stretch

    def _add(self, word: str) -> int | None:
        """Take the next word; give the place of that from which on nothing new is said, if there is one."""
        self._words.append(word)
        count = len(self._words)
        if self._has_few_words():
            return self._all_said_by(count - STRETCH)
        for length in range(1, min(LONGEST, count - 1) + 1):
            if self._words[-1 - length] != word:
                self._same[length] = 0
                continue
            self._same[length] += 1
            round_and_round = self._same[length] + length
            if round_and_round >= max(LEAST, TIMES * length):
                return count - self._same[length]
        return None

    def _has_few_words(self) -> bool:
        """Take note of the last word; tell whether it ends a stretch of only a few different ones."""
        self._latest[self._words[-1]] += 1
        if len(self._words) > STRETCH:
            gone = self._words[-1 - STRETCH]
            self._latest[gone] -= 1
            if not self._latest[gone]:
                del self._latest[gone]
        return len(self._words) >= STRETCH and len(self._latest) <= FEW

    def _all_said_by(self, first: int) -> int:
        """Give the place after the word with which a stretch has said the last of its different ones."""
        found = {word: place for place, word in reversed(list(enumerate(self._words[first:], first)))}
        return min(max(found.values()) + 1, len(self._words) - 1)
