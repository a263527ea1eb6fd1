"""Lorebooks of a server, and what of them a scene was told."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import IntegrityError

from bot.store import log, lore
from bot.store.records import EntryKind, FiredRecord, LorebookRecord
from bot.store.store import Store
from tests.store.story import AT, MIRA, SERVER, line, started


async def a_book(store: Store, name: str = "Sea", guild_id: int = SERVER) -> int:
    async with store.transaction() as tx:
        book_id = await lore.create(
            tx,
            guild_id=guild_id,
            name=name,
            kind="world_info",
            enabled=True,
            frame='{"x": 1}',
            created_by=MIRA,
            created_at=AT,
        )
        await lore.add(tx, book_id, [("4", '{"key": ["bell"]}'), ("0", "{}")], first=0)
    return book_id


async def test_a_book_keeps_its_entries_in_their_order(store: Store) -> None:
    book_id = await a_book(store)
    await a_book(store, "Attic")
    await a_book(store, "Sea", guild_id=SERVER + 1)
    async with store.transaction() as tx:
        first, second = await lore.rows_of(tx, book_id)
        assert (first.key, first.document, first.revision) == ("4", '{"key": ["bell"]}', 0)
        await lore.set_document(tx, first.id, "{}")
        await lore.remove_entry(tx, second.id)
        await lore.add(tx, book_id, [(None, "[]")], first=7)
        await lore.change(tx, book_id, enabled=False)
        changed = await lore.row(tx, book_id, first.id)
        assert changed
        assert (changed.document, changed.revision) == ("{}", 1)
        assert await lore.row(tx, book_id + 1, first.id) is None
        assert [one.place for one in await lore.rows_of(tx, book_id)] == [0, 7]
        assert [one.id for one in await lore.rows_of(tx, book_id)][1] > second.id
        assert await lore.frame_of(tx, book_id) == '{"x": 1}'
        there = await lore.books_of(tx, SERVER)
    assert [one.name for one in there] == ["Attic", "Sea"]
    assert there[1] == LorebookRecord(book_id, SERVER, "Sea", "world_info", enabled=False, entries=2)


async def test_two_books_of_a_server_have_two_names(store: Store) -> None:
    await a_book(store)
    with pytest.raises(IntegrityError):
        await a_book(store)


async def test_a_book_that_is_removed_takes_its_entries_along(store: Store) -> None:
    book_id = await a_book(store)
    async with store.transaction() as tx:
        await lore.remove(tx, book_id)
        assert await lore.rows_of(tx, book_id) == []


async def test_the_log_knows_which_lore_it_tells(store: Store) -> None:
    scene_id = await started(store)
    async with store.transaction() as tx:
        await log.append(tx, line(scene_id, 1))
        told = await log.append(tx, line(scene_id, 2, kind=EntryKind.LORE, speaker="The bell"))
        await log.append(tx, line(scene_id, 3, kind=EntryKind.ANSWER))
        fired = FiredRecord(told.id, 2, "7", "4.0", "“bell” was said", since=1)
        await lore.note_fired(tx, fired)
        assert await lore.fired_in(tx, scene_id) == [fired]
        assert await lore.fired_in(tx, scene_id + 1) == []
        assert await lore.messages_in(tx, scene_id, 0) == (2, 1)
        assert await lore.messages_in(tx, scene_id, 1) == (1, 1)
        await log.remove(tx, told.id)
        assert await lore.fired_in(tx, scene_id) == []
