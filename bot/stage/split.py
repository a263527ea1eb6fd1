"""A long text in several messages."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from bot.stage.clusters import is_boundary
from bot.stage.markup import FENCE, Markup, Open, Stretch, closing, in_code, in_fence

MESSAGE_LIMIT = 2000
"""Code points in one Discord message."""

SMALLEST_LIMIT = 80
"""Below this, markers that must be closed and opened again could leave no room for text."""

_LONGEST_CLOSING = len("||***___~~``")
_LINE_END = re.compile(r"[^\S\n]*\n")
_SPACES = re.compile(r"[^\S\u00a0\u202f\u2007]+")
_AFTER_STOP = re.compile(r"[.!?\u2026\u3002\uff01\uff1f][\"'\u201d\u2019\u00bb*_~|)\]`]*\Z")
_WIDE_STOP = re.compile(
    r"[\u3002\uff01\uff1f\uff0c\u3001\uff1b\uff1a](?![\u3002\uff01\uff1f\uff0c\u3001\u300d\u300f\uff09\u201d])"
)
_SENTENCE = re.compile(r"[.!?\u2026][\"'\u201d\u2019\u00bb*_~|)\]`]*\s|[\u3002\uff01\uff1f]|\S[^\S\n]*\n")


def first_sentence_ready(text: str) -> bool:
    """Say whether `text`, which is still growing, holds a whole sentence or line."""
    return _SENTENCE.search(text) is not None


def split(text: str, limit: int = MESSAGE_LIMIT) -> list[str]:
    """Cut `text` into messages of at most `limit` code points.

    Cuts fall between paragraphs, lines, sentences or words; markup that must be cut (a fence longer than
    a message, a page in italics) is closed and opened again, a fence with its language. Without the white
    space at the cuts and what was closed and opened again, the messages give the text back.

    Stable while the text grows: `split(a)[:-1]` is the beginning of `split(a + b)`. Each cut is chosen
    from nothing but the text before the first position at which the message no longer fits, and once a
    text does not fit, no longer one does.
    """
    return [piece.show(text) for piece in pieces(text, limit)]


@dataclass(frozen=True, slots=True)
class Piece:
    """One message: `text[start:end]` between the markers opened again and those closed."""

    start: int
    end: int
    opener: str
    closer: str

    def show(self, text: str) -> str:
        """Give the message."""
        return f"{self.opener}{text[self.start : self.end]}{self.closer}"


def pieces(text: str, limit: int = MESSAGE_LIMIT) -> list[Piece]:
    """Find the cuts of `split`."""
    if limit < SMALLEST_LIMIT:
        raise ValueError(
            f"a message of {limit} code points leaves no room for text; {SMALLEST_LIMIT} is the least"
        )
    text = text.rstrip()
    start = len(text) - len(text.lstrip())
    found: list[Piece] = []
    markers: Open = ()
    while start < len(text):
        opener = "".join(markers)
        window = text[start : start + limit - len(opener) + 1]
        if len(window) <= limit - len(opener) - _LONGEST_CLOSING and FENCE not in opener + window:
            found.append(Piece(start, len(text), opener, ""))
            break
        stretches = Markup(window, markers).stretches
        overflow = _overflow(stretches, len(window), limit - len(opener))
        if overflow is None:
            end_markers = stretches[-1].markers
            closer = closing(end_markers) if in_fence(end_markers) else ""
            found.append(Piece(start, len(text), opener, closer))
            break
        cut = _Window(window[:overflow], markers, limit - len(opener)).cut()
        end = start + cut.position
        found.append(Piece(start, end, opener, closing(cut.markers)))
        start, markers = _resume(text, end, cut.markers)
    return found


def _overflow(stretches: Sequence[Stretch], length: int, room: int) -> int | None:
    """Find the first position at which the text before it, its open markers closed, exceeds `room`."""
    for stretch in stretches:
        first = max(stretch.first, room - len(closing(stretch.markers)) + 1)
        if first <= min(stretch.last, room):
            return first
    return room + 1 if length > room else None


def _resume(text: str, end: int, markers: Open) -> tuple[int, Open]:
    """Give where the next message begins after a cut at `end`, and what is open there.

    White space is skipped; inside a fence that is one line end, for what follows is indentation. So is
    the end of code that was closed at the cut.
    """
    if in_code(markers):
        marker = FENCE if in_fence(markers) else markers[-1] + "(?!`)"
        code_end = re.compile(rf"\s*{marker}").match(text, end)
        if code_end is not None:
            end, markers = code_end.end(), markers[:-1]
    rest = (in_fence(markers) and _LINE_END.match(text, end)) or _SPACES.match(text, end)
    return (rest.end() if rest else end), markers


@dataclass(frozen=True, slots=True)
class _Cut:
    position: int
    kind: str
    markers: Open


class _Window:
    """The text in which one cut is chosen: all that can go into a message, and the position after it."""

    def __init__(self, text: str, markers: Open, room: int) -> None:
        self._text = text
        self._room = room
        self._markup = Markup(text, markers)
        self._blank = len(text) - len(text.lstrip())

    def cut(self) -> _Cut:
        """Choose the latest cut of the best kind.

        Rather at the end of a paragraph than in one, rather between words than in code or emphasis, and
        rather short than broken.
        """
        cuts = [cut for cut in (self._cut(*at) for at in self._gaps()) if cut]
        plain = {"paragraph", "line", "sentence", "word"}
        half, quarter = self._room // 2, self._room // 4
        for kinds, least in (
            ({"paragraph"}, half),
            ({"paragraph", "line"}, half),
            ({"paragraph", "line", "sentence"}, half),
            (plain, quarter),
            ({"code line"}, 1),
            ({"emphasis"}, 1),
            (plain, 1),
            ({"code"}, 1),
        ):
            fitting = [cut for cut in cuts if cut.kind in kinds and cut.position >= least]
            if fitting:
                return max(fitting, key=lambda cut: cut.position)
        return self._forced()

    def _gaps(self) -> Iterable[tuple[int, str]]:
        """Give every position between words, with what kind of gap it would be in plain text."""
        for gap in _SPACES.finditer(self._text):
            lines = gap[0].count("\n")
            if lines:
                yield gap.start(), "paragraph" if lines > 1 else "line"
            else:
                stop = _AFTER_STOP.search(self._text, max(0, gap.start() - 8), gap.start())
                yield gap.start(), "sentence" if stop else "word"
        for stop in _WIDE_STOP.finditer(self._text):
            yield stop.end(), "sentence"

    def _cut(self, position: int, kind: str) -> _Cut | None:
        markers = self._markup.at(position)
        if markers is None or not self._fits(position, markers) or position <= self._blank:
            return None
        if in_fence(markers):
            kind = "code line" if kind in {"paragraph", "line"} else "code"
            if not self._text[self._fence_start(position) : position].strip():
                return None  # an empty fence would stand at the end of the message
        elif in_code(markers):
            kind = "code"
        elif markers:
            kind = "emphasis"
        return _Cut(position, kind, markers)

    def _fits(self, position: int, markers: Open) -> bool:
        """Refuse the last position too: what stands before it is not read to its end."""
        return position < len(self._text) and position + len(closing(markers)) <= self._room

    def _fence_start(self, position: int) -> int:
        return max(s.first for s in self._markup.stretches if s.first <= position)

    def _forced(self) -> _Cut:
        """Cut where there is no gap: between characters, and only as the last resort inside one."""
        whole: tuple[Callable[[int], bool], ...] = (self._between_characters, lambda _: True)
        for acceptable in whole:
            for position in range(min(self._room, len(self._text)), 0, -1):
                markers = self._markup.at(position)
                if markers is not None and self._fits(position, markers) and acceptable(position):
                    return _Cut(position, "forced", markers)
        position = min(self._room, len(self._text))
        return _Cut(position, "forced", ())

    def _between_characters(self, position: int) -> bool:
        return self._text[position - 1] != "\\" and is_boundary(self._text, position)
