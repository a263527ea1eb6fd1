"""What is searched for: the words of a text that say something, names among them."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from bot.memory import runs
from bot.store.spaceless import KANA, RUN

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

MOST_CHARACTERS = 4000
"""Of a text that is searched with."""
MOST_WORDS = 32
MOST_TERMS = 64
"""What is searched for, where it takes several to make a word."""

# SQLite takes the last few for no letters, and would look for a word that has them in two pieces.
_WORD = re.compile(r"[^\W_\u19b0-\u19c9\u1cf2\u1cf3]+")
_SENTENCE_END = frozenset(".!?:\n\"'*\N{LEFT DOUBLE QUOTATION MARK}\N{RIGHT DOUBLE QUOTATION MARK}")
_STOP = frozenset(
    """
    a about above after again all also am an and any are as at be because been before being below between
    both but by can could d did do does doing don down during each few for from further had has have having
    he her here hers herself him himself his how i if in into is it its itself just ll m me might more most
    must my myself no nor not now o of off on once only or other our ours out over own re s same shall she
    should so some such t than that the their theirs them themselves then there these they this those through
    to too under until up us ve very was we were what when where which while who whom why will with would yes
    you your yours yourself
    """.split()  # noqa: SIM905  # 130 quoted words are hard to read
)


def words(text: str) -> dict[str, float]:
    """Give what to search for, in the order in which it first comes: words, at most `MOST_WORDS`.

    With each stands how much of a word it is: 1, or a share of it where there are no spaces to tell words by
    and pairs of characters are searched for (`bot/memory/runs.py`).

    Stop words are left out unless they stand there as names do, with a capital within a sentence ("we asked
    Will"). A text that has nothing else is searched for as it is. They are letters and digits alone.
    """
    text = unicodedata.normalize("NFKC", text[:MOST_CHARACTERS])
    found = [*_found(text)]
    chosen = _bounded(_telling(text, found)) or _bounded(_everything(found))
    some = any(share > runs.LITTLE for share in chosen.values())
    return chosen if some else dict.fromkeys(chosen, runs.ALONE)


def is_named(name: str, words: Collection[str]) -> bool:
    """Tell whether a word of a name is among what is searched for."""
    name = unicodedata.normalize("NFKC", name)
    parts = (dict(_terms(match, chinese=False)) for match in _found(name))
    return any(part and all(term in words for term in part) for part in parts)


def _found(text: str) -> Iterator[re.Match[str]]:
    """Give words, and runs of letters that have no spaces between theirs, in their order."""
    before = 0
    for run in RUN.finditer(text):
        yield from _WORD.finditer(text, before, run.start())
        yield run
        before = run.end()
    yield from _WORD.finditer(text, before)


def _telling(text: str, found: Sequence[re.Match[str]]) -> Iterator[tuple[str, float]]:
    chinese = not KANA.search(text)
    for match in found:
        if match.re is RUN or match.group().lower() not in _STOP or _is_name(text, match):
            yield from _terms(match, chinese=chinese)


def _everything(found: Sequence[re.Match[str]]) -> Iterator[tuple[str, float]]:
    for match in found:
        yield from _terms(match, chinese=False)


def _terms(match: re.Match[str], *, chinese: bool) -> Iterator[tuple[str, float]]:
    if match.re is RUN:
        yield from runs.terms(match.group(), chinese=chinese)
    else:
        yield match.group().lower(), 1.0


def _bounded(terms: Iterator[tuple[str, float]]) -> dict[str, float]:
    """Give as many terms as the bounds allow, each once; those that are little of a word come last."""
    shares: dict[str, float] = {}
    for term, share in terms:
        shares[term] = max(share, shares.get(term, 0.0))
    chosen: dict[str, float] = {}
    room = float(MOST_WORDS)
    for term, share in sorted(shares.items(), key=lambda one: one[1] <= runs.LITTLE):
        if room < share or len(chosen) == MOST_TERMS:
            break
        chosen[term] = share
        room -= share
    return chosen


def _is_name(text: str, match: re.Match[str]) -> bool:
    """Tell whether a word has a capital that it does not owe to the beginning of a sentence."""
    word = match.group()
    before = text[: match.start()].rstrip(" \t")
    return len(word) > 1 and word[0].isupper() and bool(before) and before[-1] not in _SENTENCE_END
