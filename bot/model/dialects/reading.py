"""Reading what servers answer: JSON in which any field may be missing or of another type, and names."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from typing import Any

from bot.chat import Usage
from bot.model.backend import ModelInfo

MOST_MODELS = 1000
LONGEST_NAME = 200
"""Characters of a model's name; `/model set` takes as many."""
MOST_CONTEXT = 16_777_216
"""Tokens: more than any model has been made for; what a server says beyond that is a mistake."""
SAMPLE = "Ägir's hall, 12:34 — “Who knocks?” <|im_end|> naïve 東京 🎲\n\tdef f(x): return x**2  # …"
"""Text that tokenizers split differently: the ids they give for it tell them apart."""

# How people name quantizations in a model's or file's name: llama.cpp's, ExLlama's bits per weight, bits.
_QUANTIZATION = re.compile(
    r"(?<![a-z0-9])(i?q[1-8](?:_[0-9a-z]+)*|bf16|f(?:p)?(?:16|32)|fp8|mxfp4|\d(?:\.\d+)?bpw|int[48]|[2-8]-?bit)"
    r"(?![a-z0-9])",
    re.IGNORECASE,
)
_FORMAT = re.compile(r"(?<![a-z])(gguf|exl[23]|gptq|awq|mlx)(?![a-z])", re.IGNORECASE)


def mapping(value: Any) -> dict[str, Any]:
    """Give a JSON object, an empty one in place of anything else."""
    return value if isinstance(value, dict) else {}


def mappings(value: Any) -> list[dict[str, Any]]:
    """Give the objects of a JSON list, as many as a server can be believed to have."""
    return [item for item in value[:MOST_MODELS] if isinstance(item, dict)] if isinstance(value, list) else []


def sound(value: str) -> str:
    """Make text of what JSON calls one: its escapes can name half a character, which nobody else takes."""
    return value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def texts(value: Any) -> list[str]:
    """Give the texts of a JSON list that are not empty."""
    found = value[:MOST_MODELS] if isinstance(value, list) else []
    return [sound(item) for item in found if isinstance(item, str) and item]


def text(value: Any) -> str:
    """Give a text, an empty one in place of anything else."""
    return sound(value) if isinstance(value, str) else ""


def whole(value: Any) -> int | None:
    """Give a whole number from 0 on; None in place of anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def ids(value: Any) -> list[int] | None:
    """Give a list of token ids."""
    return value if isinstance(value, list) and all(whole(one) is not None for one in value) else None


def digest(*parts: Any) -> str:
    """Make a short name of what tells one thing from another."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def entries(listing: Any) -> list[dict[str, Any]]:
    """Give the models of an answer of `/v1/models`."""
    return mappings(mapping(listing).get("data"))


def owner(listing: Any) -> str:
    """Give who owns the first model of an answer of `/v1/models`: servers write their own name there."""
    listed = entries(listing)
    return text(listed[0].get("owned_by")) if listed else ""


def is_model_list(listing: Any) -> bool:
    """Tell a model server's answer from that of any other program on the port."""
    return isinstance(listing, dict) and isinstance(listing.get("data"), list)


def signature(listing: Any) -> str:
    """Give what changes when a server comes back with another model, without what changes all the time."""
    fields = ("id", "owned_by", "max_model_len", "meta", "status")
    return digest([[item.get(field) for field in fields] for item in entries(listing)])


def read_models(listing: Any) -> tuple[ModelInfo, ...]:
    """Read the answer of `/v1/models`; what is not a list of models gives none."""
    found = []
    for item in entries(listing):
        if name := text(item.get("id")):
            context = whole(item.get("max_model_len")) or whole(mapping(item.get("meta")).get("n_ctx"))
            found.append(ModelInfo(name, context))
    return tuple(sorted(found, key=embeds))


def believable(models: tuple[ModelInfo, ...]) -> tuple[ModelInfo, ...]:
    """Leave out names that nobody could type or read, and context lengths that no model has.

    Prompts would be made for those.
    """
    named = [one for one in models if len(one.name) <= LONGEST_NAME and one.name.isprintable()]
    return tuple(
        replace(one, context_length=None)
        if one.context_length is not None and not 0 < one.context_length <= MOST_CONTEXT
        else one
        for one in named
    )


def first_choice(chunk: dict[str, Any]) -> dict[str, Any]:
    """Give the answer that a chunk of a stream is a part of."""
    match chunk:
        case {"choices": [dict(choice), *_]}:
            return choice
    return {}


def text_of(choice: dict[str, Any]) -> str:
    """Give the text that a chunk adds to an answer."""
    match choice:
        case {"delta": {"content": str(added)}}:
            return sound(added)
    return ""


def embeds(model: ModelInfo) -> bool:
    """Tell a model that its name says is for embeddings: such a one must not be what answers by default."""
    return "embed" in model.name.lower()


def format_in(name: str) -> str | None:
    """Find the format of a model's files in its name: `gguf`, `exl2`, ..."""
    found = _FORMAT.search(name)
    return found[1].lower() if found else None


def quantization_in(name: str) -> str | None:
    """Find the quantization of a model in its name: `Q4_K_M`, `4.0bpw`."""
    found = _QUANTIZATION.findall(name)
    if not found:
        return None
    last = str(found[-1])
    return last.lower() if last.lower().endswith(("bpw", "bit")) else last.upper()


def openai_usage(chunk: dict[str, Any]) -> Usage | None:
    """Read OpenAI's `usage`; cached tokens are in it where the server was started to tell."""
    usage = mapping(chunk.get("usage"))
    prompt, completion = whole(usage.get("prompt_tokens")), whole(usage.get("completion_tokens"))
    if prompt is None or completion is None:
        return None
    cached = whole(mapping(usage.get("prompt_tokens_details")).get("cached_tokens"))
    return Usage(prompt, completion, None if cached is None else prompt - cached)
