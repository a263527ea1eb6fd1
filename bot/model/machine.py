"""What the machine has: memory and processors, where this process may use them."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


def usable_cores() -> int:
    """Count the processors this process may run on."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux alone has it
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def total_memory() -> int | None:
    """Give the machine's memory in bytes, or the container's limit where that is less. None where unknown."""
    known = [size for size in (_physical_memory(), _container_limit()) if size]
    return min(known, default=None)


def _physical_memory() -> int | None:
    if sys.platform == "win32":
        return _windows_memory()
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return None


def _container_limit() -> int | None:
    try:
        text = _CGROUP_LIMIT.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None
    return int(text) if text.isdigit() else None


def _windows_memory() -> int | None:
    """Ask GlobalMemoryStatusEx; the structure is MEMORYSTATUSEX of the Windows API."""
    words = (ctypes.c_uint64 * 8)()  # two 32-bit fields (own length, load), then seven 64-bit ones
    ctypes.cast(words, ctypes.POINTER(ctypes.c_uint32))[0] = ctypes.sizeof(words)
    windll = getattr(ctypes, "windll", None)
    if windll is None or not windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(words)):
        return None
    return int(words[1])
