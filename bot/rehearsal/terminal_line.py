"""What a typed line is: something said, a command of the bot, a word of the terminal, a control pressed."""

from __future__ import annotations

import re
from dataclasses import dataclass

CLIENT_WORDS = {
    "as": ("NAME", "speak as that player; a new name joins the table"),
    "channel": ("NAME", "go to that channel or thread; alone: list them"),
    "keys": ("", "show this page"),
    "quit": ("", "leave the table (or Ctrl-D)"),
}
"""The terminal's own words: what follows each, and what it does. They hide bot commands of the same name."""

LINE_LIMIT = 8000
"""The longest line that is taken, in characters: a command's options may hold that much on Discord."""

_PRESS = re.compile(r"#(\d{1,6})(?:\s+(.*))?", re.DOTALL)
_SLASH = re.compile(r"/([^\s/].*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Say:
    """A message to the channel."""

    text: str


@dataclass(frozen=True, slots=True)
class Slash:
    """A command of the bot: everything after the slash."""

    text: str


@dataclass(frozen=True, slots=True)
class Word:
    """A word of the terminal client itself, and what follows it."""

    word: str
    argument: str


@dataclass(frozen=True, slots=True)
class Press:
    """A numbered button or select, and what was chosen in it."""

    number: int
    value: str


Typed = Say | Slash | Word | Press


def parse_line(line: str) -> Typed:
    r"""Tell what a line is. `//aside` is said, as on Discord; a leading backslash makes anything said."""
    text = line.strip()
    if text.startswith(("\\/", "\\#")):
        return Say(text[1:])
    if press := _PRESS.fullmatch(text):
        return Press(int(press[1]), (press[2] or "").strip())
    slash = _SLASH.fullmatch(text)
    if slash is None:
        return Say(text)
    word, _, argument = slash[1].partition(" ")
    if word.lower() in CLIENT_WORDS:
        return Word(word.lower(), argument.strip())
    return Slash(slash[1])
