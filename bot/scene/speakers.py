"""Who answers what a player said. Pure: text, cast and dice in, slugs out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from bot.store.records import Mode

if TYPE_CHECKING:
    from collections.abc import Sequence

# Words of a name that do not call anybody by themselves.
_TITLES = frozenset(
    {"the", "and", "von", "van", "der", "old", "sir", "lord", "lady", "sister", "brother", "saint"}
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A member of the cast who may answer: its slug, all its names, how gladly it talks (0 to 1)."""

    slug: str
    names: tuple[str, ...]
    talkativeness: float = 0.5


def who_answers(
    text: str,
    cast: Sequence[Candidate],
    mode: Mode,
    rng: Random,
    *,
    addressed: str | None = None,
    draw: bool = True,
) -> list[str]:
    """Give the slugs of those who answer `text`, in their order.

    `addressed` is the one that the player meant without naming it: by replying to its message, or by
    mentioning the bot. Whoever is addressed or named answers alone; only where nobody is, talkativeness
    decides, unless `draw` is false. The modes and the draw are those of SillyTavern's group chats.
    """
    known = {candidate.slug for candidate in cast}
    meant = [addressed] if addressed in known else []
    match mode:
        case Mode.MANUAL:
            return meant
        case Mode.LIST:
            return [candidate.slug for candidate in cast]
        case Mode.MENTION_ONLY:
            return _unique(meant + named_in(text, cast))
        case Mode.NATURAL:
            return _unique(meant + named_in(text, cast)) or (_drawn(cast, rng) if draw else [])


def named_in(text: str, cast: Sequence[Candidate]) -> list[str]:
    """Give the slugs of those who are named in `text` as whole words, in the order of the text."""
    first: dict[str, int] = {}
    for candidate in cast:
        found = [match.start() for name in _callable_names(candidate) if (match := _whole_word(name, text))]
        if found:
            first[candidate.slug] = min(found)
    return sorted(first, key=first.__getitem__)


def _callable_names(candidate: Candidate) -> set[str]:
    """Give full names, aliases, and the telling words of them: 'Hale' calls Corvin, 'the' calls nobody."""
    words = {word for name in candidate.names for word in name.split()}
    return {*candidate.names, *(word for word in words if len(word) > 2 and word.lower() not in _TITLES)}


def _whole_word(name: str, text: str) -> re.Match[str] | None:
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text, re.IGNORECASE)


def _drawn(cast: Sequence[Candidate], rng: Random) -> list[str]:
    willing = [candidate for candidate in cast if candidate.talkativeness > 0]
    rng.shuffle(willing)
    drawn = [candidate.slug for candidate in willing if candidate.talkativeness >= rng.random()]
    return drawn or [candidate.slug for candidate in willing[:1]]


def _unique(slugs: list[str]) -> list[str]:
    return list(dict.fromkeys(slugs))
