"""Where each option of an entry stands in the two kinds of file, and how a value from outside is read.

A field says how its value is read and written; a file of the other kind has the same option elsewhere. What
no field names is left alone.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bot.prompt.lore.model import DEFAULT_DEPTH, DEFAULT_ORDER, DEFAULT_WEIGHT, Logic, Position, Role

Json = dict[str, Any]
Path = tuple[str, ...]

KEYS = 128  # of one entry, primary and secondary each
KEY_CHARACTERS = 1000
CONTENT_CHARACTERS = 32_768
TITLE_CHARACTERS = 200
LARGEST_NUMBER = 1_000_000_000
OURS: Path = ("extensions", "hearthside")
"""Where a file holds what only this bot knows, and what only a file of the other kind has a place for."""

_BROKEN = re.compile("[\0\ud800-\udfff]")  # what SQLite and UTF-8 have no place for


@dataclass(frozen=True, slots=True)
class Field:
    """One option: its name in LoreEntry, where files have it, and how it is read and written.

    The first of `paths` that holds a value counts, and is where a changed value goes; the others are changed
    with it in the words of `also`, or are only read where there is none.
    """

    name: str
    paths: tuple[Path, ...]
    read: Callable[[Any], Any]
    write: Callable[[Any], Any] = lambda value: value
    also: Callable[[Any], Any] | None = None

    def value_in(self, source: Mapping[str, Any]) -> Any:
        """Read the option; what is missing or makes no sense gives the default."""
        for path in self.paths:
            value = looked_up(source, path)
            if value is not None:
                return self.read(value)
        return self.read(None)

    def put(self, target: Json, value: Any) -> None:
        """Write the option."""
        first, *others = self.paths
        placed(target, first, self.write(value))
        if self.also:
            for path in others:
                placed(target, path, self.also(value))

    def written(self) -> tuple[Path, ...]:
        """Give where `put` writes."""
        return self.paths if self.also else self.paths[:1]


def looked_up(source: Any, path: Path) -> Any:
    """Give what stands at a path; None where nothing does."""
    for step in path:
        if not isinstance(source, Mapping):
            return None
        source = source.get(step)
    return source


def placed(target: Json, path: Path, value: Any) -> None:
    """Put a value at a path, making the objects on the way."""
    for step in path[:-1]:
        inner = target.get(step)
        if not isinstance(inner, dict):
            inner = target[step] = {}
        target = inner
    target[path[-1]] = value


def text(most: int) -> Callable[[Any], str]:
    """Make a reader of text that no store stumbles over."""

    def read(value: Any) -> str:
        if not isinstance(value, str):
            return ""
        return (value if value.isprintable() else _BROKEN.sub("", value))[:most]

    return read


_key = text(KEY_CHARACTERS)


def texts(value: Any) -> tuple[str, ...]:
    """Read a list of texts; a single text with commas, which old files have, is one too."""
    if isinstance(value, str):
        value = value.split(",")
    if not isinstance(value, list):
        return ()
    read = (_key(item).strip() for item in value[:KEYS])
    return tuple(item for item in read if item)


def groups(value: Any) -> tuple[str, ...]:
    """Read SillyTavern's group field: names with commas between them."""
    return tuple(dict.fromkeys(texts(value))) if isinstance(value, str) else ()


def number(default: int | None) -> Callable[[Any], int | None]:
    """Make a reader of whole numbers, which files also have as text."""

    def read(value: Any) -> int | None:
        found = _float(value)
        return default if found is None else int(max(min(found, LARGEST_NUMBER), -LARGEST_NUMBER))

    return read


def duration(value: Any) -> int | None:
    """Read a number of messages; none, zero and less mean that there is no such effect."""
    found = number(None)(value)
    return found if found and found > 0 else None


def level(value: Any) -> int:
    """Read a level of recursion: a number, or true for the first."""
    return int(value) if isinstance(value, bool) else max(number(0)(value) or 0, 0)


def flag(default: bool) -> Callable[[Any], bool]:
    """Make a reader of yes and no."""
    return lambda value: value if isinstance(value, bool) else default


def maybe(value: Any) -> bool | None:
    """Read yes, no, or nothing said."""
    return value if isinstance(value, bool) else None


def chance(value: Any) -> float:
    """Read a probability, 0 to 100."""
    found = _float(value)
    return 100.0 if found is None else min(max(found, 0.0), 100.0)


def one_of(kind: type[Logic | Position | Role], default: int) -> Callable[[Any], Any]:
    """Make a reader of one of SillyTavern's numbered choices."""

    def read(value: Any) -> Any:
        found = number(default)(value)
        return kind(found) if found in set(kind) else kind(default)

    return read


def position(value: Any) -> Position:
    """Read a position: V2's words, or SillyTavern's number."""
    if isinstance(value, str) and value in {"before_char", "after_char"}:
        return Position.BEFORE_CHARACTER if value == "before_char" else Position.AFTER_CHARACTER
    found: Position = one_of(Position, Position.BEFORE_CHARACTER)(value)
    return found


def _float(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def _whole(value: float) -> float:
    return int(value) if value == int(value) else value


def _same_value(value: Any) -> Any:
    return value


def _position_word(value: Position) -> str:
    return "before_char" if value is Position.BEFORE_CHARACTER else "after_char"


def _same(name: str, world_info: str, extension: str, read: Callable[[Any], Any], **more: Any) -> tuple[
    Field, Field
]:  # fmt: skip
    """Give an option that V2 and V3 have among the extensions, as SillyTavern writes it there."""
    return (
        Field(name, ((world_info,),), read, **more),
        Field(name, (("extensions", extension),), read, **more),
    )


_FLAG_OFF = flag(default=False)
_SHARED = (
    _same("logic", "selectiveLogic", "selectiveLogic", one_of(Logic, 0), write=int),
    _same("depth", "depth", "depth", number(DEFAULT_DEPTH)),
    _same("role", "role", "role", one_of(Role, 0), write=int),
    _same("probability", "probability", "probability", chance, write=_whole),
    _same("use_probability", "useProbability", "useProbability", flag(default=True)),
    _same("exclude_recursion", "excludeRecursion", "exclude_recursion", _FLAG_OFF),
    _same("prevent_recursion", "preventRecursion", "prevent_recursion", _FLAG_OFF),
    _same("delay_until_recursion", "delayUntilRecursion", "delay_until_recursion", level),
    _same("groups", "group", "group", groups, write=", ".join),
    _same("group_override", "groupOverride", "group_override", _FLAG_OFF),
    _same("group_weight", "groupWeight", "group_weight", number(DEFAULT_WEIGHT)),
    _same("group_scoring", "useGroupScoring", "use_group_scoring", maybe),
    _same("scan_depth", "scanDepth", "scan_depth", number(None)),
    _same("whole_words", "matchWholeWords", "match_whole_words", maybe),
    _same("sticky", "sticky", "sticky", duration),
    _same("cooldown", "cooldown", "cooldown", duration),
    _same("delay", "delay", "delay", duration),
    _same("ignore_budget", "ignoreBudget", "ignore_budget", _FLAG_OFF),
)
_TITLE, _CONTENT = text(TITLE_CHARACTERS), text(CONTENT_CHARACTERS)

WORLD_INFO: tuple[Field, ...] = (
    Field("keys", (("key",),), texts, list),
    Field("secondary_keys", (("keysecondary",),), texts, list),
    Field("title", (("comment",),), _TITLE),
    Field("content", (("content",),), _CONTENT),
    Field("enabled", (("disable",),), lambda value: value is not True, lambda value: not value),
    Field("constant", (("constant",),), _FLAG_OFF),
    Field("selective", (("selective",),), flag(default=True)),
    Field("order", (("order",),), number(DEFAULT_ORDER)),
    Field("priority", (("priority",),), number(None)),
    Field("position", (("position",),), position, int),
    Field("case_sensitive", (("caseSensitive",),), maybe),
    Field("regex", (("use_regex",),), _FLAG_OFF),
    Field("filter_names", (("characterFilter", "names"),), texts, list),
    Field("filter_tags", (("characterFilter", "tags"),), texts, list),
    Field("filter_excludes", (("characterFilter", "isExclude"),), _FLAG_OFF),
    *(world_info for world_info, _ in _SHARED),
)
CHARACTER_BOOK: tuple[Field, ...] = (
    Field("keys", (("keys",),), texts, list),
    Field("secondary_keys", (("secondary_keys",),), texts, list),
    Field("title", (("comment",), ("name",)), _TITLE),
    Field("content", (("content",),), _CONTENT),
    Field("enabled", (("enabled",),), lambda value: value is not False),
    Field("constant", (("constant",),), _FLAG_OFF),
    Field("selective", (("selective",),), _FLAG_OFF),
    Field("order", (("insertion_order",),), number(DEFAULT_ORDER)),
    Field("priority", (("priority",),), number(None)),
    Field("position", (("extensions", "position"), ("position",)), position, int, _position_word),
    Field("case_sensitive", (("extensions", "case_sensitive"), ("case_sensitive",)), maybe, also=_same_value),
    Field("regex", ((*OURS, "use_regex"), ("use_regex",)), _FLAG_OFF, also=_same_value),
    Field("filter_names", (("extensions", "character_filter", "names"),), texts, list),
    Field("filter_tags", (("extensions", "character_filter", "tags"),), texts, list),
    Field("filter_excludes", (("extensions", "character_filter", "isExclude"),), _FLAG_OFF),
    *(extension for _, extension in _SHARED),
)
