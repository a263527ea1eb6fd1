"""The `@@` lines with which an entry's content may begin.

Source: Character Card V3, "Decorators" (https://github.com/kwaroran/character-card-spec-v3). A line that is
not known, or whose value is wrong, is passed over for the `@@@` lines below it, from top to bottom.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from bot.prompt.lore.model import Decorators, LoreEntry, Position, Role

LARGEST_NUMBER = 1_000_000
KEYS = 64  # of one decorator

_LINE = re.compile(r"(@{2,3})([A-Za-z_]\w{0,63})[ \t]*(.*)")


def decorated(entry: LoreEntry) -> LoreEntry:
    """Give the entry with its decorators in force and their lines taken out of its content."""
    if not entry.content.lstrip().startswith("@@"):
        return entry
    lines = entry.content.lstrip().split("\n")
    written: list[tuple[bool, str, str]] = []
    while lines and (found := _LINE.fullmatch(lines[0].strip())):
        written.append((len(found[1]) == 3, found[2].lower(), found[3].strip()))
        lines.pop(0)
    content = "\n".join(lines).strip("\n")
    return _placed(replace(entry, content=content), dict(_understood(written)))


def _understood(written: list[tuple[bool, str, str]]) -> Iterator[tuple[str, Any]]:
    """Give the decorators that count, by name: of those with one name the first, fallbacks where needed."""
    seen: set[str] = set()
    answered = True  # whether the decorator above has been understood; a fallback without one never counts
    for fallback, name, text in written:
        if fallback and answered:
            continue
        value = _value(name, text)
        answered = value is not None
        if value is not None and name not in seen:
            seen.add(name)
            yield name, value


def _value(name: str, text: str) -> Any:
    """Read a decorator's value; None where the decorator is not known or its value is wrong."""
    read = _READERS.get(name)
    return read(text) if read else None


def _number(text: str) -> int | None:
    return min(int(text), LARGEST_NUMBER) if re.fullmatch(r"[0-9]{1,9}", text) else None


def _divisor(text: str) -> int | None:
    return _number(text) or None


def _flag(text: str) -> bool | None:
    return None if text.lower() == "false" else True


def _keys(text: str) -> tuple[str, ...] | None:
    return tuple(filter(None, (key.strip() for key in text.split(","))))[:KEYS] or None


_ROLES = {"system": Role.SYSTEM, "user": Role.USER, "assistant": Role.ASSISTANT}
# The description stands in the head with the personality and the scenario; what goes beside those goes after.
_POSITIONS = {
    "before_desc": Position.BEFORE_CHARACTER,
    "after_desc": Position.AFTER_CHARACTER,
    "personality": Position.AFTER_CHARACTER,
    "scenario": Position.AFTER_CHARACTER,
}
_READERS: dict[str, Callable[[str], Any]] = {
    "activate": _flag,
    "dont_activate": _flag,
    "keep_activate_after_match": _flag,
    "dont_activate_after_match": _flag,
    "activate_only_after": _number,
    "activate_only_every": _divisor,
    "is_greeting": _number,
    "additional_keys": _keys,
    "exclude_keys": _keys,
    "ignore_on_max_context": _flag,
    "scan_depth": _number,
    "depth": _number,
    "reverse_depth": _number,
    "role": lambda text: _ROLES.get(text.lower()),
    "position": lambda text: _POSITIONS.get(text.lower()),
}
_CONDITIONS = {
    "activate": "activate",
    "dont_activate": "dont_activate",
    "keep_activate_after_match": "keep_after_match",
    "dont_activate_after_match": "dont_after_match",
    "activate_only_after": "only_after",
    "activate_only_every": "only_every",
    "is_greeting": "greeting",
    "additional_keys": "additional_keys",
    "exclude_keys": "exclude_keys",
    "ignore_on_max_context": "ignore_on_max_context",
}


def _placed(entry: LoreEntry, values: dict[str, Any]) -> LoreEntry:
    """Put the values where the engine looks for them. A position beats a depth, a depth a reversed one."""
    changes: dict[str, Any] = {name: values[name] for name in ("scan_depth", "role") if name in values}
    if "position" in values:
        changes["position"] = values["position"]
    elif "depth" in values or "reverse_depth" in values:
        changes["position"] = Position.AT_DEPTH
        changes["depth"] = values.get("depth", LARGEST_NUMBER)
    conditions = {field: values[name] for name, field in _CONDITIONS.items() if name in values}
    if conditions.get("activate"):
        conditions.pop("dont_activate", None)
    return replace(entry, **changes, decorators=Decorators(**conditions))
