"""The index of words, as it reads scripts without spaces: new and old, changed and emptied."""
# ruff: noqa: RUF001  # how these texts are written is what they are for

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from bot.memory import query
from bot.memory.recall import Recall
from bot.store import log, memory_tables, recall
from bot.store.spaceless import apart
from bot.store.store import Store
from tests.store.story import line, started
from tests.store.test_schema import made_by

TOLD = "宿屋の主人マルタは、ｶﾞｰﾄﾞに銀貨十二枚を約束した。"


def words_in(file: Path) -> set[str]:
    """Give the words that the index has."""
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE VIRTUAL TABLE temp.words USING fts5vocab(main, passages, 'row')")
        return {word for (word,) in connection.execute("SELECT term FROM temp.words WHERE doc > 0")}


async def found(store: Store, asked: str) -> list[str]:
    return [hit.entry.text for hit in await Recall(store).search([1], asked, 3) if hit.named]


async def left(store: Store) -> bytes:
    """Clear what was deleted, and give what the database's files still have."""
    going_on = True
    async with store.transaction() as tx:
        await recall.merge(tx, begin=True)
    while going_on:
        async with store.transaction() as tx:
            going_on = await recall.merge(tx, begin=False)
    assert await store.checkpoint()
    return b"".join(
        path.read_bytes() for path in store.path.parent.glob("*.sqlite*") if "before" not in path.name
    )


@pytest.mark.parametrize(
    "text",
    [
        "It’s the ferryman’s promise — naïve, “déjà vu”… 12 ½ ﬁ ①",
        "Паромщик ждёт. Ο πορθμέας. שלום. مرحبا. नमस्ते",
        "뱃사공이 기다린다. 한글 ﾡ",
        "བོད་ཡིག",
        "",
    ],
)
def test_other_scripts_are_read_as_they_stand(text: str) -> None:
    assert apart(text) == text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("那条龙", "那条 条龙 那 条 龙"),
        ("マルタの宿", "マル ルタ タの の宿 宿"),
        ("ｶﾞｰﾄﾞ", "ガー ード"),
        ("え？", "?"),
        ("Ｉｎｎへ", "Inn"),
        ("龍。鬼", "龍 。 鬼"),
    ],
)
def test_characters_and_their_pairs_become_words(text: str, words: str) -> None:
    assert apart(text).split() == words.split()


def test_signs_stay_with_the_letter_that_they_belong_to() -> None:
    for text, characters in (("กินน้ำ", 3), ("เสือ", 2), ("ប្រាសាទ", 3), ("မြန်မာ", 3), ("ຜາສາດ", 3)):
        assert len(apart(text).split()) == 2 * characters - 1


async def test_what_was_changed_or_deleted_leaves_no_word_in_index_or_file(store: Store, file: Path) -> None:
    scene_id = await started(store)
    texts = [
        "龘靐の館",
        TOLD,
        "กินน้ำในปราสาท ๆ",
        "ប្រាសាទ မြန်မာ",
        "か\N{COMBINING KATAKANA-HIRAGANA VOICED SOUND MARK}あ゙",
        "ＡＢＣ 龍" * 9000,
    ]
    async with store.transaction() as tx:
        entries = [
            await log.append(tx, line(scene_id, seq, text, speaker=f"龘{seq}世"))
            for seq, text in enumerate(texts, 1)
        ]
        await log.append(tx, line(scene_id, 99, "渡し守が待つ。", speaker="王"))
    assert {"龘靐", "の館", "銀貨", "ガー", "abc"} <= words_in(file)
    async with store.transaction() as tx:
        for entry in entries[1:]:
            await log.remove(tx, entry.id)
        await log.set_text(tx, entries[0].id, "空の館", 1.0)
        await log.remove(tx, entries[0].id)
    assert words_in(file) == {*apart("渡し守が待つ 王").split()}

    bytes_left = await left(store)
    for gone in ("龘", "靐", "銀貨", "ガー"):
        assert gone.encode() not in bytes_left
    assert "渡し".encode() in bytes_left


async def test_an_old_database_is_read_anew_where_it_has_such_scripts(tmp_path: Path) -> None:
    file = tmp_path / "old" / "hearthside.sqlite"
    made_by("0008", file)
    told = [TOLD, "The ferry waits.", "กินน้ำในปราสาท", "It’s “late”."]
    with closing(sqlite3.connect(file)) as old, old:
        old.executemany(
            "INSERT INTO entries (scene_id, seq, kind, speaker, text, created_at) VALUES (1, ?, ?, ?, ?, 0)",
            [
                *((seq, "player", "Mira", text) for seq, text in enumerate(told, 2)),
                (6, "answer", "渡し守", "Wait."),
                (7, "lore", "lore", "龍の伝説"),
            ],
        )
        before = words_in(file)
    with capture_logs() as said:
        store = await Store.open(file)
    assert [one["entries"] for one in said if one["event"] == "indexing_anew"] == [3]
    assert await found(store, "銀貨の約束") == [TOLD]
    assert await found(store, "น้ำ") == ["กินน้ำในปราสาท"]
    assert await found(store, "渡し") == ["Wait."]
    assert await found(store, "ferry") == ["The ferry waits."]
    assert await found(store, "龍の伝説") == []
    assert {word for word in before if word.isascii()} <= words_in(file)

    async with store.transaction() as tx:
        for entry in await log.since(tx, 1, 0):
            await log.remove(tx, entry.id)
    assert words_in(file) == set()
    bytes_left = await left(store)
    for gone in (TOLD, "銀貨", "主人", "宿屋"):
        assert gone.encode() not in bytes_left
    await store.aclose()


async def test_a_table_without_such_scripts_is_not_read_anew(tmp_path: Path) -> None:
    file = tmp_path / "old" / "hearthside.sqlite"
    made_by("0008", file)
    with capture_logs() as said:
        store = await Store.open(file)
    assert [one["event"] for one in said] == ["database_migrated"]
    assert await found(store, "door") == ["I open the door."]
    await store.aclose()


async def test_another_program_can_read_the_database_but_not_write_past_the_index(
    store: Store, file: Path
) -> None:
    scene_id = await started(store)
    async with store.transaction() as tx:
        await log.append(tx, line(scene_id, 1, TOLD))
    with closing(sqlite3.connect(file)) as other:
        assert other.execute("SELECT text FROM entries").fetchall() == [(TOLD,)]
        with pytest.raises(sqlite3.OperationalError, match="no such function: words_apart"):
            other.execute("UPDATE entries SET text = 'The ferry waits.'")
    assert await found(store, "銀貨") == [TOLD]


LETTERS = "かがアガヴーｶﾞﾟ゙々龍𠮷那条กำิ่เๆ์ກຳເພြန်မ္ာក្ញុំāéI1Ａ１！。・ _-'\u200b"


@given(st.text(st.sampled_from(LETTERS), max_size=12))
def test_every_line_is_found_by_its_own_words(line: str) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        for sql in memory_tables.PASSAGES:
            if "VIRTUAL TABLE" in sql:
                connection.execute(sql)
        connection.execute("INSERT INTO passages (rowid, text) VALUES (1, ?)", (apart(line),))
        for word in query.words(line):
            found = connection.execute("SELECT rowid FROM passages WHERE passages MATCH ?", (f'"{word}"',))
            assert found.fetchall() == [(1,)], word
