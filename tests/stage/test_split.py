"""A long answer arrives as several messages that each read well, and none changes once the next has begun."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.stage.clusters import is_boundary
from bot.stage.split import first_sentence_ready, pieces, split

_WORDS = [
    "the",
    "bell",
    "drowned",
    "a",
    "tower,",
    "Marta",
    "says:",
    "no.",
    "Why?",
    "5",
    "snake_case",
    "日本語。",
    "naïve",
]
_MARKUP = [
    *("*", "**", "***", "_", "__", "~~", "||", "`", "``", "```", "```py\n", "\n```\n", "\\*", "\\`", "\\"),
    *(" ", "  ", "\n", "\n\n", "\n  ", "\t", "- ", "> ", "# "),
    *(
        "👨\u200d👩\u200d👧\u200d👦",
        "🇩🇪",
        "🇫🇷",
        "👍🏽",
        "e\u0301\u0302",
        "한국",
        "क्ष",
        "\u200d",
        "\u00a0",
        "x" * 50,
    ),
]
prose = st.lists(st.sampled_from(_WORDS + _MARKUP), max_size=60).map("".join) | st.lists(
    st.sampled_from(_WORDS), max_size=200
).map(" ".join)
anything = prose | st.text(max_size=300)
limits = st.integers(80, 140)


@settings(max_examples=100, deadline=None)
@given(anything, limits)
def test_no_message_is_too_long_or_empty(text: str, limit: int) -> None:
    for message in split(text, limit):
        assert len(message) <= limit
        assert message.strip()


@settings(max_examples=100, deadline=None)
@given(anything, limits)
def test_the_messages_together_are_the_text_but_for_white_space_at_the_cuts(text: str, limit: int) -> None:
    position = 0
    for piece in pieces(text, limit):
        assert text[position : piece.start].strip() in {"", "`", "``", "```"}  # the end of code closed before
        position = piece.end
    assert text[position:].strip() in {"", "`", "``", "```"}


@settings(max_examples=150, deadline=None)
@given(anything, anything, limits)
def test_what_stands_does_not_change_while_the_answer_grows(text: str, more: str, limit: int) -> None:
    standing = split(text, limit)[:-1]
    assert split(text + more, limit)[: len(standing)] == standing


@settings(max_examples=50, deadline=None)
@given(prose, limits)
def test_no_step_of_a_stream_changes_what_stands(text: str, limit: int) -> None:
    standing: list[str] = []
    for end in range(len(text) + 1):
        messages = split(text[:end], limit)
        assert messages[: len(standing)] == standing
        standing = messages[:-1]


@settings(max_examples=100, deadline=None)
@given(anything, limits)
def test_no_cut_breaks_a_character_unless_it_fills_a_whole_message(text: str, limit: int) -> None:
    regex = pytest.importorskip("regex")
    ends = {match.end() for match in regex.finditer(r"\X", text)}
    for piece in pieces(text, limit)[:-1]:
        longest = max((len(cluster) for cluster in regex.findall(r"\X", text)), default=0)
        assert piece.end in ends or longest > 8


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=30))
def test_a_boundary_found_is_a_boundary_of_unicode(text: str) -> None:
    regex = pytest.importorskip("regex")
    ends = {0} | {match.end() for match in regex.finditer(r"\X", text)}
    assert {position for position in range(len(text) + 1) if is_boundary(text, position)} <= ends


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.sampled_from([word for word in _WORDS if word.isascii()]), min_size=1, max_size=400), limits
)
def test_no_word_is_broken(words: list[str], limit: int) -> None:
    assert " ".join(split(" ".join(words), limit)).split() == words


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.lists(
            st.sampled_from(["the", "drowned", "bell", "tolls", "x = 1", "    if y:"]), min_size=1, max_size=4
        ).map(" ".join),
        min_size=1,
        max_size=60,
    ),
    limits,
)
def test_every_message_of_a_long_code_block_is_a_code_block_of_that_language(
    lines: list[str], limit: int
) -> None:
    code = "\n".join(lines)
    messages = split(f"```py\n{code}\n```", limit)
    inside = [re.fullmatch(r"```py\n(.*)\n```", message, re.DOTALL) for message in messages]
    assert all(inside)
    assert "\n".join(match[1] for match in inside if match) == code


def test_a_short_answer_is_one_message_as_it_is() -> None:
    assert split("  *Marta* looks up. **Who** goes there?\n") == ["*Marta* looks up. **Who** goes there?"]


def test_nothing_is_no_message() -> None:
    assert split("") == split(" \n\t ") == []


def test_exactly_2000_code_points_are_one_message_and_one_more_makes_two() -> None:
    assert split("x" * 2000) == ["x" * 2000]
    assert split("x" * 2001) == ["x" * 2000, "x"]


def test_an_answer_is_cut_between_paragraphs_where_that_leaves_no_short_message() -> None:
    first, second = "The bell tolls. " * 90, "Nobody answers. " * 60
    assert split(f"{first.strip()}\n\n{second.strip()}") == [first.strip(), second.strip()]


def test_a_message_of_2000_emoji_families_is_cut_between_families() -> None:
    family = "👨\u200d👩\u200d👧\u200d👦"
    messages = split(family * 2000)
    assert all(len(message) % len(family) == 0 for message in messages)
    assert "".join(messages) == family * 2000


def test_flags_stay_whole() -> None:
    messages = split("x" + "🇩🇪" * 1500)
    assert "".join(messages) == "x" + "🇩🇪" * 1500
    assert all(
        message.removeprefix("x") == "🇩🇪" * (len(message.removeprefix("x")) // 2) for message in messages
    )


def test_one_character_with_3000_accents_is_cut_all_the_same() -> None:
    text = "e" + "\u0301" * 3000
    assert "".join(split(text)) == text


def test_a_span_is_moved_whole_to_the_next_message() -> None:
    before = "The innkeeper wipes the bar. " * 60
    span = "**" + "nobody comes back from there " * 12 + "ever**"
    assert split(before + span) == [before.strip(), span]


def test_a_page_in_italics_is_closed_and_opened_again() -> None:
    first, second = split("*" + "the water rises " * 150 + "slowly*")
    assert first.startswith("*the")
    assert first.endswith("*")
    assert second.startswith("*")
    assert second.endswith("slowly*")


def test_a_spoiler_never_leaks_across_a_cut() -> None:
    messages = split("||" + "the butler did it. " * 150 + "\n\n" + "it was him " * 100 + "||")
    assert all(message.startswith("||") and message.endswith("||") for message in messages)


def test_a_long_address_in_inline_code_stays_inline_code() -> None:
    messages = split("`https://example.com/" + "a" * 3000 + "` and so on")
    assert all(message.startswith("`") for message in messages)
    assert messages[0].endswith("`")
    assert messages[1].endswith("` and so on")


def test_a_fence_that_the_model_forgot_to_close_is_closed() -> None:
    assert split("Look:\n```py\nprint(1)") == ["Look:\n```py\nprint(1)\n```"]


def test_a_fence_that_ends_at_the_cut_leaves_no_empty_fence_behind() -> None:
    for filler in range(1960, 2001):
        messages = split("```py\n" + "x" * 40 + "\n" + "y" * (filler - 60) + "\n```\nAnd then they went on.")
        assert not any(re.search(r"```py\n\s*```", message) for message in messages), filler


def test_a_stray_star_does_not_make_short_messages() -> None:
    messages = split("He rolls 2 *d6 and " + "waits for the dice to settle " * 200)
    assert all(len(message) > 1500 for message in messages[:-1])


@pytest.mark.parametrize(
    ("text", "ready"),
    [
        ("", False),
        ("The door", False),
        ("The door opens.", False),
        ("The door opens. ", True),
        ("The door opens.\n", True),
        ('"Who goes there?" she', True),
        ("*She nods.* You", True),
        ("# The Drowned Bell\n", True),
        ("\n\n", False),
        ("扉が開く。", True),
        ("It costs 3.50 gold", False),
        ("Well… maybe", True),
    ],
)
def test_the_first_text_is_shown_when_a_sentence_is_there(text: str, *, ready: bool) -> None:
    assert first_sentence_ready(text) is ready
