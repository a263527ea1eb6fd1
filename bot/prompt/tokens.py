"""How many tokens a text is: the protocol that counters share, and a careful estimate."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from bot.prompt.log import SPOKEN, cue, entry_line, spoken_text

if TYPE_CHECKING:
    from bot.store.records import Entry

MESSAGE_TOKENS = 8
"""Tokens a chat template puts around one message, rounded up: ChatML, Llama 3 and Gemma take 5, GPT-OSS 6."""
TEMPLATE_TOKENS = 24
"""Tokens a chat template adds to a prompt once, rounded up: opening marks; Llama 3.1 adds the date."""

ESTIMATE = "estimate-2"
"""The fingerprint of the estimate. A change of the weights below is another estimate."""
_SCALES = (0.25, 2.0)
_TRUSTED_FROM = 200
_RELAX = 0.2
_LEEWAY = 1.03


@dataclass(frozen=True, slots=True)
class Frame:
    """The tokens of a prompt that are in none of its texts, because the chat template adds them.

    `prompt` stands around every prompt: the system message, the message with the last cue, and the opening of
    the answer. `exchange` stands around an answer and the message with its cue. `line` is what a line may
    cost more beside others than alone. Unless they were measured they are rounded up.
    """

    prompt: int = 2 * MESSAGE_TOKENS + TEMPLATE_TOKENS
    exchange: int = 2 * MESSAGE_TOKENS
    line: int = 0


class TokenCounter(Protocol):
    """Counts the tokens of plain text. The same text gives the same number under one fingerprint."""

    @property
    def fingerprint(self) -> str:
        """Name the tokenizer. Counts are stored under it and compared only with their like."""
        ...

    @property
    def exact(self) -> bool:
        """Tell whether a sum of counts, with the frame, is what a server bills."""
        ...

    @property
    def frame(self) -> Frame:
        """Give what the chat template adds."""
        ...

    def count(self, text: str) -> int:
        """Give the tokens of `text`, without what a chat template adds."""
        ...


def entry_texts(entry: Entry) -> tuple[str, ...]:
    """Give the texts that an entry adds to the prompt, each counted alone: a line, or a cue and an answer."""
    if entry.kind in SPOKEN:
        return cue(entry.speaker), spoken_text(entry)
    line = entry_line(entry)
    return (f"{line}\n",) if line else ()


def entry_tokens(entry: Entry, counter: TokenCounter) -> int:
    """Give the tokens that an entry adds to the prompt; an answer brings two messages with it."""
    texts = entry_texts(entry)
    frame = counter.frame.exchange if entry.kind in SPOKEN else counter.frame.line
    return sum(map(counter.count, texts)) + frame if texts else 0


class EstimatingCounter:
    """A number that is hardly ever too small, for a server whose tokenizer nobody knows.

    A sum of weights, one for each character: the smallest round ones with which no sample of ordinary text
    came out below the dearest of four tokenizers. Those were a SentencePiece vocabulary of 32k (Llama 2,
    Mistral 7B) and a byte-level one (Mistral's tekken), whole at 131k and cut to its first 50k and 32k; the
    samples were a real campaign's table talk, a paragraph in each of 19 languages, code, JSON, tables, dice,
    made-up names and emoji. English comes out 1.3 to 1.7 times too large, Chinese 1.2 to 1.7, what only large
    vocabularies hold whole (Russian, Arabic, Hindi) up to 4.5 times. Too small it was by 6 % for an address
    full of random characters, and may be for a vocabulary of a few thousand tokens: ask that one's server.

    Counts never change, so stored ones stay comparable. What the server bills corrects `scale`.
    """

    def __init__(self) -> None:
        self.fingerprint = ESTIMATE
        self.exact = False
        self.frame = Frame()
        self.scale = 1.0
        """Billed tokens for one estimated token, between 0.25 and 2."""

    def count(self, text: str) -> int:
        """Give the estimate, in tokens."""
        hundredths = sum(times * _weight(char) for char, times in Counter(text).items())
        return -(-hundredths // 100)

    def calibrate(self, estimated: int, billed: int) -> None:
        """Learn from a prompt that was estimated at `estimated` tokens and billed at `billed` by the server.

        An estimate that was too small is believed at once, one that was too large a fifth of the way, so that
        a prompt in an easy language does not make the next one too long. Prompts under 200 tokens teach
        nothing: the template outweighs the text.
        """
        if min(estimated, billed) < _TRUSTED_FROM:
            return
        seen = billed / estimated * _LEEWAY
        step = 1.0 if seen > self.scale else _RELAX
        low, high = _SCALES
        self.scale = min(max(self.scale + step * (seen - self.scale), low), high)


def _weight(char: str) -> int:
    """Give the hundredths of a token that a character counts for."""
    if char.isascii():
        return _ascii_weight(char)
    if char < "\u0250" or "\u1e00" <= char <= "\u1eff":  # Latin letters with marks
        return 200
    size = len(char.encode("utf-8", "surrogatepass"))
    if size == 2:
        return 115
    return 155 if size == 3 and char.isalpha() else 100 * size


def _ascii_weight(char: str) -> int:
    if char.islower():
        return 32
    if char.isupper():
        return 80
    if char == " ":
        return 50
    return 110 if char.isdigit() else 100
