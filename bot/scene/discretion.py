"""What is shown of an answer while it comes: nothing that others would say, and nothing of a secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.chat import ChatMessage
from bot.memory.secrets import Watch
from bot.prompt.answer import AnswerFilter, whole_sentences

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ENOUGH = 40
"""Characters that an answer has at least if it is kept up to the sentence before a secret."""
REMINDER = "[What only you know stays unsaid.]"


class DiscreetFilter:
    """An answer of `speaker` out of the pieces that a model streams, without the scene's `secrets`.

    `others` are the names that must not speak in it. `told` is the place of the secret that it was about to
    repeat; `done` says that nothing more can come, so that the request may be closed.
    """

    def __init__(self, speaker: str, others: Iterable[str], secrets: Sequence[str]) -> None:
        self._answer = AnswerFilter(speaker, others)
        self._watch = Watch(secrets) if secrets else None
        self._kept = ""
        self.told: int | None = None

    @property
    def done(self) -> bool:
        """Whether nothing more can come."""
        return self._answer.done or self.told is not None

    @property
    def circled(self) -> bool:
        """Whether it went round in circles, and was ended for that."""
        return self._answer.circled

    def feed(self, text: str) -> str:
        """Take the next piece of output and give what may be shown of the answer so far."""
        shown = self._answer.feed(text)
        return self._watched(shown, whole=self._answer.done) if self._watch else shown

    def finish(self, reason: str | None = None) -> str:
        """Give the whole answer; of one that repeats a secret the sentences before it, if they are enough."""
        if self.told is None:
            said = self._watched(self._answer.finish(reason), whole=True)
        if self.told is None:
            return said
        before = whole_sentences(self._kept).strip()
        return before if len(before) >= ENOUGH else ""

    def _watched(self, said: str, *, whole: bool) -> str:
        if self._watch is None:
            return said
        sight = self._watch.look(said, whole=whole)
        shown = said[: sight.safe].rstrip()
        if sight.secret is not None and self.told is None:
            self.told, self._kept = sight.secret, shown
        return shown


def reminded(messages: tuple[ChatMessage, ...]) -> tuple[ChatMessage, ...]:
    """Give a prompt with a reminder before its last line, the cue, because an answer gave a secret away."""
    *before, last = messages
    lines, newline, cue = last.content.rpartition("\n")
    return (*before, ChatMessage(last.role, f"{lines}{newline}{REMINDER}\n{cue}"))
