"""What a player wrote, as the story hears it: without asides to the table, and without Discord's markup."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

LONGEST_SPEECH = 4000
"""Characters of one message: Discord's own limit for members who pay, 2000 for all others."""
STRANGER = "someone"

_MEMBER = re.compile(r"<@(!?|&)(\d{1,20})>")
_CHANNEL = re.compile(r"<#(\d{1,20})>")
_EMOJI = re.compile(r"<a?(:\w{1,32}:)\d{1,20}>")
_COMMAND = re.compile(r"<(/[^<>:\n]{1,100}):\d{1,20}>")
_TIME = re.compile(r"<t:(-?\d{1,17})(?::[A-Za-z])?>")
_SPACES = re.compile(r"[ \t]{2,}")


def in_character(text: str, names: Mapping[int, str] | None = None) -> str:
    """Give the part of a message that belongs to the story; empty where nothing does.

    Out of character is a message or a line that begins with `//`, and whatever stands in `((double
    parentheses))`, other parentheses included. An aside that is never closed reaches to the end. `names` are
    the display names of members, roles and channels by their id.
    """
    text = text[:LONGEST_SPEECH].strip()
    if text.startswith("//"):
        return ""
    lines = _without_asides(text).split("\n")
    story = "\n".join(line.rstrip() for line in lines if not line.lstrip().startswith("//")).strip()
    return readable(story, names or {})


def readable(text: str, names: Mapping[int, str]) -> str:
    """Give a message with Discord's markup as what a reader sees: names, emoji, commands, points in time."""
    if "<" not in text:
        return text
    text = _MEMBER.sub(lambda found: names.get(int(found[2]), STRANGER), text)
    text = _CHANNEL.sub(lambda found: f"#{names.get(int(found[1]), 'channel')}", text)
    text = _COMMAND.sub(r"\1", _EMOJI.sub(r"\1", text))
    return _TIME.sub(lambda found: _moment(int(found[1])), text)


def _without_asides(text: str) -> str:
    """Give `text` with a space for everything in double parentheses."""
    kept, place, pairs = [], 0, True
    while (start := text.find("((", place)) >= 0:
        kept.append(text[place:start])
        end = _paired_end(text, start + 2) if pairs else None
        pairs = (
            end is not None
        )  # one that does not pair is enough: looking again for each would take n * n steps
        place = end or _first_end(text, start + 2)
    kept.append(text[place:])
    return _SPACES.sub(" ", " ".join(kept)) if len(kept) > 1 else text


def _paired_end(text: str, place: int) -> int | None:
    """Give the index behind the `))` that closes an aside whose text begins at `place`.

    Parentheses that pair within it are skipped; a closing one without a partner is a smile.
    """
    inner = 0
    for index in range(place, len(text)):
        if text[index] == "(":
            inner += 1
        elif text[index] == ")" and inner:
            inner -= 1
        elif text.startswith("))", index):
            return index + 2
    return None


def _first_end(text: str, place: int) -> int:
    first = text.find("))", place)
    return first + 2 if first >= 0 else len(text)


def _moment(seconds: int) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (ValueError, OverflowError, OSError):
        return "some time"
