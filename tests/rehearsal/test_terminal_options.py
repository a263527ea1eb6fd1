from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import TableError
from bot.rehearsal.terminal_options import format_options, parse_options, unfinished_options

START = ["title", "persona", "premise", "thread"]


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("", {}),
        ('title:"The Drowned Bell" persona:marta', {"title": "The Drowned Bell", "persona": "marta"}),
        ("title:The Drowned Bell persona:marta", {"title": "The Drowned Bell", "persona": "marta"}),
        ("The Drowned Bell persona: marta", {"title": "The Drowned Bell", "persona": "marta"}),
        ('"The Drowned Bell" thread:true', {"title": "The Drowned Bell", "thread": "true"}),
        ("Title:x", {"title": "x"}),
        (r'title:"a \"quoted\" \\ bell"', {"title": r'a "quoted" \ bell'}),
        ('"Stop!" she said', {"title": '"Stop!" she said'}),
        ("see https://example.com/a:b", {"title": "see https://example.com/a:b"}),
        ("premise:At noon: the bell", {"premise": "At noon: the bell"}),
        ('title:""', {"title": ""}),
        ("title:", {"title": ""}),
        ("title: persona:marta", {"title": "", "persona": "marta"}),
    ],
)
def test_options_are_read_as_a_player_types_them(typed: str, read: dict[str, str]) -> None:
    assert parse_options(typed, START) == read


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("titel:x", "There is no option titel here. The options are: title, persona"),
        ("title:The Bell persna:marta", "There is no option persna"),
        ('title:"The Bell" nonsense:marta', "There is no option nonsense"),
        ("title:a title:b", "title is given twice"),
        ("a persona:b title:c", "title is given twice"),
        ('title:"The Bell', "is not closed"),
    ],
)
def test_a_slip_is_named_instead_of_guessed_at(typed: str, says: str) -> None:
    with pytest.raises(TableError, match=says):
        parse_options(typed, START)


def test_a_command_without_options_says_so() -> None:
    with pytest.raises(TableError, match="takes no options, but 'now' was given"):
        parse_options("now", [])


@given(st.dictionaries(st.sampled_from(START), st.text(max_size=60), max_size=4))
def test_every_value_can_be_typed(options: dict[str, str]) -> None:
    assert parse_options(format_options(options), START) == options


@given(st.lists(st.sampled_from([*'ab:" \\\n', "title:", "persona:"]), max_size=20).map("".join))
def test_whatever_is_typed_is_read_or_refused_with_a_sentence(typed: str) -> None:
    unfinished_options(typed, START)
    with contextlib.suppress(TableError):
        parse_options(typed, START)


@pytest.mark.parametrize(
    ("typed", "given_before", "focused", "value", "word"),
    [
        ("", {}, None, "", ""),
        ("ti", {}, "title", "ti", "ti"),
        ("persona:", {}, "persona", "", ""),
        ("persona:ma", {}, "persona", "ma", "ma"),
        ('title:"The Dro', {}, "title", '"The Dro', ""),
        ('title:"The Bell" ', {"title": "The Bell"}, None, "", ""),
        ('title:"The Bell" per', {"title": "The Bell"}, None, "per", "per"),
        ("title:The Bell persona:m", {"title": "The Bell"}, "persona", "m", "m"),
        ('"The Bell" persona:m', {"title": "The Bell"}, "persona", "m", "m"),
    ],
)
def test_half_a_line_tells_what_is_being_typed(
    typed: str, given_before: dict[str, str], focused: str | None, value: str, word: str
) -> None:
    state = unfinished_options(typed, START)
    assert (state.given, state.focused, state.typed, state.word) == (given_before, focused, value, word)
