"""Transactions that are one trip to the database's thread."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError

from bot.store import log
from bot.store.connection import Connection
from bot.store.store import Store
from tests.store.story import AT, line, started, texts


class ChangedMind(Exception):  # noqa: N818  # what somebody does, not what went wrong
    """Raised in the middle of a trip, so that it is taken back."""


async def test_what_is_changed_in_one_trip_is_whole_or_nothing(store: Store) -> None:
    scene_id = await started(store)

    async def pair(tx: Connection, number: int) -> None:
        await log.append(tx, line(scene_id, 2 * number, f"first {number}"))
        if number % 3 == 0:
            raise ChangedMind
        await log.append(tx, line(scene_id, 2 * number + 1, f"second {number}"))

    pairs = (store.change(lambda tx, number=number: pair(tx, number)) for number in range(1, 10))  # type: ignore[misc]
    outcomes = await asyncio.gather(*pairs, return_exceptions=True)
    assert [isinstance(one, ChangedMind) for one in outcomes] == [False, False, True] * 3
    kept = [number for number in range(1, 10) if number % 3]
    assert await texts(store, scene_id) == [f"{one} {n}" for n in kept for one in ("first", "second")]


async def test_another_copy_of_the_bot_finds_what_was_changed(file: Path, store: Store) -> None:
    other = await Store.open(file)
    won = await asyncio.gather(
        *(one.change(lambda tx: log.claim(tx, 4711, AT)) for one in (store, other) * 25)
    )
    assert sorted(won) == [False] * 49 + [True]
    await other.aclose()


async def test_a_refused_statement_says_what_it_would_have_said_in_a_longer_transaction(store: Store) -> None:
    scene_id = await started(store)
    await store.change(lambda tx: log.append(tx, line(scene_id, 1, "I ring the bell.")))
    with pytest.raises(IntegrityError):
        await store.change(lambda tx: log.append(tx, line(scene_id, 1, "Nobody else's place.")))
    assert await texts(store, scene_id) == ["I ring the bell."]


async def test_what_is_looked_up_in_one_trip_changes_nothing_beside_a_writer(
    store: Store,
) -> None:
    scene_id = await started(store)

    async def look(there: Connection) -> list[str]:
        await log.append(there, line(scene_id, 1, "A reader writes."))
        return [entry.text for entry in await log.between(there, scene_id, 0, 9)]

    async with asyncio.timeout(5):
        assert await store.look_up(look) == ["A reader writes."]
        async with store.transaction() as tx:
            await log.append(tx, line(scene_id, 1, "I ring the bell."))
            assert await store.look_up(lambda there: log.between(there, scene_id, 0, 9)) == []
    assert await texts(store, scene_id) == ["I ring the bell."]


async def test_who_would_wait_in_a_trip_is_refused(store: Store) -> None:
    async def wait(_: Connection) -> None:
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="repeat"):
        await store.change(wait)
    assert await store.change(lambda tx: log.claim(tx, 1, AT)), "the next one finds everything in order"


async def test_who_is_cancelled_in_a_trip_keeps_nobody_waiting(store: Store) -> None:
    asked = asyncio.create_task(store.change(lambda tx: log.claim(tx, 1, AT)))
    await asyncio.sleep(0)
    asked.cancel()
    async with asyncio.timeout(5):
        assert await store.change(lambda tx: log.claim(tx, 2, AT))
    assert asked.cancelled()
