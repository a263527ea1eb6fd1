"""The vocabulary of a model whose files are on this machine, so that counting its tokens needs no server.

Only byte-level BPE (`tokenizer.ggml.model` = `gpt2`); the rest is left to the model's server. Sources: ggml's
docs/gguf.md for the metadata of a GGUF file, the `tokenizers` library's serialisation for a `tokenizer.json`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.errors import SetupError
from bot.model.gguf_header import read_gguf_arrays
from bot.model.pretokenizers import GPT2, cut

MOST_TOKENS = 70_000
"""A larger vocabulary is not read: an encoder of 128k tokens takes 35 MiB and saves a turn a millisecond, as
measured by bench/tokens.py. This many take 22 MiB."""

_KEYS = "tokenizer.ggml.tokens", "tokenizer.ggml.token_type", "tokenizer.ggml.merges"
_SPECIAL = frozenset({2, 3, 4})
"""The kinds of tokens that stand for themselves: unknown, control, user-defined."""
_MERGES_FOR_ONE = 4
"""Merges that may make one token; Llama 3 lists two."""
_LARGEST_JSON = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The arguments of `bot.prompt.vocabulary.Encoder`."""

    pieces: Mapping[str, int]
    merges: Sequence[str]
    specials: Mapping[str, int]
    expressions: Sequence[str]
    whole_words: bool = False
    drops: bool = False


def read_vocabulary(model: Path) -> Vocabulary | None:
    """Read the vocabulary of a GGUF file, or of the `tokenizer.json` in its folder or in the folder `model`.

    None where there is none, or none that is known here. Blocks: 0.1 s for 32k tokens.
    """
    try:
        if model.is_file():
            found = _from_gguf(model)
            return found or _from_json(model.parent / "tokenizer.json")
        return _from_json(model / "tokenizer.json")
    except (OSError, SetupError):
        return None


def _from_gguf(path: Path) -> Vocabulary | None:
    metadata, arrays = read_gguf_arrays(path, _KEYS, _MERGES_FOR_ONE * MOST_TOKENS)
    known = cut(str(metadata.get("tokenizer.ggml.pre", "")))
    tokens, kinds, merges = (arrays.get(key, []) for key in _KEYS)
    if metadata.get("tokenizer.ggml.model") != "gpt2" or known is None or len(tokens) != len(kinds):
        return None
    if not merges or len(tokens) > MOST_TOKENS:
        return None
    ids = {str(token): number for number, token in enumerate(tokens)}
    specials = {str(token) for token, kind in zip(tokens, kinds, strict=True) if token and kind in _SPECIAL}
    return Vocabulary(
        pieces={token: number for token, number in ids.items() if token not in specials},
        merges=[str(merge) for merge in merges],
        specials={token: ids[token] for token in specials},
        expressions=known.expressions,
        whole_words=known.whole_words,
        drops=True,
    )


def _from_json(path: Path) -> Vocabulary | None:
    if not path.is_file() or path.stat().st_size > _LARGEST_JSON:
        return None
    try:
        return _from_tokenizer(json.loads(path.read_bytes()))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None  # not what such a file looks like


def _from_tokenizer(tokenizer: dict[str, Any]) -> Vocabulary | None:
    model = tokenizer["model"]
    plain = model.get("type") == "BPE" and not model.get("byte_fallback") and not tokenizer["normalizer"]
    if not plain or model.get("continuing_subword_prefix") or model.get("end_of_word_suffix"):
        return None
    expressions = _expressions(tokenizer["pre_tokenizer"])
    added = {token["content"]: int(token["id"]) for token in tokenizer["added_tokens"]}
    strips = any(
        token["lstrip"] or token["rstrip"] or token["single_word"] for token in tokenizer["added_tokens"]
    )
    if expressions is None or strips or len(model["vocab"]) > MOST_TOKENS:
        return None
    return Vocabulary(
        pieces={str(piece): int(number) for piece, number in model["vocab"].items() if piece not in added},
        merges=[merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]],
        specials=added,
        expressions=expressions,
        whole_words=bool(model.get("ignore_merges")),
        drops=not model.get("unk_token"),
    )


def _expressions(step: dict[str, Any]) -> tuple[str, ...] | None:
    """Read the expressions of a pre-tokenizer whose last step spells bytes; None where it does more."""
    steps = step["pretokenizers"] if step["type"] == "Sequence" else [step]
    *cuts, last = steps
    if last["type"] != "ByteLevel" or last["add_prefix_space"]:
        return None
    found = [_expression(one) for one in cuts] + ([GPT2] if last.get("use_regex", True) else [])
    known = tuple(one for one in found if one)
    return known if known and len(known) == len(found) else None


def _expression(step: dict[str, Any]) -> str | None:
    match step:
        case {
            "type": "Split",
            "pattern": {"Regex": str(expression)},
            "behavior": "Isolated",
            "invert": False,
        }:
            return expression
        case {"type": "Digits", "individual_digits": bool(one)}:
            return r"\p{N}" if one else r"\p{N}+"
    return None
