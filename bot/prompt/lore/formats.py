"""Lorebooks as files: SillyTavern's World Info, and the `character_book` of cards with V3's file for it.

A file is kept as the document that it came as. Entries are read from it and only what changes is written
back, so what is not known here stays. A file can be written as one of the other kind: what that has no field
for travels in its extensions, and finds its place again on the way back.

Sources: SillyTavern's World Info files as it writes them (fields in shared use, no specification), Character
Card V2 (https://github.com/malfoyslastname/character-card-spec-v2) and V3
(https://github.com/kwaroran/character-card-spec-v3).
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any
from zlib import crc32

from bot.errors import TableError
from bot.prompt.lore import fields
from bot.prompt.lore.fields import CONTENT_CHARACTERS, KEYS, OURS, Field, Json, looked_up, placed
from bot.prompt.lore.model import Book, LoreEntry

ENTRIES = 10_000  # of one book
SPEC_V3 = "lorebook_v3"

_DESCRIPTION = "A lorebook is SillyTavern's World Info, a card's character_book, or a lorebook_v3 file."


class LoreError(TableError):
    """A lorebook cannot be used as it is: one sentence for the one who brought it."""


class LoreFormat(StrEnum):
    """The kinds of file."""

    WORLD_INFO = "world_info"
    CHARACTER_BOOK = "character_book"


_FIELDS: dict[LoreFormat, tuple[Field, ...]] = {
    LoreFormat.WORLD_INFO: fields.WORLD_INFO,
    LoreFormat.CHARACTER_BOOK: fields.CHARACTER_BOOK,
}
_OTHER = {
    LoreFormat.WORLD_INFO: LoreFormat.CHARACTER_BOOK,
    LoreFormat.CHARACTER_BOOK: LoreFormat.WORLD_INFO,
}


@dataclass(frozen=True, slots=True)
class LoreFile:
    """A lorebook as the document it came as: `frame` without its entries, and the `entries` as they stand.

    `keys` are the names of the entries where the document has them by name (World Info), None where it is a
    list of them.
    """

    format: LoreFormat
    frame: Json
    entries: tuple[Json, ...]
    keys: tuple[str, ...] | None = None

    @property
    def name(self) -> str:
        """What the book calls itself; empty where it does not say."""
        return fields.text(80)(self.frame.get("name")).strip()


def parsed(document: Json) -> LoreFile:
    """Tell what kind of lorebook a document is, and take it apart.

    A V3 file's inner book, and the book inside a whole character card, are taken out. Raises LoreError for
    anything else, and for a book of more than 10,000 entries.
    """
    spec = document.get("spec")
    data = document.get("data")
    if isinstance(data, dict) and spec == SPEC_V3:
        document = data
    elif isinstance(data, dict) and "entries" not in document:
        inner = data.get("character_book")
        if not isinstance(inner, dict):
            raise LoreError("There is no lorebook in this file.", hint=_DESCRIPTION)
        document = inner
    entries = document.get("entries")
    if not isinstance(entries, dict | list):
        raise LoreError("This JSON is no lorebook.", hint=_DESCRIPTION)
    if len(entries) > ENTRIES:
        raise LoreError(f"This lorebook has {len(entries):,} entries; at most {ENTRIES:,} are taken.")
    keys = tuple(entries) if isinstance(entries, dict) else None
    if any(not key.isprintable() for key in keys or ()):
        raise LoreError("The name of an entry in this lorebook holds characters that cannot be shown.")
    listed = list(entries.values()) if isinstance(entries, dict) else entries
    for place, entry in enumerate(listed, 1):
        if not isinstance(entry, dict):
            raise LoreError(f"Entry {place} of this lorebook is no object.", hint=_DESCRIPTION)
    by_name = keys is not None or any("key" in entry and "keys" not in entry for entry in listed)
    kind = LoreFormat.WORLD_INFO if by_name else LoreFormat.CHARACTER_BOOK
    frame = {name: value for name, value in document.items() if name != "entries"}
    return LoreFile(kind, frame, tuple(listed), keys)


def document_of(file: LoreFile) -> Json:
    """Write the document: what `parsed` took apart, put together again."""
    listed: Any = list(file.entries)
    if file.keys is not None:
        listed = dict(zip(file.keys, file.entries, strict=True))
    return {**file.frame, "entries": listed}


def as_v3(file: LoreFile) -> Json:
    """Write a V3 lorebook file."""
    book = document_of(as_character_book(file))
    return {"spec": SPEC_V3, "data": {"extensions": {}, **book}}


def as_world_info(file: LoreFile) -> LoreFile:
    """Write it as SillyTavern's World Info."""
    if file.format is LoreFormat.WORLD_INFO:
        return file
    entries = [_converted(entry, LoreFormat.CHARACTER_BOOK) for entry in file.entries]
    for place, (entry, source) in enumerate(zip(entries, file.entries, strict=True)):
        known = source.get("id")
        entry["uid"] = known if _is_number(known) else place
    keys = tuple(str(entry["uid"]) for entry in entries)
    if len(set(keys)) < len(keys):
        keys = tuple(map(str, range(len(keys))))
    return LoreFile(LoreFormat.WORLD_INFO, file.frame, tuple(entries), keys)


def as_character_book(file: LoreFile) -> LoreFile:
    """Write it as the `character_book` of a card, which V2 and V3 share."""
    if file.format is LoreFormat.CHARACTER_BOOK:
        return file
    entries = [_converted(entry, LoreFormat.WORLD_INFO) for entry in file.entries]
    for place, (entry, source) in enumerate(zip(entries, file.entries, strict=True)):
        known = source.get("uid")
        entry.setdefault("id", known if _is_number(known) else place)
    return LoreFile(LoreFormat.CHARACTER_BOOK, file.frame, tuple(entries))


def book_of(file: LoreFile, book_id: str, name: str = "") -> Book:
    """Read a file as a book to play. The uids are the entries' places, and a mark of what they tell.

    So an entry with another text is another one to the log, as with the books of a server.
    """
    entries = (
        entry_of(source, file.format, f"{place}.{_mark(source)}") for place, source in enumerate(file.entries)
    )
    return framed(Book(book_id, name or file.name, tuple(entries)), file.frame)


def _mark(source: Mapping[str, Any]) -> str:
    told = str(source.get("content"))
    return f"{crc32(told.encode('utf-8', 'surrogatepass')):08x}"


def framed(book: Book, frame: Mapping[str, Any]) -> Book:
    """Give the book with the settings of its frame."""
    recursive = frame.get("recursive_scanning")
    return replace(
        book,
        scan_depth=fields.number(None)(frame.get("scan_depth")),
        token_budget=fields.duration(frame.get("token_budget")),
        recursive=recursive if isinstance(recursive, bool) else None,
    )


def entry_of(source: Mapping[str, Any], kind: LoreFormat, uid: str) -> LoreEntry:
    """Read an entry as a file has it. Never raises: what makes no sense is the default."""
    values = {field.name: field.value_in(source) for field in _FIELDS[kind]}
    if _is_sillytaverns(source):
        values["regex"] = False
    return LoreEntry(uid=uid, **values)


def unread(source: Mapping[str, Any], kind: LoreFormat) -> str:
    """Say what of an entry is more than is played, as the end of a sentence; empty where it is all played."""
    name = "key" if kind is LoreFormat.WORLD_INFO else "keys"
    keys, content = source.get(name), source.get("content")
    if isinstance(keys, list) and len(keys) > KEYS:
        return f"of its {len(keys):,} keys the first {KEYS} are used"
    if isinstance(content, str) and len(content) > CONTENT_CHARACTERS:
        return f"of its text the first {CONTENT_CHARACTERS:,} characters are told"
    return ""


def changed(source: Json, kind: LoreFormat, entry: LoreEntry, before: LoreEntry) -> Json:
    """Write what is different of an entry than it was `before` over the one that a file has.

    All else stays as the file has it: what is not known, and what others have changed meanwhile.
    """
    target = deepcopy(source)
    for field in _FIELDS[kind]:
        value = getattr(entry, field.name)
        if value != getattr(before, field.name):
            field.put(target, value)
    return target


def new_source(entry: LoreEntry, kind: LoreFormat) -> Json:
    """Write an entry that no file had, with every option."""
    target: Json = {}
    for field in _FIELDS[kind]:
        field.put(target, getattr(entry, field.name))
    return target


def _is_sillytaverns(source: Mapping[str, Any]) -> bool:
    """Tell whether SillyTavern wrote an entry of a card: it says `use_regex` of each, and means none."""
    theirs = looked_up(source, ("extensions", "selectiveLogic")) is not None
    return theirs and looked_up(source, (*OURS, "use_regex")) is None


def _converted(source: Json, kind: LoreFormat) -> Json:
    """Write an entry of one kind of file as one of the other."""
    other = _OTHER[kind]
    rest = _rest(source, kind)
    brought = looked_up(rest, (*OURS, other))
    _take_out(rest, (*OURS, other))
    written = new_source(entry_of(source, kind, ""), other)
    target = _as_brought(brought, written, other) if isinstance(brought, dict) else written
    if rest:
        placed(target, (*OURS, kind.value), rest)
    return target


def _rest(source: Json, kind: LoreFormat) -> Json:
    """Give what of an entry no field knows or has read as it stands, and no number stands for."""
    rest = deepcopy(source)
    number = "uid" if kind is LoreFormat.WORLD_INFO else "id"
    if _is_number(rest.get(number)):
        del rest[number]
    plain = new_source(entry_of(source, kind, ""), kind)
    for field in _FIELDS[kind]:
        for path in field.written():
            if looked_up(source, path) in (None, looked_up(plain, path)):
                _take_out(rest, path)
    return rest


def _as_brought(brought: Json, written: Json, kind: LoreFormat) -> Json:
    """Put an entry over what it once was: where that means the same, in the words that it had then."""
    target = _merged(brought, written)
    for field in _FIELDS[kind]:
        meant = field.value_in(written)
        for path in field.written():
            then = looked_up(brought, path)
            if then is None:
                continue
            placed(target, path, then)
            if field.value_in(target) != meant:
                placed(target, path, looked_up(written, path))
    return target


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _take_out(document: Json, path: tuple[str, ...]) -> None:
    """Take out what stands at a path, and the objects on the way that hold nothing else."""
    name, *deeper = path
    inner = document.get(name)
    if not deeper:
        document.pop(name, None)
    elif isinstance(inner, dict) and inner:
        _take_out(inner, tuple(deeper))
        if not len(inner):
            del document[name]


def _merged(under: Json, over: Json) -> Json:
    """Put one document over another; objects in both become one."""
    merged = dict(under)
    for name, value in over.items():
        inner = merged.get(name)
        merged[name] = _merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return merged
