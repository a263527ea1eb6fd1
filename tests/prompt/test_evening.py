"""Whole evenings, as random as hypothesis makes them: each prompt begins with the one before it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bot.chat import ChatMessage
from bot.prompt.log import SILENCE, Head, render, render_ahead
from bot.prompt.tokens import EstimatingCounter, entry_tokens
from bot.prompt.window import Budget, Window, longest_turn
from bot.store.records import EntryKind
from tests.prompt.strategies import CAST, PLAYERS, entry, texts

COUNT = partial(entry_tokens, counter=EstimatingCounter())
BUDGET = Budget(context_length=1600, head=400, reserve=200, room=900)
BELL = Head("The Drowned Bell", "Rain.", ("## Marta\n\nKeeps the inn.", "## Old Rusk\n\nRows."))
ASIDE = st.sampled_from([EntryKind.NOTE, EntryKind.LORE])

Prompt = tuple[ChatMessage, ...]


def written(prompt: Prompt) -> str:
    """Give a prompt as ChatML writes it, up to where its last message may go on."""
    return "".join(f"<|im_start|>{one.role}\n{one.content}<|im_end|>\n" for one in prompt)


class Evening(RuleBasedStateMachine):
    """One scene: its window, the last prompt, and what was read ahead of the next one."""

    def __init__(self) -> None:
        super().__init__()
        self.window = Window()
        self.seq = 0
        self.prompt: Prompt = ()
        self.ahead: Prompt = ()
        self.unheard: int | None = None  # the place of a player's last line, while no prompt has it
        self.gone = 0

    def take(self, kind: EntryKind, text: str, speaker: str = "") -> None:
        self.seq += 1
        self.window.insert(entry(kind, text, speaker, self.seq))

    def fit(self, coming: int = 0) -> None:
        if gone := self.window.fit(BUDGET, COUNT, None, coming):
            self.gone += len(gone)
            self.prompt = self.ahead = ()  # the one time that the beginning changes

    @rule(player=st.sampled_from(PLAYERS), text=texts)
    def a_player_speaks(self, player: str, text: str) -> None:
        self.take(EntryKind.PLAYER, text, player)
        self.unheard = self.seq

    @rule(kind=ASIDE, text=texts)
    def the_table_notes_a_roll_or_tells_lore(self, kind: EntryKind, text: str) -> None:
        self.take(kind, text)

    @precondition(lambda self: self.unheard is not None)
    @rule(text=texts)
    def the_last_message_is_edited_before_anybody_has_answered(self, text: str) -> None:
        was = next((one for one in self.window.entries if one.seq == self.unheard), None)
        if was:
            self.window.replace(replace(was, text=text, tokens=COUNT(replace(was, text=text))))
            self.ahead = ()

    @rule(speaker=st.sampled_from(CAST), text=texts, stored=st.booleans())
    def anybody_of_the_cast_answers_or_finds_no_words(self, speaker: str, text: str, stored: bool) -> None:
        self.fit()
        prompt = render(BELL, self.window.entries, speaker)
        assert written(prompt).startswith(written(self.prompt))
        self.goes_on_from(prompt)
        if stored:  # else its cue does not stand in the log, and what was asked is asked again
            self.take(EntryKind.ANSWER, text, speaker)
        self.prompt = prompt if stored else self.prompt
        self.unheard, self.ahead = None, ()

    @rule()
    def the_server_reads_ahead(self) -> None:
        self.fit(longest_turn(self.window.entries))
        ahead = render_ahead(BELL, self.window.entries)
        assert written(ahead[:-1]).startswith(written(self.prompt))
        self.goes_on_from(ahead)
        self.ahead = ahead

    def goes_on_from(self, prompt: Prompt) -> None:
        """Check that what was read ahead was not read in vain."""
        if not self.ahead:
            return
        *whole, opened = self.ahead
        assert prompt[: len(whole)] == tuple(whole)
        assert opened.content == SILENCE or prompt[len(whole)].content.startswith(opened.content)

    @invariant()
    def it_is_known_what_the_window_costs(self) -> None:
        assert self.window.tokens == sum(one.tokens or 0 for one in self.window.entries)


Evening.TestCase.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
test_evenings = Evening.TestCase
