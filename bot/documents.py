"""JSON from outside: how much of it is read, and how it is written so that nothing is lost."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any

from bot.errors import TableError

# Strings are stepped over whole, so that brackets in them do not count. One without an end goes on to the end
# of the text: looking for its next beginning instead would take quadratic time.
_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is read of one kind of document, called `what`; anything else raises `error`.

    `size` is in bytes; `parts` are values, as commas and opening brackets tell: in memory they cost 20 times
    their text; `depth` is of brackets inside brackets.
    """

    what: str
    error: type[TableError]
    size: int
    parts: int
    depth: int = 64

    def read(self, data: bytes) -> Json:
        """Read a JSON object (RFC 8259, with or without a byte order mark).

        The bounds are checked before anything is built. Raises `error` with a sentence about what is wrong.
        Takes up to half a second for 12 MiB: use a thread.
        """
        self.require_size(len(data))
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise self.error(f"The {self.what} is not UTF-8 text.", hint="Save it as UTF-8.") from None
        self._require_bounds(_STRING.sub("", text))
        try:
            document = json.loads(text, parse_float=_finite, parse_constant=_refused)
        except json.JSONDecodeError as error:
            raise self._invalid(f"{error.msg.lower()} in line {error.lineno}") from None
        except ValueError as error:  # a number that Python does not take
            raise self._invalid(str(error)) from None
        if not isinstance(document, dict):
            hint = f"A {self.what} is an object in braces."
            raise self.error(f"This JSON is no {self.what}.", hint=hint)
        return document

    def require_size(self, size: int) -> None:
        """Raise `error` for a document of too many bytes."""
        if size > self.size:
            is_, most = f"{size / 1024**2:.1f} MiB", self.size // 1024**2
            raise self.error(f"This {self.what} is {is_} of text; at most {most} MiB are read.")

    def _invalid(self, problem: str) -> TableError:
        return self.error(f"The {self.what} is not valid JSON: {problem}.")

    def _require_bounds(self, structure: str) -> None:
        """Look at a text without its strings: how deep it nests, and of how many parts it is made."""
        if sum(map(structure.count, ",[{")) > self.parts:
            raise self.error(f"The {self.what} is made of more than {self.parts:,} parts.")
        depth = 0
        for bracket in _BRACKET.findall(structure):
            depth += 1 if bracket in "[{" else -1
            if depth > self.depth:
                raise self.error(f"The {self.what} is nested more than {self.depth} levels deep.")


def dumped(document: Json, *, indent: int | None = None) -> bytes:
    """Write a document as UTF-8. Half an emoji, which UTF-8 has no form for, stays an escape."""
    try:
        return json.dumps(document, ensure_ascii=False, indent=indent).encode()
    except UnicodeEncodeError:
        return json.dumps(document, indent=indent).encode()


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"the number {digits[:20]} is too large")
    return number


def _refused(name: str) -> float:
    raise ValueError(f"{name} is no number")
