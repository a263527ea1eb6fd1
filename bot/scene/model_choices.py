"""Which model and which LoRA adapter a persona's answers are asked from, and who decided that.

What a server chose for the persona comes before what its file says, and that before the scene's model.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bot.chat import Adapter
from bot.store import persona_models
from bot.store.records import PersonaModel

if TYPE_CHECKING:
    from bot.persona.persona import Persona
    from bot.scene.scene import Scene
    from bot.store.store import Store

NO_CHOICE = PersonaModel()


class ModelChoices:
    """What the servers chose for their personas, held in memory: each answer asks for it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._chosen: dict[tuple[int, str], PersonaModel] = {}

    async def open(self) -> None:
        """Read what was chosen before."""
        async with self._store.read() as connection:
            self._chosen = await persona_models.every(connection)

    def of(self, guild_id: int | None, persona: str) -> PersonaModel:
        """Give what a server chose for the persona of that slug."""
        return self._chosen.get((guild_id or 0, persona), NO_CHOICE)

    def model(self, scene: Scene, persona: Persona | None) -> str | None:
        """Give the model to ask for in a scene; None leaves it to the model server."""
        if persona is None:
            return scene.record.model
        return self.of(scene.record.guild_id, persona.slug).model or persona.model or scene.record.model

    def adapter(self, guild_id: int | None, persona: Persona | None) -> Adapter | None:
        """Give the adapter to ask for."""
        if persona is None:
            return None
        chosen = self.of(guild_id, persona.slug)
        if chosen.lora is not None:
            return Adapter(chosen.lora, chosen.lora_scale) if chosen.lora else None
        return Adapter(persona.lora.name, persona.lora.scale) if persona.lora else None

    async def choose_model(self, guild_id: int, persona: Persona, model: str | None) -> None:
        """Have a persona answered by that model on a server; None: what its file says, or the scene's."""
        await self._keep(guild_id, persona, replace(self.of(guild_id, persona.slug), model=model))

    async def choose_adapter(
        self, guild_id: int, persona: Persona, adapter: str | None, scale: float = 1.0
    ) -> None:
        """Have a persona speak with that adapter on a server; '': with none; None: with its file's own."""
        chosen = self.of(guild_id, persona.slug)
        await self._keep(guild_id, persona, replace(chosen, lora=adapter, lora_scale=scale))

    async def _keep(self, guild_id: int, persona: Persona, chosen: PersonaModel) -> None:
        key = guild_id, persona.slug
        async with self._store.transaction() as tx:
            if chosen.model is None and chosen.lora is None:
                await persona_models.forget(tx, *key)
                self._chosen.pop(key, None)
            else:
                await persona_models.keep(tx, *key, chosen)
                self._chosen[key] = chosen
