"""What a card's `{{macros}}` become, and that no text can make them do more than that."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.persona.macros import LIMIT, Macros, expand


class Noon:
    """A clock stopped on a Friday noon, UTC."""

    def now(self) -> float:
        return datetime(2026, 8, 14, 12, 5, tzinfo=UTC).timestamp()

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError


HERE = Macros(char="Marta", user="Ada", rng=Random(7), clock=Noon(), zone=UTC)  # noqa: S311  # seeded


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
        ("{{lastMessage}} {{unknown::x}}", "{{lastMessage}} {{unknown::x}}"),
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


def test_random_takes_each_choice_sooner_or_later() -> None:
    drawn = {expand("{{random::ale:: cider ::{{char}}'s best}}", HERE) for _ in range(60)}
    assert drawn == {"ale", "cider", "Marta's best"}


def test_a_name_that_looks_like_a_macro_stays_a_name() -> None:
    prankster = Macros(char="{{user}}", user="{{random::a::b}}", rng=Random(7))  # noqa: S311  # seeded
    assert (
        expand("{{char}} / {{user}} / <user>", prankster) == "{{user}} / {{random::a::b}} / {{random::a::b}}"
    )


def test_without_a_clock_or_dice_their_macros_stay_as_written() -> None:
    assert expand("{{time}} {{random::a::b}}", Macros("Marta", "Ada")) == "{{time}} {{random::a::b}}"


def test_the_clock_is_read_in_the_tables_time_zone() -> None:
    there = Macros("Marta", "Ada", clock=Noon(), zone=timezone(timedelta(hours=13)))
    assert expand("{{time}} {{weekday}}", there) == "01:05 Saturday"


_PIECES = st.sampled_from(
    [
        "{{",
        "}}",
        "::",
        "random",
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
    "piece", ["{{", "}}", "{{user}}", "{{random::", "{{trim}}", "\n", "{{ ", "<user>", "{{//{{", "::"]
)
def test_a_wall_of_macros_takes_no_time(piece: str) -> None:
    started = time.perf_counter()
    expand(piece * 200_000, HERE)
    expand("{{" * 10_000 + "x" + "}}" * 10_000, HERE)
    assert time.perf_counter() - started < 1
