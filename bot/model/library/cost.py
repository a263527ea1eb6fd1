"""What a context costs in memory, for a model that a server offers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bot.model.library.cache import Use, cache_of
from bot.model.library.catalogue import catalogue
from bot.model.library.inspector import inspect
from bot.model.library.report import size

if TYPE_CHECKING:
    from pathlib import Path

    from bot.model.library.shape import Shape


@dataclass(frozen=True)
class _Known:
    shape: Shape
    source: str
    weights: int


def context_cost(model: str, path: Path | None, context: int, slots: int) -> str:
    """Say what `context` tokens for each of `slots` answers at a time cost in memory. Blocks.

    It is counted from the model's files at `path`, else from the catalogue if it has a model of that name;
    empty where neither is known. Raises SetupError for files that make no sense.
    """
    known = _from_files(path) if path else _from_catalogue(model)
    if known is None:
        return ""
    cache = cache_of(known.shape, Use(context, slots))
    each = f" for each of {slots} answers at a time, {size(cache.total)} in all" if slots > 1 else ""
    weights = f"; the weights take {size(known.weights)}" if known.weights else ""
    return f"a KV cache of {size(cache.total // slots)}{each} (F16, {known.source}){weights}"


def _from_files(path: Path) -> _Known:
    found = inspect(str(path))
    return _Known(found.shape, "counted from its file", found.shape.weights.total)


def _from_catalogue(model: str) -> _Known | None:
    name = re.sub(r"[^a-z0-9.]+", "-", model.lower())
    entries = [one for one in catalogue() if one.name in name]
    if not entries:
        return None
    entry = max(entries, key=lambda one: len(one.name))
    return _Known(entry.shape("Q4_K_M"), f"by the catalogue's {entry.title}", 0)
