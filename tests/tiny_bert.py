"""A BERT small enough to write in a test: random weights, a WordPiece vocabulary, mean pooling; 300 kB.

Two layers, hidden size 64, 512 positions, F16. What llama.cpp reads of it is what its own converter writes
for `BertModel`: ggml-org/llama.cpp, convert_hf_to_gguf.py. Random weights tell equal texts from others.
"""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np

LAYERS, HIDDEN, HEADS, FEED_FORWARD, POSITIONS = 2, 64, 4, 128, 512
SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = (
    "the",
    "bell",
    "rings",
    "rain",
    "old",
    "and",
    "lantern",
    "sways",
    "ann",
    "bob",
    "marta",
    "cracked",
)


def write_tiny_bert(path: Path, *, seed: int = 0, hidden: int = HIDDEN) -> Path:
    """Write the model to `path` and give the path back; equal arguments give equal bytes.

    `hidden` is how many numbers its vectors have.
    """
    letters = [chr(code) for code in range(33, 127) if not chr(code).isupper()]
    # llama.cpp marks what begins a word, where BERT marks what goes on.
    tokens = [*SPECIALS, *("\u2581" + each for each in (*letters, *WORDS)), *letters]
    writer = gguf.GGUFWriter(path, "bert")
    writer.add_name("tiny")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_context_length(POSITIONS)
    writer.add_embedding_length(hidden)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_layer_norm_eps(1e-12)
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    _add_tokenizer(writer, tokens)
    for name, tensor in _weights(len(tokens), hidden, seed).items():
        matrix = tensor.ndim == 2 and name not in {"position_embd.weight", "token_types.weight"}
        writer.add_tensor(name, tensor.astype(np.float16 if matrix else np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_tokenizer(writer: gguf.GGUFWriter, tokens: list[str]) -> None:
    writer.add_vocab_size(len(tokens))
    writer.add_token_type_count(2)
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    kinds = [gguf.TokenType.CONTROL] * len(SPECIALS) + [gguf.TokenType.NORMAL] * (len(tokens) - len(SPECIALS))
    writer.add_token_types(kinds)
    writer.add_pad_token_id(0)
    writer.add_unk_token_id(1)
    writer.add_bos_token_id(2)
    writer.add_sep_token_id(3)
    writer.add_eos_token_id(3)
    writer.add_mask_token_id(4)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(True)


def _weights(vocabulary: int, hidden: int, seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)

    def matrix(rows: int, columns: int) -> np.ndarray:
        return random.standard_normal((rows, columns)) * 0.3

    tensors = {
        "token_embd.weight": matrix(vocabulary, hidden),
        "position_embd.weight": matrix(POSITIONS, hidden) * 0.1,
        "token_types.weight": matrix(2, hidden),
        "token_embd_norm.weight": np.ones(hidden),
        "token_embd_norm.bias": np.zeros(hidden),
    }
    shapes = {
        "attn_q": (hidden, hidden),
        "attn_k": (hidden, hidden),
        "attn_v": (hidden, hidden),
        "attn_output": (hidden, hidden),
        "ffn_up": (FEED_FORWARD, hidden),
        "ffn_down": (hidden, FEED_FORWARD),
    }
    for layer in range(LAYERS):
        for name, shape in shapes.items():
            tensors[f"blk.{layer}.{name}.weight"] = matrix(*shape)
            tensors[f"blk.{layer}.{name}.bias"] = np.zeros(shape[0])
        for name in ("attn_output_norm", "layer_output_norm"):
            tensors[f"blk.{layer}.{name}.weight"] = np.ones(hidden)
            tensors[f"blk.{layer}.{name}.bias"] = np.zeros(hidden)
    return tensors
