from __future__ import annotations

from typing import Any

import pytest

from bot.errors import TableError
from bot.rehearsal.modal_forms import Modal, read_modal
from bot.rehearsal.room import Room
from bot.rehearsal.terminal_modal import field_value, question, select_values
from bot.rehearsal.terminal_names import Directory

NAMES = Directory(Room().add_guild("The Table"))


def row(**component: Any) -> dict[str, Any]:
    return {"type": 1, "components": [{"type": 4, "style": 1, **component}]}


def labelled(label: str, **component: Any) -> dict[str, Any]:
    return {"type": 18, "label": label, "component": component}


def modal() -> Modal:
    """A form as a bot sends it."""
    options = [{"label": "Bard", "value": "b"}, {"label": "Monk", "value": "m"}]
    return read_modal(
        {
            "title": "A character",
            "custom_id": "character",
            "components": [
                row(custom_id="name", label="Name", max_length=10),
                row(custom_id="story", label="Story", required=False, value="None yet"),
                {"type": 10, "content": "Just a note."},
                labelled("Class", type=3, custom_id="class", max_values=2, options=options),
                labelled("Ready", type=23, custom_id="ready"),
            ],
        }
    )


def test_a_form_is_asked_field_by_field() -> None:
    assert [question(field) for field in modal().fields] == [
        "Name: ",
        "Story (optional; empty for 'None yet'): ",
        "Class (one of Bard, Monk): ",
        "Ready (yes or no): ",
    ]


def test_answers_become_the_values_discord_sends() -> None:
    name, story, kind, ready = modal().fields
    assert field_value(name, "Ann", NAMES) == "Ann"
    assert field_value(story, "", NAMES) == "None yet"
    assert field_value(kind, "monk, Bard", NAMES) == ["m", "b"]
    assert field_value(ready, "yes", NAMES) is True


@pytest.mark.parametrize(
    ("number", "typed", "says"),
    [
        (0, "", "'Name' takes 1 to 10 characters, not 0"),
        (0, "x" * 11, "'Name' takes 1 to 10 characters, not 11"),
        (2, "Thief", "'Thief' is no choice here. Choose one of Bard, Monk"),
        (2, "", "Choose 1 to 2 of Bard, Monk, not 0"),
        (3, "perhaps", "'Ready' takes yes or no, not 'perhaps'"),
    ],
)
def test_an_answer_that_will_not_do_says_why(number: int, typed: str, says: str) -> None:
    with pytest.raises(TableError, match=says):
        field_value(modal().fields[number], typed, NAMES)


def test_a_select_is_chosen_by_label_or_value() -> None:
    options = [{"label": "Red", "value": "r"}, {"label": "Blue", "value": "b"}]
    select = {"type": 3, "custom_id": "c", "options": options}
    assert select_values(select, "blue", NAMES) == ["b"]
    assert select_values(select, "r", NAMES) == ["r"]
    with pytest.raises(TableError, match="Choose 1 of Red, Blue, not 2"):
        select_values(select, "red, blue", NAMES)
