"""What a GGUF file says about its model, read from the header alone."""

from __future__ import annotations

from typing import BinaryIO

from bot.errors import SetupError
from bot.model.gguf_header import Header, read_gguf_tensors
from bot.model.library.gguf_model import Keys, bytes_of, head_size, heads_of, numbers_in, shape_of
from bot.model.library.inspection import Inspection
from bot.model.library.quantization import FILE_TYPES, TYPES

_MAGIC = b"GGUF"
_LONGEST_ARRAY = 4096
"""Arrays with a value for each layer are shorter; a vocabulary is longer."""
_ROPE_KEYS = (
    "freq_base",
    "dimension_count",
    "scaling.type",
    "scaling.factor",
    "scaling.original_context_length",
)


def read_part(file: BinaryIO, name: str, size: int) -> Header:
    """Read the header of an open GGUF file of `size` bytes. Raises SetupError where it makes no sense."""
    if file.read(len(_MAGIC)) != _MAGIC:
        raise SetupError(f"{name} is not a GGUF file.", hint="Name one, or a folder with a config.json.")
    file.seek(0)
    header = read_gguf_tensors(file, name, size, _LONGEST_ARRAY)
    missing = sum(bytes_of(tensor) for tensor in header.tensors) - size
    if missing > 0:
        raise SetupError(f"{name} is cut short: over {missing} bytes are missing.", hint="Download it again.")
    return header


def inspect_gguf(header: Header, name: str, size: int) -> Inspection:
    """Inspect a model by its header, all of its files together being of `size` bytes.

    Raises SetupError where the header is no language model's.
    """
    keys, shape = Keys(header), shape_of(header)
    heads, kv_heads = heads_of(keys, len(shape.layers))
    parameters = sum(numbers_in(tensor) for tensor in header.tensors)
    return Inspection(
        path=name,
        kind="GGUF",
        architecture=keys.architecture,
        parameters=parameters,
        heads=max(heads),
        kv_heads=max(kv_heads),
        head_size=head_size(keys, len(shape.layers)) if max(heads) else 0,
        tokenizer=_tokenizer(header),
        chat_template="tokenizer.chat_template" in header.metadata,
        quantization=FILE_TYPES.get(_file_type(header), ""),
        bits=8 * shape.weights.total / parameters if parameters else 0,
        size=size,
        shape=shape,
        experts=keys.number("expert_count"),
        rope=_rope(header, keys),
        types=_types(header),
    )


def _tokenizer(header: Header) -> str:
    parts = (header.metadata.get(f"tokenizer.ggml.{part}") for part in ("model", "pre"))
    return " / ".join(str(part) for part in parts if part)


def _file_type(header: Header) -> int:
    value = header.metadata.get("general.file_type")
    return value if isinstance(value, int) else -1


def _rope(header: Header, keys: Keys) -> dict[str, str]:
    found = {name: header.metadata.get(f"{keys.architecture}.rope.{name}") for name in _ROPE_KEYS}
    return {
        name: f"{value:g}" if isinstance(value, float) else str(value)
        for name, value in found.items()
        if value
    }


def _types(header: Header) -> dict[str, int]:
    counts: dict[str, int] = {}
    for tensor in header.tensors:
        name = TYPES[tensor.type].name
        counts[name] = counts.get(name, 0) + numbers_in(tensor)
    return dict(sorted(counts.items(), key=lambda item: -item[1]))
