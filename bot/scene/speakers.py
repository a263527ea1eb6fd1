"""Who answers what a player said. Pure: text, cast and dice in, slugs out."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import TYPE_CHECKING

from bot.store.records import Mode

if TYPE_CHECKING:
    from collections.abc import Sequence

# Words of a name that do not call anybody by themselves.
_TITLES = frozenset(
    {"the", "and", "von", "van", "der", "del", "old", "sir", "lord", "lady", "mrs", "miss"}
    | {"sister", "brother", "saint", "with", "from", "for"}
)
# Scripts whose words are not set apart by spaces, or take endings without one: Thai and Lao, Japanese,
# Chinese, Korean.
_UNSPACED = re.compile("[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")

NEVER = r"(?!)"
"""A pattern that finds nothing."""


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
    """Give the slugs of those who are named in `text` as whole words, in the order of the text.

    The longest name counts: where Corvin Hale and Marta Hale sit together, "Corvin Hale" calls him alone,
    "Hale" both of them.
    """
    any_name, called_by = _calls(tuple(cast))
    return _unique([slug for match in any_name.finditer(_plain(text)) for slug in called_by[match[0]]])


@lru_cache(maxsize=256)  # a cast stays, and every message asks
def _calls(cast: tuple[Candidate, ...]) -> tuple[re.Pattern[str], dict[str, list[str]]]:
    """Give a pattern that finds every name of a cast, and the slugs that each of them calls."""
    called_by: dict[str, list[str]] = {}
    for candidate in cast:
        for name in _callable_names(candidate):
            called_by.setdefault(name, []).append(candidate.slug)
    longest_first = sorted(called_by, key=len, reverse=True)
    return re.compile("|".join(map(_whole_word, longest_first)) or NEVER), called_by


def _callable_names(candidate: Candidate) -> set[str]:
    """Give full names, aliases, and the telling words of them: 'Hale' calls Corvin, 'the' calls nobody."""
    names = {_plain(name) for name in candidate.names}
    words = {re.sub(r"^\W+|\W+$", "", word) for name in names for word in name.split()}
    return (names | {word for word in words if len(word) > 2 and word not in _TITLES}) - {""}


def _plain(text: str) -> str:
    """Write names and what is said alike: no case, composed letters, single spaces, straight apostrophes."""
    composed = unicodedata.normalize("NFC", text.casefold())
    return " ".join(composed.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").split())


def _whole_word(name: str) -> str:
    before = "" if _UNSPACED.match(name[0]) else r"(?<!\w)"
    after = "" if _UNSPACED.match(name[-1]) else r"(?!\w)"
    return before + re.escape(name) + after


def _drawn(cast: Sequence[Candidate], rng: Random) -> list[str]:
    willing = [candidate for candidate in cast if candidate.talkativeness > 0]
    rng.shuffle(willing)
    drawn = [candidate.slug for candidate in willing if candidate.talkativeness >= rng.random()]
    return drawn or [candidate.slug for candidate in willing[:1]]


def _unique(slugs: list[str]) -> list[str]:
    return list(dict.fromkeys(slugs))
