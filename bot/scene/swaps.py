"""Another model answers: in a scene, in the scenes that a server starts, or for one persona there."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bot.errors import HearthsideError, TableError

if TYPE_CHECKING:
    from bot.model.backend import Progress
    from bot.model.backends import Backends
    from bot.model.standing import Offer
    from bot.persona.persona import Persona
    from bot.scene.direction import Direction
    from bot.scene.model_choices import ModelChoices
    from bot.scene.prompter import Forecast, Prompter
    from bot.scene.scene import Scene
    from bot.scene.table import Table

ITS_OWN = "the server's own choice"
UNKNOWN_CONTEXT = "Its context is not known before it is loaded."
UNTOLD_CONTEXT = "Its server does not tell its context: CONTEXT_LENGTH in .env can."
UNKNOWN_COST = "What that costs in memory is not known: the server does not say where the model's files are."


@dataclass(frozen=True, slots=True)
class Aim:
    """What a model is chosen for: a persona on a Discord server, else a scene, else the server's new scenes.

    `scene` is the one that is played in the channel, if any.
    """

    guild_id: int | None
    scene: Scene | None = None
    persona: Persona | None = None

    @property
    def key(self) -> int:
        """The scene's id, by which the model servers spread their scenes."""
        return self.scene.id if self.scene else 0


class Swaps:
    """Has other models answer, and says beforehand what that would mean."""

    def __init__(
        self,
        table: Table,
        direction: Direction,
        backends: Backends,
        models: ModelChoices,
        prompter: Prompter,
    ) -> None:
        self._table = table
        self._direction = direction
        self._backends = backends
        self._models = models
        self._prompter = prompter

    async def offer(self, aim: Aim, model: str) -> Offer:
        """Give the model as it would be used. Raises BackendError if no server offers it."""
        return await self._backends.offer(model, aim.key)

    async def choose(self, aim: Aim, model: str | None, on_progress: Progress) -> str:
        """Have a model answer from the next turn on, loaded if need be, and say so; None takes a choice back.

        The scene goes on meanwhile. Raises BackendError with the reason where no server can answer as it.
        """
        if model is not None:
            model = await self._backends.load(model, aim.key, on_progress)
        shown = f"**{model}**" if model else ITS_OWN
        if aim.persona:
            await self._models.choose_model(_guild(aim), aim.persona, model)
            back = self._wanted(aim)
            shown = f"**{model}**" if model else (f"`{back}`, as without a choice" if back else ITS_OWN)
            return f"From the next turn on, {aim.persona.name} is answered for by {shown} on this server."
        if aim.scene:
            await self._direction.set_model(aim.scene, model)
            said = f"From the next turn on, {shown} answers in “{aim.scene.record.title}”."
            return " ".join([said, *self._exceptions(aim.scene, model)])
        await self._direction.prefer(_guild(aim), model=model)
        return f"Scenes that are started on this server will be answered by {shown}."

    async def foresee(self, aim: Aim, model: str | None) -> list[str]:
        """Say what choosing a model would mean, one thing on each line; nothing is changed or loaded."""
        name = model or self._wanted(aim) or await self._default(aim)
        offer = await self.offer(aim, name)
        lines = [f"If **{name}** answered ({offer.backend}); nothing has been changed:", _readiness(offer)]
        context = await self._context(offer)
        if context is None:
            asleep = offer.model.loaded is False
            return [*lines, UNKNOWN_CONTEXT if asleep else UNTOLD_CONTEXT]
        cost = await self._cost(offer, context)
        lines.append(
            f"Its context of {context:,} tokens: {cost}."
            if cost
            else f"{context:,} tokens of context. {UNKNOWN_COST}"
        )
        return [*lines, *await self._losses(aim, offer, context)]

    async def _default(self, aim: Aim) -> str:
        backend = self._backends.at_hand(None, aim.key)
        models = await backend.models() if backend else ()
        if not models:
            raise TableError("No server is there whose own choice is known.")
        return models[0].name

    async def _context(self, offer: Offer) -> int | None:
        if offer.server and offer.answers:
            return await offer.server.context_length(offer.model.name)
        return offer.model.context_length

    async def _cost(self, offer: Offer, context: int) -> str:
        """Say what a context costs in memory; empty where that is not known."""
        from bot.model.library.cost import context_cost  # noqa: PLC0415  # imported when first needed: 15 ms

        slots = offer.server.capabilities.slots if offer.server else None
        try:
            return await asyncio.to_thread(context_cost, offer.model.name, offer.path, context, slots or 1)
        except HearthsideError:
            return ""

    async def _losses(self, aim: Aim, offer: Offer, context: int) -> list[str]:
        """Say what would fall out of the window of the scene that is played here."""
        if aim.scene is None:
            return []
        loaded = offer.server if offer.server and offer.answers and offer.model.loaded is not False else None
        forecast = await self._prompter.foresee(aim.scene, loaded, context, model=offer.model.name)
        return [_forecast_line(aim.scene, forecast)]

    def _wanted(self, aim: Aim) -> str | None:
        """Give the model that is asked for without the choice that is being made."""
        if aim.persona:
            return aim.persona.model or (aim.scene.record.model if aim.scene else None)
        return None

    def _exceptions(self, scene: Scene, model: str | None) -> list[str]:
        """Name those of a scene's cast who are not answered for by its model."""
        cast = [one for one in map(self._table.personas.get, scene.cast) if one]
        own = [(one.name, self._models.model(scene, one)) for one in cast]
        return [f"{name} keeps a model of their own: `{other}`." for name, other in own if other != model]


def _guild(aim: Aim) -> int:
    if aim.guild_id is None:
        raise TableError(
            "That is chosen for a whole server, and this is none.", hint="Use it in a server's channel."
        )
    return aim.guild_id


def _readiness(offer: Offer) -> str:
    if not offer.answers:
        return "It has to be loaded first, in the place of the model that answers everybody there now."
    if offer.model.loaded is False:
        return "It has to be loaded first; scenes go on meanwhile."
    return "It can answer at once."


def _forecast_line(scene: Scene, forecast: Forecast) -> str:
    how = "counted exactly" if forecast.exact else "estimated"
    prompt = f"The prompt of “{scene.record.title}” would have {forecast.tokens:,} tokens ({how})"
    if not forecast.gone:
        return f"{prompt}: nothing would fall out of the window."
    return (
        f"{prompt}: of the {forecast.entries} entries in the window, the oldest {forecast.gone} would fall"
        f" out ({forecast.gone_tokens:,} tokens)."
    )
