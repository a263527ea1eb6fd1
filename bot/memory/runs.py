"""What is searched for of a run of letters without spaces: pairs of characters, and what each is worth. Pure.

Which characters make a word only a dictionary knows. The index has all pairs of neighbours, and each
character but kana alone (`bot/store/spaceless.py`); here those are chosen that are likely to be in a word.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bot.store.spaceless import HIRAGANA, KATAKANA, characters, pairs

if TYPE_CHECKING:
    from collections.abc import Iterator

LITTLE = 0.1
"""The share of a word that a pair of hiragana is beside others: particles and endings are written so, few
words are. Where it is common it counts for nothing."""
ALONE = 0.5
"""And where nothing else is searched for."""
LONGEST_WORD = 3
"""So many ideographs, or fewer, are taken for one word."""
LIKELY = 0.75
"""The share of a word that a pair is of more: every other one stands within a word, and most of those
that are found again do."""

# The long vowel's mark goes with what stands before it.
_PART = re.compile(
    f"(?P<katakana>[{KATAKANA}]+)|(?P<hiragana>[{HIRAGANA}][{HIRAGANA}\u30fc]*)|[^{HIRAGANA}{KATAKANA}]+"
)

_FUNCTION_WORDS = re.compile(
    "(?:多少|怎么|怎麼|怎样|怎樣|哪里|哪裡|那里|那裡|这里|這裡"
    "|[的了着是在我你您他她它们們这這那哪有没沒不和与與就都也还還又很把被给給吗嗎呢吧啊呀么麼什谁誰]"
    "|[个個之而但因为為所以从從说說])+"
)
"""What Chinese has where other languages have stop words. Between two of them stands a word or a few."""


def terms(run: str, *, chinese: bool) -> Iterator[tuple[str, float]]:
    """Give what to search for, each with the share of a word that it is.

    Katakana are taken for one word. `chinese` leaves function words out, which cuts the run; in Japanese
    their characters are parts of other words.
    """
    for part in _PART.finditer(run):
        if part["katakana"]:
            found = pairs(characters(part.group()))
            yield from ((pair, 1 / len(found)) for pair in found)
        elif part["hiragana"]:
            yield from ((pair, LITTLE) for pair in pairs(characters(part.group())))
        else:
            for words in _FUNCTION_WORDS.split(part.group()) if chinese else [part.group()]:
                yield from _likely(characters(words))


def _likely(single: list[str]) -> Iterator[tuple[str, float]]:
    """Give what may be words of characters of which any two neighbours may be one."""
    if len(single) == 1:
        yield single[0], 1.0
    found = pairs(single)
    for pair in found:
        yield pair, 1 / len(found) if len(single) <= LONGEST_WORD else LIKELY
