from __future__ import annotations

from bot.rehearsal.play_turn import Patience, Turn

PATIENCE = Patience(begins=1.5, settles=2.0, typing=6.5, turn=120.0)


def test_an_aside_that_nobody_answers_is_over_soon() -> None:
    assert Turn(100.0, PATIENCE).over_at() == 101.5


def test_a_quick_answer_is_over_two_seconds_after_its_last_edit() -> None:
    turn = Turn(0.0, PATIENCE)
    turn.typing(0.05)
    turn.text(0.3)
    turn.text(0.9)
    assert turn.over_at() == 2.9


def test_a_slow_model_is_waited_for_as_long_as_its_own_pauses_suggest() -> None:
    turn = Turn(0.0, PATIENCE)
    turn.typing(0.0)
    turn.text(4.0)
    assert turn.over_at() == 8.0, "the next answer may take as long to begin"
    turn.typing(5.0)
    turn.text(7.0)
    assert turn.over_at() == 13.0, "another pause like this one would not be the end"
    turn.text(11.0)
    assert turn.over_at() == 17.5, "never longer than the typing that would come again"


def test_typing_after_an_answer_means_another_one_comes() -> None:
    turn = Turn(0.0, PATIENCE)
    turn.typing(0.0)
    turn.text(0.2)
    turn.typing(0.3)
    assert turn.over_at() == 6.8
    turn.text(1.2)
    assert turn.over_at() == 3.2


def test_an_answer_may_overtake_the_typing_it_began_with() -> None:
    turn = Turn(0.0, PATIENCE)
    turn.text(0.03)
    turn.typing(0.04)
    assert turn.over_at() == 2.03
    turn.typing(5.04)
    assert turn.over_at() == 11.54


def test_typing_that_ends_in_nothing_is_noticed() -> None:
    turn = Turn(0.0, PATIENCE)
    turn.typing(0.0)
    turn.typing(5.0)
    assert turn.over_at() == 11.5
    assert turn.silent()


def test_a_command_is_waited_for_until_it_is_answered_and_then_for_what_it_sets_going() -> None:
    turn = Turn(0.0, PATIENCE)
    turn.waits_for_answer(0.0, waits=True)
    assert turn.over_at() == 120.0
    turn.waits_for_answer(40.0, waits=False)
    assert turn.over_at() == 41.5
    turn.typing(40.1)
    turn.text(40.2)
    assert turn.over_at() == 42.2


def test_a_turn_without_end_runs_into_its_bound() -> None:
    turn = Turn(0.0, PATIENCE)
    for second in range(0, 120, 5):
        turn.typing(float(second))
    assert turn.over_at() == 120.0
    assert turn.expired(120.0)
    assert not turn.expired(119.0)
