"""Scripts that put no spaces between words, as the index of words reads them. Pure.

FTS5 knows words by what stands between them, and would take a whole sentence of Chinese for one. So each
character of such a script is a word of its own there, and each pair of neighbours: pairs find about as much
as words do, without a dictionary. In the scripts of South-East Asia a "character" is a letter with all the
signs that belong to it.

What `apart` gives for a text is for ever: an entry leaves the index by being told once more what it was told
when the entry came. To change it takes a migration that builds the index anew.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise

FUNCTION = "words_apart"
"""What `apart` is called in SQL. Every connection that writes entries has to know it."""

HIRAGANA = "\u3041-\u3096\u309d-\u309f"
KATAKANA = "\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff"
_IDEOGRAPHS = (
    "\u3005-\u3007\u3105-\u312f\u31a0-\u31bf\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
)
_THAI, _LAO = "\u0e01-\u0e3a\u0e40-\u0e4e", "\u0e81-\u0ebd\u0ec0-\u0ece\u0edc-\u0edf"
_MYANMAR, _KHMER = "\u1000-\u103f\u1050-\u108f", "\u1780-\u17d3\u17d7\u17dc\u17dd"
_EAST, _SOUTH_EAST = HIRAGANA + KATAKANA + _IDEOGRAPHS, _THAI + _LAO + _MYANMAR + _KHMER

RUN = re.compile(f"[{_EAST}]+|[{_SOUTH_EAST}]+")
"""Letters and signs that may be one word or several, of a text in NFKC."""
KANA = re.compile(f"[{HIRAGANA}{KATAKANA}]")
# With the sound marks that may stand apart from their kana, and all that has another width elsewhere. No text
# of another script is touched.
_FOLDED = re.compile(f"[{_EAST}{_SOUTH_EAST}\u3099\u309a\uff01-\uff9f]+")

_LEADS = "\u0e40-\u0e44\u0ec0-\u0ec4"
"""Vowels that are written before the letter that they follow in speech."""
_SIGNS = (
    "\u0e30-\u0e3a\u0e45\u0e47-\u0e4e\u0eb0-\u0ebc\u0ec8-\u0ece"
    "\u102b-\u103e\u1056-\u1059\u105e-\u1060\u1062-\u1064\u1067-\u106d\u1071-\u1074\u1082-\u108d\u108f"
    "\u17b4-\u17d3\u17dd"
)
_STACKING = "\u1039\u17d2"
"""Signs that put the next letter below the one before them."""
_CHARACTER = re.compile(f"[{_LEADS}]?[^{_SIGNS}](?:[{_SIGNS}]|(?<=[{_STACKING}])[^{_SIGNS}])*|[{_SIGNS}]+")

# FTS5 takes the signs of these scripts for spaces, but never a character of private use.
_SIGNED = re.compile("[\u0e00-\u17ff]")
_TO_PRIVATE = 0xE000 - 0x0E00


def apart(text: str) -> str:
    """Give a text as the index is to read it; one without such scripts as it is.

    The width of characters is folded as NFKC has it, which never changes for characters that there are.
    """
    if text.isascii():
        return text
    text = _FOLDED.sub(lambda match: unicodedata.normalize("NFKC", match.group()), text)
    return RUN.sub(lambda match: f" {' '.join(_indexed(match.group()))} ", text)


def _indexed(run: str) -> list[str]:
    """Give the words of the index for a run of letters; a single kana tells nothing and is none."""
    single = characters(run)
    return [*pairs(single), *[one for one in single if not KANA.match(one)]]


def characters(run: str) -> list[str]:
    """Divide a run of letters, in NFKC, into characters, each as the index has it."""
    return [_SIGNED.sub(_private, one) for one in _CHARACTER.findall(run)]


def pairs(single: list[str]) -> list[str]:
    """Give each character with the next one."""
    return [first + second for first, second in pairwise(single)]


def _private(match: re.Match[str]) -> str:
    return chr(ord(match.group()) + _TO_PRIVATE)
