from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.prompt.speech import LONGEST_SPEECH, in_character

NAMES = {12: "Ben", 4: "tavern", 9: "Watch"}


@pytest.mark.parametrize(
    ("wrote", "story"),
    [
        ("I wait.", "I wait."),
        ("I wait. ((brb, door))", "I wait."),
        ("I ((brb)) wait.", "I wait."),
        ("((one)) I wait ((two (three) :) )) here", "I wait here"),
        ("((it is (nested (deep)))) I wait", "I wait"),
        ("((a smile (: here)) I wait", "I wait"),
        ("((over\ntwo lines)) I wait", "I wait"),
        ("((all of it))", ""),
        ("I wait ((and forget to close", "I wait"),
        ("// lunch?\nI wait", ""),
        ("I wait\n// lunch?\nand wait", "I wait\nand wait"),
        ("I read: https://example.org", "I read: https://example.org"),
        ("f(g(x)) holds", "f(g(x)) holds"),
        ("  ", ""),
    ],
)
def test_asides_stay_out_of_the_story(wrote: str, story: str) -> None:
    assert in_character(wrote) == story


@pytest.mark.parametrize(
    ("wrote", "story"),
    [
        ("I follow <@12> and <@!12>", "I follow Ben and Ben"),
        ("I follow <@77>", "I follow someone"),
        ("<@&9> to <#4>, not <#5>!", "Watch to #tavern, not #channel!"),
        ("I toss it <:gold_coin:123> <a:spin:456>", "I toss it :gold_coin: :spin:"),
        (
            "At <t:0>, at <t:86400:R>, at <t:99999999999999999:F>",
            "At 1970-01-01 00:00 UTC, at 1970-01-02 00:00 UTC, at some time",
        ),
        ("I use </scene start:123>", "I use /scene start"),
        ("a < b > c <@x> <3", "a < b > c <@x> <3"),
    ],
)
def test_discords_markup_is_read_as_members_see_it(wrote: str, story: str) -> None:
    assert in_character(wrote, NAMES) == story


def test_a_message_is_bounded() -> None:
    assert len(in_character("a" * 10_000)) == LONGEST_SPEECH


TALK = st.lists(
    st.sampled_from(["((", "))", "(", ")", "//", "\n", "I go", "brb", " ", ":)", "<@12>", "word"]),
    max_size=40,
).map("".join)


@given(TALK)
def test_whatever_is_written_no_aside_is_left(wrote: str) -> None:
    story = in_character(wrote, NAMES)

    assert "((" not in story
    assert not any(line.lstrip().startswith("//") for line in story.split("\n"))
    assert in_character(story, NAMES) == story


@given(
    story=st.text(st.characters(exclude_characters="()<\\/", exclude_categories=("C", "Z")), min_size=1),
    aside=st.text(st.characters(exclude_characters="()", exclude_categories=["Cs"]), max_size=40),
)
def test_the_story_around_an_aside_stays_whole(story: str, aside: str) -> None:
    assert in_character(f"{story} (({aside})) {story}") == f"{story} {story}"
