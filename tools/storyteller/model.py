"""The network: a small llama, laid out as llama.cpp evaluates it."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - the name the field knows
from torch import Tensor, nn


@dataclass(frozen=True)
class Shape:
    """The sizes of the network. `width` and `feed_forward` are multiples of 32, the block size of q8_0."""

    vocabulary: int = 8192
    layers: int = 6
    width: int = 192
    heads: int = 3
    feed_forward: int = 448
    context: int = 4096
    rope_base: float = 10000.0
    norm_epsilon: float = 1e-5

    @property
    def head_width(self) -> int:
        """Channels of one attention head."""
        return self.width // self.heads

    def as_dict(self) -> dict[str, int | float]:
        """The sizes as plain values, for a checkpoint."""
        return asdict(self)


def rotation(shape: Shape, positions: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines and sines of RoPE at `positions` (batch, time), each (batch, 1, time, head_width / 2)."""
    pairs = torch.arange(0, shape.head_width, 2, dtype=torch.float32)
    frequency = shape.rope_base ** (-pairs / shape.head_width)
    angle = positions.float()[:, None, :, None] * frequency
    return angle.cos(), angle.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn neighbouring channels as pairs, which is the order of llama.cpp's llama architecture."""
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1).flatten(-2)


class Block(nn.Module):
    """Attention and a gated feed-forward layer, each behind an RMS norm and added to the stream."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width = shape.width
        self.heads = shape.heads
        self.attn_norm = nn.RMSNorm(width, eps=shape.norm_epsilon)
        self.q = nn.Linear(width, width, bias=False)
        self.k = nn.Linear(width, width, bias=False)
        self.v = nn.Linear(width, width, bias=False)
        self.output = nn.Linear(width, width, bias=False)
        self.ffn_norm = nn.RMSNorm(width, eps=shape.norm_epsilon)
        self.gate = nn.Linear(width, shape.feed_forward, bias=False)
        self.up = nn.Linear(width, shape.feed_forward, bias=False)
        self.down = nn.Linear(shape.feed_forward, width, bias=False)

    @torch.no_grad()
    def lean_towards_copying(self) -> None:
        """Begin with attention to what is alike, and with passing on what was attended to.

        After Trockman and Kolter, "Mimetic initialization of self-attention layers" (2023). Measured here: a
        repeated row of random tokens is learned after 140 steps; without this it was not after 160.
        """
        self.k.weight.copy_(self.q.weight)
        self.output.weight.copy_(0.5 * self.v.weight.T)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """One layer over `x` of (batch, time, width)."""
        batch, time, width = x.shape
        h = self.attn_norm(x)
        split = (batch, time, self.heads, width // self.heads)
        q = rotate(self.q(h).view(split).transpose(1, 2), cos, sin)
        k = rotate(self.k(h).view(split).transpose(1, 2), cos, sin)
        v = self.v(h).view(split).transpose(1, 2)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.output(mixed.transpose(1, 2).reshape(batch, time, width))
        h = self.ffn_norm(x)
        return x + self.down(F.silu(self.gate(h)) * self.up(h))


class Storyteller(nn.Module):
    """The whole network. Input and output embeddings are one matrix."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.vocabulary, shape.width)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = nn.RMSNorm(shape.width, eps=shape.norm_epsilon)
        nn.init.normal_(self.embedding.weight, std=0.05)
        for name, parameter in self.blocks.named_parameters():
            if parameter.ndim == 2:
                scale = 0.3 if "output" in name or "down" in name else 1.0
                nn.init.normal_(parameter, std=scale * parameter.shape[1] ** -0.5)
        for block in self.blocks:
            block.lean_towards_copying()

    def forward(self, tokens: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Last hidden state (batch, time, width) of `tokens` (batch, time)."""
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x, cos, sin)
        return self.norm(x)

    def loss(self, hidden: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """Summed cross entropy in nats of the targets whose weight is above zero.

        Logits are computed there alone: the players' half of the text costs no output layer.
        """
        chosen = weights > 0
        logits = hidden[chosen] @ self.embedding.weight.T
        each = F.cross_entropy(logits, targets[chosen], reduction="none")
        return (each * weights[chosen]).sum()
