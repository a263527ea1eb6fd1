"""What quantization does to one number: uniform scaling, in plain arithmetic."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rounded:
    """A number `x` kept as the integer `q` of steps of size `step`, and what comes back."""

    x: float
    step: float
    q: int
    back: float

    @property
    def error(self) -> float:
        """Give how far what comes back is off."""
        return abs(self.back - self.x)


def from_zero(x: float, low: float, high: float, bits: int) -> Rounded:
    """Round to whole steps counted from zero: S = (high - low) / (2^bits - 1), q = round(x / S)."""
    step = (high - low) / (2**bits - 1)
    q = round(x / step)
    return Rounded(x, step, q, q * step)


def from_the_low_end(x: float, low: float, high: float, bits: int) -> Rounded:
    """Round to a whole number of steps counted from `low`, so that every q is one of the 2^bits codes."""
    step = (high - low) / (2**bits - 1)
    q = round((x - low) / step)
    return Rounded(x, step, q, low + q * step)


def worked_example() -> str:
    """Give the usual example in words: 0.75 on [-1, 1] in 4 bits."""
    zero, low = from_zero(0.75, -1, 1, 4), from_the_low_end(0.75, -1, 1, 4)
    return "\n".join(
        [
            "0.75 on [-1, 1] in 4 bits:",
            f"  S  = (1 - -1) / (2^4 - 1) = 2 / 15 = {zero.step:.3f}",
            f"  q  = round(0.75 / S) = round({0.75 / zero.step:.3f}) = {zero.q}",
            f"  x' = q * S = {zero.back:.3f}, off by {zero.error:.3f}",
            "Counted from the low end instead, as codes of 0 to 15:",
            f"  q = {low.q}, x' = {low.back:.3f}, off by {low.error:.3f}",
            "No number is off by more than S / 2; which are off the most depends on where zero lies.",
        ]
    )
