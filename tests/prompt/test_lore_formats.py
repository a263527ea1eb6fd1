"""Lorebooks as files: read as they were meant, and written so that nothing is lost."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.prompt.lore.document import LOREBOOK
from bot.prompt.lore.formats import (
    LoreError,
    LoreFormat,
    as_character_book,
    as_v3,
    as_world_info,
    book_of,
    changed,
    document_of,
    entry_of,
    new_source,
    parsed,
)
from bot.prompt.lore.model import Logic, LoreEntry, Position, Role

# One entry as SillyTavern 1.13 writes it, with every option set to something.
WORLD_INFO: dict[str, Any] = {
    "uid": 4,
    "key": ["bell", "/tolls?/i"],
    "keysecondary": ["rope"],
    "comment": "The bell",
    "content": "It hangs under water.",
    "constant": False,
    "vectorized": False,
    "selective": True,
    "selectiveLogic": 3,
    "addMemo": True,
    "order": 80,
    "position": 4,
    "disable": False,
    "ignoreBudget": True,
    "excludeRecursion": True,
    "preventRecursion": True,
    "delayUntilRecursion": 2,
    "probability": 60,
    "useProbability": True,
    "depth": 6,
    "group": "sounds, water",
    "groupOverride": True,
    "groupWeight": 40,
    "scanDepth": 5,
    "caseSensitive": True,
    "matchWholeWords": False,
    "useGroupScoring": True,
    "automationId": "ring",
    "role": 2,
    "sticky": 3,
    "cooldown": 7,
    "delay": 9,
    "displayIndex": 4,
    "characterFilter": {"isExclude": True, "names": ["Marta"], "tags": ["smith"]},
}
MEANT = LoreEntry(
    uid="0",
    keys=("bell", "/tolls?/i"),
    secondary_keys=("rope",),
    title="The bell",
    content="It hangs under water.",
    logic=Logic.AND_ALL,
    order=80,
    position=Position.AT_DEPTH,
    depth=6,
    role=Role.ASSISTANT,
    probability=60,
    exclude_recursion=True,
    prevent_recursion=True,
    delay_until_recursion=2,
    groups=("sounds", "water"),
    group_override=True,
    group_weight=40,
    scan_depth=5,
    case_sensitive=True,
    whole_words=False,
    group_scoring=True,
    sticky=3,
    cooldown=7,
    delay=9,
    filter_names=("Marta",),
    filter_tags=("smith",),
    filter_excludes=True,
    ignore_budget=True,
)
V2_ENTRY: dict[str, Any] = {
    "keys": ["bell"],
    "content": "It hangs under water.",
    "extensions": {"agnai": {"colour": "blue"}},
    "enabled": True,
    "insertion_order": 5,
    "name": "Bell",
    "priority": 3,
    "id": 12,
    "selective": True,
    "secondary_keys": ["rope"],
    "position": "after_char",
}


def test_sillytaverns_options_are_all_read() -> None:
    assert entry_of(WORLD_INFO, LoreFormat.WORLD_INFO, "0") == MEANT


def test_an_empty_entry_has_sillytaverns_defaults() -> None:
    assert entry_of({}, LoreFormat.WORLD_INFO, "") == LoreEntry(uid="")


def test_a_v2_entry_is_read() -> None:
    entry = entry_of(V2_ENTRY, LoreFormat.CHARACTER_BOOK, "")
    assert (entry.title, entry.order, entry.priority) == ("Bell", 5, 3)
    assert entry.position is Position.AFTER_CHARACTER
    assert entry.secondary_keys == ("rope",)


def test_sillytavern_says_use_regex_of_every_entry_and_means_none() -> None:
    theirs = {"keys": ["a.b"], "use_regex": True, "extensions": {"selectiveLogic": 0}}
    assert not entry_of(theirs, LoreFormat.CHARACTER_BOOK, "").regex
    assert entry_of({"keys": ["a.b"], "use_regex": True}, LoreFormat.CHARACTER_BOOK, "").regex


def test_a_book_says_how_it_is_scanned() -> None:
    document = {"name": "Sea", "scan_depth": 9, "token_budget": 300, "recursive_scanning": False}
    book = book_of(parsed({**document, "entries": [V2_ENTRY]}), "7")
    assert (book.name, book.scan_depth, book.token_budget, book.recursive) == ("Sea", 9, 300, False)
    [entry] = book.entries
    [rewritten] = book_of(parsed({"entries": [{**V2_ENTRY, "content": "Gone."}]}), "7").entries
    assert entry.uid.startswith("0.")
    assert rewritten.uid.startswith("0.")
    assert rewritten.uid != entry.uid


ODD: dict[str, Any] = {
    "uid": 5,
    "key": "bell, rope",
    "keysecondary": ["", " lake "],
    "comment": "The bell " * 40,
    "content": "Under water. " * 3000,
    "constant": "true",
    "order": "50",
    "position": 9,
    "probability": 250,
    "sticky": 0,
    "group": "sky,sea",
}


def test_what_is_too_long_or_odd_to_be_played_comes_back_from_a_v3_file_as_it_was() -> None:
    many = {**ODD, "uid": 6, "key": [f"bell {number}" for number in range(200)]}
    v3 = as_v3(parsed({"entries": {"5": ODD, "6": many}}))
    back = document_of(as_world_info(parsed(v3)))["entries"]
    assert ODD.items() <= back["5"].items()
    assert many.items() <= back["6"].items()
    assert as_v3(parsed(json.loads(json.dumps(v3)))) == v3


def test_what_was_changed_in_between_is_not_changed_back() -> None:
    v3 = parsed(as_v3(parsed({"entries": {"5": ODD}})))
    [source] = v3.entries
    entry = entry_of(source, v3.format, "")
    edited = changed(source, v3.format, replace(entry, title="The rope", keys=("rope",), order=60), entry)
    back = document_of(as_world_info(replace(v3, entries=(edited,))))["entries"]["5"]
    assert (back["comment"], back["key"], back["order"]) == ("The rope", ["rope"], 60)
    assert back["content"] == ODD["content"]


@pytest.mark.parametrize(
    "document",
    [
        {"entries": {"4": WORLD_INFO}, "originalData": {"x": 1}},
        {"entries": [WORLD_INFO]},
        {"entries": [V2_ENTRY], "extensions": {}},
    ],
)
def test_a_document_is_put_together_as_it_was(document: dict[str, Any]) -> None:
    assert document_of(parsed(document)) == document


def test_books_are_found_in_v3_files_and_in_cards() -> None:
    book = {"name": "Sea", "entries": [V2_ENTRY]}
    assert parsed({"spec": "lorebook_v3", "data": book}).entries == (V2_ENTRY,)
    card = {"spec": "chara_card_v2", "data": {"name": "Marta", "character_book": book}}
    assert parsed(card).name == "Sea"


# -- there and back ---------------------------------------------------------------------------------------


def test_an_entry_that_is_not_changed_is_written_as_it_was() -> None:
    assert changed(WORLD_INFO, LoreFormat.WORLD_INFO, MEANT, MEANT) == WORLD_INFO


def test_a_change_touches_what_was_changed() -> None:
    written = changed(WORLD_INFO, LoreFormat.WORLD_INFO, replace(MEANT, order=81, filter_tags=()), MEANT)
    assert written == {
        **WORLD_INFO,
        "order": 81,
        "characterFilter": {"isExclude": True, "names": ["Marta"], "tags": []},
    }
    before = entry_of(V2_ENTRY, LoreFormat.CHARACTER_BOOK, "")
    moved = changed(
        V2_ENTRY, LoreFormat.CHARACTER_BOOK, replace(before, position=Position.BEFORE_CHARACTER), before
    )
    assert (moved["position"], moved["extensions"]["position"]) == ("before_char", 0)
    assert moved["extensions"]["agnai"] == {"colour": "blue"}


def test_sillytaverns_file_comes_back_from_a_v3_file_with_everything() -> None:
    document = {"entries": {"0": {**WORLD_INFO, "uid": 0, "x_unknown": [1, {"y": None}]}}}
    v3 = as_v3(parsed(document))
    entry = v3["data"]["entries"][0]
    assert (v3["spec"], entry["keys"], entry["insertion_order"]) == ("lorebook_v3", WORLD_INFO["key"], 80)
    assert isinstance(entry["use_regex"], bool)
    back = document_of(as_world_info(parsed(json.loads(json.dumps(v3)))))
    assert back["entries"]["0"] == {**document["entries"]["0"], "priority": None, "use_regex": False}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
unknown = st.dictionaries(st.text(min_size=1, max_size=6).map("x_{}".format), json_values, max_size=3)
names = st.lists(st.text(alphabet="abc é", min_size=1).map(str.strip).filter(bool), max_size=3).map(tuple)
entries = st.builds(
    LoreEntry,
    uid=st.just(""),
    keys=names,
    secondary_keys=names,
    title=st.text(alphabet="ab ", max_size=9),
    content=st.text(alphabet="ab\n@é🔔", max_size=30),
    enabled=st.booleans(),
    constant=st.booleans(),
    selective=st.booleans(),
    logic=st.sampled_from(Logic),
    regex=st.booleans(),
    case_sensitive=st.booleans() | st.none(),
    whole_words=st.booleans() | st.none(),
    scan_depth=st.integers(0, 99) | st.none(),
    order=st.integers(-100, 1000),
    priority=st.integers(0, 9) | st.none(),
    position=st.sampled_from(Position),
    depth=st.integers(0, 99),
    role=st.sampled_from(Role),
    probability=st.integers(0, 100) | st.sampled_from([0.5, 33.125]),
    use_probability=st.booleans(),
    delay_until_recursion=st.integers(0, 3),
    groups=st.lists(st.sampled_from(["g", "h h"]), unique=True).map(tuple),
    sticky=st.integers(1, 9) | st.none(),
    filter_names=names,
    filter_excludes=st.booleans(),
)


@given(entries, unknown, st.sampled_from(LoreFormat))
def test_every_entry_survives_both_kinds_of_file(
    entry: LoreEntry, more: dict[str, Any], kind: LoreFormat
) -> None:
    source = {**more, **new_source(entry, kind)}
    assert entry_of(source, kind, "") == entry

    document: dict[str, Any] = {"entries": [source]}
    if kind is LoreFormat.WORLD_INFO:
        document = {"entries": {"0": {**source, "uid": 0, "displayIndex": 0, "addMemo": False}}}
    else:
        document["entries"][0]["id"] = 3
    file = parsed(json.loads(json.dumps(document)))
    assert document_of(file) == document
    turned, back = (
        (as_character_book, as_world_info)
        if kind is LoreFormat.WORLD_INFO
        else (as_world_info, as_character_book)
    )
    other = parsed(json.loads(json.dumps(document_of(turned(file)))))
    assert entry_of(other.entries[0], other.format, "") == entry
    assert document_of(back(other)) == document


@given(json_values)
def test_whatever_an_entry_holds_it_can_be_read(value: Any) -> None:
    for kind in LoreFormat:
        for name in new_source(LoreEntry(uid=""), kind):
            entry = entry_of({name: value}, kind, "")
            assert (
                entry_of(changed({name: value}, kind, entry, entry_of({name: value}, kind, "")), kind, "")
                == entry
            )


# -- what is no lorebook ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({}, "This JSON is no lorebook."),
        ({"entries": 5}, "This JSON is no lorebook."),
        ({"entries": [5]}, "Entry 1 of this lorebook is no object."),
        ({"spec": "chara_card_v2", "data": {"name": "Marta"}}, "There is no lorebook in this file."),
        ({"entries": [{}] * 50_000}, "This lorebook has 50,000 entries; at most 10,000 are taken."),
    ],
)
def test_what_is_no_lorebook_is_refused_with_a_sentence(document: dict[str, Any], said: str) -> None:
    with pytest.raises(LoreError) as error:
        parsed(document)
    assert str(error.value).startswith(said)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\xff\xfe", "The lorebook is not UTF-8 text. Save it as UTF-8."),
        (b"[]", "This JSON is no lorebook."),
        (b"{", "The lorebook is not valid JSON: expecting property name"),
        (b'{"a": NaN}', "The lorebook is not valid JSON: NaN is no number."),
        (b'{"a": ' + b"[" * 100_000, "The lorebook is nested more than 64 levels deep."),
        (b'{"a": [' + b"0," * 900_000 + b"0]}", "The lorebook is made of more than 800,000 parts."),
        (
            b'{"a": "' + b"x" * 13_000_000 + b'"}',
            "This lorebook is 12.4 MiB of text; at most 12 MiB are read.",
        ),
        (b'{"a": "' + rb"\"" * 2_000_000, "The lorebook is not valid JSON: unterminated string"),
        (b'{"a": 1e999}', "The lorebook is not valid JSON: the number 1e999 is too large."),
        (b'{"a": ' + b"9" * 5000 + b"}", "The lorebook is not valid JSON: "),
    ],
)
def test_bad_files_are_refused_in_under_a_second(data: bytes, said: str) -> None:
    before = time.perf_counter()
    with pytest.raises(LoreError) as error:
        LOREBOOK.read(data)
    assert str(error.value).startswith(said)
    assert time.perf_counter() - before < 1


def test_a_declared_size_is_enough_to_refuse() -> None:
    with pytest.raises(LoreError, match=r"This lorebook is 20\.0 MiB"):
        LOREBOOK.require_size(20 * 1024 * 1024)


def test_a_byte_order_mark_and_brackets_in_texts_are_no_trouble() -> None:
    document = LOREBOOK.read(b'\xef\xbb\xbf{"entries": {}, "x": "' + b"[{" * 200 + rb"\"[" + b'"}')
    assert parsed(document).entries == ()
