"""Muon: momentum whose steps are made orthogonal. It reaches the same loss in fewer tokens than AdamW.

Keller Jordan, "Muon: An optimizer for hidden layers in neural networks" (2024); the polynomial is his.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor, nn


def orthogonal(batch: Tensor, steps: int = 5) -> Tensor:
    """Give matrices near the closest orthogonal ones; `batch` is (count, rows, columns)."""
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = batch.shape[1] > batch.shape[2]
    x = batch.transpose(1, 2) if tall else batch
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(steps):
        square = x @ x.transpose(1, 2)
        x = a * x + (b * square + c * square @ square) @ x
    return x.transpose(1, 2) if tall else x


class Muon:
    """The optimizer for the matrices inside the blocks; matrices of one shape are stepped together."""

    def __init__(self, parameters: Iterable[nn.Parameter], momentum: float = 0.95) -> None:
        self.momentum = momentum
        self.groups: dict[torch.Size, list[nn.Parameter]] = defaultdict(list)
        for parameter in parameters:
            self.groups[parameter.shape].append(parameter)
        self.buffers = {shape: torch.zeros(len(ps), *shape) for shape, ps in self.groups.items()}

    @torch.no_grad()
    def step(self, rate: float, decay: float) -> None:
        """Move every matrix by `rate`, and shrink it by `rate * decay`."""
        for shape, parameters in self.groups.items():
            gradient = torch.stack([parameter.grad for parameter in parameters])
            buffer = self.buffers[shape]
            buffer.lerp_(gradient, 1 - self.momentum)
            update = orthogonal(gradient.lerp(buffer, self.momentum))
            scale = max(1.0, shape[0] / shape[1]) ** 0.5
            for parameter, change in zip(parameters, update, strict=True):
                parameter.mul_(1 - rate * decay).add_(change, alpha=-rate * scale)
                parameter.grad = None
