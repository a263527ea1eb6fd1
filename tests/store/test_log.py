"""The log: entries in their order, and the messages of Discord that show them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy.exc import IntegrityError

from bot.store import log, turns
from bot.store.records import EntryKind
from bot.store.store import Store
from tests.store.story import AT, line, started, texts


async def test_entries_stand_by_their_place_not_by_when_they_were_stored(store: Store) -> None:
    """An answer takes its place when it is begun; what players say meanwhile stands after it."""
    scene_id = await started(store)
    for seq, text in ((1, "I open the door."), (3, "And I look in."), (2, "The hinges scream.")):
        async with store.transaction() as tx:
            await log.append(tx, line(scene_id, seq, text))

    assert await texts(store, scene_id) == ["I open the door.", "The hinges scream.", "And I look in."]
    async with store.read() as connection:
        assert [entry.seq for entry in await log.since(connection, scene_id, 2)] == [2, 3]
        assert [entry.seq for entry in await log.last(connection, scene_id, 2)] == [2, 3]
        assert await log.last_seq(connection, scene_id) == 3
        assert await log.count(connection, scene_id) == 3


async def test_a_place_in_the_log_is_given_once(store: Store) -> None:
    scene_id = await started(store)
    async with store.transaction() as tx:
        await log.append(tx, line(scene_id, 1, "first"))

    async def write_over_it() -> None:
        async with store.transaction() as tx:
            await log.append(tx, line(scene_id, 1, "The database is locked!"))

    with pytest.raises(IntegrityError) as refused:
        await write_over_it()
    assert "locked" not in str(refused.value), "what players say stays out of the bot's own log"
    assert await texts(store, scene_id) == ["first"]


async def test_scenes_have_logs_of_their_own(store: Store) -> None:
    tavern = await started(store)
    crypt = await started(store, channel_id=2)
    async with store.transaction() as tx:
        await log.append(tx, line(tavern, 1, "ale"), [11])
        await log.append(tx, line(crypt, 1, "bones"), [12])
    assert await texts(store, tavern) == ["ale"]
    assert await texts(store, crypt) == ["bones"]
    async with store.read() as connection:
        assert await log.last_message(connection, tavern) == 11
        assert await log.last(connection, 999, 5) == []
        assert await log.last_seq(connection, 999) == 0
        assert await log.last_message(connection, 999) == 0


async def test_an_entry_comes_back_as_it_was_put_in(store: Store) -> None:
    scene_id = await started(store)
    async with store.transaction() as tx:
        turn = await turns.begin(tx, scene_id, AT)
        told = line(
            scene_id,
            1,
            "The bell tolls.",
            kind=EntryKind.ANSWER,
            speaker="The Narrator",
            author_id=None,
            persona="narrator",
            turn_id=turn,
            tokens=7,
            fingerprint="llama-3",
        )
        kept = await log.append(tx, told)
    assert kept == replace(told, id=kept.id)
    async with store.read() as connection:
        assert await log.since(connection, scene_id, 0) == [kept]


async def test_any_text_comes_back_as_it_was_said(store: Store) -> None:
    said = [
        "",
        "'; DROP TABLE entries; --",
        "a\x00b",
        "line\nline\r\n",
        "🐉" * 2000,
        "عَلَيْكُم السَّلام",
        "e\u0301 é",
    ]
    scene_id = await started(store)
    async with store.transaction() as tx:
        for seq, text in enumerate(said, 1):
            await log.append(tx, line(scene_id, seq, text))
    assert await texts(store, scene_id) == said


async def test_a_message_leads_to_what_it_shows(store: Store) -> None:
    """A long answer is shown by several messages; deleting the last of them deletes the answer."""
    scene_id = await started(store)
    async with store.transaction() as tx:
        asked = await log.append(tx, line(scene_id, 1, "Tell me all."), [10])
        told = await log.append(tx, line(scene_id, 2, "It began long ago ..."), [12, 11])

    async with store.read() as connection:
        assert await log.shown_by(connection, 10) == asked
        assert await log.shown_by(connection, 11) == await log.shown_by(connection, 12) == told
        assert await log.shown_by(connection, 99) is None
        assert await log.messages_of(connection, told.id) == [11, 12]
        assert await log.unknown_messages(connection, [9, 10, 11, 13]) == [9, 13]
        assert await log.unknown_messages(connection, []) == []
        assert await log.last_message(connection, scene_id) == 12

    async with store.transaction() as tx:
        assert not await log.forget_message(tx, 11, told.id)
        assert await log.forget_message(tx, 12, told.id)
        await log.remove(tx, told.id)
    assert await texts(store, scene_id) == ["Tell me all."]


async def test_a_deleted_message_is_gone_and_does_not_come_back_with_the_history(store: Store) -> None:
    scene_id = await started(store)
    async with store.transaction() as tx:
        assert await log.claim(tx, 10, AT)
        said = await log.append(tx, line(scene_id, 1, "Oops, wrong channel."), [10])
    async with store.transaction() as tx:
        await log.remove(tx, said.id)
    async with store.transaction() as tx:
        assert await log.shown_by(tx, 10) is None
        assert not await log.claim(tx, 10, AT), "reading the history again finds it dealt with"
    assert "wrong channel" not in store.path.read_bytes().decode(errors="replace")


async def test_an_edited_message_has_to_be_counted_again(store: Store) -> None:
    scene_id = await started(store)
    async with store.transaction() as tx:
        said = await log.append(tx, line(scene_id, 1, "I open the dor.", tokens=6, fingerprint="llama-3"))
        await log.set_text(tx, said.id, "I open the door.", AT + 5)
    async with store.read() as connection:
        [entry] = await log.since(connection, scene_id, 0)
    assert (entry.text, entry.tokens, entry.fingerprint) == ("I open the door.", None, None)


async def test_a_count_that_was_overtaken_by_an_edit_is_not_kept(store: Store) -> None:
    """Counting takes a while at a server; the player may correct a word meanwhile."""
    scene_id = await started(store)
    async with store.transaction() as tx:
        early = await log.append(tx, line(scene_id, 1, "Hello?"))
        late = await log.append(tx, line(scene_id, 2, "I open the dor."))
        await log.set_text(tx, late.id, "I open the door, slowly.", AT + 5)
        await log.set_tokens(
            tx, [replace(early, tokens=3, fingerprint="f"), replace(late, tokens=6, fingerprint="f")]
        )
    async with store.read() as connection:
        counted = [entry.tokens for entry in await log.since(connection, scene_id, 0)]
    assert counted == [3, None]
