"""What each format loses on the numbers of a real model, and how large it is."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bot.errors import SetupError
from bot.model.library.block_formats import BLOCK, FORMATS, there_and_back, uniform
from bot.model.library.quantization import number_type

if TYPE_CHECKING:
    from bot.model.library.block_formats import Floats

_MOST = 1 << 20
"""Numbers looked at in all: some seconds' work. Of larger files the start of each tensor is taken."""
_UNIFORM_NAME = "uniform "
_UNIFORM = (2, 3, 4, 5, 6, 8)
_WIDTH, _HEIGHT = 64, 14


@dataclass(frozen=True)
class Loss:
    """A format's `bits` for each number, and its error: root mean square, as a share of the numbers' own."""

    name: str
    bits: float
    error: float

    @property
    def uniform(self) -> bool:
        """Say whether there is one scale for all numbers, rather than one for each block."""
        return self.name.startswith(_UNIFORM_NAME)


def losses(path: Path) -> tuple[int, list[Loss]]:
    """Measure each format on a GGUF file's matrices; give how many numbers that were, and the losses by bits.

    Blocks for some seconds. Raises SetupError where the `gguf` package is missing or the file is none.
    """
    values = _numbers(path)
    tensors = sum(value.size for value in values)
    found = [
        *(
            Loss(f"{_UNIFORM_NAME}{bits}", bits, _error(values, partial(uniform, bits=bits)))
            for bits in _UNIFORM
        ),
        *(
            Loss(name, number_type(name).bits, _error(values, partial(there_and_back, name=name)))
            for name in FORMATS
        ),
    ]
    return tensors, sorted(found, key=lambda loss: (loss.bits, loss.error))


def as_text(path: Path, numbers: int, found: list[Loss], parameters: int) -> str:
    """Give a table and a plot of error against bits. `parameters` says how large the whole file would be."""
    lines = [f"{path.name}: {numbers} of its {parameters} numbers", ""]
    lines.append(f"    {'format':<10} {'bits':>6} {'size':>12} {'error':>9}")
    for letter, loss in zip(_LETTERS, found, strict=False):
        size = f"{parameters * loss.bits / 8 / 1e6:.2f} MB"
        lines.append(f"  {letter} {loss.name:<10} {loss.bits:>6.2f} {size:>12} {loss.error:>9.3%}")
    if not all(loss.error for loss in found):
        lines.append("  What loses nothing is what the file has already.")
    return "\n".join([*lines, "", *_plot(found)])


_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def _plot(found: list[Loss]) -> list[str]:
    """Draw error, on a scale of powers, against bits, each format by its letter."""
    shown = [(letter, loss) for letter, loss in zip(_LETTERS, found, strict=False) if loss.error > 0]
    heights = [math.log10(loss.error) for _, loss in shown]
    low, high, wide = min(heights), max(heights), max(loss.bits for _, loss in shown)
    rows = [[" "] * (_WIDTH + 1) for _ in range(_HEIGHT + 1)]
    for (letter, loss), height in zip(shown, heights, strict=True):
        row = round((high - height) / ((high - low) or 1) * _HEIGHT)
        rows[row][round(loss.bits / wide * _WIDTH)] = letter
    marks = [10 ** (high - (high - low) * row / _HEIGHT) for row in range(_HEIGHT + 1)]
    drawn = [f"{mark:>9.3%} |{''.join(row).rstrip()}" for mark, row in zip(marks, rows, strict=True)]
    return [*drawn, f"{'':>9} +{'-' * _WIDTH}", f"{'':>9}  0{'bits per weight':^{_WIDTH - 4}}{wide:.0f}"]


def _numbers(path: Path) -> list[Floats]:
    """Read matrices out of the file, as rows of whole blocks."""
    try:
        gguf = importlib.import_module("gguf")
    except ImportError:
        hint = "Install it: .venv/bin/python -m pip install gguf"
        raise SetupError("This needs the gguf package, which the bot does without.", hint=hint) from None
    try:
        matrices = [tensor for tensor in gguf.GGUFReader(path).tensors if len(tensor.shape) > 1]
        share = max(BLOCK, _MOST // max(1, len(matrices)) // BLOCK * BLOCK)
        flat = [_start(gguf, tensor, share) for tensor in matrices]
    except (OSError, ValueError, KeyError, IndexError, NotImplementedError) as error:
        raise SetupError(
            f"{path} cannot be read as numbers ({error}).", hint="Take another GGUF file."
        ) from None
    found = [one for one in flat if one.size]
    if not found:
        raise SetupError(f"{path} has no matrices.", hint="Take another GGUF file.")
    return found


def _start(gguf: Any, tensor: Any, share: int) -> Floats:
    """Give the first numbers of a tensor, no more rows of it unpacked than that takes."""
    rows = tensor.data.reshape(-1, tensor.data.shape[-1])
    width = int(tensor.shape[0])
    taken = rows[: -(-share // width)]
    values = gguf.quants.dequantize(taken, tensor.tensor_type)
    whole = min(values.size, share) // BLOCK * BLOCK
    found: Floats = values.reshape(-1)[:whole].reshape(-1, BLOCK).astype("float32")
    return found


def _error(values: list[Floats], change: Callable[[Floats], Floats]) -> float:
    off = sum(float(((change(one) - one) ** 2).sum()) for one in values)
    of = sum(float((one**2).sum()) for one in values)
    return math.sqrt(off / of) if of else 0.0
