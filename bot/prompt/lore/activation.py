"""Which entries are told before an answer: SillyTavern's checks in SillyTavern's order, for a log that grows.

Sources: SillyTavern's World Info documentation (https://docs.sillytavern.app/usage/core-concepts/worldinfo/)
and Character Card V3. Two things are different, because here nothing that was told moves or goes away until
the window is cut: an entry that is in the window is awake without being told again, and all messages since
the last answer are scanned, even if they are more than the scan depth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from bot.prompt.lore import timing
from bot.prompt.lore.groups import losers
from bot.prompt.lore.matching import Buffer, Key, Lore, Playable, Reading
from bot.prompt.lore.model import UNDECORATED, Logic, Position, Ref
from bot.prompt.lore.text import scanned, told
from bot.prompt.lore.verdict import Check, Fired, Outcome, Verdict

BUDGET_SHARE = 4
"""Lore that is awake takes at most a quarter of the context, as in SillyTavern."""
MOST_STEPS = 32
"""Rounds of recursion. A circle ends by itself, since no entry is told twice at once; a chain ends here."""

# What stopped an entry that may wake after all when more is told.
_WAITING = frozenset({Check.WAITS, Check.SECONDARY, Check.DECORATED})
_TOLD_ORDER = (
    Position.BEFORE_CHARACTER,
    Position.AFTER_CHARACTER,
    Position.EXAMPLES_TOP,
    Position.EXAMPLES_BOTTOM,
    Position.NOTE_TOP,
    Position.NOTE_BOTTOM,
    Position.AT_DEPTH,
)


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What an activation depends on.

    `messages` are the latest of the story, oldest first, each with its speaker's name in front; `fresh` of
    them came since the last answer was begun. `count` and `answers` count all messages of the story, and
    those of the cast. `names` and `tags` are those of the character that will answer, as `text.folded` gives
    them. `head` are the entries that stand in the prompt's head, `window` those that were told and are still
    in the window, with the place in the log where each stands. `fired` says at which count an entry was told
    last. `budget` is in tokens as `tokens` counts them. `fill` replaces the macros in a text from the book of
    that id.
    """

    messages: Sequence[str]
    fresh: int
    budget: int
    tokens: Callable[[str], int]
    rng: Random
    count: int = 0
    answers: int = 0
    names: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    greeting: int | None = None
    head: frozenset[Ref] = frozenset()
    window: Mapping[Ref, int] = field(default_factory=dict)
    fired: Mapping[Ref, int] = field(default_factory=dict)
    fill: Callable[[str, str], str] = lambda text, _book: text


def activate(lore: Lore, now: Circumstances) -> Outcome:
    """Decide which entries are told now."""
    return _Activation(lore, now).run()


def standing(
    lore: Lore, budget: int, tokens: Callable[[str], int], fill: Callable[[str, str], str]
) -> list[Fired]:
    """Give the entries that are always on and never change, as far as `budget` tokens go.

    The first to be told is the first in the list; where there is no room, the lowest order is left out.
    """
    chosen: list[tuple[Playable, str]] = []
    for one in sorted((one for one in lore.keyless if one.entry.standing), key=_rank):
        text = told(fill(one.entry.content, one.book.id))
        cost = tokens(text)
        if text and cost <= budget:
            budget -= cost
            chosen.append((one, text))
    chosen.sort(key=lambda pair: _place(pair[0]))
    return [Fired(one.ref, one.entry.label, text, "it is always on", 0) for one, text in chosen]


class _Activation:
    """One run through the checks."""

    def __init__(self, lore: Lore, now: Circumstances) -> None:
        self._lore = lore
        self._now = now
        self._buffer = Buffer(lore, now.messages, now.fresh)
        self._verdicts: dict[Ref, Verdict] = {}
        self._told: list[tuple[Playable, Fired]] = []
        self._filled: dict[Ref, str] = {}  # once: a macro may draw something else the next time
        self._groups: set[str] = set()  # of which an entry is awake
        self._left = now.budget
        self._left_in: dict[str, int] = {}  # by book, where a book has a budget of its own
        self._overflowed = False

    def run(self) -> Outcome:
        levels = list(self._lore.levels)
        level = levels.pop(0) if levels else 0
        recursing = False
        candidates = self._candidates()
        for _ in range(MOST_STEPS):
            awake = self._step(candidates, level if recursing else None)
            heard = [self._lore.read(text) for one in awake if (text := self._tells(one))]
            candidates = self._again(heard)
            if heard and not self._overflowed:
                self._buffer.tell(heard)
            elif levels:
                level = levels.pop(0)
            else:
                break
            recursing = True
        self._told.sort(key=lambda pair: _place(pair[0]))
        verdicts = sorted(self._verdicts.values(), key=lambda verdict: _rank(verdict.one))
        return Outcome(tuple(fired for _, fired in self._told), tuple(verdicts))

    def _step(self, candidates: Iterable[Playable], level: int | None) -> list[Playable]:
        """Judge everything that may wake, and give what did. `level` is that of a recursion, None before."""
        awake = []
        for one in sorted(candidates, key=_rank):
            known = self._verdicts.get(one.ref)
            if known and (known.awake or known.check in {Check.CHANCE, Check.GROUP, Check.EMPTY}):
                continue
            verdict = self._judged(one, level)
            self._verdicts[one.ref] = verdict
            if verdict.awake:
                awake.append(one)
        # What is there takes its room whether others come or not.
        awake.sort(key=lambda one: (not self._is_there(one), not self._is_sticky(one)))
        out = losers(awake, frozenset(self._groups), self._is_sticky, self._found, self._now.rng)
        for one in out:
            self._stop(one, Check.GROUP, ", ".join(one.entry.groups))
        return [one for one in awake if one not in out and self._take(one)]

    def _candidates(self) -> set[Playable]:
        """Give what a key may have woken, and what needs none."""
        woken = self._lore.woken_by(self._buffer.messages)
        woken.update(self._lore.keyless, self._lore.searching)
        woken.update(self._lore.by_ref[ref] for ref in self._now.fired if ref in self._lore.by_ref)
        return woken

    def _again(self, heard: Iterable[Reading]) -> set[Playable]:
        """Give what may wake now that this is told: what it speaks of, and what waited for more."""
        woken = self._lore.woken_by(heard)
        woken.update(self._lore.searching)
        woken.update(known.one for known in self._verdicts.values() if known.check in _WAITING)
        return woken

    # -- the checks, in their order -----------------------------------------------------------------------

    def _judged(self, one: Playable, level: int | None) -> Verdict:
        if stopped := self._stopped(one, level):
            return stopped
        entry = one.entry
        kept = entry.decorators.keep_after_match and one.ref in self._now.fired
        reasons = (
            (entry.decorators.activate, "@@activate"),
            (kept, "it was told once (@@keep_activate_after_match)"),
            (entry.constant, "it is always on"),
            (self._is_sticky(one), f"it stays on for {entry.sticky} messages (sticky)"),
        )
        because = next((because for holds, because in reasons if holds), None)
        return Verdict(one, Check.AWAKE, because) if because else self._by_keys(one)

    def _stopped(self, one: Playable, level: int | None) -> Verdict | None:
        """Tell what keeps an entry from waking, whatever was said."""
        entry, count = one.entry, self._now.count
        awake = self._is_sticky(one)
        cooling = timing.is_cooling(entry, self._now.fired.get(one.ref), count)
        undecorated = self._undecorated(one)
        checks = (
            (Check.DISABLED, not entry.enabled, ""),
            (Check.FILTERED, self._is_filtered(one), ""),
            (Check.DELAYED, timing.is_delayed(entry, count), f"{count} of {entry.delay} messages"),
            (Check.COOLING, cooling and not awake, ""),
            (Check.WAITS, (level or 0) < entry.delay_until_recursion and not awake, ""),
            (Check.NOT_RECURSED, level is not None and entry.exclude_recursion and not awake, ""),
            (Check.DECORATED, bool(undecorated), undecorated),
        )
        return next((Verdict(one, check, because) for check, holds, because in checks if holds), None)

    def _by_keys(self, one: Playable) -> Verdict:
        found = next((key for key in one.primary if self._buffer.has(key, one)), None)
        if found is None:
            return Verdict(one, Check.NO_KEY)
        if one.required and not any(self._buffer.has(key, one) for key in one.required):
            return Verdict(one, Check.DECORATED, "@@additional_keys")
        if any(self._buffer.has(key, one) for key in one.excluded):
            return Verdict(one, Check.DECORATED, "@@exclude_keys")
        because = f"“{found.written}” was said"
        if one.secondary:
            said = [self._buffer.has(key, one) for key in one.secondary]
            if not _fulfils(one.entry.logic, said):
                return Verdict(one, Check.SECONDARY, f"{because}, but: {_rule(one.entry.logic)}")
        return Verdict(one, Check.AWAKE, because)

    def _undecorated(self, one: Playable) -> str:
        """Give the decorator that keeps an entry from waking; empty where none does."""
        asked, answers, greeted = one.entry.decorators, self._now.answers, self._now.greeting
        if asked is UNDECORATED:  # as nearly all are
            return ""
        so_far = f": {answers} answers so far"
        again = one.ref in self._now.fired and one.ref not in self._now.window
        greeting = None not in {asked.greeting, greeted} and asked.greeting != greeted
        checks = (
            (asked.dont_activate, "@@dont_activate"),
            (asked.only_after > answers, f"@@activate_only_after {asked.only_after}{so_far}"),
            (answers % (asked.only_every or 1), f"@@activate_only_every {asked.only_every}{so_far}"),
            (greeting, f"@@is_greeting {asked.greeting}"),
            (asked.dont_after_match and again, "@@dont_activate_after_match"),
        )
        return next((because for holds, because in checks if holds), "")

    def _is_filtered(self, one: Playable) -> bool:
        for wanted, there in ((one.names, self._now.names), (one.tags, self._now.tags)):
            if wanted and (not wanted.isdisjoint(there)) == one.entry.filter_excludes:
                return True
        return False

    def _is_sticky(self, one: Playable) -> bool:
        return timing.is_sticky(one.entry, self._now.fired.get(one.ref), self._now.count)

    def _found(self, one: Playable) -> tuple[int, int]:
        def said(keys: Iterable[Key]) -> int:
            return sum(self._buffer.has(key, one) for key in keys)

        return said(one.primary), said(one.secondary)

    # -- chance and room ----------------------------------------------------------------------------------

    def _take(self, one: Playable) -> bool:
        """Let an awake entry be told if its chance comes up and there is room; tell whether it is."""
        because = self._verdicts[one.ref].because
        if self._is_there(one):
            check = Check.STANDS if one.ref in self._now.head else Check.IN_WINDOW
            self._pay(one, self._now.tokens(one.entry.content), check, because)
            return True
        if not self._comes_up(one):
            return False
        if self._overflowed and not one.entry.ignore_budget:
            self._stop(one, Check.BUDGET, "")
            return False
        text = told(self._content(one))
        if not text:
            self._pay(one, 0, Check.EMPTY, because)
            return bool(one.entry.content)
        cost = self._now.tokens(text)
        if not self._has_room(one, cost):
            return False
        self._pay(one, cost, Check.TOLD, because)
        since = self._now.fired[one.ref] if self._is_sticky(one) else self._now.count
        self._told.append((one, Fired(one.ref, one.entry.label, text, because, since)))
        return True

    def _comes_up(self, one: Playable) -> bool:
        chance = one.entry.chance
        if chance >= 100 or self._is_sticky(one):
            return True
        roll = self._now.rng.random() * 100
        if roll < chance:
            return True
        self._stop(one, Check.CHANCE, f"{chance:g} %, rolled {roll:.0f}")
        return False

    def _has_room(self, one: Playable, cost: int) -> bool:
        in_book = self._left_in.get(one.book.id, one.book.token_budget)
        if in_book is not None and cost > in_book:
            self._stop(one, Check.BUDGET, f"{cost} tokens, {in_book} left in its book")
            return False
        if one.entry.ignore_budget:
            return True
        if cost > self._left:
            self._stop(one, Check.BUDGET, f"{cost} tokens, {max(self._left, 0)} left")
            self._overflowed = True
            return False
        return True

    def _pay(self, one: Playable, cost: int, check: Check, because: str) -> None:
        self._left -= cost
        if one.book.token_budget is not None:
            self._left_in[one.book.id] = self._left_in.get(one.book.id, one.book.token_budget) - cost
        self._groups.update(one.entry.groups)
        self._stop(one, check, because)

    def _is_there(self, one: Playable) -> bool:
        """Tell whether it is in the prompt and holds: of its group nothing was told after it."""
        if one.ref in self._now.head:
            return True
        place = self._now.window.get(one.ref)
        if place is None:
            return False
        mates = (mate for name in one.entry.groups for mate in self._lore.groups[name])
        return all(self._now.window.get(mate.ref, -1) <= place for mate in mates)

    def _stop(self, one: Playable, check: Check, because: str) -> None:
        self._verdicts[one.ref] = Verdict(one, check, because)

    def _tells(self, one: Playable) -> str:
        """Give what an entry says to others, if it may."""
        if one.entry.prevent_recursion:
            return ""
        return scanned(self._content(one)).strip()

    def _content(self, one: Playable) -> str:
        if one.ref not in self._filled:
            self._filled[one.ref] = self._now.fill(one.entry.content, one.book.id)
        return self._filled[one.ref]


def _rank(one: Playable) -> tuple[bool, bool, int, int, int]:
    """Order what wants to be told: who comes first gets the room."""
    entry = one.entry
    weight = entry.order if entry.priority is None else entry.priority
    return entry.decorators.ignore_on_max_context, not entry.constant, -weight, -entry.order, one.place


def _place(one: Playable) -> tuple[int, int, int, int]:
    """Order what is told: what a front end would put further up comes first."""
    entry = one.entry
    depth = entry.depth if entry.position is Position.AT_DEPTH else 0
    return _TOLD_ORDER.index(entry.position), -depth, entry.order, one.place


def _fulfils(logic: Logic, said: Sequence[bool]) -> bool:
    match logic:
        case Logic.AND_ANY:
            return any(said)
        case Logic.NOT_ALL:
            return not all(said)
        case Logic.NOT_ANY:
            return not any(said)
        case Logic.AND_ALL:
            return all(said)


def _rule(logic: Logic) -> str:
    return {
        Logic.AND_ANY: "one of the secondary keys must be said too",
        Logic.NOT_ALL: "not all of the secondary keys may be said",
        Logic.NOT_ANY: "none of the secondary keys may be said",
        Logic.AND_ALL: "all of the secondary keys must be said too",
    }[logic]
