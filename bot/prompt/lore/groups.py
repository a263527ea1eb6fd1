"""Inclusion groups: of the entries of one group that are awake, one is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from bot.prompt.lore.matching import Playable
from bot.prompt.lore.model import Logic

Found = Callable[[Playable], tuple[int, int]]
"""How many of an entry's primary and of its secondary keys were said."""


def losers(
    awake: Sequence[Playable],
    taken: frozenset[str],
    sticky: Callable[[Playable], bool],
    found: Found,
    rng: Random,
) -> set[Playable]:
    """Give those of `awake` that another of their group keeps from being told.

    `taken` are groups of which an entry is told already. What is sticky stays, and its group is decided.
    Else, where an entry asks for scoring, those with fewer keys said drop out; an entry with `group_override`
    wins, the highest order first; else the weights are drawn. An entry of several groups must win in each.
    """
    out: set[Playable] = set()
    for name in dict.fromkeys(group for one in awake for group in one.entry.groups):
        group = [one for one in awake if name in one.entry.groups and one not in out]
        winners = _winners(group, name in taken, sticky, found, rng)
        out.update(one for one in group if one not in winners)
    return out


def _winners(
    group: Sequence[Playable], taken: bool, sticky: Callable[[Playable], bool], found: Found, rng: Random
) -> list[Playable]:
    if staying := [one for one in group if sticky(one)]:
        return staying
    if taken:
        return []
    best = max((_score(one, found) for one in group), default=0)
    left = [one for one in group if not one.entry.group_scoring or _score(one, found) == best]
    if len(left) < 2:
        return left
    overriding = [one for one in left if one.entry.group_override]
    if overriding:
        return [max(overriding, key=lambda one: (one.entry.order, -one.place))]
    return [_drawn(left, rng)]


def _drawn(group: Sequence[Playable], rng: Random) -> Playable:
    weights = [max(one.entry.group_weight, 0) for one in group]
    roll = rng.random() * sum(weights)
    for one, weight in zip(group, weights, strict=True):
        roll -= weight
        if roll < 0:
            return one
    return group[-1]


def _score(one: Playable, found: Found) -> int:
    """Give SillyTavern's score: only secondary keys that must be said add to it."""
    primary, secondary = found(one)
    if not primary or not one.secondary:
        return primary
    if one.entry.logic is Logic.AND_ANY:
        return primary + secondary
    if one.entry.logic is Logic.AND_ALL and secondary == len(one.secondary):
        return primary + secondary
    return primary
