"""What the table may know about its scene: how it stands, what happened last, what answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.errors import TableError
from bot.store import log, turns
from bot.store.records import Entry, EntryKind, SceneState

if TYPE_CHECKING:
    from bot.model.backends import Backends
    from bot.model.standing import BackendStatus, Offer
    from bot.scene.scene import Scene
    from bot.scene.table import Table

RECAP_ENTRIES = 12
RECAP_CHARACTERS = 1900
QUOTE_CHARACTERS = 220


def backend_line(status: BackendStatus) -> str:
    """Say how one model server stands."""
    if status.state == "down":
        return f"✗ {status.error}"
    if status.state == "standby":
        return f"○ {status.name} ({status.model}): stands by, and starts when no server answers."
    model = f": {status.model}" if status.model else ""
    context = (
        f"a context of {status.context_length} tokens"
        if status.context_length
        else "a context it does not tell"
    )
    counts = "counted exactly" if status.exact_counts else "estimated"
    waiting = f" {status.running} answers under way, {status.waiting} waiting." if status.running else ""
    return f"✓ {status.name}{model}, {context}, tokens are {counts}.{waiting}{_cached(status)}"


def _cached(status: BackendStatus) -> str:
    if not status.prompt_tokens:
        return ""
    share = 1 - status.evaluated_tokens / status.prompt_tokens
    return f" Of {status.prompt_tokens:,} prompt tokens it had {share:.0%} cached."


def offer_line(offer: Offer) -> str:
    """Say what one model is and who has it."""
    context = f", {offer.model.context_length} tokens" if offer.model.context_length else ""
    return f"`{offer.model.name}` on {offer.backend}{context}"


class Reports:
    """Answers questions about scenes."""

    def __init__(self, table: Table, backends: Backends) -> None:
        self._table = table
        self._backends = backends

    def scene_in(self, channel_id: int | None) -> Scene:
        """Give the scene of a channel. Raises TableError if there is none."""
        scene = self._table.scene_in(channel_id or 0)
        if scene is None:
            raise TableError("Nobody is playing here.", hint="/scene start opens a scene.")
        return scene

    async def status(self, scene: Scene) -> list[str]:
        """Say how a scene stands, one thing on each line."""
        async with self._table.store.read() as connection:
            entries = await log.count(connection, scene.id)
            played = await turns.count(connection, scene.id)
        paused = " (paused)" if scene.record.state is SceneState.PAUSED else ""
        in_window = len(scene.window.entries)
        players = ", ".join(scene.players()) or "nobody yet"
        return [
            f"**{scene.record.title}**{paused}",
            f"On stage: {', '.join(self._cast(scene))}.",
            f"Players: {players}.",
            f"Who answers: {scene.record.mode}.",
            f"Story: {entries} entries in {played} turns; the model reads the last {in_window}.",
            *self._last_answer(scene),
        ]

    async def recap(self, scene: Scene) -> str:
        """Tell the latest part of the story again, shortened, within one message of Discord."""
        async with self._table.store.read() as connection:
            entries = await log.last(connection, scene.id, RECAP_ENTRIES)
        lines: list[str] = []
        room = RECAP_CHARACTERS
        for entry in reversed(entries):
            if entry.kind is EntryKind.LORE:
                continue  # what the model knows is not yet what the players know
            line = _quote(entry)
            room -= len(line) + 1
            if room < 0:
                break
            lines.insert(0, line)
        told = "\n".join(lines) or "Nothing has happened yet."
        return f"**{scene.record.title}**, lately:\n{told}"

    async def models(self) -> list[str]:
        """Say which models there are, one on each line."""
        return [offer_line(offer) for offer in await self._backends.models()] or ["No server offers a model."]

    async def model_info(self, scene: Scene | None) -> list[str]:
        """Say which servers there are, and what answers in this scene."""
        lines = [backend_line(status) for status in await self._backends.status()]
        if scene is None:
            return lines
        chosen = scene.record.model
        lines.append(
            f"This scene asks for: {chosen}." if chosen else "This scene takes the server's own choice."
        )
        return [*lines, *self._last_answer(scene)]

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
            f"Last answer: {last.backend}" + (f", {last.model}" if last.model else "") + ".",
            f"Its prompt: {last.prompt_tokens} of {last.context_length} tokens ({counted}){evaluated}.",
        ]


def _quote(entry: Entry) -> str:
    text = " ".join(entry.text.split())
    shown = text if len(text) <= QUOTE_CHARACTERS else text[:QUOTE_CHARACTERS].rsplit(" ", 1)[0] + " …"
    return f"*{shown}*" if entry.kind is EntryKind.NOTE else f"**{entry.speaker}**: {shown}"
