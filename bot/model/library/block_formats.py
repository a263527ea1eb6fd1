"""Numbers kept as GGUF's types, and back: what is lost.

The `gguf` package writes the simple formats and reads all of them. Two of the formats with blocks in blocks
are written here, with plain rounding (layout: ggml-org/llama.cpp, ggml/src/ggml-common.h, block_q4_K and
block_q6_K); llama.cpp also searches for the scales that lose least, so its own files lose somewhat less.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Bytes = npt.NDArray[np.uint8]

FORMATS = ("Q4_0", "MXFP4", "Q4_K", "Q4_1", "Q5_0", "Q5_1", "Q6_K", "Q8_0", "BF16", "F16")
BLOCK = 256
"""Numbers of the largest block; rows have to be filled by whole ones."""


def there_and_back(values: Floats, name: str) -> Floats:
    """Keep rows of 256 numbers as that format, and give what comes back. Needs the `gguf` package."""
    import gguf  # noqa: PLC0415  # imported when first needed: 0.3 s

    kind = gguf.GGMLQuantizationType[name]
    pack: Any = {"Q4_K": _q4_k, "Q6_K": _q6_k}.get(name)
    packed = pack(values) if pack else gguf.quants.quantize(values, kind)
    back: Floats = gguf.quants.dequantize(packed, kind).reshape(values.shape)
    return back


def uniform(values: Floats, bits: int) -> Floats:
    """Keep all numbers with one scale, in `bits` each, and give what comes back."""
    import numpy as np  # noqa: PLC0415  # imported when first needed: 80 ms

    low, high = float(values.min()), float(values.max())
    step = (high - low) / (2**bits - 1) or 1.0
    return (low + np.round((values - low) / step) * step).astype(np.float32)


def _q4_k(values: Floats) -> Bytes:
    """Pack eight blocks of 32, each with a scale and a minimum of six bits, under two scales in F16."""
    import numpy as np  # noqa: PLC0415  # as above

    parts = values.reshape(-1, 8, 32)
    low = np.minimum(parts.min(axis=2), 0)
    scale = (np.maximum(parts.max(axis=2), 0) - low) / 15
    whole, least = _half(scale.max(axis=1) / 63), _half(-low.min(axis=1) / 63)
    sc, mn = _codes(scale, whole, 63), _codes(-low, least, 63)
    size, shift = (whole[:, None] * sc)[:, :, None], (least[:, None] * mn)[:, :, None]
    q = np.clip(np.round((parts + shift) / np.where(size > 0, size, 1)), 0, 15).astype(np.uint8)
    pairs = q.reshape(-1, 4, 2, 32)
    nibbles = (pairs[:, :, 0] | pairs[:, :, 1] << 4).reshape(-1, 128)
    first = sc[:, :4] | (sc[:, 4:] >> 4) << 6
    second = mn[:, :4] | (mn[:, 4:] >> 4) << 6
    third = (sc[:, 4:] & 15) | (mn[:, 4:] & 15) << 4
    return np.concatenate([_raw(whole), _raw(least), first, second, third, nibbles], axis=1)


def _q6_k(values: Floats) -> Bytes:
    """Pack sixteen blocks of 16, each with a scale of eight bits, under one scale in F16."""
    import numpy as np  # noqa: PLC0415  # as above

    parts = values.reshape(-1, 16, 16)
    scale = np.abs(parts).max(axis=2) / 31
    whole = _half(scale.max(axis=1) / 127)
    codes = _codes(scale, whole, 127)
    size = (whole[:, None] * codes)[:, :, None]
    q = (np.clip(np.round(parts / np.where(size > 0, size, 1)), -32, 31) + 32).astype(np.uint8)
    quarters = q.reshape(-1, 2, 4, 32)
    low, high = quarters & 15, quarters >> 4
    nibbles = np.concatenate([low[:, :, 0] | low[:, :, 2] << 4, low[:, :, 1] | low[:, :, 3] << 4], axis=2)
    rest = high[:, :, 0] | high[:, :, 1] << 2 | high[:, :, 2] << 4 | high[:, :, 3] << 6
    return np.concatenate([nibbles.reshape(-1, 128), rest.reshape(-1, 64), codes, _raw(whole)], axis=1)


def _half(values: Floats) -> Floats:
    """Round to what F16 can hold, which is how it is kept."""
    import numpy as np  # noqa: PLC0415  # as above

    return values.astype(np.float16).astype(np.float32)


def _raw(values: Floats) -> Bytes:
    import numpy as np  # noqa: PLC0415  # as above

    return values.astype("<f2").view(np.uint8).reshape(-1, 2)


def _codes(values: Floats, unit: Floats, most: int) -> Bytes:
    import numpy as np  # noqa: PLC0415  # as above

    steps = np.round(values / np.where(unit > 0, unit, 1)[:, None])
    return np.clip(steps, 0, most).astype(np.uint8)
