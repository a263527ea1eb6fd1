"""What a member takes along of a story: all of what they may know, however long it is, and nothing else."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot.errors import TableError
from bot.scene.export import PAGE, Export, exported
from bot.scene.knowledge import Asker
from bot.scene.stories import Stories
from bot.store import log
from bot.store.records import EntryKind
from bot.store.store import Store
from tests.scene.sitting import Sitting, shelf
from tests.store.story import AT, MIRA, line

PAL = 1_200_000_000_000_000_002
MIB = 1024**2
DAY = 24 * 3600.0


@pytest.fixture
async def evening(tmp_path: Path) -> AsyncIterator[Sitting]:
    store = await Store.open(tmp_path / "hearthside.sqlite")
    evening = Sitting(store, shelf(store, tmp_path), "narrator", "marta")
    await evening.begin()
    yield evening
    await store.aclose()


async def taken(evening: Sitting, member_id: int, most: int = MIB, *, directs: bool = False) -> Export:
    asker = Asker(member_id, directs=directs)
    return await exported(evening.store, Stories(evening.store), evening.scene, asker, most)


def read(export: Export) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(gzip.decompress(export.data) if export.is_packed else export.data)
    return document


def texts(document: dict[str, Any]) -> list[str]:
    return [entry["text"] for entry in document["entries"]]


async def test_a_player_takes_along_the_sessions_they_played_in_and_what_was_whispered_to_them(
    evening: Sitting,
) -> None:
    await evening.says("The bell rings.", created_at=AT)
    await evening.says("I hide it.", created_at=AT, audience=f"marta,@{MIRA}")
    await evening.says("Who goes there?", created_at=AT + DAY, author_id=PAL)
    await evening.says("The gate is open.", created_at=AT + DAY, kind=EntryKind.LORE, author_id=None)
    mira, pal = read(await taken(evening, MIRA)), read(await taken(evening, PAL))
    whole = read(await taken(evening, PAL, directs=True))
    assert texts(mira) == ["The bell rings.", "I hide it."]
    assert mira["entries"][1]["audience"] == f"marta,@{MIRA}"
    assert mira["sessions"] == [{"number": 1, "began": "2023-11-14T22:13:20+00:00"}]
    assert texts(pal) == ["Who goes there?"]
    assert pal["entries"][0]["session"] == 2
    assert "secrets" not in pal
    assert texts(whole) == ["The bell rings.", "I hide it.", "Who goes there?"]
    assert whole["secrets"] == []


async def test_a_long_story_is_packed_and_whole_and_one_that_is_too_long_is_refused(evening: Sitting) -> None:
    said = [f"Verse {number}: “naïve” \\ rain 雨." for number in range(PAGE + 500)]
    async with evening.store.transaction() as tx:
        for text in said:
            await log.append(tx, line(evening.scene.id, evening.scene.take_seq(), text))
    plain, packed = await taken(evening, MIRA), await taken(evening, MIRA, 100_000)
    assert not plain.is_packed
    assert packed.is_packed
    assert len(packed.data) < 100_000 < len(plain.data)
    assert texts(read(plain)) == said
    assert read(packed) == read(plain)
    with pytest.raises(TableError, match="Even packed it takes more than"):
        await taken(evening, MIRA, 2000)


async def test_nothing_is_a_file_too(evening: Sitting) -> None:
    assert texts(read(await taken(evening, MIRA))) == []
