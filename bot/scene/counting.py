"""Counting tokens as a model server does, ahead of the arithmetic that needs the numbers.

Where the model's vocabulary lies on this machine and encodes a few odd texts as the server does, it counts;
else the server is asked, or, where it has no tokenizer to ask, an estimate has to do.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import structlog

from bot.chat import TokenCount
from bot.errors import BackendError
from bot.model.tokenizers import read_vocabulary
from bot.prompt.log import aside_line, cue, render_head
from bot.prompt.tokens import EstimatingCounter, Frame, entry_texts, entry_tokens
from bot.prompt.vocabulary import Encoder, UnfitVocabularyError
from bot.scene.framing import UnmeasuredError, measure

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from bot.chat import ChatMessage
    from bot.model.backend import Backend
    from bot.model.tokenizers import Vocabulary
    from bot.prompt.log import Head
    from bot.store.records import Entry

# Heads and cues whose count is remembered; each scene has one head, each character one cue.
REMEMBERED = 512
# Encoders in memory: for the server that answers, and for the CPU model that stands in for it.
ENCODERS = 2

# What tokenizers disagree about, if they do: an encoder has to give the server's ids for all of these.
ODD_TEXTS = (
    "Ann: I open the door; it's DARK, we'LL need 2 lanterns (and 1,250 gold)!\n[Marta answers.]\n",
    "  two  spaces \t tab\n\n\n lines \r\n\n  end  ",
    "你好，世界。東京タワー ひらがな 한국어 ไทย हिन्दी ערב عربي Привет Ünïcödé cafe\u0301 ﬁ Ⅷ ½ ٣٤",  # noqa: RUF001 - odd on purpose
    "🎲🗡️👩\u200d🚀 1d20+3=17 → 60% … “quoted” ‘so’ — naïve\u00a0nbsp\u3000wide Ａｂ１！",  # noqa: RUF001 - odd on purpose
    "def f(x_1):\n    return {'a': x**2, \"b\": [0, 12, 345, 6789]}  # //\n\tHelloWorld iPhone ABCdef\n/path",
    "<|im_end|><|im_start|>system </s> [INST] <think> <|eot_id|> <start_of_turn> <| im_end|> < /s>",
    "𝓗𝓮𝓵𝓵𝓸 zero\u200bwidth ǅ ª ^_^ `code` ~x~ |y| $5 €6 ©™ ٪ aaaaaaaaaaaaaaaaaaaa !!!!!!!!!!!! ------------",  # noqa: RUF001 - odd on purpose
)


class Encoders:
    """The encoders in use, the latest few: one takes up to 22 MiB (see bot.model.tokenizers)."""

    def __init__(self) -> None:
        self._encoders: OrderedDict[str, Encoder] = OrderedDict()

    def get(self, fingerprint: str) -> Encoder | None:
        """Give the encoder of a model, if it is in memory."""
        if fingerprint in self._encoders:
            self._encoders.move_to_end(fingerprint)
        return self._encoders.get(fingerprint)

    def put(self, fingerprint: str, encoder: Encoder) -> None:
        """Keep an encoder, and let go of the one that was not used for longest."""
        self._encoders[fingerprint] = encoder
        if len(self._encoders) > ENCODERS:
            self._encoders.popitem(last=False)

    def drop(self, fingerprint: str) -> None:
        """Let go of an encoder."""
        self._encoders.pop(fingerprint, None)


class ServerCounter:
    """A TokenCounter for one model of a backend.

    Asking a server takes time, so texts are counted ahead with `prime`; a text that was not is estimated.
    Scenes share a counter and count at the same time: what is asked for one is never another's to forget.
    """

    def __init__(
        self, backend: Backend, fingerprint: str, model: str | None = None, encoders: Encoders | None = None
    ) -> None:
        self.backend = backend
        self._model = model
        self._encoders = encoders or Encoders()
        self._estimate = EstimatingCounter()
        self._tokenizes = backend.capabilities.tokenizes
        self.fingerprint = fingerprint if self._tokenizes else self._estimate.fingerprint
        self.frame = Frame()
        self.exact = False
        self._measured = False
        self._to_be_read = self._tokenizes
        self._preparing = asyncio.Lock()
        self._kept: OrderedDict[str, int] = OrderedDict()  # heads and cues, those asked for last at the end
        self._tight = 1.0
        # One question at a time. Every connection holds a thread of llama.cpp's server until it is closed or
        # 5 s idle, and there are few threads: eight questions at once took those 5 s now and then.
        self._asking = asyncio.Lock()
        self._log = structlog.get_logger("hearthside.tokens")

    @property
    def scale(self) -> float:
        """The server's tokens for one token counted here."""
        return (1.0 if self._tokenizes else self._estimate.scale) * self._tight

    def count(self, text: str) -> int:
        """Give the tokens of `text`: an estimate, if it was not primed and the vocabulary is not here."""
        known = self._kept.get(text)
        if known is not None:
            return known
        encoder = self._encoders.get(self.fingerprint)
        return encoder.count(text) if encoder else self._estimate.count(text)

    def total(self, head: Head, entries: Sequence[Entry], speaker: str) -> TokenCount:
        """Add up the prompt that `bot.prompt.log.render` makes of counted entries."""
        line = aside_line(head)
        texts = [render_head(head), cue(speaker), *([line] if line else [])]
        exact = self.exact and all(text in self._kept for text in texts)
        frame = self.frame.prompt + (self.frame.line if line else 0)
        tokens = frame + sum(map(self.count, texts)) + sum(entry.tokens or 0 for entry in entries)
        return TokenCount(tokens, exact and all(entry.fingerprint == self.fingerprint for entry in entries))

    async def prime(self, texts: Sequence[str]) -> None:
        """Have heads and cues counted, to be kept; the first time, get to know the model."""
        if self._tokenizes:
            await self._prepare()
        await self._ask_all(texts, self._kept)
        for text in texts:
            if text in self._kept:
                self._kept.move_to_end(text)
        while len(self._kept) > REMEMBERED:
            self._kept.popitem(last=False)

    async def counted(self, entries: Sequence[Entry]) -> tuple[Entry, ...]:
        """Give entries with their tokens; with a fingerprint only where they are no guess.

        Those that have this counter's fingerprint are given as they are. Their texts are not kept.
        """
        asked = _Asked(self)
        new = [entry for entry in entries if entry.fingerprint != self.fingerprint]
        if self._tokenizes and new:
            await self._prepare()
            if self._encoders.get(self.fingerprint) is None:
                await self._ask_all((text for entry in new for text in entry_texts(entry)), asked.tokens)
        return tuple(self._with_tokens(entry, asked) for entry in entries)

    def calibrate(self, counted: TokenCount, billed: int) -> None:
        """Learn from a prompt that came to `counted` here and to `billed` tokens at the server."""
        if not self._tokenizes:
            self._estimate.calibrate(counted.tokens, billed)
        elif counted.exact and counted.tokens != billed and self.exact:
            self._log.warning("count_was_not_the_bill", counted=counted.tokens, billed=billed)
            self.exact = False
            self._ask_the_server()

    def tighten(self, factor: float) -> None:
        """Take everything for that much longer, because a prompt that should have fitted was refused."""
        self._tight *= factor

    def knows(self, text: str) -> bool:
        """Tell whether `count` gives for a text what the server would."""
        here = self._encoders.get(self.fingerprint) is not None
        return not self._tokenizes or here or text in self._kept

    def _with_tokens(self, entry: Entry, asked: _Asked) -> Entry:
        if entry.fingerprint == self.fingerprint:
            return entry
        sure = (self._measured or not self._tokenizes) and all(map(asked.knows, entry_texts(entry)))
        return replace(
            entry, tokens=entry_tokens(entry, asked), fingerprint=self.fingerprint if sure else None
        )

    async def _prepare(self) -> None:
        """Make ready for this model, once: the vocabulary, the template's frame."""
        async with self._preparing:
            if self._to_be_read and self._encoders.get(self.fingerprint) is None:
                await self._read()
            if self._tokenizes and not self._measured:
                await self._measure()

    async def _ask_all(self, texts: Iterable[str], into: dict[str, int]) -> None:
        """Count the texts that are not known yet; one that the server would not count stays unknown."""
        new = [text for text in dict.fromkeys(texts) if text not in into and text not in self._kept]
        asked = await asyncio.gather(*map(self._tokens, new), return_exceptions=True)
        for text, outcome in zip(new, asked, strict=True):
            if isinstance(outcome, int):
                into[text] = outcome
            elif isinstance(outcome, BaseException) and not isinstance(outcome, BackendError):
                raise outcome

    async def _tokens(self, text: str) -> int | None:
        if not self._tokenizes:
            return self._estimate.count(text)
        if encoder := self._encoders.get(self.fingerprint):
            return encoder.count(text)
        async with self._asking:
            return await self.backend.tokenize(text)

    async def _billed(self, messages: Sequence[ChatMessage]) -> int | None:
        async with self._asking:
            count = await self.backend.count(messages, self._model)
        return count.tokens if count else None

    async def _read(self) -> None:
        """Make an encoder of the model's vocabulary, and keep it if it agrees with the server."""
        path = self.backend.model_path(self._model)
        encoder = await asyncio.to_thread(_encoder, path) if path else None
        if encoder is None:
            self._ask_the_server()
            return
        try:
            ids = [await self.backend.token_ids(text) for text in ODD_TEXTS]
        except BackendError:
            return  # the server went away: another time
        differing = [text for text, one in zip(ODD_TEXTS, ids, strict=True) if one != encoder.ids(text)]
        if differing:
            self._log.warning("vocabulary_differs", model=str(path), text=differing[0])
            self._ask_the_server()
        else:
            self._encoders.put(self.fingerprint, encoder)

    def _ask_the_server(self) -> None:
        self._to_be_read = False
        self._encoders.drop(self.fingerprint)

    async def _measure(self) -> None:
        """Find out what the template adds. Where the server cannot tell, it is rounded up."""
        try:
            self.frame, self.exact = await measure(self._billed, self._tokens)
        except UnmeasuredError:
            pass
        except BackendError:
            return  # the server went away: another time
        self._measured = True
        self._log.info("template_measured", **asdict(self.frame), exact=self.exact)


class _Asked:
    """A counter that also has what the server said of some texts, for as long as they are being counted."""

    def __init__(self, counter: ServerCounter) -> None:
        self.fingerprint, self.exact, self.frame = counter.fingerprint, counter.exact, counter.frame
        self.tokens: dict[str, int] = {}
        self._counter = counter

    def count(self, text: str) -> int:
        tokens = self.tokens.get(text)
        return self._counter.count(text) if tokens is None else tokens

    def knows(self, text: str) -> bool:
        return text in self.tokens or self._counter.knows(text)


def _encoder(path: Path) -> Encoder | None:
    """Read a vocabulary and make an encoder of it. Blocks: 0.4 s for 64 thousand tokens."""
    found = read_vocabulary(path)
    try:
        return encoder_of(found) if found else None
    except UnfitVocabularyError:
        return None


def encoder_of(found: Vocabulary) -> Encoder:
    """Make an encoder of a vocabulary that was read. Raises UnfitVocabularyError."""
    return Encoder(
        found.pieces,
        found.merges,
        found.specials,
        found.expressions,
        whole_words=found.whole_words,
        drops=found.drops,
    )
