"""A model of half a billion random weights: as much work for a server as a small real one, in Q4_0.

The shape is Qwen2.5-0.5B's without its biases: 24 layers, hidden size 896, 14 heads of 64, 2 of them for keys
and values. Vocabulary and merges are another model's. What it says is words without sense; see
`tests/tiny_gguf.py` for how a channel of constants keeps it to words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import gguf
import numpy as np

from tests.tiny_gguf import BIAS_CHANNEL, CHATML, SPECIALS, _bias

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from bot.model.tokenizers import Vocabulary

LAYERS, HIDDEN, HEADS, KV_HEADS, FEED_FORWARD = 24, 896, 14, 2, 4864
ENDS_AFTER = 30
"""Tokens of an answer, more or less."""
BLOCK = 32  # weights of Q4_0 that share a scale of two bytes
SCALE = 0.007  # times -8 to 7: about 1 / sqrt(HIDDEN) on average
CONSTANT = 40.0


def write_half_billion(path: Path, like: Vocabulary, context: int) -> Path:
    """Write the model, 200 MB, and give the path back."""
    pieces = sorted(like.pieces, key=lambda piece: like.pieces[piece])
    writer = gguf.GGUFWriter(path, "llama")
    _add_shape(writer, context, len(pieces) + len(SPECIALS))
    _add_tokenizer(writer, pieces, list(like.merges))
    random = np.random.default_rng(0)
    _add_ends(writer, random, pieces)
    for layer in range(LAYERS):
        _add_layer(writer, random, f"blk.{layer}")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_shape(writer: gguf.GGUFWriter, context: int, vocabulary: int) -> None:
    writer.add_name("half a billion")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_0)
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
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([*pieces, *SPECIALS])
    writer.add_token_types([gguf.TokenType.NORMAL] * len(pieces) + [gguf.TokenType.CONTROL] * len(SPECIALS))
    writer.add_token_merges(merges)
    writer.add_bos_token_id(len(pieces))
    writer.add_eos_token_id(len(pieces) + SPECIALS.index("<|im_end|>"))
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHATML)


def _add_ends(writer: gguf.GGUFWriter, random: np.random.Generator, pieces: list[str]) -> None:
    """Add what stands before the first layer and behind the last one."""
    vocabulary = len(pieces) + len(SPECIALS)
    embedding = random.standard_normal((vocabulary, HIDDEN)).astype(np.float16)
    embedding[:, BIAS_CHANNEL] = CONSTANT
    writer.add_tensor("token_embd.weight", embedding)
    writer.add_tensor("output_norm.weight", np.ones(HIDDEN, dtype=np.float32))
    output = (random.standard_normal((vocabulary, HIDDEN)) * 0.02).astype(np.float16)
    output[:, BIAS_CHANNEL] = _bias(pieces, ENDS_AFTER)
    writer.add_tensor("output.weight", output)


def _add_layer(writer: gguf.GGUFWriter, random: np.random.Generator, name: str) -> None:
    kv = HIDDEN // HEADS * KV_HEADS
    shapes = {
        "attn_q": (HIDDEN, HIDDEN),
        "attn_k": (kv, HIDDEN),
        "attn_v": (kv, HIDDEN),
        "attn_output": (HIDDEN, HIDDEN),
        "ffn_gate": (FEED_FORWARD, HIDDEN),
        "ffn_up": (FEED_FORWARD, HIDDEN),
        "ffn_down": (HIDDEN, FEED_FORWARD),
    }
    for norm in ("attn_norm", "ffn_norm"):
        writer.add_tensor(f"{name}.{norm}.weight", np.ones(HIDDEN, dtype=np.float32))
    for part, (rows, columns) in shapes.items():
        blocks = _blocks(random, rows, columns)
        if part in {"attn_output", "ffn_down"}:  # no layer writes to the constant
            blocks[BIAS_CHANNEL, :, 2:] = 0x88
        data = blocks.reshape(rows, -1)
        writer.add_tensor(f"{name}.{part}.weight", data, raw_dtype=gguf.GGMLQuantizationType.Q4_0)


def _blocks(random: np.random.Generator, rows: int, columns: int) -> npt.NDArray[np.uint8]:
    """Give random weights as Q4_0 has them: a scale as float16, then two weights in each byte, 8 for none."""
    count = columns // BLOCK
    blocks = np.empty((rows, count, 2 + BLOCK // 2), dtype=np.uint8)
    blocks[:, :, :2] = np.frombuffer(np.float16(SCALE).tobytes(), dtype=np.uint8)
    blocks[:, :, 2:] = random.integers(0, 256, (rows, count, BLOCK // 2), dtype=np.uint8)
    return blocks
