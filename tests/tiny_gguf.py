"""A llama model small enough to write in a test: random weights, a real vocabulary, a real chat template.

Two layers, hidden size 64, 352 tokens (256 bytes, 90 merges, 6 specials), ChatML, F16, about 250 kB.
The layout follows the GGUF specification (ggml-org/ggml, docs/gguf.md) as written by the `gguf` package.
Random weights alone would emit bytes that are no UTF-8 and never stop. So one hidden channel carries a
constant that no layer writes to; what the output matrix holds in that column is then a bias on each
token's logit. With it the model says ASCII words and ends by itself after some dozens of tokens.
"""

from __future__ import annotations

import functools
import itertools
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float32]
MakeMatrix = Callable[[int, int, float], Matrix]

CHATML = (
    "{%- for message in messages -%}"
    "{{- '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\n' -}}{%- endif -%}"
)
# The marks are ChatML's in all of them, since those are the special tokens that the vocabulary has; what is
# demanded of the roles is what Gemma 2's and Mistral 7B Instruct v0.1's own templates demand, in their words.
GEMMA = (
    "{%- if messages[0]['role'] == 'system' -%}"
    "{{- raise_exception('System role not supported') -}}{%- endif -%}"
    "{%- for message in messages -%}"
    "{%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}"
    "{{- raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') -}}"
    "{%- endif -%}"
    "{%- set role = 'model' if message['role'] == 'assistant' else message['role'] -%}"
    "{{- '<|im_start|>' + role + '\n' + message['content'] | trim + '<|im_end|>\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>model\n' -}}{%- endif -%}"
)
MISTRAL = (
    "{%- for message in messages -%}"
    "{%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}"
    "{{- raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') -}}"
    "{%- endif -%}"
    "{%- if message['role'] == 'user' -%}{{- '<|im_start|>' + message['content'] + '<|im_end|>' -}}"
    "{%- else -%}{{- message['content'] + '<|im_end|>' -}}{%- endif -%}"
    "{%- endfor -%}"
)
DEAF = CHATML.replace("messages -%}", "messages if message['role'] != 'system' -%}", 1)
"""Drops what a system message says, without a word."""
SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>", "<|spare_0|>", "<|spare_1|>")
MERGES = 90
LAYERS, HIDDEN, HEADS, KV_HEADS, FEED_FORWARD = 2, 64, 4, 2, 128
BIAS_CHANNEL = 0

_WORDS = (
    "the lantern sways and the rain comes down on the old stone stairs while the keeper counts the bells "
    "and the river carries them away under the bridge where no one stands and then there is only the wind "
    "in the reeds and a hand on the door and a voice that says come in and sit down and tell me what you want"
)


def write_tiny_gguf(
    path: Path, context: int = 8192, seed: int = 0, ends_after: float = 40, template: str = CHATML
) -> Path:
    """Write the model to `path` and give the path back; equal arguments give equal bytes.

    `context` is the length in tokens that the model claims to be trained for, `ends_after` how many tokens an
    answer has on average at temperature 1, `template` its chat template.
    """
    pieces, merges = _vocabulary()
    writer = gguf.GGUFWriter(path, "llama")
    _add_shape(writer, context, len(pieces) + len(SPECIALS))
    _add_tokenizer(writer, pieces, merges)
    writer.add_chat_template(template)
    for name, tensor in _weights(pieces, seed, ends_after).items():
        writer.add_tensor(name, tensor if tensor.ndim == 1 else tensor.astype(np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def write_tiny_lora(path: Path, seed: int = 1) -> Path:
    """Write an adapter of rank 4 for the model's first layer to `path`, and give the path back; 8 kB.

    The layout is what llama.cpp's `convert_lora_to_gguf.py` writes.
    """
    random = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 8.0)
    for name in ("attn_q", "ffn_gate"):
        rows = HIDDEN if name == "attn_q" else FEED_FORWARD
        for part, shape in (("lora_a", (4, HIDDEN)), ("lora_b", (rows, 4))):
            writer.add_tensor(f"blk.0.{name}.weight.{part}", random.standard_normal(shape).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_shape(writer: gguf.GGUFWriter, context: int, vocabulary: int) -> None:
    writer.add_name("tiny")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_context_length(context)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_dimension_count(HIDDEN // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(vocabulary)


def _add_tokenizer(writer: gguf.GGUFWriter, pieces: list[str], merges: list[str]) -> None:
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list([*pieces, *SPECIALS])
    writer.add_token_types(
        [gguf.TokenType.NORMAL] * len(pieces) + [gguf.TokenType.CONTROL] * len(SPECIALS),
    )
    writer.add_token_merges(merges)
    writer.add_bos_token_id(len(pieces))
    writer.add_eos_token_id(len(pieces) + SPECIALS.index("<|im_end|>"))
    writer.add_pad_token_id(len(pieces) + SPECIALS.index("<|pad|>"))
    writer.add_add_bos_token(False)


@functools.cache
def _vocabulary() -> tuple[list[str], list[str]]:
    """Give the 256 byte pieces and the merged ones, in GPT-2's spelling, and the merges in order of rank."""
    spelling = _byte_spelling()
    pieces = [spelling[byte] for byte in range(256)]
    space = spelling[ord(" ")]
    words = Counter(tuple(space + word) for word in _WORDS.split())
    merges: list[str] = []
    while len(merges) < MERGES:
        pairs: Counter[tuple[str, str]] = Counter()
        for word, times in words.items():
            for pair in itertools.pairwise(word):
                pairs[pair] += times
        most = max(pairs.values())
        best = min(pair for pair, times in pairs.items() if times == most)
        merges.append(" ".join(best))
        pieces.append("".join(best))
        words = Counter({_merged(word, best): times for word, times in words.items()})
    return pieces, merges


def _merged(word: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    out: list[str] = []
    if pair[0] not in word:
        return word
    for piece in word:
        if out and (out[-1], piece) == pair:
            out[-1] += piece
        else:
            out.append(piece)
    return tuple(out)


def _byte_spelling() -> dict[int, str]:
    """Give GPT-2's printable character for every byte: itself where it is printable, else from U+0100 on."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + n) for n, byte in enumerate(rest)}


def _weights(pieces: list[str], seed: int, ends_after: float) -> dict[str, Matrix]:
    random = np.random.default_rng(seed)

    def matrix(rows: int, columns: int, scale: float) -> Matrix:
        return (random.standard_normal((rows, columns)) * scale).astype(np.float32)

    vocabulary = len(pieces) + len(SPECIALS)
    tensors: dict[str, Matrix] = {"token_embd.weight": matrix(vocabulary, HIDDEN, 1.0)}
    tensors["token_embd.weight"][:, BIAS_CHANNEL] = 8.0
    for layer in range(LAYERS):
        tensors |= _layer(f"blk.{layer}", matrix)
    tensors["output_norm.weight"] = np.ones(HIDDEN, dtype=np.float32)
    tensors["output.weight"] = matrix(vocabulary, HIDDEN, 0.1)
    tensors["output.weight"][:, BIAS_CHANNEL] = _bias(pieces, ends_after)
    return tensors


def _layer(name: str, matrix: MakeMatrix) -> dict[str, Matrix]:
    ones = np.ones(HIDDEN, dtype=np.float32)
    kv = HIDDEN // HEADS * KV_HEADS
    tensors = {
        f"{name}.attn_norm.weight": ones,
        f"{name}.attn_q.weight": matrix(HIDDEN, HIDDEN, 0.1),
        f"{name}.attn_k.weight": matrix(kv, HIDDEN, 0.1),
        f"{name}.attn_v.weight": matrix(kv, HIDDEN, 0.1),
        f"{name}.attn_output.weight": matrix(HIDDEN, HIDDEN, 0.1),
        f"{name}.ffn_norm.weight": ones.copy(),
        f"{name}.ffn_gate.weight": matrix(FEED_FORWARD, HIDDEN, 0.1),
        f"{name}.ffn_up.weight": matrix(FEED_FORWARD, HIDDEN, 0.1),
        f"{name}.ffn_down.weight": matrix(HIDDEN, FEED_FORWARD, 0.1),
    }
    for written in ("attn_output", "ffn_down"):
        tensors[f"{name}.{written}.weight"][BIAS_CHANNEL] = 0.0
    return tensors


def _bias(pieces: list[str], ends_after: float) -> Matrix:
    """Give each token's entry in the bias column: letters and words up, the end now and then, the rest never.

    The channel reaches the output matrix at about 6 after the norm, so 1.0 here moves a logit by about 6.
    """
    space = _byte_spelling()[ord(" ")]
    sayable = np.array(
        [(p.isascii() and p.isalpha()) or (p.startswith(space) and p[1:].isascii()) for p in pieces]
    )
    bias = np.full(len(pieces) + len(SPECIALS), -4.0, dtype=np.float32)
    bias[: len(pieces)][sayable] = 0.0
    bias[len(pieces) + SPECIALS.index("<|im_end|>")] = np.log(sayable.sum() / ends_after) / 6
    return bias


if __name__ == "__main__":
    sys.stdout.write(f"{write_tiny_gguf(Path(sys.argv[1]))}\n")
