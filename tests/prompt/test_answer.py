from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.prompt.answer import LONGEST_OUTPUT, AnswerFilter, stop_sequences
from bot.prompt.loops import without_echo

PLAYERS_AND_CAST = ("Ann", "Ben the Bold", "İpek", "Old Rusk")


def told(output: str, reason: str | None = "stop") -> str:
    answer = AnswerFilter("Marta", PLAYERS_AND_CAST)
    answer.feed(output)
    return answer.finish(reason)


@pytest.mark.parametrize(
    "output",
    [
        "Come in.",
        "  Come in.\n\n",
        "Marta: Come in.",
        "marta : Come in.",
        "**Marta**: Come in.",
        "**Marta:** Come in.",
        "*Marta:* Come in.",
        "[Marta answers.]\nCome in.",
        "[Marta answers.] Marta: Come in.",
        "[Marta]: Come in.",
        "Assistant: Come in.",
        "<think>They want in.</think>\n\nCome in.",
        "<think>\nAnn: what would she say?\n</think>Come in.",
        "They want in, I think.\n</think>\n\nCome in.",
        "<think>one<think>two</think>three</think>Come in.",
        "<thinking>Hm.</thinking>Marta: Come in.",
        "<seed:think>Hm.</seed:think>Come in.",
        "<longcat_think>Hm.</longcat_think>Come in.",
        "<ifm|think>Hm.</ifm|think>Come in.",
        "<|think|>Hm.<|/think|>Come in.",
        "<|inner_prefix|>Hm.<|inner_suffix|>Come in.",
        "[THINK]Hm.[/THINK]Come in.",
        "◁think▷Hm.◁/think▷Come in.",
        "<|START_THINKING|>Hm.<|END_THINKING|>Come in.",
        "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Come in.",
        "<|start|>assistant<|channel|>final<|message|>Come in.<|return|>",
        "analysisThey want in.assistantfinalCome in.",
        "<|channel>thought\nHm.<channel|>Come in.<turn|>",
        "<think>Hm.</think><answer>Come in.</answer>",
        "Come in.<|im_end|>\n<|im_start|>user\nAnn: I do.",
        "<|im_start|>assistant\nCome in.<|im_end|>",
        "<|start_header_id|>assistant<|end_header_id|>\n\nCome in.<|eot_id|>",
        "Come in.</s>",
        "Come in.[/INST] And more.",
        "Come in.<\uff5cend\u2581of\u2581sentence\uff5c>",
        "Come in.\nAnn: I come in.",
        "Come in.\nann: I come in.",
        "Come in.\n\n**Ann:** I come in.",
        "Come in.\n**Ben the Bold**: I come in.",
        "Come in.\nBen: I come in.",
        "Come in.\nAnn (softly): I come in.",
        "Come in.\n> Ann: I come in.",
        "Come in.\nİpek: I come in.",
        "Come in.\nAnn\uff1aI come in.",
        "Come in.\nOld Rusk: Aye.",
        "Come in.\nRusk: Aye.",
        "Come in.\n[Old Rusk answers.]\nAye.",
        "Come in.\n[Somebody new answers.]\nAye.",
        "Come in.\nUser: and then?",
        "Come in.\nPlayer: and then?",
        "Come in.\nAssistant: Come in.",
        "Come in.\n### Response:\nCome in.",
        "Come in.\n<think>now Ann</think>Ann: I come in.",
    ],
)
def test_only_the_characters_own_words_are_left(output: str) -> None:
    assert told(output) == "Come in."


@pytest.mark.parametrize(
    "output",
    [
        'She turns. "Tell Ann: no."',
        "I will tell Ann: no.",
        "Ann nods to you.",
        "Annabel: that was her name.",
        "*Marta wipes a glass.* Well?",
        "3 < 4, I <3 this inn, and [the door] creaks.",
        "It is half past: late.",
        "- Ale: 4 copper\n- Bed: 2 silver",
        "First line.\n\nSecond line: longer.",
    ],
)
def test_a_name_in_the_middle_of_a_sentence_is_no_speaker(output: str) -> None:
    assert told(output) == output


@pytest.mark.parametrize("output", ["The Narrator: Rain.", "Narrator: Rain.", "**Narrator:** Rain."])
def test_a_name_with_an_article_is_taken_off_without_it_too(output: str) -> None:
    answer = AnswerFilter("The Narrator", ["Ann", "Sister Ilse"])
    answer.feed(f"{output}\nThe rain: how it falls.\nIlse: I knew.")

    assert answer.finish() == "Rain.\nThe rain: how it falls."


def test_a_repeated_own_name_is_taken_off_each_line() -> None:
    assert told("Marta: Come in.\nMarta: Sit down.") == "Come in.\nSit down."


@pytest.mark.parametrize(
    "output",
    [
        "",
        " \n",
        "<think>I should",
        "<think>Hm.</think>",
        "thought only</think>",
        "<|channel|>analysis<|message|>Hm",
        "[THINK]Hm",
        "<|think|>Hm",
        "Ann: I do.",
        "[Old Rusk answers.]",
        "<|im_end|>",
        "<|im_start|>user\nAnn: I do.",
        "Marta:",
    ],
)
def test_an_answer_may_turn_out_to_be_empty(output: str) -> None:
    assert not told(output)


PIECES = st.sampled_from(
    (
        *(
            "Come in. ",
            "the sea, the sea. ",
            "Ann",
            "Ben the Bold",
            "Ben",
            "İpek",
            "Old Rusk",
            "Marta",
            "User",
            "é",
        ),
        *(
            ":",
            "\n",
            "\n\n",
            " ",
            "**",
            "#",
            "[",
            "]",
            "<",
            " answers.]",
            " (softly)",
            "think>",
            "assistantfinal",
        ),
        *(
            "<think>",
            "</think>",
            "[THINK]",
            "[/THINK]",
            "◁think▷",
            "◁/think▷",
            "<channel|>",
            "<answer>",
            "</s>",
        ),
        *(
            "<|im_end|>",
            "<|im_start|>",
            "assistant",
            "user",
            "<|channel|>",
            "analysis",
            "final",
            "<|message|>",
        ),
    )
)
OUTPUTS = st.one_of(
    st.lists(PIECES, max_size=30).map("".join),
    st.text(max_size=80),
    st.tuples(st.lists(PIECES, max_size=4), st.lists(PIECES, min_size=1, max_size=4)).map(
        lambda parts: "".join([*parts[0], *parts[1] * 30])
    ),
)


@given(output=OUTPUTS, data=st.data())
def test_an_answer_is_the_same_however_it_streams_in(output: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(output)), max_size=12)))
    answer = AnswerFilter("Marta", PLAYERS_AND_CAST)
    for start, end in zip([0, *cuts], [*cuts, len(output)], strict=True):
        answer.feed(output[start:end])

    assert answer.finish("stop") == told(output)


@given(output=OUTPUTS)
def test_letter_by_letter_it_ends_where_it_ends_at_once(output: str) -> None:
    whole, letters = AnswerFilter("Marta", PLAYERS_AND_CAST), AnswerFilter("Marta", PLAYERS_AND_CAST)
    whole.feed(output)
    for letter in output:
        letters.feed(letter)

    assert letters.done == whole.done
    assert letters.finish() == whole.finish()


FOREIGN = re.compile(
    r"^[>*_~#\[ \t]*(?:ann|ben the bold|old rusk|user|system)[*_]*[ \t]*:", re.IGNORECASE | re.MULTILINE
)
THOUGHT = re.compile(r"</?think>|<\|im_(?:start|end)\|>|\[/?THINK\]|<\|channel\|>")


@given(output=OUTPUTS)
def test_no_line_of_somebody_else_and_no_thought_is_ever_shown(output: str) -> None:
    answer = AnswerFilter("Marta", PLAYERS_AND_CAST)
    shown = [answer.feed(letter) for letter in output]

    for text in (*shown, answer.finish()):
        assert not FOREIGN.search(text)
        assert not THOUGHT.search(text)


@given(
    output=st.lists(st.sampled_from(["Come in. ", "\n", "Annabel ", "*smiles* ", "Marta", "é "]), max_size=11)
)
@example(output=["Come in. "] * 8)
def test_what_was_shown_stays(output: list[str]) -> None:
    answer = AnswerFilter("Marta", PLAYERS_AND_CAST)
    shown = ""
    for piece in output:
        now = answer.feed(piece)
        assert now.startswith(shown)
        shown = now
    assert answer.finish().startswith(without_echo(shown))


def test_a_name_is_held_back_until_it_is_clear_who_speaks() -> None:
    answer = AnswerFilter("Marta", PLAYERS_AND_CAST)

    assert answer.feed("Come in.\n**An") == "Come in."
    assert answer.feed("n") == "Come in."
    assert answer.feed("** looks up.") == "Come in.\n**Ann** looks up."
    assert answer.feed("\nAnn:") == "Come in.\n**Ann** looks up."
    assert answer.done
    assert answer.feed(" I do.") == "Come in.\n**Ann** looks up."


def test_a_tag_is_held_back_until_it_is_one() -> None:
    answer = AnswerFilter("Marta", PLAYERS_AND_CAST)

    assert answer.feed("I <") == "I"
    assert answer.feed("3 you <|im") == "I <3 you"
    assert answer.feed("_end|>") == "I <3 you"
    assert answer.done


def test_a_player_who_bears_the_characters_name_does_not_silence_it() -> None:
    answer = AnswerFilter("Marta", ("Marta", "Ann"))
    answer.feed("Marta: Come in.")

    assert answer.finish() == "Come in."


def test_an_endless_output_ends() -> None:
    answer = AnswerFilter("Marta", PLAYERS_AND_CAST)
    for first in range(0, LONGEST_OUTPUT, 10_000):
        answer.feed(" ".join(map(str, range(first, first + 10_000))))

    assert answer.done
    assert len(answer.finish()) <= LONGEST_OUTPUT


# What SmolLM2-135M-Instruct answered at this table, and went on with until its tokens were spent.
CIRCLES = {
    "You need a bell. You need a letter. You need a message. " * 4: (
        "You need a bell. You need a letter. You need a message."
    ),
    "The room is empty. There's only a single piece of paper. It's a small piece of a" + " piece of a" * 40: (
        "The room is empty. There's only a single piece of paper."
    ),
    "I have a very short story. The story is just.\n\n" + "The story is just.\n\n" * 30: (
        "I have a very short story. The story is just."
    ),
    "It's a sign" + " of the end of the night, and the end of the day. It's a sign" * 9: (
        "It's a sign of the end of the night, and the end of the day."
    ),
    "我不知道。" * 30: "我不知道。",
    "A sword is raised, and the sword is raised again, and a sword is raised, and the sword is raised, and a "
    "sword is raised again, and the sword is raised again, and a sword is raised again, and the sword is": (
        "A sword is raised, and the sword is raised…"
    ),
}


@pytest.mark.parametrize("output", CIRCLES)
def test_an_answer_that_goes_round_in_circles_ends_where_they_begin(output: str) -> None:
    answer = AnswerFilter("Marta", PLAYERS_AND_CAST)
    fed = next(place for place, letter in enumerate(output, 1) if answer.feed(letter) and answer.done)

    assert fed < 300  # whoever waits for a slow model does not wait for the rest
    assert answer.finish("length") == told(output) == CIRCLES[output]


@pytest.mark.parametrize(
    "output",
    [
        "No, no, no, no, no! Not in my kitchen!",
        "Ha ha ha ha ha ha ha ha.",
        "Row, row, row your boat. Row, row, row your boat.",
        "The bell tolls for them. It is quiet.\nThe bell tolls for them. Rain.\nThe bell tolls for them. So?",
        "*By fire and salt I bind thee to the stone. By fire and salt I bind thee to the stone.* It cracks.",
        "The fire has burned down to a red eye, a red eye has burned down to a fire.",
    ],
)
def test_a_refrain_is_no_circle(output: str) -> None:
    assert told(output) == output


# What the bundled model answered at its table.
ECHOES = {
    "You wait. The fire has burned down to a red eye. The fire has burned down to a red eye.": (
        "You wait. The fire has burned down to a red eye."
    ),
    "The dog, then. The room seems to lean closer.\n\nThe dog, then. The room seems to lean closer.": (
        "The dog, then. The room seems to lean closer."
    ),
    '*He nods.* "Two silver, one small flaw. Or a secret." "Two silver, one small flaw. Or a secret."': (
        '*He nods.* "Two silver, one small flaw. Or a secret."'
    ),
    "蜡烛的火焰弯了下去。蜡烛的火焰弯了下去。": "蜡烛的火焰弯了下去。",
    "The bell rings over the lake, and nobody looks up. " * 3: (
        "The bell rings over the lake, and nobody looks up."
    ),
}


@pytest.mark.parametrize("output", ECHOES)
def test_an_answer_does_not_end_twice(output: str) -> None:
    assert told(output) == ECHOES[output]


@pytest.mark.parametrize(
    ("output", "whole"),
    [
        ("The door opens. Inside it is dark. You hear a", "The door opens. Inside it is dark."),
        ('The door opens. "Come in!" she says and', 'The door opens. "Come in!"'),
        (
            "Yes. The hall behind the door is long and dark and full of",
            "Yes. The hall behind the door is long and dark and full…",
        ),
        ("The hall behind the door, wi", "The hall behind the door…"),
        ("Dar", "Dar…"),
        ("门开了。里面很黑。你", "门开了。里面很黑。"),
        ("It costs 3.5 silver. And a", "It costs 3.5 silver."),
    ],
)
def test_an_answer_that_ran_out_of_tokens_ends_on_a_whole_thought(output: str, whole: str) -> None:
    assert told(output, "length") == whole
    assert told(output, "stop") == output


@given(output=st.text(min_size=1, max_size=60).filter(lambda text: bool(told(text))))
def test_running_out_of_tokens_never_leaves_nothing(output: str) -> None:
    assert told(output, "length")


def test_stop_sequences_name_the_players_first_and_keep_to_the_limit() -> None:
    assert stop_sequences(["Ann", "Ben:[x]", "Ann", "Rusk"], 2) == ("\nAnn:", "\nBen (x):")
    assert stop_sequences([], 4) == ()
