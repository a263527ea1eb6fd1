"""What left the window is told in the prompts that follow, by the running bot."""

from __future__ import annotations

import json

from tests.acceptance.tabletop import Tabletop
from tests.acceptance.test_inside import Evening, replay
from tests.fakes.model_server import Answer, ScriptedModelServer

RAIN = "The rain comes down on the old stone stairs. " * 35
RAINY = "Ann talked of the rain on the old stone stairs."
KEPT = "Ann hid a silver key in the old well near the stairs."


async def test_what_left_the_window_is_summed_up_shown_replayed_and_forgotten(table: Tabletop) -> None:
    async with ScriptedModelServer(dialect="vllm", context=2600) as model:
        model.summary = lambda asked: Answer(KEPT if "silver key" in asked else RAINY)
        evening = Evening(table, model)
        async with table.bot(model.url):
            await table.start_scene(title="Fog")
            hidden = (await evening.plays(table.ann, "I hid a silver key in the well. " + RAIN)).said
            for _ in range(5):
                played = await evening.plays(table.ann, RAIN)
            # It is told from when nobody waits for an answer: then the new beginning is read ahead.
            await table.until(
                lambda: any(one.purpose == "ahead" and KEPT in str(one.body) for one in model.chats)
            )
            played = await evening.plays(table.ann, "And now?")
            assert KEPT in played.sent["messages"][0]["content"]
            code, messages, _ = await replay(table, str(played.shown.id))
            assert (code, messages) == (0, played.sent["messages"])

            await table.room.delete(hidden)
            await table.until(lambda: not table.query("SELECT 1 FROM summaries WHERE text LIKE '%key%'"))
            assert not table.query("SELECT 1 FROM heads WHERE text LIKE '%silver key%'")
            played = await evening.plays(table.ann, "Well?")
            assert "silver key" not in json.dumps(played.sent)
