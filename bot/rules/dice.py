"""Dice: `2d6+3`, `d20`, read with bounds and thrown with an Rng that is passed in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bot.errors import TableError

if TYPE_CHECKING:
    from random import Random

NOTATION_CHARACTERS = 40
DICE = 100
SIDES = 1_000
MODIFIER = 100_000

HOW = "Dice are written as 2d6+3: how many, d, how many sides, and what is added or taken away."

_NOTATION = re.compile(r"([0-9]*)d([0-9]+)(?:([+-])([0-9]+))?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Dice:
    """What is thrown: `count` dice with `sides` sides each, and `modifier` added to their sum."""

    count: int
    sides: int
    modifier: int = 0


@dataclass(frozen=True, slots=True)
class Roll:
    """What came of a throw: the dice, and what each shows."""

    dice: Dice
    faces: tuple[int, ...]

    @property
    def total(self) -> int:
        """The sum with its modifier."""
        return sum(self.faces) + self.dice.modifier


def parse(notation: str) -> Dice:
    """Read `NdM+K`; N and K may be left out, spaces and case do not matter.

    Raises TableError for what is no dice, or more of them, of more sides, than anybody needs.
    """
    if len(notation) > NOTATION_CHARACTERS:
        raise TableError(f"Dice are written in {NOTATION_CHARACTERS} characters at most.", hint=HOW)
    found = _NOTATION.fullmatch("".join(notation.split()))
    if found is None:
        raise TableError(f"{notation!r} is no dice.", hint=HOW)
    count, sides, sign, added = found.groups()
    dice = Dice(int(count or 1), int(sides), int(f"{sign}{added}") if sign else 0)
    if not (1 <= dice.count <= DICE and 1 <= dice.sides <= SIDES and abs(dice.modifier) <= MODIFIER):
        raise TableError(
            f"{notation.strip()} cannot be thrown here.",
            hint=f"1 to {DICE} dice of 1 to {SIDES} sides go into one roll, with at most {MODIFIER} added.",
        )
    return dice


def throw(dice: Dice, rng: Random) -> Roll:
    """Throw the dice."""
    return Roll(dice, tuple(rng.randint(1, dice.sides) for _ in range(dice.count)))
