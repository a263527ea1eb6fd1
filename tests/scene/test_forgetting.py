"""What was deleted or changed is in no byte of the database's files, once the bot had a quiet moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from bot.clock import SystemClock
from bot.memory.embedding import Embedding
from bot.memory.vectors import Vectors
from bot.scene.forgetting import Forgetting
from bot.scene.kept import Kept
from bot.scene.lineage import Lineage
from bot.scene.stories import Stories
from bot.store import log
from bot.store.records import Entry, EntryKind
from bot.store.store import Store
from tests.scene.sitting import Sitting, shelf

WORD = "Qvorblaxt"
KEPT = "lanternlight"


class Evening(Sitting):
    """A scene in which things are said that are to be forgotten."""

    folder: Path
    forgetting: Forgetting

    def on_disk(self, word: str) -> bool:
        """Tell whether the files have a word; an index keeps only what differs from the word before."""
        files = b"".join(path.read_bytes() for path in self.folder.glob("hearthside.sqlite*"))
        return word[3:].lower().encode() in files.lower()

    async def take_back(self, entry: Entry, text: str | None = None) -> None:
        """Change an entry, or delete it, as the table does."""
        embedding = Embedding(self.store, Vectors(self.store), None, SystemClock())
        lineage = Lineage(embedding, Stories(self.store), Kept(self.store), self.forgetting)
        async with self.store.transaction() as tx:
            await lineage.changed(tx, entry, deleted=text is None)
            if text is None:
                await log.remove(tx, entry.id)
            else:
                await log.set_text(tx, entry.id, text, 0.0)

    async def chatter(self, lines: int) -> None:
        for number in range(lines):
            await self.says(f"We talk of {KEPT} and of the road number {number}.")


@pytest.fixture
async def evening(tmp_path: Path) -> AsyncIterator[Evening]:
    store = await Store.open(tmp_path / "hearthside.sqlite")
    evening = Evening(store, shelf(store, tmp_path))
    evening.folder = tmp_path
    await evening.begin()
    evening.forgetting = Forgetting(store, SystemClock())
    yield evening
    await evening.forgetting.aclose()
    await store.aclose()


@pytest.mark.parametrize("instead", [None, "The name is nobody's business."])
async def test_a_word_that_was_said_and_taken_back_is_in_no_file(
    evening: Evening, instead: str | None
) -> None:
    await evening.chatter(20)
    said = await evening.says(f"His name is {WORD}.")
    await evening.chatter(20)
    evening.forgetting.start()
    await evening.forgetting.finished()
    assert evening.on_disk(WORD)

    await evening.take_back(said, instead)
    async with asyncio.timeout(10):
        await evening.forgetting.finished()

    assert not evening.on_disk(WORD)
    assert evening.on_disk(KEPT)


@pytest.mark.parametrize("seed", [4, 35])
async def test_of_a_long_evening_nothing_that_was_taken_back_is_left(evening: Evening, seed: int) -> None:
    """Entries that are changed and deleted among others are moved about in the file, and leave copies."""
    rng = Random(seed)  # noqa: S311  # dice
    said: list[tuple[str, Entry]] = []
    taken_back = []
    for number in range(100):
        told = f"I am {WORD}{number:02d}. {'Well. ' * rng.randint(2, 130)}"
        if rng.random() < 0.6 or len(said) < 5:
            said.append((told, await evening.says(told)))
            continue
        place = rng.randrange(len(said))
        text, entry = said.pop(place)
        taken_back.append(text.split(".")[0])
        if rng.random() < 0.7:
            await evening.take_back(entry, told)
            said.insert(place, (told, replace(entry, text=told)))
        else:
            await evening.take_back(entry)
    evening.forgetting.start()
    async with asyncio.timeout(10):
        await evening.forgetting.finished()
    assert [text for text in taken_back if evening.on_disk(text)] == []
    assert all(evening.on_disk(text.split(".")[0]) for text, _ in said)


async def test_lore_that_repeats_what_was_taken_back_goes_with_it(evening: Evening) -> None:
    said = await evening.says(f"His name is [{WORD}].")
    await evening.says("The gate is old.", EntryKind.LORE)
    await evening.says(f"You hear it whispered: His name is ({WORD}).", EntryKind.LORE)
    later = await evening.says("I open the gate.")
    await evening.says("I open the gate.", EntryKind.LORE)
    evening.forgetting.start()
    await evening.take_back(said)
    async with asyncio.timeout(10):
        await evening.forgetting.finished()
    assert not evening.on_disk(WORD)
    async with evening.store.read() as connection:
        left = await log.since(connection, evening.scene.id, 0)
    assert [one.text for one in left] == ["The gate is old.", "I open the gate.", "I open the gate."]
    await evening.take_back(later, "I close the gate.")
    async with evening.store.read() as connection:
        left = await log.since(connection, evening.scene.id, 0)
    assert [one.text for one in left] == ["The gate is old.", "I close the gate."]


async def test_a_restart_goes_on_with_what_was_left(evening: Evening) -> None:
    said = await evening.says(f"His name is {WORD}.")
    await evening.chatter(5)
    await evening.take_back(said)
    assert evening.on_disk(WORD)

    cleared = asyncio.Event()

    async def elsewhere() -> None:
        cleared.set()

    evening.forgetting = Forgetting(evening.store, SystemClock(), elsewhere)
    evening.forgetting.start()
    async with asyncio.timeout(10):
        await evening.forgetting.finished()

    assert not evening.on_disk(WORD)
    assert cleared.is_set()


async def test_who_reads_meanwhile_is_not_disturbed_and_delays_it(evening: Evening) -> None:
    said = await evening.says(f"His name is {WORD}.")
    await evening.chatter(5)
    async with evening.store.read() as connection:
        before = await log.since(connection, evening.scene.id, 0)
        await evening.take_back(said)
        assert not await evening.store.checkpoint()
        assert await log.since(connection, evening.scene.id, 0) == before
    evening.forgetting.start()
    async with asyncio.timeout(10):
        await evening.forgetting.finished()
    assert not evening.on_disk(WORD)


class LongDay(SystemClock):
    """The machine's time, on which to write a file anew takes ten seconds, and a rest has no end."""

    def __init__(self) -> None:
        self.rests = asyncio.Event()
        self._passed = 0.0

    def monotonic(self) -> float:
        self._passed += 10.0
        return self._passed

    async def sleep(self, seconds: float) -> None:
        if seconds > 1000:
            self.rests.set()
            await asyncio.Event().wait()
        await super().sleep(min(seconds, 0.01))


async def test_a_large_file_is_not_written_anew_for_every_edit_and_words_still_go(evening: Evening) -> None:
    """Whoever plays on a server with gigabytes of stories would wait for it."""
    said = [await evening.says(f"His name is {WORD}{number}.") for number in range(2)]
    clock = LongDay()
    evening.forgetting = Forgetting(evening.store, clock)
    evening.forgetting.start()
    async with asyncio.timeout(10):
        await evening.take_back(said[0])
        await evening.forgetting.finished()
        await evening.take_back(said[1])
        await clock.rests.wait()
    assert not evening.on_disk(f"{WORD}1")
