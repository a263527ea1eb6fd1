"""What the table may know about its scene: how it stands, what answers."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from bot.errors import BackendError, TableError
from bot.model.failures import sentence
from bot.store import log, turns
from bot.store.records import SceneState

if TYPE_CHECKING:
    from bot.model.backend import Backend, ModelInfo
    from bot.model.backends import Backends
    from bot.model.standing import BackendStatus
    from bot.scene.model_choices import ModelChoices
    from bot.scene.prompter import Prompter
    from bot.scene.scene import Scene
    from bot.scene.table import Table


def nobody_plays() -> TableError:
    """Give the error of what needs a scene where there is none."""
    return TableError(
        "Nobody is playing here.", hint="/scene start opens a scene, /scene resume one that has ended."
    )


def backend_line(status: BackendStatus, *, exact: bool | None = None) -> str:
    """Say how one model server stands; `exact`: whether its counts are, if that was found out."""
    if status.state == "down":
        return f"✗ {status.error}"
    if status.state == "standby":
        model = "" if _named(status.name, status.model) else f" ({status.model})"
        return f"○ {status.name}{model}: stands by, and starts when no server answers."
    model = "" if _named(status.name, status.model) else f": {status.model}"
    context = (
        f"a context of {status.context_length} tokens"
        if status.context_length
        else "a context it does not tell"
    )
    counts = "counted exactly" if (status.exact_counts if exact is None else exact) else "estimated"
    waiting = f" {status.running} answers under way, {status.waiting} waiting." if status.running else ""
    return f"✓ {status.name}{model}, {context}, tokens are {counts}.{waiting}{_cached(status)}"


def _answers(server: str, model: str | None) -> str:
    return server if _named(server, model) else f"{server}, {model}"


def _named(server: str, model: str | None) -> bool:
    """Tell whether a server's name says all: the CPU model's own is called after it."""
    return not model or server.endswith(model)


def _cached(status: BackendStatus) -> str:
    if not status.prompt_tokens:
        return ""
    share = 1 - status.evaluated_tokens / status.prompt_tokens
    return f" Of {status.prompt_tokens:,} prompt tokens it had {share:.0%} cached."


def offer_line(model: ModelInfo) -> str:
    """Say what one model is: its context, its files, whether it is loaded."""
    mark = "○" if model.loaded is False else "●"
    context = f"{model.context_length:,} tokens" if model.context_length else ""
    files = " ".join(filter(None, [model.format, model.quantization]))
    adapter = f"LoRA of {model.adapter_of}" if model.adapter_of else ""
    asleep = "not loaded" if model.loaded is False else ""
    return " · ".join(filter(None, [f"{mark} `{model.name}`", context, files, adapter, asleep]))


class Reports:
    """Answers questions about scenes."""

    def __init__(self, table: Table, backends: Backends, models: ModelChoices, prompter: Prompter) -> None:
        self._table = table
        self._backends = backends
        self._models = models
        self._prompter = prompter

    def scene_in(self, channel_id: int | None) -> Scene:
        """Give the scene of a channel. Raises TableError if there is none."""
        scene = self._table.scene_in(channel_id or 0)
        if scene is None:
            raise nobody_plays()
        return scene

    async def status(self, scene: Scene) -> list[str]:
        """Say how a scene stands, one thing on each line."""
        async with self._table.store.read() as connection:
            entries = await log.count(connection, scene.id)
            played = await turns.count(connection, scene.id)
        paused = " (paused)" if scene.record.state is SceneState.PAUSED else ""
        in_window = len(scene.window.entries)
        players = ", ".join(scene.players(aloud=True)) or "nobody yet"
        return [
            f"**{scene.record.title}**{paused}",
            f"On stage: {', '.join(self._cast(scene))}.",
            f"Players: {players}.",
            f"Who answers: {scene.record.mode}.",
            f"Story: {entries} entries in {played} turns; the model reads the last {in_window}.",
            *self._last_answer(scene),
        ]

    async def models(self) -> list[str]:
        """Say what every server offers, one model on each line, and which servers cannot be asked now."""
        lines: list[str] = []
        server = ""
        for offer in await self._backends.models():
            if offer.backend != server:
                server = offer.backend
                lines.append(f"**{sentence(server)}**")
            lines.append(offer_line(offer.model))
        down = [status for status in await self._backends.status() if status.state == "down"]
        return [*lines, *map(backend_line, down)] or ["No server offers a model."]

    async def model_info(self, scene: Scene | None) -> list[str]:
        """Say which servers there are, and what answers in this scene."""
        lines = [
            backend_line(status, exact=await self._is_exact(status.backend, None))
            for status in await self._backends.status()
        ]
        if scene is None:
            return lines
        chosen = scene.record.model
        lines.append(
            f"This scene asks for: {chosen}." if chosen else "This scene takes the server's own choice."
        )
        return [*lines, *await self._lead(scene), *self._wishes(scene), *self._last_answer(scene)]

    async def _is_exact(self, backend: Backend | None, model: str | None) -> bool | None:
        """Find out whether prompts are counted exactly; None where the server cannot be asked."""
        if backend is not None:
            with contextlib.suppress(BackendError):
                return await self._prompter.is_exact(backend, model)
        return None

    async def _lead(self, scene: Scene) -> list[str]:
        """Say what would answer for the scene's lead now, and what of the cast's sampling it goes without."""
        wanted = self._models.model(scene, self._table.personas.get(scene.record.lead))
        backend = self._backends.at_hand(wanted, scene.id)
        if backend is None:
            return []
        model = self._backends.model_for(backend, wanted)
        name = model or next((one.name for one in await backend.models()), "its own model")
        length = await backend.context_length(model)
        context = f", a context of {length} tokens" if length else ""
        exact = await self._is_exact(backend, model)
        counts = "" if exact is None else ", tokens are " + ("counted exactly" if exact else "estimated")
        lines = [f"Next: {_answers(backend.name, name)}{context}{counts}."]
        cast = [one for one in map(self._table.personas.get, scene.cast) if one]
        dropped = dict.fromkeys(name for one in cast for name in backend.dropped(one.sampling))
        if dropped:
            lines.append(f"{sentence(backend.name)} has no {', '.join(dropped)}: answers go without.")
        return lines

    def _wishes(self, scene: Scene) -> list[str]:
        """Say which of the cast have a model or an adapter of their own."""
        lines = []
        for one in filter(None, map(self._table.personas.get, scene.cast)):
            chosen = self._models.of(scene.record.guild_id, one.slug)
            if model := chosen.model or one.model:
                by = "chosen on this server" if chosen.model else "by their file"
                lines.append(f"{one.name} asks for: {model} ({by}).")
            if adapter := self._models.adapter(scene.record.guild_id, one):
                lines.append(f"{one.name} speaks with the adapter {adapter.name} at {adapter.scale:g}.")
        return lines

    def _cast(self, scene: Scene) -> list[str]:
        shown = []
        for slug in scene.cast:
            persona = self._table.personas.get(slug)
            name = persona.name if persona else f"{slug} (not there any more)"
            shown.append(f"{name} (leads)" if slug == scene.record.lead else name)
        return shown

    def _last_answer(self, scene: Scene) -> list[str]:
        last = scene.last_answer
        if last is None:
            return []
        counted = "counted exactly" if last.exact else "estimated"
        evaluated = (
            f", {last.evaluated_tokens} of them evaluated anew" if last.evaluated_tokens is not None else ""
        )
        return [
            f"Last answer: {_answers(last.backend, last.model)}.",
            f"Its prompt: {last.prompt_tokens} of {last.context_length} tokens ({counted}){evaluated}.",
        ]
