"""How words, meaning and the way something was said are weighed: pure rules, seen from the player's side."""

from __future__ import annotations

import pytest

from bot.memory.lexical import REACHES, Scored
from bot.memory.ranking import ENTRY, PASSAGE, fused, told, weights_of, worth


def scored(share: float) -> Scored:
    return Scored((share,) * len(REACHES), 1.0)


def test_a_short_question_is_about_an_entry_and_a_long_text_about_a_passage() -> None:
    assert weights_of("When did Ann go to the lake?", 4) == ENTRY
    assert weights_of("Who told the ferryman at the gate which crown was Ann's?", 6) == ENTRY
    assert weights_of("The ferryman tells them of the gate, and Ann pays the crowns they owe.", 9) == PASSAGE
    between = weights_of("The ferryman tells Ann of the gate", 4)
    assert PASSAGE.meaning < between.meaning < ENTRY.meaning


def test_meaning_finds_what_a_question_has_no_words_for() -> None:
    rows = {1: scored(1.0), 2: scored(0.4), 50: scored(0.4)}
    by_words = fused(rows, {}, {}, ENTRY)
    assert [row for row, _ in by_words] == [1, 2, 50]
    by_both = fused(rows, {1: 0.2, 50: 0.8, 99: 0.1}, {}, ENTRY)
    assert [row for row, _ in by_both] == [50, 1, 2]


def test_for_a_passage_meaning_decides_only_what_words_leave_open() -> None:
    rows = {1: scored(1.0), 2: scored(0.9), 50: scored(0.9)}
    assert [row for row, _ in fused(rows, {50: 0.8, 99: 0.1}, {}, PASSAGE)] == [1, 50, 2]


def test_of_two_that_fit_equally_well_the_later_one_comes_first() -> None:
    rows = {1: scored(1.0), 2: scored(1.0), 3: scored(1.0)}
    assert [row for row, _ in fused(rows, {}, {1: 0.1, 2: 0.9, 3: 0.5}, ENTRY)] == [2, 3, 1]
    best = fused(rows, {1: 0.3, 2: 0.1}, {1: 1.0}, ENTRY)[0]
    assert best[0] == 1
    assert 0.9 < best[1] <= 1


def test_nothing_is_found_among_nothing() -> None:
    assert fused({}, {}, {}, ENTRY) == []
    assert fused({1: Scored((0.0,) * len(REACHES), 0.0)}, {}, {}, ENTRY) == [(1, 0.0)]


@pytest.mark.parametrize(
    ("more", "less"),
    [
        ("I went to the lake with my sister.", "Did you go to the lake with your sister?"),
        ("I went to the lake. How are you?", "How are you? How was the lake?"),
        ("I went to the lake with my sister, and the water was freezing.", "The lake!"),
    ],
)
def test_what_tells_is_ahead_of_what_asks_or_agrees(more: str, less: str) -> None:
    assert told(more) > told(less)
    assert worth(more, "Ann", ["lake"], ENTRY) > worth(less, "Ann", ["lake"], ENTRY)
    assert worth(more, "Ann", ["lake"], PASSAGE) == worth(less, "Ann", ["lake"], PASSAGE)


def test_what_somebody_said_is_looked_for_where_they_spoke() -> None:
    text = "The water was freezing."
    assert worth(text, "Ann of the Lake", ["ann", "swim"], ENTRY) > worth(
        text, "Joel", ["ann", "swim"], ENTRY
    )


@pytest.mark.parametrize("text", ["", "?", "???", "\uff1f", "a" * 100_000, "?" * 100_000, "\n" * 5000])
def test_whatever_was_said_is_worth_something(text: str) -> None:
    assert 0 <= told(text) <= 1
    assert 0 < worth(text, "", [], ENTRY) <= 1
