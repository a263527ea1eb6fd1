"""A scene and its lorebooks over time: the window is cut, books change, the bot is started again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from bot.scene import lorebooks
from bot.store import scenes
from bot.store.records import EntryKind
from bot.store.store import Store
from tests.scene.sitting import Sitting, shelf
from tests.store.story import MIRA, SERVER

GONG = {"key": ["gong"], "content": "{{char}} cast the gong for {{user}}."}


class Table(Sitting):
    """A sitting at which lore is told."""

    async def told(self, *said: str) -> list[str]:
        """Have a player speak and the narrator answer; give what lore was told before the answer."""
        for text in said:
            await self.says(text)
        before = {entry.id for entry in self.scene.window.entries}
        await self.lore.append(self.scene, self.persona("narrator"))
        new = [entry.text for entry in self.scene.window.entries if entry.id not in before]
        await self.says("Well.", EntryKind.ANSWER)
        return new

    async def cut(self, to: int) -> None:
        """Cut the window as a compaction does."""
        start = self.scene.window.entries[-to].seq
        for entry in list(self.scene.window.entries)[:-to]:
            self.scene.window.discard(entry.id)
        self.scene.change(window_start=start)
        async with self.store.transaction() as tx:
            await scenes.change(tx, self.scene.id, window_start=start)


@pytest.fixture
async def table(tmp_path: Path) -> AsyncIterator[Table]:
    store = await Store.open(tmp_path / "hearthside.sqlite")
    table = Table(store, shelf(store, tmp_path))
    await table.begin()
    yield table
    await store.aclose()


async def test_lore_is_told_once_and_again_when_the_window_was_cut(table: Table) -> None:
    await table.bring(GONG)
    assert await table.told("A gong!") == ["The Narrator cast the gong for Mira."]
    assert await table.told("The gong, the gong!") == []
    await table.sit(table.scene.record)
    assert await table.told("A gong after a restart.") == []
    await table.cut(to=2)
    assert await table.told("And the gong?") == ["The Narrator cast the gong for Mira."]
    await table.cut(to=1)
    await table.sit(table.scene.record)
    assert await table.told("And the gong?") == ["The Narrator cast the gong for Mira."]


async def test_timed_effects_outlive_the_window_and_a_restart(table: Table) -> None:
    await table.bring(
        {**GONG, "cooldown": 6}, {"key": ["rope"], "content": "Hemp.", "sticky": 5, "cooldown": 3}
    )
    assert len(await table.told("Gong, rope.")) == 2  # at message 1
    await table.cut(to=1)
    assert await table.told("Hm.") == ["Hemp."]  # message 3: still on
    await table.cut(to=1)
    await table.sit(table.scene.record)
    assert await table.told("Gong, rope.") == ["Hemp."]  # message 5
    await table.cut(to=1)
    assert await table.told("Gong, rope.") == [
        "The Narrator cast the gong for Mira."
    ]  # message 7: rope rests
    await table.cut(to=1)
    assert await table.told("Gong, rope.") == ["Hemp."]  # message 9


async def test_a_changed_entry_is_told_anew_and_a_removed_one_never(table: Table) -> None:
    await table.bring(GONG, {"key": ["rope"], "content": "Hemp."})
    book = await table.books.find(SERVER, "vell")
    assert len(await table.told("Gong, rope.")) == 2
    gong, rope = await table.books.entries(book)
    await table.books.change(book, gong.id, replace(gong.entry, content="Cracked."), gong.entry)
    await table.books.change(book, rope.id, rope.entry, rope.entry)
    assert await table.told("Gong, rope.") == ["Cracked."]
    await table.cut(to=1)
    await table.books.remove_entry(book, gong.id)
    assert await table.told("Gong, rope.") == ["Hemp."]
    await table.cut(to=1)
    await table.books.switch(book, on=False)
    assert await table.told("Gong, rope.") == []


async def test_the_head_takes_what_is_always_on_up_to_a_quarter_of_the_context(table: Table) -> None:
    law = {"constant": True, "content": "{{char}} rules. {{random::A::B}} {{pick::C::D}}", "order": 9}
    long = {"constant": True, "content": "Rain. " * 200, "order": 1}
    await table.bring(law, long)
    both = await table.lore.standing(table.scene, 8192)
    assert len(both) == 2
    assert both[1].startswith("The Narrator rules.")
    assert await table.lore.standing(table.scene, 8192) == both
    assert await table.lore.standing(table.scene, 1000) == both[1:]
    assert await table.told("Hm.") == []


async def test_what_lore_draws_is_drawn_once(table: Table) -> None:
    """What it tells is what wakes others."""
    await table.bring(
        {"key": ["gong"], "content": "It hangs on a {{random::rope::chain::beam}}."},
        *({"key": [thing], "content": f"The {thing} is old."} for thing in ("rope", "chain", "beam")),
    )
    drawn = set()
    for _ in range(20):
        gong, thing = (await table.lore.tested(SERVER, table.scene, "A gong!")).fired
        drawn.add(gong.text)
        assert gong.text == f"It hangs on a {thing.label}."
    assert len(drawn) == 3


async def test_lore_knows_what_was_said_last_and_of_whom_it_tells(table: Table) -> None:
    await table.bring(
        {"key": ["gong"], "content": "{{lastMessage}} {{pick::A::B}} {{roll:1d1}}{{hidden_key: bell}}"},
        {"key": ["bell"], "content": "The bell drowned.{{hidden_key: heron}}"},
        {"constant": True, "content": "Of {{char}}: {{description}}{{hidden_key: heron}}"},
    )
    first, bell = await table.told("Hm.", "[The gong says 20.]")
    assert first in {"(The gong says 20.) A 1", "(The gong says 20.) B 1"}
    assert bell == "The bell drowned."
    (always,) = await table.lore.standing(table.scene, 8192)
    assert always.startswith("Of The Narrator: ")
    assert table.persona("narrator").description[:40] in always
    assert "heron" not in always


async def test_a_whisper_is_in_no_lore_that_all_are_told(table: Table) -> None:
    await table.bring({"key": ["gong", "key"], "content": "{{user}} said: {{lastMessage}}"})
    await table.says("The gong!", speaker="Ann")
    await table.says("Psst, here is the key.", speaker="Bob", audience="narrator,@7")
    await table.lore.append(table.scene, table.persona("narrator"))
    (told,) = (one.text for one in table.scene.window.entries if one.kind is EntryKind.LORE)
    assert told == "Ann said: The gong!"
    assert table.scene.players(aloud=True) == ("Ann",)


async def test_a_test_changes_nothing(table: Table) -> None:
    await table.bring({**GONG, "sticky": 3})
    for _ in range(2):
        outcome = await table.lore.tested(SERVER, table.scene, "A gong!")
        assert [fired.because for fired in outcome.fired] == ["“gong” was said"]
    assert [fired.ref for fired in (await table.lore.tested(SERVER, None, "A gong!")).fired]
    assert not any(entry.kind is EntryKind.LORE for entry in table.scene.window.entries)
    assert await table.told("A gong!")
    assert (await table.lore.tested(SERVER, table.scene, "A gong!")).fired == ()


async def test_a_book_of_ten_thousand_comes_whole_and_there_is_an_end_to_it(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    await table.bring(*({"key": [f"k{number}"], "content": "x"} for number in range(10_000)))
    assert await table.told("k77 and k9999") == ["x", "x"]
    monkeypatch.setattr(lorebooks, "ENTRIES_IN_ALL", 10_002)
    await table.books.bring(SERVER, b'{"entries": [{}, {}]}', MIRA, name="B", filename="b")
    with pytest.raises(Exception, match="10,002 are kept: remove a book first"):
        await table.books.bring(SERVER, b'{"entries": [{}]}', MIRA, name="C", filename="c")
    assert [book.name for book in await table.books.all(SERVER)] == ["B", "Vell"]
