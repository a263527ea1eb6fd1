"""What can be measured about an answer: its words, its subject, its voice."""

from __future__ import annotations

import math
import re
from collections import Counter
from functools import cache
from itertools import pairwise
from random import Random

from tools.storyteller.grammar import KINDS, agree
from tools.storyteller.sources import CORPUS, nouns, sections
from tools.storyteller.sources import words as listed
from tools.storyteller.table import player_names, rolled, user_turn
from tools.storyteller.voices import VOICES, Speaker, answer

_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")
_ENDED = re.compile(r"[.!?…][\"'*”)]*$")
NARRATOR, OTHER = "The Narrator", "another character"
_GOOD, _BAD = frozenset({"success", "hit", "crit"}), frozenset({"failure", "miss", "fumble"})


def words(text: str) -> list[str]:
    """Give the words of a text in lower case."""
    return [word.lower().replace("\u2019", "'") for word in _WORD.findall(text)]


@cache
def vocabulary() -> frozenset[str]:
    """Give every word that stands in the corpus' sources, and their plurals and verb forms."""
    found: set[str] = set()
    for file in set(CORPUS.glob("*.txt")) - {CORPUS / "grammar.txt"}:
        for lines in sections(file.name).values():
            for line in lines:
                for word in words(line.replace("_", " ")):
                    found |= {word, agree(word, plural=True)}
    for kind in KINDS:
        found |= {word for noun in nouns(kind) for word in words(noun.many().text)}
    return frozenset(found)


def well_formed(text: str, prompt: str) -> bool:
    """Say whether every word is the corpus' or the prompt's, quotation marks pair up, the sentence ends."""
    known = vocabulary() | set(words(prompt))
    known |= {f"{word}'s" for word in known}
    paired = text.count('"') % 2 == 0 and text.count("*") % 2 == 0
    return bool(_ENDED.search(text)) and paired and all(word in known for word in words(text))


def _stem(word: str) -> str:
    return re.sub(r"(?<=[a-z]{3})(es|s|ed|ing)$", "", word.removesuffix("'s"))


def shared(text: str, said: str) -> set[str]:
    """Give the content words of the players' lines that the answer takes up; speakers' names do not count."""
    speakers = set(words(" ".join(re.findall(r"^([^:\[\n]+):", said, re.MULTILINE))))
    spoken = re.sub(r"^[^:\[\n]+:", "", said, flags=re.MULTILINE)
    subject = {
        _stem(word)
        for word in words(spoken)
        if word not in listed("grammar.txt", "common") and word not in speakers
    }
    return subject & {_stem(word) for word in words(text)}


def loops(text: str) -> bool:
    """Say whether any four words in a row stand three times in the answer."""
    seen = words(text)
    return any(count >= 3 for count in Counter(zip(*(seen[i:] for i in range(4)), strict=False)).values())


def distinct(texts: list[str]) -> float:
    """Give the share of pairs of neighbouring words that are different, over all answers."""
    pairs = [pair for text in texts for pair in pairwise(words(text))]
    return len(set(pairs)) / max(1, len(pairs))


class Bayes:
    """Naive Bayes over words and pairs of neighbours: says what kind of answer a text sounds like."""

    def __init__(self, samples: dict[str, list[str]]) -> None:
        self.counts = {
            kind: Counter(f for text in texts for f in _features(text)) for kind, texts in samples.items()
        }
        self.size = len(set().union(*self.counts.values()))

    def hears(self, text: str) -> str:
        """Give the most likely kind."""

        def score(kind: str) -> float:
            counts = self.counts[kind]
            total = counts.total() + self.size
            return sum(math.log((counts[feature] + 1) / total) for feature in _features(text))

        return max(self.counts, key=score)


def voices(seed: int = 1, samples: int = 700) -> Bayes:
    """Give what tells the voices apart, learned from answers that the corpus gives."""
    rng = Random(seed)
    heard: dict[str, list[str]] = {}
    for name in (NARRATOR, *VOICES, OTHER):
        speaker = Speaker("Brandt" if name == OTHER else name, narrator=name == NARRATOR)
        turns = (user_turn(rng, player_names(rng, 2), speaker.name) for _ in range(samples))
        heard[name] = [answer(rng, speaker, turn) for turn in turns]
    return Bayes(heard)


def outcomes(seed: int = 1, samples: int = 1500) -> Bayes:
    """Give what tells an answer to a roll that succeeded from one to a roll that failed."""
    rng = Random(seed)
    heard: dict[str, list[str]] = {"success": [], "failure": []}
    for number in range(samples):
        name = (NARRATOR, NARRATOR, *VOICES)[number % 7]
        turn = rolled(rng, "Ann", name, ["Bob"])
        if turn.outcome in _GOOD | _BAD:
            kind = "success" if turn.outcome in _GOOD else "failure"
            heard[kind].append(answer(rng, Speaker(name, narrator=name == NARRATOR), turn))
    return Bayes(heard)


def _features(text: str) -> list[str]:
    found = words(text)
    marks = [f"<{mark}>" for mark in '"*' if mark in text]
    return [*found, *marks, *(f"{a} {b}" for a, b in pairwise(found))]
