"""Texts as keys are compared with them, and what of an entry's content is told."""

from __future__ import annotations

import re
import unicodedata

# Scripts that put no spaces between words: there a word may begin and end anywhere.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
_HIDDEN_KEY = re.compile(r"\{\{\s*hidden_key\s*:([^{}]*)\}\}", re.IGNORECASE)
_COMMENT = re.compile(r"\{\{\s*(?://|comment\s*:)[^{}]*\}\}", re.IGNORECASE)


def exact(text: str) -> str:
    """Give a text with one form for each character (NFKC) and single spaces."""
    return " ".join((text if text.isascii() else unicodedata.normalize("NFKC", text)).split())


def folded(text: str) -> str:
    """Give a text as `exact` does, and without its case.

    Folding the case can undo the normal form (as with ᾳ), so it is made anew.
    """
    small = exact(text).casefold()
    return small if small.isascii() else unicodedata.normalize("NFKC", small)


def has_word(text: str, word: str) -> bool:
    """Tell whether `word` stands in `text` with no letter, digit or underscore beside it.

    SillyTavern's rule with all alphabets' letters. It would split no word of an unspaced script, so neither
    does this.
    """
    place = text.find(word)
    while place >= 0:
        end = place + len(word)
        if _is_edge(text[:place][-1:], word[:1]) and _is_edge(text[end : end + 1], word[-1:]):
            return True
        place = text.find(word, place + 1)
    return False


def told(content: str) -> str:
    """Give what of an entry's content the model reads: no comments, no hidden keys (V3's macros)."""
    return _HIDDEN_KEY.sub("", _COMMENT.sub("", content)).strip()


def scanned(content: str) -> str:
    """Give what of an entry's content may wake other entries: the hidden keys count, the comments do not."""
    return _HIDDEN_KEY.sub(r" \1 ", _COMMENT.sub("", content))


def _is_edge(outside: str, inside: str) -> bool:
    joins = outside.isalnum() or outside == "_"
    return not joins or bool(_UNSPACED.match(outside) or _UNSPACED.match(inside))
