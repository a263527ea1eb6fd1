"""What running a model takes: memory on the GPU and beside it, the longest context, the speed to expect."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bot.errors import TableError
from bot.model.library.cache import BATCH, Cache, Use, cache_of, cells
from bot.model.library.shape import Shape

GIB = 1024**3
_LONGEST_CONTEXT = 16_777_216
_MOST_SEQUENCES = 4096
_STEP = 1024
"""Tokens; the largest context is given in steps of so many."""
_DRIVER = 512 * 1024**2
"""Bytes that a GPU's driver and libraries take for a process: an estimate, usual ones are 300 to 600 MiB."""
_SYSTEM = 2 * GIB
"""Bytes of RAM left to the system and the bot."""
_EFFICIENCY = 0.6
"""The share of a memory's rated bandwidth that generation gets: an estimate, usual ones are 0.5 to 0.8."""
_GPU_BANDWIDTH = ((8, 270), (12, 360), (16, 290), (24, 936), (32, 1790), (48, 768), (80, 1900))
"""GB/s of a common GPU of so many GiB: RTX 4060, 3060, 4060 Ti, 3090, 5090, A6000, A100, by their maker."""
RAM_BANDWIDTH = 50
"""GB/s of two channels of DDR4-3200: 51.2 by the standard."""


@dataclass(frozen=True)
class Machine:
    """What there is: memory in bytes, bandwidths in GB/s (0: that of a common GPU of this size)."""

    vram: int = 0
    ram: int = 0
    gpu_bandwidth: float = 0
    ram_bandwidth: float = RAM_BANDWIDTH

    @property
    def gpu_speed(self) -> float:
        """Give the GPU's memory bandwidth in GB/s, assumed from its size where it was not given."""
        if self.gpu_bandwidth:
            return self.gpu_bandwidth
        fitting = (speed for size, speed in _GPU_BANDWIDTH if self.vram <= size * 1.05 * GIB)
        return next(fitting, _GPU_BANDWIDTH[-1][1])


@dataclass(frozen=True)
class Plan:
    """A model on a machine. Sizes are in bytes.

    `gpu_layers` is llama.cpp's `--n-gpu-layers`: the output counts as one, and goes to the GPU first.
    `compute` and `tokens_per_second` are estimates. `largest_on_gpu` and `largest` are the longest contexts
    in tokens for each sequence, with everything on the GPU and with the RAM's help; 0 where even the weights
    are too large.
    """

    shape: Shape
    use: Use
    machine: Machine
    cache: Cache
    compute: int
    gpu_layers: int
    gpu: int
    cpu: int
    fits: bool
    largest_on_gpu: int
    largest: int
    tokens_per_second: float

    @property
    def total(self) -> int:
        """Give all memory the model takes, in bytes."""
        return self.shape.weights.total + self.cache.total + self.compute


def plan(shape: Shape, use: Use, machine: Machine) -> Plan:
    """Plan a model on a machine. Raises TableError for numbers that make no sense."""
    _check(use)
    cache = cache_of(shape, use)
    gpu_layers, gpu, cpu = _split(shape, use, machine.vram)
    return Plan(
        shape=shape,
        use=use,
        machine=machine,
        cache=cache,
        compute=compute_bytes(shape, use),
        gpu_layers=gpu_layers,
        gpu=gpu,
        cpu=cpu,
        fits=gpu <= machine.vram and cpu + _SYSTEM <= machine.ram,
        largest_on_gpu=_largest(shape, use, machine, whole=True),
        largest=_largest(shape, use, machine, whole=False),
        tokens_per_second=_speed(shape, cache, use.parallel, gpu_layers, machine),
    )


def compute_bytes(shape: Shape, use: Use) -> int:
    """Estimate llama.cpp's compute buffer with flash attention on.

    A batch's widest activations in F32 (see `widths`), the mask of each kind of attention in F16, and a
    recurrent layer's state twice for each sequence. Versions of 2024 keep the whole batch's logits too (Llama
    3 8B on CUDA with 8192 tokens: 258.5 MiB, as this says), so that it is on the safe side where the
    vocabulary is wide. How far it is off for models of 15 architectures, `bench/kv.py` says.
    """
    masks = {(bool(layer.window), cells(layer, use.context)) for layer in shape.layers if layer.keys}
    states = 2 * use.parallel * max((layer.state for layer in shape.layers), default=0)
    batch = BATCH * (4 * max(shape.vocabulary, shape.widest) + 2 * sum(tokens for _, tokens in masks))
    return batch + 4 * states


def _check(use: Use) -> None:
    if not 0 < use.context <= _LONGEST_CONTEXT:
        raise TableError(f"A context of {use.context} tokens makes no sense.", hint="Try --context 8192.")
    if not 0 < use.parallel <= _MOST_SEQUENCES:
        raise TableError(
            f"{use.parallel} sequences at the same time make no sense.", hint="Try --parallel 4."
        )


def _split(shape: Shape, use: Use, vram: int) -> tuple[int, int, int]:
    """Give the layers that fit on the GPU, and the bytes there and in RAM.

    llama.cpp puts the output on the GPU first and then the last layers, each with its part of the cache; the
    input embeddings stay in RAM (src/llama-model.cpp, load_tensors).
    """
    compute = compute_bytes(shape, use)
    output, layers = _parts(shape, cache_of(shape, use).layers)
    ordered = [output, *reversed(layers)]
    used, count = _DRIVER + compute, 0
    while count < len(ordered) and used + ordered[count] <= vram:
        used, count = used + ordered[count], count + 1
    if not count:
        return 0, 0, shape.weights.total + sum(cache_of(shape, use).layers) + compute
    return count, used, shape.weights.embeddings + sum(ordered[count:])


def _parts(shape: Shape, cached: tuple[int, ...], active: float = 1.0) -> tuple[int, list[int]]:
    """Give the bytes of the output, and of each layer with its cache, `active` of its weights counted.

    Where the output is the input embeddings, that is a copy of them.
    """
    weights = shape.weights
    layers = weights.layers or (0,) * len(cached)
    together = [
        int(active * of_weights) + of_cache for of_weights, of_cache in zip(layers, cached, strict=True)
    ]
    return weights.output + weights.copied, together


def _largest(shape: Shape, use: Use, machine: Machine, *, whole: bool) -> int:
    """Find the longest context that fits; `whole`: with every layer on the GPU."""

    def fits(steps: int) -> bool:
        layers, gpu, cpu = _split(shape, replace(use, context=steps * _STEP), machine.vram)
        if whole and layers <= len(shape.layers):
            return False
        return gpu <= machine.vram and cpu + _SYSTEM <= machine.ram

    low, high = 0, (shape.context or _LONGEST_CONTEXT) // _STEP
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low * _STEP


def _speed(shape: Shape, cache: Cache, parallel: int, gpu_layers: int, machine: Machine) -> float:
    """Estimate the tokens per second of one sequence whose window is full.

    Generation reads every active weight and one sequence's cache once for each token, and is bound by that:
    seconds = bytes / bandwidth, of the GPU's part and of the RAM's part, added up.
    """
    if not shape.weights.total:
        return 0
    alone = tuple(layer // parallel for layer in cache.layers)
    output, reads = _parts(shape, alone, shape.weights.active)
    on_gpu = len(reads) - max(0, gpu_layers - 1)
    gpu = sum(reads[on_gpu:]) + (output if gpu_layers else 0)
    cpu = sum(reads[:on_gpu]) + (0 if gpu_layers else output)
    return _EFFICIENCY / (gpu / (machine.gpu_speed * 1e9) + cpu / (machine.ram_bandwidth * 1e9))
