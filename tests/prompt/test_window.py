from __future__ import annotations

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import TableError
from bot.prompt.log import Head
from bot.prompt.tokens import EstimatingCounter, entry_tokens
from bot.prompt.window import (
    CUT_MARK,
    LEAST_PIECE,
    Budget,
    HeadTooLongError,
    Window,
    cut,
    head_tokens,
    level,
    longest_turn,
    plan,
    shorten,
)
from bot.store.records import Entry, EntryKind
from tests.prompt.strategies import answered, noted, said, sessions

COUNTER = EstimatingCounter()
COUNT = partial(entry_tokens, counter=COUNTER)


def budget(room: int) -> Budget:
    return Budget(context_length=2 * room, head=room // 2, reserve=room // 2, room=room)


def tokens(entries: list[Entry] | tuple[Entry, ...]) -> int:
    return sum(entry.tokens or 0 for entry in entries)


def last_said(entries: list[Entry]) -> int | None:
    return max((entry.seq for entry in entries if entry.kind is EntryKind.PLAYER), default=None)


@given(log=sessions(longest=30, most_words=120), room=st.integers(300, 1500))
def test_a_session_always_fits_moves_on_and_keeps_the_last_message(log: list[Entry], room: int) -> None:
    window, told, start = Window(), [], 0
    for entry in log:
        window.insert(entry)
        told.append(entry)
        gone = window.fit(budget(room), COUNT)

        assert window.tokens <= room
        assert window.tokens == tokens(list(window.entries))
        assert window.start is not None
        assert window.start.seq >= start
        start = window.start.seq
        assert [one.seq for one in told] == [
            one.seq for one in (*told[: len(told) - len(window.entries)], *window.entries)
        ]
        last = last_said(told)
        since = [one for one in told if last is not None and one.seq >= last]
        if len(since) * LEAST_PIECE <= budget(room).low:
            assert last is None or start <= last
        if gone and window.entries[0].seq != last and len(window.entries) > 1:
            assert window.tokens <= budget(room).low


@given(log=sessions(longest=30, most_words=30), low=st.integers(50, 800))
def test_a_cut_never_leaves_an_answer_without_what_it_answers(log: list[Entry], low: int) -> None:
    if last_said(log) is not None:
        assert log[cut(log, low)].kind in {EntryKind.PLAYER, EntryKind.NOTE, EntryKind.LORE, EntryKind.MEMORY}


def test_nothing_is_cut_before_the_window_is_full_and_then_far() -> None:
    window, cuts = Window(), 0
    for turn in range(200):
        window.insert(said("Ann", "I walk along the shore and look for the boat. " * 3, 2 * turn))
        window.insert(answered("Marta", "The boat lies where it always lies. " * 4, 2 * turn + 1))
        before = window.tokens
        if window.fit(budget(4000), COUNT):
            cuts += 1
            assert before > 4000
            assert 2000 < window.tokens <= 2400
            assert window.entries[0].kind is EntryKind.PLAYER

    assert cuts == 14  # 200 turns of 132 tokens, 1600 a cut


def test_a_cut_goes_to_the_start_of_a_turn() -> None:
    log = [said("Ann", "one", 1), said("Ben", "two", 2), answered("Marta", "three", 3)]
    log += [noted("four", 4), said("Ann", "five", 5), answered("Marta", "six", 6), said("Ben", "seven", 7)]

    assert cut(log, tokens(log) - 1) == 3


def test_a_monologue_of_many_messages_is_cut_within() -> None:
    log = [answered("Marta", "hm", 0), *(said("Ann", "and then " * 10, n) for n in range(1, 50))]

    assert 20 <= cut(log, tokens(log) // 2) <= 30


def test_a_wall_of_text_is_shortened_in_the_middle_and_the_story_goes_on() -> None:
    wall = said("Ann", f"I begin. {'bla ' * 3000}I end.", 1)
    window = Window([wall])

    assert window.fit(budget(400), COUNT) == ()

    shown = window.entries[0].text
    assert shown.startswith("I begin.")
    assert shown.endswith("I end.")
    assert CUT_MARK in shown
    assert 150 < window.tokens <= 240
    assert wall.text.count("bla") == 3000


def test_an_answer_that_was_overtaken_still_sees_what_it_answers() -> None:
    log = [said("Ann", "I knock.", 1), said("Ben", "lalala " * 200, 3), said("Ben", "lalala " * 200, 4)]
    window = Window(log)

    window.fit(budget(500), COUNT, before=2)

    assert [entry.seq for entry in window.entries] == [1, 3, 4]
    assert window.entries[0].text == "I knock."
    assert window.tokens <= 500
    window.insert(answered("Marta", "Come in.", 2))
    assert [entry.seq for entry in window.entries] == [1, 2, 3, 4]


def test_edits_and_deletions_reach_the_window() -> None:
    window = Window([said("Ann", "I wave.", 1), answered("Marta", "Good evening.", 2)])

    assert window.replace(said("Ann", "I wave and smile at everyone in the room.", 1))
    assert window.entries[0].text.endswith("room.")
    assert window.discard(2)
    assert window.tokens == tokens(list(window.entries))
    assert not window.replace(said("Ann", "gone", 7))
    assert not window.discard(7)


def test_an_entry_must_be_counted_first() -> None:
    with pytest.raises(ValueError, match="entry 3 has not been counted"):
        Window([Entry(3, 1, EntryKind.PLAYER, "Ann", "Hi.", 0.0)])


@given(costs=st.lists(st.integers(0, 500), max_size=20), room=st.integers(0, 3000))
def test_a_level_is_the_highest_that_fits(costs: list[int], room: int) -> None:
    limit = level(costs, room)

    assert sum(min(cost, limit) for cost in costs) <= room or not costs
    if any(cost > limit for cost in costs):
        assert sum(min(cost, limit + 1) for cost in costs) > room


@given(words=st.integers(1, 400), limit=st.integers(24, 300))
def test_a_shortened_entry_keeps_to_its_limit(words: int, limit: int) -> None:
    whole = said("Ann", "lantern " * words, 1)
    short = shorten(whole, limit, COUNT)

    assert short.tokens == COUNT(short)
    assert COUNT(short) <= limit
    assert (CUT_MARK in short.text) == (COUNT(whole) > limit)


CARD = "## Marta\n\n{who}\n\nHow Marta talks: {voice}\n\nMarta in play:\nPlayer: Hi.\nMarta: {line}"


def a_card(words: int) -> str:
    return CARD.format(who="broad " * words, voice="gruff " * words, line="hm " * words).strip()


def test_a_context_is_shared_between_head_answer_and_story() -> None:
    head, shares = plan(Head("Fog", "Rain.", (a_card(10),)), 4096, 400, COUNTER)

    assert head.cards == (a_card(10),)
    assert shares.reserve == 400
    assert shares.head == head_tokens(head, COUNTER)
    assert shares.head + shares.reserve + shares.room < 4096
    assert shares.room > 3000


def test_a_small_context_grants_shorter_answers() -> None:
    assert plan(Head("Fog", "", ()), 1024, 400, COUNTER)[1].reserve == 256


def test_cards_lose_their_examples_before_the_story_loses_its_room() -> None:
    cast = Head("Fog", "Rain.", (a_card(60), a_card(150), a_card(5)))
    head, shares = plan(cast, 2048, 300, COUNTER)

    assert head.cards[2] == a_card(5)
    assert "Marta in play" not in head.cards[1]
    assert all(card.startswith("## Marta\n\nbroad") for card in head.cards)
    assert shares.room >= 2048 // 8
    assert plan(cast, 2048, 300, COUNTER) == (head, shares)


def test_a_cast_that_cannot_fit_is_told_to_the_table() -> None:
    crowd = Head("Fog", "Rain.", tuple(a_card(200) for _ in range(6)))

    with pytest.raises(HeadTooLongError, match=r"6 characters take \d+ of the 2048 tokens") as caught:
        plan(crowd, 2048, 300, COUNTER)
    assert isinstance(caught.value, TableError)
    assert "Take a character out" in str(caught.value)


@given(context=st.integers(700, 40_000), wanted=st.integers(1, 4000), scale=st.floats(0.25, 2.0))
def test_the_shares_never_add_up_to_more_than_the_context(context: int, wanted: int, scale: float) -> None:
    try:
        _, shares = plan(Head("Fog", "Rain.", (a_card(20), a_card(40))), context, wanted, COUNTER, scale)
    except HeadTooLongError:
        return
    assert (shares.head + shares.room) * scale + shares.reserve <= context
    assert shares.room > 0


def test_the_window_is_cut_ahead_of_a_turn_that_would_not_fit() -> None:
    log = [
        one for n in range(1, 9, 2) for one in (said("Ann", "bell " * 20, n), answered("Marta", "Hm.", n + 1))
    ]
    turn = tokens(log[:2])
    assert longest_turn(log) == turn
    room = tokens(log) + turn - 1
    assert Window(log).fit(budget(room), COUNT) == ()
    ahead = Window(log)
    assert ahead.fit(budget(room), COUNT, None, turn) == tuple(log[:4])
    assert ahead.fit(budget(room), COUNT, None, turn) == ()


def test_one_long_speech_does_not_have_the_window_cut_again_and_again() -> None:
    window = Window([said("Ann", "bell " * 20, 1), answered("Marta", "Hm.", 2)])
    assert window.fit(budget(4 * window.tokens), COUNT, None, 100 * window.tokens) == ()


def test_a_turn_is_what_is_said_up_to_the_answers() -> None:
    log = [
        answered("Marta", "Hm.", 1),
        said("Ann", "I knock.", 2),
        noted("Ann rolls 1d20: 14", 3),
        answered("Marta", "Come in.", 4),
        answered("Old Rusk", "Aye.", 5),
        said("Ben", "Me too.", 6),
    ]
    assert longest_turn(log) == tokens(log[1:5])
    assert longest_turn([]) == 0


def test_an_entry_that_was_edited_while_it_was_counted_keeps_its_new_text() -> None:
    old = said("Ann", "I knock.", 1)
    window = Window([old])
    new = said("Ann", "I kick the door in.", 1)
    assert window.replace(new)
    assert not window.replace(said("Ann", "I knock.", 1), of=old)
    assert list(window.entries) == [new]
