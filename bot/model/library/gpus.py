"""How much memory this machine's GPUs have, as their makers' tools say it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

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
    found = _rocm_smi(run) or _amd_smi(run)
    return [gpu for gpu in found if gpu.memory >= _SMALLEST] or found


def _rocm_smi(run: Run) -> list[Gpu]:
    """Read rocm-smi's JSON: "VRAM Total Memory (B)" of each card, and its name where that is told."""
    cards = _json(run(["rocm-smi", "--showproductname", "--showmeminfo", "vram", "--json"]))
    found = []
    for name, card in cards.items() if isinstance(cards, dict) else ():
        size = str(card.get("VRAM Total Memory (B)", "")) if isinstance(card, dict) else ""
        if size.isdigit():
            found.append(Gpu(f"AMD {card.get('Card Series') or name}", int(size)))
    return found


def _amd_smi(run: Run) -> list[Gpu]:
    """Read the JSON of its successor: `vram.size` of each card, a number of MB, which are MiB.

    It is a list, or since 2025 that list as `gpu_data`. Source: ROCm/amdsmi, amdsmi_cli; vllm-project's and
    llm-d's scripts read it so.
    """
    told = _json(run(["amd-smi", "static", "--asic", "--vram", "--json"]))
    cards = told.get("gpu_data") if isinstance(told, dict) else told
    found = []
    for card in cards if isinstance(cards, list) else ():
        match card:
            case {"vram": {"size": {"value": int(mib), "unit": "MB"}}}:
                name = card["asic"].get("market_name") if isinstance(card.get("asic"), dict) else None
                found.append(Gpu(f"AMD {name or card.get('gpu')}", mib * _MIB))
    return found


def _json(text: str) -> Any:
    try:
        return json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}


def _metal(run: Run, ram: int) -> list[Gpu]:
    """Apple's GPUs use the RAM: what `iogpu.wired_limit_mb` allows, 0 being macOS's own share of it.

    Macs with Intel's processors, whose graphics llama.cpp is better off without, have none.
    """
    chip = run(["sysctl", "-n", "machdep.cpu.brand_string"]).strip()
    if "Apple" not in chip:
        return []
    limit = run(["sysctl", "-n", "iogpu.wired_limit_mb"]).strip()
    share = _SHARE_LARGE if ram >= _LARGE else _SHARE_SMALL
    allowed = int(limit) * _MIB if limit.isdigit() and int(limit) else int(ram * share)
    return [Gpu(chip, allowed, shared=True)] if allowed else []
