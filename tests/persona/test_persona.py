"""Who a character is, and what the model is told of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.persona.persona import (
    NAME_CHARACTERS,
    Example,
    Lora,
    Persona,
    PersonaFieldError,
    card,
    clean_name,
    fold,
    names,
)

MARTA = Persona(
    slug="marta",
    name="Marta",
    description="{{char}} keeps an inn.",
    scenario="{{user}} has come in from the rain.",
    voice="Short.",
    examples=(Example("A room?", "Two coppers."), Example("", "Boots off, {{user}}.")),
    aliases=("innkeeper",),
    tags=("secret tag",),
    creator_notes="secret note",
    greeting="secret greeting",
)


def test_a_card_says_who_it_is_and_how_it_talks() -> None:
    assert card(MARTA) == (
        "## Marta\n\n"
        "Marta keeps an inn.\n\n"
        "Player has come in from the rain.\n\n"
        "How Marta talks: Short.\n\n"
        "Marta in play:\n"
        "Player: A room?\nMarta: Two coppers.\n"
        "Marta: Boots off, Player."
    )


def test_what_is_meant_for_people_never_reaches_the_model() -> None:
    assert "secret" not in card(MARTA)


def test_a_card_is_the_same_every_time() -> None:
    odd = Persona("odd", "Odd", description="{{random::a::b::c::d::e}} {{pick::a::b::c::d::e}} {{time}}")
    assert len({card(odd) for _ in range(20)}) == 1


def test_what_is_written_about_a_character_can_be_spoken_of_elsewhere_in_its_card() -> None:
    twins = Persona(
        "ilk",
        "Ilk",
        description="{{char}} is {{random::tall::small}}, says {{user}}. {{description}}",
        voice="{{personality}}Like this: {{scenario}}",
        scenario="{{description}} It rains.",
        examples=(Example("Who?", "{{personality}}"),),
    )
    _, described, *_ = card(twins).split("\n\n")
    assert described in {"Ilk is tall, says Player. ", "Ilk is small, says Player. "}
    scenario = f"{described} It rains."
    assert card(twins) == (
        f"## Ilk\n\n{described}\n\n{scenario}\n\nHow Ilk talks: Like this: {scenario}\n\n"
        f"Ilk in play:\nPlayer: Who?\nIlk: Like this: {scenario}"
    )


def test_example_lines_are_added_whole_while_they_fit() -> None:
    assert card(MARTA, example_characters=40).endswith("Player: A room?\nMarta: Two coppers.")
    assert card(MARTA, example_characters=0).endswith("How Marta talks: Short.")


def test_a_card_with_a_name_alone_is_its_heading() -> None:
    assert card(Persona("x", "X")) == "## X"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("slug", "Marta"),
        ("slug", "../marta"),
        ("slug", "marta\n"),
        ("slug", "m" * 33),
        ("name", ""),
        ("name", "two\nlines"),
        ("name", "\u202eatraM"),
        ("name", "Marta\u2028"),
        ("talkativeness", -0.01),
        ("talkativeness", 1.01),
        ("talkativeness", float("nan")),
        ("lora", Lora("x", 2.5)),
        ("aliases", ("x",) * 17),
        ("tags", ("x" * 201,)),
        ("examples", (Example("", "x"),) * 33),
        ("description", "x" * 32_769),
        ("greeting", "\x00"),
        ("model", "m" * 201),
        ("avatar_url", "javascript:alert(1)"),
    ],
)
def test_every_field_has_its_bounds(field: str, value: Any) -> None:
    fields: dict[str, Any] = {"slug": "marta", "name": "Marta", field: value}
    with pytest.raises(PersonaFieldError) as caught:
        Persona(**fields)
    assert caught.value.field == field


@given(st.floats(0, 1))
def test_every_talkativeness_between_never_and_always_is_good(chance: float) -> None:
    assert Persona("marta", "Marta", talkativeness=chance).talkativeness == chance


@given(st.text(max_size=300))
def test_any_text_can_be_cleaned_into_a_name(text: str) -> None:
    name = clean_name(text)
    assert clean_name(name) == name
    assert len(name) <= NAME_CHARACTERS
    if name:
        assert names(Persona("x", name)) == (name,)


@pytest.mark.parametrize("text", ["\u200b", "\u2060 \u3164", "\ufe0f\u200d", "\u2800"])
def test_a_name_of_which_nothing_can_be_seen_is_none(text: str) -> None:
    assert not clean_name(text)
    assert clean_name(f"{text}Marta").endswith("Marta")


def test_names_are_compared_without_case_width_or_spacing() -> None:
    assert fold("  Sister\tILSE ") == fold("sister ilse")
    assert fold("\uff2d\uff41rta") == fold("marta")
    assert fold("STRASSE") == fold("Straße")
