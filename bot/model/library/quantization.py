"""How many bytes numbers take in GGUF's types.

Source: ggml-org/llama.cpp, gguf-py/gguf/constants.py (GGMLQuantizationType, GGML_QUANT_SIZES, LlamaFileType).
"""

from __future__ import annotations

from dataclasses import dataclass

from bot.errors import TableError


@dataclass(frozen=True)
class NumberType:
    """A type of tensor: `block` numbers are kept in `size` bytes."""

    name: str
    block: int
    size: int

    @property
    def bits(self) -> float:
        """Give the bits that one number takes, scales included."""
        return 8 * self.size / self.block

    def bytes_for(self, numbers: int) -> int:
        """Give the bytes of a row of `numbers`. Raises TableError where no whole blocks fill it."""
        if numbers % self.block:
            raise TableError(
                f"A row of {numbers} numbers cannot be kept as {self.name}, in blocks of {self.block}.",
                hint="Take f16.",
            )
        return numbers // self.block * self.size


TYPES: dict[int, NumberType] = {
    code: NumberType(name, block, size)
    for code, name, block, size in (
        (0, "f32", 1, 4), (1, "f16", 1, 2), (2, "q4_0", 32, 18), (3, "q4_1", 32, 20), (6, "q5_0", 32, 22),
        (7, "q5_1", 32, 24), (8, "q8_0", 32, 34), (9, "q8_1", 32, 40), (10, "q2_k", 256, 84),
        (11, "q3_k", 256, 110), (12, "q4_k", 256, 144), (13, "q5_k", 256, 176), (14, "q6_k", 256, 210),
        (15, "q8_k", 256, 292), (16, "iq2_xxs", 256, 66), (17, "iq2_xs", 256, 74), (18, "iq3_xxs", 256, 98),
        (19, "iq1_s", 256, 50), (20, "iq4_nl", 32, 18), (21, "iq3_s", 256, 110), (22, "iq2_s", 256, 82),
        (23, "iq4_xs", 256, 136), (24, "i8", 1, 1), (25, "i16", 1, 2), (26, "i32", 1, 4), (27, "i64", 1, 8),
        (28, "f64", 1, 8), (29, "iq1_m", 256, 56), (30, "bf16", 1, 2), (34, "tq1_0", 256, 54),
        (35, "tq2_0", 256, 66), (39, "mxfp4", 32, 17), (40, "nvfp4", 64, 36), (41, "q1_0", 128, 18),
    )
}  # fmt: skip

_BY_NAME = {one.name: one for one in TYPES.values()}

CACHE_TYPES = ("f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl")
"""The types in which llama.cpp keeps a KV cache (`--cache-type-k`)."""

FILE_TYPES: dict[int, str] = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S",
    12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K",
    19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL",
    26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S", 29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0",
    37: "TQ2_0", 38: "MXFP4", 39: "NVFP4", 40: "Q1_0",
}  # fmt: skip
"""`general.file_type`: what the maker called the mixture of types in the file."""

MIXTURES: dict[str, float] = {
    "Q2_K": 3.16, "Q3_K_M": 4.00, "IQ4_XS": 4.46, "Q4_K_S": 4.67, "Q4_K_M": 4.89, "Q5_K_M": 5.70,
    "Q6_K": 6.56, "Q8_0": 8.50, "F16": 16.0, "BF16": 16.0,
}  # fmt: skip
"""Bits per weight of the whole file, output and embeddings included, as measured on Llama 3.1 8B.

Source: ggml-org/llama.cpp, tools/quantize/README.md. Other models differ by a few percent: an estimate.
"""


def cache_type(name: str) -> NumberType:
    """Give a type that caches are kept in, in any case. Raises TableError for any other."""
    if name.lower() not in CACHE_TYPES:
        raise TableError(f"No cache is kept as {name}.", hint=f"There are: {', '.join(CACHE_TYPES)}.")
    return _BY_NAME[name.lower()]


def number_type(name: str) -> NumberType:
    """Give the type of that name, in any case. Raises TableError where there is none."""
    found = _BY_NAME.get(name.lower())
    if found is None:
        raise TableError(f"There is no type {name}.", hint=f"There are: {', '.join(_BY_NAME)}.")
    return found
