"""A plan as a picture: memory against context length, with the lines of what the machine has.

It is drawn in a process of its own, `python -m bot.model.library.chart`, the graph as JSON in, PNG out.
"""

from __future__ import annotations

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
    TEXT,
    TITLE,
    YELLOW,
    Box,
    Place,
    along,
    as_png,
    font,
    label,
    write,
)
from bot.model.library.plan import GIB, Plan, plan
from bot.painting import painted

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

WIDTH, HEIGHT = 800, 540
LEFT, RIGHT, TOP, BOTTOM = 110, 752, 116, 460
LIMITS = (YELLOW, ORANGE)
LINE, DOT, GAP = 5, 8, 6
_SHORTEST = 1024


@dataclass(frozen=True)
class Graph:
    """What is drawn: memory in GiB at each context in tokens, the weights' share, lines of what there is.

    At the context `asked` for there is a dot, with its memory in GiB (`takes`); at 0 there is none.
    """

    title: str
    contexts: list[int]
    memory: list[float]
    weights: float
    limits: list[tuple[str, float]]
    asked: int = 0
    takes: float = 0.0


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
        made.use.context if contexts[0] <= made.use.context <= contexts[-1] else 0,
        made.total / GIB,
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
    shown = [(name, gib, colour) for (name, gib), colour in zip(graph.limits, LIMITS, strict=False)]
    for _, gib, colour in shown:
        if gib <= most:
            pen.line((LEFT, upward(gib, most), RIGHT, upward(gib, most)), fill=colour, width=3)
    pen.line(points, fill=BLUE, width=LINE, joint="curve")
    if graph.asked:
        x, y = across(graph, graph.asked), upward(graph.takes, most)
        pen.ellipse((x - DOT, y - DOT, x + DOT, y + DOT), fill=TEXT)
    _name(pen, graph, most, shown, points)
    return as_png(image)


def _name(
    pen: ImageDraw,
    graph: Graph,
    most: float,
    limits: list[tuple[str, float, str]],
    points: list[tuple[float, float]],
) -> None:
    """Write what the lines are, where that covers none of them; what lies above the picture is told there."""
    seen = [(name, upward(gib, most), gib, colour) for name, gib, colour in limits if gib <= most]
    taken = along(points, LINE + 4) + [(LEFT, y - 2, RIGHT, y + 2) for _, y, _, _ in seen]
    inside: Box = (LEFT, TOP - 6, WIDTH - 8, BOTTOM)
    if graph.asked:
        x, y = across(graph, graph.asked), upward(graph.takes, most)
        taken.append((x - DOT, y - DOT, x + DOT, y + DOT))
        text = f"{_tokens(graph.asked)}: {graph.takes:.1f} GiB"
        label(pen, text, LETTERS, TEXT, _around(x, y), taken, inside)
    crowded = [
        (name, colour)
        for name, y, gib, colour in seen
        if not label(pen, f"{name}: {gib:.0f} GiB", LETTERS, colour, _beside(y), taken, inside)
    ]
    low = [("rd", RIGHT - 12.0, BOTTOM - 5.0), ("ld", LEFT + 12.0, BOTTOM - 5.0)]
    label(pen, "weights", LETTERS, PALE_BLUE, low, taken, inside)
    label(pen, "with the cache", LETTERS, BLUE, _around(*points[-1])[2:], taken, inside)
    at = RIGHT + 0.0
    for name, gib, colour in reversed(limits):
        if gib > most or (name, colour) in crowded:
            text = f"{name}: {gib:.0f} GiB" + (", far above" if gib > most else "")
            write(pen, (at, TOP - 22), text, LETTERS, colour, "rm")
            at -= pen.textlength(text, font=font(LETTERS)) + 24


def _around(x: float, y: float) -> list[Place]:
    """Give the places around a dot, above it first."""
    far = DOT + GAP
    return [
        ("md", x, y - far), ("ma", x, y + far), ("rd", x - far, y - GAP), ("la", x + far, y + GAP),
        ("rm", x - 2 * far, y), ("ra", x - far, y + far),
    ]  # fmt: skip


def _beside(y: float) -> list[Place]:
    """Give the places along a line across the picture, above it first."""
    ends = (("l", LEFT + 12.0), ("m", (LEFT + RIGHT) / 2), ("r", RIGHT - 12.0))
    return [(side + "d", x, y - GAP) for side, x in ends] + [(side + "a", x, y + GAP) for side, x in ends]


def _tokens(context: int) -> str:
    return f"{context / 1024:.3g}k"


def ceiling(graph: Graph) -> float:
    """Give the GiB at the upper edge: room for the line, and for limits that are not far above it."""
    highest = max(graph.memory)
    lowest = min((gib for _, gib in graph.limits), default=0.0)
    near = [gib for _, gib in graph.limits if gib <= (4 if gib == lowest else 2) * highest]
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
        write(pen, (across(graph, context), BOTTOM + 12), _tokens(context), LETTERS, anchor="ma")
    step = next(one for one in (0.1, 0.25, 0.5, 1, 2, 5, 10, 25, 50, 100, 250, 1000) if most / one <= 6)
    for number in range(int(most / step) + 1):
        y = upward(number * step, most)
        pen.line((LEFT, y, RIGHT, y), fill=GRID, width=1)
        write(pen, (LEFT - 12, y), f"{number * step:g}", LETTERS, anchor="rm")
    write(pen, (LEFT - 12, TOP - 20), "GiB", LETTERS, FAINT, "rm")
    write(pen, (RIGHT, HEIGHT - 12), "tokens of context", LETTERS, FAINT, "rd")


if __name__ == "__main__":
    main()
