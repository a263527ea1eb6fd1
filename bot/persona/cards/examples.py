"""Example dialogue of a card: blocks after `<START>`, in them lines of `{{user}}:` and `{{char}}:`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from bot.persona.persona import Example

_START = re.compile(r"<START>", re.IGNORECASE)
_PLAYER = ("{{user}}", "<user>", "you")
_CHARACTER = ("{{char}}", "<char>", "<bot>")


def parse_examples(text: str, names: Iterable[str]) -> tuple[Example, ...]:
    """Read example dialogue; `names` are what the character is called besides `{{char}}`.

    Lines that nobody is named for belong to the speaker before them, at a block's beginning to the character.
    A player's line without an answer is left out.
    """
    called = "|".join(re.escape(name) for name in (*_PLAYER, *_CHARACTER, *names) if name)
    speaker = re.compile(rf"^[ \t]*({called})[ \t]*:[ \t]*", re.IGNORECASE | re.MULTILINE)
    blocks = (block for block in _START.split(text) if block.strip())
    return tuple(example for block in blocks for example in _paired(_lines(block, speaker)))


def format_examples(examples: Iterable[Example]) -> str:
    """Write example dialogue as `parse_examples` reads it."""
    blocks = []
    for example in examples:
        asked = f"{{{{user}}}}: {example.player}\n" if example.player else ""
        blocks.append(f"<START>\n{asked}{{{{char}}}}: {example.answer}")
    return "\n".join(blocks)


def _lines(block: str, speaker: re.Pattern[str]) -> Iterator[tuple[bool, str]]:
    """Give who speaks (whether it is the player) and what."""
    player, begin = False, 0
    for mark in speaker.finditer(block):
        yield player, block[begin : mark.start()].strip()
        player, begin = mark[1].lower() in _PLAYER, mark.end()
    yield player, block[begin:].strip()


def _paired(lines: Iterable[tuple[bool, str]]) -> Iterator[Example]:
    asked: list[str] = []
    for player, text in lines:
        if not text:
            continue
        if player:
            asked.append(text)
        else:
            yield Example("\n".join(asked), text)
            asked.clear()
