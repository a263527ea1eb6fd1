"""What a measurement was made on, and what a process has cost so far. Reads /proc: Linux only."""

from __future__ import annotations

import math
import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Machine:
    """Figures mean nothing without it. `load` is how many tasks could run, on average in the last minute."""

    cpu: str
    cores: int
    system: str
    python: str
    load: float
    scheduling: str


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident memory of one process in MiB: all of it, and with shared pages counted by their share."""

    rss: float
    pss: float


@dataclass(frozen=True, slots=True)
class Spread:
    """A series of times in milliseconds."""

    count: int
    least: float
    p50: float
    p90: float
    p99: float
    most: float


def describe() -> Machine:
    return Machine(
        cpu=_cpu(),
        cores=os.cpu_count() or 1,
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        load=round(os.getloadavg()[0], 2),
        scheduling="real-time" if os.sched_getscheduler(0) == os.SCHED_FIFO else f"niceness {os.nice(0)}",
    )


def _cpu() -> str:
    rows = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [row.partition(":")[2].strip() for row in rows if row.startswith("model name")]
    return names[0] if names else platform.machine()


def cpu_seconds(pid: int) -> float:
    """Give the user and system time that all threads of a process have used, to 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def memory(pid: int) -> Memory:
    rows = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()[1:]
    mib = {name: int(size) / 1024 for name, size, *_ in map(str.split, rows)}
    return Memory(rss=round(mib["Rss:"], 1), pss=round(mib["Pss:"], 1))


def fsyncs(folder: Path, count: int = 100) -> Spread:
    """Time writes of 4 KiB that reach the disk, as each of the bot's commits waits for one."""
    seen = []
    with (folder / "fsync").open("wb", buffering=0) as file:
        for _ in range(count):
            begun = time.perf_counter()
            file.write(bytes(4096))
            os.fsync(file.fileno())
            seen.append(1000 * (time.perf_counter() - begun))
    return spread(seen)


def spread(milliseconds: Sequence[float]) -> Spread:
    ordered = sorted(milliseconds)

    def quantile(share: float) -> float:
        """Give the smallest value that at least this share of all does not exceed."""
        return round(ordered[max(math.ceil(share * len(ordered)), 1) - 1], 2)

    return Spread(
        len(ordered), quantile(0), quantile(0.5), quantile(0.9), quantile(0.99), round(ordered[-1], 2)
    )
