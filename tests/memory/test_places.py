"""Places are found where words stand close together, as adding them up one by one would find them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bot.memory.lexical import Word
from bot.memory.places import BUCKET, SPREAD, Places

SCENES = st.sampled_from([1, 2, 7])
SEQS = st.integers(1, 400) | st.integers(90_000, 90_400)
ROWS = st.lists(st.tuples(SCENES, SEQS).map(lambda at: at[0] << 32 | at[1]), min_size=1, max_size=20)
WORDS = st.lists(
    st.builds(lambda rows, telling: Word(sorted(set(rows)), telling, 0.0), ROWS, st.floats(0.5, 12.0)),
    max_size=8,
)


def one_by_one(words: list[Word]) -> dict[int, float]:
    """Add up what each word is worth in each bucket."""
    sums: dict[int, float] = {}
    for word in words:
        there = {row // BUCKET for row in word.rows}
        around = {bucket + step for bucket in there for step in range(-SPREAD[-1][0], SPREAD[-1][0] + 1)}
        for bucket in around:
            distance = min(abs(bucket - one) for one in there)
            worth = next(worth for reach, worth in SPREAD if distance <= reach)
            sums[bucket] = sums.get(bucket, 0.0) + worth * word.telling
    return sums


@given(WORDS, st.integers(1, 60))
def test_they_are_those_with_most_of_the_words(words: list[Word], most: int) -> None:
    places = Places(words)
    for word in words:
        places.add(word)
    found = places.best(most)
    sums = one_by_one(words)
    assert len(found) == min(most, len(sums)) == len(set(found))
    expected = sorted(sums.values(), reverse=True)[:most]
    fineness = 0.002 * sum(word.telling for word in words)
    for bucket, value in zip(found, expected, strict=True):
        assert abs(sums[bucket] - value) <= fineness


def test_the_first_of_equals_is_first() -> None:
    word = Word([1 << 32 | 80, 1 << 32 | 8000], 3.0, 1.0)
    places = Places([word])
    places.add(word)
    assert [bucket * BUCKET & 0xFFFFFFFF for bucket in places.best(2)] == [80, 8000]
    assert Places([]).best(5) == []
