"""Which of Discord's markup is open where: fences, inline code, emphasis, spoilers."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass

Open = tuple[str, ...]
"""The markers that are open, outermost first. A fence is its whole opening line, such as "```py\\n"."""

FENCE = "```"
_FENCE_LINE = re.compile(r"```([A-Za-z0-9_+\-.#]{0,32})(\n?)")
_TOKEN = re.compile(r"\\[^0-9A-Za-z\s]|`+|\*+|_+|~~|\|\||\n[ \t]*\n")
_RUNS = {
    "*": ("*",),
    "**": ("**",),
    "***": ("**", "*"),
    "_": ("_",),
    "__": ("__",),
    "~~": ("~~",),
    "||": ("||",),
}


def is_fence(marker: str) -> bool:
    """Tell a fence from the other markers."""
    return marker.startswith(FENCE)


def in_fence(markers: Open) -> bool:
    """Say whether a code fence is open."""
    return bool(markers) and is_fence(markers[-1])


def in_code(markers: Open) -> bool:
    """Say whether code is open, fenced or inline."""
    return bool(markers) and markers[-1].startswith("`")


def closing(markers: Open) -> str:
    """Give what closes these markers, innermost first."""
    return "".join("\n" + FENCE if is_fence(marker) else marker for marker in reversed(markers))


@dataclass(frozen=True, slots=True)
class Stretch:
    """Positions `first` to `last` (both included), at each of which the same markers are open."""

    first: int
    last: int
    markers: Open


class Markup:
    """The markup of `text`, which begins with `markers` already open.

    Reads as Discord's own renderer does, simplified: code knows no other markup, emphasis ends with its
    paragraph, inline code with its line. What stands at the very end and could still become something
    else (a single star, a backtick) is taken for plain text.
    """

    def __init__(self, text: str, markers: Open = ()) -> None:
        self._text = text
        self._open = markers
        self._from = 0
        self.stretches: list[Stretch] = []
        position = 0
        while position < len(text):
            position = self._read(position)
        if self._from <= len(text):
            self.stretches.append(Stretch(self._from, len(text), self._open))
        self._firsts = [stretch.first for stretch in self.stretches]

    def at(self, position: int) -> Open | None:
        """Give the markers open at `position`, or None inside a marker."""
        stretch = self.stretches[bisect_right(self._firsts, position) - 1]
        return stretch.markers if stretch.first <= position <= stretch.last else None

    def _change(self, last: int, first: int, markers: Open) -> None:
        """Let the current markers reach to position `last` and `markers` begin at `first`."""
        if self._from <= last:
            self.stretches.append(Stretch(self._from, last, self._open))
        self._from, self._open = first, markers

    def _read(self, position: int) -> int:
        if in_fence(self._open):
            return self._read_fence(position)
        if in_code(self._open):
            return self._read_code(position)
        token = _TOKEN.search(self._text, position)
        if token is None:
            return len(self._text)
        if token[0][0] == "\n":
            self._end_paragraph(token.start())
        elif token[0][0] == "`":
            return self._open_code(token)
        elif token[0] in _RUNS:
            self._toggle(token)
        elif token[0][0] == "\\":
            self._change(token.start(), token.end(), self._open)
        return token.end()

    def _read_fence(self, position: int) -> int:
        end = self._text.find(FENCE, position)
        if end < 0:
            return len(self._text)
        self._change(end, end + 3, self._open[:-1])
        return end + 3

    def _read_code(self, position: int) -> int:
        run = re.compile(rf"(?<!`){self._open[-1]}(?!`)|\n").search(self._text, position)
        if run is None:
            return len(self._text)
        if run[0] == "\n":
            self._change(run.start() - 1, run.start(), self._open[:-1])
        else:
            self._change(run.start(), run.end(), self._open[:-1])
        return run.end() if run[0] != "\n" else run.start()

    def _open_code(self, token: re.Match[str]) -> int:
        run, end, markers = token[0], token.end(), self._open
        line = _FENCE_LINE.match(self._text, token.start())
        if end == len(self._text):
            pass  # it may still grow
        elif len(run) < 3:
            markers = (*markers, run)
        elif len(run) == 3 and line is not None:
            end = line.end()
            spoilers = tuple(marker for marker in markers if marker == "||")
            markers = (*spoilers, f"{FENCE}{line[1] if line[2] else ''}\n")
        self._change(token.start(), end, markers)
        return end

    def _end_paragraph(self, start: int) -> None:
        kept = tuple(marker for marker in self._open if marker == "||")
        if kept != self._open:
            self._change(start - 1, start, kept)

    def _toggle(self, token: re.Match[str]) -> None:
        markers = _RUNS[token[0]]
        before = self._text[token.start() - 1 : token.start()] or " "
        after = self._text[token.end() : token.end() + 1] or " "
        if all(marker in self._open for marker in markers):
            if before.isspace() or (token[0][0] == "_" and after.isalnum()):
                return
            kept = tuple(marker for marker in self._open if marker not in markers)
        elif not any(marker in self._open for marker in markers):
            if after.isspace() or (token[0][0] == "_" and before.isalnum()):
                return
            kept = (*self._open, *markers)
        else:
            return
        self._change(token.start(), token.end(), kept)
