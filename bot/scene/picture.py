"""The window as a picture: one stacked bar with its legend, on Discord's dark background, for a phone.

Discord shows a picture of this width at half its size on a phone: what is written is 25 pixels high at least.
It is drawn in a process of its own, `python -m bot.scene.picture`, contents as JSON in, PNG out.
"""

from __future__ import annotations

import asyncio
import io
import json
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from bot.painting import painted
from bot.prompt.inspector import ANSWERS, CARDS, HEAD, LORE, NOTES, PLAYERS, Contents, Part

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont

WIDTH = 800
MARGIN = 28
BAR_TOP, BAR_HEIGHT = 88, 84
LEGEND_TOP, ROW_HEIGHT = 204, 46
SWATCH = 26
GAP = 4  # pixels between two groups
TICK = 16  # pixels of the notch between two parts of one group
NARROWEST = 4  # pixels of what is there at all
TITLE_SIZE, TEXT_SIZE, LABEL_SIZE = 36, 27, 25

BACKGROUND = "#313338"
TEXT, FAINT, ON_COLOUR = "#f2f3f5", "#c4c9ce", "#1e1f22"
# After Okabe and Ito's palette, moved until all pairs can be told apart with any kind of colour vision and
# each has a contrast of 3 to the background (tests/scene/test_picture.py).
COLOURS = {
    HEAD: "#4f9bdc",
    CARDS: "#a5d8f7",
    LORE: "#0b8f63",
    PLAYERS: "#e8a013",
    ANSWERS: "#f4ea6b",
    NOTES: "#c9639b",
}
OTHER_COLOURS = ("#e8703a", "#b9b4ff")
RESERVE, FREE = "Kept for the answer", "Free"


@dataclass(frozen=True, slots=True)
class Stretch:
    """A piece of the bar. `colour` None stands for hatching, an empty one for nothing but an outline."""

    name: str
    tokens: int
    colour: str | None
    cuts: tuple[int, ...] = ()


def stretches(contents: Contents) -> list[Stretch]:
    """Give the pieces of the bar from left to right; what has no tokens has none."""
    others = iter(OTHER_COLOURS * 9)
    found = []
    for group, _ in contents.groups():
        cuts = tuple(part.tokens for part in contents.parts if part.group == group and part.tokens)
        found.append(Stretch(group, sum(cuts), COLOURS.get(group) or next(others), cuts))
    found += [Stretch(RESERVE, contents.reserve, None), Stretch(FREE, contents.free, "")]
    return [stretch for stretch in found if stretch.tokens]


class Painter:
    """Has pictures drawn, one at a time."""

    def __init__(self) -> None:
        self._easel = asyncio.Lock()

    async def paint(self, contents: Contents) -> bytes | None:
        """Draw what is in a window, as PNG. None if that fails; the log says why."""
        async with self._easel:
            return await painted(__name__, asdict(contents))


def main() -> None:
    """Draw what standard input describes."""
    values = json.load(sys.stdin)
    parts = tuple(Part(**part) for part in values.pop("parts"))
    contents = Contents(**{**values, "parts": parts, "short_cards": tuple(values["short_cards"])})
    sys.stdout.buffer.write(draw(contents))


def draw(contents: Contents) -> bytes:
    """Draw what is in a window, as PNG."""
    from PIL import Image, ImageDraw  # noqa: PLC0415  # imported when first needed: 100 ms, 10 MiB

    pieces = stretches(contents)
    rows = (len(pieces) + 1) // 2
    image = Image.new("RGB", (WIDTH, LEGEND_TOP + rows * ROW_HEIGHT + MARGIN // 2), BACKGROUND)
    pen = ImageDraw.Draw(image)
    _title(pen, contents)
    for stretch, left, right in placed(pieces):
        _fill(pen, stretch, (left, BAR_TOP, right, BAR_TOP + BAR_HEIGHT))
        _label(pen, stretch, left, right)
    _legend(pen, pieces, rows)
    file = io.BytesIO()
    image.quantize(64).save(file, "PNG", optimize=True)
    return file.getvalue()


def placed(pieces: list[Stretch]) -> Iterator[tuple[Stretch, int, int]]:
    """Give each piece with its first and last pixel: as wide as its share, and wide enough to be seen."""
    room = WIDTH - 2 * MARGIN - GAP * (len(pieces) - 1) - NARROWEST * len(pieces)
    total = sum(piece.tokens for piece in pieces)
    left = float(MARGIN)
    for piece in pieces:
        right = left + NARROWEST + room * piece.tokens / total
        yield piece, round(left), round(right) - 1
        left = right + GAP


def _title(pen: ImageDraw, contents: Contents) -> None:
    _write(pen, (MARGIN, 30), f"{contents.used:,} of {contents.context_length:,} tokens", TITLE_SIZE)
    how = "counted exactly" if contents.exact else "estimated"
    _write(pen, (WIDTH - MARGIN, 38), how, TEXT_SIZE, FAINT, anchor="ra")


def _fill(pen: ImageDraw, stretch: Stretch, box: tuple[int, int, int, int]) -> None:
    left, top, right, bottom = box
    if stretch.colour:
        pen.rectangle(box, fill=stretch.colour)
        at = 0
        for tokens in stretch.cuts[:-1]:
            at += tokens
            x = left + round((right - left) * at / stretch.tokens)
            pen.line((x, bottom - TICK, x, bottom), fill=BACKGROUND, width=2)
        return
    if stretch.colour is None:
        for x in range(left - (bottom - top), right, 9):
            _slash(pen, x, box)
    pen.rectangle(box, outline=FAINT, width=2)


def _slash(pen: ImageDraw, x: int, box: tuple[int, int, int, int]) -> None:
    """Draw a line of the hatching that begins at `x` on the lower edge, as far as it is inside."""
    left, top, right, bottom = box
    first, last = max(left, x), min(right, x + bottom - top)
    if first < last:
        pen.line((first, bottom - (first - x), last, bottom - (last - x)), fill=FAINT, width=2)


def _label(pen: ImageDraw, stretch: Stretch, left: int, right: int) -> None:
    """Write into the bar what a piece is, where there is room for it."""
    shown = f"{stretch.tokens:,}"
    if stretch.colour is None or pen.textlength(shown, _font(LABEL_SIZE)) + 16 > right - left:
        return
    colour = ON_COLOUR if stretch.colour else TEXT
    middle = ((left + right) / 2, BAR_TOP + BAR_HEIGHT / 2)
    _write(pen, middle, shown, LABEL_SIZE, colour, anchor="mm")


def _legend(pen: ImageDraw, pieces: list[Stretch], rows: int) -> None:
    """Name the pieces in two columns, each read downwards."""
    column = (WIDTH - 2 * MARGIN - 40) // 2
    for place, stretch in enumerate(pieces):
        left = MARGIN + (place // rows) * (column + 40)
        top = LEGEND_TOP + (place % rows) * ROW_HEIGHT
        _fill(pen, Stretch("", 1, stretch.colour), (left, top, left + SWATCH, top + SWATCH))
        middle = top + SWATCH / 2
        _write(pen, (left + SWATCH + 14, middle), stretch.name, TEXT_SIZE, anchor="lm")
        _write(pen, (left + column, middle), f"{stretch.tokens:,}", TEXT_SIZE, FAINT, anchor="rm")


def _write(
    pen: ImageDraw, at: tuple[float, float], text: str, size: int, colour: str = TEXT, anchor: str = "la"
) -> None:
    pen.text(at, text, fill=colour, font=_font(size), anchor=anchor)


def _font(size: int) -> FreeTypeFont:
    """Give Pillow's own font. It has Latin letters alone: characters' names stand beside the picture."""
    from PIL import ImageFont  # noqa: PLC0415  # as in `draw`

    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font


if __name__ == "__main__":
    main()
