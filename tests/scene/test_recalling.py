"""What is remembered before an answer, and that an answer is never the worse for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot.clock import SystemClock
from bot.memory.recall import Recall
from bot.prompt.tokens import EstimatingCounter
from bot.scene.choosing import ASSUMED_CONTEXT, BUDGET_SHARE, MOST_MEMORIES
from bot.scene.recalling import Recalling
from bot.store import knowledge, log, scenes
from bot.store.records import Entry, EntryKind, SceneState, Stay
from bot.store.store import Store
from tests.scene.sitting import Sitting, shelf
from tests.store.story import TAVERN, line, scene

PROMISE = "I promise Tobin twelve silver crowns for the ferry to Vellmoor."
QUESTION = "How many silver crowns for the ferry to Vellmoor?"


class Evening(Sitting):
    """A scene whose beginning has left the window."""

    recall: Recall

    async def play(self, *said: str, **changes: Any) -> None:
        """Have things said, then much else; all of it leaves the window."""
        for text in said:
            await self.says(text, **changes)
        for number in range(30):
            await self.says(f"The rain goes on, verse {number}.")
        start = self.scene.take_seq()
        for entry in list(self.scene.window.entries):
            self.scene.window.discard(entry.id)
        self.scene.change(window_start=start)

    async def another(self, *said: str, cast: tuple[str, ...] = ("marta",)) -> None:
        """Have things said in another scene of the server, in which those were."""
        async with self.store.transaction() as tx:
            scene_id = await scenes.create(
                tx, scene(channel_id=TAVERN + 1, title="The Ferry", state=SceneState.ENDED)
            )
            await knowledge.arrive(tx, scene_id, cast, first_seq=0)
            for seq, text in enumerate(said, 1):
                await log.append(tx, line(scene_id, seq, text))

    async def remembered(self, persona: str = "narrator", whispered: str | None = None) -> list[Entry]:
        """Give the memories in the window after somebody has taken the word."""
        recalling = Recalling(self.store, self.recall, self.personas, SystemClock(), patience_s=0.5)
        await recalling.append(self.scene, self.persona(persona), whispered)
        return [entry for entry in self.scene.window.entries if entry.kind is EntryKind.MEMORY]


@pytest.fixture
async def evening(tmp_path: Path) -> AsyncIterator[Evening]:
    store = await Store.open(tmp_path / "hearthside.sqlite")
    evening = Evening(store, shelf(store, tmp_path), "narrator", "marta", "wren")
    evening.recall = Recall(store)
    await evening.begin()
    yield evening
    await store.aclose()


async def test_it_is_told_once_and_to_all_who_were_there(evening: Evening) -> None:
    await evening.play(PROMISE)
    await evening.says(QUESTION)
    [memory] = await evening.remembered()
    assert memory.text.startswith(f'earlier, session 1: Mira: "{PROMISE}"')
    assert memory.audience is None
    assert await evening.remembered("marta") == [memory]


@pytest.mark.parametrize(
    ("promise", "question", "other"),
    [
        (
            "渡し守に銀貨十二枚を払うと約束します。",
            "渡し守に払う銀貨は何枚でしたか?",
            "火のそばに座りますね。",
        ),
        ("我答应给船夫十二枚银币。", "我们要给船夫多少银币?", "我在火边坐下。"),
    ],
    ids=["Japanese", "Chinese"],
)
async def test_it_is_told_in_scripts_without_spaces(
    evening: Evening, promise: str, question: str, other: str
) -> None:
    await evening.play(promise)
    await evening.says(other)
    assert await evening.remembered() == []
    await evening.says(question)
    [memory] = await evening.remembered()
    assert memory.text.startswith(f'earlier, session 1: Mira: "{promise}"')


@pytest.mark.parametrize("expected", [QUESTION, "I sit down by the fire."])
async def test_what_is_looked_for_while_a_message_is_stored_is_told_if_it_was_said(
    evening: Evening, expected: str
) -> None:
    await evening.play(PROMISE)
    recalling = Recalling(evening.store, evening.recall, evening.personas, SystemClock())
    await recalling.append(evening.scene, evening.persona("narrator"))
    recalling.begin(evening.scene, expected)
    await evening.says(QUESTION)
    await recalling.append(evening.scene, evening.persona("narrator"))
    [memory] = [entry for entry in evening.scene.window.entries if entry.kind is EntryKind.MEMORY]
    assert PROMISE in memory.text


@pytest.mark.parametrize("found", [False, True])
async def test_what_is_forgotten_while_it_is_looked_for_is_not_told(evening: Evening, *, found: bool) -> None:
    await evening.play(PROMISE)
    recalling = Recalling(evening.store, evening.recall, evening.personas, SystemClock())
    await recalling.append(evening.scene, evening.persona("narrator"))
    recalling.begin(evening.scene, QUESTION)
    await evening.says(QUESTION)
    if found:
        await asyncio.gather(*(task for task in asyncio.all_tasks() if task.get_name() == "recall"))
    async with evening.store.transaction() as tx:
        await log.remove(tx, 1)
    await recalling.append(evening.scene, evening.persona("narrator"))
    assert not [entry for entry in evening.scene.window.entries if entry.kind is EntryKind.MEMORY]


async def test_what_players_say_of_other_things_reminds_nobody(evening: Evening) -> None:
    await evening.play(PROMISE)
    await evening.says("I sit down by the fire and eat my soup.")
    assert await evening.remembered() == []


async def test_only_those_who_were_there_know_of_the_memory(evening: Evening) -> None:
    evening.scene.stays[:] = [Stay("narrator", 0), Stay("marta", 0), Stay("wren", 20)]
    await evening.play(PROMISE)
    await evening.says(QUESTION)
    assert await evening.remembered("wren") == []
    [memory] = await evening.remembered("marta")
    assert memory.audience == "narrator,marta"


async def test_a_whisper_comes_back_in_whispers_alone(evening: Evening) -> None:
    await evening.play(PROMISE, audience="@7,marta")
    await evening.says(QUESTION)
    assert await evening.remembered("marta") == []
    [memory] = await evening.remembered("marta", "@7,marta")
    assert memory.audience == "@7,marta"


@pytest.mark.parametrize(("persona", "whispered"), [("marta", "marta,@8"), ("narrator", "narrator,@8")])
async def test_a_whisper_does_not_come_back_in_the_whispers_of_others(
    evening: Evening, persona: str, whispered: str
) -> None:
    await evening.play(PROMISE, audience="marta,@7")
    await evening.says(QUESTION, audience=whispered)
    assert await evening.remembered(persona, whispered) == []
    assert await evening.remembered("wren", "wren,@8") == []


async def test_what_was_said_aloud_is_remembered_though_the_same_was_whispered_of_just_before(
    evening: Evening,
) -> None:
    await evening.says("Marta, the silver crowns for the ferry are false.", audience="marta,@7")
    await evening.play("We all look up.", PROMISE)
    await evening.says(QUESTION)
    [memory] = await evening.remembered("wren")
    assert PROMISE in memory.text
    assert "false" not in memory.text


async def test_what_one_is_told_in_a_whisper_keeps_nobody_else_from_remembering_it(evening: Evening) -> None:
    await evening.play(PROMISE)
    await evening.says(QUESTION, audience="marta,@7")
    [whispered] = await evening.remembered("marta", "marta,@7")
    assert whispered.audience == "marta,@7"
    await evening.says(QUESTION)
    assert await evening.remembered("marta") == [whispered]
    _, public = await evening.remembered("wren")
    assert PROMISE in public.text
    assert public.audience is None


async def test_of_another_scene_only_those_know_who_were_in_it_even_if_they_narrate(evening: Evening) -> None:
    await evening.another(PROMISE, *(f"I count {number} gulls." for number in range(20)))
    await evening.says(QUESTION)
    assert await evening.remembered("wren") == []
    assert await evening.remembered("narrator") == []
    [memory] = await evening.remembered("marta")
    assert memory.text.startswith("earlier, The Ferry, session 1: ")
    assert memory.audience == "marta"


async def test_what_happened_in_scenes_of_others_does_not_hide_what_one_saw_in_another(
    evening: Evening,
) -> None:
    await evening.another(PROMISE, *(f"I count {number} gulls." for number in range(20)))
    for _ in range(3):
        await evening.another(*[QUESTION] * 40, cast=("tobin",))
    await evening.says(QUESTION)
    assert await evening.remembered("wren") == []
    [memory] = await evening.remembered("marta")
    assert PROMISE in memory.text


async def test_a_narrator_who_was_in_another_scene_knows_of_it(evening: Evening) -> None:
    await evening.another(PROMISE, *(f"I count {number} gulls." for number in range(20)), cast=("narrator",))
    await evening.says(QUESTION)
    [memory] = await evening.remembered("narrator")
    assert memory.audience == "narrator"


async def test_memories_come_in_the_order_in_which_they_happened_with_what_stands_beside_them(
    evening: Evening,
) -> None:
    chatter = [f"We talk of the weather, verse {number}." for number in range(40)]
    oath = "I swear on the silver crowns of Vellmoor that the ferry will be paid."
    await evening.play("We reach the quay.", PROMISE, "He spits into his hand.", *chatter, oath, *chatter)
    await evening.says(QUESTION)
    first, second = await evening.remembered()
    assert first.seq < second.seq
    assert first.text == (
        f'earlier, session 1: Mira: "We reach the quay." Mira: "{PROMISE}" Mira: "He spits into his hand."'
    )
    assert f'Mira: "{oath}"' in second.text


async def test_memories_have_a_budget_and_what_stands_in_the_window_is_none(evening: Evening) -> None:
    chatter = [f"We talk of the weather, verse {number}." for number in range(40)]
    promises = [
        told
        for number in range(5)
        for told in (f"{PROMISE[:-1]} on day {number}. {'Ever so ' * 40}", *chatter)
    ]
    await evening.play(*promises)
    await evening.says(PROMISE)
    await evening.says(QUESTION)
    memories = await evening.remembered()
    assert 0 < len(memories) < MOST_MEMORIES
    tokens = EstimatingCounter().count
    assert sum(tokens(one.text) for one in memories) <= ASSUMED_CONTEXT // BUDGET_SHARE
    assert all("on day" in one.text for one in memories)


async def test_a_text_of_100_kb_is_remembered_by_its_beginning(evening: Evening) -> None:
    await evening.play(f"{PROMISE} {'blah ' * 20_000}")
    await evening.says(f"{QUESTION} {'NEAR( OR * ' * 10_000}")
    [memory] = await evening.remembered()
    assert PROMISE in memory.text
    assert len(memory.text) < 1000


@pytest.mark.parametrize("how", ["broken", "slow"])
async def test_a_recall_that_fails_or_takes_too_long_costs_no_turn(
    evening: Evening, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def search(*_: object) -> list[Any]:
        if how == "slow":
            await asyncio.Event().wait()
        raise ValueError("The index is broken.")

    await evening.play(PROMISE)
    await evening.says(QUESTION)
    with monkeypatch.context() as patched:
        patched.setattr(evening.recall, "search", search)
        assert await evening.remembered() == []
    assert len(await evening.remembered()) == 1
