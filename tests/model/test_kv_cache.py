"""The planned cache against the one that a real llama.cpp allots; `bench/kv.py` does more of the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.kv import planned, read_shape, reported
from bot.model.library.cache import Use
from tests.architecture_ggufs import ARCHITECTURES, write_architecture_gguf


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_plan_says_what_the_server_allots(name: str, tmp_path: Path) -> None:
    path = write_architecture_gguf(tmp_path / f"{name}.gguf", name)
    use = Use(4096, 2)
    ours, theirs = planned(read_shape(path), use), reported(path, use)
    assert ours.caches == theirs.caches
    assert ours.state == theirs.state
    assert 0.98 * theirs.compute <= ours.compute <= 1.2 * theirs.compute


@pytest.mark.parametrize("name", ["llama", "gemma3"])
def test_the_compute_buffer_is_about_right(name: str, tmp_path: Path) -> None:
    path = write_architecture_gguf(tmp_path / f"{name}.gguf", name)
    for use in (Use(1000), Use(16384, 2)):
        ours, theirs = planned(read_shape(path), use), reported(path, use)
        assert ours.compute == pytest.approx(theirs.compute, rel=0.03)


def test_a_cache_of_eight_bits_too(tmp_path: Path) -> None:
    path = write_architecture_gguf(tmp_path / "gemma3.gguf", "gemma3")
    use = Use(1000, 3, "q8_0")
    assert planned(read_shape(path), use).caches == reported(path, use).caches
