"""Keeping secrets: finding in an answer what repeats one, before any of it is shown. Pure.

Compared are content words: without case, accents, endings, markup, what is invisible, and the little words
that every sentence has. An answer repeats a secret

- of six content words or more, if it has six of them in a row as the secret has them, or 65 % of the
  secret's triples of neighbouring words, close together (another word may stand in each triple);
- of any number, if it has them side by side in any order, with one other word for every three of them; of
  every six content words one may be missing. Scripts without spaces, where each letter is a word, are not
  compared in this way if they are longer than five letters.

Each longer sentence of a secret is a secret, too.

This is a net for slips, word for word or nearly so. It does not catch what is said in quite other words, in
another language, or a little in each of many answers.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter, defaultdict, deque
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

RUN = 6
"""Content words in a row that give a secret away. Shorter runs are common: "the old keeper of the light"."""
SHARE = 0.65
"""The share of a secret's triples that give it away, however they are mixed with other words."""
NEAR = 3
"""How close together: within three times as many content words as the secret has."""
CHANGED = 6
"""Of so many content words one may be another: who slips seldom hits every word."""

_UNSPACED = "\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff"  # Thai, Lao, Japanese, Chinese: a word for each letter
# Unicode's Default_Ignorable_Code_Point: nobody sees them.
_INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
# Accents and points that stand behind the letter they belong to.
_MARKS = "\u0300-\u036f\u0483-\u0489\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed"
# Markup begins and ends within words, too: poi**son**ed. An underscore does not, it stands there for itself.
_WITHIN = rf"['\u2019{_INVISIBLE}{_MARKS}*`]|~~|\|\|"
_LETTER = rf"[^\W_{_UNSPACED}]"
_WORD = re.compile(rf"[{_UNSPACED}]|{_LETTER}(?:{_LETTER}|{_WITHIN})*")
_UNSEEN = re.compile(f"[{_INVISIBLE}]")
_ENDINGS = (("ing", 6), ("ed", 5), ("es", 5), ("s", 4))  # and how long a word must be to lose it
_LITTLE = frozenset(
    re.findall(
        r"\w+",
        """a an the of to in on at by for with from into onto and or but nor so as than then if when while
        is are was were be been being am has have had do does did will would can could may might shall should
        it its this that these those there here he she they him her his hers their them i you we me my your
        our us must who whom whose which what very just quite also too really only own one""",
    )
)
_SENTENCES = re.compile(r"[.!?;\n\u3002\uff01\uff1f]+")
LEAST_SENTENCE = 4
"""Content words of a sentence that is watched for alone: "It rains." is no secret."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What was found in an answer so far.

    `safe` is the number of its first characters that may be shown. `secret` is the place of the secret that
    it repeats, None if it repeats none yet.
    """

    safe: int
    secret: int | None = None


class Watch:
    """Watches over one answer while it is written, in a scene that has these secrets."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._long: defaultdict[_Triple, list[_Long]] = defaultdict(list)
        self._bags: defaultdict[str, list[_Bag]] = defaultdict(list)
        self._read = ""
        self._reset()
        for place, text in enumerate(secrets):
            for words in _watched(text):
                self._know(place, words)
        self._in_long = {word for triple in self._long for word in triple}

    def look(self, text: str, *, whole: bool = False) -> Sight:
        """Look at the answer so far, or at the `whole` of it. What was looked at before is not read again."""
        end = len(text) if whole else _end_of_whole_words(text)
        if not text[:end].startswith(self._read):
            self._reset()
        for word in _content(text[:end], len(self._read)):
            self._words.append(word)
            self._check()
        self._read = text[:end]
        if self._leak:
            first, secret = self._leak
            return Sight(self._words[first].start, secret)
        held = None if whole else min(self._held(), default=None)
        return Sight(end if held is None else self._words[held].start)

    def _know(self, place: int, words: Sequence[str]) -> None:
        if len(words) < 2:  # it may be said of anything
            return
        if len(words) < RUN or not _is_unspaced(words):
            bag = _Bag(
                place, Counter(words), len(words) - len(words) // CHANGED, len(words) + len(words) // 3
            )
            for word in bag.words:
                self._bags[word].append(bag)
        if len(words) < RUN:
            return
        triples = set(zip(words, words[1:], words[2:], strict=False))
        long = _Long(place, math.ceil(SHARE * len(triples)), NEAR * len(words))
        for triple in triples:
            self._long[triple].append(long)

    def _reset(self) -> None:
        self._read = ""
        self._words: list[_Word] = []
        self._hits: defaultdict[_Long, dict[int, set[_Triple]]] = defaultdict(dict)
        self._taken: dict[_Bag, list[int]] = {}  # where the latest words of a bag stand
        self._leak: tuple[int, int] | None = None

    def _check(self) -> None:
        """Look at the latest word, and at what it makes of those before it."""
        if self._leak:
            return
        last = len(self._words) - 1
        for bag in self._bags.get(self._words[last].text, ()):
            places = [*self._near(bag), last]
            self._taken[bag] = places
            if self._known(bag, places) >= bag.needed:
                self._leak = places[0], bag.secret
        for first, second in combinations(range(max(last - 3, 0), last), 2):
            triple = self._words[first].text, self._words[second].text, self._words[last].text
            for long in self._long.get(triple, ()):
                self._hit(long, first, triple)

    def _hit(self, long: _Long, place: int, triple: _Triple) -> None:
        hits = {one: known for one, known in self._hits[long].items() if place - one < long.near}
        hits[place] = {triple, *hits.get(place, ())}
        self._hits[long] = hits
        in_a_row = all(before in hits for before in range(place - RUN + 3, place))
        if in_a_row or len(set().union(*hits.values())) >= long.needed:
            self._leak = min(hits), long.secret

    def _near(self, bag: _Bag) -> list[int]:
        """Give where words of a bag stand that a next word may complete."""
        first = len(self._words) - bag.width
        return [place for place in self._taken.get(bag, ()) if place >= first]

    def _known(self, bag: _Bag, places: Iterable[int]) -> int:
        """Count the words of a bag that stand in these places, each as often as the secret has it."""
        return (bag.words & Counter(self._words[place].text for place in places)).total()

    def _held(self) -> Iterator[int]:
        """Give the words from which on a secret may yet come to be repeated."""
        count = len(self._words)
        for long, hits in self._hits.items():
            yield from (place for place in hits if count - place < long.near)
        for place in range(max(count - 3, 0), count):
            if self._words[place].text in self._in_long:
                yield place
        for bag in self._taken:
            places = [place for place in self._near(bag) if count - place < bag.width]
            if places and self._known(bag, places) >= bag.suspicious:
                yield places[0]


@dataclass(frozen=True, slots=True)
class _Word:
    text: str
    start: int


@dataclass(frozen=True, slots=True, eq=False)
class _Bag:
    """The content words of a secret: `needed` of them among `width` neighbours give it away."""

    secret: int
    words: Counter[str]
    needed: int
    width: int

    @property
    def suspicious(self) -> int:
        """How many of them are held back until it is clear whether more follow; if it has few words, any."""
        return 1 if self.words.total() < RUN else -(-self.needed // 2)


@dataclass(frozen=True, slots=True, eq=False)
class _Long:
    """A secret of six content words or more: `needed` of its triples `near` each other give it away."""

    secret: int
    needed: int
    near: int


_Triple = tuple[str, str, str]


def is_watchable(text: str) -> bool:
    """Tell whether a secret is watched for: a single word is not, it may be said of anything."""
    return len(_content(text)) > 1


@lru_cache(maxsize=256)  # every answer of a scene asks
def _watched(text: str) -> list[list[str]]:
    """Give what to watch for: the words of the secret as a whole, and of its longer sentences."""
    whole = [word.text for word in _content(text)]
    parts = [[word.text for word in _content(part)] for part in _SENTENCES.split(text)]
    return [whole, *(part for part in parts if LEAST_SENTENCE <= len(part) < len(whole))]


def _is_unspaced(words: Sequence[str]) -> bool:
    """Tell whether most words are single letters: in any order they make half of the language."""
    return 2 * sum(len(word) == 1 for word in words) > len(words)


def _content(text: str, start: int = 0) -> list[_Word]:
    words = (_Word(_folded(match[0]), match.start()) for match in _WORD.finditer(text, start))
    return [word for word in words if word.text and word.text not in _LITTLE]


def _folded(word: str) -> str:
    """Give a word without case, accents, markup, invisible characters and its ending."""
    plain = unicodedata.normalize("NFKD", _UNSEEN.sub("", word).casefold().replace("\u2019", "'"))
    plain = "".join(letter for letter in plain if letter.isalnum() or letter == "'").strip("'")
    plain = plain.removesuffix("'s").replace("'", "")
    if plain in _LITTLE:
        return plain
    for ending, length in _ENDINGS:
        if len(plain) >= length and plain.endswith(ending) and not plain.endswith("ss"):
            return plain.removesuffix(ending)
    return plain


def _end_of_whole_words(text: str) -> int:
    """Give where the last word begins that is still being written; the text's length if none is."""
    last = deque(_WORD.finditer(text, text.rfind(" ") + 1), maxlen=1)
    if not last or last[0].end() < len(text) or re.match(f"[{_UNSPACED}]", last[0][0]):
        return len(text)
    return last[0].start()
