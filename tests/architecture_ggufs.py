"""Models of many architectures, small enough to write in a test, that llama.cpp loads.

Random weights: what they say is noise, what memory they take is what matters. The tensors' names and shapes
follow ggml-org/llama.cpp, src/models/*.cpp. The vocabulary is the tiny model's (`tests/tiny_gguf.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt

from tests.tiny_gguf import SPECIALS, _add_tokenizer, _vocabulary

HIDDEN, HEADS, KV_HEADS, HEAD, FEED_FORWARD = 128, 4, 2, 32, 96
LORA, ROPE, NOPE = 32, 32, 16
EXPERTS, EXPERTS_USED = 4, 2
INNER, STATE, CONV, TIME_RANK, GROUPS = 256, 128, 4, 4, 2

Shapes = dict[str, tuple[int, ...]]
"""A tensor's name and its shape as numpy has it: the last axis is the one that lies together in memory."""
Values = Mapping[str, int | float | list[int] | list[bool]]

ATTENTION: Shapes = {
    "attn_norm": (HIDDEN,),
    "attn_q": (HEADS * HEAD, HIDDEN),
    "attn_k": (KV_HEADS * HEAD, HIDDEN),
    "attn_v": (KV_HEADS * HEAD, HIDDEN),
    "attn_output": (HIDDEN, HEADS * HEAD),
}
FORWARD: Shapes = {
    "ffn_gate": (FEED_FORWARD, HIDDEN),
    "ffn_up": (FEED_FORWARD, HIDDEN),
    "ffn_down": (HIDDEN, FEED_FORWARD),
}
GATED: Shapes = {"ffn_norm": (HIDDEN,)} | FORWARD
BIASES: Shapes = {
    "attn_q.bias": (HEADS * HEAD,),
    "attn_k.bias": (KV_HEADS * HEAD,),
    "attn_v.bias": (KV_HEADS * HEAD,),
}
HEAD_NORMS: Shapes = {"attn_q_norm": (HEAD,), "attn_k_norm": (HEAD,)}
AFTER_NORMS: Shapes = {"post_attention_norm": (HIDDEN,), "post_ffw_norm": (HIDDEN,)}
EXPERT_WEIGHTS: Shapes = {
    "ffn_gate_inp": (EXPERTS, HIDDEN),
    "ffn_gate_exps": (EXPERTS, FEED_FORWARD, HIDDEN),
    "ffn_up_exps": (EXPERTS, FEED_FORWARD, HIDDEN),
    "ffn_down_exps": (EXPERTS, HIDDEN, FEED_FORWARD),
}
EXPERT_BIASES: Shapes = {
    "ffn_gate_inp.bias": (EXPERTS,),
    "ffn_gate_exps.bias": (EXPERTS, FEED_FORWARD),
    "ffn_up_exps.bias": (EXPERTS, FEED_FORWARD),
    "ffn_down_exps.bias": (EXPERTS, HIDDEN),
}
LATENT: Shapes = {
    "attn_norm": (HIDDEN,),
    "attn_q_a": (LORA, HIDDEN),
    "attn_q_a_norm": (LORA,),
    "attn_q_b": (HEADS * (NOPE + ROPE), LORA),
    "attn_kv_a_mqa": (LORA + ROPE, HIDDEN),
    "attn_kv_a_norm": (LORA,),
    "attn_k_b": (HEADS, LORA, NOPE),
    "attn_v_b": (HEADS, HEAD, LORA),
    "attn_output": (HIDDEN, HEADS * HEAD),
}
MAMBA: Shapes = {
    "attn_norm": (HIDDEN,),
    "ssm_in": (2 * INNER, HIDDEN),
    "ssm_conv1d": (INNER, CONV),
    "ssm_conv1d.bias": (INNER,),
    "ssm_x": (TIME_RANK + 2 * STATE, INNER),
    "ssm_dt": (INNER, TIME_RANK),
    "ssm_dt.bias": (INNER,),
    "ssm_a": (INNER, STATE),
    "ssm_d": (INNER,),
    "ssm_out": (HIDDEN, INNER),
}
MAMBA_NORMS: Shapes = {"ssm_dt_norm": (TIME_RANK,), "ssm_b_norm": (STATE,), "ssm_c_norm": (STATE,)}
MAMBA_2: Shapes = {
    "attn_norm": (HIDDEN,),
    "ssm_in": (2 * INNER + 2 * GROUPS * STATE + TIME_RANK, HIDDEN),
    "ssm_conv1d": (INNER + 2 * GROUPS * STATE, CONV),
    "ssm_conv1d.bias": (INNER + 2 * GROUPS * STATE,),
    "ssm_dt.bias": (TIME_RANK,),
    "ssm_a": (TIME_RANK, 1),
    "ssm_d": (TIME_RANK, 1),
    "ssm_norm": (GROUPS, INNER // GROUPS),
    "ssm_out": (HIDDEN, INNER),
}
SHORT_CONVOLUTION: Shapes = {
    "attn_norm": (HIDDEN,),
    "shortconv.conv": (HIDDEN, CONV),
    "shortconv.in_proj": (3 * HIDDEN, HIDDEN),
    "shortconv.out_proj": (HIDDEN, HIDDEN),
}
STATE_SPACE: Values = {
    "ssm.conv_kernel": CONV, "ssm.inner_size": INNER, "ssm.state_size": STATE,
    "ssm.time_step_rank": TIME_RANK,
}  # fmt: skip


@dataclass(frozen=True)
class Architecture:
    """How a small model of an architecture is made: its keys beyond the usual, and each layer's tensors."""

    layers: int
    layer: Callable[[int], Shapes]
    values: Values
    output: bool = True
    norm: str = "output_norm"
    beside: Mapping[str, tuple[int, ...]] = field(default_factory=dict)  # tensors of no layer


def _every(*parts: Shapes) -> Callable[[int], Shapes]:
    return lambda _: {name: shape for part in parts for name, shape in part.items()}


def _some(attention: Callable[[int], bool], here: Shapes, else_: Shapes) -> Callable[[int], Shapes]:
    return lambda layer: (here if attention(layer) else else_) | GATED


_FUSED: Shapes = {
    "attn_norm": (HIDDEN,),
    "attn_qkv": ((HEADS + 2 * KV_HEADS) * HEAD, HIDDEN),
    "attn_output": (HIDDEN, HEADS * HEAD),
    "ffn_norm": (HIDDEN,),
    "ffn_up": (2 * FEED_FORWARD, HIDDEN),
    "ffn_down": (HIDDEN, FEED_FORWARD),
}
# Qwen3.5 and 3.6: gated delta nets (VALUE_HEADS and KEY_HEADS of DELTA_HEAD), and attention with a gate.
VALUE_HEADS, KEY_HEADS, DELTA_HEAD = 4, 2, 32
DELTA_INNER = VALUE_HEADS * DELTA_HEAD
DELTA_ALL = DELTA_INNER + 2 * KEY_HEADS * DELTA_HEAD
DELTA_NET: Shapes = {
    "attn_norm": (HIDDEN,),
    "attn_qkv": (DELTA_ALL, HIDDEN),
    "attn_gate": (DELTA_INNER, HIDDEN),
    "ssm_conv1d": (DELTA_ALL, CONV),
    "ssm_dt.bias": (VALUE_HEADS,),
    "ssm_a": (VALUE_HEADS,),
    "ssm_beta": (VALUE_HEADS, HIDDEN),
    "ssm_alpha": (VALUE_HEADS, HIDDEN),
    "ssm_norm": (DELTA_HEAD,),
    "ssm_out": (HIDDEN, DELTA_INNER),
}
GATED_ATTENTION: Shapes = ATTENTION | HEAD_NORMS | {"attn_q": (2 * HEADS * HEAD, HIDDEN)}
# Gemma 4: the layers that look back at everything have fewer and larger heads.
WHOLE_HEAD = 64


def _qwen35(layer: int) -> Shapes:
    here = GATED_ATTENTION if layer == 3 else DELTA_NET
    return here | {"post_attention_norm": (HIDDEN,)} | FORWARD


def _gemma4(layer: int) -> Shapes:
    size, kv_heads = (WHOLE_HEAD, 1) if layer == 5 else (HEAD, KV_HEADS)
    attention: Shapes = {
        "attn_norm": (HIDDEN,),
        "attn_q": (HEADS * size, HIDDEN),
        "attn_k": (kv_heads * size, HIDDEN),
        "attn_v": (kv_heads * size, HIDDEN),
        "attn_output": (HIDDEN, HEADS * size),
        "attn_q_norm": (size,),
        "attn_k_norm": (size,),
    }
    return attention | AFTER_NORMS | GATED


_WINDOW: Values = {"attention.sliding_window": 512}
_HYBRID_HEADS = [0, KV_HEADS, 0, 0]

ARCHITECTURES: dict[str, Architecture] = {
    "llama": Architecture(4, _every(ATTENTION, GATED), {}),
    "qwen2": Architecture(3, _every(ATTENTION, BIASES, GATED), {}),
    "qwen3": Architecture(3, _every(ATTENTION, HEAD_NORMS, GATED), {}),
    "phi3": Architecture(3, _every(_FUSED), {"attention.sliding_window": 0}),
    "gemma2": Architecture(5, _every(ATTENTION, AFTER_NORMS, GATED), _WINDOW, output=False),
    "gemma3": Architecture(
        8, _every(ATTENTION, HEAD_NORMS, AFTER_NORMS, GATED), _WINDOW, output=False
    ),
    "cohere2": Architecture(
        6, _every(ATTENTION, FORWARD), {**_WINDOW, "attention.layer_norm_epsilon": 1e-5, "logit_scale": 0.25},
        output=False,
    ),
    "gpt-oss": Architecture(
        4,
        _every(
            ATTENTION, BIASES, {"attn_output.bias": (HIDDEN,), "attn_sinks": (HEADS,)},
            {"post_attention_norm": (HIDDEN,)}, EXPERT_WEIGHTS, EXPERT_BIASES,
        ),
        {
            **_WINDOW, "expert_count": EXPERTS, "expert_used_count": EXPERTS_USED,
            "expert_feed_forward_length": FEED_FORWARD,
        },
    ),
    "deepseek2": Architecture(
        3, _every(LATENT, GATED),
        {
            "attention.head_count_kv": 1, "attention.key_length": LORA + ROPE, "attention.value_length": LORA,
            "attention.key_length_mla": NOPE + ROPE, "attention.value_length_mla": HEAD,
            "attention.kv_lora_rank": LORA, "attention.q_lora_rank": LORA,
            "rope.dimension_count": ROPE, "leading_dense_block_count": 3,
            "expert_feed_forward_length": FEED_FORWARD, "expert_shared_count": 1, "expert_count": EXPERTS,
            "expert_used_count": EXPERTS_USED, "expert_weights_scale": 1.0,
        },
    ),
    "mamba": Architecture(4, _every(MAMBA), {**STATE_SPACE, "attention.head_count": 0}),
    "jamba": Architecture(
        4, _some(lambda layer: layer == 1, ATTENTION, MAMBA | MAMBA_NORMS),
        {**STATE_SPACE, "attention.head_count_kv": _HYBRID_HEADS},
    ),
    "mamba2": Architecture(
        4, _every(MAMBA_2), {**STATE_SPACE, "ssm.group_count": GROUPS, "attention.head_count": 0}
    ),
    "lfm2": Architecture(
        4, _some(lambda layer: layer == 1, ATTENTION | HEAD_NORMS, SHORT_CONVOLUTION),
        {"attention.head_count_kv": _HYBRID_HEADS, "shortconv.l_cache": CONV}, output=False,
        norm="token_embd_norm",
    ),
    "qwen35": Architecture(
        4, _qwen35,
        {
            "ssm.conv_kernel": CONV, "ssm.state_size": DELTA_HEAD, "ssm.group_count": KEY_HEADS,
            "ssm.time_step_rank": VALUE_HEADS, "ssm.inner_size": DELTA_INNER, "full_attention_interval": 4,
            "rope.dimension_sections": [8, 4, 4, 0],
        },
    ),
    "gemma4": Architecture(
        8, _gemma4,
        {
            **_WINDOW, "attention.sliding_window_pattern": [True] * 5 + [False] + [True] * 2,
            "attention.head_count_kv": [KV_HEADS] * 5 + [1] + [KV_HEADS] * 2, "attention.shared_kv_layers": 2,
            "attention.key_length": WHOLE_HEAD, "attention.value_length": WHOLE_HEAD,
            "attention.key_length_swa": HEAD, "attention.value_length_swa": HEAD,
            "rope.dimension_count": WHOLE_HEAD, "rope.dimension_count_swa": HEAD,
            "embedding_length_per_layer_input": 0,
        },
        output=False, beside={"rope_freqs.weight": (WHOLE_HEAD // 2,)},
    ),
}  # fmt: skip


def write_architecture_gguf(path: Path, name: str, context: int = 32768) -> Path:
    """Write the small model of that architecture and give the path back."""
    made = ARCHITECTURES[name]
    pieces, merges = _vocabulary()
    writer = gguf.GGUFWriter(path, name)
    values: dict[str, int | float | list[int] | list[bool]] = {
        "context_length": context,
        "embedding_length": HIDDEN,
        "block_count": made.layers,
        "feed_forward_length": FEED_FORWARD,
        "attention.head_count": HEADS,
        "attention.head_count_kv": KV_HEADS,
        "attention.key_length": HEAD,
        "attention.value_length": HEAD,
        "attention.layer_norm_rms_epsilon": 1e-5,
        "rope.dimension_count": HEAD,
        "vocab_size": len(pieces) + len(SPECIALS),
        **made.values,
    }
    for key, value in values.items():
        _add(writer, f"{name}.{key}", value)
    _add_tokenizer(writer, pieces, merges)
    for tensor, shape in _tensors(made, len(pieces) + len(SPECIALS)).items():
        writer.add_tensor(tensor, _random(tensor, shape))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _tensors(made: Architecture, vocabulary: int) -> Shapes:
    found: Shapes = {"token_embd.weight": (vocabulary, HIDDEN), f"{made.norm}.weight": (HIDDEN,)}
    found |= made.beside
    if made.output:
        found["output.weight"] = (vocabulary, HIDDEN)
    for number in range(made.layers):
        for name, shape in made.layer(number).items():
            bare = name.endswith(".bias") or name in {"ssm_a", "ssm_d"}
            found[f"blk.{number}.{name}" + ("" if bare else ".weight")] = shape
    return found


def _random(name: str, shape: tuple[int, ...]) -> npt.NDArray[np.float16] | npt.NDArray[np.float32]:
    values = np.random.default_rng(len(name)).standard_normal(shape).astype(np.float32) * 0.05
    whole = f"{name}."  # some have no `.weight` behind them
    exact = len(shape) == 1 or any(part in whole for part in ("ssm_a", "ssm_d.", "conv", "_norm", ".bias"))
    return values if exact else values.astype(np.float16)


def _add(writer: gguf.GGUFWriter, key: str, value: float | list[int] | list[bool]) -> None:
    if isinstance(value, list):
        writer.add_array(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    else:
        writer.add_float32(key, value)
