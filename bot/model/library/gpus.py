"""How much memory this machine's GPUs have, as their makers' tools say it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

Run = Callable[[list[str]], str]
"""Run a program and give what it prints; "" where it is not there or fails."""

_MIB = 1024**2
_TIMEOUT = 5
"""Seconds; a driver that hangs is as good as none."""
_SMALLEST = 1024**3
"""Bytes; what has less beside a larger card is the processor's own graphics: Ryzen's report 64 to 512 MiB."""
_SHARE_SMALL, _SHARE_LARGE, _LARGE = 2 / 3, 3 / 4, 36 * 1024**3
"""What macOS lets Metal have of the RAM, by default and as seen on machines below and above so many bytes."""


@dataclass(frozen=True)
class Gpu:
    """A GPU and its memory in bytes; `shared`: with the processor, as Apple's is."""

    name: str
    memory: int
    shared: bool = False


def detect(run: Run | None = None, platform: str = sys.platform, ram: int = 0) -> list[Gpu]:
    """Find the GPUs. `ram` in bytes says how much of it Metal may use. Blocks for up to some seconds."""
    ask = run or run_program
    if platform == "darwin":
        return _metal(ask, ram)
    return _nvidia(ask) or _amd(ask)


def run_program(command: list[str]) -> str:
    """Run one of the makers' tools, wherever the system's path has it."""
    program = shutil.which(command[0])
    if program is None:
        return ""
    try:
        done = subprocess.run(  # noqa: S603  # the names are this module's own
            [program, *command[1:]], capture_output=True, text=True, check=False, timeout=_TIMEOUT
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout if done.returncode == 0 else ""


def _nvidia(run: Run) -> list[Gpu]:
    """Read nvidia-smi's CSV: a name and MiB on each line."""
    told = run(["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"])
    rows = [line.rpartition(",") for line in told.splitlines()]
    return [Gpu(name.strip(), int(mib) * _MIB) for name, _, mib in rows if mib.strip().isdigit()]


def _amd(run: Run) -> list[Gpu]:
    """Read rocm-smi's JSON: "VRAM Total Memory (B)" of each card."""
    try:
        cards = json.loads(run(["rocm-smi", "--showmeminfo", "vram", "--json"]) or "{}")
    except ValueError:
        return []
    if not isinstance(cards, dict):
        return []
    sizes = {
        name: str(card.get("VRAM Total Memory (B)", ""))
        for name, card in cards.items()
        if isinstance(card, dict)
    }
    found = [Gpu(f"AMD {name}", int(size)) for name, size in sizes.items() if size.isdigit()]
    return [gpu for gpu in found if gpu.memory >= _SMALLEST] or found


def _metal(run: Run, ram: int) -> list[Gpu]:
    """Apple's GPUs use the RAM: what `iogpu.wired_limit_mb` allows, 0 being macOS's own share of it."""
    limit = run(["sysctl", "-n", "iogpu.wired_limit_mb"]).strip()
    share = _SHARE_LARGE if ram >= _LARGE else _SHARE_SMALL
    allowed = int(limit) * _MIB if limit.isdigit() and int(limit) else int(ram * share)
    return [Gpu("Apple GPU", allowed, shared=True)] if allowed else []
