"""How many numbers of a token llama.cpp holds at the same time while it evaluates a layer.

Which tensors are alive together is decided by ggml's allocator, so that these are no formulas of its source
but fits to what it reports: `bench/kv.py` says how well they fit for models of 15 architectures.
"""

from __future__ import annotations

from dataclasses import dataclass

_RESIDUAL = 5
"""Hidden sizes that stand beside a layer's own numbers."""


@dataclass(frozen=True)
class Widths:
    """What a token becomes on its way through a layer, in numbers; 0 for what the model has not.

    `query` is heads times head size, twice that where attention has a gate. `experts` are those that a token
    meets, each `expert` wide. `latent` is what MLA makes of a token for all heads: twice the compressed
    vector, once the query. `inner` is the width of a Mamba layer, with `mixed` numbers of its groups' states
    beside it in Mamba 2. `convolution` is what a gated delta net or a short convolution works on.
    """

    hidden: int
    feed_forward: int = 0
    query: int = 0
    experts: int = 0
    expert: int = 0
    latent: int = 0
    inner: int = 0
    mixed: int = 0
    convolution: int = 0

    @property
    def widest(self) -> int:
        """Give the numbers of one token where most of them are held."""
        routed = self.experts * self.expert
        beside = max(3 * self.feed_forward, 2 * self.query, 3 * routed, self.latent, 2 * self.convolution)
        mamba = (
            6 * self.inner + 2 * self.mixed + 6 * self.hidden if self.mixed else 8 * self.inner + self.hidden
        )
        return max(_RESIDUAL * self.hidden + beside, 2 * self.experts * (self.hidden + self.expert), mamba)
