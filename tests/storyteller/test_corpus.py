from __future__ import annotations

import re
from itertools import pairwise
from random import Random

import pytest

from tools.storyteller.corpus import Message, conversation
from tools.storyteller.evaluate import held_out
from tools.storyteller.grammar import agree
from tools.storyteller.judge import loops, shared, well_formed
from tools.storyteller.sources import Noun, sections
from tools.storyteller.table import player_names, rolled
from tools.storyteller.voices import LONGEST, VOICES, Speaker, answer


def seeded(seed: int) -> Random:
    return Random(seed)  # noqa: S311  # a story, not a secret


CONVERSATIONS = [list(conversation(seeded(n), 8, n % 10 / 10, brief=n % 3 / 5)) for n in range(150)]
LEARNED = [message for messages in CONVERSATIONS for message in messages if message.learned]


def test_the_same_seed_gives_the_same_table() -> None:
    assert list(conversation(seeded(3), 6, 0.6)) == list(conversation(seeded(3), 6, 0.6))
    assert list(conversation(seeded(3), 6, 0.6)) != list(conversation(seeded(4), 6, 0.6))


def test_every_conversation_alternates_and_every_question_ends_in_a_cue() -> None:
    for system, *rest in CONVERSATIONS:
        assert system.role == "system"
        assert [message.role for message in rest] == ["user", "assistant"] * (len(rest) // 2)
        assert all(re.search(r"(^|\n)\[[^\]\n]+ answers\.\]$", m.text) for m in rest if m.role == "user")


def test_every_answer_ends_is_short_and_leaves_the_players_alone() -> None:
    for message in LEARNED:
        assert re.search(r"[.!?][\"'*]*$", message.text), message.text
        assert len(message.text.split()) <= LONGEST
        assert "\n" not in message.text
        assert not re.match(r"[\w .']+:(?! the| you)", message.text.split(" ", 1)[0]), message.text
        assert not loops(message.text), message.text


def test_no_slot_of_the_grammar_is_left_in_the_text() -> None:
    for messages in CONVERSATIONS:
        for message in messages[1:]:
            assert not re.search(r"@[A-Za-z]\b|<\w|\w~|\(\w*\|", message.text), message.text


def test_nearly_every_answer_is_about_what_was_said() -> None:
    pairs = [(a, b) for ms in CONVERSATIONS for a, b in pairwise(ms) if b.learned and ":" in a.text]
    about = [bool(shared(b.text, a.text)) for a, b in pairs]
    assert sum(about) / len(about) > 0.75


@pytest.mark.parametrize("name", ["Marta", "The Narrator", "Somebody New"])
def test_a_roll_that_failed_is_told_as_a_failure(name: str) -> None:
    rng = seeded(5)
    speaker = Speaker(name, narrator="Narrator" in name)
    turns = [rolled(rng, "Ann", name, ["Bob"]) for _ in range(200)]
    failed = [turn for turn in turns if turn.outcome == "failure"]
    assert all(re.search(r"a failure|failure|fails", turn.lines[-1]) for turn in failed)
    triumphs = ("A success", "You did it", "It works", "Well done")
    assert not any(answer(rng, speaker, turn).startswith(triumphs) for turn in failed)


def test_every_voice_has_something_to_say_about_everything_players_bring_up() -> None:
    asked = set(sections("messages.txt"))
    for file in ("generic.txt", *VOICES.values()):
        assert {"any", "vague", "action", "close"} <= {*sections("generic.txt"), *sections(file)}
    assert asked <= set(sections("generic.txt"))
    assert asked - {"modern", "self"} <= set(sections("narrator.txt"))


def test_words_agree_with_what_they_speak_of() -> None:
    assert Noun("wolf", "creature").many().text == "wolves"
    assert Noun("rope bridge", "thing").many().text == "rope bridges"
    assert Noun("ale", "food", count=False).many().text == "ale"
    assert [agree(word, plural=True) for word in ("is", "catches", "flies", "looks")] == [
        "are",
        "catch",
        "fly",
        "look",
    ]


def test_the_evaluation_asks_two_hundred_things_that_the_corpus_does_not_hold() -> None:
    said = {line for ms in CONVERSATIONS for m in ms if m.role == "user" for line in m.text.splitlines()}
    asked = held_out()
    assert len(asked) == 200
    assert not said & {line for _, lines in asked for line in lines.splitlines()}


def test_the_judge_tells_good_from_bad() -> None:
    asked = "Ann: I polish the silver teapot."
    assert shared("The teapot gleams.", asked) == {"teapot"}
    assert not shared("Ann, it rains.", asked)
    assert well_formed('"Put down the teapot, Ann."', asked)
    assert not well_formed("The teapot gleamx.", asked)
    assert not well_formed('"Put down the teapot', asked)
    assert loops("one two three four and one two three four and one two three four")


def test_players_come_by_many_names() -> None:
    names = {name for seed in range(40) for name in player_names(seeded(seed), 4)}
    assert len(names) > 60
    assert not any(":" in name for name in names)
    assert Message("user", "x").learned is False
