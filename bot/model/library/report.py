"""Plans as a person reads them and as a program does."""

from __future__ import annotations

from typing import Any

from bot.model.library.catalogue import Known, Suggestion
from bot.model.library.inspection import Inspection
from bot.model.library.plan import GIB, Machine, Plan

Json = dict[str, Any]
_PLANNED = ("context", "kv_bytes_per_token", "kv_bytes", "weights_bytes", "total_bytes", "gpu_layers", "fits")


def size(number: float) -> str:
    """Give bytes in the largest binary unit that leaves a whole part."""
    for unit, bytes_ in (("GiB", GIB), ("MiB", 1024**2), ("KiB", 1024)):
        if number >= bytes_:
            return f"{number / bytes_:.2f}".rstrip("0").rstrip(".") + f" {unit}"
    return f"{number:.0f} B"


def memory_of(machine: Machine) -> str:
    """Say what memory a machine has."""
    gpu = f"{size(machine.vram)} of GPU memory" if machine.vram else "no GPU"
    return f"{gpu}, {size(machine.ram)} of RAM"


def _speed(tokens: float) -> str:
    return f"{tokens:.0f}" if tokens >= 10 else f"{tokens:.1f}"


def plan_as_json(plan: Plan) -> Json:
    """Give the plan's numbers by name: bytes, tokens, layers."""
    return {
        "context": plan.use.context,
        "trained_context": plan.shape.context,
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
    trained = plan.shape.context
    beyond = f", more than the {trained} it was trained for" if 0 < trained < use.context else ""
    rows = [
        ("context", f"{use.context} tokens{each}{beyond}"),
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
    rows = [("this machine", f"{memory_of(machine)}: {verdict}")]
    if machine.vram:
        rows.append(
            ("on the GPU", f"{plan.gpu_layers} of {every} layers (the output is one): {size(plan.gpu)}")
        )
    rows += [("in RAM", size(plan.cpu)), ("longest context", _longest(plan))]
    if plan.fits:
        rows.append(
            ("speed", f"about {_speed(plan.tokens_per_second)} tokens/s (estimate: {_assumed(plan)})")
        )
    return rows


def _longest(plan: Plan) -> str:
    if not plan.machine.vram:
        return f"{plan.largest} tokens" if plan.largest else "none"
    on_gpu = f"{plan.largest_on_gpu} tokens" if plan.largest_on_gpu else "none"
    return f"{on_gpu} with all on the GPU, {plan.largest or 'none'} with the RAM's help"


def _assumed(plan: Plan) -> str:
    machine = plan.machine
    ram = f"RAM {machine.ram_bandwidth:.0f} GB/s"
    if not plan.gpu_layers:
        return f"{ram}, 60 % of it reached"
    return f"GPU {machine.gpu_speed:.0f} GB/s, {ram}, 60 % of both reached"


def inspection_as_json(found: Inspection) -> Json:
    """Give what was found by name: bytes, tokens, bits."""
    return {
        "path": found.path,
        "format": found.kind,
        "architecture": found.architecture,
        "parameters": found.parameters,
        "layers": len(found.shape.layers),
        "hidden": found.shape.hidden,
        "feed_forward": found.shape.feed_forward,
        "heads": found.heads,
        "kv_heads": found.kv_heads,
        "head_size": found.head_size,
        "experts": found.experts,
        "context": found.shape.context,
        "rope": found.rope,
        "vocabulary": found.shape.vocabulary,
        "tokenizer": found.tokenizer,
        "chat_template": found.chat_template,
        "quantization": found.quantization,
        "bits_per_weight": round(found.bits, 3),
        "types": found.types,
        "weights_bytes": found.shape.weights.total,
        "file_bytes": found.size,
        "windowed_layers": sum(1 for layer in found.shape.layers if layer.window),
        "recurrent_layers": sum(1 for layer in found.shape.layers if layer.state),
    }


def inspection_as_text(found: Inspection) -> str:
    """Give what was found as lines of a name and what it means; what the files do not say is left out."""
    shape = found.shape
    heads = f"{found.heads}, {found.kv_heads} of them for keys and values, of {found.head_size} each"
    rows = [
        ("model", found.path),
        ("format", f"{found.kind}, {size(found.size)}"),
        ("architecture", found.architecture),
        ("parameters", _count(found.parameters)),
        ("layers", f"{len(shape.layers)}, hidden size {shape.hidden}{_kinds(found)}"),
        ("heads", heads if found.heads else ""),
        ("experts", str(found.experts or "")),
        ("context", f"{shape.context} tokens" if shape.context else ""),
        ("rope", ", ".join(f"{name} {value}" for name, value in found.rope.items())),
        ("vocabulary", f"{shape.vocabulary or '?'} tokens ({found.tokenizer or 'tokenizer not said'})"),
        ("chat template", "yes" if found.chat_template else "no: it will not know who speaks"),
        ("quantization", f"{found.quantization or 'not said'}, {_bits(found)}"),
        ("types", ", ".join(f"{name} {count / found.parameters:.1%}" for name, count in found.types.items())),
    ]
    return "\n".join(f"{name:<16} {text}" for name, text in rows if text)


def _count(parameters: int) -> str:
    for word, number in (("billion", 1e9), ("million", 1e6)):
        if parameters >= number:
            return f"{parameters / number:.2f} {word}"
    return str(parameters or "")


def _bits(found: Inspection) -> str:
    return f"really {found.bits:.2f} bits per weight" if found.bits else "bits per weight not known"


def _kinds(found: Inspection) -> str:
    windows = sum(1 for layer in found.shape.layers if layer.window)
    states = sum(1 for layer in found.shape.layers if layer.state)
    told = [f"{windows} with a sliding window"] if windows else []
    return "".join(f", {part}" for part in [*told, *([f"{states} recurrent"] if states else [])])


def suggestions_as_json(found: list[Suggestion]) -> list[Json]:
    """Give each suggestion's model and plan."""
    return [
        {
            "name": one.model.name,
            "title": one.model.title,
            "tier_gib": one.model.tier,
            "parameters_billion": one.model.parameters,
            "layers": one.model.layers,
            "heads": one.model.heads,
            "kv_heads": one.model.kv_heads,
            "trained_context": one.model.context,
            "licence": one.model.licence,
            "formats": list(one.model.formats),
            "gguf": one.model.gguf,
            "note": one.model.note,
            "runs_on": one.verdict,
            **{key: plan_as_json(one.plan)[key] for key in _PLANNED},
        }
        for one in found
    ]


def suggestion_as_line(one: Suggestion) -> str:
    """Give a suggestion as a line of a chat."""
    speed = f"about {_speed(one.plan.tokens_per_second)} tokens/s"
    takes = f"{size(one.plan.total)} with {one.plan.use.context} tokens"
    return f"**{one.model.title}** ({', '.join(one.model.formats)}): {takes}, on {one.verdict}, {speed}"


def _facts(model: Known) -> str:
    active = f" ({model.active:g} active)" if model.active else ""
    return (
        f"{model.title}, {model.licence}: {model.parameters:g} billion parameters{active}, "
        f"{model.layers} layers, {model.heads} heads ({model.kv_heads} KV), {model.context} tokens; "
        f"{', '.join(model.formats)}"
    )


def suggestions_as_text(found: list[Suggestion], machine: Machine, quantization: str) -> str:
    """Give a table of the catalogue with what runs on the machine marked, each note below its model."""
    head = f"{memory_of(machine)}; weights as {quantization}"
    lines = [
        head,
        "",
        f"  {'name':<22} {'weights':>10} {'KV cache':>10} {'together':>10} {'tokens':>7}  runs on",
    ]
    tier = -1
    for one in found:
        if one.model.tier != tier:
            tier = one.model.tier
            lines.append(f"named for {tier} GiB" if tier else "named for a CPU alone")
        mark = " " if one.verdict == "no" else "✓"
        speed = f", about {_speed(one.plan.tokens_per_second)} tokens/s" if one.plan.fits else ""
        lines.append(
            f"{mark} {one.model.name:<22} {size(one.plan.shape.weights.total):>10} "
            f"{size(one.plan.cache.total):>10} {size(one.plan.total):>10} {one.plan.use.context:>7}  "
            f"{one.verdict}{speed}"
        )
        lines += [f"    {_facts(one.model)}", f"    {one.model.note}"]
    return "\n".join(
        [*lines, "", "Sizes of weights and speeds are estimates. Memory for images is not counted."]
    )
