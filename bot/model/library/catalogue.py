"""Well-known models by name, from `catalogue.toml`, with what each would take."""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from bot.errors import TableError
from bot.model.library.cache import Use
from bot.model.library.numbers import Numbers, from_numbers
from bot.model.library.plan import Machine, Plan, plan
from bot.model.library.quantization import MIXTURES
from bot.model.library.shape import Layer, Shape

READING = 5.0
"""Tokens per second: about 220 words a minute, as people read."""
_FILE = Path(__file__).parent.parent / "catalogue.toml"


@dataclass(frozen=True)
class Known:
    """An entry of the catalogue; what its fields mean stands at the head of `catalogue.toml`."""

    name: str
    title: str
    tier: int
    parameters: float
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_size: int
    vocabulary: int
    context: int
    licence: str
    formats: tuple[str, ...]
    note: str
    active: float = 0
    window: int = 0
    state: int = 0
    every: int = 1
    whole_kv_heads: int = 0
    whole_head_size: int = 0
    shared: int = 0
    latent: int = 0
    feed_forward: int = 0
    gguf: str = ""
    only: str = ""
    bits: float = 0

    def shape(self, quantization: str) -> Shape:
        """Give its shape in a mixture of types, or in the only one there is.

        Raises TableError for a mixture that has no known size.
        """
        numbers = Numbers(
            hidden=self.hidden,
            layers=self.layers,
            heads=self.heads,
            kv_heads=self.kv_heads,
            head_size=self.head_size,
            vocabulary=self.vocabulary,
            context=self.context,
            parameters=self.parameters,
            active_parameters=self.active,
            bits=self.bits or bits_of(quantization),
            feed_forward=self.feed_forward,
            latent=self.latent,
        )
        shape = from_numbers(numbers)
        return replace(
            shape, layers=tuple(self._layer(number, layer) for number, layer in enumerate(shape.layers))
        )

    def _layer(self, number: int, layer: Layer) -> Layer:
        if self.latent:
            return Layer(keys=self.latent)
        if number >= self.layers - self.shared:
            layer = Layer()
        elif number % self.every == self.every - 1:
            width = self.whole_kv_heads * self.whole_head_size
            return Layer(width, width) if width else layer
        return Layer(state=self.state) if self.state else replace(layer, window=self.window)


@dataclass(frozen=True)
class Suggestion:
    """A model of the catalogue, planned on a machine."""

    model: Known
    plan: Plan

    @property
    def verdict(self) -> str:
        """Say where it runs: "GPU", "GPU + RAM", "CPU" or "no"."""
        if not self.plan.fits:
            return "no"
        if self.plan.gpu_layers > len(self.plan.shape.layers):
            return "GPU"
        return "GPU + RAM" if self.plan.gpu_layers else "CPU"


def bits_of(quantization: str) -> float:
    """Give a mixture's bits per weight. Raises TableError for one that is not known."""
    found = MIXTURES.get(quantization.upper())
    if found is None:
        raise TableError(f"The size of {quantization} is not known.", hint=f"Known: {', '.join(MIXTURES)}.")
    return found


def catalogue() -> list[Known]:
    """Read the catalogue, by the tier for which lists name the models."""
    names = {field.name for field in fields(Known)}
    entries: list[dict[str, Any]] = tomllib.loads(_FILE.read_text(encoding="utf-8"))["model"]
    known = [
        Known(**{key: entry[key] for key in names & entry.keys()} | {"formats": tuple(entry["formats"])})
        for entry in entries
    ]
    return sorted(known, key=lambda entry: entry.tier)


def find(name: str) -> Known:
    """Give the entry of that name. Raises TableError with the nearest names where there is none."""
    known = {entry.name: entry for entry in catalogue()}
    if name.lower() in known:
        return known[name.lower()]
    near = difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.3)
    hint = f"Did you mean {' or '.join(near)}?" if near else "`hearthside model suggest` lists the names."
    raise TableError(f"There is no file, folder or known model {name}.", hint=hint)


def suggest(machine: Machine, use: Use, quantization: str) -> list[Suggestion]:
    """Plan every model of the catalogue on a machine. A context longer than a model's own is cut to that."""
    return [
        Suggestion(
            entry,
            plan(entry.shape(quantization), replace(use, context=min(use.context, entry.context)), machine),
        )
        for entry in catalogue()
    ]


def best_first(found: list[Suggestion]) -> tuple[list[Suggestion], list[Suggestion]]:
    """Give what answers as fast as people read, and what runs but does not, each the largest first."""
    runs = sorted((one for one in found if one.plan.fits), key=lambda one: -one.model.parameters)
    quick = [one for one in runs if one.plan.tokens_per_second >= READING]
    return quick, [one for one in runs if one not in quick]
