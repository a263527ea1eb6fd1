"""The window as a picture that can be read on a phone."""

from __future__ import annotations

import io
from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bot import painting
from bot.prompt.inspector import ANSWERS, CARDS, HEAD, LORE, NOTES, PLAYERS, Contents, Part
from bot.scene import picture
from bot.scene.picture import BAR_HEIGHT, BAR_TOP, COLOURS, FREE, GAP, MARGIN, RESERVE, WIDTH, Painter

GROUPS = (HEAD, CARDS, PLAYERS, ANSWERS, NOTES, LORE, "Memories", "Summary")


def contents(tokens: dict[str, int], reserve: int = 400, free: int = 1000) -> Contents:
    parts = tuple(Part(group, group.lower(), number) for group, number in tokens.items())
    whole = sum(tokens.values()) + reserve + free
    return Contents(whole, parts, reserve, free, until_cut=free, exact=True)


FULL = contents(dict(zip(GROUPS, (300, 700, 610, 980, 40, 120, 200, 90), strict=True)))


@given(
    tokens=st.dictionaries(st.sampled_from(GROUPS), st.integers(0, 200_000)),
    reserve=st.integers(1, 8192),
    free=st.integers(0, 1_000_000),
)
def test_whatever_is_there_can_be_seen_and_nothing_overlaps(
    tokens: dict[str, int], reserve: int, free: int
) -> None:
    pieces = picture.stretches(contents(tokens, reserve, free))
    assert [piece.name for piece in pieces if piece.name in tokens] == [
        name for name in tokens if tokens[name]
    ]
    places = list(picture.placed(pieces))
    assert places[0][1] == MARGIN
    assert places[-1][2] in range(WIDTH - MARGIN - 3, WIDTH - MARGIN + 1)
    for (_, _, right), (_, left, _) in pairwise(places):
        assert GAP - 1 <= left - right <= GAP + 2
    for piece, left, right in places:
        assert right - left >= 2, piece


def test_each_group_has_its_colour_and_the_rest_is_hatched_or_empty() -> None:
    image = Image.open(io.BytesIO(picture.draw(FULL))).convert("RGB")
    pieces = {piece.name: (left, right) for piece, left, right in picture.placed(picture.stretches(FULL))}
    assert set(pieces) == {*GROUPS, RESERVE, FREE}
    for name, colour in COLOURS.items():
        left, right = pieces[name]
        seen = image.getpixel(((left + right) // 2, BAR_TOP + 4))
        wanted = tuple(bytes.fromhex(colour[1:]))
        assert isinstance(seen, tuple)
        assert max(abs(a - b) for a, b in zip(seen, wanted, strict=True)) < 12, name
    left, right = pieces[FREE]
    assert image.getpixel(((left + right) // 2, BAR_TOP + BAR_HEIGHT - 6)) == (0x31, 0x33, 0x38)


@pytest.mark.parametrize("kind", ["normal", "deuteranopia", "protanopia", "tritanopia"])
def test_colours_can_be_told_apart_with_any_colour_vision(kind: str) -> None:
    seen = [simulated(colour, kind) for colour in COLOURS.values()]
    for one, other in combinations(seen, 2):
        assert sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) ** 0.5 > 55


def test_colours_stand_out_from_the_background() -> None:
    """WCAG 2.1 asks for a contrast of 3 between parts of a graphic and what is next to them."""
    dark = luminance(picture.BACKGROUND)
    for colour in COLOURS.values():
        assert (luminance(colour) + 0.05) / (dark + 0.05) >= 3


def luminance(colour: str) -> float:
    shares = [value / 255 for value in bytes.fromhex(colour[1:])]
    red, green, blue = (
        share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def simulated(colour: str, kind: str) -> tuple[float, ...]:
    """Machado, Oliveira and Fernandes 2009, severity 1.0, applied to sRGB values."""
    matrices = {
        "normal": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
        "protanopia": (
            (0.152286, 1.052583, -0.204868),
            (0.114503, 0.786281, 0.099216),
            (-0.003882, -0.048116, 1.051998),
        ),
        "deuteranopia": (
            (0.367322, 0.860646, -0.227968),
            (0.280085, 0.672501, 0.047413),
            (-0.011820, 0.042940, 0.968881),
        ),
        "tritanopia": (
            (1.255528, -0.076749, -0.178779),
            (-0.078411, 0.930809, 0.147602),
            (0.004733, 0.691367, 0.303900),
        ),
    }
    rgb = bytes.fromhex(colour[1:])
    return tuple(
        sum(weight * value for weight, value in zip(row, rgb, strict=True)) for row in matrices[kind]
    )


async def test_it_is_drawn_outside_the_bot() -> None:
    drawn = await Painter().paint(FULL)
    assert drawn == picture.draw(FULL)


async def test_a_picture_that_cannot_be_drawn_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(painting, "LONGEST_S", 0.0)
    assert await Painter().paint(FULL) is None
