"""Who knows what: whoever was not there when something happened does not know of it. Pure.

A persona knows what happened while it was in the scene's cast, and what it said itself. Of what has an
audience (a whisper, and the answer to it) only those know who are named there. The narrator knows everything.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bot.store.records import Entry, Stay


def knows(persona: str, narrator: bool, entry: Entry, stays: Sequence[Stay]) -> bool:
    """Tell whether a persona knows of an entry. `stays` are those of the entry's scene, of all its cast."""
    if narrator or entry.persona == persona:
        return True
    if entry.audience is not None:
        return persona in audience_of(entry)
    return any(stay.persona == persona and covers(stay, entry.seq) for stay in stays)


def visible(
    entries: Iterable[Entry],
    persona: str,
    narrator: bool,
    stays: Sequence[Stay],
) -> list[Entry]:
    """Give those of a scene's entries that a persona knows of, in their order."""
    if narrator:
        return list(entries)
    own = [stay for stay in stays if stay.persona == persona]
    # Most of a window was said in public during one stay; to ask `knows` for each entry takes a millisecond.
    latest = own[-1] if own else None
    first = latest.first_seq if latest else inf
    last = inf if latest is None or latest.last_seq is None else latest.last_seq
    return [
        entry
        for entry in entries
        if (entry.audience is None and first <= entry.seq <= last) or knows(persona, narrator, entry, own)
    ]


def covers(stay: Stay, seq: int) -> bool:
    """Tell whether a place in the log lies within a stay."""
    return stay.first_seq <= seq and (stay.last_seq is None or seq <= stay.last_seq)


def audience_of(entry: Entry) -> frozenset[str]:
    """Give who alone may know of an entry: slugs, and `@` with a member's id; nobody named stands for all."""
    return frozenset(filter(None, (entry.audience or "").split(",")))


def audience(*names: str) -> str:
    """Write an audience as entries have it."""
    return ",".join(dict.fromkeys(names))


def member(member_id: int) -> str:
    """Write a member of Discord as audiences name them."""
    return f"@{member_id}"
