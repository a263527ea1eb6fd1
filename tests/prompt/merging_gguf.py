"""A tiny model whose tokens cross every border between words, so that a text cut wrongly shows in its ids.

Its merges are trained on whole lines, without any cut, and reach over spaces, digits, case and scripts.
"""

# ruff: noqa: RUF001 - letters that are easily taken for others are the point
from __future__ import annotations

import functools
import itertools
from collections import Counter
from pathlib import Path

import gguf
import numpy as np

from bot.prompt.vocabulary import gpt2_spelling
from tests import tiny_gguf

LINES = (
    "I'm sure they'LL say it'S ours, we've won, I'd go, you're late, he didn't 'test' it",
    "  two  spaces   three\ttabs\t\t and \n\n\n lines\r\n\r\n  ends   \n x",
    "0 12 345 6789 01234 567890 1d20+3=17 2d6kh1 v1.2.3 ½ ²³ ٣٤٥ 一二三 12,345.67",
    "HelloWorld ABCdef abcDEF xYzZY iPhone McDonald aB Ab ABC abc ÄÖÜäöü ÉcoleÉ Ω",
    "naïve café cafe\u0301 Zoë e\u0308 हिन्दी में ไทย ערב عربي",
    "Я осторожно открываю дверь. Ανοίγω. İstanbul ığdır",
    "我小心翼翼地推开门，握紧剑柄。東京タワー・ひらがなカタカナー、한국어 조선",
    "🎲🎲 🗡️🐉 👩\u200d🚀 ❤️\u200d🔥 ✨★ → ≥ ∑ © ™ € £ $5 ^_^ `code` ~tilde~ |pipe|",
    "!!! ... ?! -- —— “quoted” ‘single’ (paren) [brack] {brace} <tag> a/b //x /y .\n/z",
    "def f(x_1):\n    return x**2 + y[0]  # why?\n\tpass\n",
    "\u00a0nbsp\u00a0 \u3000wide\u3000　。 \u2003em \u2028line \x85next \u200bzero ﬀ ﬁ Ａｂｃ１２ ！～",
    "<|im_end|> <|im_start|> </s> [INST] <|spare_0|> <think>",
    "ǅ ƻ ʔ ª º 𝓗𝓮𝓵𝓵𝓸 ⅷ Ⅷ ⓐ ㍿ ﷽ \U0001e900 \u1f88 ꙮ \ua7ae",
    "oWoWoWoW elloWorld elloWorld iPhone it'sure it'sure I'many .\n/x .\n/x ?\n/y ``` ``` 1234 1234",
)
MERGES = 520


@functools.cache
def vocabulary() -> tuple[list[str], list[str]]:
    """Give the byte pieces and the merged ones in GPT-2's spelling, and the merges in their order."""
    spelling = [chr(character) for character in gpt2_spelling()]
    words = Counter(tuple(spelling[byte] for byte in line.encode()) for line in LINES * 2)
    pieces, merges = list(spelling), list[str]()
    while len(merges) < MERGES:
        pairs: Counter[tuple[str, str]] = Counter()
        for word, times in words.items():
            for pair in itertools.pairwise(word):
                pairs[pair] += times
        most = max(pairs.values())
        best = min(pair for pair, times in pairs.items() if times == most)
        merges.append(" ".join(best))
        if (piece := "".join(best)) not in pieces:
            pieces.append(piece)
        words = Counter({tiny_gguf._merged(word, best): times for word, times in words.items()})
    return pieces, merges


def write_merging_gguf(path: Path, pre: str, template: str = tiny_gguf.CHATML) -> Path:
    """Write the model with the cut of that name and that chat template."""
    return write_gguf(path, *vocabulary(), pre, template)


def write_gguf(
    path: Path,
    pieces: list[str],
    merges: list[str],
    pre: str,
    template: str = tiny_gguf.CHATML,
    context: int = 8192,
) -> Path:
    """Write a model with the weights of the tiny one and any vocabulary."""
    writer = gguf.GGUFWriter(path, "llama")
    tiny_gguf._add_shape(writer, context, len(pieces) + len(tiny_gguf.SPECIALS))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    kinds = [gguf.TokenType.NORMAL] * len(pieces) + [gguf.TokenType.CONTROL] * len(tiny_gguf.SPECIALS)
    writer.add_token_list([*pieces, *tiny_gguf.SPECIALS])
    writer.add_token_types(kinds)
    writer.add_token_merges(merges)
    writer.add_bos_token_id(len(pieces))
    writer.add_eos_token_id(len(pieces) + 2)
    writer.add_chat_template(template)
    for name, tensor in tiny_gguf._weights(pieces, 0, 40).items():
        writer.add_tensor(name, tensor if tensor.ndim == 1 else tensor.astype(np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
