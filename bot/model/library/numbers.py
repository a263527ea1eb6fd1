"""A model's shape from the few numbers that its makers publish."""

from __future__ import annotations

from dataclasses import dataclass

from bot.errors import TableError
from bot.model.library.shape import Shape, Weights, uniform
from bot.model.library.widths import Widths

_BOUNDS = {"hidden": 1_000_000, "layers": 10_000, "heads": 100_000, "kv_heads": 100_000, "head_size": 100_000}


@dataclass(frozen=True)
class Numbers:
    """What a model's page says. `parameters` in billions, 0 where unknown; `bits` per weight.

    `feed_forward` is the width of what a token passes through, of all experts it meets; 0: the usual four
    times `hidden`. `latent` is what MLA keeps of a token, 0: the model has none.
    """

    hidden: int
    layers: int
    heads: int
    kv_heads: int | None = None
    head_size: int | None = None
    vocabulary: int = 0
    context: int = 0
    parameters: float = 0
    active_parameters: float = 0
    bits: float = 16
    feed_forward: int = 0
    latent: int = 0


def from_numbers(numbers: Numbers) -> Shape:
    """Give the shape of a model whose layers are all alike. Raises TableError for senseless numbers."""
    for name, most in _BOUNDS.items():
        value = getattr(numbers, name)
        if value is not None and not 0 < value <= most:
            raise TableError(f"{value} makes no sense as {name.replace('_', ' ')}.")
    kv_heads = numbers.kv_heads or numbers.heads
    if numbers.heads % kv_heads:
        raise TableError(
            f"{numbers.heads} heads cannot share {kv_heads} KV heads.", hint="Look at its config.json."
        )
    if not 0 <= numbers.parameters <= 100_000 or not 0 < numbers.bits <= 32:
        raise TableError(f"{numbers.parameters} billion parameters of {numbers.bits} bits make no sense.")
    size, feed_forward = _head_size(numbers), numbers.feed_forward or 4 * numbers.hidden
    latent = numbers.heads * (2 * numbers.latent + size) if numbers.latent else 0
    widths = Widths(numbers.hidden, feed_forward, numbers.heads * size, latent=latent)
    return Shape(
        layers=uniform(numbers.layers, kv_heads, size),
        hidden=numbers.hidden,
        vocabulary=numbers.vocabulary,
        feed_forward=feed_forward,
        widest=widths.widest,
        context=numbers.context,
        weights=_weights(numbers),
    )


def _head_size(numbers: Numbers) -> int:
    if numbers.head_size:
        return numbers.head_size
    if numbers.hidden % numbers.heads:
        raise TableError(
            f"A hidden size of {numbers.hidden} cannot be shared by {numbers.heads} heads.",
            hint="Give the size of a head too.",
        )
    return numbers.hidden // numbers.heads


def _weights(numbers: Numbers) -> Weights:
    """Share out the bytes: embeddings and output where the vocabulary is known, the rest by layers."""
    if not numbers.parameters:
        return Weights()
    total = int(numbers.parameters * 1e9 * numbers.bits / 8)
    ends = min(int(numbers.vocabulary * numbers.hidden * numbers.bits / 8), total // 2)
    each, rest = divmod(total - 2 * ends, numbers.layers)
    layers = (each + rest, *(each,) * (numbers.layers - 1))
    active = numbers.active_parameters / numbers.parameters if numbers.active_parameters else 1.0
    return Weights(layers, ends, ends, active=active)
