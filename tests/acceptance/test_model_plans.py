"""Models before they run, asked for at the table."""

from __future__ import annotations

import io

from PIL import Image

from bot.model.library import chart
from tests.acceptance.tabletop import Tabletop
from tests.fakes.model_server import ScriptedModelServer


async def test_a_plan_comes_as_words_and_as_a_picture(table: Tabletop, model: ScriptedModelServer) -> None:
    async with table.bot(model.url):
        told = await table.command("model plan", {"model": "llama-3.1-8b", "context": 16384, "parallel": 2})
        [embed] = told.embeds
        assert "16384 tokens for each of 2 scenes" in embed["description"]
        assert "4 GiB as f16; 128 KiB for each token more" in embed["description"]
        assert embed["image"]["url"].endswith("plan.png") or "plan.png" in embed["image"]["url"]
        refused = await table.command("model plan", {"model": "/etc/passwd"})
        assert "no file, folder or known model" in refused.content


async def test_what_runs_here_is_told(table: Tabletop, model: ScriptedModelServer) -> None:
    async with table.bot(model.url):
        told = await table.command("model suggest")
        assert "of RAM, the largest first:" in told.content
        offered = await table.room.autocomplete(
            table.ann, table.campaign, "model plan", {"model": "nemo"}, focused="model"
        )
        assert offered == [("Mistral Nemo 12B Instruct", "mistral-nemo-12b")]


def test_the_picture_shows_the_machines_memory() -> None:
    graph = chart.Graph(
        "A model", [1024, 2048, 4096, 8192], [5, 5.5, 6.5, 8.5], 4.5, [("GPU", 8.0), ("GPU + RAM", 40)]
    )
    image = Image.open(io.BytesIO(chart.draw(graph))).convert("RGB")
    assert image.size == (chart.WIDTH, chart.HEIGHT)
    y = round(chart.upward(8.0, chart.ceiling(graph)))
    seen = image.getpixel((chart.LEFT + 20, y))
    assert isinstance(seen, tuple)
    assert seen[0] > 200
    assert seen[2] < 150
