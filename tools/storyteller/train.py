"""Training on a CPU: Muon inside the blocks, AdamW on the embedding and the norms, one pass over fresh text.

Each worker thread takes a part of the rows through a copy of the network that shares its weights, one core
each. So nothing waits within an operation, which is what costs on a machine that does other things too.
"""

from __future__ import annotations

import math
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from tools.storyteller.data import Batch, batch, exercise
from tools.storyteller.model import Shape, Storyteller, rotation
from tools.storyteller.muon import Muon
from tools.storyteller.tokens import SPECIALS

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MUON_RATE, MUON_DECAY = 0.02, 0.02
ADAM_RATE = 0.004
WARMUP = 30
EXERCISES = 180
"""Steps of copying random tokens before the first story: the habit forms there at a tenth of the cost."""


@dataclass(frozen=True)
class Cycle:
    """A stretch of training that begins with a fresh optimizer: its steps and the share of the full rate."""

    begin: int
    steps: int
    peak: float
    brief: float
    """Share of brief answers at its beginning; it falls to `LEAST_BRIEF` by the middle."""

    def rate(self, step: int) -> float:
        """Give the share of the full rate: a short rise, a plateau, then a straight line down to nothing."""
        done = step - self.begin
        if done < WARMUP:
            return self.peak * (done + 1) / WARMUP
        return self.peak * min(1.0, max(0.0, (self.steps - done) / (0.6 * self.steps)))

    def brief_share(self, step: int) -> float:
        """Give the share of brief answers: names and things, the part that is hard, without the rest."""
        done = (step - self.begin) / self.steps
        return max(LEAST_BRIEF, self.brief * (1 - 2 * done)) if self.brief else 0.0


LEAST_BRIEF = 0.03
CYCLES = (Cycle(0, 1080, peak=1.0, brief=0.0), Cycle(1080, 720, peak=0.7, brief=0.6))


class Workers:
    """Copies of a network that share its weights and work side by side on parts of a batch."""

    def __init__(self, network: Storyteller, count: int) -> None:
        self.network = network
        self.copies = [network] + [Storyteller(network.shape) for _ in range(count - 1)]
        self.pool = ThreadPoolExecutor(count)
        for copy in self.copies[1:]:
            for mine, shared in zip(copy.parameters(), network.parameters(), strict=True):
                mine.data = shared.data

    def _part(self, index: int, data: Batch, total: float) -> float:
        network, count = self.copies[index], len(self.copies)
        ids = torch.from_numpy(data.ids[index::count])
        weights = torch.from_numpy(data.weights[index::count])
        cos, sin = rotation(network.shape, torch.from_numpy(data.positions[index::count]))
        loss = network.loss(network(ids[:, :-1], cos, sin), ids[:, 1:], weights) / total
        loss.backward()
        return float(loss.item())

    def backward(self, data: Batch) -> float:
        """Leave the gradient of a batch in the parameters and give its loss in nats per learned token."""
        total = float(data.weights.sum())
        jobs = [self.pool.submit(self._part, index, data, total) for index in range(len(self.copies))]
        loss = sum(job.result() for job in jobs)
        for copy in self.copies[1:]:
            for parameter, other in zip(self.network.parameters(), copy.parameters(), strict=True):
                parameter.grad.add_(other.grad)
                other.grad = None
        return loss


def train(tokenizer: Tokenizer, shape: Shape, seed: int, folder: Path, first: int = 0) -> Storyteller:
    """Train and give the network. `folder` gets `weights.pt` now and then and `cycle-N.pt` after each cycle.

    `first` is the cycle to begin with, from the weights that the one before left in `folder`.
    """
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    network = Storyteller(shape)
    if first:
        network.load_state_dict(torch.load(folder / f"cycle-{first - 1}.pt")["weights"])
    workers = Workers(network, 2)
    for number, cycle in enumerate(CYCLES[first:], first):
        _train_cycle(workers, cycle, tokenizer, seed, folder)
        _save(network, folder / f"cycle-{number}.pt")
    return network


def _save(network: Storyteller, file: Path) -> None:
    torch.save({"shape": network.shape.as_dict(), "weights": network.state_dict()}, file)


def _batch(step: int, cycle: Cycle, tokenizer: Tokenizer, seed: int, shape: Shape) -> Batch:
    if step < EXERCISES:
        return exercise(seed, step, shape.vocabulary, len(SPECIALS))
    return batch(seed, step, tokenizer, shape.context, cycle.brief_share(step))


def _optimizers(network: Storyteller) -> tuple[Muon, torch.optim.AdamW]:
    matrices = [p for p in network.blocks.parameters() if p.ndim == 2]
    inside = {id(p) for p in matrices}
    others = [p for p in network.parameters() if id(p) not in inside]
    return Muon(matrices), torch.optim.AdamW(others, lr=ADAM_RATE, betas=(0.9, 0.98), weight_decay=0.0)


def _train_cycle(workers: Workers, cycle: Cycle, tokenizer: Tokenizer, seed: int, folder: Path) -> None:
    network, end = workers.network, cycle.begin + cycle.steps
    muon, adam = _optimizers(network)
    smooth, begun = math.nan, time.monotonic()
    with ThreadPoolExecutor(1) as ahead:
        coming = ahead.submit(_batch, cycle.begin, cycle, tokenizer, seed, network.shape)
        for step in range(cycle.begin, end):
            data = coming.result()
            coming = ahead.submit(_batch, step + 1, cycle, tokenizer, seed, network.shape)
            value, share = workers.backward(data), cycle.rate(step)
            adam.param_groups[0]["lr"] = ADAM_RATE * share
            moved = workers.pool.submit(muon.step, MUON_RATE * share, MUON_DECAY)
            adam.step()
            adam.zero_grad()
            moved.result()
            smooth = value if math.isnan(smooth) else 0.95 * smooth + 0.05 * value
            if step % 20 == 0 or step == end - 1:
                print(f"step {step:5d}  loss {smooth:.3f}  {time.monotonic() - begun:6.0f} s", flush=True)
            if step % 100 == 99:
                _save(network, folder / "weights.pt")
    _save(network, folder / "weights.pt")
