"""Who a character is: the one shape that persona files and imported cards are both read into."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from random import Random
from typing import TYPE_CHECKING

from bot.chat import Sampling
from bot.persona.macros import Macros, expand

if TYPE_CHECKING:
    from pathlib import Path

SLUG = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
# What players bring has a number after a dot, which no file can have: neither ever takes the other's place.
BROUGHT_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,19}\.[1-9][0-9]{0,10}")
NAME_CHARACTERS = 80  # what a webhook's name may hold
TEXT_BYTES = 32_768  # everything that is written about one character, together, in UTF-8
EXAMPLES = 32
GREETINGS = 16
ALIASES = 16
TAGS = 32
LABEL_CHARACTERS = 200  # a model's, a LoRA's or a tag's name
URL_CHARACTERS = 2048
EXAMPLE_CHARACTERS = 1_600  # of a card in the prompt; about 400 tokens
PLAYER = "Player"  # what a card calls whoever plays: the same for everybody at the table

_BLANK = frozenset(" \u115f\u1160\u2800\u3164\uffa0")  # letters and signs that are drawn as nothing
_BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class PersonaFieldError(ValueError):
    """A field of a persona holds what it may not: `field` names it, `str(error)` says what is wrong."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(problem)
        self.field = name


@dataclass(frozen=True, slots=True)
class Example:
    """A line of a player and what the character says to it. An imported card may leave `player` empty."""

    player: str
    answer: str


@dataclass(frozen=True, slots=True)
class Lora:
    """An adapter that the model server is to apply while this character speaks, and how strongly (0 to 2)."""

    name: str
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class Persona:
    """A character that the bot can play.

    `slug` names the file, or what a player brought, and never changes; `name` is what the table sees. A
    `narrator` runs the world.
    `description`, `scenario`, `voice` and `examples` stand in the prompt (see `card`); `greeting` opens a
    scene, one of `openings`, (title, text) pairs, opens the scene of that title, and `alternate_greetings`
    are an imported card's other ones; `creator_notes` and `tags` are for people and never reach the model.
    `talkativeness` is the chance, 0 to 1, that the character joins in unasked. `aliases` are other names
    that players call it by. `avatar` is a picture on this machine, `avatar_url` one on the web.

    Raises `PersonaFieldError` where a field holds what it may not.
    """

    slug: str
    name: str
    narrator: bool = False
    description: str = ""
    scenario: str = ""
    voice: str = ""
    examples: tuple[Example, ...] = ()
    greeting: str = ""
    openings: tuple[tuple[str, str], ...] = ()
    alternate_greetings: tuple[str, ...] = ()
    talkativeness: float = 0.5
    aliases: tuple[str, ...] = ()
    avatar: Path | None = None
    avatar_url: str | None = None
    sampling: Sampling = field(default_factory=Sampling)
    model: str | None = None
    lora: Lora | None = None
    tags: tuple[str, ...] = ()
    creator_notes: str = ""

    def __post_init__(self) -> None:
        for name, problem in _problems(self):
            raise PersonaFieldError(name, problem)


def card(
    persona: Persona, macros: Macros | None = None, *, example_characters: int = EXAMPLE_CHARACTERS
) -> str:
    """Give what the prompt's head says about one character, beginning with `## NAME`.

    It is the same text for the same persona and `macros`, as long as those draw the same: the head of a
    prompt must not change from turn to turn. Example lines are added whole while they fit into
    `example_characters`.
    """
    drawn = Random(persona.slug)  # noqa: S311  # a choice of words, not a secret
    own = in_words_of(persona, macros or Macros(persona.name, PLAYER, rng=drawn, seed=persona.slug))
    parts = [f"## {persona.name}", own.description, own.scenario]
    if own.personality:
        parts.append(f"How {persona.name} talks: {own.personality}")
    lines = list(_example_lines(persona, example_characters))
    if lines:
        parts.append(expand("\n".join([f"{persona.name} in play:", *lines]), own))
    return "\n\n".join(part for part in parts if part)


def in_words_of(persona: Persona, macros: Macros) -> Macros:
    """Give macros that also stand for what is written about the character; those inside it are replaced."""
    own = replace(macros, char=persona.name, drops_hidden_keys=True)
    own = replace(own, description=expand(persona.description, own))
    own = replace(own, scenario=expand(persona.scenario, own))
    return replace(own, personality=expand(persona.voice, own))


def opening(persona: Persona, title: str) -> str:
    """Give what the character says when a scene of that title begins with it. Macros are not yet replaced."""
    written = {fold(scene): text for scene, text in persona.openings}
    return written.get(fold(title), persona.greeting)


def names(persona: Persona) -> tuple[str, ...]:
    """Give every name that a player may call the character by, its own first."""
    return persona.name, *persona.aliases


def fold(name: str) -> str:
    """Give the form in which two names are compared: no case, no width variants, single spaces."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def clean_name(text: str) -> str:
    """Make a name that can stand before a line of talk: one line, nothing unshowable, 80 characters at most.

    May give an empty string: for a text of which nothing can be seen, too.
    """
    shown = "".join(" " if _unshowable(character) or character == ":" else character for character in text)
    name = " ".join(shown.split())[:NAME_CHARACTERS].rstrip()
    return "" if all(map(_invisible, name)) else name


def clean_text(text: str) -> str:
    """Take out of a text what nobody can see: control characters, halves of emoji, turned directions."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    if _is_plain(lines):
        return lines
    return "".join(character for character in lines if character in "\n\t" or not _unshowable(character))


def _example_lines(persona: Persona, room: int) -> Iterator[str]:
    for example in persona.examples:
        asked = f"Player: {example.player}\n" if example.player else ""
        lines = f"{asked}{persona.name}: {example.answer}"
        room -= len(lines)
        if room < 0:
            return
        yield lines


def _is_plain(text: str) -> bool:
    """Tell quickly of most texts that nothing in them is unshowable."""
    return text.replace("\n", "").replace("\t", "").isprintable()


def _invisible(character: str) -> bool:
    return unicodedata.category(character) in {"Cf", "Mn"} or character in _BLANK


def _unshowable(character: str) -> bool:
    return character in _BIDI or unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}


def _problems(persona: Persona) -> Iterator[tuple[str, str]]:
    """Give each field that is wrong, with a sentence about it."""
    if not SLUG.fullmatch(persona.slug) and not BROUGHT_SLUG.fullmatch(persona.slug):
        yield (
            "slug",
            "a slug is 1 to 32 small letters, digits, '-' and '_', and begins with a letter or digit",
        )
    yield from _name_problems("name", persona.name)
    for alias in persona.aliases:
        yield from _name_problems("aliases", alias)
    if not 0 <= persona.talkativeness <= 1:
        yield "talkativeness", "talkativeness goes from 0 (only when asked) to 1 (always)"
    if persona.lora and not 0 <= persona.lora.scale <= 2:
        yield "lora", "the scale of a LoRA goes from 0 to 2"
    if persona.avatar_url is not None and not _is_https(persona.avatar_url):
        yield "avatar_url", f"avatar_url must be an https:// address of at most {URL_CHARACTERS} characters"
    yield from _count_problems(persona)
    yield from _text_problems(persona)


def _name_problems(name: str, value: str) -> Iterator[tuple[str, str]]:
    if not value:
        yield name, f"{name}: a name may not be empty"
    elif value != clean_name(value):
        rule = f"one line of at most {NAME_CHARACTERS} characters, without ':' or spaces at its ends"
        yield name, f"{name}: a name is {rule}"


def _is_https(url: str) -> bool:
    return len(url) <= URL_CHARACTERS and re.fullmatch(r"https://[^\s/@]+\.[^\s/@]+(/\S*)?", url) is not None


def _count_problems(persona: Persona) -> Iterator[tuple[str, str]]:
    for name, limit in (
        ("examples", EXAMPLES),
        ("alternate_greetings", GREETINGS),
        ("openings", GREETINGS),
        ("aliases", ALIASES),
        ("tags", TAGS),
    ):
        if len(getattr(persona, name)) > limit:
            yield name, f"{name}: at most {limit} are kept"
    labels = [("tags", tag) for tag in persona.tags]
    labels += [("model", persona.model or ""), ("lora", persona.lora.name if persona.lora else "")]
    for name, label in labels:
        if len(label) > LABEL_CHARACTERS:
            yield name, f"{name}: at most {LABEL_CHARACTERS} characters"


def _text_problems(persona: Persona) -> Iterator[tuple[str, str]]:
    total = 0
    for name, text in _texts(persona):
        bad = next((c for c in text if _unshowable(c) and c not in "\n\t"), "") if not _is_plain(text) else ""
        if bad:
            yield name, f"{name} holds the control character U+{ord(bad):04X}"
        total += len(text.encode("utf-8", "surrogatepass"))
        if total > TEXT_BYTES:
            yield name, f"{name} makes the text too long: a persona holds {TEXT_BYTES // 1024} kB in all"
            return


def _texts(persona: Persona) -> Iterator[tuple[str, str]]:
    for name in ("description", "scenario", "voice", "greeting", "creator_notes"):
        yield name, getattr(persona, name)
    for greeting in persona.alternate_greetings:
        yield "alternate_greetings", greeting
    for title, text in persona.openings:
        yield "openings", title
        yield "openings", text
    for example in persona.examples:
        yield "examples", example.player
        yield "examples", example.answer
