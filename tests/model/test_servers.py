"""The command lines of a plan. What each option is called stands in the servers' documentation."""

from __future__ import annotations

import shlex

import pytest

from bot.model.library.cache import Use
from bot.model.library.numbers import Numbers, from_numbers
from bot.model.library.plan import GIB, Machine, Plan, plan
from bot.model.library.servers import commands

LLAMA_8B = from_numbers(
    Numbers(4096, 32, 32, 8, vocabulary=128256, parameters=8.03, bits=4.89, context=131072)
)


def made(vram: int = 12, cache_type: str = "f16", parallel: int = 4) -> Plan:
    return plan(LLAMA_8B, Use(8192, parallel, cache_type), Machine(vram * GIB, 32 * GIB))


def test_a_gguf_file() -> None:
    told = commands(made(), "my models/a.gguf", "GGUF")
    assert shlex.split(told["llama.cpp"])[:7] == [
        "llama-server", "-m", "my models/a.gguf", "-c", "32768", "-np", "4"
    ]  # fmt: skip
    assert "--usecuda --gpulayers 33 --flashattention --jinja" in told["KoboldCpp"]
    assert "lms import -y -l 'my models/a.gguf' && lms load a --context-length 8192" in told["LM Studio"]
    assert told["LM Studio"].endswith("--parallel 4 --gpu max")
    assert "vllm-gguf-plugin" in told["vLLM"]


def test_without_a_gpu() -> None:
    told = commands(made(vram=0), "a.gguf", "GGUF")
    assert "-ngl 0" in told["llama.cpp"]
    assert "--usecpu" in told["KoboldCpp"]
    assert told["LM Studio"].endswith("--gpu off")


def test_with_a_part_on_the_gpu() -> None:
    partly = made(vram=6)
    assert 0 < partly.gpu_layers < 33
    assert f"--gpulayers {partly.gpu_layers}" in commands(partly, "a.gguf", "GGUF")["KoboldCpp"]
    assert "--cpu-offload-gb" in commands(partly, "a", "AWQ")["vLLM"]
    assert "--cpu-offload-gb" not in commands(made(), "a", "AWQ")["vLLM"]


@pytest.mark.parametrize(
    ("cache_type", "kobold", "exl3", "vllm"),
    [
        ("f16", "", "FP16", ""),
        ("q8_0", "--quantkv 1", "8,8", "--kv-cache-dtype fp8"),
        ("q5_1", "--quantkv q5_1", "6,6", "--kv-cache-dtype fp8"),
        ("q4_0", "--quantkv 2", "4,4", "--kv-cache-dtype fp8"),
    ],
)
def test_the_caches_type_in_each_servers_words(cache_type: str, kobold: str, exl3: str, vllm: str) -> None:
    planned = made(cache_type=cache_type)
    assert kobold in commands(planned, "a.gguf", "GGUF")["KoboldCpp"]
    assert ("--quantkv" in commands(planned, "a.gguf", "GGUF")["KoboldCpp"]) == bool(kobold)
    assert f"cache_mode: {exl3}" in commands(planned, "models/a", "EXL3")["TabbyAPI"]
    assert vllm in commands(planned, "models/a", "GPTQ")["vLLM"]


def test_folders() -> None:
    told = commands(made(parallel=3), "models/nemo-exl3", "EXL3")
    assert "model_dir: models\n" in told["TabbyAPI"]
    assert "model_name: nemo-exl3\n" in told["TabbyAPI"]
    assert "cache_size: 24576\n" in told["TabbyAPI"]
    assert told["llama.cpp"] == told["KoboldCpp"] == "reads GGUF files only"
    assert "does not read" in told["vLLM"]
    for kind in ("EXL2", "GPTQ"):
        assert "exl2-checkpoint" in commands(made(), "models/a", kind)["TabbyAPI"]
    assert "reads EXL3" in commands(made(), "models/a", "safetensors")["TabbyAPI"]
