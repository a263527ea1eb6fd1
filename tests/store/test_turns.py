"""Turns and the answers they promise: kept until they are given, whatever happens in between."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError

from bot.store import log, turns
from bot.store.records import EntryKind, Reply, ReplyState
from bot.store.store import Store
from tests.store.story import AT, line, started


async def unfinished(store: Store, scene_id: int) -> list[tuple[int, list[Reply]]]:
    async with store.read() as connection:
        return await turns.unfinished(connection, scene_id)


async def test_a_turn_from_the_question_to_the_last_answer(store: Store) -> None:
    scene_id = await started(store)
    async with store.transaction() as tx:
        turn = await turns.begin(tx, scene_id, AT)
        await log.append(tx, line(scene_id, 1, "Marta, Wren: who was it?", turn_id=turn), [10])
        promised = await turns.promise(tx, turn, ["marta", "wren"], first=0)
    assert [(one.persona, one.position, one.state) for one in promised] == [
        ("marta", 0, ReplyState.PROMISED),
        ("wren", 1, ReplyState.PROMISED),
    ]
    assert await unfinished(store, scene_id) == [(turn, promised)]

    marta, wren = promised
    async with store.transaction() as tx:
        await turns.posted(tx, scene_id, marta.id, 11)
    async with store.transaction() as tx:
        told = await log.append(tx, line(scene_id, 2, "Not me.", kind=EntryKind.ANSWER, turn_id=turn))
        await turns.set_reply(tx, marta.id, ReplyState.TOLD, told.id)
    [(_, [halfway, _waiting])] = await unfinished(store, scene_id)
    assert (halfway.state, halfway.entry_id, halfway.posted) == (ReplyState.TOLD, told.id, (11,))

    async with store.transaction() as tx:
        await turns.posted(tx, scene_id, marta.id, 12)
        await turns.show(tx, marta.id, told.id)
        await turns.set_reply(tx, marta.id, ReplyState.DONE, told.id)
        await turns.set_reply(tx, wren.id, ReplyState.FAILED)
        await turns.close(tx, turn, AT + 9)
        assert await log.messages_of(tx, told.id) == [11, 12]
        assert await log.shown_by(tx, 12) == told
        assert await log.first_message_of_turn(tx, turn) == 10
        assert await turns.count(tx, scene_id) == 1
    assert await unfinished(store, scene_id) == []


async def test_more_is_promised_while_a_turn_gathers(store: Store) -> None:
    scene_id = await started(store)
    async with store.transaction() as tx:
        turn = await turns.begin(tx, scene_id, AT)
        await turns.promise(tx, turn, ["marta"], first=0)
        await turns.promise(tx, turn, ["wren", "corvin"], first=1)
    [(_, promised)] = await unfinished(store, scene_id)
    assert [one.persona for one in promised] == ["marta", "wren", "corvin"]


async def test_nobody_owes_two_answers_in_one_turn(store: Store) -> None:
    scene_id = await started(store)

    async def promise_twice() -> None:
        async with store.transaction() as tx:
            turn = await turns.begin(tx, scene_id, AT)
            await turns.promise(tx, turn, ["marta", "marta"], first=0)

    with pytest.raises(IntegrityError):
        await promise_twice()
    assert await unfinished(store, scene_id) == []


async def test_what_was_promised_is_still_owed_after_a_restart(file: Path, store: Store) -> None:
    scene_id = await started(store)
    elsewhere = await started(store, channel_id=2)
    async with store.transaction() as tx:
        first = await turns.begin(tx, scene_id, AT)
        [marta] = await turns.promise(tx, first, ["marta"], first=0)
        await turns.posted(tx, scene_id, marta.id, 21)
        await turns.posted(tx, scene_id, marta.id, 20)
        second = await turns.begin(tx, scene_id, AT + 1)
        await turns.promise(tx, second, ["wren"], first=0)
        other = await turns.begin(tx, elsewhere, AT)
        await turns.close(tx, other, AT)

    reopened = await Store.open(file)
    owed = await unfinished(reopened, scene_id)
    assert [(turn, [(one.persona, one.posted) for one in replies]) for turn, replies in owed] == [
        (first, [("marta", (20, 21))]),
        (second, [("wren", ())]),
    ]
    assert await unfinished(reopened, elsewhere) == []
    await reopened.aclose()


async def test_deleting_an_answer_leaves_its_turn_in_order(store: Store) -> None:
    scene_id = await started(store)
    async with store.transaction() as tx:
        turn = await turns.begin(tx, scene_id, AT)
        [marta] = await turns.promise(tx, turn, ["marta"], first=0)
        told = await log.append(tx, line(scene_id, 1, "Not me.", kind=EntryKind.ANSWER, turn_id=turn))
        await turns.posted(tx, scene_id, marta.id, 11)
        await turns.show(tx, marta.id, told.id)
        await turns.set_reply(tx, marta.id, ReplyState.DONE, told.id)
        await log.remove(tx, told.id)
        [(_, [reply])] = await turns.unfinished(tx, scene_id)
    assert (reply.state, reply.entry_id, reply.posted) == (ReplyState.DONE, None, ())


async def test_a_turn_that_nobody_wrote_for_has_no_first_message(store: Store) -> None:
    scene_id = await started(store)
    async with store.transaction() as tx:
        turn = await turns.begin(tx, scene_id, AT)
        assert await log.first_message_of_turn(tx, turn) is None
