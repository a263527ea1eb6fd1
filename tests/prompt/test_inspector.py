"""Where the tokens of a window are."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.prompt.inspector import (
    ANSWERS,
    CARDS,
    HEAD,
    LORE,
    NOTES,
    PLAYERS,
    Contents,
    inspect,
    lore_lines,
    texts_of,
)
from bot.prompt.log import Head
from bot.prompt.tokens import EstimatingCounter
from bot.prompt.window import Window, plan
from bot.store.records import Entry, EntryKind
from tests.prompt.strategies import answered, entry, noted, said, sessions

HEAD_OF_SCENE = Head(
    "The Drowned Bell",
    "It has rained for a week.",
    ("## Marta\n\nThe innkeeper.\n\nShe hums while she counts.", "## Old Rusk\n\nThe ferryman."),
)


def look(
    entries: list[Entry], context: int = 4096, head: Head = HEAD_OF_SCENE, scale: float = 1.0
) -> Contents:
    counter = EstimatingCounter()
    entries = [replace(entry, fingerprint=counter.fingerprint) for entry in entries]
    fitting, budget = plan(head, context, 400, counter, scale)
    window = Window(entries)
    window.fit(budget, lambda entry: entry.tokens or 0)
    return inspect(fitting, head, window.entries, "Marta", budget, counter, scale)


@given(log=sessions(longest=30, most_words=60), context=st.integers(2000, 9000), scale=st.floats(0.5, 1.5))
def test_every_token_of_the_context_is_accounted_for(log: list[Entry], context: int, scale: float) -> None:
    seen = look(log, context, scale=scale)
    rounding = len(seen.parts)
    assert abs(seen.used + seen.reserve + seen.free - context) <= rounding
    assert 0 <= seen.until_cut <= seen.free
    assert sum(tokens for _, tokens in seen.groups()) == seen.used


def test_a_window_is_shown_by_what_stands_in_it() -> None:
    seen = look(
        [
            answered("Marta", "Come in."),
            said("Ann", "I come in."),
            noted("Ann rolls 1d20: 14"),
            said("Ben", "Me too."),
            answered("Marta", "Shut the door."),
        ]
    )
    assert [group for group, _ in seen.groups()] == [HEAD, CARDS, PLAYERS, ANSWERS, NOTES]
    assert [part.name for part in seen.parts if part.group == CARDS] == ["Marta", "Old Rusk"]
    assert {part.group: part.entries for part in seen.parts if part.entries} == {
        PLAYERS: 2,
        ANSWERS: 2,
        NOTES: 1,
    }
    assert not seen.exact
    assert not seen.short_cards


def test_entries_that_another_tokenizer_counted_are_counted_again() -> None:
    counter = EstimatingCounter()
    foreign = replace(said("Ann", "I come in."), tokens=9999, fingerprint="another")
    _, budget = plan(HEAD_OF_SCENE, 4096, 400, counter)
    seen = inspect(HEAD_OF_SCENE, HEAD_OF_SCENE, [foreign], "Marta", budget, counter)
    assert next(part.tokens for part in seen.parts if part.group == PLAYERS) < 50


def test_a_card_that_was_shortened_is_named() -> None:
    long = "## Wordy\n\nHe talks." + "\n\nAnd then he told another story of the sea." * 100
    seen = look([], context=2048, head=Head("Quay", "", ("## Brief\n\nHe nods.", long)))
    assert seen.short_cards == ("Wordy",)


@pytest.mark.parametrize("context", [1500, 4096, 1_000_000])
def test_without_a_story_only_the_head_stands_there(context: int) -> None:
    seen = look([], context)
    assert {group for group, _ in seen.groups()} == {HEAD, CARDS}
    assert seen.until_cut > 0


def test_lore_is_shown_wherever_it_stands() -> None:
    told = [entry(EntryKind.LORE, "It was cast by the founder.", "The gong", 1), said("Ann", "A gong?", 2)]
    head = replace(HEAD_OF_SCENE, lore=("It never stops raining.", "Nobody swims."))
    seen = look(told, head=head)
    standing, fired = (part for part in seen.parts if part.group == LORE)
    assert (standing.entries, fired.entries) == (0, 1)
    assert dict(seen.groups())[LORE] == standing.tokens + fired.tokens
    assert lore_lines([*told, entry(EntryKind.LORE, "Odo.", "Founder", 3)], {1: "“gong” was said"}) == [
        "**Founder**: nobody knows any more why",
        "**The gong**: “gong” was said",
    ]


def test_what_has_to_be_counted_can_be_asked_ahead() -> None:
    """A counter that was told these texts needs no other for the head."""
    head = replace(HEAD_OF_SCENE, lore=("It never stops raining.",))
    asked = set(texts_of(head, "Marta"))

    class Listening(EstimatingCounter):
        def count(self, text: str) -> int:
            assert text in asked
            return super().count(text)

    _, budget = plan(head, 4096, 400, EstimatingCounter())
    inspect(head, head, [], "Marta", budget, Listening())
