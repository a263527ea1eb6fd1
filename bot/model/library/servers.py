"""How to start each server with a plan's numbers.

Read in, of 2026: llama-server's own list of options (b11549); koboldcpp.py 1.117 (its argparse); tabbyAPI
config_sample.yml; docs.vllm.ai, `vllm serve` and quantization/gguf.md; lmstudio.ai/docs/cli/local-models, and
for `--parallel` lmstudio-bug-tracker#2024. None but llama.cpp was run.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from pathlib import PurePath

from bot.model.library.plan import GIB, Plan

_KOBOLD_CACHE = {"f32": "", "f16": "", "bf16": "bf16", "q8_0": "1", "q4_0": "2", "iq4_nl": "2"}
"""Older versions know the numbers alone, newer ones both; every other type is rounded up to q5_1."""
_EXL3_CACHE = {"q8_0": "8,8", "q5_1": "6,6", "q5_0": "6,6", "q4_1": "5,5", "q4_0": "4,4", "iq4_nl": "4,4"}
_EXL2_CACHE = {"q8_0": "Q8", "q5_1": "Q6", "q5_0": "Q6", "q4_1": "Q6", "q4_0": "Q4", "iq4_nl": "Q4"}
_KOBOLD_LONGEST = 262_144
"""Tokens that KoboldCpp's `--contextsize` takes at most."""
_TABBY_CELLS = 256
"""tabbyAPI's cache comes in steps of so many tokens."""


def commands(plan: Plan, path: str, kind: str) -> dict[str, str]:
    """Give each server's command line, or a sentence saying why it cannot run this model.

    `path` is where the model is, `kind` its format as an inspection has it.
    """
    gguf = kind == "GGUF"
    no_gguf = "reads GGUF files only"
    return {
        "llama.cpp": _llama(plan, path) if gguf else no_gguf,
        "KoboldCpp": _kobold(plan, path) if gguf else no_gguf,
        "LM Studio": _studio(plan, path) if gguf else no_gguf,
        "TabbyAPI": _tabby(plan, path, kind)
        if kind in {"EXL2", "EXL3", "GPTQ"}
        else "reads EXL3 folders (older versions: EXL2, GPTQ)",
        "vLLM": _vllm(plan, path, kind),
    }


def commands_by_name(plan: Plan, name: str, quantization: str, formats: Sequence[str]) -> dict[str, str]:
    """Give each server's command line for a well-known model, which is published in several `formats`."""
    told = commands(plan, f"{name}.{quantization}.gguf", "GGUF")
    kind = next((one for one in ("EXL3", "EXL2") if one in formats), "")
    if kind:
        told["TabbyAPI"] = _tabby(plan, f"models/{name}-{kind.lower()}", kind)
    if "AWQ" in formats:
        told["vLLM"] = (
            _vllm(plan, f"{name}-awq", "AWQ") + f"   (its AWQ version; about as large as {quantization})"
        )
    return told


def _llama(plan: Plan, path: str) -> str:
    use = plan.use
    cache = [] if use.cache_type == "f16" else ["-ctk", use.cache_type, "-ctv", use.cache_type]
    words = ["llama-server", "-m", path, "-c", str(use.context * use.parallel), "-np", str(use.parallel)]
    return shlex.join([*words, "-ngl", str(plan.gpu_layers), "-fa", "on", *cache, "--jinja"])


def _kobold(plan: Plan, path: str) -> str:
    """KoboldCpp answers one request at a time, so its context is one scene's.

    Without `--useswa` it keeps the whole context in layers with a sliding window too.
    """
    use = plan.use
    context = min(use.context, _KOBOLD_LONGEST)
    note = f"   (it takes {_KOBOLD_LONGEST} tokens at most)" if context < use.context else ""
    window = ["--useswa"] if any(layer.window for layer in plan.shape.layers) else []
    kind = _KOBOLD_CACHE.get(use.cache_type, "q5_1")
    cache = ["--quantkv", kind] if kind else []
    gpu = ["--usecuda", "--gpulayers", str(plan.gpu_layers)] if plan.gpu_layers else ["--usecpu"]
    words = ["koboldcpp", "--model", path, "--contextsize", str(context), *gpu, *window]
    return shlex.join([*words, "--flashattention", *cache, "--jinja", "--skiplauncher"]) + note


def _studio(plan: Plan, path: str) -> str:
    """LM Studio's `load` looks for the name among the paths of its models; `-y` takes the first."""
    use = plan.use
    share = plan.gpu_layers / (len(plan.shape.layers) + 1)
    gpu = "max" if share == 1 else f"{share:.2f}" if share else "off"
    load = [
        "lms",
        "load",
        "-y",
        PurePath(path).name,
        "--context-length",
        str(use.context),
        "--parallel",
        str(use.parallel),
    ]
    note = "" if use.cache_type == "f16" else "   (the cache's type is set in the app)"
    return f"{shlex.join(['lms', 'import', '-y', '-l', path])} && {shlex.join([*load, '--gpu', gpu])}{note}"


def _tabby(plan: Plan, path: str, kind: str) -> str:
    """Give the part of its config.yml; the server itself is then started without any options."""
    use = plan.use
    place = PurePath(path)
    cells = -(-use.context * use.parallel // _TABBY_CELLS) * _TABBY_CELLS
    settings = {
        "model_dir": str(place.parent),
        "model_name": place.name,
        "max_seq_len": use.context,
        "cache_size": cells,
        "cache_mode": (_EXL3_CACHE if kind == "EXL3" else _EXL2_CACHE).get(use.cache_type, "FP16"),
        "max_batch_size": use.parallel,
    }
    lines = "".join(f"\n    {name}: {value}" for name, value in settings.items())
    note = "" if kind == "EXL3" else f" (its branch exl2-checkpoint, the last that reads {kind})"
    return f"in config.yml{note}\n  model:{lines}"


def _vllm(plan: Plan, path: str, kind: str) -> str:
    if kind in {"EXL2", "EXL3"}:
        return "does not read EXL2 or EXL3"
    use = plan.use
    words = ["vllm", "serve", path, "--max-model-len", str(use.context), "--max-num-seqs", str(use.parallel)]
    cache = [] if use.cache_type in {"f16", "bf16", "f32"} else ["--kv-cache-dtype", "fp8"]
    beside = max(0, len(plan.shape.layers) + 1 - plan.gpu_layers)
    offload = ["--cpu-offload-gb", str(math.ceil(plan.cpu / GIB))] if beside and plan.gpu_layers else []
    if kind == "GGUF":
        words += ["--tokenizer", "OWNER/NAME"]
    note = (
        "   (experimental: vllm-gguf-plugin, and the original model as tokenizer)" if kind == "GGUF" else ""
    )
    return shlex.join([*words, *cache, *offload]) + note
