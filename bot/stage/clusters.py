"""Where a text may be cut without breaking what a reader sees as one character."""

from __future__ import annotations

import unicodedata

_JOINER = "\u200d"
_PREPENDED = frozenset(
    "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"
)
_LEADING, _VOWEL, _TRAILING = range(0x1100, 0x1160), range(0x1160, 0x11A8), range(0x11A8, 0x1200)


def is_boundary(text: str, position: int) -> bool:
    """Say whether the grapheme cluster before `position` (a code point index) ends there.

    Follows the extended grapheme clusters of Unicode Annex 29, leaning to "no": a `True` is always a
    boundary there, a few boundaries of rare scripts are not found here.
    """
    if position <= 0 or position >= len(text):
        return True
    before, after = text[position - 1], text[position]
    if before < "\u0300" and after < "\u0300":
        return not (before == "\r" and after == "\n")
    return not (
        _extends(after)
        or before == _JOINER
        or _binds_forward(before)
        or _splits_flag(text, position)
        or _splits_syllable(before, after)
    )


def _extends(character: str) -> bool:
    category = unicodedata.category(character)
    return (
        category in {"Mn", "Mc", "Me"}
        or character in "\u200c\u200d"
        or "\U0001f3fb" <= character <= "\U0001f3ff"  # skin tones
        or "\U000e0020" <= character <= "\U000e007f"  # tags of regional flags
        or character in "\uff9e\uff9f\u0e33\u0eb3"
    )


def _binds_forward(character: str) -> bool:
    """Hold a virama to the consonant after it, and a prepended mark to what it marks."""
    if character in _PREPENDED:
        return True
    category = unicodedata.category(character)
    return unicodedata.combining(character) == 9 or (
        category == "Lo" and character in "\u0d4e\U000111c2\U000111c3"
    )


def _is_regional(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _splits_flag(text: str, position: int) -> bool:
    if not (_is_regional(text[position]) and _is_regional(text[position - 1])):
        return False
    start = position
    while start > 0 and _is_regional(text[start - 1]):
        start -= 1
    return (position - start) % 2 == 1


def _splits_syllable(before: str, after: str) -> bool:
    first, second = ord(before), ord(after)
    if first in _LEADING:
        return second in _LEADING or second in _VOWEL or 0xAC00 <= second < 0xD7A4
    return (second in _VOWEL or second in _TRAILING) and (
        first in _VOWEL or first in _TRAILING or 0xAC00 <= first < 0xD7A4
    )
