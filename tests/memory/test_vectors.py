"""Search by meaning: what is nearest is found, what was deleted is not, and many scenes fit into memory."""

from __future__ import annotations

import asyncio
import math
import random
import sqlite3
from array import array
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.chat import Vector
from bot.memory.matrix import Hits, Matrix, Near, quantized, search
from bot.memory.vectors import Vectors
from bot.store import log, recall
from bot.store import vectors as stored
from bot.store.vectors import VectorRow
from tests.store.story import line, started

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bot.store.records import Entry
    from bot.store.store import Store


def vector(*values: float, model: str = "test/3") -> Vector:
    length = math.hypot(*values)
    return Vector(model, array("f", (value / length for value in values)))


async def told(store: Store, scene: int, *texts: str) -> list[Entry]:
    async with store.transaction() as tx:
        first = await log.last_seq(tx, scene) + 1
        return [await log.append(tx, line(scene, seq, text)) for seq, text in enumerate(texts, first)]


def ids(hits: Sequence[Near]) -> list[int]:
    return [near.entry_id for near in hits]


def cosines(hits: Sequence[Near]) -> dict[int, float]:
    return {near.entry_id: near.cosine for near in hits}


async def test_the_nearest_come_first(store: Store) -> None:
    scene = await started(store)
    north, east, south = await told(store, scene, "north", "east", "south")
    vectors = Vectors(store)
    added = [(north, vector(1, 0, 0)), (east, vector(0.6, 0.8, 0)), (south, vector(-1, 0, 0))]
    assert await vectors.add(added) == 3

    hits = await vectors.search([scene], [vector(1, 0.1, 0)], 2)
    assert ids(hits) == [north.id, east.id]
    assert hits[0].cosine == pytest.approx(0.995, abs=0.01)
    assert [near.row for near in hits] == [recall.row_of(north), recall.row_of(east)]
    assert ids(await vectors.search([scene], [vector(1, 0.1, 0)], 5, exclude={north.id})) == [
        east.id,
        south.id,
    ]
    assert await vectors.search([scene], [], 5) == []
    assert await vectors.search([], [vector(1, 0, 0)], 5) == []
    assert await vectors.search([scene], [vector(1, 0, 0)], 0) == []
    assert await vectors.search([scene], [vector(1, 0, model="test/3")], 5) == [], "another length"
    assert await vectors.search([scene], [vector(1, 0, 0, model="other/3")], 5) == [], "another model"


async def test_what_comes_later_is_found_at_once_and_after_a_restart(store: Store) -> None:
    scene = await started(store)
    vectors = Vectors(store)
    assert await vectors.search([scene], [vector(1, 0, 0)], 5) == []
    (entry,) = await told(store, scene, "north")
    await vectors.add([(entry, vector(1, 0, 0))])
    for one in (vectors, Vectors(store)):
        assert ids(await one.search([scene], [vector(1, 0, 0)], 5)) == [entry.id]


async def test_scenes_are_searched_together_or_alone(store: Store) -> None:
    one, other = await started(store), await started(store, channel_id=7)
    (here,), (there,) = await told(store, one, "here"), await told(store, other, "there")
    vectors = Vectors(store)
    await vectors.add([(here, vector(1, 0, 0)), (there, vector(1, 0.5, 0))])
    assert ids(await vectors.search([one, other], [vector(1, 0, 0)], 5)) == [here.id, there.id]
    assert ids(await vectors.search([other], [vector(1, 0, 0)], 5)) == [there.id]


async def test_a_deleted_entry_is_in_no_vector_and_no_file(store: Store) -> None:
    scene = await started(store)
    gone, stays = await told(store, scene, "gone", "stays")
    vectors = Vectors(store)
    await vectors.add([(gone, vector(1, 2, 3)), (stays, vector(3, 2, 1))])
    await vectors.search([scene], [vector(1, 0, 0)], 5)
    int8 = quantized([(gone.id, recall.row_of(gone), vector(1, 2, 3).values)])[0].int8
    async with store.transaction() as tx:
        await vectors.forget(tx, [gone.id])
        await log.remove(tx, gone.id)
    for one in (vectors, Vectors(store)):
        assert ids(await one.search([scene], [vector(1, 2, 3)], 5)) == [stays.id]
    with closing(sqlite3.connect(store.path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert connection.execute("SELECT entry_id FROM vectors").fetchall() == [(stays.id,)]
    assert int8 not in store.path.read_bytes()


async def test_an_edited_entry_is_found_by_what_it_says_now(store: Store) -> None:
    scene = await started(store)
    before, other = await told(store, scene, "north", "east")
    vectors = Vectors(store)
    await vectors.add([(before, vector(1, 0, 0)), (other, vector(0, 1, 0))])
    await vectors.search([scene], [vector(1, 0, 0)], 5)
    async with store.transaction() as tx:
        await vectors.forget(tx, [before.id])
        await log.set_text(tx, before.id, "south", 1.0)
    assert await vectors.add([(before, vector(1, 0, 0))]) == 0, "made of a text that is no longer there"
    async with store.read() as connection:
        (after,) = await stored.lacking(connection, "test/3", after=0, most=9)
    assert after.text == "south"
    assert await vectors.add([(after, vector(-1, 0, 0))]) == 1
    assert ids(await vectors.search([scene], [vector(-1, 0, 0)], 1)) == [before.id]
    assert ids(await vectors.search([scene], [vector(1, 0, 0)], 1)) == [other.id]


async def test_an_older_model_serves_what_the_new_one_has_not_seen(store: Store) -> None:
    scene = await started(store)
    entries = await told(store, scene, "north", "east", "south")
    vectors = Vectors(store)
    places = [(1.0, 0.0), (0.0, 1.0), (-1.0, 0.0)]
    old = [(entry, vector(*at, model="old/2")) for entry, at in zip(entries, places, strict=True)]
    await vectors.add(old)
    # The new model turned everything round, and has come to the first entry alone.
    await vectors.add([(entries[0], vector(0, 0, 1, model="new/3"))])
    queries = [vector(0, 0, 1, model="new/3"), vector(0, 1, model="old/2")]
    hits = await vectors.search([scene], queries, 5)
    assert sorted(ids(hits)) == sorted(entry.id for entry in entries)
    assert set(ids(hits)[:2]) == {entries[0].id, entries[1].id}
    await vectors.forget_models("new/3")
    assert ids(await vectors.search([scene], queries, 5)) == [entries[0].id]
    assert ids(await Vectors(store).search([scene], queries, 5)) == [entries[0].id]


async def test_memory_is_bounded_and_forgotten_scenes_are_read_again(store: Store) -> None:
    scenes = [await started(store, channel_id=number) for number in range(1, 5)]
    vectors = Vectors(store, most_bytes=3000)
    entries = [(await told(store, scene, "north"))[0] for scene in scenes]
    await vectors.add([(entry, vector(1, 0, 0)) for entry in entries])
    for _ in range(2):
        for scene, entry in zip(scenes, entries, strict=True):
            assert ids(await vectors.search([scene], [vector(1, 0, 0)], 5)) == [entry.id]
            assert vectors.size <= 3000


async def test_what_changes_while_a_scene_is_read_is_not_overwritten(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reading goes page by page beside everything else."""
    monkeypatch.setattr("bot.memory.vectors.PAGE", 10)
    scene = await started(store)
    entries = await told(store, scene, *(f"entry {number}" for number in range(35)))
    await Vectors(store).add([(entry, vector(1, number, 0)) for number, entry in enumerate(entries)])
    vectors = Vectors(store)
    first, last = entries[0], entries[-1]
    searching = asyncio.create_task(vectors.search([scene], [vector(1, 0, 0)], 1))
    while not vectors.size:  # noqa: ASYNC110  # the first page, in another thread
        await asyncio.sleep(0)
    async with store.transaction() as tx:
        await vectors.forget(tx, [first.id, last.id])
        await log.remove(tx, last.id)
    await vectors.add([(first, vector(0, 0, 1))])
    await searching
    hits = await vectors.search([scene], [vector(0, 0, 1)], len(entries))
    assert hits[0].entry_id == first.id
    assert hits[0].cosine == pytest.approx(1.0, abs=0.01)
    assert sorted(ids(hits)) == [entry.id for entry in entries[:-1]]


# -- the matrix ---------------------------------------------------------------------------------------------

ROWS = st.lists(
    st.lists(st.floats(-1, 1, width=32), min_size=8, max_size=8).filter(lambda one: math.hypot(*one) > 0.01),
    min_size=1,
    max_size=12,
)


def matrix_of(rows: list[VectorRow]) -> Matrix:
    matrix = Matrix()
    matrix.fill(rows)
    matrix.filled()
    return matrix


def exact(query: Sequence[float], rows: Sequence[Sequence[float]]) -> list[float]:
    return [
        sum(a * b for a, b in zip(query, row, strict=True)) / math.hypot(*row) / math.hypot(*query)
        for row in rows
    ]


@settings(max_examples=40)
@given(ROWS)
def test_int8_keeps_cosines(rows: list[list[float]]) -> None:
    """127 steps for the largest number: the cosine of two vectors moves by less than a hundredth."""
    unit = [[value / math.hypot(*row) for value in row] for row in rows]
    matrix = matrix_of(quantized([(number, number, row) for number, row in enumerate(unit, 1)]))
    found = cosines(search([(unit[0], [matrix])], len(rows), ()))
    for number, cosine in enumerate(exact(unit[0], unit), 1):
        assert found[number] == pytest.approx(cosine, abs=0.015)


@settings(max_examples=40)
@given(ROWS, st.randoms(use_true_random=False))
def test_rows_come_and_go_in_any_order(rows: list[list[float]], rng: random.Random) -> None:
    matrix = matrix_of([])
    there: dict[int, list[float]] = {}
    for row in rows:
        entry = rng.randint(1, 10)
        if rng.random() < 0.3:
            matrix.remove(entry)
            there.pop(entry, None)
        else:
            matrix.put(quantized([(entry, entry, row)])[0])
            there[entry] = row
    found = search([(rows[0], [matrix])], 100, ())
    assert sorted(ids(found)) == sorted(there)
    assert found == sorted(found, key=lambda near: -near.cosine)


def test_vectors_that_were_moved_for_more_room_say_what_they_said() -> None:
    rng = np.random.default_rng(1)
    rows = rng.standard_normal((250, 300)).astype(np.float32)
    matrix = matrix_of(quantized([(number, number, row.tolist()) for number, row in enumerate(rows, 1)]))
    assert rows.size < matrix.size < 1.1 * rows.size
    matrix.make_room(1000)
    found = cosines(search([(rows[3].tolist(), [matrix])], 250, ()))
    dots = rows @ rows[3]
    assert np.allclose([found[number] for number in range(1, 251)], dots, atol=0.02 * dots[3])


@settings(max_examples=40)
@given(st.integers(1, 1100), st.integers(1, 90), st.integers(0, 2**32 - 1))
def test_what_is_stored_is_compared_to_four_digits(dimensions: int, count: int, seed: int) -> None:
    """The query has int8 for its numbers, too, but twice: nothing of its own is lost by that."""
    rng = np.random.default_rng(seed)
    numbers = rng.integers(-127, 128, (count, dimensions), dtype=np.int8)
    scale = 1 / 127 / math.sqrt(dimensions)
    rows = [VectorRow(number, number, scale, row.tobytes()) for number, row in enumerate(numbers, 1)]
    asked = rng.standard_normal(dimensions)
    asked /= np.linalg.norm(asked)

    found = cosines(search([(asked.tolist(), [matrix_of(rows)])], count, ()))
    assert np.allclose([found[row.entry_id] for row in rows], numbers @ asked * scale, atol=1e-4)


def test_room_made_ahead_is_room_for_the_first_vector() -> None:
    matrix = Matrix()
    matrix.make_room(100)
    assert search([([1.0, 0.0], [matrix])], 9, ()) == []
    matrix.put(VectorRow(7, 7, 0.01, b"\x02\x01"))
    assert ids(search([([1.0, 0.0], [matrix])], 9, ())) == [7]


def test_what_is_removed_while_it_is_looked_for_is_not_found() -> None:
    matrix = matrix_of(quantized([(number, number, [1.0, float(number)]) for number in range(1, 4)]))
    hits = matrix.scores([0.6, 0.8])
    matrix.remove(2)
    assert sorted(ids(hits.best(9, ()))) == [1, 3]


def test_a_row_of_another_length_is_passed_over() -> None:
    matrix = matrix_of(
        [
            VectorRow(1, 1, 0.01, b"\x01\x02"),
            VectorRow(2, 2, 0.01, b"\x01"),
            VectorRow(3, 3, 0.01, b"\x02\x01"),
        ]
    )
    assert sorted(ids(search([([1.0, 0.0], [matrix])], 9, ()))) == [1, 3]


def test_no_hits_are_no_trouble() -> None:
    assert Hits.of([]).best(5, ()) == []
    assert search([], 5, ()) == []
