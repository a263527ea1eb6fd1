"""Read a persona file: TOML as in `personas/marta.toml`, every mistake named with its line.

The format is TOML 1.0 (https://toml.io/en/v1.0.0), read by the standard library.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from bot.chat import Sampling
from bot.errors import SetupError
from bot.persona.persona import Example, Lora, Persona, PersonaFieldError

if TYPE_CHECKING:
    from pathlib import Path

FILE_BYTES = 256 * 1024
PICTURE_BYTES = 2 * 1024 * 1024
_PICTURE_SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"RIFF")

KeyPath = tuple[str | int, ...]


class PersonaFileError(SetupError):
    """A persona file cannot be used as it is.

    `file` is the file as an operator knows it ("personas/marta.toml"), `line` counts from 1 where known.
    """

    def __init__(self, file: str, problem: str, *, line: int | None = None, hint: str = "") -> None:
        place = f"{file}, line {line}" if line else file
        super().__init__(f"{place}: {problem}.", hint=hint)
        self.file = file
        self.line = line


def read(path: Path) -> Persona:
    """Read one persona file. The file's name without `.toml` is the slug.

    Raises `PersonaFileError`; a file of more than 256 KiB is refused before it is read.
    """
    shown = shown_name(path)
    try:
        text = _text(path, shown)
        return _persona(text, path)
    except _FieldError as error:
        raise PersonaFileError(shown, str(error), line=line_of(text, error.path), hint=error.hint) from error


def shown_name(path: Path) -> str:
    """Give the name by which an operator knows a persona's file: its folder's name and its own."""
    return f"{path.parent.name}/{path.name}"


def line_of(text: str, path: KeyPath) -> int | None:
    """Find the line, from 1, on which a key of valid TOML stands, or the nearest one that encloses it.

    `path` is as in the parsed document: `("sampling", "top_p")`, `("examples", 1, "answer")`.
    """
    lines = _key_lines(text)
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path)


class _FieldError(Exception):
    """What is wrong with the value at a key path, before its line is known."""

    def __init__(self, path: KeyPath, problem: str, hint: str = "") -> None:
        super().__init__(problem)
        self.path = path
        self.hint = hint


def _text(path: Path, shown: str) -> str:
    """Read a file's text, and no more of it than a persona file may hold."""
    try:
        size = path.stat().st_size
        if size > FILE_BYTES:
            raise PersonaFileError(
                shown, f"it is {size:,} bytes long; a persona file has at most {FILE_BYTES:,}"
            )
        with path.open("rb") as file:
            data = file.read(FILE_BYTES)
    except OSError as error:
        raise PersonaFileError(shown, f"it cannot be read ({error.strerror or error})") from error
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise PersonaFileError(
            shown, "this is not UTF-8 text", line=line, hint="Save it as UTF-8."
        ) from error


def _parse(text: str, path: Path) -> dict[str, Any]:
    shown = shown_name(path)
    masked = _masked(text)
    deep = _DEEP_KEY.search(masked)
    if deep:
        at = masked.count("\n", 0, deep.start()) + 1
        raise PersonaFileError(shown, "a key is nested too deeply", line=at)
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise PersonaFileError(shown, "brackets are nested too deeply") from error
    except ValueError as error:  # TOMLDecodeError, or a number of thousands of digits
        problem, line = _decode_problem(error, text)
        raise PersonaFileError(shown, f"this is not valid TOML: {problem}", line=line) from error


def _decode_problem(error: ValueError, text: str) -> tuple[str, int | None]:
    """Take the parser's sentence and its line apart: it says `... (at line 3, column 5)`."""
    sentence = str(error)
    place = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", sentence)
    if place is None:
        return "a number has thousands of digits", None
    line = int(place[1]) if place[1] else text.rstrip("\n").count("\n") + 1
    problem = sentence[: place.start()].replace(
        "Illegal character '\\n'", "a quote is not closed on this line"
    )
    return problem[:1].lower() + problem[1:], line


def _persona(text: str, path: Path) -> Persona:
    table = _Table(_parse(text, path))
    table.refuse_unknown(_FIELDS)
    if "name" not in table.values:
        raise _FieldError((), "the field 'name' is missing", 'Add a line such as name = "Marta".')
    fields = {key: read_field(table, key) for key, read_field in _FIELDS.items() if key in table.values}
    if "avatar" in fields:
        fields["avatar"] = _picture(path.parent, fields["avatar"])
    try:
        return Persona(slug=path.stem, **fields)
    except PersonaFieldError as error:
        raise _FieldError((error.field,), str(error)) from error


class _Table:
    """One table of the file, and the path of keys that leads to it."""

    def __init__(self, values: dict[str, Any], path: KeyPath = ()) -> None:
        self.values = values
        self.path = path

    def fail(self, key: str, problem: str) -> _FieldError:
        return _FieldError((*self.path, key), f"{key} {problem}")

    def refuse_unknown(self, known: Iterable[str]) -> None:
        for key in self.values:
            if key not in known:
                where = f" in [{self.path[0]}]" if self.path else ""
                raise _FieldError(
                    (*self.path, key), f"unknown field '{key[:80]}'{where}", self._hint(key, known)
                )

    def text(self, key: str) -> str:
        value = self.values[key]
        if not isinstance(value, str):
            raise self.fail(key, f"must be text in quotes, not {_kind(value)}")
        return value.strip()

    def label(self, key: str) -> str:
        value = self.text(key)
        if not value:
            raise self.fail(key, "is empty; leave the line out instead")
        return value

    def flag(self, key: str) -> bool:
        value = self.values[key]
        if not isinstance(value, bool):
            raise self.fail(key, f"must be true or false, not {_kind(value)}")
        return value

    def number(self, key: str, low: float = 0, high: float = 1) -> float:
        value = self.values[key]
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.fail(key, f"must be a number, not {_kind(value)}")
        if not low <= value <= high:
            raise self.fail(key, f"must be from {low:g} to {high:g}")
        return float(value)

    def whole(self, key: str, low: int, high: int) -> int:
        value = self.values[key]
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.fail(key, f"must be a whole number, not {_kind(value)}")
        if not low <= value <= high:
            raise self.fail(key, f"must be from {low} to {high}")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        value = self.values[key]
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.fail(key, 'must be a list of texts, such as ["one", "two"]')
        return tuple(item.strip() for item in value)

    def table(self, key: str, known: Iterable[str]) -> _Table:
        value = self.values[key]
        if not isinstance(value, dict):
            raise self.fail(key, f"must be a table that begins with the line [{key}], not {_kind(value)}")
        inner = _Table(value, (*self.path, key))
        inner.refuse_unknown(known)
        return inner

    def tables(self, key: str, known: Iterable[str]) -> tuple[_Table, ...]:
        value = self.values[key]
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise self.fail(key, f"must be tables that each begin with the line [[{key}]]")
        inner = tuple(_Table(item, (*self.path, key, index)) for index, item in enumerate(value))
        for table in inner:
            table.refuse_unknown(known)
        return inner

    def _hint(self, key: str, known: Iterable[str]) -> str:
        near = difflib.get_close_matches(key[:80].lower(), known, n=1)
        if near:
            return f"Did you mean '{near[0]}'?"
        if self.path and key in _FIELDS:
            return f"Move it above the first line in [brackets]: below one, it belongs to [{self.path[0]}]."
        return f"Known here: {', '.join(known)}."


def _kind(value: Any) -> str:
    kinds = {
        bool: "true or false",
        int: "a number",
        float: "a number",
        str: "text",
        list: "a list",
        dict: "a table",
    }
    return kinds.get(type(value), "a date or time")


def _sampling(parent: _Table, key: str) -> Sampling:
    table = parent.table(key, _SAMPLING)
    return Sampling(**{name: _SAMPLING[name](table, name) for name in table.values})


def _openings(parent: _Table, key: str) -> tuple[tuple[str, str], ...]:
    titles = parent.values[key]
    table = parent.table(key, titles if isinstance(titles, dict) else ())
    return tuple((title, table.label(title)) for title in table.values)


def _lora(parent: _Table, key: str) -> Lora:
    table = parent.table(key, ("name", "scale"))
    if "name" not in table.values:
        raise _FieldError(table.path, "[lora] needs the name of the adapter")
    scale = table.number("scale", 0, 2) if "scale" in table.values else 1.0
    return Lora(name=table.label("name"), scale=scale)


def _examples(parent: _Table, key: str) -> tuple[Example, ...]:
    examples = []
    for table in parent.tables(key, ("player", "answer")):
        for name in ("player", "answer"):
            if name not in table.values:
                raise _FieldError(table.path, f"this example has no '{name}' line")
        examples.append(Example(player=table.text("player"), answer=table.label("answer")))
    return tuple(examples)


def _picture(folder: Path, name: str) -> Path:
    """Find a picture inside the personas' folder; no other place can be named."""
    if not re.fullmatch(r"(?:[\w-]+/){0,4}[\w-]+\.(?:png|jpg|jpeg|gif|webp)", name, re.ASCII):
        raise _FieldError(
            ("avatar",), "avatar must be a picture inside this folder", 'For example "avatars/marta.png".'
        )
    path = folder / name
    try:
        if not path.resolve(strict=True).is_relative_to(folder.resolve()):
            raise _FieldError(("avatar",), f"the picture {name} lies outside this folder")
        size = path.stat().st_size
        with path.open("rb") as file:
            signature = file.read(8)
    except OSError as error:
        raise _FieldError(
            ("avatar",), f"the picture {name} cannot be read ({error.strerror or error})"
        ) from error
    if size > PICTURE_BYTES:
        raise _FieldError(("avatar",), f"the picture {name} is larger than {PICTURE_BYTES // 1024**2} MiB")
    if not signature.startswith(_PICTURE_SIGNATURES):
        raise _FieldError(("avatar",), f"{name} is not a PNG, JPEG, GIF or WebP picture")
    return path


# Bounds wide enough for every sampler in use, and narrow enough to catch a slipped decimal point.
_SAMPLING: dict[str, Callable[[_Table, str], Any]] = {
    "temperature": lambda table, key: table.number(key, 0, 5),
    "top_p": _Table.number,
    "top_k": lambda table, key: table.whole(key, 0, 100_000),
    "min_p": _Table.number,
    "typical_p": _Table.number,
    "repeat_penalty": lambda table, key: table.number(key, 0.1, 3),
    "presence_penalty": lambda table, key: table.number(key, -2, 2),
    "frequency_penalty": lambda table, key: table.number(key, -2, 2),
    "dry_multiplier": lambda table, key: table.number(key, 0, 5),
    "dry_base": lambda table, key: table.number(key, 1, 4),
    "dry_allowed_length": lambda table, key: table.whole(key, 1, 100),
    "xtc_probability": _Table.number,
    "xtc_threshold": lambda table, key: table.number(key, 0, 0.5),
    "seed": lambda table, key: table.whole(key, 0, 2**32 - 1),
    "max_tokens": lambda table, key: table.whole(key, 1, 8192),
}

_FIELDS: dict[str, Callable[[_Table, str], Any]] = {
    "name": _Table.text,
    "narrator": _Table.flag,
    "description": _Table.text,
    "scenario": _Table.text,
    "voice": _Table.text,
    "greeting": _Table.text,
    "openings": _openings,
    "alternate_greetings": _Table.texts,
    "talkativeness": _Table.number,
    "aliases": _Table.texts,
    "avatar": _Table.label,
    "avatar_url": _Table.label,
    "model": _Table.label,
    "tags": _Table.texts,
    "creator_notes": _Table.text,
    "sampling": _sampling,
    "lora": _lora,
    "examples": _examples,
}

# The parser takes quadratic memory for a key of many dots: 200 kB of them are gigabytes.
_DEEP_KEY = re.compile(r"(?<![\w-])(?:[\w-]++[ \t]*+\.[ \t]*+){6}")
_STRING_OR_COMMENT = re.compile(
    r'"""(?:\\.|[^\\])*?"""+|\'\'\'.*?\'\'\'+|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'|#[^\n]*', re.DOTALL
)


def _masked(text: str) -> str:
    """Take strings and comments out of TOML, each line of them keeping its number."""

    def mask(found: re.Match[str]) -> str:
        return "\n" * found[0].count("\n") or ("" if found[0].startswith("#") else "_")

    return _STRING_OR_COMMENT.sub(mask, text)


def _key_lines(text: str) -> dict[KeyPath, int]:
    """Find the line of every key and table header in valid TOML, except inside inline tables."""
    lines: dict[KeyPath, int] = {}
    seen: Counter[KeyPath] = Counter()
    table: KeyPath = ()
    masked = _masked(text).split("\n")
    for number, (bare, line) in enumerate(zip(masked, text.split("\n"), strict=True), 1):
        if bare.lstrip().startswith("["):
            table = _header(bare.strip(), seen)
            lines.setdefault(table, number)
        elif "=" in bare:
            lines.setdefault(table + _keys(line.partition("=")[0]), number)
    return lines


def _header(line: str, seen: Counter[KeyPath]) -> KeyPath:
    """Read `[table]` or `[[tables]]`; the latter counts how often it was seen."""
    path = _keys(line.strip("[] \t"))
    if not line.startswith("[["):
        return path
    seen[path] += 1
    return (*path, seen[path] - 1)


def _keys(dotted: str) -> KeyPath:
    return tuple(key.strip(" \t\"'") for key in dotted.split("."))
