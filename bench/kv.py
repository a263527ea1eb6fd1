"""The planner's key-value cache against the one that llama.cpp reports: `python -m bench.kv`.

For each small model of `tests/architecture_ggufs.py` a real server is started, with its log on; the cache it
says it has allotted is compared with the plan's. llama.cpp prints MiB with two decimals, so that number is
compared; cells and layers are compared as they are. The models are such that most caches are whole fractions
of a MiB, which two decimals say exactly. The compute buffer is an estimate (`bot/model/library/widths.py`):
it is shown how far that is off.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bot.model.gguf_header import read_gguf_tensors
from bot.model.library.cache import Use, cache_of, cells
from bot.model.library.gguf_model import shape_of
from bot.model.library.plan import compute_bytes
from bot.model.library.shape import Shape
from tests.architecture_ggufs import ARCHITECTURES, write_architecture_gguf

MIB = 1024**2
SERVER = """
import sys, threading, xllamacpp
path, context, parallel, kind = sys.argv[1:]
params = xllamacpp.CommonParams()
params.model.path = path
params.hostnames, params.port = ["127.0.0.1"], 0
params.n_ctx, params.n_parallel = int(context) * int(parallel), int(parallel)
params.cache_type_k = params.cache_type_v = getattr(xllamacpp.ggml_type, "GGML_TYPE_" + kind.upper())
params.cpuparams.n_threads = 1
params.fit_params = params.ui = params.warmup = False
params.verbosity = 4
server = xllamacpp.Server(params)
threading.Event().wait()
"""
CACHE = re.compile(r"llama_kv_cache: size = +([\d.]+) MiB \( *(\d+) cells, +(\d+) layers, +(\d+)/")
STATE = re.compile(r"llama_memory_recurrent: size = +([\d.]+) MiB")
COMPUTE = re.compile(r"compute buffer size = +([\d.]+) MiB")


@dataclass(frozen=True)
class Reported:
    """What a server said: each cache's MiB, cells, layers; the states' MiB; the compute buffer's MiB."""

    caches: tuple[tuple[str, int, int], ...]
    state: str
    compute: float


def reported(path: Path, use: Use) -> Reported:
    """Start a server with the model, and read from its log what it has allotted."""
    words = [str(path), str(use.context), str(use.parallel), use.cache_type]
    log = _log_of_the_start(words)
    if not COMPUTE.search(log):
        raise RuntimeError(f"{path.name} did not load:\n{log[-2000:]}")
    state = STATE.search(log)
    return Reported(
        tuple((mib, int(each), int(layers)) for mib, each, layers, _ in CACHE.findall(log)),
        state[1] if state else "0.00",
        sum(float(size) for size in COMPUTE.findall(log)),
    )


def _log_of_the_start(words: list[str]) -> str:
    """Read the log up to where the model is loaded; the server is then of no more use, nor is a tidy end."""
    command = [sys.executable, "-c", SERVER, *words]
    lines: list[str] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as child:
        assert child.stdout is not None
        for line in child.stdout:
            lines.append(line)
            if COMPUTE.search(line):
                break
        child.kill()
    return "".join(lines)


def planned(shape: Shape, use: Use) -> Reported:
    """Say the same from the plan: first the layers that look back at everything, then the others."""
    caches = []
    for windowed in (False, True):
        chosen = [
            number
            for number, layer in enumerate(shape.layers)
            if layer.keys + layer.values and bool(layer.window) == windowed
        ]
        if chosen:
            size = sum(cache_of(shape, use).layers[number] for number in chosen)
            caches.append((f"{size / MIB:.2f}", cells(shape.layers[chosen[0]], use.context), len(chosen)))
    return Reported(tuple(caches), f"{cache_of(shape, use).state / MIB:.2f}", compute_bytes(shape, use) / MIB)


def read_shape(path: Path) -> Shape:
    with path.open("rb") as file:
        return shape_of(read_gguf_tensors(file, path.name, path.stat().st_size, 4096))


def main() -> int:
    uses = (Use(4096, 2), Use(1000, 3), Use(8192, 1, "q8_0"))
    different, off = 0, []
    with tempfile.TemporaryDirectory() as folder:
        for name in ARCHITECTURES:
            path = write_architecture_gguf(Path(folder) / f"{name}.gguf", name)
            shape = read_shape(path)
            for use in uses:
                theirs, ours = reported(path, use), planned(shape, use)
                same = (theirs.caches, theirs.state) == (ours.caches, ours.state)
                different += not same
                told = " + ".join([f"{mib} MiB" for mib, *_ in theirs.caches] + [f"{theirs.state} MiB state"])
                verdict = "no difference" if same else f"PLANNED {ours}"
                off.append(ours.compute / theirs.compute - 1)
                compute = f"compute {theirs.compute:5.2f}, estimated {ours.compute:5.2f} ({off[-1]:+.1%})"
                print(
                    f"{name:<10} {use.parallel} x {use.context:>5} {use.cache_type:<5} {told:<39} "
                    f"{verdict:<14} {compute}"
                )
    print(f"{len(ARCHITECTURES)} architectures, {different} differences")
    print(f"compute buffer: estimated {min(off):+.1%} to {max(off):+.1%} of what is reported")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
