"""What the macros in a character's words stand for in one scene."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from bot.errors import TableError
from bot.persona.macros import Macros, Stopped
from bot.persona.persona import PLAYER, in_words_of
from bot.rules import dice

if TYPE_CHECKING:
    from collections.abc import Callable

    from bot.clock import Clock
    from bot.persona.persona import Persona
    from bot.store.records import SceneRecord


def lasting(record: SceneRecord, persona: Persona) -> Macros:
    """Give the macros of the prompt's head, which must not change from turn to turn.

    Chance comes from the scene's id, the time is when the scene began, and nothing has been said yet.
    """
    rng = Random(_seed(record, persona))  # noqa: S311  # has to come out the same each time
    return Macros(
        char=persona.name,
        user=PLAYER,
        rng=rng,
        seed=_seed(record, persona),
        roll=roller(rng),
        clock=Stopped(record.created_at),
    )


def passing(
    record: SceneRecord, persona: Persona, player: str, clock: Clock, rng: Random, last_message: str = ""
) -> Macros:
    """Give the macros of what the character says now; what it picks is the same for the whole scene."""
    macros = Macros(
        char=persona.name,
        user=player,
        last_message=last_message,
        rng=rng,
        seed=_seed(record, persona),
        roll=roller(rng),
        clock=clock,
    )
    return in_words_of(persona, macros)


def roller(rng: Random) -> Callable[[str], int | None]:
    """Give what throws the dice of a `{{roll}}`; it gives None for what is no dice, or too many."""

    def roll(notation: str) -> int | None:
        try:
            return dice.throw(dice.parse(notation), rng).total
        except TableError:
            return None

    return roll


def _seed(record: SceneRecord, persona: Persona) -> str:
    return f"{record.id}/{persona.slug}"
