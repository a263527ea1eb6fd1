"""What answers were made of, kept with them and gone with them."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from bot.chat import Sampling
from bot.store import answers, log
from bot.store.answers import AnswerRecord, read_ranges, write_ranges
from bot.store.records import EntryKind
from bot.store.store import Store
from tests.store.story import TAVERN, line, started

RECORD = AnswerRecord(
    backend="llama.cpp at 127.0.0.1:8080",
    model="small",
    fingerprint="abc",
    sampling=Sampling(temperature=0.8, seed=2**31 - 1),
    stop=("\nMira:", "\n“Bo”:"),
    max_tokens=400,
    prompt_sha256="0" * 64,
    head="You run this story.",
    window=(1,),
    asked_at=1_700_000_000.5,
    context_length=4096,
    prompt_tokens=1234,
    exact=True,
    seconds=2.5,
    evaluated_tokens=20,
    completion_tokens=80,
    first_token_s=0.25,
    shortened={1: 300},
)


@given(st.sets(st.integers(1, 400)).map(sorted).map(tuple))
def test_places_are_written_as_ranges(places: tuple[int, ...]) -> None:
    assert read_ranges(write_ranges(places)) == places


def test_a_whole_window_is_one_range() -> None:
    assert write_ranges(tuple(range(5, 305))) == "5-304"
    assert write_ranges((3, 4, 5, 7, 9, 10)) == "3-5,7,9-10"
    assert write_ranges(()) == ""


async def test_what_is_known_of_an_answer_comes_back_as_it_was_and_goes_with_it(store: Store) -> None:
    scene_id = await started(store)
    sparse = replace(
        RECORD,
        model=None, sampling=Sampling(), stop=(), window=(), shortened={},
        evaluated_tokens=None, completion_tokens=None, first_token_s=None,
    )  # fmt: skip
    async with store.transaction() as tx:
        first = await log.append(tx, line(scene_id, 1, kind=EntryKind.ANSWER), [77])
        await answers.keep(tx, first.id, RECORD)
        second = await log.append(tx, line(scene_id, 2, kind=EntryKind.ANSWER), [78])
        await answers.keep(tx, second.id, sparse)
    async with store.read() as connection:
        assert await answers.of(connection, first.id) == RECORD
        assert await answers.of(connection, second.id) == await answers.last(connection, scene_id) == sparse
        assert await log.last_answer(connection, TAVERN) == second
        assert await answers.channel_of(connection, 77) == TAVERN
        heads = await connection.exec_driver_sql("SELECT count(*) FROM heads")
        assert heads.scalar() == 1, "the same head is kept once"
    async with store.transaction() as tx:
        await log.remove(tx, second.id)
    async with store.read() as connection:
        assert await answers.of(connection, second.id) is None
        assert await answers.last(connection, scene_id) == RECORD


async def test_a_head_goes_with_the_last_answer_that_had_it(store: Store) -> None:
    scene_id = await started(store)
    heads = ("Marta keeps the inn.", "Marta keeps the inn.", "Wren sings.")
    async with store.transaction() as tx:
        said = [await log.append(tx, line(scene_id, seq, kind=EntryKind.ANSWER)) for seq in (1, 2, 3)]
        for entry, head in zip(said, heads, strict=True):
            await answers.keep(tx, entry.id, replace(RECORD, head=head))
    left = []
    for entry in said:
        async with store.transaction() as tx:
            await log.remove(tx, entry.id)
        async with store.read() as connection:
            rows = await connection.exec_driver_sql("SELECT text FROM heads ORDER BY text")
            left.append(list(rows.scalars()))
    assert left == [["Marta keeps the inn.", "Wren sings."], ["Wren sings."], []]
