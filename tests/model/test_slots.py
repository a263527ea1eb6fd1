"""What the CPU server had read outlives it, where the same server of the same model comes back."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.clock import SystemClock
from bot.model import slots
from bot.model.cpu import CpuServer
from bot.model.openai_server import OpenAIServer
from tests.model.conftest import ask, hear

STORY = "The rain comes down on the old stone stairs. " * 20


def kept(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


async def evaluated(model: Path, folder: Path, context: int = 1024, *, taken_back: bool = False) -> int:
    """Start a server, ask it once, and stop it as the bot does, after something was `taken_back` perhaps."""
    child = CpuServer(model, clock=SystemClock(), context=context, parallel=2, slots=folder)
    endpoint = await child.ensure()
    server = OpenAIServer(endpoint.url, api_key=endpoint.api_key)
    try:
        _, last = await hear(server, ask(STORY))
        if taken_back:
            await child.forget()
    finally:
        await server.aclose()
        await child.stop()
    assert last.usage
    assert last.usage.evaluated_tokens is not None
    return last.usage.evaluated_tokens


async def test_a_restart_costs_nothing_and_another_context_the_whole_prompt(
    tiny_gguf: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "data" / "slots"
    whole = await evaluated(tiny_gguf, folder)
    assert whole > 300
    files = kept(folder)
    assert 1 <= len(files) <= 2
    assert await evaluated(tiny_gguf, folder) == 1
    assert kept(folder) == files
    assert await evaluated(tiny_gguf, folder, context=512) == whole
    assert not set(files) & set(kept(folder))


async def test_a_file_that_is_broken_is_passed_over(tiny_gguf: Path, tmp_path: Path) -> None:
    whole = await evaluated(tiny_gguf, tmp_path)
    for file in kept(tmp_path):
        file.write_bytes(file.read_bytes()[:100])
    assert await evaluated(tiny_gguf, tmp_path) == whole


async def test_nothing_is_kept_of_what_was_taken_back(tiny_gguf: Path, tmp_path: Path) -> None:
    whole = await evaluated(tiny_gguf, tmp_path)
    assert kept(tmp_path)
    assert await evaluated(tiny_gguf, tmp_path, taken_back=True) == 1
    assert not kept(tmp_path)
    assert await evaluated(tiny_gguf, tmp_path) == whole


async def test_the_disk_is_not_filled(
    tiny_gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots, "MOST_BYTES", 0)
    await evaluated(tiny_gguf, tmp_path)
    assert not kept(tmp_path)


async def test_a_folder_that_cannot_be_is_no_reason_not_to_play(tiny_gguf: Path, tmp_path: Path) -> None:
    file = tmp_path / "slots"
    file.write_text("not a folder", encoding="utf-8")
    assert await evaluated(tiny_gguf, file) > 300
