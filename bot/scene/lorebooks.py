"""The lorebooks of each server: brought, written, changed, taken along."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bot.documents import Json, dumped
from bot.errors import TableError
from bot.persona.cards import charx, files, png
from bot.persona.persona import clean_name, fold
from bot.prompt.lore import formats
from bot.prompt.lore.document import LOREBOOK
from bot.prompt.lore.formats import ENTRIES, LoreError, LoreFile, LoreFormat
from bot.prompt.lore.matching import unusable
from bot.prompt.lore.model import Book, LoreEntry
from bot.store import lore as stored
from bot.store.records import LorebookRecord, LoreRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bot.clock import Clock
    from bot.store.store import Store

BOOKS = 50  # of one server
ENTRIES_IN_ALL = 20_000  # of one server's books: what is played is held in memory
NAME_CHARACTERS = 80
DEFAULT_NAME = "Lore"

NO_BOOK = "/lore list shows the books; /lore add and /lore import make one."


@dataclass(frozen=True, slots=True)
class Brought:
    """A book that was brought, and sentences about what of it is not used."""

    record: LorebookRecord
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Listed:
    """An entry as it is listed: its id in the store, and why keys of it are not used."""

    id: int
    entry: LoreEntry
    problems: tuple[str, ...] = ()


class Lorebooks:
    """The shelf. Every refusal is a TableError that says what to do."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._versions: Counter[int] = Counter()
        self._listed: dict[int, tuple[int, list[Listed]]] = {}
        self._one_change = asyncio.Lock()

    def version(self, guild_id: int) -> int:
        """Give a number that grows with every change to a server's books."""
        return self._versions[guild_id]

    # -- what there is ------------------------------------------------------------------------------------

    async def all(self, guild_id: int) -> list[LorebookRecord]:
        """Give a server's books in the order of their names."""
        async with self._store.read() as connection:
            return await stored.books_of(connection, guild_id)

    async def find(self, guild_id: int, name: str) -> LorebookRecord:
        """Give the book of that name. Raises TableError if there is none."""
        book = _called(await self.all(guild_id), name)
        if book is None:
            raise TableError(f"There is no lorebook called “{name[:80]}”.", hint=NO_BOOK)
        return book

    async def entries(self, book: LorebookRecord) -> list[Listed]:
        """Give a book's entries in their order, without looking for problems."""
        known = self._listed.get(book.id)
        if known is None or known[0] != self.version(book.guild_id):
            async with self._store.read() as connection:
                rows = await stored.rows_of(connection, book.id)
            read = await asyncio.to_thread(_entries, rows, book)
            listed = [Listed(row.id, entry) for row, entry in zip(rows, read, strict=True)]
            # One book at a time: whoever completes the name of an entry asks again with every letter.
            self._listed = {book.id: (self.version(book.guild_id), listed)}
            return listed
        return known[1]

    async def entry(self, book: LorebookRecord, entry_id: int) -> Listed:
        """Give one entry of a book. Raises TableError if it is not there."""
        async with self._store.read() as connection:
            row = await self._row(connection, book, entry_id)
        [listed] = with_problems([Listed(row.id, _entry(row, book))])
        return listed

    async def file(self, book: LorebookRecord) -> LoreFile:
        """Give a book as the file that it came as, with every change since."""
        async with self._store.read() as connection:
            frame = json.loads(await stored.frame_of(connection, book.id))
            rows = await stored.rows_of(connection, book.id)
        sources = tuple(json.loads(row.document) for row in rows)
        keyed = any(row.key is not None for row in rows) or (not rows and book.kind == LoreFormat.WORLD_INFO)
        keys = _keys(rows) if keyed else None
        return LoreFile(LoreFormat(book.kind), frame, sources, keys)

    async def playable(self, guild_id: int) -> list[Book]:
        """Give the books that are switched on, ready to be played."""
        books = []
        async with self._store.read() as connection:
            for record in await stored.books_of(connection, guild_id):
                if record.enabled:
                    frame = json.loads(await stored.frame_of(connection, record.id))
                    rows = await stored.rows_of(connection, record.id)
                    entries = await asyncio.to_thread(_entries, rows, record)
                    books.append(formats.framed(Book(str(record.id), record.name, entries), frame))
        return books

    # -- what members bring and change --------------------------------------------------------------------

    async def bring(self, guild_id: int, data: bytes, by: int, *, name: str, filename: str) -> Brought:
        """Take in a lorebook's file, whole or not at all.

        It is called `name`, or what it calls itself, or what the file is called.
        """
        file, documents, frame, notes = await asyncio.to_thread(_unpacked, data)
        wanted = name or file.name or filename.rpartition(".")[0] or filename
        async with self._one_change:
            clean = await self._free_name(guild_id, wanted, len(documents))
            async with self._store.transaction() as tx:
                book_id = await stored.create(
                    tx,
                    guild_id=guild_id,
                    name=clean,
                    kind=file.format.value,
                    enabled=True,
                    frame=frame,
                    created_by=by,
                    created_at=self._clock.now(),
                )
                await stored.add(tx, book_id, documents, first=0)
            self._versions[guild_id] += 1
        record = LorebookRecord(
            book_id, guild_id, clean, file.format.value, enabled=True, entries=len(documents)
        )
        return Brought(record, notes)

    async def add(self, guild_id: int, name: str, entry: LoreEntry, by: int) -> LorebookRecord:
        """Write a new entry into a book, and the book if there is none of that name."""
        async with self._one_change:
            there = await self.all(guild_id)
            book = _called(there, name)
            if book is None:
                clean = await self._free_name(guild_id, name, 1)
            elif book.entries >= ENTRIES:
                raise LoreError(f"“{book.name}” has {ENTRIES:,} entries, which is all that a book holds.")
            else:
                _require_room(there, 1)
            async with self._store.transaction() as tx:
                if book is None:
                    book_id = await stored.create(
                        tx,
                        guild_id=guild_id,
                        name=clean,
                        kind=LoreFormat.WORLD_INFO.value,
                        enabled=True,
                        frame="{}",
                        created_by=by,
                        created_at=self._clock.now(),
                    )
                    book = LorebookRecord(book_id, guild_id, clean, LoreFormat.WORLD_INFO.value, enabled=True)
                rows = await stored.rows_of(tx, book.id)
                place = rows[-1].place + 1 if rows else 0
                await stored.add(tx, book.id, [_new_document(entry, book, rows)], first=place)
            self._versions[guild_id] += 1
        return replace(book, entries=book.entries + 1)

    async def change(self, book: LorebookRecord, entry_id: int, entry: LoreEntry, before: LoreEntry) -> None:
        """Change in an entry that is there what is different in `entry` than it was `before`."""
        async with self._one_change, self._store.transaction() as tx:
            row = await self._row(tx, book, entry_id)
            source = json.loads(row.document)
            written = formats.changed(source, LoreFormat(book.kind), entry, before)
            if written != source:
                await stored.set_document(tx, row.id, dumped(written).decode())
        self._versions[book.guild_id] += 1

    async def remove_entry(self, book: LorebookRecord, entry_id: int) -> None:
        """Forget an entry."""
        async with self._one_change, self._store.transaction() as tx:
            await self._row(tx, book, entry_id)
            await stored.remove_entry(tx, entry_id)
        self._versions[book.guild_id] += 1

    async def remove(self, book: LorebookRecord) -> None:
        """Forget a book."""
        async with self._one_change, self._store.transaction() as tx:
            await stored.remove(tx, book.id)
        self._versions[book.guild_id] += 1

    async def switch(self, book: LorebookRecord, *, on: bool) -> None:
        """Play a book, or leave it on the shelf."""
        async with self._one_change, self._store.transaction() as tx:
            await stored.change(tx, book.id, enabled=on)
        self._versions[book.guild_id] += 1

    async def _row(self, connection: Any, book: LorebookRecord, entry_id: int) -> LoreRow:
        row = await stored.row(connection, book.id, entry_id)
        if row is None:
            raise TableError(
                f"That entry is not in “{book.name}” any more.", hint="/lore list shows what is there."
            )
        return row

    async def _free_name(self, guild_id: int, name: str, entries: int) -> str:
        """Give the name as it is kept. Raises TableError if it is taken, or there is no room for the book."""
        clean = _clean(name) or DEFAULT_NAME
        there = await self.all(guild_id)
        if _called(there, clean):
            raise LoreError(
                f"There is a lorebook called “{clean}” already.",
                hint="Give this one another name, or remove that one first.",
            )
        if len(there) >= BOOKS:
            raise LoreError(f"This server has {BOOKS} lorebooks, which is all that are kept.")
        _require_room(there, entries)
        return clean


def with_problems(entries: Sequence[Listed]) -> list[Listed]:
    """Look which keys of entries cannot be used."""
    found: dict[str, list[str]] = {}
    for entry, key in unusable(listed.entry for listed in entries):
        found.setdefault(entry.uid, []).append(f"“{key.written}”: {key.problem}")
    return [replace(listed, problems=tuple(found.get(listed.entry.uid, ()))) for listed in entries]


def _called(books: Iterable[LorebookRecord], name: str) -> LorebookRecord | None:
    wanted = fold(_clean(name))
    return next((book for book in books if fold(book.name) == wanted), None)


def _clean(name: str) -> str:
    """Give a book's name as it is kept; of a text that is none, nothing."""
    return clean_name(name)[:NAME_CHARACTERS].strip()


def _require_room(books: Iterable[LorebookRecord], more: int) -> None:
    there = sum(book.entries for book in books)
    if there + more > ENTRIES_IN_ALL:
        raise LoreError(
            f"This server's lorebooks have {there:,} entries; with {more:,} more it would be too many.",
            hint=f"{ENTRIES_IN_ALL:,} are kept: remove a book first.",
        )


def _entry(row: LoreRow, book: LorebookRecord) -> LoreEntry:
    """Read an entry. A changed one has another uid: to the log it is new."""
    return formats.entry_of(json.loads(row.document), LoreFormat(book.kind), f"{row.id}.{row.revision}")


def _entries(rows: Iterable[LoreRow], book: LorebookRecord) -> tuple[LoreEntry, ...]:
    return tuple(_entry(row, book) for row in rows)


def _keys(rows: Sequence[LoreRow]) -> tuple[str, ...]:
    """Give the names of a World Info file's entries, and free numbers to those that have none."""
    taken = {row.key for row in rows}
    free = (str(number) for number in range(2 * len(rows) + 1) if str(number) not in taken)
    return tuple(row.key if row.key is not None else next(free) for row in rows)


def _new_document(entry: LoreEntry, book: LorebookRecord, rows: Sequence[LoreRow]) -> tuple[str | None, str]:
    """Write a new entry as those beside it are written."""
    kind = LoreFormat(book.kind)
    document = formats.new_source(entry, kind)
    numbers = [int(row.key) for row in rows if row.key and row.key.isdecimal() and len(row.key) < 9]
    number = max([*numbers, len(rows) - 1], default=-1) + 1
    document["uid" if kind is LoreFormat.WORLD_INFO else "id"] = number
    keyed = kind is LoreFormat.WORLD_INFO and (not rows or rows[0].key is not None)
    return (str(number) if keyed else None), dumped(document).decode()


def notes_on_own(document: Any) -> tuple[str, ...]:
    """Say what is not used of the book inside a character's card, which is None where there is none."""
    if not document:
        return ()
    if not isinstance(document, dict):
        return ("Its lorebook cannot be read.",)
    try:
        file = formats.parsed(document)
    except LoreError as error:
        return (f"Its lorebook is not used. {error}",)
    return tuple(f"In its lorebook: {note}" for note in _notes(file))


def _unpacked(data: bytes) -> tuple[LoreFile, list[tuple[str | None, str]], str, tuple[str, ...]]:
    """Read a file, write down its parts for the store, and say what of it is not used."""
    file = formats.parsed(_document(data))
    keys = file.keys or (None,) * len(file.entries)
    documents = [(key, dumped(source).decode()) for key, source in zip(keys, file.entries, strict=True)]
    return file, documents, dumped(file.frame).decode(), _notes(file)


def _document(data: bytes) -> Json:
    """Read a lorebook's JSON, or that of the card in a picture or archive."""
    if data.startswith((png.SIGNATURE, charx.SIGNATURE)):
        return files.read(data).card.document
    return LOREBOOK.read(data)


def _notes(file: LoreFile) -> tuple[str, ...]:
    read = [formats.entry_of(source, file.format, "") for source in file.entries]
    refused = [(entry.label, key) for entry, key in unusable(read)]
    notes = [
        f"{label}: the key “{key.written[:60]}” is not used, {key.problem}." for label, key in refused[:5]
    ]
    if len(refused) > 5:
        notes.append(f"So are {len(refused) - 5:,} more keys; /lore list marks those of a server's book.")
    more = (formats.unread(source, file.format) for source in file.entries)
    long = [f"{entry.label}: {said}." for entry, said in zip(read, more, strict=True) if said]
    notes += [*long[:5], *([f"So it is with {len(long) - 5:,} more entries."] if len(long) > 5 else [])]
    if empty := sum(not entry.content.strip() for entry in read):
        notes.append(f"Without a text, and so never told: {empty:,} of its entries.")
    return tuple(notes)
