"""The command lines of a plan. What each option is called stands in the servers' documentation."""

from __future__ import annotations

import shlex
from dataclasses import replace

import pytest

from bot.model.library.cache import Use
from bot.model.library.numbers import Numbers, from_numbers
from bot.model.library.plan import GIB, Machine, Plan, plan
from bot.model.library.servers import commands, commands_by_name

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
    assert "lms import -y -l 'my models/a.gguf' && lms load -y a.gguf --context-length" in told["LM Studio"]
    assert told["LM Studio"].endswith("--parallel 4 --gpu max")
    assert "vllm-gguf-plugin" in told["vLLM"]


def test_koboldcpp_keeps_windows_only_if_told_and_has_a_longest_context() -> None:
    windowed = replace(LLAMA_8B, layers=tuple(replace(layer, window=1024) for layer in LLAMA_8B.layers))
    long = plan(windowed, Use(1_000_000), Machine(12 * GIB, 32 * GIB))
    told = commands(long, "a.gguf", "GGUF")["KoboldCpp"]
    assert "--contextsize 262144 " in told
    assert " --useswa " in told
    assert "262144 tokens at most" in told
    assert "--useswa" not in commands(made(), "a.gguf", "GGUF")["KoboldCpp"]


def test_a_well_known_model_in_the_format_that_each_server_reads() -> None:
    told = commands_by_name(made(), "llama-3.1-8b", "Q4_K_M", ("GGUF", "EXL2", "EXL3", "AWQ"))
    assert "llama-server -m llama-3.1-8b.Q4_K_M.gguf" in told["llama.cpp"]
    assert "model_name: llama-3.1-8b-exl3\n" in told["TabbyAPI"]
    assert "vllm serve llama-3.1-8b-awq --max-model-len 8192 --max-num-seqs 4" in told["vLLM"]
    older = commands_by_name(made(), "mistral-7b", "Q5_K_M", ("GGUF", "EXL2"))
    assert "exl2-checkpoint" in older["TabbyAPI"]
    assert "--tokenizer" in older["vLLM"]
    assert commands_by_name(made(), "gpt-oss-20b", "MXFP4", ("GGUF",))["TabbyAPI"].startswith("reads EXL3")


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
