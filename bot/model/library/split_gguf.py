"""A model that lies in several files, as llama.cpp's gguf-split writes GGUF files.

The names end in -00001-of-00003.gguf (safetensors have the same habit). Of GGUF files the first holds all
metadata, each its own tensors. llama.cpp is given the first one and finds the others (ggml-org/llama.cpp,
tools/gguf-split and llama_split_path).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from bot.errors import SetupError
from bot.model.gguf_header import Header

_PART = re.compile(
    r"(?P<stem>.*)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<end>\.(?:gguf|safetensors)(?:\?.*)?)", re.DOTALL
)
_MOST_PARTS = 1000


def part_names(place: str) -> list[str]:
    """Give the paths or addresses of all parts of the model that `place` is a part of, or it alone."""
    match = _PART.fullmatch(place)
    count = int(match["count"]) if match else 1
    if not match or not 1 < count <= _MOST_PARTS:
        return [place]
    return [f"{match['stem']}-{number:05d}-of-{count:05d}{match['end']}" for number in range(1, count + 1)]


def joined(headers: Sequence[Header], name: str) -> Header:
    """Make one header of those of all parts, in order. Raises SetupError where they are not all of one."""
    first = headers[0]
    count = first.metadata.get("split.count", 1)
    if isinstance(count, int) and count > 1 and count != len(headers):
        raise SetupError(
            f"{name} is one of {count} parts, and its name does not say where the others are.",
            hint=f"Give the files their names back: ...-00001-of-{count:05d}.gguf and so on.",
        )
    tensors = tuple(tensor for header in headers for tensor in header.tensors)
    told = first.metadata.get("split.tensors.count", len(tensors))
    distinct = len({tensor.name for tensor in tensors})
    if len(headers) > 1 and told != distinct:
        raise SetupError(
            f"The parts of {name} hold {distinct} tensors, and {told} are needed.",
            hint="They are not of the same model: download them again.",
        )
    return replace(first, tensors=tensors)
