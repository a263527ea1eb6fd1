"""What is found out about a model."""

from __future__ import annotations

from dataclasses import dataclass, field

from bot.model.library.shape import Shape


@dataclass(frozen=True)
class Inspection:
    """A model as its files describe it. `bits` are real: all bytes of weights over all parameters.

    `path` names it; `kind` is its format (GGUF, EXL2, GPTQ, ...); `size` in bytes; `rope` the settings of its
    positions; `types` how many parameters are kept in which type. 0, "" and empty mean that it is not said.
    """

    path: str
    kind: str
    architecture: str
    parameters: int
    heads: int
    kv_heads: int
    head_size: int
    tokenizer: str
    chat_template: bool
    quantization: str
    bits: float
    size: int
    shape: Shape
    experts: int = 0
    rope: dict[str, str] = field(default_factory=dict)
    types: dict[str, int] = field(default_factory=dict)
