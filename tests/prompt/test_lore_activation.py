"""Which entries are told: every option of a lorebook, as a table would notice it."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.prompt.lore.activation import standing
from bot.prompt.lore.matching import Lore
from bot.prompt.lore.model import Decorators, Logic, LoreEntry, Position
from bot.prompt.lore.verdict import Check
from tests.prompt.lorebook import Rolls, book, checks, lore_entry, outcome, told

W = "world"


# -- keys -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("logic", "one", "both", "none"),
    [
        (Logic.AND_ANY, True, True, False),
        (Logic.AND_ALL, False, True, False),
        (Logic.NOT_ALL, True, False, True),
        (Logic.NOT_ANY, False, False, True),
    ],
)
def test_secondary_keys(logic: Logic, one: bool, both: bool, none: bool) -> None:
    entries = (lore_entry("it", "bell", secondary_keys=("rope", "well"), logic=logic),)
    assert bool(told(entries, "Ann: bell, rope")) is one
    assert bool(told(entries, "Ann: bell, rope, well")) is both
    assert bool(told(entries, "Ann: bell")) is none
    assert told(entries, "Ann: rope, well") == []


def test_secondary_keys_count_only_where_the_entry_is_selective() -> None:
    assert told((lore_entry("it", "bell", secondary_keys=("rope",), selective=False),), "Ann: bell") == ["it"]


def test_two_messages_are_looked_at_unless_entry_or_book_say_otherwise() -> None:
    said = ("Ann: the bell", "Bob: well", "Ann: well", "Bob: well")
    assert told((lore_entry("it", "bell"),), *said, fresh=1) == []
    assert told((lore_entry("it", "bell"),), *said[:2], fresh=1) == ["it"]
    assert told((lore_entry("it", "bell", scan_depth=4),), *said, fresh=1) == ["it"]
    assert told(book(lore_entry("it", "bell"), scan_depth=4), *said, fresh=1) == ["it"]
    assert told(book(lore_entry("it", "bell", scan_depth=1), scan_depth=4), *said, fresh=1) == []
    assert told((lore_entry("it", "bell", scan_depth=0),), "Ann: bell") == []


def test_every_message_since_the_last_answer_is_looked_at() -> None:
    said = ("Ann: the bell", "Bob: well", "Ann: well", "Bob: well")
    assert told((lore_entry("it", "bell"),), *said, fresh=4) == ["it"]


def test_names_of_speakers_are_keys_too_and_no_key_spans_two_messages() -> None:
    entries = (lore_entry("ann", "Ann"), lore_entry("span", "tolls Bob"))
    assert told(entries, "Ann: it tolls", "Bob: who?") == ["ann"]


# -- always, never, sometimes -----------------------------------------------------------------------------


def test_an_entry_that_is_switched_off_is_not_told() -> None:
    result = outcome((lore_entry("it", "bell", enabled=False),), "Ann: bell")
    assert checks(result) == {"it": Check.DISABLED}


def test_an_entry_that_is_always_on_needs_no_key() -> None:
    assert told((lore_entry("it", constant=True, probability=50),), "Ann: hm", rng=Rolls(0.1)) == ["it"]


def test_the_chance_is_rolled_once_with_the_tables_dice() -> None:
    entries = (lore_entry("it", "bell", probability=30), lore_entry("that", "bell"))
    assert told(entries, "Ann: bell", rng=Rolls(0.29)) == ["it", "that"]
    result = outcome(entries, "Ann: bell", rng=Rolls(0.31))
    assert checks(result) == {"it": Check.CHANCE, "that": Check.TOLD}
    assert "30 %, rolled 31" in str(result.verdicts)
    unused = (lore_entry("it", "bell", probability=0, use_probability=False),)
    assert told(unused, "Ann: bell") == ["it"]


def test_an_entry_may_be_for_some_of_the_cast() -> None:
    names = (lore_entry("it", "bell", filter_names=("Marta",)),)
    assert told(names, "Ann: bell", names=frozenset({"marta", "martas-slug"})) == ["it"]
    assert checks(outcome(names, "Ann: bell", names=frozenset({"rusk"}))) == {"it": Check.FILTERED}
    others = (lore_entry("it", "bell", filter_names=("Marta",), filter_excludes=True),)
    assert told(others, "Ann: bell", names=frozenset({"rusk"})) == ["it"]
    tags = (lore_entry("it", "bell", filter_tags=("smith",)),)
    assert told(tags, "Ann: bell", tags=frozenset({"smith", "old"})) == ["it"]
    assert told(tags, "Ann: bell", tags=frozenset({"old"})) == []


# -- time -------------------------------------------------------------------------------------------------


def test_what_is_in_the_window_is_not_told_again() -> None:
    entries = (lore_entry("it", "bell"),)
    result = outcome(entries, "Ann: bell", window={(W, "it"): 7}, fired={(W, "it"): 3})
    assert result.fired == ()
    assert checks(result) == {"it": Check.IN_WINDOW}
    assert told(entries, "Ann: bell", fired={(W, "it"): 3}) == ["it"]  # the window was cut


def test_a_sticky_entry_comes_back_when_the_window_was_cut_and_keeps_its_time() -> None:
    entries = (lore_entry("it", "bell", sticky=5),)
    result = outcome(entries, "Ann: hm", fired={(W, "it"): 10}, count=14)
    assert [(fired.ref[1], fired.since) for fired in result.fired] == [("it", 10)]
    assert told(entries, "Ann: hm", fired={(W, "it"): 10}, count=15) == []
    again = outcome(entries, "Ann: bell", fired={(W, "it"): 10}, count=15)
    assert [fired.since for fired in again.fired] == [15]


def test_an_entry_rests_after_it_was_told_and_after_it_was_sticky() -> None:
    resting = (lore_entry("it", "bell", cooldown=3),)
    assert checks(outcome(resting, "Ann: bell", fired={(W, "it"): 10}, count=12)) == {"it": Check.COOLING}
    assert told(resting, "Ann: bell", fired={(W, "it"): 10}, count=13) == ["it"]
    both = (lore_entry("it", "bell", cooldown=3, sticky=2),)
    assert told(both, "Ann: hm", fired={(W, "it"): 10}, count=11) == ["it"]
    assert told(both, "Ann: bell", fired={(W, "it"): 10}, count=14) == []
    assert told(both, "Ann: bell", fired={(W, "it"): 10}, count=15) == ["it"]


def test_an_entry_may_wait_for_the_scene_to_get_going() -> None:
    entries = (lore_entry("it", "bell", delay=4),)
    assert checks(outcome(entries, "Ann: bell", count=3)) == {"it": Check.DELAYED}
    assert told(entries, "Ann: bell", count=4) == ["it"]


# -- recursion --------------------------------------------------------------------------------------------


def test_what_is_told_wakes_what_it_speaks_of() -> None:
    entries = (
        lore_entry("tower", "tower", content="The bell hangs here."),
        lore_entry("bell", "bell", content="Cast by the drowned smith."),
        lore_entry("smith", "smith"),
    )
    assert told(entries, "Ann: the tower") == ["tower", "bell", "smith"]
    assert told(book(*entries, recursive=False), "Ann: the tower") == ["tower"]


def test_recursion_in_a_circle_ends() -> None:
    entries = tuple(lore_entry(str(n), f"k{n}", content=f"See k{(n + 1) % 50}.") for n in range(50))
    assert len(told(entries, "Ann: k0")) == 32
    circle = (lore_entry("a", "egg", content="A hen."), lore_entry("b", "hen", content="An egg."))
    assert told(circle, "Ann: egg") == ["a", "b"]


def test_the_flags_of_recursion() -> None:
    tower = lore_entry("tower", "tower", content="The bell.")
    assert told((tower, lore_entry("bell", "bell", exclude_recursion=True)), "Ann: tower") == ["tower"]
    silent = lore_entry("tower", "tower", content="The bell.", prevent_recursion=True)
    assert told((silent, lore_entry("bell", "bell")), "Ann: tower") == ["tower"]
    only = lore_entry("bell", "bell", delay_until_recursion=1)
    assert checks(outcome((tower, only), "Ann: bell"))["bell"] is Check.WAITS
    assert told((tower, only), "Ann: tower") == ["tower", "bell"]
    assert told((tower, lore_entry("bell", "bell", scan_depth=0)), "Ann: tower") == ["tower", "bell"]


def test_levels_of_recursion_come_one_after_the_other() -> None:
    entries = (
        lore_entry("tower", "tower", content="The bell and the rope."),
        lore_entry("rope", "rope", delay_until_recursion=2, content="A hook."),
        lore_entry("bell", "bell", delay_until_recursion=1),
        lore_entry("hook", "hook"),
    )
    assert set(told(entries, "Ann: tower")) == {"tower", "rope", "bell", "hook"}


def test_a_secondary_key_may_come_from_what_is_told() -> None:
    entries = (lore_entry("a", "bell", content="A rope."), lore_entry("b", "bell", secondary_keys=("rope",)))
    assert told(entries, "Ann: bell") == ["a", "b"]


def test_hidden_keys_wake_others_and_are_not_told() -> None:
    tower = lore_entry("tower", "tower", content="A tower.{{hidden_key: bell}}{{// rope }}{{comment: hook}}")
    entries = (tower, lore_entry("bell", "bell"), lore_entry("rope", "rope"), lore_entry("hook", "hook"))
    result = outcome(entries, "Ann: tower")
    assert [fired.text for fired in result.fired] == ["A tower.", "About bell."]


# -- groups -----------------------------------------------------------------------------------------------


def test_one_of_a_group_is_told_by_weight() -> None:
    sun = lore_entry("sun", "weather", groups=("sky",), group_weight=30)
    rain = lore_entry("rain", "weather", groups=("sky",), group_weight=70)
    assert told((sun, rain), "Ann: weather?", rng=Rolls(0.29)) == ["sun"]
    assert told((sun, rain), "Ann: weather?", rng=Rolls(0.31)) == ["rain"]
    rng = Random(5)  # noqa: S311  # dice, not secrets
    drawn = Counter(told((sun, rain), "Ann: weather?", rng=rng)[0] for _ in range(1000))
    assert 640 < drawn["rain"] < 760


def test_a_prioritised_entry_wins_its_group() -> None:
    plain = lore_entry("plain", "weather", groups=("sky",))
    low = lore_entry("low", "weather", groups=("sky",), group_override=True, order=10)
    high = lore_entry("high", "weather", groups=("sky",), group_override=True, order=20)
    assert told((plain, low, high), "Ann: weather?") == ["high"]


def test_scoring_prefers_the_entry_of_which_more_was_said() -> None:
    one = lore_entry("one", "bell", "rope", groups=("g",), group_scoring=True)
    two = lore_entry("two", "bell", "tower", groups=("g",), group_scoring=True)
    assert told((one, two), "Ann: bell, tower") == ["two"]


def test_the_winner_must_win_in_each_of_its_groups() -> None:
    a = lore_entry("a", "k", groups=("x",), group_override=True)
    b = lore_entry("b", "k", groups=("x", "y"))
    c = lore_entry("c", "k", groups=("y",))
    assert told((a, b, c), "Ann: k") == ["a", "c"]


def test_a_group_is_decided_by_what_is_sticky_and_by_what_was_told_in_the_same_breath() -> None:
    sun = lore_entry("sun", "weather", groups=("sky",), sticky=3)
    rain = lore_entry("rain", "weather", groups=("sky",), group_override=True)
    assert told((sun, rain), "Ann: weather", fired={(W, "sun"): 0}, count=1) == ["sun"]
    first = lore_entry("first", "bell", groups=("g",), content="A rope.")
    late = lore_entry("late", "rope", groups=("g",))
    assert told((first, late), "Ann: bell") == ["first"]


def test_what_another_of_its_group_has_taken_back_is_told_again() -> None:
    sun = lore_entry("sun", "weather", groups=("sky",))
    rain = lore_entry("rain", "storm", groups=("sky",))
    there = {(W, "sun"): 3, (W, "rain"): 9}
    assert told((sun, rain), "Ann: weather", window=there) == ["sun"]
    assert told((sun, rain), "Ann: storm", window=there) == []


# -- room -------------------------------------------------------------------------------------------------


def test_the_budget_goes_to_what_is_always_on_then_to_the_higher_order_then_to_what_was_said_itself() -> None:
    entries = (
        lore_entry("low", "bell", order=1, content="x" * 40),
        lore_entry("high", "bell", order=9, content="x" * 30 + " rope"),
        lore_entry("always", constant=True, probability=99, order=0, content="x" * 40),
        lore_entry("woken", "rope", order=99, content="x" * 10),
    )
    result = outcome(entries, "Ann: bell", budget=80, rng=Rolls(0.5))
    assert {fired.ref[1] for fired in result.fired} == {"always", "high"}
    assert checks(result)["low"] is Check.BUDGET
    assert "40 tokens, 5 left" in str(result.verdicts)
    assert "woken" not in checks(result)


def test_a_book_may_have_a_budget_of_its_own_and_drops_the_lowest_priority() -> None:
    small = book(
        lore_entry("dear", "bell", priority=5, content="x" * 40),
        lore_entry("spare", "bell", priority=1, order=500, content="x" * 40),
        token_budget=50,
    )
    assert told(small, "Ann: bell") == ["dear"]


def test_what_is_in_the_window_and_awake_counts_against_the_budget() -> None:
    entries = (
        lore_entry("old", "bell", order=9, content="x" * 60),
        lore_entry("new", "bell", content="x" * 30),
    )
    assert told(entries, "Ann: bell", budget=80, window={(W, "old"): 1}) == []
    assert told(entries, "Ann: hm", "Bob: bell", budget=100, window={(W, "old"): 1}) == ["new"]


def test_some_ignore_the_budget_and_some_make_room_first() -> None:
    entries = (
        lore_entry("polite", "bell", order=9, content="@@ignore_on_max_context\n" + "x" * 40),
        lore_entry("plain", "bell", order=1, content="x" * 40),
        lore_entry("brazen", "bell", order=0, content="x" * 400, ignore_budget=True),
    )
    assert set(told(entries, "Ann: bell", budget=50)) == {"plain", "brazen"}


def test_what_is_told_together_stands_in_the_order_of_a_prompt() -> None:
    entries = (
        lore_entry("near", "bell", position=Position.AT_DEPTH, depth=0),
        lore_entry("far", "bell", position=Position.AT_DEPTH, depth=9),
        lore_entry("after", "bell", position=Position.AFTER_CHARACTER, order=1),
        lore_entry("late", "bell", order=200),
        lore_entry("early", "bell", order=100),
    )
    assert told(entries, "Ann: bell") == ["early", "late", "after", "far", "near"]


def test_an_entry_without_text_wakes_nothing_and_tells_nothing() -> None:
    assert checks(outcome((lore_entry("it", "bell", content=" "),), "Ann: bell")) == {"it": Check.EMPTY}


# -- always on --------------------------------------------------------------------------------------------


def test_what_never_changes_stands_in_the_head() -> None:
    entries = (
        lore_entry("law", constant=True, order=2),
        lore_entry("sky", constant=True, order=1),
        lore_entry("at depth", constant=True, position=Position.AT_DEPTH),
        lore_entry("sometimes", constant=True, probability=50),
        lore_entry("hers", constant=True, filter_names=("Marta",)),
        lore_entry("off", constant=True, enabled=False),
    )
    lore = Lore([book(*entries)])
    everything = standing(lore, 1000, len, lambda text, _: text)
    assert [one.ref[1] for one in everything] == ["sky", "law"]
    assert [one.ref[1] for one in standing(lore, 12, len, lambda text, _: text)] == ["law"]
    head = frozenset(one.ref for one in everything)
    result = outcome(entries, "Ann: hm", head=head, rng=Rolls(0.9))
    assert checks(result)["law"] is Check.STANDS
    assert [fired.ref[1] for fired in result.fired] == ["at depth"]


def test_what_stands_in_the_head_wakes_others() -> None:
    entries = (lore_entry("law", constant=True, content="Fear the bell."), lore_entry("bell", "bell"))
    assert told(entries, "Ann: hm", head=frozenset({(W, "law")})) == ["bell"]


# -- decorators -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "circumstances", "fires"),
    [
        ("@@activate", {"messages": ("Ann: hm",)}, True),
        ("@@dont_activate", {}, False),
        ("@@dont_activate\n@@activate", {}, True),
        ("@@activate_only_after 3", {"answers": 2}, False),
        ("@@activate_only_after 3", {"answers": 3}, True),
        ("@@activate_only_every 4", {"answers": 8}, True),
        ("@@activate_only_every 4", {"answers": 9}, False),
        ("@@keep_activate_after_match", {"messages": ("Ann: hm",), "fired": {(W, "it"): 1}}, True),
        ("@@keep_activate_after_match", {"messages": ("Ann: hm",)}, False),
        ("@@dont_activate_after_match", {"fired": {(W, "it"): 1}}, False),
        ("@@dont_activate_after_match", {}, True),
        ("@@is_greeting 1", {"greeting": 0}, False),
        ("@@is_greeting 1", {"greeting": 1}, True),
        ("@@is_greeting 1", {"greeting": None}, True),
        ("@@additional_keys rope, well", {}, False),
        ("@@additional_keys rope, tower", {}, True),
        ("@@exclude_keys rope, tower", {}, False),
        ("@@scan_depth 0", {}, False),
        ("@@unknown 4\n@@@dont_activate", {}, False),
        ("@@unknown 4\n@@@other 3\n@@@dont_activate", {}, False),
        ("@@depth 4\n@@@dont_activate", {}, True),
        ("@@@dont_activate", {}, True),
        ("@@activate_only_after soon\n@@@dont_activate", {}, False),
        ("@@activate_only_after 1\n@@activate_only_after 99", {"answers": 5}, True),
        ("@@activate_only_every 0", {"answers": 5}, True),
    ],
)
def test_decorators(lines: str, circumstances: dict[str, object], fires: bool) -> None:
    entries = (lore_entry("it", "bell", content=f"{lines}\n\nThe bell."),)
    said = circumstances.pop("messages", ("Ann: the bell in the tower",))
    result = outcome(entries, *said, **circumstances)  # type: ignore[misc]
    assert [fired.text for fired in result.fired] == (["The bell."] if fires else [])


def test_decorators_place_an_entry() -> None:
    lore = Lore([book(lore_entry("a", content="@@depth 3\n@@role user\nx"), lore_entry("b", content="@@x"))])
    a, b = (one.entry for one in lore.entries)
    assert (a.position, a.depth, a.role.name, a.content) == (Position.AT_DEPTH, 3, "USER", "x")
    assert b.content == ""
    assert b.decorators == Decorators()
    placed = Lore([book(lore_entry("a", content="@@position after_desc\n@@depth 3\nx"))]).entries[0].entry
    assert placed.position is Position.AFTER_CHARACTER


# -- whatever comes ---------------------------------------------------------------------------------------

words = st.sampled_from(["bell", "rope", "tower", "well"])
wild = st.builds(
    LoreEntry,
    uid=st.uuids().map(str),
    keys=st.lists(words, max_size=2).map(tuple),
    secondary_keys=st.lists(words, max_size=2).map(tuple),
    content=st.lists(words, max_size=3).map(" ".join),
    constant=st.booleans(),
    logic=st.sampled_from(Logic),
    probability=st.integers(0, 100),
    groups=st.lists(st.sampled_from(["g", "h"]), max_size=2, unique=True).map(tuple),
    group_weight=st.integers(0, 100),
    sticky=st.integers(1, 9) | st.none(),
    cooldown=st.integers(1, 9) | st.none(),
    delay_until_recursion=st.integers(0, 2),
    position=st.sampled_from(Position),
)


@given(
    st.lists(wild, max_size=8),
    st.lists(st.lists(words, max_size=3).map(" ".join), max_size=4),
    st.integers(0, 60),
    st.randoms(use_true_random=False),
)
def test_whatever_the_book_nothing_is_told_twice_or_past_the_budget(
    entries: list[LoreEntry], said: list[str], budget: int, rng: Random
) -> None:
    result = outcome(tuple(entries), *said, budget=budget, rng=rng, count=20)
    refs = [fired.ref for fired in result.fired]
    assert len(refs) == len(set(refs))
    assert sum(len(fired.text) for fired in result.fired) <= budget
    for group in ("g", "h"):
        assert sum(group in entry.groups for entry in entries if (W, entry.uid) in refs) <= 1
