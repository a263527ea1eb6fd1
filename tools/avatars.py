"""Draw the shipped personas' pictures: `python tools/avatars.py` writes personas/avatars/*.png.

Flat emblems on a coloured ground, made to be recognised at 40 pixels. Shapes are polygons on a square of
100 by 100, filled with exact horizontal and sampled vertical coverage; the PNG is written by hand, so that
drawing needs nothing but Python.
"""

from __future__ import annotations

import itertools
import math
import struct
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

SIZE = 256  # pixels
SCALE = SIZE / 100
ROWS = 8  # samples down each pixel

Point = tuple[float, float]
Colour = tuple[int, int, int]


def rgb(code: str) -> Colour:
    return int(code[0:2], 16), int(code[2:4], 16), int(code[4:6], 16)


class Canvas:
    """A square picture that polygons are painted onto."""

    def __init__(self, ground: Colour) -> None:
        self.rows = [[ground] * SIZE for _ in range(SIZE)]

    def fill(self, points: Sequence[Point], colour: str) -> None:
        """Paint a polygon, its edges smoothed."""
        paint = rgb(colour)
        corners = [(x * SCALE, y * SCALE) for x, y in points]
        top = max(0, math.floor(min(y for _, y in corners)))
        bottom = min(SIZE, math.ceil(max(y for _, y in corners)))
        for y in range(top, bottom):
            for x, share in enumerate(_coverage(corners, y)):
                if share > 0:
                    self.rows[y][x] = _mix(self.rows[y][x], paint, min(share, 1.0))

    def stroke(self, points: Sequence[Point], width: float, colour: str) -> None:
        """Paint a line with round joints and ends."""
        for point in points:
            self.fill(circle(point, width / 2), colour)
        for (x1, y1), (x2, y2) in itertools.pairwise(points):
            length = math.hypot(x2 - x1, y2 - y1) or 1
            across, down = (y2 - y1) / length * width / 2, (x1 - x2) / length * width / 2
            quad = [
                (x1 + across, y1 + down),
                (x2 + across, y2 + down),
                (x2 - across, y2 - down),
                (x1 - across, y1 - down),
            ]
            self.fill(quad, colour)

    def png(self) -> bytes:
        """Give the picture as 8-bit RGB, each row as the difference to the last (https://www.w3.org/TR/png-3/)."""
        raw, above = bytearray(), bytes(SIZE * 3)
        for row in self.rows:
            line = bytes(value for pixel in row for value in pixel)
            raw.append(2)
            raw.extend((now - then) % 256 for now, then in zip(line, above, strict=True))
            above = line
        header = struct.pack(">IIBBBBB", SIZE, SIZE, 8, 2, 0, 0, 0)
        chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(raw), 9)), (b"IEND", b""))
        return b"\x89PNG\r\n\x1a\n" + b"".join(
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
            for kind, data in chunks
        )


def _coverage(corners: Sequence[Point], y: int) -> list[float]:
    """Give how much of each pixel of a row lies inside a polygon (even-odd), 0 to 1."""
    shares = [0.0] * SIZE
    for sample in range(ROWS):
        height = y + (sample + 0.5) / ROWS
        crossings = sorted(
            x1 + (height - y1) / (y2 - y1) * (x2 - x1)
            for (x1, y1), (x2, y2) in zip(corners, [*corners[1:], corners[0]], strict=True)
            if (y1 <= height) != (y2 <= height)
        )
        for left, right in zip(crossings[::2], crossings[1::2], strict=True):
            first, last = max(0, int(left)), min(SIZE - 1, int(right))
            for x in range(first, last + 1):
                shares[x] += max(0.0, min(right, x + 1) - max(left, x)) / ROWS
    return shares


def _mix(under: Colour, over: Colour, share: float) -> Colour:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(under, over, strict=True))
    return red, green, blue


def circle(centre: Point, radius: float) -> list[Point]:
    return ellipse(centre, radius, radius)


def ellipse(centre: Point, across: float, down: float, turn: float = 0) -> list[Point]:
    """An ellipse by its two radii, turned by degrees."""
    steps = [math.tau * step / 96 for step in range(96)]
    return turned(
        [(centre[0] + across * math.cos(a), centre[1] + down * math.sin(a)) for a in steps], centre, turn
    )


def box(left: float, top: float, right: float, bottom: float, corner: float = 0) -> list[Point]:
    """A rectangle with rounded corners."""
    points: list[Point] = []
    for x, y, start in (
        (right - corner, bottom - corner, 0),
        (left + corner, bottom - corner, 90),
        (left + corner, top + corner, 180),
        (right - corner, top + corner, 270),
    ):
        for step in range(0, 91, 10):
            angle = math.radians(start + step)
            points.append((x + corner * math.cos(angle), y + corner * math.sin(angle)))
    return points


def curve(*points: Point) -> list[Point]:
    """A chain of cubic Bezier curves: start, then two handles and an end for each."""
    path = [points[0]]
    for index in range(0, len(points) - 1, 3):
        a, b, c, d = points[index : index + 4]
        for step in range(1, 25):
            t = step / 24
            u = 1 - t
            weights = u**3, 3 * u * u * t, 3 * u * t * t, t**3
            path.append((_sum(weights, (a[0], b[0], c[0], d[0])), _sum(weights, (a[1], b[1], c[1], d[1]))))
    return path


def _sum(weights: Iterable[float], values: Iterable[float]) -> float:
    return sum(weight * value for weight, value in zip(weights, values, strict=True))


def turned(points: Iterable[Point], centre: Point, degrees: float) -> list[Point]:
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    (cx, cy) = centre
    return [
        (cx + (x - cx) * cosine - (y - cy) * sine, cy + (x - cx) * sine + (y - cy) * cosine)
        for x, y in points
    ]


def mirrored(points: Iterable[Point]) -> list[Point]:
    return [(100 - x, y) for x, y in points]


def ground(dark: str, light: str) -> Canvas:
    """A coloured ground with a lighter disc; Discord cuts everything outside the circle away."""
    canvas = Canvas(rgb(dark))
    canvas.fill(circle((50, 50), 45), light)
    return canvas


def narrator() -> Canvas:
    """A bell half sunk in a lake."""
    canvas = ground("0f2733", "1b4656")
    canvas.stroke(curve((42, 20), (42, 9), (58, 9), (58, 20)), 5, "f0c04f")
    half = curve((50, 18), (66, 18), (70, 32), (71, 46), (72, 58), (76, 62), (82, 68))
    canvas.fill([*half, (18, 68), *reversed(mirrored(half))], "f0c04f")
    shade = curve((58, 19), (66, 22), (70, 34), (71, 46), (72, 58), (76, 62), (82, 68))
    inner = curve((66, 68), (63, 62), (61, 56), (61, 44), (61, 32), (60, 24), (58, 19))
    canvas.fill([*shade, *inner], "cf942f")
    canvas.stroke([(21, 61.5), (79, 61.5)], 2.4, "8a5c1c")
    for level, colour in ((66, "3b93a6"), (77, "2a7286"), (88, "1d566a")):
        crest = [
            (x, level + 2.6 * math.sin((x + level * 3) / 100 * math.tau * 2.5)) for x in range(0, 101, 2)
        ]
        canvas.fill([*crest, (100.0, 100.0), (0.0, 100.0)], colour)
    return canvas


def marta() -> Canvas:
    """A tankard with a good head on it."""
    canvas = ground("4a1d18", "7c3327")
    canvas.stroke(curve((66, 42), (90, 38), (90, 72), (66, 70)), 7, "e8dcc6")
    canvas.fill([(25, 36), (69, 36), (72, 83), (22, 83)], "c9853f")
    for left, right in ((33, 35.5), (46, 48.5), (58.5, 61)):
        canvas.fill(
            [(left, 36), (right, 36), (right + (right - 47) * 0.06, 83), (left + (left - 47) * 0.06, 83)],
            "a5652a",
        )
    canvas.fill([(24.4, 46), (69.6, 46), (70, 53), (24, 53)], "e8dcc6")
    canvas.fill([(22.7, 71), (71.3, 71), (71.8, 78), (22.2, 78)], "e8dcc6")
    for x, y, radius in ((28, 33, 8.5), (38, 27, 10), (50, 25, 10.5), (61, 28, 9.5), (67, 34, 7.5)):
        canvas.fill(circle((x, y), radius), "fff4de")
    canvas.fill(box(21, 31, 73, 41, 5), "fff4de")
    canvas.fill(box(29, 36, 36, 57, 3.5), "fff4de")
    return canvas


def corvin() -> Canvas:
    """Two rapiers, crossed."""
    canvas = ground("123526", "205740")
    for mirror in (False, True):
        blade = [(50, 7), (52.6, 14), (53.6, 66), (46.4, 66), (47.4, 14)]
        ridge = [(50, 7), (52.6, 14), (53.6, 66), (50, 66)]
        grip = box(47, 72, 53, 87, 2)
        guard = box(36, 66, 64, 71.5, 2.7)
        pommel = circle((50, 89), 4.6)
        cup = curve((39, 70), (40, 83), (60, 83), (61, 70))
        for shape, colour in (
            (blade, "eef3f4"),
            (ridge, "b9c6cb"),
            (grip, "6b3f22"),
            (cup, "c58f2f"),
            (guard, "ecb94e"),
            (pommel, "ecb94e"),
        ):
            points = turned([(x, y + 2) for x, y in shape], (50, 50), 40)
            canvas.fill(mirrored(points) if mirror else points, colour)
    return canvas


def ilse() -> Canvas:
    """An open eye with a moon in it."""
    canvas = ground("281d45", "43316f")
    lid = [*curve((10, 52), (28, 24), (72, 24), (90, 52)), *curve((90, 52), (72, 78), (28, 78), (10, 52))]
    canvas.fill(lid, "f4eefc")
    canvas.fill(circle((50, 51), 19.5), "7a5cc4")
    canvas.fill(circle((50, 51), 15), "2c2050")
    canvas.fill(circle((50, 51), 11.5), "ffe9a8")
    canvas.fill(circle((55, 48), 9.6), "2c2050")
    canvas.stroke(curve((10, 52), (28, 24), (72, 24), (90, 52)), 4.5, "c9b6f2")
    for x, y, length, angle in ((50, 27, 10, 0), (30, 32.5, 9, -24), (70, 32.5, 9, 24)):
        tip = turned([(x, y - length)], (x, y), angle)[0]
        canvas.stroke([(x, y - 1), tip], 4.2, "c9b6f2")
    for x, y, radius in ((37, 84, 2.6), (50, 87, 3.4), (63, 84, 2.6)):
        canvas.fill(circle((x, y), radius), "ffe9a8")
    return canvas


def tobin() -> Canvas:
    """A pair of scales: a coin against a piece of paper."""
    ink = "2d1b0c"
    canvas = ground("9a611a", "d99a33")
    canvas.fill(box(47, 22, 53, 80, 2), ink)
    canvas.fill([*curve((30, 86), (34, 77), (66, 77), (70, 86))], ink)
    canvas.fill(box(27, 83, 73, 89, 3), ink)
    canvas.stroke([(20, 33), (80, 25)], 5, ink)
    canvas.fill(circle((50, 21), 6), ink)
    for x, y in ((20, 33), (80, 25)):
        canvas.stroke([(x - 12, y + 28), (x, y), (x + 12, y + 28)], 2.4, ink)
        canvas.fill(curve((x - 15, y + 27), (x - 12, y + 41), (x + 12, y + 41), (x + 15, y + 27)), ink)
    canvas.fill(circle((20, 51), 8.5), "fff0b8")
    canvas.fill(circle((20, 51), 5.2), "f0c04f")
    canvas.fill(turned(box(73, 36, 87, 52, 1.5), (80, 44), 10), "fff6df")
    canvas.fill(curve((5, 60), (8, 74), (32, 74), (35, 60)), ink)
    canvas.fill(curve((65, 52), (68, 66), (92, 66), (95, 52)), ink)
    return canvas


def wren() -> Canvas:
    """A lute, leaning."""
    canvas = ground("7d2740", "b3425f")

    def paint(points: Sequence[Point], colour: str) -> None:
        larger = [(50 + (x - 50) * 1.14, 54 + (y - 57) * 1.14) for x, y in points]
        canvas.fill(turned(larger, (50, 54), 38), colour)

    body = [*curve((50, 36), (64, 42), (72, 54), (72, 68), (72, 82), (62, 90), (50, 90))]
    paint(box(45.5, 22, 54.5, 50, 1), "6b3a1e")
    paint(turned(box(45, 12, 55, 25, 2), (50, 24), -28), "512a14")
    paint([*body, *reversed(mirrored(body))], "8a4b22")
    small = [(50 + (x - 50) * 0.86, 64 + (y - 64) * 0.88) for x, y in body]
    paint([*small, *reversed(mirrored(small))], "f2c987")
    paint(circle((50, 62), 7.6), "8a4b22")
    paint(circle((50, 62), 5.2), "3f1f10")
    paint(box(38, 77, 62, 81, 1.5), "6b3a1e")
    for x, colour in ((47.4, "fff6df"), (50, "7fd0d6"), (52.6, "fff6df")):
        paint([(x - 0.5, 23), (x + 0.5, 23), (x + 0.6, 79), (x - 0.6, 79)], colour)
    return canvas


PICTURES: tuple[Callable[[], Canvas], ...] = (narrator, marta, corvin, ilse, tobin, wren)


def main() -> None:
    folder = Path(__file__).parents[1] / "personas" / "avatars"
    folder.mkdir(parents=True, exist_ok=True)
    for picture in PICTURES:
        data = picture().png()
        (folder / f"{picture.__name__}.png").write_bytes(data)
        print(f"{picture.__name__}.png: {len(data):,} bytes")


if __name__ == "__main__":
    main()
