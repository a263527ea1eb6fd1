"""The shape of a model in GGUF format, from its header.

What an architecture does with its keys stands in ggml-org/llama.cpp, src/models/<architecture>.cpp
(load_arch_hparams) and src/llama-hparams.cpp (n_embd_k_gqa, n_embd_r, n_embd_s, set_swa_pattern).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from bot.errors import SetupError
from bot.model.gguf_header import Array, Header, Tensor
from bot.model.library.quantization import TYPES
from bot.model.library.shape import Layer, Shape, Weights
from bot.model.library.widths import Widths

_MOST_LAYERS = 10_000
_BLOCK = re.compile(r"blk\.(\d+)\.")


@dataclass(frozen=True)
class Window:
    """Which layers look back no further than a window.

    Of every `period` layers the last sees everything, or the first (`whole_first`). `size` is the window in
    tokens where the file names none, 0: then there is no window either.
    """

    period: int
    size: int = 0
    whole_first: bool = False


WINDOWS: dict[str, Window] = {
    "gemma2": Window(2, 4096),
    "gemma3": Window(6),
    "gemma3n": Window(5),
    "cohere2": Window(4),
    "gpt-oss": Window(2),
    "llama4": Window(4, 8192),
    "olmo2": Window(4),
    "exaone4": Window(4),
    "smallthinker": Window(4, whole_first=True),
    "afmoe": Window(4),
}
"""Architectures whose windows llama.cpp uses; a window that any other file names is not used by it, so every
layer keeps the whole context: Mistral 7B and Phi-3 are such."""

_FULL_EVERY = {"qwen3next": 4, "qwen35": 4, "qwen35moe": 4}
"""Hybrids where one layer in so many attends and the others are recurrent."""
_ALWAYS_RECURRENT = {"mamba", "mamba2", "rwkv6", "rwkv7", "arwkv7", "rwkv6qwen2"}
_BOTH_IN_EVERY_LAYER = {"falcon-h1"}


class Keys:
    """The metadata under the name of the architecture, with the types that it must have."""

    def __init__(self, header: Header) -> None:
        self._header = header
        self.architecture = str(header.metadata.get("general.architecture", ""))
        if not self.architecture:
            raise SetupError("The file does not say what architecture it is.", hint="Is it an adapter?")

    def number(self, key: str, default: int = 0) -> int:
        """Give an integer, `default` where there is none. Raises SetupError for a negative one."""
        value = self._header.metadata.get(f"{self.architecture}.{key}", default)
        if not isinstance(value, int) or value < 0:
            raise SetupError(f"The file's {key} of {value} makes no sense.", hint="Download it again.")
        return int(value)

    def array(self, key: str) -> Array | None:
        """Give an array, None where there is none."""
        return self._header.arrays.get(f"{self.architecture}.{key}")

    def each_layer(self, key: str, layers: int, default: int) -> list[int]:
        """Give an integer for each layer, however the file has it."""
        values = self.array(key)
        if values is None:
            return [self.number(key, default)] * layers
        numbers = [int(value) for value in values if isinstance(value, int)]
        if len(numbers) < layers:
            raise SetupError(f"The file's {key} has {len(values)} values for {layers} layers.")
        return numbers[:layers]


def shape_of(header: Header) -> Shape:
    """Give the shape of a model. Raises SetupError where the header is no language model's."""
    keys = Keys(header)
    count = keys.number("block_count")
    if not 0 < count <= _MOST_LAYERS:
        raise SetupError(f"A {keys.architecture} model of {count} layers is no language model.")
    return Shape(
        layers=_layers(keys, count),
        hidden=keys.number("embedding_length"),
        vocabulary=keys.number("vocab_size") or header.lengths.get("tokenizer.ggml.tokens", 0),
        feed_forward=max(keys.each_layer("feed_forward_length", count, 0)),
        widest=_widths(keys, count).widest,
        context=keys.number("context_length"),
        weights=weights_of(header.tensors, count, _active_experts(keys)),
    )


def heads_of(keys: Keys, layers: int) -> tuple[list[int], list[int]]:
    """Give the heads and the KV heads of each layer."""
    heads = keys.each_layer("attention.head_count", layers, 0)
    if keys.array("attention.head_count_kv") is None and not keys.number("attention.head_count_kv"):
        return heads, heads
    return heads, keys.each_layer("attention.head_count_kv", layers, 0)


def head_size(keys: Keys, layers: int) -> int:
    """Give the numbers in one head's key."""
    heads = max(heads_of(keys, layers)[0]) or 1
    return keys.number("attention.key_length", keys.number("embedding_length") // heads)


def _widths(keys: Keys, count: int) -> Widths:
    heads = max(heads_of(keys, count)[0])
    size = max(head_size(keys, count), keys.number("attention.value_length"))
    gated = 2 if keys.architecture in _FULL_EVERY else 1
    inner, groups = keys.number("ssm.inner_size"), keys.number("ssm.group_count")
    mixed = 2 * groups * keys.number("ssm.state_size")
    delta = keys.architecture in _FULL_EVERY
    latent, query = keys.number("attention.key_length"), keys.number("attention.key_length_mla")
    short = 2 * keys.number("embedding_length") if keys.number("shortconv.l_cache") else 0
    return Widths(
        hidden=keys.number("embedding_length"),
        feed_forward=max(keys.each_layer("feed_forward_length", count, 0)),
        query=gated * heads * size,
        experts=keys.number("expert_used_count"),
        expert=keys.number("expert_feed_forward_length") or keys.number("feed_forward_length"),
        latent=heads * (2 * latent + query) if query else 0,
        inner=0 if delta else inner,
        mixed=0 if delta else mixed,
        convolution=inner + mixed if delta else short,
    )


def _layers(keys: Keys, count: int) -> tuple[Layer, ...]:
    recurrent = _recurrent(keys, count)
    windows = _windows(keys, count)
    state = _state(keys)
    sharing = keys.number("attention.shared_kv_layers")
    return tuple(
        Layer(state=state)
        if recurrent[number] and keys.architecture not in _BOTH_IN_EVERY_LAYER
        else Layer(window=windows[number])
        if number >= count - sharing
        else _attention(keys, count, number, windows[number], state if recurrent[number] else 0)
        for number in range(count)
    )


def _attention(keys: Keys, count: int, number: int, window: int, state: int) -> Layer:
    kv_heads = heads_of(keys, count)[1][number]
    key = head_size(keys, count)
    value = keys.number("attention.value_length", key)
    if window:
        key = keys.number("attention.key_length_swa", key)
        value = keys.number("attention.value_length_swa", value)
    if keys.number("attention.key_length_mla"):
        value = 0  # the values are a part of the compressed vector that is kept as the key
    return Layer(kv_heads * key, kv_heads * value, window, state)


def _windows(keys: Keys, count: int) -> list[int]:
    """Give each layer's window in tokens, 0 where it looks back at everything."""
    pattern = keys.array("attention.sliding_window_pattern")
    size = keys.number("attention.sliding_window")
    if pattern is not None:
        return [size * bool(here) for here in pattern[:count]] + [0] * (count - len(pattern))
    rule = WINDOWS.get(keys.architecture)
    if rule is None or not (size := size or rule.size):
        return [0] * count
    period = keys.number("attention.sliding_window_pattern", rule.period) or 1
    whole = 0 if rule.whole_first else period - 1
    return [0 if number % period == whole else size for number in range(count)]


def _recurrent(keys: Keys, count: int) -> list[bool]:
    """Say of each layer whether it keeps a state rather than keys and values."""
    if keys.architecture in _ALWAYS_RECURRENT | _BOTH_IN_EVERY_LAYER:
        return [True] * count
    if every := _FULL_EVERY.get(keys.architecture):
        every = keys.number("full_attention_interval", every) or every
        return [(number + 1) % every != 0 for number in range(count)]
    if not _state(keys):
        return [False] * count
    return [kv_heads == 0 for kv_heads in heads_of(keys, count)[1]]


def _state(keys: Keys) -> int:
    """Count the numbers that a recurrent layer keeps for each sequence."""
    hidden = keys.number("embedding_length")
    if head := keys.number("wkv.head_size"):
        return keys.number("token_shift_count", 2) * hidden + hidden * head
    if convolution := keys.number("shortconv.l_cache"):
        return hidden * (convolution - 1)
    inner, state = keys.number("ssm.inner_size"), keys.number("ssm.state_size")
    together = inner + 2 * keys.number("ssm.group_count") * state
    return max(0, keys.number("ssm.conv_kernel") - 1) * together + state * inner


def _active_experts(keys: Keys) -> float:
    experts = keys.number("expert_count")
    return keys.number("expert_used_count") / experts if experts else 1.0


def numbers_in(tensor: Tensor) -> int:
    """Count the numbers of a tensor."""
    total = 1
    for axis in tensor.shape:
        total *= axis
    return total


def bytes_of(tensor: Tensor) -> int:
    """Count the bytes of a tensor. Raises SetupError for a type that is not known here."""
    kind = TYPES.get(tensor.type)
    if kind is None:
        raise SetupError(f"The file has tensors of a type that is not known here ({tensor.type}).")
    return -(-numbers_in(tensor) // kind.block) * kind.size


def weights_of(tensors: tuple[Tensor, ...], layers: int, active_experts: float) -> Weights:
    """Share out the bytes of all tensors. `active_experts` is the share of experts that a token meets."""
    per_layer = [0] * layers
    embeddings = output = experts = 0
    for tensor in tensors:
        size = bytes_of(tensor)
        block = _BLOCK.match(tensor.name)
        if block and int(block[1]) < layers:
            per_layer[int(block[1])] += size
            experts += size if "_exps." in tensor.name else 0
        elif tensor.name.startswith(("token_embd.", "per_layer_token_embd.")):
            embeddings += size
        else:
            output += size
    by_name = {tensor.name: tensor for tensor in tensors}
    tied = "token_embd.weight" in by_name and "output.weight" not in by_name
    copied = bytes_of(by_name["token_embd.weight"]) if tied else 0
    active = 1 - experts * (1 - active_experts) / (sum(per_layer) or 1)
    return Weights(tuple(per_layer), embeddings, output, copied, active)
