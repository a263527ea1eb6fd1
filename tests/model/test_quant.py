from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bot import cli
from bot.model.library.block_formats import there_and_back, uniform
from bot.model.library.losses import losses
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


def test_a_file_without_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "no.gguf").write_bytes(b"GGUF" + bytes(100))
    assert cli.main(["model", "quant", str(tmp_path / "no.gguf")]) == 2
    assert "damaged" in capsys.readouterr().err
