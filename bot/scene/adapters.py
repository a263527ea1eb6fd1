"""LoRA adapters of the cast: what the players are told about them, once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.chat import Adapter
from bot.model.failures import sentence

if TYPE_CHECKING:
    from bot.model.backend import Backend
    from bot.persona.persona import Persona
    from bot.persona.personas import Personas
    from bot.scene.ports import Stage
    from bot.scene.scene import Scene

DIFFERENT = (
    "*{names} speak with different LoRA adapters ({adapters}). Whenever the word passes between them, the"
    " model has to read the whole story again.*"
)
MISSING = "*{backend} has no LoRA adapter called “{adapter}”: {name} speaks without it.*"


def adapter_of(persona: Persona) -> Adapter | None:
    """Give the adapter that a persona wants to speak with."""
    return Adapter(persona.lora.name, persona.lora.scale) if persona.lora else None


class Adapters:
    """Tells a scene's players what its adapters cost them."""

    def __init__(self, personas: Personas, stage: Stage) -> None:
        self._personas = personas
        self._stage = stage

    async def tell(self, scene: Scene, backend: Backend, persona: Persona) -> None:
        """Say what is to be known before `persona` speaks: a missing adapter, a second one in the cast."""
        adapter = adapter_of(persona)
        if adapter is None:
            return
        if not backend.has_lora(adapter):
            server = sentence(backend.name)
            text = MISSING.format(backend=server, adapter=adapter.name, name=persona.name)
            await self._once(scene, ("missing", server, persona.slug, adapter.name), text)
            return
        cast = [one for one in map(self._personas.get, scene.cast) if one and one.lora]
        different = {adapter_of(one): one.name for one in cast}
        if len(different) > 1:
            names = " and ".join(different.values())
            adapters = ", ".join(dict.fromkeys(one.name for one in different if one))
            await self._once(scene, ("different",), DIFFERENT.format(names=names, adapters=adapters))

    async def _once(self, scene: Scene, mark: tuple[str, ...], text: str) -> None:
        if mark not in scene.told:
            scene.told.add(mark)
            await self._stage.notice(scene.place, text)
