"""What is known of common words is of use for a while, and for those scenes alone."""

from __future__ import annotations

from bot.memory.common import MOST_KNOWN, Common


def test_counts_are_known_until_the_scenes_have_grown() -> None:
    common = Common()
    common.of({1: 1000, 2: 500})["rain"] = 700
    assert common.of({1: 1010, 2: 505}) == {"rain": 700}
    assert common.of({1: 1010, 2: 506}) == {}, "by more than a hundredth"
    common.of({1: 1010, 2: 506})["rain"] = 710
    assert common.of({1: 900, 2: 500}) == {}, "so much was deleted"


def test_other_scenes_have_other_words() -> None:
    common = Common()
    common.of({1: 1000})["rain"] = 700
    assert common.of({2: 1000}) == {}
    assert common.of({1: 1000, 2: 1000}) == {}
    assert common.of({1: 1000}) == {"rain": 700}


def test_a_bot_with_many_scenes_forgets_those_searched_longest_ago() -> None:
    common = Common()
    for scene in range(MOST_KNOWN):
        common.of({scene: 1000})["rain"] = 700
    assert common.of({0: 1000})
    common.of({MOST_KNOWN: 1000})
    assert common.of({0: 1000}) == {"rain": 700}
    assert common.of({1: 1000}) == {}
