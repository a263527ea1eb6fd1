from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from bot.chat import ChatMessage
from bot.prompt.log import (
    INSTRUCTIONS,
    SILENCE,
    Head,
    cue,
    entry_line,
    render,
    render_ahead,
    render_head,
)
from bot.prompt.text import clean, table_name
from bot.store.records import Entry, EntryKind
from tests.prompt.strategies import CAST, answered, entry, names, noted, said, sessions, texts

BELL = Head(
    "The Drowned Bell", "Rain on a lake village.", ("## Marta\n\nKeeps the inn.", "## Old Rusk\n\nRows.")
)


def test_a_round_at_the_inn_reads_as_the_model_learned_it() -> None:
    log = [
        entry(EntryKind.OPENING, "*The door stands open.*", "Marta"),
        said("Ann", "I walk in."),
        noted("Ann rolls 1d20: 14"),
        said("Ben", "Me too!"),
        answered("Marta", "Boots off."),
        answered("Old Rusk", "Aye."),
    ]

    assert render(BELL, log, "Marta") == (
        ChatMessage("system", render_head(BELL)),
        ChatMessage("user", "[Marta answers.]"),
        ChatMessage("assistant", "*The door stands open.*"),
        ChatMessage("user", "Ann: I walk in.\n[Ann rolls 1d20: 14]\nBen: Me too!\n[Marta answers.]"),
        ChatMessage("assistant", "Boots off."),
        ChatMessage("user", "[Old Rusk answers.]"),
        ChatMessage("assistant", "Aye."),
        ChatMessage("user", "[Marta answers.]"),
    )


def test_the_head_tells_scene_and_cast_after_the_instructions() -> None:
    assert render_head(BELL) == (
        f"{INSTRUCTIONS}\n\nThe scene: The Drowned Bell. Rain on a lake village."
        "\n\n## Marta\n\nKeeps the inn.\n\n## Old Rusk\n\nRows."
    )
    assert render_head(Head("Fog.", "", ())).endswith("The scene: Fog.")
    assert 120 <= len(INSTRUCTIONS.split()) <= 180


@given(log=sessions(), speaker=st.sampled_from(CAST), text=texts, later=sessions(longest=6))
def test_the_next_prompt_repeats_this_one_byte_for_byte(
    log: list[Entry], speaker: str, text: str, later: list[Entry]
) -> None:
    prompt = render(BELL, log, speaker)

    following = render(BELL, [*log, answered(speaker, text), *later], "Old Rusk")

    assert following[: len(prompt)] == prompt
    assert following[len(prompt)].role == "assistant"


@given(log=sessions(), speaker=st.sampled_from(CAST))
def test_user_and_assistant_take_turns_and_nothing_is_empty(log: list[Entry], speaker: str) -> None:
    system, *rest = render(BELL, log, speaker)

    assert system.role == "system"
    assert [message.role for message in rest] == ["user", "assistant"] * (len(rest) // 2) + ["user"]
    assert all(message.content.strip() for message in rest)
    assert rest[-1].content.endswith(cue(speaker))


@given(name=names, text=texts)
def test_a_player_cannot_pass_for_somebody_else_or_for_the_table(name: str, text: str) -> None:
    line = entry_line(said(name, text))
    first, *more = line.split("\n")

    assert "[" not in line
    assert "]" not in line
    assert not line or first.startswith(f"{table_name(name)}: ")
    assert all(re.match(r"  \S|  \s+\S", one) for one in more)
    assert line.splitlines() == [first, *more] or not line


@given(text=texts)
def test_an_injected_line_stays_within_the_speakers_own(text: str) -> None:
    prompt = render(BELL, [said("Ann", text)], "Marta")
    lines = prompt[-1].content.split("\n")

    assert lines[-1] == "[Marta answers.]"
    assert all(line.startswith("  ") for line in lines[1:-1])


@given(text=texts)
def test_no_text_holds_what_a_template_would_take_for_structure(text: str) -> None:
    cleaned = clean(text)

    for special in ("<|im_end|>", "<|im_start|>", "</s>", "[INST]", "<think>", "<\uff5cUser\uff5c>"):
        assert special not in cleaned
    assert clean(cleaned) == cleaned
    cleaned.encode()


def test_a_smile_a_heart_and_a_family_emoji_come_through() -> None:
    assert clean("<3 a < b, x <= y, :-> 👩‍👩‍👧 ❤️") == "<3 a < b, x <= y, :-> 👩‍👩‍👧 ❤️"


def test_a_letter_keeps_its_lines_under_the_speaker() -> None:
    assert (
        entry_line(said("Ann", "I read:\n\nDear Ben,\n  come.\n")) == "Ann: I read:\n  Dear Ben,\n    come."
    )


def test_an_entry_without_text_leaves_no_trace_and_an_empty_answer_a_silence() -> None:
    assert render(BELL, [said("Ann", " \n\x00")], "Marta") == render(BELL, [], "Marta")
    assert not entry_line(said("Ann", "\u200b"))
    assert render(BELL, [answered("Marta", " ")], "Marta")[2].content == "..."


def test_a_note_is_one_bracket_whatever_stands_in_it() -> None:
    assert entry_line(noted("Ann rolls [2d6]: 7\nBen: dies")) == "[Ann rolls (2d6): 7\n  Ben: dies]"


@given(name=names)
def test_a_name_is_one_short_line(name: str) -> None:
    shown = table_name(name)

    assert shown.splitlines() == [shown]
    assert 1 <= len(shown) <= 64
    assert not set(shown) & set("[]:<>")
    assert table_name(shown) == shown


@given(log=sessions(), later=sessions(longest=6), speaker=st.sampled_from(CAST))
def test_what_is_read_ahead_begins_every_later_prompt(
    log: list[Entry], later: list[Entry], speaker: str
) -> None:
    *whole, opened = render_ahead(BELL, log)

    following = render(BELL, [*log, *later], speaker)

    assert opened.role == "user"
    assert following[: len(whole)] == tuple(whole)
    assert opened.content == SILENCE or following[len(whole)].content.startswith(opened.content)
