"""Who knows of what is pinned: a pin tells nobody what they would not know without it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.clock import SystemClock
from bot.errors import TableError
from bot.scene.forgetting import Forgetting
from bot.scene.kept import Kept
from bot.scene.knowledge import Asker, Knowledge, standing
from bot.scene.stories import Stories
from bot.store import log, pins
from bot.store.records import Entry, Stay
from bot.store.store import Store
from tests.scene.sitting import Sitting, shelf
from tests.store.story import MIRA, line

PAL = 1_200_000_000_000_000_002
STRANGER = 1_200_000_000_000_000_003
SHOWN_BY = 1_300_000_000_000_000_001
LEDGER = "The ledger lies under the third stair."
DEBT = "We owe the ferryman three silver."


class Evening(Sitting):
    """A scene with Marta, in which Wren comes in late."""

    knowledge: Knowledge
    kept: Kept
    forgetting: Forgetting

    async def told(self, slug: str = "") -> tuple[str, ...]:
        """Give the pins in the prompts of a persona; of all of the cast, if none is named."""
        cast = [self.persona(one) for one in self.cast]
        told = standing(await self.kept.of(self.scene), self.scene, cast, 4096)
        return (*told.pins, *(pin.text for pin in told.own_pins if slug in pin.known_to))

    async def listed(self, member_id: int, *, directs: bool = False) -> list[str]:
        """Give the pins that a member is shown."""
        return [pin.text for pin in await self.knowledge.pins(self.scene, Asker(member_id, directs=directs))]

    async def shown(self, text: str) -> Entry:
        """Have something said that a message of Discord shows."""
        async with self.store.transaction() as tx:
            entry = await log.append(tx, line(self.scene.id, self.scene.take_seq(), text), [SHOWN_BY])
        self.scene.add(entry)
        return entry


@pytest.fixture
async def evening(tmp_path: Path) -> AsyncIterator[Evening]:
    store = await Store.open(tmp_path / "hearthside.sqlite")
    evening = Evening(store, shelf(store, tmp_path), "narrator", "marta", "wren")
    await evening.begin()
    evening.kept = Kept(store)
    evening.forgetting = Forgetting(store, SystemClock())
    evening.knowledge = Knowledge(store, Stories(store), evening.kept, evening.forgetting, SystemClock())
    yield evening
    await evening.forgetting.aclose()
    await store.aclose()


async def test_a_pinned_message_is_told_to_those_who_were_there(evening: Evening) -> None:
    await evening.shown(LEDGER)
    evening.scene.stays[:] = [Stay("narrator", 0), Stay("marta", 0), Stay("wren", 2)]
    await evening.knowledge.pin_message(evening.scene, SHOWN_BY, Asker(MIRA, directs=False))
    await evening.knowledge.pin(evening.scene, DEBT, Asker(PAL, directs=False))
    said = f"Mira: {LEDGER}"
    assert await evening.told("marta") == await evening.told("narrator") == (DEBT, said)
    assert await evening.told("wren") == await evening.told() == (DEBT,)


async def test_players_are_shown_the_pins_that_their_characters_know(evening: Evening) -> None:
    await evening.shown(LEDGER)
    await evening.knowledge.pin_message(evening.scene, SHOWN_BY, Asker(MIRA, directs=False))
    said = f"Mira: {LEDGER}"
    assert await evening.listed(MIRA) == [said]
    assert await evening.listed(STRANGER, directs=True) == [said]
    assert await evening.listed(STRANGER) == []
    for wanted in ("#1", said):
        with pytest.raises(TableError, match="Nothing like"):
            await evening.knowledge.unpin(evening.scene, wanted, Asker(STRANGER, directs=False))
    await evening.says("Good evening.", author_id=PAL)
    assert await evening.listed(PAL) == [said], "they have been here this evening"
    with pytest.raises(TableError, match=f"<@{MIRA}> has pinned that"):
        await evening.knowledge.unpin(evening.scene, "#1", Asker(PAL, directs=False))


async def test_a_whisper_that_were_pinned_would_stay_one(evening: Evening) -> None:
    whispered = await evening.says(LEDGER, audience=f"marta,@{MIRA}")
    async with evening.store.transaction() as tx:
        await pins.keep(tx, evening.scene.id, "", MIRA, 0.0, entry_id=whispered.id)
    assert len(await evening.told("marta")) == len(await evening.told("narrator")) == 1
    assert await evening.told("wren") == await evening.told() == ()
    await evening.says("Good evening.", author_id=PAL)
    assert await evening.listed(PAL) == []
    assert len(await evening.listed(MIRA)) == 1


async def test_what_is_taken_back_is_in_no_file(evening: Evening, tmp_path: Path) -> None:
    by = Asker(MIRA, directs=True)
    await evening.knowledge.pin(evening.scene, "The ferryman is called Qvorblaxt.", by)
    await evening.knowledge.add_secret(evening.scene, "Qvorblaxt is dead.", MIRA)

    def files() -> str:
        return str([path.read_bytes() for path in tmp_path.glob("hearthside.sqlite*")])

    assert "Qvorblaxt" in files()
    await evening.knowledge.unpin(evening.scene, "#1", by)
    await evening.knowledge.remove_secret(evening.scene, "#1")
    evening.forgetting.start()
    async with asyncio.timeout(10):
        await evening.forgetting.finished()
    assert "Qvorblaxt" not in files()
