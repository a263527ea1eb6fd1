from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot import cli
from bot.errors import TableError
from bot.model.library.cache import Use, cache_of
from bot.model.library.numbers import Numbers, from_numbers
from bot.model.library.plan import GIB, Machine, plan
from bot.model.library.report import plan_as_text
from bot.model.library.shape import Layer, Shape

THE_GUIDES = Numbers(hidden=4096, layers=32, heads=32, kv_heads=8)
LLAMA_8B = Numbers(
    hidden=4096,
    layers=32,
    heads=32,
    kv_heads=8,
    vocabulary=128256,
    parameters=8.03,
    bits=4.89,
    context=131072,
)
LINUX_BOX = Machine(vram=12 * GIB, ram=32 * GIB)


@pytest.mark.parametrize(
    ("context", "mib"), [(4096, 512), (8192, 1024), (16384, 2048), (32768, 4096), (65536, 8192)]
)
def test_the_guides_table_of_kv_memory(context: int, mib: int) -> None:
    cache = cache_of(from_numbers(THE_GUIDES), Use(context))
    assert cache.per_token == 128 * 1024
    assert cache.total == mib * 1024**2


def test_the_guides_example_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    words = "model plan --hidden 4096 --layers 32 --heads 32 --kv-heads 8 --context 4096 --json"
    assert cli.main(words.split()) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["kv_bytes_per_token"] == 131072
    assert told["kv_bytes"] == 536870912


def test_every_scene_has_a_cache_of_its_own_and_eight_bits_take_about_half() -> None:
    shape = from_numbers(THE_GUIDES)
    assert cache_of(shape, Use(4096, parallel=4)).total == 4 * 512 * 1024**2
    assert cache_of(shape, Use(4096, cache_type="q8_0")).total == 512 * 1024**2 * 34 // 64


def test_a_sliding_window_stops_growing() -> None:
    shape = Shape((Layer(256, 256), Layer(256, 256, window=1024)), hidden=1024)
    short, long = (cache_of(shape, Use(context)) for context in (4096, 32768))
    assert short.layers[1] == long.layers[1] == 1536 * 2 * 256 * 2
    assert long.total - short.total == (32768 - 4096) * short.per_token


def test_a_recurrent_layer_takes_the_same_for_every_context() -> None:
    shape = Shape((Layer(state=1000), Layer(64, 64)), hidden=64)
    for context in (256, 65536):
        cache = cache_of(shape, Use(context, parallel=3))
        assert cache.state == cache.layers[0] == 3 * 4000


def test_what_fits_stays_on_the_gpu_and_the_rest_goes_to_ram() -> None:
    shape = from_numbers(LLAMA_8B)
    roomy = plan(shape, Use(8192), LINUX_BOX)
    assert roomy.fits
    assert roomy.gpu_layers == 33
    tight = plan(shape, Use(8192), Machine(vram=4 * GIB, ram=32 * GIB))
    assert tight.fits
    assert 0 < tight.gpu_layers < 33
    assert tight.tokens_per_second < roomy.tokens_per_second
    hopeless = plan(shape, Use(8192), Machine(vram=0, ram=4 * GIB))
    assert not hopeless.fits
    assert hopeless.largest == 0


@given(
    vram=st.integers(0, 80),
    ram=st.integers(0, 256),
    parallel=st.integers(1, 8),
    context=st.integers(1, 200_000),
)
def test_the_longest_context_is_just_what_fits(vram: int, ram: int, parallel: int, context: int) -> None:
    machine = Machine(vram * GIB, ram * GIB)
    shape = from_numbers(LLAMA_8B)
    made = plan(shape, Use(context, parallel), machine)
    assert made.gpu <= machine.vram
    assert made.largest_on_gpu <= made.largest or not made.largest
    if made.largest:
        assert plan(shape, Use(made.largest, parallel), machine).fits
    if made.largest < 131072:
        assert not plan(shape, Use(made.largest + 1024, parallel), machine).fits


def test_a_context_beyond_what_it_was_trained_for_is_said() -> None:
    shape = from_numbers(replace(LLAMA_8B, context=4096))
    assert "8192 tokens, more than the 4096 it was trained for" in plan_as_text(
        plan(shape, Use(8192), LINUX_BOX)
    )
    assert "trained" not in plan_as_text(plan(shape, Use(4096), LINUX_BOX))


def test_405_billion_parameters_do_not_fit_24_gib() -> None:
    llama_405b = Numbers(16384, 126, 128, 8, vocabulary=128256, parameters=405.9, bits=4.89)
    made = plan(from_numbers(llama_405b), Use(4096), Machine(24 * GIB, 64 * GIB))
    assert not made.fits
    assert made.total > 230 * GIB


@pytest.mark.parametrize(
    ("numbers", "complaint"),
    [
        (Numbers(hidden=4096, layers=0, heads=32), "layers"),
        (Numbers(hidden=4096, layers=32, heads=32, kv_heads=7), "share 7 KV heads"),
        (Numbers(hidden=100, layers=32, heads=32), "size of a head"),
        (Numbers(hidden=4096, layers=32, heads=32, parameters=8, bits=0), "make no sense"),
    ],
)
def test_senseless_numbers_are_refused(numbers: Numbers, complaint: str) -> None:
    with pytest.raises(TableError, match=complaint):
        from_numbers(numbers)


def test_a_room_full_of_gpus_is_planned_as_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["model", "plan", "deepseek-v3", "--vram", "20000", "--ram", "64"]) == 0
    assert "on the GPU       62 of 62 layers" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("--hidden 4096 --layers 32 --heads 32 --context 0", "context of 0 tokens"),
        ("--hidden 4096 --layers 32 --heads 32 --parallel -1", "-1 sequences"),
        ("--hidden 4096 --layers 32 --heads 32 --kv q9_9", "No cache is kept as q9_9"),
        ("--hidden 48 --layers 1 --heads 3 --kv q8_0 --head-size 10", "blocks of 32"),
        ("--layers 32", "--hidden"),
        ("llama-3.1-8b --vram 1e300", "--vram and --ram are in GiB"),
        ("llama-3.1-8b --ram 34359738368", "--vram and --ram are in GiB"),
    ],
)
def test_the_command_line_says_what_is_wrong(
    words: str, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["model", "plan", *words.split()]) == 1
    assert complaint in capsys.readouterr().err
