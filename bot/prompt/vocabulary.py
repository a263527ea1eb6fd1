"""A byte-level BPE vocabulary as a tokenizer of our own, so that counting needs no server.

The words are merged by tiktoken, whose rank of a token is here the place of the merge that makes it.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tiktoken


_NO_TOKEN = 2**32 - 1
"""Stands for the id of a byte that is no token. SmolLM2 lacks 21: controls, and bytes that no text has."""
_PRINTED = frozenset(range(32, 127))


class UnfitVocabularyError(ValueError):
    """A vocabulary that these rules would not encode as its own tokenizer does."""


class Encoder:
    """Encodes text as a model server with that vocabulary does, special tokens included.

    `pieces` are the ids of the tokens in GPT-2's spelling, `merges` pairs of them with a space between, in
    the order in which they are merged; `specials` the ids of tokens that stand for themselves wherever they
    are written. `expressions` cut a text into words, one after the other. `whole_words`: a word that is a
    token is that token, whether merges lead to it or not. `drops`: a byte that is no token leaves none, as
    with llama.cpp and, where there is no token for the unknown, with Hugging Face's tokenizers.

    Nothing of it is kept. An encoder of 32 thousand tokens takes 13 MiB, one of 128 thousand 35.
    Raises UnfitVocabularyError.
    """

    def __init__(
        self,
        pieces: Mapping[str, int],
        merges: Sequence[str],
        specials: Mapping[str, int],
        expressions: Sequence[str],
        *,
        whole_words: bool = False,
        drops: bool = False,
    ) -> None:
        ranks, self._ids = _ranked(pieces, merges, whole_words=whole_words, drops=drops)
        self._dropped = frozenset(rank for rank in range(256) if self._ids[rank] == _NO_TOKEN)
        *first, last = expressions
        self._cuts = [_compiled(expression) for expression in first]
        self._encoding = _encoding(last, ranks)
        self._specials = dict(sorted(specials.items(), key=lambda special: -len(special[0])))
        self._special = re.compile("|".join(map(re.escape, self._specials))) if specials else None

    def count(self, text: str) -> int:
        """Give the number of tokens in `text`."""
        return sum(1 if isinstance(part, int) else len(self._ranks(part)) for part in self._parts(text))

    def ids(self, text: str) -> list[int]:
        """Give the ids of the tokens in `text`."""
        ids: list[int] = []
        for part in self._parts(text):
            ids += [part] if isinstance(part, int) else [self._ids[rank] for rank in self._ranks(part)]
        return ids

    def _parts(self, text: str) -> list[str | int]:
        """Take the special tokens out of a text, longest first, as llama.cpp does."""
        parts: list[str | int] = [text] if text else []
        if self._special is None or not self._special.search(text):
            return parts
        for special, token in self._specials.items():
            if special in text:
                parts = [one for part in parts for one in _without(part, special, token)]
        return parts

    def _ranks(self, text: str) -> list[int]:
        ranks = self._words_ranks(text) if self._cuts else self._encoding.encode_ordinary(text)
        return [rank for rank in ranks if rank not in self._dropped] if self._dropped else ranks

    def _words_ranks(self, text: str) -> list[int]:
        words = [text]
        for cut in self._cuts:
            words = [word for part in words for word in _split(cut, part)]
        return [rank for word in words for rank in self._encoding.encode_ordinary(word)]


def _ranked(
    pieces: Mapping[str, int], merges: Sequence[str], *, whole_words: bool, drops: bool
) -> tuple[dict[bytes, int], array[int]]:
    """Give each token's rank by its bytes, and the ids by rank: single bytes, then merges in their order."""
    spelling = gpt2_spelling()
    if drops:  # what English needs must be there: else it is no vocabulary of bytes
        hidden = (chr(character) for byte, character in enumerate(spelling) if byte not in _PRINTED)
        pieces = {**dict.fromkeys(hidden, _NO_TOKEN), **pieces}
    try:
        ids = array("I", [pieces[chr(spelling[byte])] for byte in range(256)])
        ranks = {bytes([byte]): byte for byte in range(256)}
        to_bytes = _speller(spelling)
        for merge in merges:
            piece = merge.replace(" ", "")
            if (word := to_bytes(piece)) not in ranks:
                ranks[word] = len(ids)
                ids.append(pieces[piece])
    except (KeyError, UnicodeEncodeError) as error:
        raise UnfitVocabularyError(f"a merge of the vocabulary, or a byte, is no token: {error}") from None
    if whole_words:
        _add_whole_words(pieces, to_bytes, ranks, ids)
    return ranks, ids


def _add_whole_words(
    pieces: Mapping[str, int], to_bytes: Callable[[str], bytes], ranks: dict[bytes, int], ids: array[int]
) -> None:
    """Add the tokens that no merge makes. tiktoken must not be able to make them either."""
    known = frozenset(ids)
    for piece, token in pieces.items():
        if token in known:
            continue
        try:
            word = to_bytes(piece)
        except UnicodeEncodeError:  # not spelled as bytes are: nothing in a text can be this token
            continue
        if any(word[:cut] in ranks and word[cut:] in ranks for cut in range(1, len(word))):
            raise UnfitVocabularyError(f"its token {piece!r} is made by no merge, but could be")
        ranks[word] = len(ids)
        ids.append(token)


def gpt2_spelling() -> list[int]:
    """Give GPT-2's printable character for every byte: itself where it is printable, else from U+0100 on."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    hidden = iter(range(256, 512))
    return [byte if byte in printable else next(hidden) for byte in range(256)]


def _speller(spelling: Sequence[int]) -> Callable[[str], bytes]:
    """Give the function that reads GPT-2's spelling. It raises UnicodeEncodeError for anything else."""
    table = {character: byte for byte, character in enumerate(spelling)}
    # A character below U+0100 that spells nothing would pass for the byte of its number.
    table |= {number: 0xFFFD for number in range(256) if number not in table}
    return lambda piece: piece.translate(table).encode("latin-1")


def _encoding(expression: str, ranks: dict[bytes, int]) -> tiktoken.Encoding:
    import tiktoken  # noqa: PLC0415 - imported when first needed: 40 ms

    # tiktoken drops what its expression does not match. Here the text between two matches is a word too.
    pattern = rf"{expression}|(?s:(?!{expression}).)+"
    encoding = tiktoken.Encoding("vocabulary", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    ranks.clear()  # tiktoken has its own copy and would keep this one too: a third of the memory
    return encoding


def _compiled(expression: str) -> Any:
    # tiktoken needs this library, so it is there; `re` does not know Unicode's categories.
    return import_module("regex").compile(expression)


def _split(cut: Any, text: str) -> Iterator[str]:
    """Give the matches in a text and what is between them."""
    end = 0
    for match in cut.finditer(text):
        if match.start() > end:
            yield text[end : match.start()]
        yield match[0]
        end = match.end()
    if end < len(text):
        yield text[end:]


def _without(part: str | int, special: str, token: int) -> Iterator[str | int]:
    """Give a part with each occurrence of a special token's text as its id."""
    if isinstance(part, int):
        yield part
        return
    first, *rest = part.split(special)
    if first:
        yield first
    for text in rest:
        yield token
        if text:
            yield text
