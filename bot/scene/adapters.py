"""LoRA adapters: which there are, who speaks with which, and what a change costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.chat import Adapter
from bot.errors import TableError
from bot.model.failures import sentence

if TYPE_CHECKING:
    from bot.model.backend import AdapterInfo
    from bot.model.backends import Backends
    from bot.persona.persona import Persona
    from bot.persona.personas import Personas
    from bot.scene.model_choices import ModelChoices
    from bot.scene.scene import Scene

NONE_AT_ALL = (
    "No server that is up has LoRA adapters. llama.cpp takes them with `--lora FILE`, vLLM with"
    " `--lora-modules`."
)
COST = "Whenever another adapter or scale takes over, the model reads the whole story again."
LONGEST_NAME = 200


class Adapters:
    """Answers what is asked about adapters, and sets them."""

    def __init__(self, backends: Backends, personas: Personas, models: ModelChoices) -> None:
        self._backends = backends
        self._personas = personas
        self._models = models

    async def names(self) -> list[str]:
        """Give the adapters of all servers that are up."""
        found = [info.name for _, infos in await self._backends.adapters() for info in infos]
        return list(dict.fromkeys(found))

    async def lines(self, guild_id: int | None) -> list[str]:
        """Say which adapters there are and who speaks with which, one thing on each line."""
        lines = [
            f"**{sentence(backend.name)}**: {', '.join(map(_shown, infos))}"
            for backend, infos in await self._backends.adapters()
            if infos
        ]
        speakers = [
            f"{one.name} speaks with {_described(adapter)}."
            for one in self._personas.all(guild_id)
            if (adapter := self._models.adapter(guild_id, one))
        ]
        return [*(lines or [NONE_AT_ALL]), *speakers, COST]

    async def choose(
        self, guild_id: int, scene: Scene | None, persona: Persona, name: str | None, scale: float
    ) -> str:
        """Have a persona speak with an adapter on a server, and say what comes of it.

        '' stands for none, None for that of the persona's file.
        """
        if name and len(name) > LONGEST_NAME:
            raise TableError(f"The name of an adapter has {LONGEST_NAME} characters at most.")
        note = await self._loaded(scene, persona, Adapter(name, scale)) if name else ""
        await self._models.choose_adapter(guild_id, persona, name, scale)
        adapter = self._models.adapter(guild_id, persona)
        speaks = f"with {_described(adapter)}" if adapter else "without an adapter"
        return " ".join(filter(None, [f"From the next turn on, {persona.name} speaks {speaks}.", note, COST]))

    async def _loaded(self, scene: Scene | None, persona: Persona, adapter: Adapter) -> str:
        """Have the server that answers load an adapter if it can, and say where it has none of that name."""
        wanted = self._models.model(scene, persona) if scene else persona.model
        backend = self._backends.at_hand(wanted, scene.id if scene else 0)
        if backend is None:
            return "No server is up that could be asked for it."
        there = {info.name.lower(): info for info in await backend.adapters()}
        info = there.get(adapter.name.lower())
        if backend.has_lora(adapter) and not (info and _is_at_another(info, adapter.scale)):
            return ""
        if info and backend.capabilities.loads_loras:
            await backend.load_adapter(adapter)
        if backend.has_lora(adapter):
            return ""
        known = ", ".join(sorted(there)) or "none"
        return (
            f"⚠ {sentence(backend.name)}, which answers now, has no adapter of that name (it has: {known}):"
            f" {persona.name} speaks without it there."
        )


def _is_at_another(info: AdapterInfo, scale: float) -> bool:
    """Tell whether it is applied to everybody, with another scale: 0 is that of a server asked each time."""
    return info.loaded and bool(info.scale) and info.scale != scale


def _shown(info: AdapterInfo) -> str:
    scale = f" at {info.scale:g}" if info.scale else ""
    return f"`{info.name}`{scale}" if info.loaded else f"`{info.name}` (not loaded)"


def _described(adapter: Adapter) -> str:
    return f"the adapter `{adapter.name}` at {adapter.scale:g}"
