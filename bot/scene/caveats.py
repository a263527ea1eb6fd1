"""What a scene's players are told, once, about the model and the adapter that a character speaks with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.model.failures import sentence

if TYPE_CHECKING:
    from bot.model.backend import Backend
    from bot.persona.persona import Persona
    from bot.persona.personas import Personas
    from bot.scene.model_choices import ModelChoices
    from bot.scene.ports import Stage
    from bot.scene.scene import Scene

DIFFERENT = (
    "*{names} speak with different LoRA adapters ({adapters}). Whenever the word passes between them, the"
    " model has to read the whole story again.*"
)
MISSING = "*{backend} has no LoRA adapter called “{adapter}”: {name} speaks without it.*"
ANOTHER_MODEL = "*{backend} does not answer as “{wanted}”: {model} speaks for {name} instead.*"
ITS_OWN = "its own model"


class Caveats:
    """Tells a scene's players what is not as it was wished, and what their adapters cost them."""

    def __init__(self, personas: Personas, choices: ModelChoices, stage: Stage) -> None:
        self._personas = personas
        self._choices = choices
        self._stage = stage

    async def tell(
        self, scene: Scene, backend: Backend, persona: Persona, *, wanted: str | None, model: str | None
    ) -> None:
        """Say what is to be known before `persona` speaks.

        `wanted` is the model it should speak with, `model` the one that will be asked for.
        """
        if wanted and model is None:
            await self._tell_of_model(scene, backend, persona, wanted)
        guild = scene.record.guild_id
        adapter = self._choices.adapter(guild, persona)
        if adapter is None:
            return
        if not backend.has_lora(adapter):
            server = sentence(backend.name)
            text = MISSING.format(backend=server, adapter=adapter.name, name=persona.name)
            await self._once(scene, ("missing", server, persona.slug, adapter.name), text)
            return
        cast = [one for one in map(self._personas.get, scene.cast) if one]
        adapters = {one.name: self._choices.adapter(guild, one) for one in cast}
        different = {adapter: name for name, adapter in adapters.items() if adapter}
        if len(different) > 1:
            names = " and ".join(different.values())
            called = ", ".join(dict.fromkeys(one.name for one in different))
            await self._once(scene, ("different",), DIFFERENT.format(names=names, adapters=called))

    async def _tell_of_model(self, scene: Scene, backend: Backend, persona: Persona, wanted: str) -> None:
        server = sentence(backend.name)
        models = await backend.models()
        model = f"`{models[0].name}`" if models else ITS_OWN
        text = ANOTHER_MODEL.format(backend=server, wanted=wanted, model=model, name=persona.name)
        await self._once(scene, ("another model", server, persona.slug, wanted), text)

    async def _once(self, scene: Scene, mark: tuple[str, ...], text: str) -> None:
        if mark not in scene.told:
            scene.told.add(mark)
            await self._stage.notice(scene.place, text)
