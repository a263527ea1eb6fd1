"""Choices, slots and agreement: how a line of the sources becomes a sentence."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from tools.storyteller.lexicon import uncommon
from tools.storyteller.sources import Noun, nouns, words

KINDS = ("open", "thing", "creature", "person", "place", "food", "idea", "modern")
_CHOICE = re.compile(r"\(([^()]*\|[^()]*)\)")
_SLOT = re.compile(r"<([\w ]+)>")
_ARTICLE = re.compile(r"\b([Aa]) (?=[aeiouAEIOU])")
KNOWN = 0.85
"""Of the strange things, the share that bears a word of the language; the others are invented."""
_ALIASES = {"footsteps": "idea", "tracks": "thing"}


@dataclass
class Topic:
    """Something a player spoke of: the noun, and what stood in front of it."""

    noun: Noun
    adjective: str = ""
    owner: str = ""

    @property
    def plural(self) -> bool:
        """Whether a verb with it stands in the plural."""
        return self.noun.plural

    def bare(self) -> str:
        """Give the noun with its adjective."""
        return f"{self.adjective} {self.noun.text}".strip()

    def definite(self) -> str:
        """Give it as an answer names it: the lantern, your lantern, Elric."""
        if self.noun.proper:
            return self.noun.text
        if self.noun.kind in {"idea", "modern", "food"} and not (self.noun.count and not self.noun.plural):
            return self.bare() if not self.owner else f"{self.owner} {self.bare()}"
        return f"{self.owner or 'the'} {self.bare()}"

    def indefinite(self) -> str:
        """Give it as something not met before: a lantern, some ale."""
        if self.noun.proper:
            return self.noun.text
        return f"{'a' if self.noun.count and not self.noun.plural else 'some'} {self.bare()}"


@dataclass
class Said:
    """One player's message and what an answer can take from it."""

    player: str
    intent: str
    text: str
    topics: list[Topic] = field(default_factory=list)
    verb: str = ""
    echo: str = ""


def choose(rng: Random, line: str) -> str:
    """Settle every `(a|b)` of a line, innermost first."""
    while match := _CHOICE.search(line):
        line = line[: match.start()] + rng.choice(match[1].split("|")) + line[match.end() :]
    return line


def tidy(text: str) -> str:
    """Mend articles and double spaces, and begin sentences with a capital."""
    text = _ARTICLE.sub(r"\1n ", re.sub(r" +", " ", text)).replace(" .", ".").replace(" ,", ",").strip()
    return re.sub(r"(^[\"'*]*|[.!?][\"'*]* [\"'*]*)([a-z])", lambda m: m[1] + m[2].upper(), text)


def agree(word: str, plural: bool) -> str:
    """Give a verb in the third person, singular as written or plural."""
    special = {"is": "are", "has": "have", "was": "were", "does": "do", "goes": "go"}
    if not plural or not word.endswith("s"):
        return word
    if word in special:
        return special[word]
    if word.endswith("ies"):
        return word[:-3] + "y"
    return word[:-2] if re.search(r"(sh|ch|ss|x|o)es$", word) else word[:-1]


class Author(Random):
    """Chance that likes the unexpected: a share `strange` of what is said stands in no list of stories."""

    def __init__(self, seed: str, strange: float) -> None:
        super().__init__(seed)
        self.strange = strange


def strange(rng: Random) -> bool:
    """Say whether the next word is one of which an answer can know nothing but how it is spelt."""
    return isinstance(rng, Author) and rng.random() < rng.strange


def _adjective(rng: Random) -> str:
    return rng.choice(words("lexicon.txt" if strange(rng) else "nouns.txt", "adjective"))


def invented(rng: Random) -> str:
    """Give a word that no list holds, so that copying is learned and not only recalling."""
    return "".join(rng.choice(words("grammar.txt", "syllable")) for _ in range(rng.randint(2, 3)))


def proper(rng: Random) -> Noun:
    """Give the name of somebody who is not at the table."""
    roll = rng.random()
    if roll < 0.15:
        return Noun(invented(rng).capitalize(), "name", proper=True)
    section = "npc" if roll < 0.6 else "player"
    return Noun(rng.choice(words("names.txt", section)), "name", proper=True)


def pick_noun(rng: Random, kind: str) -> Noun:
    """Give a noun of `kind`, now and then of another kind or a word that does not exist."""
    kind = _ALIASES.get(kind, kind)
    if kind == "name":
        return proper(rng)
    if kind == "town":
        text = invented(rng).capitalize() if rng.random() < 0.25 else rng.choice(words("names.txt", "town"))
        return Noun(text, "name", proper=True)
    if strange(rng):
        return rng.choice(uncommon(kind)) if rng.random() < KNOWN else Noun(invented(rng), kind)
    roll = rng.random()
    if roll < 0.04:
        return Noun(invented(rng), kind)
    if roll < 0.12 and kind != "open":
        return rng.choice(nouns(rng.choice(KINDS)))
    return rng.choice(nouns(kind))


class Expander:
    """Fills the slots of one player's message and remembers what it put there."""

    def __init__(self, rng: Random, player: str, persona: str, others: Sequence[str]) -> None:
        self.rng = rng
        self.player = player
        self.persona = persona
        self.others = others
        self.topics: list[Topic] = []
        self.verb = ""

    def fill(self, line: str) -> str:
        """Give the line with every choice made and every slot filled."""
        text, rest = "", choose(self.rng, line)
        while match := _SLOT.search(rest):
            text += rest[: match.start()]
            text += self._slot(match[1], text)
            rest = rest[match.end() :]
        return text + rest

    def _slot(self, slot: str, before: str) -> str:
        fixed = {"me": self.player, "persona": self.persona.removeprefix("The ")}
        if slot in fixed:
            return fixed[slot]
        if slot == "player":
            return self.rng.choice(self.others) if self.others else "everyone"
        if slot == "num":
            return str(self.rng.choice((2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 20, 30, 50, 100)))
        if slot == "adjective":
            return _adjective(self.rng)
        if slot == "verb":
            verb = self.rng.choice(words("nouns.txt", "verb"))
            self.verb = self.verb or verb
            return verb
        return self._noun(slot, before)

    def _noun(self, slot: str, before: str) -> str:
        article, _, kind = slot.rpartition(" ")
        many = kind not in _ALIASES and kind.endswith("s")
        noun = pick_noun(self.rng, kind.removesuffix("s") if many else kind)
        last = before.rsplit(maxsplit=1)[-1].lower() if before.split() else ""
        loose = (
            not article
            and not many
            and kind in {"idea", "modern", "food"}
            and last not in words("grammar.txt", "bare_after")
        )
        if many or (article == "the" and self.rng.random() < 0.15) or (loose and self.rng.random() < 0.5):
            noun = noun.many()
        elif loose and noun.count:
            article = "a"
        topic = Topic(noun)
        self.topics.append(topic)
        if noun.proper:
            return noun.text
        if self.rng.random() < 0.2 and (article or many):
            topic.adjective = _adjective(self.rng)
        if last in {"my", "your", "our"}:
            topic.owner = {"my": "your", "your": "my", "our": "your"}[last]
        return self._phrase(article, topic)

    def _phrase(self, article: str, topic: Topic) -> str:
        if not article:
            return topic.bare()
        if article == "a":
            return topic.indefinite()
        roll = self.rng.random()
        if roll < 0.08:
            topic.owner = "your"
            return f"my {topic.bare()}"
        if roll < 0.2:
            near = ("these", "those") if topic.plural else ("this", "that")
            return f"{self.rng.choice(near)} {topic.bare()}"
        if roll < 0.27:
            return topic.indefinite()
        return f"the {topic.bare()}"
