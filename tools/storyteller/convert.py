"""From the trained network to a GGUF file in q8_0 that llama.cpp serves as it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter, LlamaFileType, TokenType
from gguf.quants import quantize

from tools.storyteller.sources import CORPUS_VERSION
from tools.storyteller.tokens import CHAT_TEMPLATE, END_ID, SPECIALS, START_ID

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from torch import Tensor

    from tools.storyteller.model import Shape

_NAMES = {"attn_norm": "attn_norm", "q": "attn_q", "k": "attn_k", "v": "attn_v", "output": "attn_output",
          "ffn_norm": "ffn_norm", "gate": "ffn_gate", "up": "ffn_up", "down": "ffn_down"}  # fmt: skip


def _tensor_name(name: str) -> str:
    outside = {"embedding.weight": "token_embd.weight", "norm.weight": "output_norm.weight"}
    if name in outside:
        return outside[name]
    _, block, part, kind = name.split(".")
    return f"blk.{block}.{_NAMES[part]}.{kind}"


def convert(weights: dict[str, Tensor], shape: Shape, tokenizer: Tokenizer, file: Path) -> None:
    """Write `file`. Matrices become q8_0, norms stay in 32 bits; the output matrix is the embedding."""
    file.parent.mkdir(parents=True, exist_ok=True)
    writer = GGUFWriter(file, "llama")
    _describe(writer, sum(value.numel() for value in weights.values()))
    _write_shape(writer, shape)
    _write_tokenizer(writer, tokenizer)
    _recommend(writer)
    for name, value in weights.items():
        array = value.detach().float().numpy()
        if array.ndim == 1:
            writer.add_tensor(_tensor_name(name), array)
        else:
            packed = quantize(np.ascontiguousarray(array), GGMLQuantizationType.Q8_0)
            writer.add_tensor(_tensor_name(name), packed, raw_dtype=GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _describe(writer: GGUFWriter, parameters: int) -> None:
    writer.add_name("Hearthside storyteller")
    writer.add_author("The Hearthside maintainers")
    writer.add_version(CORPUS_VERSION)
    writer.add_license("MIT")
    writer.add_size_label(f"{parameters / 1e6:.1f}M")
    writer.add_description(
        "A very small model that shows the bot at work. Trained from scratch on text written for Hearthside "
        f"(corpus version {CORPUS_VERSION}, {parameters} parameters). A parrot: choose a real model for play."
    )
    writer.add_languages(["en"])
    writer.add_string("hearthside.corpus_version", CORPUS_VERSION)
    writer.add_uint64("general.parameter_count", parameters)


def _recommend(writer: GGUFWriter) -> None:
    """Say how its words are best drawn; llama.cpp does so where nothing else is asked for.

    Measured on 200 held-out messages: 97.5 % of the answers are well-formed, 89 % on topic at a temperature
    of 0.3; 96 % and 87 % at 0.5, where three of them went in circles.
    """
    writer.add_sampling_temp(0.3)
    writer.add_sampling_min_p(0.1)
    writer.add_sampling_penalty_repeat(1.0)


def _write_shape(writer: GGUFWriter, shape: Shape) -> None:
    writer.add_vocab_size(shape.vocabulary)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.heads)
    writer.add_rope_dimension_count(shape.head_width)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_layer_norm_rms_eps(shape.norm_epsilon)
    writer.add_file_type(LlamaFileType.MOSTLY_Q8_0)


def _write_tokenizer(writer: GGUFWriter, tokenizer: Tokenizer) -> None:
    vocabulary = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([token for token, _ in vocabulary])
    writer.add_token_types([TokenType.CONTROL if t in SPECIALS else TokenType.NORMAL for t, _ in vocabulary])
    writer.add_token_merges([" ".join(merge) for merge in merges])
    writer.add_bos_token_id(START_ID)
    writer.add_eos_token_id(END_ID)
    writer.add_eot_token_id(END_ID)
    writer.add_pad_token_id(0)
    writer.add_add_bos_token(value=False)
    writer.add_add_eos_token(value=False)
    writer.add_add_space_prefix(value=False)
    writer.add_chat_template(CHAT_TEMPLATE)
