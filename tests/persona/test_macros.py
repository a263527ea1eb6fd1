"""What a card's `{{macros}}` become, and that no text can make them do more than that."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.persona.macros import DRAWS, LIMIT, Macros, expand


class Noon:
    """A clock stopped on a Friday noon, UTC."""

    def now(self) -> float:
        return datetime(2026, 8, 14, 12, 5, tzinfo=UTC).timestamp()

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError


def threes(dice: str) -> int | None:
    """Roll dice that always show a three."""
    return {"1d20": 3, "d6+2": 5, "d20": 3, "2d6": 6}.get(dice)


HERE = Macros(
    char="Marta",
    user="Ada",
    description="An innkeeper.",
    personality="Curt.",
    scenario="It rains.",
    persona="A thief.",
    last_message="“Is {{char}} in?”",
    rng=Random(7),  # noqa: S311  # seeded
    seed="a scene",
    roll=threes,
    clock=Noon(),
    zone=UTC,
    drops_hidden_keys=True,
)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("{{user}} meets {{CHAR}}.", "Ada meets Marta."),
        ("<USER> meets <bot> and <Char>.", "Ada meets Marta and Marta."),
        ("It is {{time}} on {{weekday}}, {{date}}.", "It is 12:05 on Friday, 2026-08-14."),
        ("one{{newline}}two", "one\ntwo"),
        ("a{{// nobody sees {{user}} this}}b", "ab"),
        ("a{{noop}}b", "ab"),
        ("above\n\n{{trim}}\n\nbelow", "abovebelow"),
        ("{{ User }}", "Ada"),
        ("{{random::only}}", "only"),
        ("{{random::{{user}}::{{user}}}}", "Ada"),
        ("{{random}} {{random::}}", "{{random}} "),
        ("{{random:only}}", "only"),
        (r"{{random:Well\, then}}", "Well, then"),
        (
            "{{description}} {{Personality}} {{scenario}} {{persona}}",
            "An innkeeper. Curt. It rains. A thief.",
        ),
        ("{{lastMessage}} {{unknown::x}}", "“Is {{char}} in?” {{unknown::x}}"),
        ("a{{comment: ask {{user}} :: later}}b{{hidden_key:inn, tavern}}c", "abc"),
        ("{{roll:1d20}} {{Roll: d6+2 }} {{roll::2d6}} {{roll:20}}", "3 5 6 3"),
        ("{{roll:9999999d9999999}} {{roll:}} {{roll}}", "{{roll:9999999d9999999}} {{roll:}} {{roll}}"),
        ("{{pick::only}}", "only"),
        ("{{pick}} {{original}}", "{{pick}} {{original}}"),
        ("{{user:x}} {{time::x}}", "{{user:x}} {{time::x}}"),
        ("{{unknown {{user}}}}", "{{unknown Ada}}"),
        ("{{user", "{{user"),
        ("user}} and {{{{", "user}} and {{{{"),
        ("{{{user}}}", "{Ada}"),
        ("{% for x in y %}{{ 7*7 }}{% endfor %}", "{% for x in y %}{{ 7*7 }}{% endfor %}"),
        ("{{''.__class__}}", "{{''.__class__}}"),
    ],
)
def test_macros_are_replaced_and_everything_else_stays(written: str, read: str) -> None:
    assert expand(written, HERE) == read


@pytest.mark.parametrize(
    "written",
    ["{{random::ale:: cider ::{{char}}'s best}}", "{{random:ale, cider,{{char}}'s best}}"],
)
def test_random_takes_each_choice_sooner_or_later(written: str) -> None:
    assert {expand(written, HERE) for _ in range(60)} == {"ale", "cider", "Marta's best"}


def test_pick_stays_with_its_choice_for_a_scene() -> None:
    hair = "Her hair is {{pick::red::black::grey::white}}."
    picked = expand(hair, HERE)
    assert {expand(hair, HERE) for _ in range(20)} == {picked}
    assert picked in expand(f"Before it something else was written. {{{{pick:a,b}}}} {hair}", HERE)
    assert len({expand(hair, replace(HERE, seed=f"scene {number}")) for number in range(40)}) == 4


def test_two_picks_in_one_text_choose_each_for_itself() -> None:
    pair = expand("{{pick:a,b,c,d,e,f,g,h}}" * 8, HERE)
    assert len(set(pair)) > 1


def test_what_is_inside_a_pick_may_change_without_another_choice() -> None:
    told = "{{pick::{{user}} is late::{{user}} is early}}"
    when = {
        expand(told, replace(HERE, user=name)).removeprefix(name)
        for name in ("Ada", "Bo", "Cleo", "Dov", "Eve")
    }
    assert len(when) == 1


def test_hidden_keys_can_be_left_to_a_lorebook() -> None:
    kept = expand("{{hidden_key:{{char}}}}{{comment:x}}", replace(HERE, drops_hidden_keys=False))
    assert kept == "{{hidden_key:Marta}}"


def test_no_text_draws_without_end() -> None:
    thrown = expand("{{roll:1d20}}" * 1_000, HERE)
    assert thrown == "3" * DRAWS + "{{roll:1d20}}" * (1_000 - DRAWS)


def test_long_words_in_many_macros_stay_within_the_bound() -> None:
    novel = replace(HERE, description="x" * LIMIT)
    started = time.perf_counter()
    assert expand("{{description}}" * 2_000, novel) == "x" * LIMIT
    assert len(expand("{{//" + "{{description}}" * 2_000 + "}}{{unknown {{description}} ", novel)) <= LIMIT
    assert time.perf_counter() - started < 1


def test_a_name_that_looks_like_a_macro_stays_a_name() -> None:
    prankster = Macros(char="{{user}}", user="{{random::a::b}}", rng=Random(7))  # noqa: S311  # seeded
    assert (
        expand("{{char}} / {{user}} / <user>", prankster) == "{{user}} / {{random::a::b}} / {{random::a::b}}"
    )


def test_without_a_clock_or_dice_their_macros_stay_as_written() -> None:
    written = "{{time}} {{random::a::b}} {{pick::a::b}} {{roll:1d20}}"
    assert expand(written, Macros("Marta", "Ada")) == written


def test_the_clock_is_read_in_the_tables_time_zone() -> None:
    there = Macros("Marta", "Ada", clock=Noon(), zone=timezone(timedelta(hours=13)))
    assert expand("{{time}} {{weekday}}", there) == "01:05 Saturday"


_PIECES = st.sampled_from(
    [
        "{{",
        "}}",
        "::",
        "random",
        "pick",
        "roll:20",
        ":",
        ",",
        "description",
        "hidden_key:",
        "char",
        "user",
        "trim",
        "//",
        "<USER>",
        "{",
        "}",
        "\n",
        " ",
        "time",
        "noop",
        "ß",
        "İ",
    ]
)


@given(st.one_of(st.text(), st.lists(_PIECES, max_size=60).map("".join)), st.integers(0, 200))
def test_any_text_gives_bounded_text(text: str, limit: int) -> None:
    assert len(expand(text, HERE, limit=limit)) <= limit
    assert len(expand(text, HERE)) <= LIMIT


@given(st.text().filter(lambda text: not set("{}<") & set(text)))
def test_text_without_macros_is_unchanged(text: str) -> None:
    assert expand(text, HERE) == text


@pytest.mark.parametrize(
    "piece",
    [
        "{{",
        "}}",
        "{{user}}",
        "{{random::",
        "{{trim}}",
        "\n",
        "{{ ",
        "<user>",
        "{{//{{",
        "::",
        "{{pick:a,b}}",
        "{{random:,",
    ],
)
def test_a_wall_of_macros_takes_no_time(piece: str) -> None:
    started = time.perf_counter()
    expand(piece * 200_000, HERE)
    expand("{{" * 10_000 + "x" + "}}" * 10_000, HERE)
    assert time.perf_counter() - started < 1
