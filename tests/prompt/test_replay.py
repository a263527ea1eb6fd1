"""Prompts rebuilt from the log: the same to the byte, or a reason why not."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from bot.prompt.log import Head, render, render_head
from bot.prompt.replay import ANOTHER_VERSION, Rebuilt, prompt_sha256, rebuild, shortened_lengths
from bot.prompt.tokens import EstimatingCounter, entry_tokens
from bot.prompt.window import shorten
from bot.store.records import Entry
from tests.prompt.strategies import CAST, answered, said, sessions, texts

HEAD = Head("The Drowned Bell", "It rains.", ("## Marta\n\nThe innkeeper.",))


def again(
    sent: list[Entry], there: list[Entry], speaker: str = "Marta", edited: set[int] | None = None
) -> Rebuilt:
    """Rebuild from the log as it is `there` now what was sent with the window `sent`."""
    return rebuild(
        render_head(HEAD),
        there,
        speaker,
        window=[entry.seq for entry in sent],
        shortened=shortened_lengths(sent),
        edited=edited or set(),
        sha256=prompt_sha256(render(HEAD, sent, speaker)),
    )


@given(log=sessions(), speaker=st.sampled_from(CAST), later=texts)
def test_what_is_said_later_changes_nothing(log: list[Entry], speaker: str, later: str) -> None:
    rebuilt = again(log, log, speaker)
    assert rebuilt.identical
    assert rebuilt.messages == render(HEAD, log, speaker)
    assert again(log, [*log, said("Ann", later, len(log) + 1)], speaker).messages == rebuilt.messages


@given(log=sessions(longest=8, most_words=200), limit=st.integers(20, 150), speaker=st.sampled_from(CAST))
def test_what_stood_there_shortened_is_shortened_again(log: list[Entry], limit: int, speaker: str) -> None:
    counter = EstimatingCounter()
    sent = [shorten(entry, limit, lambda one: entry_tokens(one, counter)) for entry in log]
    assert again(sent, log, speaker).identical


@given(text=texts, limit=st.integers(1, 60))
def test_any_text_is_shortened_again(text: str, limit: int) -> None:
    entry = said("Ann", text, 1)
    short = shorten(entry, limit, lambda one: entry_tokens(one, EstimatingCounter()))
    assert again([short], [entry]).identical


def test_what_was_edited_or_deleted_is_named() -> None:
    first, second, third = said("Ann", "I knock.", 1), answered("Marta", "Yes?", 2), said("Ben", "Soup.", 3)
    rebuilt = again([first, second, third], [second, replace(third, text="Bread.")], edited={3, 7})
    assert not rebuilt.identical
    assert rebuilt.causes == (
        "Entry 1 of the story was deleted since.",
        "Entry 3 of the story, by Ben, was edited since.",
    )
    assert "Bread." in rebuilt.messages[-1].content


def test_an_edit_that_was_taken_back_leaves_the_prompt_as_it_was() -> None:
    entry = said("Ann", "I knock.", 1)
    assert again([entry], [entry], edited={1}).identical


def test_without_any_other_cause_the_format_has_changed() -> None:
    entry = said("Ann", "I knock.", 1)
    assert again([entry], [replace(entry, speaker="Anna")]).causes == (ANOTHER_VERSION,)
