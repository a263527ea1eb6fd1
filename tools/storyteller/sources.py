"""The hand-written half of the corpus: word lists, players' messages and voices, as text files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

CORPUS = Path(__file__).parent / "texts"
CORPUS_VERSION = "3"
_SECTION = re.compile(r"\[(\w+)\]$")


@dataclass(frozen=True)
class Noun:
    """A word that a player can talk about. `count` is False for what is not counted (ale, thunder)."""

    text: str
    kind: str
    count: bool = True
    plural: bool = False
    proper: bool = False

    def many(self) -> Noun:
        """Give the plural, or the noun itself where it has none of its own."""
        if self.plural or self.proper or not self.count:
            return self
        return Noun(_plural(self.text), self.kind, plural=True)


def _plural(text: str) -> str:
    *front, word = text.split(" ")
    special = dict(pair.split("=") for pair in words("grammar.txt", "plural"))
    if word in special:
        word = special[word]
    elif word.endswith("man"):
        word = word[:-2] + "en"
    elif re.search(r"[^aeiou]y$", word):
        word = word[:-1] + "ies"
    else:
        word += "es" if re.search(r"(s|x|z|ch|sh|[^aeiou]o)$", word) else "s"
    return " ".join([*front, word])


@cache
def sections(file: str) -> dict[str, tuple[str, ...]]:
    """Give the lines of a source file by section; a line that begins with `#` is a remark."""
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in (CORPUS / file).read_text(encoding="utf-8").splitlines():
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        if match := _SECTION.fullmatch(text):
            current = found.setdefault(match[1], [])
        else:
            current.append(text)
    return {name: tuple(lines) for name, lines in found.items()}


@cache
def words(file: str, section: str) -> tuple[str, ...]:
    """Give the words of a list, with spaces for the underscores."""
    lines = sections(file)[section]
    return tuple(word.replace("_", " ") for line in lines for word in line.split())


@cache
def nouns(kind: str) -> tuple[Noun, ...]:
    """Give the nouns of one kind. A star marks the uncounted, a plus what only has a plural."""
    return tuple(
        Noun(word.rstrip("*+"), kind, count=not word.endswith("*"), plural=word.endswith("+"))
        for word in words("nouns.txt", kind)
    )
