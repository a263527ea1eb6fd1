"""The commonest words of the language, by kind: what players say beyond the corpus, each one a token."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from tools.storyteller.sources import Noun, sections, words

KINDS = ("thing", "creature", "person", "place", "food", "idea", "modern")
_BARE = frozenset({"food", "idea", "modern"})
"""Kinds that stand without an article, and so at the head of a sentence."""


def _noun(word: str, kind: str) -> Noun:
    return Noun(word.rstrip("*+"), kind, count=not word.endswith("*"), plural=word.endswith("+"))


@cache
def uncommon(kind: str) -> tuple[Noun, ...]:
    """Give the nouns of a kind that no other list of the corpus holds; of all kinds for one that has none."""
    if kind not in KINDS:
        return tuple(noun for each in KINDS for noun in uncommon(each))
    strange = words("strange.txt", "word") if kind in {"thing", "idea"} else ()
    return tuple(_noun(word, kind) for word in (*words("lexicon.txt", kind), *strange))


def names() -> set[str]:
    """Give every name of the corpus, word by word."""
    listed = [name for section in sections("names.txt") for name in words("names.txt", section)]
    return {part for name in listed for part in name.split()}


def _things() -> set[str]:
    return {text for kind in KINDS for noun in uncommon(kind) for text in (noun.text, noun.many().text)}


def _bare() -> set[str]:
    """Give what begins a sentence as it is: what has no article, small words, names."""
    bare = {noun.text.capitalize() for kind in KINDS if kind in _BARE for noun in uncommon(kind)}
    small = {word.capitalize() for word in words("lexicon.txt", "small")}
    return bare | small | names() | set(words("lexicon.txt", "calendar"))


def spellings() -> Iterator[tuple[str, int]]:
    """Give every text that is to be one token, and what it weighs: names and things before verbs' forms."""
    for word in sorted(_bare()):
        yield word, 16
        yield f" {word}", 16
    for word in sorted(_things()):
        yield f" {word}", 16
    for section in ("verb", "adjective", "adverb", "small"):
        for word in words("lexicon.txt", section):
            yield f" {word}", 12
