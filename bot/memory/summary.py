"""The running summary: how long it is, for whom it is made, what of it is shown, what is folded. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from bot.memory.summary_text import TOO_LONG

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from bot.store.records import Entry, Stay
    from bot.store.summaries import Summary
PIECES = 4
"""The story shown holds this many summaries of full length; one more, and the oldest are folded."""
SHORTEST, LONGEST = 64, 600
"""Tokens of one summary at most: less says nothing, and in more than some 450 words models get lost."""
LEAST_READ = 256
"""Tokens of the log below which a context is too small to have a model sum anything up."""
ASKING = 600
"""Tokens that the request takes beside the log, rounded up."""
THOUGHTS = 512
"""Tokens that a model may spend on thinking before it writes."""
FOLDED = 3
"""Summaries of one level that are folded together: what is old is told anew seldom, and not in every fold."""
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long things may be, in tokens: a `summary`, all `shown` ones together, the log `read` for one.

    `read` is 0 where no model can be asked; `written` is what a request asks for at most.
    """

    summary: int
    shown: int
    read: int
    written: int


def bounds(context_length: int, shown: int) -> Bounds:
    """Share out a context of `context_length` tokens of which the story may take up `shown`."""
    one = min(max(shown // PIECES, SHORTEST), LONGEST)
    written = min(TOO_LONG * one + THOUGHTS, context_length // 4)
    read = min(context_length // 2, context_length - written - ASKING)
    return Bounds(one, max(shown, one), read if read >= LEAST_READ else 0, written)


def chunks(things: Sequence[_T], cost: Callable[[_T], int], most: int) -> list[list[_T]]:
    """Part things, in their order, into as few and as equal parts of `most` tokens as can be.

    What alone costs more is a part by itself.
    """
    costs = [cost(one) for one in things]
    total = sum(costs)
    goal = -(-total // max(-(-total // most), 1)) if total else 0
    parts: list[list[_T]] = []
    size = 0
    for one, own in zip(things, costs, strict=True):
        size += own
        if not parts or size > most or size - own >= goal:
            parts.append([])
            size = own
        parts[-1].append(one)
    return parts


# -- who is told what ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class View:
    """What of a scene's past one persona knows otherwise than everybody: `apart` are ranges of places.

    `persona` is its slug; empty stands for what was public, which is the same for all who were there.
    """

    persona: str = ""
    apart: tuple[tuple[int, int], ...] = ()

    def shares(self, first: int, last: int) -> bool:
        """Tell whether what was public from `first` to `last` is just what it knows."""
        return all(end < first or start > last for start, end in self.apart)

    def takes(self, summary: Summary) -> bool:
        """Tell whether a summary says what it knows of that range, and nothing else."""
        if summary.persona:
            return summary.persona == self.persona
        return self.shares(summary.first_seq, summary.last_seq)


PUBLIC = View()


def view_of(
    persona: str, narrator: bool, stays: Iterable[Stay], private: Iterable[Entry], before: int
) -> View:
    """Give what a persona knows otherwise of a scene's log before a place.

    `private` are the entries with an audience that it knows of. A narrator was there all the time.
    """
    apart = [(entry.seq, entry.seq) for entry in private if entry.seq < before]
    if not narrator:
        absent_from = 1
        own = [stay for stay in stays if stay.persona == persona]
        for stay in sorted(own, key=lambda stay: stay.first_seq):
            apart.append((absent_from, stay.first_seq - 1))
            absent_from = before if stay.last_seq is None else max(absent_from, stay.last_seq + 1)
        apart.append((absent_from, before - 1))
    return View(persona, tuple((first, last) for first, last in apart if first <= last))


def cover(summaries: Iterable[Summary], view: View, before: int) -> list[Summary]:
    """Give the fewest summaries that tell a view what happened before a place, oldest first, none twice."""
    usable = (one for one in summaries if not one.stale and one.last_seq < before and view.takes(one))
    shown: list[Summary] = []
    for one in sorted(usable, key=lambda one: (one.first_seq, -one.last_seq, -one.level, not one.persona)):
        if not shown or one.first_seq > shown[-1].last_seq:
            shown.append(one)
    return shown


def summed_up_to(summaries: Iterable[Summary]) -> int:
    """Give the last place up to which the log is summed up for the public, or was, before it changed."""
    return max((one.last_seq for one in summaries if not one.level and not one.persona), default=0)


def missing(summaries: Sequence[Summary], view: View) -> tuple[int, int] | None:
    """Give the oldest range that is summed up for the public, but not yet for a view that knows otherwise.

    For the public itself it is the oldest range that has to be summed up anew.
    """
    ground = [one for one in summaries if not one.level]
    done = {one.first_seq for one in ground if one.persona == view.persona and not one.stale}
    ranges = ((one.first_seq, one.last_seq) for one in ground if not one.persona)
    wanting = (r for r in ranges if r[0] not in done and not (view.persona and view.shares(*r)))
    return min(wanting, default=None)


def to_fold(shown: Sequence[tuple[Summary, int]], most: int) -> list[Summary]:
    """Give those of the shown summaries, each with its tokens, to be folded because they pass `most`.

    The newest stays as it is. Of the lowest level that has enough of them the oldest are folded, so that the
    number of times that anything is told anew grows with the logarithm of the story's length.
    """
    if sum(tokens for _, tokens in shown) <= most or len(shown) < 2:
        return []
    older = [one for one, _ in shown[:-1]] or [one for one, _ in shown]
    for level in sorted({one.level for one in older}):
        same = [one for one in older if one.level == level]
        if len(same) >= FOLDED and _adjacent(same[:FOLDED], older):
            return same[:FOLDED]
    return [one for one, _ in shown[:2]]


def _adjacent(some: Sequence[Summary], of: Sequence[Summary]) -> bool:
    first = of.index(some[0])
    return list(of[first : first + len(some)]) == list(some)
