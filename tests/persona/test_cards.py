"""A card comes in, is played, and goes out again with nothing lost."""

from __future__ import annotations

import base64
import copy
import json
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.documents import dumped
from bot.persona.cards.card import Card, card_of, new_card
from bot.persona.cards.document import DOCUMENT, CardError
from bot.persona.cards.examples import format_examples, parse_examples
from bot.persona.cards.files import CardFile, Format, own_format, picture, read, write
from bot.persona.cards.mapping import card_from, persona_from
from bot.persona.library import PersonaLibrary
from bot.persona.persona import Example, card
from tests.persona.cards import (
    PIXELS,
    V1,
    V2,
    V3,
    as_json,
    as_png,
    as_zip,
    card_chunks,
    chunk,
    header,
    text_chunk,
)

SLUG = "oda.1"
PERSONAS = Path(__file__).parents[2] / "personas"
FORMATS: tuple[Format, ...] = ("json", "png", "charx")

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
unknown = st.dictionaries(st.text(max_size=10), values, max_size=4)


def read_back(document: Any, kind: Format) -> dict[str, Any]:
    return read(write(read(as_json(document)), kind)).card.data


# -- what it means -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("document", [V1, V2, V3])
def test_every_version_becomes_the_same_character(document: dict[str, Any]) -> None:
    oda = persona_from(read(as_json(document)).card, SLUG).persona
    called = "Od" if document is V3 else "{{char}}"
    assert oda.name == "Oda"
    assert oda.description.startswith(
        f"{called} mends nets by the harbour.\n\n{called}'s personality: patient"
    )
    assert oda.scenario == "{{user}} waits for the tide."
    assert oda.greeting == "*Oda does not look up.* Mind the rope, {{user}}."
    assert oda.examples == (Example("Is it late?", "The tide says no."),)


def test_a_card_says_how_talkative_its_character_is_and_what_else_it_says() -> None:
    oda = persona_from(read(as_json(V2)).card, SLUG).persona
    assert oda.talkativeness == 0.8
    assert oda.alternate_greetings == ("You again.",)
    assert oda.tags == ("harbour", "slow")
    assert oda.creator_notes == "Best with slow scenes."


def test_its_instructions_stand_in_the_prompt_and_its_notes_do_not() -> None:
    told = card(persona_from(read(as_json(V2)).card, SLUG).persona)
    assert "Never hurry." in told
    assert "End on a sound." in told
    assert "original" not in told.lower()
    assert "slow scenes" not in told
    assert "harbour" not in told.replace("by the harbour", "")


def test_a_nickname_stands_where_the_card_names_its_character() -> None:
    oda = persona_from(read(as_json(V3)).card, SLUG).persona
    assert "Od mends nets" in card(oda)
    assert oda.name == "Oda"
    assert oda.aliases == ("Od",)


def test_what_has_no_part_in_play_is_named() -> None:
    (note,) = persona_from(read(as_json(V3)).card, SLUG).notes
    assert "lorebook" not in note
    assert "depth prompt" in note
    assert "greetings for groups" in note


@pytest.mark.parametrize(
    ("said", "meant"), [(2, 1.0), (-1, 0.0), ("a lot", 0.5), ("nan", 0.5), (None, 0.5), (0, 0)]
)
def test_an_odd_talkativeness_is_put_right(said: Any, meant: float) -> None:
    document = {"name": "X", "description": "", "extensions": {"talkativeness": said}}
    assert persona_from(card_of(document), SLUG).persona.talkativeness == meant


def test_a_long_card_keeps_what_fits_and_says_what_does_not() -> None:
    greetings = ["g" * 3000] * 20
    examples = "<START>\n{{char}}: " + "\n<START>\n{{char}}: ".join(["e" * 500] * 40)
    document = {**V2, "data": {**V2["data"], "alternate_greetings": greetings, "mes_example": examples}}
    came = persona_from(read(as_json(document)).card, SLUG)
    assert len(came.persona.examples) == 32
    assert 1 < len(came.persona.alternate_greetings) < 16
    assert any("Of 40 example lines, 32 are used" in note for note in came.notes)
    assert any(note.startswith("Of 20 other greetings") for note in came.notes)


@pytest.mark.parametrize("key", ["description", "personality", "scenario", "first_mes", "system_prompt"])
def test_a_card_that_is_too_long_to_be_played_is_refused(key: str) -> None:
    document = {**V2, "data": {**V2["data"], key: "x" * 33_000}}
    with pytest.raises(CardError, match="too long"):
        persona_from(read(as_json(document)).card, SLUG)


@settings(max_examples=50)
@given(unknown, st.fixed_dictionaries({}, optional=dict.fromkeys((*V2["data"], *V3["data"]), values)))
def test_any_card_is_a_character_or_a_clear_sentence(extra: dict[str, Any], fields: dict[str, Any]) -> None:
    try:
        came = persona_from(card_of({"spec": "chara_card_v3", "data": {**extra, **fields}}), SLUG)
    except CardError as error:
        assert "name" in str(error)  # noqa: PT017  # most have none
    else:
        assert card(came.persona).startswith(f"## {came.persona.name}")


# -- example lines -------------------------------------------------------------------------------------------


def test_example_lines_are_read_by_who_says_them() -> None:
    text = """<START>
{{user}}: One.
Two.
Oda: Three.
Four.
<start>
<BOT>: Five.
You: Six.
{{User}}: Seven.
{{CHAR}}:Eight.
{{user}}: nobody answers"""
    assert parse_examples(text, ("Oda", "")) == (
        Example("One.\nTwo.", "Three.\nFour."),
        Example("", "Five."),
        Example("Six.\nSeven.", "Eight."),
    )


def test_lines_without_a_speaker_are_the_characters() -> None:
    assert parse_examples("*mends a net*\n\nHm.", ()) == (Example("", "*mends a net*\n\nHm."),)


words = st.text("abc .\n", min_size=1).map(str.strip).filter(bool)


@given(st.lists(st.builds(Example, st.just("") | words, words), max_size=5))
def test_example_lines_come_back_as_they_were_written(examples: list[Example]) -> None:
    assert parse_examples(format_examples(examples), ()) == tuple(examples)


# -- nothing is lost -----------------------------------------------------------------------------------------


@settings(max_examples=50)
@given(unknown, unknown, unknown)
def test_json_goes_out_as_it_came_in(top: dict[str, Any], inner: dict[str, Any], own: dict[str, Any]) -> None:
    document = {**top, **copy.deepcopy(V2), "data": {**inner, **V2["data"], "extensions": own}}
    assert json.loads(write(read(as_json(document)), "json")) == document


@pytest.mark.parametrize("kind", FORMATS)
@settings(max_examples=50)
@given(inner=unknown, own=unknown)
def test_no_format_loses_a_field(kind: Format, inner: dict[str, Any], own: dict[str, Any]) -> None:
    for form in (V2, V3):
        document = {**form, "data": {**inner, **form["data"], "extensions": own}}
        assert read_back(document, kind) == document["data"]


def test_a_v1_card_keeps_what_it_is() -> None:
    document = {**V1, "chat": "2024", "odd": [1]}
    assert json.loads(write(read(as_json(document)), "json")) == document
    assert read_back(document, "png") == document


def test_half_an_emoji_survives() -> None:
    document = {**V1, "odd": "\ud83d"}
    assert DOCUMENT.read(dumped(document)) == document
    assert read_back(document, "png") == document


def test_a_png_holds_both_cards_before_its_end_and_none_of_the_old() -> None:
    old = as_png(text_chunk(b"Chara", V1), text_chunk(b"Software", "a brush"), text_chunk(b"CHARA", V1))
    out = write(CardFile(read(as_json(V3)).card, old), "png")
    found = card_chunks(out)
    assert found["chara"] == {**V3, "spec": "chara_card_v2", "spec_version": "2.0"}
    assert found["ccv3"] == V3
    assert set(found) == {"Software", "chara", "ccv3"}
    assert out.endswith(chunk(b"IEND", b""))
    assert PIXELS in out


def test_the_newer_card_in_a_png_wins_whatever_its_case_and_place() -> None:
    other = {**V1, "name": "Nobody"}
    for chunks in ((b"chara", b"CCV3"), (b"Chara", b"ccv3")):
        old, new = text_chunk(chunks[0], other), text_chunk(chunks[1], V3)
        assert read(as_png(old, new)).card.document == V3
        assert read(as_png(new, old)).card.document == V3


def test_the_face_of_a_png_tells_nothing_of_the_card() -> None:
    face = picture(read(as_png(text_chunk(b"chara", V2))))
    assert face == as_png()


def test_a_character_without_a_picture_gets_a_plain_one() -> None:
    out = write(read(as_json(V2)), "png")
    assert read(out).card.data == V2["data"]
    assert out == write(read(as_json(V2)), "png")


def test_a_charx_keeps_its_pictures() -> None:
    assets = [
        {"type": "emotion", "uri": "embeded://assets/emotion/images/sad.png", "name": "sad", "ext": "png"},
        {"type": "icon", "uri": "embeded://assets/icon/images/oda.png", "name": "main", "ext": "png"},
    ]
    document = {**V3, "data": {**V3["data"], "assets": assets}}
    members = {
        "card.json": as_json(document),
        "assets/emotion/images/sad.png": b"sad",
        "assets/icon/images/oda.png": as_png(),
        "module.risum": b"\0\1",
    }
    came = read(as_zip(members))
    assert own_format(came) == "charx"
    assert picture(came) == as_png()
    with zipfile.ZipFile(BytesIO(write(came, "charx"))) as archive:
        assert json.loads(archive.read("card.json")) == document
        assert {name: archive.read(name) for name in members if name != "card.json"} == {
            name: data for name, data in members.items() if name != "card.json"
        }
    assert PIXELS in write(came, "png")


def test_a_picture_goes_into_a_charx_as_its_icon() -> None:
    came = read(write(CardFile(read(as_json(V2)).card, as_png(text_chunk(b"chara", V2))), "charx"))
    assert picture(came) == as_png()
    assert came.card.data["assets"][0]["type"] == "icon"
    assert {**came.card.data, "assets": None} == {**V2["data"], "assets": None}


def test_an_icon_in_the_card_itself_is_its_face() -> None:
    uri = f"data:image/png;base64,{base64.b64encode(as_png()).decode()}"
    document = {
        **V3,
        "data": {**V3["data"], "assets": [{"type": "icon", "uri": uri, "name": "main", "ext": "png"}]},
    }
    assert picture(read(as_json(document))) == as_png()


def test_pictures_on_the_web_are_not_fetched() -> None:
    icon = {"type": "icon", "uri": "https://example.org/oda.png", "name": "main", "ext": "png"}
    assert picture(read(as_json({**V3, "data": {**V3["data"], "assets": [icon]}}))) is None


# -- the operator's, and those written here ------------------------------------------------------------------


@pytest.mark.parametrize("kind", FORMATS)
def test_every_character_in_the_box_can_be_exported(kind: Format) -> None:
    library = PersonaLibrary(PERSONAS)
    library.load_all()
    for one in library.all():
        assert one.avatar
        came = read(write(CardFile(card_from(one), one.avatar.read_bytes()), kind))
        again = persona_from(came.card, SLUG).persona
        assert (again.name, again.narrator, again.aliases) == (one.name, one.narrator, one.aliases)
        assert (again.greeting, again.examples) == (one.greeting, one.examples)
        assert again.talkativeness == one.talkativeness
        assert one.description in again.description
        assert one.voice in again.description
        assert (picture(came) is not None) == (kind != "json")


def test_a_change_is_made_wherever_the_card_says_it() -> None:
    document = {**V1, **V2}
    changed = card_of(document).changed({"name": "Odo"})
    assert (changed.document["name"], changed.data["name"]) == ("Odo", "Odo")
    assert changed.document["description"] == V1["description"]
    assert card_of(V1).changed({"name": "Odo"}).document == {**V1, "name": "Odo"}


def test_a_new_card_has_every_field_that_a_card_must_have() -> None:
    made = new_card({"name": "Oda", "description": "Mends nets."})
    assert set(V2["data"]) - {"character_book"} <= set(made.data)
    assert isinstance(made, Card)
    assert made.document["spec"] == "chara_card_v3"


def test_a_picture_may_be_of_the_largest_size() -> None:
    assert read(as_png(text_chunk(b"chara", V2), head=header(4096, 4096))).card.data == V2["data"]
