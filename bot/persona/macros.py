"""The `{{macros}}` that persona files and character cards may hold, as plain replacement.

Foreign text never meets a template engine: there are no expressions, no loops and no attribute access
here, what a macro yields is not read again, and the result has a bound. The names are SillyTavern's.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import tzinfo
    from random import Random

    from bot.clock import Clock

LIMIT = 32_768  # characters of text that go in, and that come out
DEPTH = 8  # macros inside macros; deeper ones stay as they are written

_TRIM = re.compile(r"\{\{[ \t]*+trim[ \t]*+\}\}", re.IGNORECASE)
_MARK = re.compile(r"\{\{(?!\{)|\}\}|<user>|<bot>|<char>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Macros:
    """What the macros stand for in one place.

    `char` and `user` are names. Without `rng` a `{{random}}`, without `clock` a `{{time}}`, `{{date}}` or
    `{{weekday}}` stays as it is written. `zone` is the table's time zone, by default the machine's.
    """

    char: str
    user: str
    rng: Random | None = None
    clock: Clock | None = None
    zone: tzinfo | None = None


def expand(text: str, macros: Macros, *, limit: int = LIMIT) -> str:
    """Replace the macros in a text; what is no macro stays as it is.

    At most `limit` characters are read, and at most as many are given back. Never raises.
    """
    parts = _TRIM.split(text[:limit])
    last = len(parts) - 1
    for index, part in enumerate(parts):
        trimmed = part.lstrip("\n") if index else part
        parts[index] = trimmed.rstrip("\n") if index < last else trimmed
    return _replace("".join(parts), macros)[:limit]


def _replace(text: str, macros: Macros) -> str:
    """Walk through the text once, innermost macros first, without reading any result again."""
    open_macros: list[list[str]] = [[]]
    position = 0
    for mark in _MARK.finditer(text):
        open_macros[-1].append(text[position : mark.start()])
        position = mark.end()
        match mark.group().lower():
            case "{{" if len(open_macros) <= DEPTH:
                open_macros.append([])
            case "}}" if len(open_macros) > 1:
                body = "".join(open_macros.pop())
                value = _value(body, macros)
                open_macros[-1].append("{{" + body + "}}" if value is None else value)
            case "<user>":
                open_macros[-1].append(macros.user)
            case "<bot>" | "<char>":
                open_macros[-1].append(macros.char)
            case other:
                open_macros[-1].append(other)
    open_macros[-1].append(text[position:])
    return "{{".join("".join(pieces) for pieces in open_macros)


def _value(body: str, macros: Macros) -> str | None:
    """Give what stands for `{{body}}`, or None where that is no macro."""
    if body.lstrip().startswith("//"):
        return ""
    name, *choices = body.split("::")
    name = name.strip().lower()
    if name == "random" and choices and macros.rng:
        return macros.rng.choice(choices).strip()
    if choices:
        return None
    if name in _MOMENTS and macros.clock:
        return _MOMENTS[name](datetime.fromtimestamp(macros.clock.now(), tz=UTC).astimezone(macros.zone))
    return {"char": macros.char, "user": macros.user, "newline": "\n", "noop": ""}.get(name)


_MOMENTS: dict[str, Callable[[datetime], str]] = {
    "time": lambda moment: f"{moment:%H:%M}",
    "date": lambda moment: f"{moment:%Y-%m-%d}",
    "weekday": lambda moment: f"{moment:%A}",
}
