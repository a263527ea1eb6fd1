"""The shape of a model, as far as memory goes: what each layer keeps for a token, and what it weighs."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Layer:
    """What one layer keeps.

    `keys` and `values` are the numbers it keeps for each token: KV heads times head size, each. Attention
    that keeps a compressed latent (MLA) has no values of its own. `window` is how many tokens back it looks,
    0 for all of them. `state` is the numbers a recurrent layer keeps for each sequence, however long that is.
    """

    keys: int = 0
    values: int = 0
    window: int = 0
    state: int = 0


@dataclass(frozen=True)
class Weights:
    """Bytes of weights: of each layer, of the input embeddings and of the output.

    `copied` is the part of the embeddings that is the output too: a GPU gets a copy of it. `active` is the
    share of the layers' bytes that one token reads: less than 1 for a mixture of experts.
    """

    layers: tuple[int, ...] = ()
    embeddings: int = 0
    output: int = 0
    copied: int = 0
    active: float = 1.0

    @property
    def total(self) -> int:
        """Give the bytes of all weights."""
        return sum(self.layers) + self.embeddings + self.output


@dataclass(frozen=True)
class Shape:
    """A model as the planner sees it.

    `context` is the length in tokens it was trained for, 0: unknown. `widest` is how many numbers of a token
    are held at the same time while it is evaluated (see `widths`).
    """

    layers: tuple[Layer, ...]
    hidden: int
    vocabulary: int = 0
    feed_forward: int = 0
    widest: int = 0
    context: int = 0
    weights: Weights = field(default_factory=Weights)


def uniform(layers: int, kv_heads: int, head_size: int) -> tuple[Layer, ...]:
    """Give the layers of a model whose layers all look back at everything."""
    return (Layer(kv_heads * head_size, kv_heads * head_size),) * layers
