"""An answer that repeats a secret is seen before any of it is shown; one that does not passes."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.memory.secrets import Watch

DUKE = "The duke was poisoned by his own brother with nightshade from the chapel garden."
THIEF = "Marta is the thief."
ALTAR = "Zoë hid the crème brûlée recipe under Brünnhilde's altar."
KEY = "The silver key opens the bell tower."
JAPANESE = "宿の主人は溺れた鐘の守り人の娘である。"

WORDS = ("rain", "lantern", "river", "the", "of", "a", "stair", "slow", "you", "see", "and", "marta", "bell")

plain = st.lists(st.sampled_from(WORDS), max_size=40).map(" ".join)


def streamed(secrets: list[str], answer: str) -> tuple[str, str | None]:
    """Give the longest text that was shown while an answer streamed, and the secret that ended it."""
    watch, shown = Watch(secrets), ""
    for end in range(1, len(answer) + 1):
        sight = watch.look(answer[:end])
        assert sight.safe <= end
        shown = max(shown, answer[: sight.safe], key=len)
        if sight.secret is not None:
            return shown, secrets[sight.secret]
    sight = watch.look(answer, whole=True)
    return answer[: sight.safe], None if sight.secret is None else secrets[sight.secret]


@pytest.mark.parametrize(
    ("secret", "answer"),
    [
        (DUKE, f"She leans closer. {DUKE}"),
        (DUKE, "It is said THE DUKE WAS **poisoned** by his own brother, with nightshade from a chapel!"),
        (DUKE, "The duke? Poisoned by his brother. With nightshade, you hear, from the chapels' gardens."),
        (DUKE, "With nightshade from the chapel garden, the Duke was poisoned: by his own brother."),
        (DUKE, "His brother, you learn, has poisoned the duke with NIGHTSHADE from the chapel's garden."),
        (DUKE, "The duke was poisoned by his own brother with hemlock from the chapel garden."),
        (DUKE, "The dúke — poisoned by his brother … nightshade. The chapel."),
        (f"{THIEF} {DUKE}", f"She leans closer. {DUKE}"),
        (THIEF, "You look at Marta. The thief smiles."),
        (THIEF, "So the thief was Marta all along."),
        (THIEF, "Mar\u200bta is the thie\u00adf."),
        (THIEF, "Ma\u200er\u2066t\u034fa is the th\ufe0fief."),
        (THIEF, "M**art**a is the ||th||~~ie~~f."),
        (DUKE, DUKE.replace("poison", "poi**son**").replace("broth", "b*ro*th").replace("duke", "d`uke`")),
        (DUKE, "The_duke_was_poisoned_by_his_own_brother_with_nightshade_from_the_chapel_garden."),
        (ALTAR, unicodedata.normalize("NFD", ALTAR)),
        (unicodedata.normalize("NFD", ALTAR), ALTAR),
        (KEY, "A silver key; it opens the old bell tower."),
        (JAPANESE, "彼女は笑う。" + JAPANESE),
    ],
)  # fmt: skip
def test_a_repeated_secret_ends_the_answer(secret: str, answer: str) -> None:
    shown, leaked = streamed(["Nobody knows the ferryman's name, not even he.", secret], answer)
    assert leaked == secret
    assert Watch([secret]).look(answer, whole=True).secret == 0
    assert Watch([secret]).look(shown, whole=True).secret is None


@pytest.mark.parametrize(
    ("secret", "answer"),
    [
        (DUKE, "The duke's brother stands in the chapel garden and says nothing."),
        (DUKE, "Nightshade grows behind the chapel. The duke never liked his brother, you hear."),
        (DUKE, "The duke walks in the chapel garden; his brother is at sea."),
        (THIEF, "Marta sees the thief run down the stairs."),
        (THIEF, "Marta is not the thief."),
        (KEY, "The key is silver. Far above, a bell strikes in its tower."),
        ("It was he who did it.", "It was he who did it, you think."),
        ("...", "The rain goes on."),
    ],
)
def test_an_answer_about_the_same_things_passes_whole(secret: str, answer: str) -> None:
    assert streamed([secret], answer) == (answer, None)


@given(before=plain, after=plain, secret=st.sampled_from([DUKE, THIEF, KEY]))
def test_nothing_of_a_secret_is_shown_before_it_is_recognised(before: str, after: str, secret: str) -> None:
    answer = f"{before} {secret} {after}"
    shown, leaked = streamed([secret], answer)
    assert leaked == secret
    assert len(shown) <= answer.index(secret) + len("The ")


@given(before=plain, words=st.permutations(["duke", "poisoned", "brother", "nightshade", "chapel", "garden"]))
def test_in_whatever_order_its_words_come_nothing_of_a_secret_is_shown(before: str, words: list[str]) -> None:
    answer = f"{before} the {words[0]} by a {', the '.join(words[1:])}."
    shown, leaked = streamed([DUKE], answer)
    assert leaked == DUKE
    assert len(shown) <= len(before) + len(" the ")


@given(answer=plain)
def test_what_shares_only_words_is_shown_but_for_its_last_ones(answer: str) -> None:
    secret = "The captain buried seven chests of tin under the northern breakwater."
    watch = Watch([secret])
    assert watch.look(answer, whole=True).safe == len(answer)
    assert watch.look(f"{answer} ").safe >= len(answer.strip())


def test_an_answer_that_only_brushes_a_secret_is_not_held_back_for_long() -> None:
    brushed = "The duke was poisoned. His brother wept, some say. "
    assert Watch([DUKE]).look(brushed).safe < len("The duke was")
    later = brushed + "Rain falls on the river and lanterns drift past slow barges. " * 4
    assert Watch([DUKE]).look(later).safe > len(brushed)
