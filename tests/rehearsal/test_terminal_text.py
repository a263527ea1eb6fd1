from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bot.rehearsal.terminal_text import clean, components_text, controls, embed_text, one_line, with_names


class Names:
    """A table of two."""

    def user(self, user_id: int) -> str | None:
        return {1: "Ann", 2: "Bob"}.get(user_id)

    def role(self, role_id: int) -> str | None:
        return {3: "players"}.get(role_id)

    def channel(self, channel_id: int) -> str | None:
        return {4: "campaign"}.get(channel_id)


def button(custom_id: str, label: str, **more: Any) -> dict[str, Any]:
    return {"type": 2, "style": 1, "custom_id": custom_id, "label": label, **more}


def numbered(custom_id: str) -> int:
    return {"a": 1, "b": 2, "c": 3}[custom_id]


def test_ids_read_as_names() -> None:
    text = "<@1>, <@!2> and <@&3> meet <@99> in <#4> <:wave:77> </scene start:5>"
    assert (
        with_names(text, Names())
        == "@Ann, @Bob and @players meet @unknown-user in #campaign :wave: /scene start"
    )


def test_times_read_as_dates() -> None:
    assert with_names("<t:1700000000:R>", Names()).startswith("2023-11-1")
    assert with_names("<t:999999999999>", Names()) == "some time"


def test_a_row_of_buttons_is_one_numbered_line() -> None:
    row = {
        "type": 1,
        "components": [
            button("a", "Roll"),
            button("b", "Pass", disabled=True),
            {"type": 2, "style": 5, "label": "Rules", "url": "https://example.com"},
        ],
    }
    assert components_text([row], numbered) == ["[#1 Roll] [#2 Pass, not now] [Rules: https://example.com]"]


def test_components_v2_read_from_top_to_bottom() -> None:
    container = {
        "type": 17,
        "components": [
            {"type": 10, "content": "# Marta"},
            {"type": 9, "components": [{"type": 10, "content": "Ready?"}], "accessory": button("a", "Yes")},
            {"type": 14},
            {"type": 12, "items": [{"media": {"url": "https://example.com/m.png"}, "description": "Marta"}]},
            {
                "type": 1,
                "components": [
                    {
                        "type": 3,
                        "custom_id": "b",
                        "placeholder": "Colour",
                        "options": [
                            {"label": "red", "value": "r"},
                            {"label": "blue", "value": "b", "default": True},
                        ],
                    }
                ],
            },
        ],
    }
    assert components_text([container], numbered) == [
        "# Marta\nReady?\n[#1 Yes]\n───\n[picture: Marta]\n[#2 Colour: red | blue (chosen)]"
    ]
    assert [control["custom_id"] for control in controls([container])] == ["a", "b"]


def test_an_embed_reads_like_a_card() -> None:
    embed = {
        "author": {"name": "The Inn"},
        "title": "Marta",
        "description": "Keeps the inn.",
        "fields": [{"name": "Voice", "value": "warm"}, {"name": "Lines", "value": "Sit.\nEat."}],
        "footer": {"text": "1 of 6"},
    }
    assert embed_text(embed) == "The Inn\nMarta\nKeeps the inn.\nVoice: warm\nLines:\nSit.\nEat.\n1 of 6"


def test_an_answer_of_several_paragraphs_is_one_line_of_a_transcript() -> None:
    assert (
        one_line("The door opens.\n\n  It creaks.\r\nLoudly.  Twice.")
        == "The door opens. It creaks. Loudly.  Twice."
    )


@given(st.text())
def test_no_text_can_steer_the_terminal_or_break_the_transcript(text: str) -> None:
    assert not any(
        ord(char) < 32 or 0x7F <= ord(char) < 0xA0 for char in one_line(clean(text)).replace("\t", "")
    )


def test_colours_and_cursor_movements_in_an_answer_are_taken_out() -> None:
    assert clean("\x1b[2J\x9b31mHello\a\tthere\n") == "[2J31mHello\tthere\n"
