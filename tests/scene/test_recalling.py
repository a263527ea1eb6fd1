"""What is remembered before an answer, and that an answer is never the worse for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot.clock import SystemClock
from bot.memory.recall import Recall
from bot.scene.recalling import Recalling
from bot.store.records import Entry, EntryKind, Stay
from bot.store.store import Store
from tests.scene.sitting import Sitting, shelf

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
