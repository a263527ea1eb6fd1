"""What pictures of models are drawn with: colours that read on a dark page, letters that read on a phone."""

from __future__ import annotations

import io
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont

TITLE, LETTERS = 34, 25
"""Heights in pixels, for a picture of 800."""
BACKGROUND, GRID, TEXT, FAINT = "#313338", "#42454b", "#f2f3f5", "#8b9097"
BLUE, PALE_BLUE, SHADE = "#4f9bdc", "#a5d8f7", "#3d5a73"
YELLOW, ORANGE = "#f4ea6b", "#e8a013"

Box = tuple[float, float, float, float]
Place = tuple[str, float, float]
"""Where a label may stand: Pillow's anchor, and the point that is meant by it."""


def write(
    pen: ImageDraw, at: tuple[float, float], text: str, size: int, colour: str = TEXT, anchor: str = "la"
) -> None:
    """Write a line; `anchor` is Pillow's: which point of the text is meant."""
    pen.text(at, text, fill=colour, font=font(size), anchor=anchor)


def label(
    pen: ImageDraw, text: str, size: int, colour: str, places: Iterable[Place], taken: list[Box], inside: Box
) -> bool:
    """Write a label at the first place where it is `inside` and covers nothing that is `taken`.

    Its own place is then taken too. Gives False, and writes nothing, where there is no such place.
    """
    for anchor, x, y in places:
        box = pen.textbbox((x, y), text, font=font(size), anchor=anchor)
        fits = box[0] > inside[0] and box[1] > inside[1] and box[2] < inside[2] and box[3] < inside[3]
        if fits and not any(_meet(box, other) for other in taken):
            write(pen, (x, y), text, size, colour, anchor)
            taken.append(box)
            return True
    return False


def along(points: list[tuple[float, float]], width: float) -> list[Box]:
    """Give boxes that a line through the points lies in, each about as long as the line is wide."""
    found: list[Box] = []
    half = width / 2
    for (x, y), (to_x, to_y) in pairwise(points):
        steps = max(1, round(max(abs(to_x - x), abs(to_y - y)) / width))
        for step in range(steps + 1):
            at_x, at_y = x + (to_x - x) * step / steps, y + (to_y - y) * step / steps
            found.append((at_x - half, at_y - half, at_x + half, at_y + half))
    return found


def font(size: int) -> FreeTypeFont:
    """Give Pillow's own font, `size` pixels high."""
    from PIL import ImageFont  # noqa: PLC0415  # imported when first needed: 100 ms, 10 MiB

    found = ImageFont.load_default(size)
    assert isinstance(found, ImageFont.FreeTypeFont)
    return found


def as_png(image: Image) -> bytes:
    """Give a picture's file, small enough for a phone's connection."""
    file = io.BytesIO()
    image.quantize(64).save(file, "PNG", optimize=True)
    return file.getvalue()


def _meet(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
