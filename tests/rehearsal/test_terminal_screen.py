from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from bot.rehearsal.terminal_feed import MOST_LIVE, Entry, Feed
from bot.rehearsal.terminal_paint import formatted, paint


def said(text: str, at: float, holds: float = 2.5) -> Entry:
    return Entry("Marta", text, at, holds)


def scrolled(feed: Feed, now: float) -> list[str]:
    return [f"{entry.speaker}: {entry.shown}" for entry in feed.settled(now)]


def test_an_answer_stays_live_until_its_edits_stop() -> None:
    feed = Feed()
    feed.message(1, said("The door", 0.0))
    feed.message(1, said("The door opens.", 1.2))
    assert scrolled(feed, 2.6) == []
    assert [entry.shown for entry in feed.live] == ["The door opens."]
    assert scrolled(feed, 3.7) == ["Marta: The door opens."]
    assert feed.live == []


def test_what_comes_after_an_unfinished_answer_waits_behind_it() -> None:
    feed = Feed()
    feed.message(1, said("The door", 0.0))
    feed.message(2, Entry("Ann", "I wait.", 0.1))
    assert scrolled(feed, 1.0) == []
    assert scrolled(feed, 2.5) == ["Marta: The door", "Ann: I wait."]


def test_a_late_edit_tells_what_is_new() -> None:
    feed = Feed()
    feed.message(1, said("The door", 0.0))
    assert scrolled(feed, 3.0) == ["Marta: The door"]
    feed.message(1, said("The door opens.", 4.0))
    assert scrolled(feed, 7.0) == ["Marta: … opens."]
    feed.message(1, said("The door opens.", 8.0))
    assert scrolled(feed, 11.0) == []
    feed.message(1, said("It is locked.", 12.0))
    assert scrolled(feed, 15.0) == ["Marta: (changed) It is locked."]


def test_a_message_taken_back_in_time_is_never_seen() -> None:
    feed = Feed()
    feed.message(1, said("Oops", 0.0))
    feed.remove(1)
    assert scrolled(feed, 9.0) == []


def test_the_live_part_is_bounded() -> None:
    feed = Feed()
    for number in range(MOST_LIVE + 5):
        feed.message(number + 1, said(str(number), 0.0, holds=100.0))
    assert len(scrolled(feed, 0.0)) == 5


def test_names_are_told_apart_by_colour_and_private_answers_are_marked() -> None:
    ann, bob = (paint(Entry(name, "Hi.", 0.0), 80) for name in ("Ann", "Cleo"))
    assert ann.split("Ann")[0] != bob.split("Cleo")[0]
    private = paint(Entry("Hearthside", "Psst.", 0.0, private=True), 80)
    assert "(only you see this)" in private


def test_discords_formatting_is_shown_not_spelled() -> None:
    shown = formatted(
        "**Bold *both***, _soft_, `code_with_marks`, ~~gone~~, ||hidden||\n> quoted\n# Title\na_b_c"
    )
    assert shown.plain == "Bold both, soft, code_with_marks, gone, hidden\n│ quoted\nTitle\na_b_c"
    assert {str(span.style) for span in shown.spans} >= {"bold", "italic", "cyan", "strike", "reverse"}


@given(st.text(alphabet="ab *_~|`#>-\n\x1b[2J", max_size=60))
def test_any_text_is_painted_and_none_steers_the_terminal(text: str) -> None:
    painted = paint(Entry("Marta", text, 0.0), 40)
    assert "\x1b" not in re.sub(r"\x1b\[[\d;]*m", "", painted)
