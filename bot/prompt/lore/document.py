"""A lorebook's JSON from outside: how much of it is read, checked before it is built."""

from __future__ import annotations

import json
import re
from typing import Any

from bot.prompt.lore.formats import LoreError

DOCUMENT_BYTES = 12 * 1024 * 1024
DEPTH = 64  # brackets inside brackets
PARTS = 800_000  # commas and brackets: what a value costs in memory is 20 times its text

_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"', re.DOTALL)


def read_document(data: bytes) -> dict[str, Any]:
    """Read a JSON object (RFC 8259, with or without a byte order mark) of at most 12 MiB.

    Raises LoreError with a sentence about what is wrong. Takes up to half a second: use a thread.
    """
    require_size(len(data))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise LoreError("The lorebook is not UTF-8 text.", hint="Save it as UTF-8.") from None
    _require_bounds(_STRING.sub("", text))
    try:
        document = json.loads(text, parse_constant=_refused)
    except json.JSONDecodeError as error:
        problem = f"{error.msg.lower()} in line {error.lineno}"
        raise LoreError(f"The lorebook is not valid JSON: {problem}.") from None
    except ValueError as error:  # a number that Python does not take
        raise LoreError(f"The lorebook is not valid JSON: {error}.") from None
    if not isinstance(document, dict):
        raise LoreError("This JSON is no lorebook.", hint="A lorebook is an object in braces.")
    return document


def require_size(size: int) -> None:
    """Raise LoreError for a file of too many bytes."""
    if size > DOCUMENT_BYTES:
        most = DOCUMENT_BYTES // 1024**2
        raise LoreError(f"This file is {size / 1024**2:.1f} MiB; lorebooks of at most {most} MiB are read.")


def _require_bounds(structure: str) -> None:
    """Look at a text without its strings: how deep it nests, and of how many parts it is made."""
    if structure.count(",") + structure.count("[") + structure.count("{") > PARTS:
        raise LoreError(f"The lorebook is made of more than {PARTS:,} parts.")
    depth = 0
    for bracket in re.findall(r"[\[\]{}]", structure):
        depth += 1 if bracket in "[{" else -1
        if depth > DEPTH:
            raise LoreError(f"The lorebook is nested more than {DEPTH} levels deep.")


def _refused(name: str) -> float:
    raise ValueError(f"{name} is no number")
