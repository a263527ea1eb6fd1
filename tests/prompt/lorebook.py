"""A small world, and what of it is told when somebody says something."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

from bot.prompt.lore.activation import Circumstances, activate
from bot.prompt.lore.matching import Lore
from bot.prompt.lore.model import Book, LoreEntry
from bot.prompt.lore.verdict import Check, Outcome


class Rolls(Random):
    """Rolls what it is told to, as shares of one."""

    def __init__(self, *rolls: float) -> None:
        super().__init__()
        self._rolls = list(rolls)

    def random(self) -> float:
        return self._rolls.pop(0)


def lore_entry(uid: str, *keys: str, content: str | None = None, **options: Any) -> LoreEntry:
    """Give an entry whose text is its own name, unless said otherwise."""
    return LoreEntry(uid=uid, keys=keys, content=f"About {uid}." if content is None else content, **options)


def book(*entries: LoreEntry, name: str = "world", **settings: Any) -> Book:
    return Book(name, name, entries, **settings)


def now(*messages: str, **changes: Any) -> Circumstances:
    """Give a table at which these messages were said last, all of them since the last answer."""
    calm = Circumstances(
        messages=messages,
        fresh=len(messages),
        budget=10_000,
        tokens=len,  # a token for each letter, so that a test can do the sum
        rng=Rolls(),
        count=len(messages),
    )
    return replace(calm, **changes)


def outcome(entries: tuple[LoreEntry, ...] | Book, *messages: str, **changes: Any) -> Outcome:
    one = entries if isinstance(entries, Book) else book(*entries)
    return activate(Lore([one]), now(*messages, **changes))


def told(*args: Any, **changes: Any) -> list[str]:
    """Give the entries that are told, in their order."""
    return [fired.ref[1] for fired in outcome(*args, **changes).fired]


def checks(result: Outcome) -> dict[str, Check]:
    """Give what became of each entry that had a say."""
    return {verdict.ref[1]: verdict.check for verdict in result.verdicts}
