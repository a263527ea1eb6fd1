"""What formats lose, as a picture: error against bits per weight, both on scales of powers."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bot.errors import TableError
from bot.model.library.ink import (
    BACKGROUND,
    BLUE,
    FAINT,
    GRID,
    LETTERS,
    PALE_BLUE,
    TITLE,
    YELLOW,
    font,
    write,
)
from bot.model.library.losses import Loss

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

WIDTH, HEIGHT = 900, 640
LEFT, RIGHT, TOP, BOTTOM = 120, 860, 130, 550
_LABEL = 22
_DOT, _GAP = 7, 13
_BITS = (2, 3, 4, 5, 6, 8, 12, 16)
_SIDES = (
    ("rm", -_GAP, 0), ("rt", -_DOT, _DOT), ("mt", 0, _GAP), ("lt", _DOT, _DOT), ("lm", _GAP, 0),
    ("lb", _DOT, -_DOT), ("mb", 0, -_GAP), ("rb", -_DOT, -_DOT),
)  # fmt: skip
"""Where a dot's name may stand, the best place first: the line runs down to the right, so left and below."""

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Frame:
    """The range of errors, in powers of ten from `low` to `high`, that the picture's height shows."""

    low: int
    high: int

    def at(self, loss: Loss) -> tuple[float, float]:
        """Give the pixel of a loss."""
        return across(loss.bits), self.upward(math.log10(loss.error))

    def upward(self, power: float) -> float:
        """Give the pixel row of an error of ten to that power."""
        return BOTTOM - (BOTTOM - TOP) * (power - self.low) / (self.high - self.low)


def across(bits: float) -> float:
    """Give the pixel column of that many bits: each doubling is as wide."""
    first, last = math.log2(_BITS[0] * 0.9), math.log2(_BITS[-1] * 1.1)
    return LEFT + (RIGHT - LEFT) * (math.log2(bits) - first) / (last - first)


def frame_of(found: list[Loss]) -> Frame:
    """Give the whole powers of ten around all errors. Raises TableError where nothing loses anything."""
    powers = [math.log10(loss.error) for loss in found if loss.error > 0]
    if not powers:
        raise TableError("Nothing is lost by any format: there is nothing to draw.")
    low, high = math.floor(min(powers)), math.ceil(max(powers))
    return Frame(low, max(high, low + 1))


def draw(title: str, found: list[Loss]) -> bytes:
    """Draw the losses, as PNG; what loses nothing has no place on the scale. Raises TableError as above."""
    from PIL import Image, ImageDraw  # noqa: PLC0415  # imported when first needed: 100 ms, 10 MiB

    frame = frame_of(found)
    image = Image.new("RGB", (WIDTH, HEIGHT), BACKGROUND)
    pen = ImageDraw.Draw(image)
    write(pen, (28, 22), title, TITLE)
    _axes(pen, frame)
    shown = [loss for loss in found if loss.error > 0]
    alone = [loss for loss in shown if loss.uniform]
    pen.line([frame.at(loss) for loss in alone], fill=YELLOW, width=3)
    taken = [_around(*frame.at(loss)) for loss in shown]
    for loss in shown:
        pen.ellipse(_around(*frame.at(loss)), fill=YELLOW if loss.uniform else BLUE)
        if not loss.uniform:  # those stand above their bits
            _name(pen, loss.name, frame.at(loss), taken)
    file = io.BytesIO()
    image.quantize(64).save(file, "PNG", optimize=True)
    return file.getvalue()


def _axes(pen: ImageDraw, frame: Frame) -> None:
    for power in range(frame.low, frame.high + 1):
        y = frame.upward(power)
        pen.line((LEFT, y, RIGHT, y), fill=GRID, width=1)
        write(pen, (LEFT - 12, y), f"{100 * 10.0**power:g} %", LETTERS, anchor="rm")
    for bits in _BITS:
        write(pen, (across(bits), BOTTOM + 12), str(bits), LETTERS, anchor="ma")
    write(pen, (28, TOP - 58), "error", LETTERS, FAINT)
    write(pen, (RIGHT, TOP - 58), "one scale for all", LETTERS, YELLOW, "ra")
    write(pen, (RIGHT - 230, TOP - 58), "real formats", LETTERS, BLUE, "ra")
    write(pen, (RIGHT, HEIGHT - 12), "bits per weight", LETTERS, FAINT, "rd")


def _name(pen: ImageDraw, name: str, at: tuple[float, float], taken: list[Box]) -> None:
    """Write a dot's name where it covers nothing, nowhere if it would: the table says it too."""
    for anchor, right, down in _SIDES:
        place = at[0] + right, at[1] + down
        box = pen.textbbox(place, name, font=font(_LABEL), anchor=anchor)
        own = _around(*at)
        if _inside(box) and not any(_meet(box, other) for other in taken if other != own):
            write(pen, place, name, _LABEL, PALE_BLUE, anchor)
            taken.append(box)
            return


def _around(x: float, y: float) -> Box:
    return x - _DOT, y - _DOT, x + _DOT, y + _DOT


def _inside(box: Box) -> bool:
    return box[0] > LEFT and box[2] < WIDTH and box[1] > TOP - 20 and box[3] < BOTTOM


def _meet(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
