"""The memory of the key-value cache, exactly as llama.cpp allots it.

For every token that is looked back at, a layer keeps its keys and its values:

    bytes per token = 2 * layers * KV heads * head size * bytes per number

The factor 2 is keys and values; grouped-query attention is in the number of KV heads. That holds for models
whose layers all look back at everything. A sliding-window layer keeps no more than its window and the batch
that is being evaluated; a recurrent layer keeps a state of fixed size for each sequence; MLA keeps one
compressed vector, and no values.

Source: ggml-org/llama.cpp, src/llama-kv-cache.cpp, llama-kv-cache-iswa.cpp, llama-memory-recurrent.cpp;
`bench/kv.py` compares the figures with what a real server reports.
"""

from __future__ import annotations

from dataclasses import dataclass

from bot.model.library.quantization import NumberType, cache_type
from bot.model.library.shape import Layer, Shape

BATCH = 512
"""Tokens that llama.cpp evaluates at a time (`--ubatch-size`)."""
_CELLS = 256
"""A context is allotted in steps of so many tokens."""
_STATE = 4
"""Bytes; the state of a recurrent layer is always F32."""


@dataclass(frozen=True)
class Use:
    """How a model is run: `context` in tokens for each of `parallel` sequences, and the cache's type."""

    context: int
    parallel: int = 1
    cache_type: str = "f16"

    @property
    def numbers(self) -> NumberType:
        """Give the type of the numbers in the cache. Raises TableError for one that no cache is kept in."""
        return cache_type(self.cache_type)


@dataclass(frozen=True)
class Cache:
    """The bytes a cache takes.

    `per_token` is what one more token of context adds, for each sequence, once windows are full; `layers`
    what each layer takes in all, `state` the part of it that is the recurrent layers'.
    """

    per_token: int
    layers: tuple[int, ...]
    state: int

    @property
    def total(self) -> int:
        """Give the bytes of the whole cache, states included."""
        return sum(self.layers)


def cache_of(shape: Shape, use: Use) -> Cache:
    """Count the cache of a model. Raises TableError where the cache's type does not fit its rows."""
    numbers = use.numbers
    per_token = sum(_row(layer, numbers) for layer in shape.layers if not layer.window)
    layers = tuple(
        use.parallel * (_row(layer, numbers) * cells(layer, use.context) + _STATE * layer.state)
        for layer in shape.layers
    )
    return Cache(per_token, layers, use.parallel * _STATE * sum(layer.state for layer in shape.layers))


def cells(layer: Layer, context: int) -> int:
    """Give the tokens that a layer has room for, in each sequence."""
    whole = padded(context)
    return padded(min(whole, layer.window + BATCH)) if layer.window else whole


def padded(context: int) -> int:
    """Give a context as it is allotted, in tokens."""
    return -(-context // _CELLS) * _CELLS


def _row(layer: Layer, numbers: NumberType) -> int:
    return numbers.bytes_for(layer.keys) + numbers.bytes_for(layer.values)
