"""Plans as a person reads them and as a program does."""

from __future__ import annotations

from typing import Any

from bot.model.library.plan import GIB, Plan

Json = dict[str, Any]


def size(number: float) -> str:
    """Give bytes in the largest binary unit that leaves a whole part."""
    for unit, bytes_ in (("GiB", GIB), ("MiB", 1024**2), ("KiB", 1024)):
        if number >= bytes_:
            return f"{number / bytes_:.2f}".rstrip("0").rstrip(".") + f" {unit}"
    return f"{number:.0f} B"


def plan_as_json(plan: Plan) -> Json:
    """Give the plan's numbers by name: bytes, tokens, layers."""
    return {
        "context": plan.use.context,
        "parallel": plan.use.parallel,
        "kv_type": plan.use.cache_type,
        "layers": len(plan.shape.layers),
        "kv_bytes_per_token": plan.cache.per_token,
        "kv_bytes": plan.cache.total,
        "state_bytes": plan.cache.state,
        "weights_bytes": plan.shape.weights.total,
        "compute_bytes_estimate": plan.compute,
        "total_bytes": plan.total,
        "vram_bytes": plan.machine.vram,
        "ram_bytes": plan.machine.ram,
        "gpu_layers": plan.gpu_layers,
        "gpu_bytes": plan.gpu,
        "cpu_bytes": plan.cpu,
        "fits": plan.fits if plan.shape.weights.total else None,
        "largest_context_on_gpu": plan.largest_on_gpu,
        "largest_context": plan.largest,
        "tokens_per_second_estimate": round(plan.tokens_per_second, 1),
    }


def plan_as_text(plan: Plan) -> str:
    """Give the plan as lines of a name and what it means."""
    return "\n".join(f"{name:<16} {text}" for name, text in [*_needs(plan), *_fit(plan)])


def _needs(plan: Plan) -> list[tuple[str, str]]:
    use, cache = plan.use, plan.cache
    each = f" for each of {use.parallel} scenes at a time" if use.parallel > 1 else ""
    weights = plan.shape.weights.total
    rows = [
        ("context", f"{use.context} tokens{each}"),
        ("weights", size(weights) if weights else "unknown: give a file, or --parameters and --bits"),
        ("KV cache", f"{size(cache.total)} as {use.cache_type}; {size(cache.per_token)} for each token more"),
    ]
    windowed = sum(1 for layer in plan.shape.layers if layer.window)
    if windowed:
        rows.append(("", f"{windowed} of {len(plan.shape.layers)} layers keep only a sliding window"))
    if cache.state:
        rows.append(("", f"{size(cache.state)} of it is the state of recurrent layers, whatever the context"))
    return [*rows, ("compute buffer", f"{size(plan.compute)} (estimate)"), ("together", size(plan.total))]


def _fit(plan: Plan) -> list[tuple[str, str]]:
    machine = plan.machine
    if not plan.shape.weights.total:
        return []
    every = len(plan.shape.layers) + 1
    verdict = "fits" if plan.fits else "does not fit"
    rows = [
        ("this machine", f"{size(machine.vram)} of GPU memory, {size(machine.ram)} of RAM: {verdict}"),
        ("on the GPU", f"{plan.gpu_layers} of {every} layers (the output is one): {size(plan.gpu)}"),
        ("in RAM", size(plan.cpu)),
        ("longest context", _longest(plan)),
    ]
    if plan.fits:
        rows.append(("speed", f"about {plan.tokens_per_second:.0f} tokens/s (estimate: {_assumed(plan)})"))
    return rows


def _longest(plan: Plan) -> str:
    on_gpu = f"{plan.largest_on_gpu} tokens" if plan.largest_on_gpu else "none"
    return f"{on_gpu} with all on the GPU, {plan.largest or 'none'} with the RAM's help"


def _assumed(plan: Plan) -> str:
    machine = plan.machine
    parts = [f"GPU {machine.gpu_speed:.0f} GB/s"] if plan.gpu_layers else []
    return ", ".join([*parts, f"RAM {machine.ram_bandwidth:.0f} GB/s, 60 % of both reached"])
