"""The `{{macros}}` that persona files and character cards may hold, as plain replacement.

Foreign text never meets a template engine: there are no expressions, no loops and no attribute access
here, what a macro yields is not read again, and the result has a bound. The names are SillyTavern's, with
Character Card V3's `{{comment:}}` and `{{hidden_key:}}`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import tzinfo

LIMIT = 32_768  # characters of text that go in, and that come out
DEPTH = 8  # macros inside macros; deeper ones stay as they are written
DRAWS = 500  # of chance in one text; later ones stay as they are written
GROWTH = 4  # macros yield so many times the limit in all, counting what other macros then drop

_TRIM = re.compile(r"\{\{[ \t]*+trim[ \t]*+\}\}", re.IGNORECASE)
_MARK = re.compile(r"\{\{(?!\{)|\}\}|<user>|<bot>|<char>", re.IGNORECASE)
_COMMA = re.compile(r"(?<!\\),")


class Watch(Protocol):
    """Tells the time, as every clock does."""

    def now(self) -> float:
        """Give the wall-clock time in seconds since the Unix epoch."""
        ...


@dataclass(frozen=True, slots=True)
class Stopped:
    """A watch that always shows the same time, in seconds since the Unix epoch."""

    at: float

    def now(self) -> float:
        """Give that time."""
        return self.at


@dataclass(frozen=True, slots=True)
class Macros:
    """What the macros stand for in one place.

    `char` and `user` are names; `description`, `personality` and `scenario` are the character's own,
    `persona` is who the player plays, `last_message` what was said last. Without `rng` a `{{random}}`,
    without `seed` a `{{pick}}`, without `clock` a `{{time}}`, `{{date}}` or `{{weekday}}` stays as it is
    written. The same `seed` picks the same. `roll` gives the total of dice such as `2d6+3`, or None for what
    is no dice: that stays as it is written. `zone` is the table's time zone, by default the machine's.
    `drops_hidden_keys` takes `{{hidden_key:}}` out; else it stays, for the lorebook that looks for it.
    """

    char: str
    user: str
    description: str = ""
    personality: str = ""
    scenario: str = ""
    persona: str = ""
    last_message: str = ""
    rng: Random | None = None
    seed: str | None = None
    roll: Callable[[str], int | None] | None = None
    clock: Watch | None = None
    zone: tzinfo | None = None
    drops_hidden_keys: bool = False


def expand(text: str, macros: Macros, *, limit: int = LIMIT) -> str:
    """Replace the macros in a text; what is no macro stays as it is.

    At most `limit` characters are read, and at most as many are given back. Raises only what `roll` raises.
    """
    if "{{" not in text and "<" not in text:
        return text[:limit]
    parts = _TRIM.split(text[:limit])
    last = len(parts) - 1
    for index, part in enumerate(parts):
        trimmed = part.lstrip("\n") if index else part
        parts[index] = trimmed.rstrip("\n") if index < last else trimmed
    return _Expansion(macros, GROWTH * limit).of("".join(parts))[:limit]


class _Expansion:
    """One walk through a text. `room` is how many characters its macros may yield."""

    def __init__(self, macros: Macros, room: int) -> None:
        self._macros = macros
        self._room = room
        self._draws = DRAWS
        self._picks: Counter[str] = Counter()

    def of(self, text: str) -> str:
        """Walk through the text once, innermost macros first, without reading any result again."""
        open_macros: list[list[str]] = [[]]
        begins: list[int] = []  # where each open macro is written
        position = 0
        for mark in _MARK.finditer(text):
            open_macros[-1].append(text[position : mark.start()])
            position = mark.end()
            match mark.group().lower():
                case "{{" if len(open_macros) <= DEPTH:
                    open_macros.append([])
                    begins.append(position)
                case "}}" if begins:
                    body = "".join(open_macros.pop())
                    value = self._value(body, text[begins.pop() : mark.start()])
                    open_macros[-1].append("{{" + body + "}}" if value is None else self._fitting(value))
                case "<user>":
                    open_macros[-1].append(self._fitting(self._macros.user))
                case "<bot>" | "<char>":
                    open_macros[-1].append(self._fitting(self._macros.char))
                case other:
                    open_macros[-1].append(other)
        open_macros[-1].append(text[position:])
        return "{{".join("".join(pieces) for pieces in open_macros)

    def _fitting(self, value: str) -> str:
        kept = value[: self._room]
        self._room -= len(kept)
        return kept

    def _value(self, body: str, written: str) -> str | None:
        """Give what stands for `{{body}}`, or None where that is no macro.

        `written` is the body before the macros inside it were replaced.
        """
        if body.lstrip().startswith("//"):
            return ""
        name, colon, rest = body.partition(":")
        name = name.strip().lower()
        if colon:
            return self._value_of(name, rest.removeprefix(":"), written)
        macros = self._macros
        if name in _MOMENTS and macros.clock:
            return _MOMENTS[name](datetime.fromtimestamp(macros.clock.now(), tz=UTC).astimezone(macros.zone))
        plain = _PLAIN.get(name)
        return plain(macros) if plain else None

    def _value_of(self, name: str, argument: str, written: str) -> str | None:
        match name:
            case "comment":
                return ""
            case "hidden_key":
                return "" if self._macros.drops_hidden_keys else None
            case "random" | "pick" | "roll" if self._draws:
                self._draws -= 1
                return self._drawn(name, argument, written)
            case _:
                return None

    def _drawn(self, name: str, argument: str, written: str) -> str | None:
        macros = self._macros
        if name == "random" and macros.rng:
            return macros.rng.choice(_choices(argument))
        if name == "pick" and macros.seed is not None:
            self._picks[written] += 1
            seed = f"{macros.seed}\n{written}\n{self._picks[written]}"
            return Random(seed).choice(_choices(argument))  # noqa: S311  # a choice of words, not a secret
        if name == "roll" and macros.roll:
            dice = argument.strip()
            total = macros.roll(f"d{dice}" if dice.isdecimal() else dice)  # V3: {{roll:20}} is a d20
            return None if total is None else str(total)
        return None


def _choices(argument: str) -> list[str]:
    r"""Split what stands after `random:` or `pick:`, at each `::` or, where there is none, at each comma.

    As SillyTavern does it; `\,` is a comma that does not split (V3).
    """
    if "::" in argument:
        return [choice.strip() for choice in argument.split("::")]
    return [choice.replace("\\,", ",").strip() for choice in _COMMA.split(argument)]


_PLAIN: dict[str, Callable[[Macros], str]] = {
    "char": lambda macros: macros.char,
    "user": lambda macros: macros.user,
    "description": lambda macros: macros.description,
    "personality": lambda macros: macros.personality,
    "scenario": lambda macros: macros.scenario,
    "persona": lambda macros: macros.persona,
    "lastmessage": lambda macros: macros.last_message,
    "newline": lambda _: "\n",
    "noop": lambda _: "",
}

_MOMENTS: dict[str, Callable[[datetime], str]] = {
    "time": lambda moment: f"{moment:%H:%M}",
    "date": lambda moment: f"{moment:%Y-%m-%d}",
    "weekday": lambda moment: f"{moment:%A}",
}
