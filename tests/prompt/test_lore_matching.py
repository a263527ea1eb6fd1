"""Keys: what is found in what was said, and what a stranger's regular expression can do to the bot."""

from __future__ import annotations

import contextlib
import time
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.prompt.lore.automaton import KeyAutomaton
from bot.prompt.lore.matching import PATTERNS, Lore, unusable
from bot.prompt.lore.patterns import PatternError, compiled, slashed
from tests.prompt.lorebook import book, lore_entry, told

letters = st.text(alphabet="abé東 ", max_size=6)


@given(st.lists(letters, unique=True, max_size=12), st.text(alphabet="abé東 ", max_size=40))
def test_the_automaton_finds_what_a_search_for_each_word_finds(words: list[str], text: str) -> None:
    found = KeyAutomaton(words).found_in(text)
    assert found == {number for number, word in enumerate(words) if word and word in text}


@pytest.mark.parametrize(
    ("key", "said", "fires"),
    [
        ("bell", "Ann: The BELL tolls.", True),
        ("bell", "Ann: A rebellion!", False),
        ("bell", "Ann: (bell)", True),
        ("bell", "Ann: the_bell", False),
        ("drowned bell", "Ann: the Drowned   Bells toll", True),
        ("drowned bell", "Ann: the drowned\nbell", True),
        ("Café", "Ann: cafe\u0301 noir", True),
        ("STRASSE", "Ann: die Straße", True),
        ("ﬁre", "Ann: Fire!", True),
        ("ᾳ", "Ann: ᾼ", True),
        ("東京", "Ann: 東京に行く", True),
        ("Ann", "Ann: Hello.", True),
        ("", "Ann: Hello.", False),
        ("  ", "Ann: a  b", False),
        ("İ", "Ann: i̇", True),
        ("key with trailing ", "Ann: key with trailing", True),
    ],
)
def test_a_plain_key(key: str, said: str, fires: bool) -> None:
    assert bool(told((lore_entry("it", key),), said)) is fires


def test_an_entry_may_want_its_case_or_parts_of_words() -> None:
    strict = (lore_entry("it", "Bell", case_sensitive=True),)
    assert told(strict, "Ann: the Bell") == ["it"]
    assert told(strict, "Ann: the bell") == []
    loose = (lore_entry("it", "bell", whole_words=False),)
    assert told(loose, "Ann: a rebellion") == ["it"]
    both = (lore_entry("it", "Bell", case_sensitive=True), lore_entry("that", "bell"))
    assert told(both, "Ann: bell") == ["that"]


@pytest.mark.parametrize(
    ("key", "said", "fires"),
    [
        ("/bells?/i", "Ann: BELLS", True),
        ("/bells?/", "Ann: BELLS", False),
        ("/^tower$/m", "Ann: see\ntower", True),
        ("/a.b/s", "Ann: a\nb", True),
        (r"/and\/or/", "Ann: and/or", True),
        ("/and/or/", "Ann: and/or", False),
        ("/and/or/", "Ann: it says /and/or/ here", True),
        (r"/\u0041nn [^]*\u{1F514}/u", "Ann: Ann \n 🔔", True),
        (r"/\x01Ann:[^\x01]*bell/", "Ann: the bell", True),
        (r"/\x01Bob:[^\x01]*bell/", "Ann: Bob: the bell", False),
        (r"/[[\]\b]x/", "Ann: [x", True),
        (r"/\cJ\0?\-\y/", "Ann:\n-y", True),
        ("/(?<name>bell)/", "Ann: bell", True),
    ],
)
def test_a_regular_expression(key: str, said: str, fires: bool) -> None:
    assert bool(told((lore_entry("it", key),), said)) is fires


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("(?=a)b", "it looks ahead or behind"),
        ("(?<!a)b", "it looks ahead or behind"),
        (r"(a)\1", r"it refers back to what it has matched, \1"),
        (r"(?<n>a)\k<n>", r"it refers back to what it has matched, \k"),
        ("(", "it is not valid (missing ): ()"),
        ("a{1001}", "it repeats something more than 1000 times"),
        ("((a{99}){99}){99}", "it repeats something more than 1000 times"),
        ("a" * 1001, "it is longer than 1000 characters"),
        ("a\\", "it ends in a backslash"),
        (r"[\u{400}-\u{1F64F}]{990}", "it is too large"),
    ],
)
def test_a_pattern_that_cannot_be_used_says_why(pattern: str, problem: str) -> None:
    with pytest.raises(PatternError) as error:
        compiled(pattern)
    assert str(error.value).startswith(problem)


def test_a_refused_pattern_is_marked_and_its_entry_lives_by_its_other_keys() -> None:
    entry = lore_entry("it", "/(?=a)b/", "bell")
    assert [(one.uid, key.written) for one, key in unusable([entry])] == [("it", "/(?=a)b/")]
    assert told((entry,), "Ann: bell") == ["it"]


def test_an_exponential_pattern_is_linear_here() -> None:
    """`(a+)+$` on 26 letters took 4.4 s elsewhere."""
    entry = lore_entry("it", "/(a+)+$/", "/(a|a)*b/", "/(.*)*x/")
    before = time.perf_counter()
    assert told((entry,), "Ann: " + "a" * 4000 + "!") == []
    assert time.perf_counter() - before < 0.5


def test_use_regex_makes_bare_keys_expressions() -> None:
    assert told((lore_entry("it", "bel+s?", regex=True),), "Ann: BELLLS") == ["it"]
    assert told((lore_entry("it", "bel+s?"),), "Ann: bells") == []


def test_more_patterns_than_are_used_at_once_are_marked() -> None:
    entries = [lore_entry(str(number), f"/b{number}/") for number in range(PATTERNS + 2)]
    assert [one.uid for one, _ in unusable(entries)] == [str(PATTERNS), str(PATTERNS + 1)]


@given(st.text(max_size=30), st.sampled_from(["", "i", "ms", "gimsuy"]))
def test_no_pattern_breaks_anything(pattern: str, flags: str) -> None:
    with contextlib.suppress(PatternError):
        compiled(pattern, flags).search(b"anything")


@pytest.mark.parametrize("key", ["/", "//", "bell", "/bell", "bell/i", "/bell/x", "/a/b/i"])
def test_what_is_no_regular_expression(key: str) -> None:
    assert slashed(key) is None


def test_ten_thousand_entries_are_matched_at_once() -> None:
    """The issue asks for less than 10 ms; a slow machine gets five times that, of its own time."""
    rng = Random(1)  # noqa: S311  # words, not secrets
    words = ["".join(rng.choice("bcdflmnrst") + rng.choice("aeiou") for _ in range(4)) for _ in range(30_000)]
    lore = Lore([book(*(lore_entry(str(n), *words[3 * n : 3 * n + 3]) for n in range(10_000)))])
    text = " ".join(rng.choice(words) for _ in range(220))[:2000]
    times = []
    for turn in range(5):
        before = time.process_time()
        woken = lore.woken_by([lore.read(f"{turn} {text}")])
        times.append(time.process_time() - before)
    assert len(woken) >= 200
    assert min(times) < 0.05
