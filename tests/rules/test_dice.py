"""Dice as players write them."""

from __future__ import annotations

import contextlib
import time
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import TableError
from bot.rules.dice import DICE, MODIFIER, SIDES, Dice, parse, throw


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("1d20", Dice(1, 20)),
        ("d6", Dice(1, 6)),
        ("2D6+3", Dice(2, 6, 3)),
        (" 4 d 8 - 1 ", Dice(4, 8, -1)),
        (f"d{SIDES}-{MODIFIER}", Dice(1, SIDES, -MODIFIER)),
    ],
)
def test_dice_are_read_as_players_write_them(written: str, read: Dice) -> None:
    assert parse(written) == read


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("", "is no dice. Dice are written as 2d6"),
        ("twenty", "is no dice"),
        ("d", "is no dice"),
        ("2d6+", "is no dice"),
        ("-1d6", "is no dice"),
        ("1d6e<7", "is no dice"),
        ("٣d٦", "is no dice"),
        ("((((1d6))))", "is no dice"),
        ("0d6", "0d6 cannot be thrown"),
        ("1d0", "cannot be thrown"),
        ("9999999d9999999", "1 to 100 dice of 1 to 1000 sides"),
        ("1d6+999999", "cannot be thrown"),
        ("1d" + "9" * 100_000, "in 40 characters at most"),
    ],
)
def test_what_is_no_dice_or_a_bomb_is_refused_at_once(written: str, says: str) -> None:
    started = time.perf_counter()
    with pytest.raises(TableError, match=says):
        parse(written)
    assert time.perf_counter() - started < 0.05


@given(st.integers(1, DICE), st.integers(1, SIDES), st.integers(-MODIFIER, MODIFIER), st.integers(0))
def test_a_throw_keeps_to_its_dice_and_its_rng(count: int, sides: int, modifier: int, seed: int) -> None:
    dice = parse(f"{count}d{sides}{modifier:+}")
    roll = throw(dice, Random(seed))  # noqa: S311  # seeded
    assert len(roll.faces) == count
    assert all(1 <= face <= sides for face in roll.faces)
    assert roll.total == sum(roll.faces) + modifier
    assert throw(dice, Random(seed)) == roll  # noqa: S311  # seeded


@given(st.text(alphabet="0123456789dD+- k<", max_size=60))
def test_any_text_is_read_or_refused(written: str) -> None:
    with contextlib.suppress(TableError):
        assert parse(written).count <= DICE
