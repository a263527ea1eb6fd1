"""Text in colour: names, Discord's formatting, the terminal's own words. Gives strings with ANSI colours.

Formatting is Discord's: `**bold**`, `*italic*`, `__underlined__`, `~~struck~~`, `||hidden||`, code, quotes,
headings. Names keep their colour, whoever speaks.
"""

from __future__ import annotations

import re
import zlib
from io import StringIO
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from bot.rehearsal.terminal_text import clean

if TYPE_CHECKING:
    from bot.rehearsal.terminal_feed import Entry

PRIVATE = "(only you see this)"

_COLOURS = ("cyan", "green", "magenta", "yellow", "blue", "red")
_INLINE = re.compile(
    r"```(?:\w*\n)?(?P<block>.+?)```|`(?P<code>[^`\n]+)`"
    r"|\*\*(?P<bold>.+?)\*\*(?!\*)|__(?P<underline>.+?)__(?!_)|~~(?P<strike>.+?)~~|\|\|(?P<reverse>.+?)\|\|"
    r"|\*(?P<italic>\S(?:[^*]*?\S)?)\*|(?<!\w)_(?P<italics>\S(?:[^_]*?\S)?)_(?!\w)",
    re.DOTALL,
)
_LINE = re.compile(r"^(?P<mark>#{1,3} |-# |> )(?P<rest>.*)$", re.MULTILINE)
_LINE_STYLES = {"-": "dim", ">": "italic dim", "#": "bold underline"}
_DEEPEST = 4


def paint(entry: Entry, width: int) -> str:
    """Colour one entry and wrap it at `width` columns; no line end at the end."""
    return _ansi(_text(entry), width)


def _text(entry: Entry) -> Text:
    shown = clean(entry.shown)
    if entry.aside and not entry.speaker:
        return Text(shown, style="dim")
    text = Text()
    text.append(entry.speaker, style=f"bold {_colour(entry.speaker)}")
    if entry.private:
        text.append(f" {PRIVATE}", style="dim")
    text.append("\n" if "\n" in shown else "  ")
    if entry.aside:
        text.append(shown, style="dim")
    else:
        text.append_text(formatted(shown))
    return text


def formatted(text: str) -> Text:
    """Read Discord's formatting."""
    return _inline(text, _DEEPEST)


def _inline(text: str, depth: int) -> Text:
    out, end = Text(), 0
    for found in _INLINE.finditer(text) if depth else ():
        kind = found.lastgroup or ""
        out.append_text(_lines(text[end : found.start()]))
        inner = (
            Text(found[kind].strip("\n")) if kind in {"block", "code"} else _inline(found[kind], depth - 1)
        )
        inner.stylize({"block": "cyan", "code": "cyan", "italics": "italic"}.get(kind, kind))
        out.append_text(inner)
        end = found.end()
    return out.append_text(_lines(text[end:]))


def _lines(text: str) -> Text:
    out, end = Text(), 0
    for found in _LINE.finditer(text):
        mark = found["mark"]
        out.append(text[end : found.start()])
        out.append(f"{'│ ' if mark == '> ' else ''}{found['rest']}", style=_LINE_STYLES[mark[0]])
        end = found.end()
    return out.append(text[end:])


def _colour(name: str) -> str:
    return _COLOURS[zlib.crc32(name.casefold().encode()) % len(_COLOURS)]


def _ansi(text: Text, width: int) -> str:
    out = StringIO()
    console = Console(
        file=out, width=max(width, 20), force_terminal=True, color_system="standard", highlight=False
    )
    console.print(text)
    return out.getvalue().rstrip("\n")
