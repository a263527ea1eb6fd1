"""Whole transactions, one writer, readers beside it."""

from __future__ import annotations

import asyncio
import random
import threading
from pathlib import Path

import pytest
from sqlalchemy import func, select

from bot.errors import SetupError, TableError
from bot.store import log, scenes
from bot.store.store import READERS, Store
from bot.store.tables import claims
from tests.store.story import AT, TAVERN, line, scene, started, texts


class ChangedMind(Exception):  # noqa: N818  # what somebody does, not what went wrong
    """Raised in the middle of a transaction, so that it is taken back."""


async def claimed(store: Store) -> set[int]:
    async with store.read() as connection:
        return set((await connection.execute(select(claims.c.event_id))).scalars())


async def test_what_one_task_takes_back_is_not_taken_from_another(store: Store) -> None:
    """With one shared connection, task A's rollback once erased task B's insert."""
    scene_id = await started(store)
    a_has_written, b_waits = asyncio.Event(), asyncio.Event()

    async def a() -> None:
        async with store.transaction() as tx:
            await log.append(tx, line(scene_id, 1, "A: I take it back."))
            a_has_written.set()
            await b_waits.wait()
            raise ChangedMind

    async def b() -> None:
        await a_has_written.wait()
        asyncio.get_running_loop().call_soon(b_waits.set)
        async with store.transaction() as tx:
            await log.append(tx, line(scene_id, 2, "B: I mean it."))

    taken_back, meant = await asyncio.gather(a(), b(), return_exceptions=True)
    assert isinstance(taken_back, ChangedMind)
    assert meant is None
    assert await texts(store, scene_id) == ["B: I mean it."]


async def test_transactions_of_many_tasks_are_whole_or_nothing(store: Store) -> None:
    async def pair(number: int) -> None:
        async with store.transaction() as tx:
            await log.claim(tx, 2 * number, AT)
            await asyncio.sleep(0)
            if number % 3 == 0:
                raise ChangedMind
            await log.claim(tx, 2 * number + 1, AT)

    await asyncio.gather(*(pair(number) for number in range(60)), return_exceptions=True)
    kept = {number for number in range(60) if number % 3}
    assert await claimed(store) == {2 * one for one in kept} | {2 * one + 1 for one in kept}


async def test_a_task_that_is_cancelled_anywhere_leaves_a_whole_transaction_or_none(store: Store) -> None:
    """Scenes end while their answers are being stored."""
    rng = random.Random(7)  # noqa: S311  # where to cancel, not a secret

    async def pair(number: int) -> None:
        async with store.transaction() as tx:
            await log.claim(tx, 2 * number, AT)
            await log.claim(tx, 2 * number + 1, AT)

    await pair(0)
    threads = threading.active_count()
    for number in range(1, 61):
        task = asyncio.create_task(pair(number))
        await asyncio.wait([task], timeout=rng.random() * 0.006)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    await pair(100)
    ids = await claimed(store)
    assert {0, 1, 200, 201} <= ids
    assert [one for one in ids if one ^ 1 not in ids] == []
    assert threading.active_count() <= threads + 1, "connections of cancelled tasks stay open"


async def test_readers_and_the_writer_do_not_wait_for_each_other(store: Store) -> None:
    scene_id = await started(store)
    async with store.transaction() as tx:
        await log.append(tx, line(scene_id, 1, "before"))

    async with store.read() as long_reader:
        assert await log.count(long_reader, scene_id) == 1
        async with store.transaction() as tx:
            await log.append(tx, line(scene_id, 2, "meanwhile"))
            assert await texts(store, scene_id) == ["before"], "nobody reads what is not committed"
        assert await log.count(long_reader, scene_id) == 1, "a reader sees one state to its end"
        assert await texts(store, scene_id) == ["before", "meanwhile"]


async def test_many_who_read_take_turns_with_few_connections(store: Store) -> None:
    """Each connection has a thread and caches: fifty scenes that look something up need not have fifty."""
    reading = most = 0

    async def one() -> None:
        nonlocal reading, most
        async with store.read() as connection:
            reading += 1
            most = max(most, reading)
            assert (await connection.execute(select(func.count()).select_from(claims))).scalar_one() == 0
            reading -= 1

    before = set(threading.enumerate())
    await asyncio.gather(*(one() for _ in range(50)))
    assert most == READERS
    assert len(set(threading.enumerate()) - before) == READERS, "they are kept for those who come next"


async def test_who_gives_up_reading_leaves_their_place_to_others(store: Store) -> None:
    inside = asyncio.Semaphore(0)

    async def dawdle() -> None:
        async with store.read() as connection:
            await connection.execute(select(claims))
            inside.release()
            await asyncio.Event().wait()

    dawdling = [asyncio.create_task(dawdle()) for _ in range(2 * READERS)]
    for _ in range(READERS):
        await inside.acquire()
    for task in dawdling:
        task.cancel()
    assert all(
        isinstance(end, asyncio.CancelledError)
        for end in await asyncio.gather(*dawdling, return_exceptions=True)
    )
    with pytest.raises(ChangedMind):
        async with store.read():
            raise ChangedMind
    assert await claimed(store) == set()


async def test_an_event_is_claimed_once_however_many_want_it(file: Path, store: Store) -> None:
    """Live, resumed and read from the history: and even by another copy of the bot."""
    other = await Store.open(file)

    async def claim(through: Store) -> bool:
        async with through.transaction() as tx:
            return await log.claim(tx, 4711, AT)

    won = await asyncio.gather(*(claim(one) for one in (store, other) * 25))
    assert sorted(won) == [False] * 49 + [True]
    await other.aclose()


async def test_a_claim_that_is_taken_back_can_be_made_again(store: Store) -> None:
    async def claim_and_fail() -> None:
        async with store.transaction() as tx:
            assert await log.claim(tx, 4711, AT)
            raise ChangedMind

    with pytest.raises(ChangedMind):
        await claim_and_fail()
    async with store.transaction() as tx:
        assert await log.claim(tx, 4711, AT)


async def test_two_game_masters_start_a_scene_in_one_channel_at_the_same_time(store: Store) -> None:
    outcomes = await asyncio.gather(started(store), started(store), return_exceptions=True)
    assert outcomes[0] == 1
    assert isinstance(outcomes[1], TableError)
    assert str(outcomes[1]) == "A scene has just been started here."
    async with store.read() as connection:
        assert [one.channel_id for one in await scenes.unended(connection)] == [TAVERN]


async def test_a_full_disk_is_told_and_what_was_said_before_stays(store: Store) -> None:
    scene_id = await started(store)
    async with store.transaction() as tx:
        await log.append(tx, line(scene_id, 1, "before"))
        pages = (await tx.exec_driver_sql("PRAGMA page_count")).scalar_one()
        await tx.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    async def write_too_much() -> None:
        async with store.transaction() as tx:
            await log.append(tx, line(scene_id, 2, "short"))
            await log.append(tx, line(scene_id, 3, "long " * 100_000))

    with pytest.raises(SetupError, match=r"disk that holds .* is full"):
        await write_too_much()
    assert await texts(store, scene_id) == ["before"]

    async with store.transaction() as tx:
        await tx.exec_driver_sql("PRAGMA max_page_count = 1000000")
        await log.append(tx, line(scene_id, 2, "after"))
    assert await texts(store, scene_id) == ["before", "after"]


async def test_closing_waits_for_the_transaction_that_is_open(file: Path) -> None:
    store = await Store.open(file)
    written = asyncio.Event()
    go_on = asyncio.Event()

    async def write() -> None:
        async with store.transaction() as tx:
            await scenes.create(tx, scene())
            written.set()
            await go_on.wait()

    writing = asyncio.create_task(write())
    await written.wait()
    closing = asyncio.create_task(store.aclose())
    await asyncio.sleep(0)
    assert not closing.done()
    go_on.set()
    await asyncio.gather(writing, closing)

    again = await Store.open(file)
    async with again.read() as connection:
        assert len(await scenes.unended(connection)) == 1
    await again.aclose()


async def test_the_file_is_kept_as_it_was_promised(store: Store) -> None:
    """Every commit is on the disk when it returns; readers do not block; deleted text is overwritten."""
    async with store.transaction() as tx:
        asked = ("journal_mode", "synchronous", "foreign_keys", "secure_delete")
        answers = [(await tx.exec_driver_sql(f"PRAGMA {name}")).scalar_one() for name in asked]
    assert dict(zip(asked, answers, strict=True)) == {
        "journal_mode": "wal",
        "synchronous": 2,  # FULL
        "foreign_keys": 1,
        "secure_delete": 1,
    }


async def test_ids_are_never_given_twice(store: Store) -> None:
    """What was deleted must not come back under the id of something new."""
    scene_id = await started(store)
    async with store.transaction() as tx:
        first = await log.append(tx, line(scene_id, 1))
        await log.remove(tx, first.id)
        second = await log.append(tx, line(scene_id, 1))
        assert second.id > first.id
        assert (await tx.execute(select(func.count()).select_from(claims))).scalar_one() == 0
