"""What left the window comes back when it is talked of: once, and to those who were there."""

from __future__ import annotations

import json
import re
from contextlib import aclosing
from typing import Any

from bot.prompt.log import STORY
from bot.prompt.replay import prompt_json
from bot.scene import inside
from bot.store.store import Store
from tests.acceptance.tabletop import Tabletop
from tests.acceptance.test_inside import Evening, fields
from tests.acceptance.test_whispers import KEY, whisper
from tests.fakes.model_server import Answer, ScriptedModelServer

RAIN = "The rain comes down on the old stone stairs. " * 35
PROMISE = "I promise Tobin twelve silver crowns for the ferry to Vellmoor."
EARLIER = re.compile(r"\[earlier, [^\n]*\]")


def remembered(sent: dict[str, Any]) -> list[str]:
    """Give the memories in a prompt's log."""
    return [line for one in sent["messages"][1:] for line in EARLIER.findall(one["content"])]


def text(sent: dict[str, Any]) -> str:
    return "".join(f"<{one['role']}>{one['content']}" for one in sent["messages"])


async def test_a_promise_that_left_the_window_is_told_again_when_somebody_asks(table: Tabletop) -> None:
    async with ScriptedModelServer(dialect="vllm", context=2600) as model:
        model.summary = lambda _: Answer("Ann talked of the rain on the old stone stairs.")
        evening = Evening(table, model)
        async with table.bot(model.url):
            await table.start_scene(title="Fog")
            promised = (await evening.plays(table.ann, PROMISE)).said
            for _ in range(6):
                played = await evening.plays(table.ann, RAIN)
            assert "Vellmoor" not in text(played.sent)

            asked = await evening.plays(table.bob, "How many silver crowns did we promise for the ferry?")
            after = await evening.plays(table.bob, "And the ferry to Vellmoor, was it silver or gold crowns?")

            assert len(memories := remembered(asked.sent)) == 1
            assert memories[0].startswith("[earlier, session 1: ")
            assert f'Ann: "{PROMISE}"' in memories[0]
            assert remembered(after.sent) == memories
            assert text(after.sent).startswith(text(asked.sent))

            why = fields(await table.command("why"))
            assert re.match(r"0\.\d\d: earlier, session 1: ", why["Memories"])
            assert "Memories: " in fields(await table.command("context"))["The story"]
            hidden = fields(await table.command("why", who=table.bob))["Memories"]
            assert hidden == "1 entry; which, only the game master is told"

            await table.room.delete(promised)
            await table.until(lambda: not table.query("SELECT 1 FROM entries WHERE kind = 'memory'"))
            gone = await evening.plays(table.bob, "What did we promise for the ferry to Vellmoor?")
            assert "twelve" not in text(gone.sent)


async def test_who_was_not_there_is_not_told(table: Tabletop) -> None:
    async with ScriptedModelServer(dialect="vllm", context=2600) as model:
        model.summary = lambda _: Answer("Ann talked of the rain on the old stone stairs.")
        evening = Evening(table, model)
        async with table.bot(model.url):
            await table.start_scene(title="Fog", persona="marta", mode="mention-only")
            await evening.plays(table.ann, f"Marta, hear me. {PROMISE}")
            await table.command("scene add", {"persona": "wren"})
            for _ in range(6):
                await evening.plays(table.ann, f"Marta, listen. {RAIN}")
            told = await evening.plays(table.ann, "Marta, how many silver crowns for the ferry to Vellmoor?")
            wren = await evening.plays(table.ann, "Wren, how many silver crowns for the ferry to Vellmoor?")
            again = await evening.plays(table.ann, "Marta, say it again.")

    assert len(remembered(told.sent)) == 1
    assert not remembered(wren.sent)
    assert "twelve" not in text(wren.sent)
    assert remembered(again.sent) == remembered(told.sent)


async def test_another_scene_of_the_campaign_is_remembered_by_who_was_in_it(table: Tabletop) -> None:
    async with ScriptedModelServer() as model:
        evening = Evening(table, model)
        async with table.bot(model.url):
            await table.start_scene(title="The Ferry", persona="marta", mode="mention-only")
            await evening.plays(table.ann, f"Marta, hear me. {PROMISE}")
            for line in ("The fog lifts.", "I count the gulls.", "Somebody sings below.", "Is there soup?"):
                await evening.plays(table.ann, f"Marta! {line}")
            await table.command("scene end")
            await table.start_scene(title="The Hill", persona="marta, wren", mode="mention-only")
            wren = await evening.plays(table.ann, "Wren, how many silver crowns for the ferry to Vellmoor?")
            marta = await evening.plays(table.ann, "Marta, how many silver crowns for the ferry to Vellmoor?")

    assert not remembered(wren.sent)
    [memory] = remembered(marta.sent)
    assert memory.startswith("[earlier, The Ferry, session 1: ")
    assert "twelve silver crowns" in memory


async def test_a_prompt_with_all_that_memory_adds_is_shown_and_rebuilt_to_the_byte(table: Tabletop) -> None:
    async with ScriptedModelServer(dialect="vllm", context=2900) as model:
        model.summary = lambda _: Answer("Ann talked of the rain on the old stone stairs.")
        evening = Evening(table, model)
        async with table.bot(model.url):
            await table.start_scene(title="Fog", persona="narrator, marta", mode="mention-only")
            await table.command("secret add", {"text": "The ferryman of Vellmoor has been dead for a year."})
            await evening.plays(table.ann, f"Narrator, hear me. {PROMISE}")
            for _ in range(6):
                await evening.plays(table.ann, f"Narrator, listen. {RAIN}")
            # It is told from when nobody waits for an answer: then the new beginning is read ahead.
            await table.until(
                lambda: any(one.purpose == "ahead" and STORY in str(one.body) for one in model.chats)
            )
            await whisper(table, KEY, to="narrator")
            question = "how many silver crowns for the ferry to Vellmoor?"
            narrator = await evening.plays(table.bob, f"Narrator, {question}")
            marta = await evening.plays(table.bob, f"Marta, {question}")
            seen = fields(await table.command("context"))
        async with aclosing(await Store.open(table.database)) as store:
            rebuilt = [await inside.replay(store, one.shown.id) for one in (narrator, marta)]

    assert STORY in text(narrator.sent)
    assert STORY in text(marta.sent)
    assert len(remembered(narrator.sent)) == 1
    assert KEY in text(narrator.sent)
    assert KEY not in text(marta.sent)
    assert "dead for a year.]\n[The Narrator answers.]" in narrator.sent["messages"][-1]["content"]
    assert "dead for a year" not in text(marta.sent)
    for played, again in zip((narrator, marta), rebuilt, strict=True):
        assert again.identical
        assert json.loads(prompt_json(again.messages)) == played.sent["messages"]
    assert "Summary: " in seen["Before the story"]
    assert "Memories: " in seen["The story"]
    assert re.search(r"Secrets: \d+ tokens, told last", seen["The story"])
