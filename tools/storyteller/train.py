"""Training on a CPU: Muon inside the blocks, AdamW on the embedding and the norms, one pass over fresh text.

Each worker thread takes a part of the rows through a copy of the network that shares its weights, one core
each. So nothing waits within an operation, which is what costs on a machine that does other things too.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tools.storyteller.data import Batch, batch, exercise
from tools.storyteller.model import Shape, Storyteller, rotation
from tools.storyteller.muon import Muon
from tools.storyteller.tokens import SPECIALS

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MUON_RATE, MUON_DECAY = 0.02, 0.02
ADAM_RATE = 0.004
WARMUP = 30
EXERCISES = 220
"""Steps of copying random tokens before the first story: the habit forms there at a tenth of the cost."""


STEPS = 3000
BRIEF, LEAST_BRIEF = 0.6, 0.03
"""Share of brief answers in the first stories and in the last."""
STRANGE_STEPS, STRANGE_RATE, STRANGE = 1200, 0.6, 0.45
"""After the stories: steps of such in which many things bear names that no list holds, the share of the full
rate they begin with, and how many do. Players say more words than any corpus has."""
COPYING = 4
"""One of so many of those steps is an exercise: so every token of the grown vocabulary is met."""
RARE = 1e-5
"""Epsilon of AdamW then. At its usual 1e-8 a token not met moves as far as one that is, away from all."""


def schedule(step: int, steps: int) -> float:
    """Give the share of the full rate: a short rise, a plateau, then a straight line down to nothing."""
    return min(1.0, (step + 1) / WARMUP, max(0.0, (steps - step) / (0.65 * steps)))


def brief_share(step: int, steps: int) -> float:
    """Give the share of brief answers: names and things come first, the part that is hard."""
    return max(LEAST_BRIEF, BRIEF * (1 - (step - EXERCISES) / (0.4 * (steps - EXERCISES))))


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


def relate(embedding: Tensor, tokenizer: Tokenizer) -> None:
    """Begin with like vectors for tokens that differ in a leading space or a capital alone: `Ann` and ` Ann`.

    Then a word that is copied from the head of a line into the middle of one needs no mapping of its own.
    """
    width = embedding.shape[1]
    space, capital = torch.randn(width), torch.randn(width)
    roots: dict[str, Tensor] = {}
    for token in range(embedding.shape[0]):
        text = tokenizer.decode([token], skip_special_tokens=False)
        root = roots.setdefault(text.strip().lower() or text, torch.randn(width))
        vector = 0.85 * root + 0.25 * torch.randn(width)
        vector += 0.35 * space * text.startswith(" ") + 0.3 * capital * text.strip()[:1].isupper()
        embedding[token] = 0.05 * vector


def grow(network: Storyteller, tokenizer: Tokenizer, grown: Tokenizer) -> Storyteller:
    """Give the network with the tokens of `grown`. Those of `tokenizer` keep their vectors.

    A new one takes that of the same word in another spelling (`Ann` and ` Ann`), moved as such pairs are on
    average, or one that is drawn like them.
    """
    known, before = tokenizer.get_vocab(), network.embedding.weight.data
    space = _direction(before, known, lambda token: f"Ġ{token}")
    capital = _direction(before, known, str.capitalize)

    def moved(token: str) -> Tensor:
        return space * token.startswith("Ġ") + capital * token.removeprefix("Ġ")[:1].isupper()

    roots = {token.removeprefix("Ġ").lower(): before[known[token]] - moved(token) for token in sorted(known)}
    mean, spread = before.mean(0), before.std(0)
    after = Storyteller(replace(network.shape, vocabulary=grown.get_vocab_size()))
    after.load_state_dict(network.state_dict() | {"embedding.weight": after.embedding.weight})
    for token, place in sorted(grown.get_vocab().items(), key=lambda item: item[1]):
        drawn = mean + spread * torch.randn(before.shape[1])
        root = roots.setdefault(token.removeprefix("Ġ").lower(), drawn)
        after.embedding.weight.data[place] = before[known[token]] if token in known else root + moved(token)
    return after


def _direction(vectors: Tensor, known: dict[str, int], spelt: Callable[[str], str]) -> Tensor:
    """Give the mean way from a word to another spelling of it."""
    pairs = [(known[a], known[spelt(a)]) for a in known if a.isalpha() and a.islower() and spelt(a) in known]
    return torch.stack([vectors[b] - vectors[a] for a, b in pairs]).mean(0)


def train(
    tokenizer: Tokenizer, grown: Tokenizer, steps: int, seed: int, folder: Path, *, told: bool = False
) -> Storyteller:
    """Train on stories in the tokens of `tokenizer`, then on strange words in those of `grown`.

    `folder` gets `weights.pt` now and then, `stories.pt` after the stories. `told`: begin with that one,
    which gives the same network.
    """
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    shape = Shape(vocabulary=tokenizer.get_vocab_size())
    network = Storyteller(shape)
    if told:
        network.load_state_dict(torch.load(folder / "stories.pt")["weights"])
    else:
        relate(network.embedding.weight.data, tokenizer)
        _learn(
            network,
            folder,
            steps,
            lambda step: _batch(step, steps, tokenizer, seed, shape),
            lambda step: schedule(step, steps),
        )
        _save(network, folder / "stories.pt")
    torch.manual_seed(seed + 1)
    network = grow(network, tokenizer, grown)
    _learn(
        network,
        folder,
        STRANGE_STEPS,
        lambda step: _strange_batch(steps + step, grown, seed, network.shape),
        lambda step: STRANGE_RATE * (1 - step / STRANGE_STEPS),
        epsilon=RARE,
    )
    return network


def _learn(
    network: Storyteller,
    folder: Path,
    steps: int,
    batches: Callable[[int], Batch],
    rate: Callable[[int], float],
    epsilon: float = 1e-8,
) -> None:
    """Go once over the batches of `steps` steps, each at its share of the full rate."""
    muon, adam = _optimizers(network, epsilon)
    workers = Workers(network, 2)
    smooth, begun = math.nan, time.monotonic()
    with ThreadPoolExecutor(1) as ahead:
        coming = ahead.submit(batches, 0)
        for step in range(steps):
            data, coming = coming.result(), ahead.submit(batches, step + 1)
            value, share = workers.backward(data), rate(step)
            adam.param_groups[0]["lr"] = ADAM_RATE * share
            moved = workers.pool.submit(muon.step, MUON_RATE * share, MUON_DECAY)
            adam.step()
            adam.zero_grad()
            moved.result()
            smooth = value if math.isnan(smooth) else 0.95 * smooth + 0.05 * value
            if step % 20 == 0 or step == steps - 1:
                print(f"step {step:5d}  loss {smooth:.3f}  {time.monotonic() - begun:6.0f} s", flush=True)
            if step % 100 == 99 or step == steps - 1:
                _save(network, folder / "weights.pt")


def _save(network: Storyteller, file: Path) -> None:
    torch.save({"shape": network.shape.as_dict(), "weights": network.state_dict()}, file)


def _batch(step: int, steps: int, tokenizer: Tokenizer, seed: int, shape: Shape) -> Batch:
    if step < EXERCISES:
        return exercise(seed, step, shape.vocabulary, len(SPECIALS))
    return batch(seed, step, tokenizer, shape.context, brief_share(step, steps))


def _strange_batch(step: int, tokenizer: Tokenizer, seed: int, shape: Shape) -> Batch:
    if step % COPYING == 0:
        return exercise(seed, step, shape.vocabulary, len(SPECIALS))
    return batch(seed, step, tokenizer, shape.context, LEAST_BRIEF, STRANGE)


def _optimizers(network: Storyteller, epsilon: float) -> tuple[Muon, torch.optim.AdamW]:
    matrices = [p for p in network.blocks.parameters() if p.ndim == 2]
    inside = {id(p) for p in matrices}
    others = [p for p in network.parameters() if id(p) not in inside]
    adam = torch.optim.AdamW(others, lr=ADAM_RATE, betas=(0.9, 0.98), eps=epsilon, weight_decay=0.0)
    return Muon(matrices), adam
