"""Training rows: conversations as ids, weights and positions, in batches of one length each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import TYPE_CHECKING

import numpy as np

from tools.storyteller.corpus import PERSONAS, conversation
from tools.storyteller.grammar import Author, invented
from tools.storyteller.lexicon import names, spellings
from tools.storyteller.sources import sections, words
from tools.storyteller.tokens import START_ID, pieces

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TOKENS_PER_STEP = 3072
COPIED_WEIGHT = 3
"""Weight of learning a word that an answer takes from the players' message; other words weigh 1."""
EXERCISE_ROWS, EXERCISE_LENGTH = 24, 40
LENGTHS = {256: 0.72, 640: 0.2, 1536: 0.06, 3072: 0.02}
"""Tokens of a row, and its share of the steps. Every step holds about `TOKENS_PER_STEP` tokens."""


@dataclass(frozen=True)
class Batch:
    """Arrays of (rows, length): input ids, their positions, and the weight of learning each as a target."""

    ids: np.ndarray
    positions: np.ndarray
    weights: np.ndarray


def tokenizer_texts(seed: int, conversations: int) -> Iterator[str]:
    """Give what the tokenizer is learned from: corpus, listed words, the shipped characters, but no names.

    A name at the head of a line and the same name inside one must fall into the same pieces, or it cannot be
    copied from the one place to the other: so no name may become a token in one of them alone.
    """
    rng = Random(seed)
    named = re.compile(rf"\b({'|'.join(sorted(map(re.escape, names())))})\b")
    for _ in range(conversations):
        for message in conversation(rng, 8, 0.4):
            yield f"{message.role}\n"
            yield named.sub("", re.sub(r"^[^:\n]*: ", "", message.text, flags=re.MULTILINE))
    for lines in sections("nouns.txt").values():
        for line in lines:
            listed = line.replace("_", " ").replace("*", "").replace("+", "").split()
            yield from (f" {word}" for word in listed for _ in range(12))
    for card in sorted(PERSONAS.glob("*.toml")):
        yield from [card.read_text(encoding="utf-8")] * 3
    yield " answers.]" * 2000
    yield from (f" {invented(rng)}" for _ in range(300))


def grown_texts(seed: int, conversations: int) -> Iterator[str]:
    """Give what the grown tokenizer is learned from: the same, the commonest words and the names."""
    yield from tokenizer_texts(seed, conversations)
    for text, weight in spellings():
        yield from [text] * weight


def _head_size(rng: Random, length: int) -> float:
    """Give how long a head is: short in most short rows, all the instructions and cards in the long ones."""
    if length <= 256:
        return rng.choice((0.0, 0.05, 0.2, 0.2, 0.4, 0.4, 0.5))
    return rng.uniform(0.3, 1.0) if length > 1000 else rng.uniform(0.2, 0.75)


def row(
    rng: Random, tokenizer: Tokenizer, length: int, context: int, brief: float
) -> tuple[list[int], list[int], list[int]]:
    """Give one conversation of `length` + 1 ids, with positions and weights.

    In short rows positions jump ahead at message boundaries (after Zhu et al., "PoSE", 2023), so that the
    network meets every distance up to `context` without the cost of rows of that length.
    """
    ids: list[int] = []
    learned: list[int] = []
    starts: list[int] = []
    parts = list(pieces(conversation(rng, 4 + length // 55, _head_size(rng, length), brief)))
    encoded = iter(tokenizer.encode_batch([part for part, _ in parts if isinstance(part, str)]))
    asked: set[int] = set()
    for part, learn in parts:
        new = [part] if isinstance(part, int) else next(encoded).ids
        if part == START_ID:
            starts.append(len(ids))
        ids += new
        learned += [COPIED_WEIGHT if learn and token in asked else int(learn) for token in new]
        if isinstance(part, str) and part.endswith(" answers.]"):
            asked = _takeable(tokenizer, part)
        if len(ids) > length:
            break
    ids, learned = (ids + [0] * (length + 1))[: length + 1], (learned + [0] * (length + 1))[: length + 1]
    return ids, _positions(rng, starts, length, context), learned


@cache
def _plain(tokenizer: Tokenizer) -> frozenset[int]:
    """Give the ids that stand in every text, which nobody takes from anybody."""
    small = " ".join(words("grammar.txt", "common"))
    small = f"{small} {small.title()}"
    return frozenset(tokenizer.encode(f' {small} . , ! ? \n [ ] : \' " \'." ." ?" !" *').ids)


def _takeable(tokenizer: Tokenizer, message: str) -> set[int]:
    """Give the ids in a user message that an answer could take up, names as inside a line too."""
    lines = message.splitlines()[:-1]
    encoded = tokenizer.encode_batch([*lines, *(f" {line}" for line in lines)])
    return {token for line in encoded for token in line.ids} - _plain(tokenizer)


def exercise(seed: int, step: int, vocabulary: int, first: int) -> Batch:
    """Give rows of random tokens, each said twice: what is learned from them is to look back and copy."""
    rng = np.random.default_rng((seed, step))
    once = rng.integers(first, vocabulary, (EXERCISE_ROWS, EXERCISE_LENGTH))
    ids = np.concatenate((once, once), axis=1)
    length = ids.shape[1] - 1
    weights = np.zeros((EXERCISE_ROWS, length), dtype=np.float32)
    weights[:, EXERCISE_LENGTH:] = 1
    return Batch(ids, np.tile(np.arange(length), (EXERCISE_ROWS, 1)), weights)


def _positions(rng: Random, starts: list[int], length: int, context: int) -> list[int]:
    room = context - length - 1
    jumps: dict[int, int] = {}
    if room > 0 and len(starts) > 1 and rng.random() < 0.6:
        gap = rng.randint(0, room)
        jumps[starts[1] if rng.random() < 0.7 or len(starts) < 3 else rng.choice(starts[1:])] = gap
    out: list[int] = []
    position = 0
    for index in range(length):
        position += jumps.get(index, 0)
        out.append(position + index)
    return out


def batch(
    seed: int, step: int, tokenizer: Tokenizer, context: int, brief: float, strange: float = 0.0
) -> Batch:
    """Give the rows of a step, the same for the same `seed` and `step`.

    Shares from 0 to 1: `brief` answers are brief, `strange` words stand in no list of nouns.
    """
    rng = Author(f"{seed}/{step}", strange) if strange else Random(f"{seed}/{step}")
    length = rng.choices(list(LENGTHS), list(LENGTHS.values()))[0]
    rows: list[tuple[list[int], list[int], list[int]]] = []
    while len(rows) < max(2, round(TOKENS_PER_STEP / length / 2) * 2):
        new = row(rng, tokenizer, length, context, brief)
        if sum(map(bool, new[2])) > length // 8:  # a head that fills the row teaches nothing
            rows.append(new)
    ids, positions, learned = (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
    return Batch(ids, positions, learned.astype(np.float32)[:, 1:])
