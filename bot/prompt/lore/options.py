"""An entry's options as a person types them: `order: 50; sticky: 3; groups: weather`."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from enum import IntEnum
from typing import Any

from bot.prompt.lore.fields import LARGEST_NUMBER
from bot.prompt.lore.formats import LoreError
from bot.prompt.lore.model import Logic, LoreEntry, Position, Role

YES = frozenset({"", "yes", "true", "on"})
NO = frozenset({"no", "false", "off"})
LARGEST = LARGEST_NUMBER

_SEPARATOR = re.compile(r"[;\n]")


def options_of(entry: LoreEntry) -> str:
    """Write down what of an entry's options is not the default."""
    plain = LoreEntry(uid="")
    return "; ".join(
        f"{name}: {_written(getattr(entry, name))}"
        for name in _READERS
        if getattr(entry, name) != getattr(plain, name)
    )


def with_options(entry: LoreEntry, text: str) -> LoreEntry:
    """Give the entry with exactly these options; those that are not named are the default.

    Raises LoreError for what is no option, or no value for it.
    """
    plain = LoreEntry(uid="")
    values: dict[str, Any] = {name: getattr(plain, name) for name in _READERS}
    for part in filter(None, map(str.strip, _SEPARATOR.split(text))):
        written, _, value = part.partition(":")
        name = "_".join(written.lower().split())
        if name not in _READERS:
            raise LoreError(
                f"There is no option “{written[:40]}”.", hint=f"Options are {', '.join(_READERS)}."
            )
        values[name] = _READERS[name](name, value.strip())
    return replace(entry, **values)


def _written(value: Any) -> str:
    if isinstance(value, IntEnum):
        return value.name.lower()
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(value) if isinstance(value, tuple) else f"{value:.15g}"


def _flag(name: str, text: str) -> bool:
    if text.lower() in YES | NO:
        return text.lower() in YES
    raise LoreError(f"“{name}” is yes or no, not “{text[:40]}”.")


def _number(low: int, high: int = LARGEST) -> Callable[[str, str], int]:
    def read(name: str, text: str) -> int:
        if re.fullmatch(r"-?[0-9]{1,10}", text) and low <= int(text) <= high:
            return int(text)
        raise LoreError(f"“{name}” is a whole number from {low:,} to {high:,}, not “{text[:40]}”.")

    return read


def _choice(kind: type[Logic | Position | Role]) -> Callable[[str, str], Any]:
    def read(name: str, text: str) -> Any:
        wanted = "_".join(text.upper().split())
        if wanted in kind.__members__:
            return kind[wanted]
        names = ", ".join(kind.__members__).lower()
        raise LoreError(f"“{name}” is one of {names}, not “{text[:40]}”.")

    return read


def _chance(name: str, text: str) -> float:
    if re.fullmatch(r"[0-9]{1,3}(?:\.[0-9]{1,15})?", text) and float(text) <= 100:
        return float(text)
    raise LoreError(f"“{name}” is a number from 0 to 100, not “{text[:40]}”.")


def _names(_: str, text: str) -> tuple[str, ...]:
    return tuple(filter(None, (name.strip() for name in text.split(","))))


_READERS: dict[str, Callable[[str, str], Any]] = {
    "enabled": _flag,
    "constant": _flag,
    "order": _number(-LARGEST),
    "priority": _number(-LARGEST),
    "probability": _chance,
    "use_probability": _flag,
    "sticky": _number(1),
    "cooldown": _number(1),
    "delay": _number(1),
    "logic": _choice(Logic),
    "selective": _flag,
    "scan_depth": _number(0),
    "case_sensitive": _flag,
    "whole_words": _flag,
    "regex": _flag,
    "groups": _names,
    "group_weight": _number(0),
    "group_override": _flag,
    "group_scoring": _flag,
    "filter_names": _names,
    "filter_tags": _names,
    "filter_excludes": _flag,
    "exclude_recursion": _flag,
    "prevent_recursion": _flag,
    "delay_until_recursion": _number(0),
    "position": _choice(Position),
    "depth": _number(0),
    "role": _choice(Role),
    "ignore_budget": _flag,
}
