"""JSON from outside: how much of it is read, and how it is written so that nothing is lost."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from bot.errors import TableError

DOCUMENT_BYTES = 4 * 1024 * 1024
DEPTH = 64  # brackets inside brackets
PARTS = 400_000  # strings, commas and brackets: what a value costs in memory is 20 times its text

# Strings are stepped over whole, so that brackets in them do not count. One without an end goes on to the end
# of the text: looking for its next beginning instead would take quadratic time.
_PART = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]|,', re.DOTALL)

Json = dict[str, Any]


class CardError(TableError):
    """A character card cannot be used as it is: one sentence for the one who brought it."""


def parse(data: bytes) -> Json:
    """Read a JSON object (RFC 8259, with or without a byte order mark).

    Raises `CardError`; at most 4 MiB, 64 levels and 400,000 parts are read, checked before they are built.
    """
    if len(data) > DOCUMENT_BYTES:
        size = f"{len(data) / 1024**2:.1f} MiB"
        raise CardError(f"The card's text is {size} long; at most {DOCUMENT_BYTES // 1024**2} MiB are read.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise CardError("The card is not UTF-8 text.", hint="Save it as UTF-8.") from None
    _require_bounds(text)
    try:
        document = json.loads(text, parse_float=_finite, parse_constant=_refused)
    except json.JSONDecodeError as error:
        raise CardError(f"The card is not valid JSON: {error.msg.lower()} in line {error.lineno}.") from None
    except ValueError as error:  # a number that Python does not take
        raise CardError(f"The card is not valid JSON: {error}.") from None
    if not isinstance(document, dict):
        raise CardError("This JSON is no character card.", hint="A card is an object in braces.")
    return document


def dumped(document: Json, *, indent: int | None = None) -> bytes:
    """Write a document as UTF-8. Half an emoji, which UTF-8 has no form for, stays an escape."""
    try:
        return json.dumps(document, ensure_ascii=False, indent=indent).encode()
    except UnicodeEncodeError:
        return json.dumps(document, indent=indent).encode()


def _require_bounds(text: str) -> None:
    depth = 0
    for count, part in enumerate(_PART.finditer(text)):
        first = text[part.start()]
        depth += (first in "[{") - (first in "]}")
        if depth > DEPTH:
            raise CardError(f"The card is nested more than {DEPTH} levels deep.")
        if count >= PARTS:
            raise CardError(f"The card is made of more than {PARTS:,} parts.")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"the number {digits[:20]} is too large")
    return number


def _refused(name: str) -> float:
    raise ValueError(f"{name} is no number")
