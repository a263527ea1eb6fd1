"""How to start each server with a plan's numbers.

Sources: ggml-org/llama.cpp tools/server/README.md; LostRuins/koboldcpp wiki; theroyallab/tabbyAPI
config_sample.yml; vLLM `vllm serve --help`; lmstudio.ai/docs/cli/load.
"""

from __future__ import annotations

import shlex

from bot.model.library.plan import Plan

_KOBOLD_CACHE = {"f16": None, "q8_0": 1, "q4_0": 2}
_TABBY_CACHE = {"f16": "FP16", "q8_0": "Q8", "q4_0": "Q4"}


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
        "TabbyAPI": _tabby(plan, path)
        if kind in {"EXL2", "EXL3", "GPTQ"}
        else "reads EXL2, EXL3 and GPTQ folders",
        "vLLM": _vllm(plan, path, kind),
    }


def _llama(plan: Plan, path: str) -> str:
    use = plan.use
    cache = [] if use.cache_type == "f16" else ["-ctk", use.cache_type, "-ctv", use.cache_type]
    words = ["llama-server", "-m", path, "-c", str(use.context * use.parallel), "-np", str(use.parallel)]
    return shlex.join([*words, "-ngl", str(plan.gpu_layers), "-fa", "on", *cache, "--jinja"])


def _kobold(plan: Plan, path: str) -> str:
    """KoboldCpp answers one request at a time, so its context is one scene's."""
    use = plan.use
    kind = _KOBOLD_CACHE.get(use.cache_type, 1)
    cache = [] if kind is None else ["--quantkv", str(kind)]
    words = ["koboldcpp", "--model", path, "--contextsize", str(use.context)]
    return shlex.join([*words, "--gpulayers", str(plan.gpu_layers), "--flashattention", *cache])


def _studio(plan: Plan, path: str) -> str:
    share = plan.gpu_layers / (len(plan.shape.layers) + 1)
    gpu = "max" if share == 1 else f"{share:.2f}" if share else "off"
    words = ["lms", "load", path, "--context-length", str(plan.use.context), "--gpu", gpu]
    return shlex.join(words)


def _tabby(plan: Plan, path: str) -> str:
    use = plan.use
    name = path.rstrip("/").rpartition("/")[2]
    settings = {
        "model_name": name,
        "max_seq_len": use.context,
        "cache_size": use.context * use.parallel,
        "cache_mode": _TABBY_CACHE.get(use.cache_type, "Q8"),
    }
    return "config.yml: model: {" + ", ".join(f"{key}: {value}" for key, value in settings.items()) + "}"


def _vllm(plan: Plan, path: str, kind: str) -> str:
    if kind in {"EXL2", "EXL3"}:
        return "does not read EXL2 or EXL3"
    use = plan.use
    words = ["vllm", "serve", path, "--max-model-len", str(use.context), "--max-num-seqs", str(use.parallel)]
    cache = [] if use.cache_type == "f16" else ["--kv-cache-dtype", "fp8"]
    note = "   (its support of GGUF is experimental)" if kind == "GGUF" else ""
    return shlex.join([*words, *cache]) + note
