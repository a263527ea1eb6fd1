"""Who answers what a player said."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.scene.speakers import Candidate, named_in, who_answers
from bot.store.records import Mode

NARRATOR = Candidate("narrator", ("The Narrator", "DM"), talkativeness=0.6)
MARTA = Candidate("marta", ("Marta Hale", "the innkeeper"), talkativeness=0.5)
CORVIN = Candidate("corvin", ("Corvin Hale",), talkativeness=0.4)
WREN = Candidate("wren", ("Sister Wren",), talkativeness=0.0)
TABLE = (NARRATOR, MARTA, CORVIN, WREN)


def dice(seed: int) -> Random:
    return Random(seed)  # noqa: S311  # a game's dice


def called(text: str, *names: str) -> bool:
    return named_in(text, [Candidate("somebody", names)]) == ["somebody"]


def answer(
    text: str, mode: Mode = Mode.NATURAL, *, seed: int = 1, addressed: str | None = None, draw: bool = True
) -> list[str]:
    return who_answers(text, TABLE, mode, dice(seed), addressed=addressed, draw=draw)


@pytest.mark.parametrize(
    ("said", "who"),
    [
        ("Corvin, you liar! Marta, did you hear him?", ["corvin", "marta"]),
        ("Marta, ask Corvin.", ["marta", "corvin"]),
        ("I turn to the innkeeper.", ["marta"]),
        ("marta!", ["marta"]),
        ("MARTA, CORVIN!", ["marta", "corvin"]),
        ("Is that Marta's ale?", ["marta"]),
        ("Where is she (wren)?", ["wren"]),
        ("DM, may I roll?", ["narrator"]),
        ("Marta. Marta! Corvin? Marta!", ["marta", "corvin"]),
    ],
)
def test_whoever_is_named_answers_in_the_order_of_the_text(said: str, who: list[str]) -> None:
    assert answer(said) == who
    assert answer(said, Mode.MENTION_ONLY) == who


@pytest.mark.parametrize(
    "said",
    [
        "I martarise the goat.",
        "A wrench!",
        "Haleness",
        "_corvin_",
        "the",
        "I see my sister.",
        "DMs are open",
        "",
    ],
)
def test_a_name_inside_a_word_and_a_title_call_nobody(said: str) -> None:
    assert named_in(said, TABLE) == []


@pytest.mark.parametrize(
    ("said", "who"),
    [
        ("Hale! Open up!", ["marta", "corvin"]),
        ("Corvin Hale! Open up!", ["corvin"]),
        ("Marta  Hale\nand Corvin", ["marta", "corvin"]),
        ("Corvin Hale, and every other Hale!", ["corvin", "marta"]),
    ],
)
def test_of_two_names_the_longer_counts(said: str, who: list[str]) -> None:
    assert named_in(said, TABLE) == who


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("Zoë, komm her!", "Zoë"),
        ("ZOË, KOMM HER!", "Zoë"),
        ("Jose\u0301, ven!", "José"),
        ("José, ven!", "Jose\u0301"),
        ("Frau STRAẞE?", "Straße"),
        ("Иди сюда, Марта!", "Марта"),
        ("マルタさん、こんにちは", "マルタ"),
        ("我问李白怎么走。", "李白"),
        ("마르타는 어디?", "마르타"),
        ("I call O\N{RIGHT SINGLE QUOTATION MARK}Hara", "O'Hara"),
        ("I call O'Hara", "O\N{RIGHT SINGLE QUOTATION MARK}Hara"),
        ("Grok (the Unwashed), speak", "Grok (the Unwashed)"),
        ("Unwashed, speak", "Grok (the Unwashed)"),
        ("Ilse, speak", "Ilse, the Red"),
        ("a.b*c? hello", "a.b*c?"),
        ("R2-D2!", "R2-D2"),
        ("Speak, 🐉", "🐉"),
        ("Bo?", "Bo"),
    ],
)
def test_names_of_all_kinds(said: str, name: str) -> None:
    assert called(said, name)


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("axbbc hello", "a.b*c"),
        ("Jose\u0301, ven!", "Jose"),
        ("Марта́н", "Март"),
        ("anything", ""),
        ("anything", "   "),
        ("a of it", "Oz of It"),
        ("Boo", "Bo"),
    ],
)
def test_what_is_not_a_name(said: str, name: str) -> None:
    assert not called(said, name)


def test_somebody_addressed_comes_first_and_answers_without_being_named() -> None:
    """By a reply to their message, or an @mention of the bot."""
    for mode in (Mode.NATURAL, Mode.MENTION_ONLY):
        assert answer("Why?", mode, addressed="wren") == ["wren"]
        assert answer("Why, Corvin?", mode, addressed="wren") == ["wren", "corvin"]
        assert answer("Why, Wren and Corvin?", mode, addressed="corvin") == ["corvin", "wren"]


def test_somebody_addressed_who_has_left_does_not_answer() -> None:
    assert answer("Why?", Mode.MENTION_ONLY, addressed="tobin") == []
    assert answer("Why?", Mode.MANUAL, addressed="tobin") == []


def test_list_lets_everybody_answer_in_their_order() -> None:
    assert answer("Corvin?", Mode.LIST) == ["narrator", "marta", "corvin", "wren"]


def test_manual_waits_for_the_game_master() -> None:
    assert answer("Corvin? Marta?", Mode.MANUAL) == []
    assert answer("Corvin?", Mode.MANUAL, addressed="wren") == ["wren"]


def test_mention_only_keeps_quiet_otherwise() -> None:
    assert answer("It rains.", Mode.MENTION_ONLY) == []


def test_where_nobody_is_meant_talkativeness_decides() -> None:
    """As often as they are talkative; the table is never silent, and who never speaks up does not now."""
    rounds = [answer("It rains.", seed=seed) for seed in range(400)]
    assert all(rounds)
    share = {one.slug: sum(one.slug in who for who in rounds) / len(rounds) for one in TABLE}
    assert share["wren"] == 0
    assert 0.3 < share["corvin"] < share["marta"] < share["narrator"] < 0.8
    assert len({tuple(who) for who in rounds}) > 8, "the order is drawn too"


def test_who_always_talks_always_answers() -> None:
    chatty, silent = Candidate("tobin", ("Tobin",), 1.0), Candidate("wren", ("Wren",), 0.0)
    for seed in range(50):
        assert who_answers("Rain.", [chatty, silent], Mode.NATURAL, dice(seed)) == ["tobin"]
        assert who_answers("Rain.", [silent], Mode.NATURAL, dice(seed)) == []


def test_no_draw_while_a_turn_is_gathering() -> None:
    assert answer("And it rains on.", draw=False) == []
    assert answer("Marta, it rains.", draw=False) == ["marta"]


def test_an_empty_table_answers_nothing() -> None:
    for mode in Mode:
        assert who_answers("Hello?", [], mode, dice(1), addressed="marta") == []


def test_the_same_dice_give_the_same_answers() -> None:
    assert answer("It rains.", seed=5) == answer("It rains.", seed=5)


CASTS = st.lists(
    st.builds(
        Candidate,
        slug=st.text("abcdefgh", min_size=1, max_size=4),
        names=st.lists(st.text(max_size=20), max_size=3).map(tuple),
        talkativeness=st.floats(0, 1),
    ),
    max_size=6,
    unique_by=lambda candidate: candidate.slug,
)


@given(
    said=st.text(),
    cast=CASTS,
    mode=st.sampled_from(Mode),
    addressed=st.none() | st.text("abcdefgh", max_size=4),
    draw=st.booleans(),
    seed=st.integers(0, 9),
)
def test_only_the_cast_answers_and_everyone_once(
    said: str, cast: list[Candidate], mode: Mode, addressed: str | None, seed: int, *, draw: bool
) -> None:
    answering = who_answers(said, cast, mode, dice(seed), addressed=addressed, draw=draw)
    assert len(set(answering)) == len(answering)
    assert set(answering) <= {candidate.slug for candidate in cast}


@given(
    cast=CASTS,
    before=st.sampled_from(["", "Tell me, ", "“", "¿"]),
    after=st.sampled_from(["", "!", ", come here", "'s ale", "”"]),
    data=st.data(),
)
def test_a_full_name_always_calls(
    cast: list[Candidate], before: str, after: str, data: st.DataObject
) -> None:
    named = [(one, name) for one in cast for name in one.names if name.strip()]
    if named:
        candidate, name = data.draw(st.sampled_from(named))
        assert candidate.slug in named_in(f"{before}{name}{after}", [candidate])
