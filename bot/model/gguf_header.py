"""The start of a GGUF file: that it is one, what context it was trained for, its vocabulary, its tensors.

Format: ggml-org/ggml, docs/gguf.md. All numbers are little-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from bot.errors import SetupError

_MAGIC = b"GGUF"
_SMALLEST = 32
"""Bytes; magic, version and two counts alone are 24."""
_MOST_KEYS = 10_000
_LONGEST_STRING = 16 * 1024 * 1024
_PIECE = 64 * 1024
_LENGTH = struct.Struct("<Q")
_MOST_ITEMS = 50_000_000
_MOST_TENSORS = 200_000
_MOST_AXES = 8
_STRING, _ARRAY = 8, 9
_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
"""The type codes of numbers, with `struct`'s letters for them."""

Scalar = str | int | float | bool
Array = list[str] | list[int] | list[float]


@dataclass(frozen=True)
class Tensor:
    """A tensor of a file: its axes, the one that lies together in memory first, and the code of its type."""

    name: str
    shape: tuple[int, ...]
    type: int


@dataclass(frozen=True)
class Header:
    """Everything before the numbers. `arrays` are the short ones, `lengths` those of all arrays."""

    metadata: dict[str, Scalar]
    arrays: dict[str, Array]
    lengths: dict[str, int]
    tensors: tuple[Tensor, ...]


def read_gguf_header(path: Path) -> dict[str, Scalar]:
    """Read the metadata of a GGUF file, its arrays left out. Blocks: a vocabulary of 128k tokens takes 50 ms.

    Raises SetupError saying what is wrong with the file: missing, unreadable, not GGUF, too old, cut short.
    """
    return read_gguf_arrays(path, (), 0)[0]


def read_gguf_arrays(
    path: Path, wanted: Collection[str], most: int
) -> tuple[dict[str, Scalar], dict[str, Array]]:
    """Read the metadata of a GGUF file, and its `wanted` arrays if they have `most` items or fewer.

    Blocks, and raises, as `read_gguf_header` does; each string of an array takes 1 µs.
    """
    try:
        with path.open("rb") as file:
            reader = _Reader(file, str(path), path.stat().st_size, wanted, most)
            return reader.metadata(), reader.arrays
    except FileNotFoundError:
        raise SetupError(f"There is no file {path}.", hint="Set CPU_MODEL to a GGUF file.") from None
    except OSError as error:
        reason = (error.strerror or "it cannot be opened").lower()
        raise SetupError(f"The model {path} cannot be read ({reason}).", hint="Check CPU_MODEL.") from None


def read_gguf_tensors(file: BinaryIO, name: str, size: int, most: int) -> Header:
    """Read all of a header from an open file of `size` bytes, arrays of up to `most` items included.

    Blocks: 1 µs for each token of the vocabulary. Raises SetupError as `read_gguf_header` does, and OSError.
    """
    reader = _Reader(file, name, size, None, most)
    metadata = reader.metadata()
    return Header(metadata, reader.arrays, reader.lengths, reader.tensors())


def trained_context(metadata: dict[str, Scalar]) -> int | None:
    """Give the context length in tokens that the model was trained for."""
    length = metadata.get(f"{metadata.get('general.architecture')}.context_length")
    return length if isinstance(length, int) and length > 0 else None


class _Reader:
    """Reads once, from the start. `wanted` None: every array of `most` items or fewer."""

    def __init__(
        self, file: BinaryIO, name: str, size: int, wanted: Collection[str] | None, most: int
    ) -> None:
        self._file = file
        self._name = name
        self._size = size
        self._wanted = wanted
        self._most = most
        self._tensors = 0
        self.arrays: dict[str, Array] = {}
        self.lengths: dict[str, int] = {}

    def metadata(self) -> dict[str, Scalar]:
        start = self._file.read(4)
        if start != _MAGIC:
            raise SetupError(
                f"{self._name} is not a GGUF file.", hint="CPU_MODEL needs a model in GGUF format."
            )
        if self._size < _SMALLEST:
            raise self._broken("it is cut short")
        if (version := self._number("I")) not in {2, 3}:
            raise self._broken(f"its format version {version} is not 2 or 3")
        self._tensors = int(self._number("Q"))
        keys = self._number("Q")
        if keys > _MOST_KEYS:
            raise self._broken("its header makes no sense")
        found: dict[str, Scalar] = {}
        for _ in range(int(keys)):
            name, kind = self._string(), int(self._number("I"))
            if kind == _ARRAY:
                self._array(name)
            else:
                found[name] = self._scalar(kind)
        return found

    def tensors(self) -> tuple[Tensor, ...]:
        """Read what follows the metadata: name, axes, type and place of each tensor."""
        if self._tensors > _MOST_TENSORS:
            raise self._broken("its header makes no sense")
        return tuple(self._tensor() for _ in range(self._tensors))

    def _tensor(self) -> Tensor:
        name, axes = self._string(), int(self._number("I"))
        if axes > _MOST_AXES:
            raise self._broken("its header makes no sense")
        shape = tuple(int(self._number("Q")) for _ in range(axes))
        kind = int(self._number("I"))
        self._number("Q")  # where its numbers start
        return Tensor(name, shape, kind)

    def _scalar(self, kind: int) -> Scalar:
        if kind == _STRING:
            return self._string()
        if kind not in _NUMBERS:
            raise self._broken("its header makes no sense")
        return self._number(_NUMBERS[kind])

    def _number(self, letter: str) -> int | float | bool:
        size = struct.calcsize("<" + letter)
        value: int | float | bool = struct.unpack("<" + letter, self._bytes(size))[0]
        return value

    def _string(self) -> str:
        return self._bytes(self._length(_LONGEST_STRING)).decode("utf-8", "replace")

    def _array(self, name: str) -> None:
        kind = int(self._number("I"))
        length = self._length(_MOST_ITEMS)
        if kind != _STRING and kind not in _NUMBERS:
            raise self._broken("its header makes no sense")
        self.lengths[name] = length
        if length > self._most or (self._wanted is not None and name not in self._wanted):
            self._skip(kind, length)
        elif kind == _STRING:
            self.arrays[name] = [self._string() for _ in range(length)]
        else:
            layout = f"<{length}{_NUMBERS[kind]}"
            self.arrays[name] = list(struct.unpack(layout, self._bytes(struct.calcsize(layout))))

    def _skip(self, kind: int, length: int) -> None:
        if kind == _STRING:
            self._skip_strings(length)
        else:
            self._file.seek(length * struct.calcsize("<" + _NUMBERS[kind]), 1)

    def _skip_strings(self, count: int) -> None:
        """Walk over strings a piece of the file at a time: asked one by one, a vocabulary takes a second."""
        data, at = b"", 0
        for _ in range(count):
            if at + 8 > len(data):
                data, at = data[at:] + self._file.read(_PIECE), 0
                if len(data) < 8:
                    raise self._broken("it is cut short")
            (length,) = _LENGTH.unpack_from(data, at)
            if length > _LONGEST_STRING:
                raise self._broken("its header makes no sense")
            at += 8 + length
            if at > len(data):
                self._file.seek(at - len(data), 1)
                data, at = b"", 0
        self._file.seek(at - len(data), 1)  # what was read beyond the last one

    def _length(self, most: int) -> int:
        length = int(self._number("Q"))
        if length > most:
            raise self._broken("its header makes no sense")
        return length

    def _bytes(self, number: int) -> bytes:
        data = self._file.read(number)
        if len(data) < number:
            raise self._broken("it is cut short")
        return data

    def _broken(self, why: str) -> SetupError:
        return SetupError(f"The model {self._name} is damaged: {why}.", hint="Download it again.")
