"""What pictures of models are drawn with: colours that read on a dark page, letters that read on a phone."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont

TITLE, LETTERS = 34, 25
"""Heights in pixels, for a picture of 800."""
BACKGROUND, GRID, TEXT, FAINT = "#313338", "#42454b", "#f2f3f5", "#8b9097"
BLUE, PALE_BLUE, SHADE = "#4f9bdc", "#a5d8f7", "#3d5a73"
YELLOW, ORANGE = "#f4ea6b", "#e8a013"


def write(
    pen: ImageDraw, at: tuple[float, float], text: str, size: int, colour: str = TEXT, anchor: str = "la"
) -> None:
    """Write a line; `anchor` is Pillow's: which point of the text is meant."""
    pen.text(at, text, fill=colour, font=font(size), anchor=anchor)


def font(size: int) -> FreeTypeFont:
    """Give Pillow's own font, `size` pixels high."""
    from PIL import ImageFont  # noqa: PLC0415  # imported when first needed: 100 ms, 10 MiB

    found = ImageFont.load_default(size)
    assert isinstance(found, ImageFont.FreeTypeFont)
    return found
