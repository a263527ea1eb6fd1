"""This machine, as a plan sees it."""

from __future__ import annotations

from bot.model import machine as hardware
from bot.model.library.gpus import Gpu, detect
from bot.model.library.plan import Machine


def machine(vram: int | None = None, ram: int | None = None) -> Machine:
    """Give the machine's memory, or what is said instead of it, in bytes. Blocks: it asks the GPU's tools.

    Where GPU and processor share the memory, as Apple's do, it is counted once: what Metal may have is the
    GPU's, the rest is the RAM's.
    """
    memory = (hardware.total_memory() or 0) if ram is None else ram
    if vram is not None:
        return Machine(vram, memory)
    found = detect(ram=memory)
    shared = sum(gpu.memory for gpu in found if gpu.shared)
    return Machine(sum(gpu.memory for gpu in found), max(0, memory - shared), gpu_bandwidth=_speed(found))


def _speed(gpus: list[Gpu]) -> float:
    """Give the GB/s of several cards, 0 for one alone: each reads its own layers, one after the other."""
    if len(gpus) < 2:
        return 0
    together = sum(gpu.memory for gpu in gpus)
    return together / sum(gpu.memory / Machine(gpu.memory).gpu_speed for gpu in gpus)
