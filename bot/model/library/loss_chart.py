"""What formats lose, as a picture: error against bits per weight, both on scales of powers."""

from __future__ import annotations

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
    Box,
    Place,
    along,
    as_png,
    label,
    write,
)
from bot.model.library.losses import Loss

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

WIDTH, HEIGHT = 900, 640
LEFT, RIGHT, TOP, BOTTOM = 120, 860, 130, 550
_LABEL = 22
_INSIDE = (LEFT, TOP - 20, WIDTH, BOTTOM)
_DOT, _GAP = 7, 13
_BITS = (2, 3, 4, 5, 6, 8, 12, 16)
_SIDES = (
    ("rm", -_GAP, 0), ("rt", -_DOT, _DOT), ("mt", 0, _GAP), ("lt", _DOT, _DOT), ("lm", _GAP, 0),
    ("lb", _DOT, -_DOT), ("mb", 0, -_GAP), ("rb", -_DOT, -_DOT),
)  # fmt: skip
"""Where a dot's name may stand, the best place first: the line runs down to the right, so left and below."""


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
    shown = sorted((loss for loss in found if loss.error > 0), key=lambda loss: not loss.uniform)
    line = [frame.at(loss) for loss in shown if loss.uniform]
    pen.line(line, fill=YELLOW, width=3)
    for loss in shown:  # the real formats lie on top
        pen.ellipse(_dot(*frame.at(loss)), fill=YELLOW if loss.uniform else BLUE, outline=BACKGROUND, width=2)
    taken = [_dot(*frame.at(loss)) for loss in shown] + along(line, 5)
    for loss in sorted(shown, key=lambda loss: -loss.bits):  # from the right, where there is room
        if not loss.uniform:  # those stand above their bits
            label(pen, loss.name, _LABEL, PALE_BLUE, _places(*frame.at(loss)), taken, _INSIDE)
    return as_png(image)


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


def _dot(x: float, y: float) -> Box:
    return x - _DOT, y - _DOT, x + _DOT, y + _DOT


def _places(x: float, y: float) -> list[Place]:
    """Give the places around a dot, then the same further away: a line of formats has as many bits."""
    return [(side, x + far * right, y + far * down) for far in (1, 2) for side, right, down in _SIDES]
