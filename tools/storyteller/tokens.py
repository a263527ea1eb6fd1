"""The tokenizer: byte-level BPE cut by GPT-2's regular expression, and messages as token ids."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tools.storyteller.corpus import Message

if TYPE_CHECKING:
    from tokenizers import Tokenizer

START, END, PAD = "<|im_start|>", "<|im_end|>", "<|pad|>"
SPECIALS = (PAD, START, END)
"""Control tokens, ids 0, 1 and 2: not among the merges, so no other text becomes one of them."""
START_ID, END_ID = 1, 2
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def tokenizer_from(vocabulary: dict[str, int], merges: list[tuple[str, str]]) -> Tokenizer:
    """Give the tokenizer with this vocabulary: GPT-2's cut, bytes, merges, and no special tokens in text."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers  # noqa: PLC0415 - training only

    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def train_tokenizer(texts: Iterable[str], size: int) -> Tokenizer:
    """Give a tokenizer of `size` tokens learned from `texts`."""
    from tokenizers import pre_tokenizers, trainers  # noqa: PLC0415 - training only

    tokenizer = tokenizer_from({}, [])
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(SPECIALS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def load_tokenizer(file: Path) -> Tokenizer:
    """Read a tokenizer that `train_tokenizer` made and saved."""
    from tokenizers import Tokenizer  # noqa: PLC0415 - training only

    return Tokenizer.from_file(str(file))


def pieces(messages: Iterable[Message]) -> Iterator[tuple[int | str, bool]]:
    """Cut messages as the chat template lays them out: ids, texts between them, and what is learned.

    llama.cpp tokenizes each stretch of text between two control tokens by itself; so does this.
    """
    for message in messages:
        yield START_ID, False
        yield f"{message.role}\n", False
        yield message.text, message.learned
        yield END_ID, message.learned
        yield "\n", False
