"""A model as a folder: config.json beside safetensors, plain or quantized as EXL2, EXL3, GPTQ or AWQ.

Formats: huggingface/safetensors README (header); the packings as their loaders unpack them: AutoGPTQ and
AutoAWQ keep 32 / bits numbers in each int32 of `qweight`, compressed-tensors in `weight_packed`;
turboderp-org/exllamav2 keeps one row of `q_weight` columns for each entry of `q_invperm`; exllamav3 keeps
tiles of 16 by 16 in `trellis`.
"""

from __future__ import annotations

import json
import math
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.errors import SetupError
from bot.model.library.inspection import Inspection
from bot.model.library.shape import Layer, Shape, Weights
from bot.model.library.split_gguf import part_names
from bot.model.library.widths import Widths

_LONGEST_HEADER = 100_000_000
"""Bytes; the limit of safetensors itself."""
_LARGEST_JSON = 20_000_000
_MOST_LAYERS = 10_000
_LAYER = re.compile(r"layers\.(\d+)\.")
_METHODS = {"exl2": "EXL2", "exl3": "EXL3", "gptq": "GPTQ", "awq": "AWQ"}
_COUNTED = {*_METHODS, "compressed-tensors", "fp8", ""}
"""Ways to quantize that say how many parameters there are; what others pack is not counted."""
_EVERY = {"gemma2": 2, "gemma3_text": 6, "gemma4_text": 6, "cohere2": 4}
"""Of so many layers one looks back at everything, where config.json does not list the layers' types."""

Json = dict[str, Any]


@dataclass(frozen=True)
class Stored:
    """A tensor in a safetensors file: its shape, and its size in bytes."""

    shape: tuple[int, ...]
    size: int


def inspect_folder(path: Path) -> Inspection:
    """Inspect the folder of one model. Raises SetupError where it holds none, or a damaged one."""
    whole = _json(path / "config.json", needed=True)
    config = whole.get("text_config") if isinstance(whole.get("text_config"), dict) else whole
    assert isinstance(config, dict)
    tensors = _tensors(path)
    quantization = whole.get("quantization_config") or {}
    method = str(quantization.get("quant_method", "")).lower() if isinstance(quantization, dict) else ""
    bits = _packed_bits(quantization) if method else 0.0
    parameters = _parameters(tensors, bits) if method in _COUNTED else 0
    stored = sum(tensor.size for tensor in tensors.values())
    shape = _shape(config, tensors)
    heads = int(_number(config, "num_attention_heads", 0))
    said = _json(path / "tokenizer_config.json")
    return Inspection(
        path=str(path),
        kind=_METHODS.get(method, method.upper() or "safetensors"),
        architecture=str((whole.get("architectures") or [whole.get("model_type", "")])[0]),
        parameters=parameters,
        heads=heads,
        kv_heads=int(_number(config, "num_key_value_heads", heads)),
        head_size=_head_size(config),
        tokenizer=str(said.get("tokenizer_class", "")),
        chat_template="chat_template" in said or (path / "chat_template.jinja").exists(),
        quantization=f"{bits:g} bits"
        if bits
        else str(config.get("torch_dtype") or config.get("dtype") or ""),
        bits=8 * stored / parameters if parameters else 0,
        size=sum(file.stat().st_size for file in _files(path)),
        shape=shape,
        experts=_experts(config),
        rope=_rope(config),
    )


def _json(path: Path, *, needed: bool = False) -> Json:
    try:
        if path.stat().st_size > _LARGEST_JSON:
            raise SetupError(f"{path} is far too large.")
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if needed:
            files = ", ".join(sorted(file.name for file in path.parent.glob("*.gguf"))[:10])
            hint = f"Name one of its GGUF files: {files}." if files else "Is it a model's folder?"
            raise SetupError(f"There is no {path.name} in {path.parent}.", hint=hint) from None
        return {}
    except (OSError, ValueError, RecursionError):
        raise SetupError(f"{path} is damaged.", hint="Download it again.") from None
    if not isinstance(data, dict):
        raise SetupError(f"{path} is damaged.", hint="Download it again.")
    return data


def _number(config: Any, key: str, default: float) -> float:
    value = config.get(key) if isinstance(config, dict) else None
    if value is None:
        return default
    if not isinstance(value, int | float) or not 0 <= value < 1e12:
        raise SetupError(f"config.json says {key} is {value}, which makes no sense.")
    return value


def _tensors(path: Path) -> dict[str, Stored]:
    found: dict[str, Stored] = {}
    for file in _files(path):
        found |= _header(file)
    return found


def _files(path: Path) -> list[Path]:
    """Find the model's files: those that its index names, else all. Raises SetupError naming missing ones.

    Mistral's folders hold the same numbers twice, the second time as consolidated.safetensors.
    """
    named = _json(path / "model.safetensors.index.json").get("weight_map")
    names = {Path(str(name)).name for name in named.values()} if isinstance(named, dict) else set()
    names = names or {file.name for file in path.glob("*.safetensors")}
    names = {part for name in names for part in part_names(name)}
    if len(names) > 1:
        names = {name for name in names if not name.startswith("consolidated")} or names
    if not names:
        raise SetupError(f"There are no safetensors files in {path}.", hint="Is the download complete?")
    missing = sorted(name for name in names if not (path / name).exists())
    if missing:
        told = ", ".join(missing[:20])
        raise SetupError(
            f"{len(missing)} of {len(names)} files are missing: {told}.", hint="Download them too."
        )
    return [path / name for name in sorted(names)]


def _header(path: Path) -> dict[str, Stored]:
    """Read the start of a safetensors file: eight bytes that say how long the JSON is, and the JSON."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            text = file.read(min(length, _LONGEST_HEADER))
            entries = json.loads(text if len(text) == length else b"")
        found = {
            str(name): Stored(
                tuple(int(axis) for axis in entry["shape"]),
                int(entry["data_offsets"][1]) - int(entry["data_offsets"][0]),
            )
            for name, entry in entries.items()
            if name != "__metadata__"
        }
        ends = [int(entry["data_offsets"][1]) for name, entry in entries.items() if name != "__metadata__"]
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        IndexError,
        struct.error,
        RecursionError,
    ):
        raise SetupError(f"{path} is damaged or no safetensors file.", hint="Download it again.") from None
    missing = 8 + length + max(ends, default=0) - path.stat().st_size
    if missing > 0:
        raise SetupError(f"{path} is cut short: {missing} bytes are missing.", hint="Download it again.")
    return found


def _packed_bits(quantization: Any) -> float:
    """Give the bits of a packed number, which compressed-tensors says for each group of layers."""
    groups = quantization.get("config_groups")
    first: Any = next(iter(groups.values()), {}) if isinstance(groups, dict) else {}
    inside = first.get("weights") if isinstance(first, dict) else None
    return _number(quantization, "bits", _number(inside, "num_bits", 0.0))


def _parameters(tensors: dict[str, Stored], bits: float) -> int:
    """Count the parameters that packed tensors stand for; scales, zeros and orders are none."""
    total = 0
    for name, tensor in tensors.items():
        stem, _, part = name.rpartition(".")
        if part in {"qweight", "weight_packed"} and bits:
            total += int(math.prod(tensor.shape) * 32 / bits)
        elif part == "q_weight":
            rows = tensors.get(f"{stem}.q_invperm")
            total += math.prod(rows.shape) * tensor.shape[-1] if rows and tensor.shape else 0
        elif part == "trellis":
            total += math.prod(tensor.shape[:2]) * 256
        elif part in {"weight", "bias"} or "." not in name:
            total += math.prod(tensor.shape)
    return total


def _head_size(config: Json) -> int:
    heads = _number(config, "num_attention_heads", 0)
    return int(_number(config, "head_dim", _number(config, "hidden_size", 0) // heads if heads else 0))


def _shape(config: Json, tensors: dict[str, Stored]) -> Shape:
    count = int(_number(config, "num_hidden_layers", 0))
    if not 0 < count <= _MOST_LAYERS:
        raise SetupError(f"config.json names {count} layers: it is no language model's.")
    return Shape(
        layers=_layers(config, _kinds(config, count)),
        hidden=int(_number(config, "hidden_size", 0)),
        vocabulary=int(_number(config, "vocab_size", 0)),
        feed_forward=int(_number(config, "intermediate_size", 0)),
        widest=_widths(config).widest,
        context=int(_number(config, "max_position_embeddings", 0)),
        weights=_weights(config, tensors, count),
    )


def _widths(config: Json) -> Widths:
    heads = int(_number(config, "num_attention_heads", 0))
    latent = int(_number(config, "kv_lora_rank", 0) + _number(config, "qk_rope_head_dim", 0))
    query = int(_number(config, "qk_nope_head_dim", 0) + _number(config, "qk_rope_head_dim", 0))
    keys = int(_number(config, "linear_num_key_heads", 0) * _number(config, "linear_key_head_dim", 0))
    values = int(_number(config, "linear_num_value_heads", 0) * _number(config, "linear_value_head_dim", 0))
    wide = int(_number(config, "intermediate_size", 0))
    size = max(_head_size(config), int(_number(config, "global_head_dim", 0)))
    return Widths(
        hidden=int(_number(config, "hidden_size", 0)),
        feed_forward=wide,
        query=(2 if keys else 1) * heads * size,
        experts=int(_number(config, "num_experts_per_tok", 0)),
        expert=int(_number(config, "moe_intermediate_size", wide)),
        latent=heads * (2 * latent + query) if latent and "kv_lora_rank" in config else 0,
        convolution=2 * keys + values,
    )


def _experts(config: Json) -> int:
    """Count the experts, which each family calls otherwise: Mixtral, DeepSeek, Qwen."""
    found = (_number(config, key, 0) for key in ("num_local_experts", "n_routed_experts", "num_experts"))
    return int(max(found))


def _kinds(config: Json, count: int) -> list[str]:
    """Name each layer's kind of attention, as config.json's `layer_types` does."""
    listed = config.get("layer_types")
    if isinstance(listed, list) and len(listed) == count:
        return [str(kind) for kind in listed]
    if every := int(_number(config, "full_attention_interval", 0)):
        return [
            "full_attention" if (number + 1) % every == 0 else "linear_attention" for number in range(count)
        ]
    told = _number(config, "_sliding_window_pattern", _EVERY.get(str(config.get("model_type")), 0))
    every = int(_number(config, "sliding_window_pattern", told))
    if not every:
        return ["full_attention"] * count
    return ["full_attention" if (number + 1) % every == 0 else "sliding_attention" for number in range(count)]


def _layers(config: Json, kinds: list[str]) -> tuple[Layer, ...]:
    """Give the layers; the last of some (Gemma 3n and 4) use the cache of earlier ones."""
    own = len(kinds) - int(_number(config, "num_kv_shared_layers", 0))
    return tuple(_layer(config, kind) if number < own else Layer() for number, kind in enumerate(kinds))


def _layer(config: Json, kind: str) -> Layer:
    if kind == "linear_attention":
        return Layer(state=_linear_state(config))
    window = int(_number(config, "sliding_window", 0)) if kind == "sliding_attention" else 0
    if latent := int(_number(config, "kv_lora_rank", 0)):
        return Layer(keys=latent + int(_number(config, "qk_rope_head_dim", 0)), window=window)
    heads = _number(config, "num_key_value_heads", _number(config, "num_attention_heads", 0))
    size = float(_head_size(config))
    if kind == "full_attention":  # Gemma 4's have heads of their own
        heads = _number(config, "num_global_key_value_heads", heads)
        size = _number(config, "global_head_dim", size)
    width = int(heads) * int(size)
    return Layer(width, width, window)


def _linear_state(config: Json) -> int:
    """Count the state of a gated delta net (Qwen3-Next): a matrix for each head, a convolution's tail."""
    keys = int(_number(config, "linear_num_key_heads", 0) * _number(config, "linear_key_head_dim", 0))
    values = int(_number(config, "linear_num_value_heads", 0) * _number(config, "linear_value_head_dim", 0))
    tail = max(0, int(_number(config, "linear_conv_kernel_dim", 1)) - 1)
    return values * int(_number(config, "linear_key_head_dim", 0)) + tail * (2 * keys + values)


def _weights(config: Json, tensors: dict[str, Stored], count: int) -> Weights:
    per_layer = [0] * count
    embeddings = output = experts = 0
    for name, tensor in tensors.items():
        layer = _LAYER.search(name)
        if layer and int(layer[1]) < count:
            per_layer[int(layer[1])] += tensor.size
            experts += tensor.size if ".experts." in name else 0
        elif "embed_tokens" in name:
            embeddings += tensor.size
        else:
            output += tensor.size
    of = _experts(config)
    idle = 1 - _number(config, "num_experts_per_tok", of) / of if of else 0
    copied = 0 if any("lm_head" in name for name in tensors) else embeddings
    return Weights(tuple(per_layer), embeddings, output, copied, 1 - experts * idle / (sum(per_layer) or 1))


def _rope(config: Json) -> dict[str, str]:
    found = {"theta": config.get("rope_theta"), "scaling": config.get("rope_scaling")}
    return {name: json.dumps(value) for name, value in found.items() if value}
