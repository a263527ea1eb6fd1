"""This machine, as a plan sees it."""

from __future__ import annotations

from bot.model import machine as hardware
from bot.model.library.gpus import detect
from bot.model.library.plan import Machine


def machine(vram: int | None = None, ram: int | None = None) -> Machine:
    """Give the machine's memory, or what is said instead of it, in bytes. Blocks: it asks the GPU's tools."""
    memory = (hardware.total_memory() or 0) if ram is None else ram
    return Machine(sum(gpu.memory for gpu in detect(ram=memory)) if vram is None else vram, memory)
