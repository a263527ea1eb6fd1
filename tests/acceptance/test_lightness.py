"""What a running bot has loaded: a library that a table does not use costs it memory all evening."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.tabletop import Tabletop
from tests.fakes.model_server import TEXT, ScriptedModelServer

HEAVY = {
    "numpy": "_multiarray_umath",
    "numkong": "_numkong",
    "Pillow": "_imaging",
    "tiktoken": "_tiktoken",
    "google-re2": "_re2",
    "xllamacpp": "xllamacpp",
}
"""Libraries that are loaded when something needs them, and the name of a file that each brings with it."""


def loaded(pid: int | None) -> str:
    """Give the files that a process has mapped, as Linux lists them."""
    return Path(f"/proc/{pid}/maps").read_text(encoding="utf-8")


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux says what a process has loaded")
async def test_a_table_that_plays_with_words_alone_loads_no_heavy_library(table: Tabletop) -> None:
    """The bench of 50 scenes in 100 MiB has no room for one of them."""
    async with ScriptedModelServer() as model, table.bot(model.url) as bot:
        await table.start_scene()
        for line in ("I open the door.", "Who rang the bell?"):
            said = await table.says(table.ann, line)
            await table.shows(TEXT, since=said.cursor)
            await table.at_rest()
        assert "bell" in (await table.command("memory search", {"text": "the bell"})).content
        files = loaded(bot._process.pid)
    assert "_sqlite3" in files
    assert [name for name, file in HEAVY.items() if file in files] == []
