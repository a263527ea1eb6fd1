"""What is searched for: the words of a text that say something, names among them."""

from __future__ import annotations

import re
import unicodedata

MOST_CHARACTERS = 4000
"""Of a text that is searched with."""
MOST_WORDS = 32

_WORD = re.compile(r"[^\W_]+")
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


def words(text: str) -> list[str]:
    """Give the words to search for, in the order in which they first come, at most `MOST_WORDS`.

    Stop words are left out unless they stand there as names do, with a capital within a sentence ("we asked
    Will"). A text that has nothing else is searched for as it is. They are letters and digits alone.
    """
    text = unicodedata.normalize("NFKC", text[:MOST_CHARACTERS])
    found = [(match.group(), _is_name(text, match)) for match in _WORD.finditer(text)]
    telling = [word for word, name in found if name or word.lower() not in _STOP]
    chosen = telling or [word for word, _ in found]
    return list(dict.fromkeys(word.lower() for word in chosen))[:MOST_WORDS]


def names(text: str) -> list[str]:
    """Give the words that stand as names do, with a capital within a sentence."""
    text = unicodedata.normalize("NFKC", text[:MOST_CHARACTERS])
    found = (match.group() for match in _WORD.finditer(text) if _is_name(text, match))
    return list(dict.fromkeys(found))


def _is_name(text: str, match: re.Match[str]) -> bool:
    """Tell whether a word has a capital that it does not owe to the beginning of a sentence."""
    word = match.group()
    before = text[: match.start()].rstrip(" \t")
    return len(word) > 1 and word[0].isupper() and bool(before) and before[-1] not in _SENTENCE_END
