"""A plan as a picture: memory against context length, with the lines of what the machine has.

It is drawn in a process of its own, `python -m bot.model.library.chart`, the graph as JSON in, PNG out.
"""

from __future__ import annotations

import io
import json
import math
import sys
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from bot.model.library.ink import (
    BACKGROUND,
    BLUE,
    FAINT,
    GRID,
    LETTERS,
    ORANGE,
    PALE_BLUE,
    SHADE,
    TITLE,
    YELLOW,
    write,
)
from bot.model.library.plan import GIB, Plan, plan
from bot.painting import painted

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

WIDTH, HEIGHT = 800, 520
LEFT, RIGHT, TOP, BOTTOM = 110, 752, 96, 440
LIMITS = (YELLOW, ORANGE)
_SHORTEST = 1024


@dataclass(frozen=True)
class Graph:
    """What is drawn: memory in GiB at each context in tokens, the weights' share, lines of what there is."""

    title: str
    contexts: list[int]
    memory: list[float]
    weights: float
    limits: list[tuple[str, float]]


def graph_of(title: str, made: Plan) -> Graph:
    """Give a plan's graph: from 1024 tokens in doublings to what the model was trained for."""
    longest = max(made.shape.context or made.use.context, 2 * _SHORTEST)
    contexts = [_SHORTEST * 2**step for step in range(int(math.log2(longest / _SHORTEST)) + 1)]
    totals = [plan(made.shape, replace(made.use, context=one), made.machine).total for one in contexts]
    machine = made.machine
    limits = [("GPU", machine.vram), ("GPU + RAM" if machine.vram else "RAM", machine.vram + machine.ram)]
    return Graph(
        title,
        contexts,
        [total / GIB for total in totals],
        made.shape.weights.total / GIB,
        [(name, size / GIB) for name, size in limits if size],
    )


async def paint(graph: Graph) -> bytes | None:
    """Draw a graph as PNG. None if that fails; the log says why."""
    return await painted(__name__, asdict(graph))


def main() -> None:
    """Draw what standard input describes."""
    sys.stdout.buffer.write(draw(Graph(**json.load(sys.stdin))))


def draw(graph: Graph) -> bytes:
    """Draw a graph, as PNG."""
    from PIL import Image, ImageDraw  # noqa: PLC0415  # imported when first needed: 100 ms, 10 MiB

    image = Image.new("RGB", (WIDTH, HEIGHT), BACKGROUND)
    pen = ImageDraw.Draw(image)
    write(pen, (28, 26), graph.title, TITLE)
    most = ceiling(graph)
    _axes(pen, graph, most)
    points = [
        (across(graph, context), upward(gib, most))
        for context, gib in zip(graph.contexts, graph.memory, strict=True)
    ]
    floor = upward(graph.weights, most)
    pen.polygon([(LEFT, BOTTOM), (LEFT, floor), (RIGHT, floor), (RIGHT, BOTTOM)], fill=SHADE)
    write(pen, (RIGHT - 12, BOTTOM - 4), "weights", LETTERS, PALE_BLUE, "rd")
    for (name, gib), colour in zip(graph.limits, LIMITS, strict=False):
        if gib <= most:
            pen.line((LEFT, upward(gib, most), RIGHT, upward(gib, most)), fill=colour, width=3)
            write(pen, (LEFT + 12, upward(gib, most) - 4), f"{name}: {gib:.0f} GiB", LETTERS, colour, "ld")
    pen.line(points, fill=BLUE, width=5, joint="curve")
    file = io.BytesIO()
    image.quantize(64).save(file, "PNG", optimize=True)
    return file.getvalue()


def ceiling(graph: Graph) -> float:
    """Give the GiB at the upper edge: room for the line, and for a limit that is not far above it."""
    highest = max(graph.memory)
    near = [gib for _, gib in graph.limits if gib <= 2 * highest]
    return 1.12 * max([highest, *near])


def across(graph: Graph, context: int) -> float:
    """Give the pixel of a context: each doubling is as wide."""
    span = math.log2(graph.contexts[-1] / graph.contexts[0])
    return LEFT + (RIGHT - LEFT) * math.log2(context / graph.contexts[0]) / span


def upward(gib: float, most: float) -> float:
    """Give the pixel of an amount of memory."""
    return BOTTOM - (BOTTOM - TOP) * gib / most


def _axes(pen: ImageDraw, graph: Graph, most: float) -> None:
    for context in graph.contexts:
        told = f"{context // 1024}k"
        write(pen, (across(graph, context), BOTTOM + 12), told, LETTERS, anchor="ma")
    step = next(one for one in (0.1, 0.25, 0.5, 1, 2, 5, 10, 25, 50, 100, 250, 1000) if most / one <= 6)
    for number in range(int(most / step) + 1):
        y = upward(number * step, most)
        pen.line((LEFT, y, RIGHT, y), fill=GRID, width=1)
        write(pen, (LEFT - 12, y), f"{number * step:g}", LETTERS, anchor="rm")
    write(pen, (LEFT - 12, TOP - 20), "GiB", LETTERS, FAINT, "rm")
    write(pen, (RIGHT, HEIGHT - 12), "tokens of context", LETTERS, FAINT, "rd")


if __name__ == "__main__":
    main()
