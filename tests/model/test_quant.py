from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from bot import cli
from bot.errors import TableError
from bot.model.library import loss_chart
from bot.model.library.block_formats import there_and_back, uniform
from bot.model.library.ink import YELLOW, Place, along, label
from bot.model.library.losses import Loss, losses
from bot.model.library.rounding import from_the_low_end, from_zero


def test_the_guides_example() -> None:
    found = from_zero(0.75, -1, 1, 4)
    assert found.step == pytest.approx(0.1333, abs=5e-5)
    assert found.q == 6
    assert found.back == pytest.approx(0.8)
    assert from_the_low_end(0.75, -1, 1, 4).q == 13


def numbers() -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return np.random.default_rng(0).standard_normal((64, 256)).astype(np.float32)


@pytest.mark.parametrize(("name", "most"), [("Q4_K", 0.08), ("Q6_K", 0.02)])
def test_blocks_in_blocks_are_read_back_by_the_gguf_package(name: str, most: float) -> None:
    """A wrong layout would give noise: an error of more than the numbers themselves."""
    values = numbers()
    back = there_and_back(values, name)
    assert 0 < np.sqrt(((back - values) ** 2).mean()) < most
    assert not there_and_back(np.zeros((2, 256), np.float32), name).any()


def test_more_bits_lose_less() -> None:
    values = numbers()
    off = [np.abs(uniform(values, bits) - values).max() for bits in (2, 4, 8)]
    assert off == sorted(off, reverse=True)
    step = (values.max() - values.min()) / 15
    assert off[1] <= step / 2 + 1e-6


def test_the_losses_of_a_real_file(tiny_gguf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, found = losses(tiny_gguf)
    error = {loss.name: loss.error for loss in found}
    assert error["F16"] == 0  # what the file has already
    assert error["Q8_0"] < error["Q6_K"] < error["Q5_0"] < error["Q4_K"] < error["Q4_0"] < error["uniform 4"]
    assert cli.main(["model", "quant", str(tiny_gguf)]) == 0
    told = capsys.readouterr().out
    assert "q  = round(0.75 / S) = round(5.625) = 6" in told
    assert "bits per weight" in told


def colour_at(picture: Image.Image, at: tuple[float, float]) -> tuple[int, ...]:
    found = picture.getpixel((round(at[0]), round(at[1])))
    assert isinstance(found, tuple)
    return found


def test_the_losses_as_a_picture(tiny_gguf: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "losses.png"
    assert cli.main(["model", "quant", str(tiny_gguf), "--plot", str(path)]) == 0
    with Image.open(path) as picture:
        seen = picture.convert("RGB")
    assert (picture.format, seen.size) == ("PNG", (loss_chart.WIDTH, loss_chart.HEIGHT))
    assert max(colour_at(seen, (5, 5))) < 80, "dark"
    _, found = losses(tiny_gguf)
    frame = loss_chart.frame_of(found)
    shown = {loss.name: frame.at(loss) for loss in found if loss.error}
    blue, yellow = (colour_at(seen, shown[name]) for name in ("Q4_0", "uniform 4"))
    assert blue[2] > blue[0] + 60
    assert yellow[0] > yellow[2] + 60
    assert "F16" not in shown, "what loses nothing has no place on the scale"
    assert cli.main(["model", "quant", str(tiny_gguf), "--plot", str(tmp_path)]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_a_label_covers_neither_a_line_nor_another_label() -> None:
    pen = ImageDraw.Draw(Image.new("RGB", (400, 200)))
    taken = along([(0, 100), (400, 100)], 5)
    places: list[Place] = [("lm", 20, 100), ("lm", 20, 60), ("lm", 20, 140)]
    inside = (0.0, 0.0, 400.0, 200.0)
    for _ in range(2):
        assert label(pen, "GPU: 12 GiB", 25, YELLOW, places, taken, inside)
    assert not label(pen, "GPU: 12 GiB", 25, YELLOW, places, taken, inside)
    assert [round((box[1] + box[3]) / 2, -1) for box in taken[-2:]] == [60, 140]


def test_nothing_lost_is_nothing_drawn() -> None:
    with pytest.raises(TableError, match="nothing to draw"):
        loss_chart.draw("", [Loss("F16", 16, 0)])


def test_a_file_without_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "no.gguf").write_bytes(b"GGUF" + bytes(100))
    assert cli.main(["model", "quant", str(tmp_path / "no.gguf")]) == 2
    assert "damaged" in capsys.readouterr().err
