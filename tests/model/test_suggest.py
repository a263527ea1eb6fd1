from __future__ import annotations

import json

import pytest

from bot import cli
from bot.errors import TableError
from bot.model.library import here
from bot.model.library.cache import Use
from bot.model.library.catalogue import best_first, catalogue, find, suggest
from bot.model.library.gpus import Gpu, Run, detect
from bot.model.library.plan import GIB, Machine


def test_the_catalogue_is_whole() -> None:
    entries = catalogue()
    assert len({entry.name for entry in entries}) == len(entries) > 20
    for entry in entries:
        assert entry.heads % entry.kv_heads == 0
        assert entry.note.endswith(".")
        assert "safetensors" in entry.formats
        assert entry.parameters * 1e9 > entry.layers * 2 * entry.hidden**2


@pytest.mark.parametrize(
    ("name", "per_token"),
    [
        ("llama-3.1-8b", 131072),
        ("mythomax-13b", 819200),
        ("deepseek-v3", 61 * 576 * 2),
        ("qwen3.5-9b", 8 * 2 * 4 * 256 * 2),  # every fourth layer attends
        ("gemma-4-31b", 10 * 2 * 4 * 512 * 2),  # every sixth layer sees everything, with heads of its own
        (
            "gemma-4-e4b",
            4 * 2 * 2 * 512 * 2,
        ),  # as are four of the first 24 layers, whose cache the others use
    ],
)
def test_what_a_token_costs(name: str, per_token: int) -> None:
    machine = Machine(24 * GIB, 64 * GIB)
    [plan] = [one.plan for one in suggest(machine, Use(8192), "Q4_K_M") if one.model.name == name]
    assert plan.cache.per_token == per_token


@pytest.mark.parametrize("tier", [0, 8, 12, 16, 24, 48])
def test_every_size_of_machine_is_thought_of(tier: int) -> None:
    machine = Machine(tier * GIB, 32 * GIB)
    runs = [one.model.name for one in suggest(machine, Use(8192), "Q4_K_M") if one.verdict != "no"]
    assert runs
    assert [entry for entry in catalogue() if entry.tier == tier]


def test_what_comes_in_one_quantization_alone_is_planned_as_that() -> None:
    known = find("gpt-oss-20b")
    assert known.shape("Q8_0").weights.total == known.shape("Q4_K_M").weights.total
    assert 12.0e9 < known.shape("Q4_K_M").weights.total < 12.2e9


def test_what_runs_here_is_marked(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["model", "suggest", "--vram", "12", "--ram", "32", "--json"]) == 0
    runs = {one["name"]: one["runs_on"] for one in json.loads(capsys.readouterr().out)}
    assert runs["llama-3.1-8b"] == "GPU"
    assert runs["mixtral-8x7b"] == "GPU + RAM"
    assert runs["llama-3.1-405b"] == "no"
    assert cli.main(["model", "suggest", "--vram", "0", "--ram", "16"]) == 0
    table = capsys.readouterr().out
    assert "✓ llama-3.2-3b" in table
    assert "CPU, about" in table
    assert "  llama-3.3-70b" in table
    assert "8.03 billion parameters, 32 layers, 32 heads (8 KV), 131072 tokens; GGUF, EXL2" in table


def test_a_known_name_can_be_planned_and_a_near_one_is_guessed(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        cli.main(["model", "plan", "mistral-nemo-12b", "--vram", "12", "--ram", "32", "--quant", "Q5_K_M"])
        == 0
    )
    assert "llama-server -m mistral-nemo-12b.Q5_K_M.gguf" in capsys.readouterr().out
    with pytest.raises(TableError, match="mistral-nemo-12b"):
        find("mistral-nemo")
    assert cli.main(["model", "plan", "llama-3.1-8b", "--quant", "Q9"]) == 1
    assert "Q4_K_M" in capsys.readouterr().err


NVIDIA = "NVIDIA GeForce RTX 3060, 12288\nTesla, P40, 24576\nNVIDIA GB10, [N/A]\n"
"""The last one is a card that shares the processor's memory, and does not say how much."""
ROCM = """{"card0": {"VRAM Total Memory (B)": "21458059264", "VRAM Total Used Memory (B)": "27856896",
"Card Series": "Radeon RX 7900 XT", "Card Model": "0x744c", "GFX Version": "gfx1100"},
"card1": {"VRAM Total Memory (B)": "67108864", "Card Series": "Raphael"}}"""
"""As rocm-smi printed it in marimo-team/marimo#9237, with a Ryzen's own graphics from mudler/LocalAI#7761."""
AMD_CARD = """{"gpu": 0, "asic": {"market_name": "Radeon RX 7900 XT"},
"vram": {"type": "GDDR6", "vendor": "SAMSUNG", "size": {"value": 20464, "unit": "MB"}}}"""
"""Written in the shape that scripts read of amd-smi, as a list or under `gpu_data`; none was recorded."""


def saying(**told: str) -> Run:
    """Programs that print what they are said to, by their names with _ for -; the others are not there."""
    return lambda command: told.get(command[0].replace("-", "_"), "")


def test_nvidias_cards_are_found() -> None:
    assert detect(saying(nvidia_smi=NVIDIA, rocm_smi=ROCM), "linux") == [
        Gpu("NVIDIA GeForce RTX 3060", 12 * GIB), Gpu("Tesla, P40", 24 * GIB)
    ]  # fmt: skip


def test_amds_cards_are_found_without_the_processors_own() -> None:
    assert detect(saying(rocm_smi=ROCM), "linux") == [Gpu("AMD Radeon RX 7900 XT", 21458059264)]


@pytest.mark.parametrize("told", [f"[{AMD_CARD}]", f'{{"gpu_data": [{AMD_CARD}]}}'])
def test_amds_cards_are_found_by_the_newer_tool_too(told: str) -> None:
    assert detect(saying(amd_smi=told), "linux") == [Gpu("AMD Radeon RX 7900 XT", 20464 * 1024**2)]


@pytest.mark.parametrize(
    "told", ["", "{", "[]", "No devices were found", "name, many", '{"gpu_data": [{"vram": 5}]}', "[" * 99999]
)
def test_tools_that_say_nothing_of_use(told: str) -> None:
    assert detect(lambda _: told, "linux") == []


def test_shared_memory_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(here, "detect", lambda ram: [Gpu("Apple GPU", ram * 2 // 3, shared=True)])
    assert here.machine(ram=24 * GIB) == Machine(16 * GIB, 8 * GIB)
    assert here.machine(vram=10 * GIB, ram=24 * GIB) == Machine(10 * GIB, 24 * GIB)


def test_two_small_cards_are_not_as_quick_as_a_large_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    card = Gpu("NVIDIA GeForce RTX 3060", 12 * GIB)
    monkeypatch.setattr(here, "detect", lambda ram: [card, card])
    assert cli.main(["model", "plan", "llama-3.1-8b"]) == 0
    told = capsys.readouterr().out
    assert "24 GiB of GPU memory" in told
    assert "GPU 360 GB/s" in told


@pytest.mark.parametrize(
    ("ram", "limit", "allowed"), [(24, "0\n", 16), (64, "0\n", 48), (24, "20480\n", 20), (24, "", 16)]
)
def test_apples_memory_is_shared(ram: int, limit: str, allowed: int) -> None:
    said = {"machdep.cpu.brand_string": "Apple M2 Max\n", "iogpu.wired_limit_mb": limit}
    found = detect(lambda command: said[command[-1]], "darwin", ram=ram * GIB)
    assert found == [Gpu("Apple M2 Max", allowed * GIB, shared=True)]


def test_an_older_mac_has_no_gpu_to_plan_with() -> None:
    assert detect(lambda _: "Intel(R) Core(TM) i7-8850H CPU @ 2.60GHz\n", "darwin", ram=16 * GIB) == []


def test_at_the_table_what_answers_as_fast_as_people_read_comes_first() -> None:
    quick, slow = best_first(suggest(Machine(0, 24 * GIB), Use(8192), "Q4_K_M"))
    assert quick[0].model.name == "qwen3.6-35b-a3b"
    assert all(
        one.plan.tokens_per_second >= 5 > other.plan.tokens_per_second for one in quick for other in slow
    )
    assert "gemma-4-31b" in {one.model.name for one in slow}
    assert "llama-3.1-405b" not in {one.model.name for one in (*quick, *slow)}


def test_a_machine_without_a_gpu_is_not_told_of_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["model", "plan", "llama-3.1-8b", "--vram", "0", "--ram", "16"]) == 0
    told = capsys.readouterr().out
    assert "no GPU, 16 GiB of RAM: fits" in told
    assert "on the GPU" not in told
