"""What a game master decides: scenes begin and end, the cast changes, another model answers."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from bot.errors import HearthsideError, TableError
from bot.persona.macros import expand
from bot.persona.persona import Persona, opening
from bot.scene.ports import Speaker
from bot.scene.scene import Scene
from bot.scene.wording import passing
from bot.store import knowledge, log, scenes, turns
from bot.store.records import Entry, EntryKind, Mode, Preferences, ReplyState, SceneRecord, SceneState

if TYPE_CHECKING:
    from collections.abc import Iterable
    from random import Random

    from bot.scene.ports import Place
    from bot.scene.table import Table

TITLE_CHARACTERS = 100
PREMISE_CHARACTERS = 2000
CAST_SIZE = 12
DEFAULT_TITLE = "The Drowned Bell"  # the story that the bundled personas are written around


@dataclass(frozen=True, slots=True)
class NewScene:
    """What `/scene start` asks for. Messages later than `heard_from` will belong to the scene."""

    place: Place
    title: str
    premise: str
    personas: tuple[str, ...]
    mode: Mode
    started_by: int
    starter_name: str
    heard_from: int


class Direction:
    """Carries out what game masters decide. Every refusal is a TableError that says what to do."""

    def __init__(self, table: Table, rng: Random) -> None:
        self._table = table
        self._store = table.store
        self._rng = rng
        self._doors: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()

    # -- beginning and ending -----------------------------------------------------------------------------

    async def start(self, new: NewScene) -> Scene:
        """Open a scene and post its opening."""
        async with self._door(new.place.channel_id):
            scene, lead = await self._begun(new)
        try:
            await self._open(scene, lead, new.starter_name)
        except HearthsideError:
            await self._close(scene)
            raise
        return scene

    def _door(self, channel_id: int) -> asyncio.Lock:
        """Give what is held by who begins or ends a channel's scene or changes its cast: one at a time."""
        return self._doors.setdefault(channel_id, asyncio.Lock())

    async def _begun(self, new: NewScene) -> tuple[Scene, Persona]:
        if running := self._table.scene_in(new.place.channel_id):
            raise TableError(
                f"“{running.record.title}” is already playing here.",
                hint="End it with /scene end, or start this one in a thread.",
            )
        cast = await self._first_cast(new)
        preferred = await self.preferences(new.place.guild_id)
        record = SceneRecord(
            id=0,
            guild_id=new.place.guild_id,
            channel_id=new.place.channel_id,
            parent_id=new.place.parent_id,
            title=new.title[:TITLE_CHARACTERS].strip() or DEFAULT_TITLE,
            premise=new.premise[:PREMISE_CHARACTERS].strip(),
            mode=new.mode,
            lead=cast[0].slug,
            model=preferred.model,
            state=SceneState.ACTIVE,
            started_by=new.started_by,
            created_at=self._table.clock.now(),
            ended_at=None,
            window_start=0,
            heard_from=new.heard_from,
        )
        return await self._created(record, [persona.slug for persona in cast]), cast[0]

    async def _first_cast(self, new: NewScene) -> list[Persona]:
        if new.personas:
            named = dict.fromkeys(new.personas)
            return [self.persona(name, new.place.guild_id) for name in named][:CAST_SIZE]
        preferred = (await self.preferences(new.place.guild_id)).persona
        known = self._table.personas
        narrator = next((one for one in known.all() if one.narrator), None)
        lead = known.get(preferred or "") or narrator
        if lead is None:
            raise TableError(
                "There is no narrator among the personas.",
                hint="Name who plays with the persona option; /persona list shows who is there.",
            )
        return [lead]

    async def _created(self, record: SceneRecord, cast: list[str]) -> Scene:
        async with self._store.transaction() as tx:
            scene_id = await scenes.create(tx, record)
            await scenes.set_cast(tx, scene_id, cast)
            await knowledge.arrive(tx, scene_id, cast, first_seq=0)
        scene = Scene(record, cast, [], last_seq=0)
        scene.change(id=scene_id)
        self._table.seat(scene)
        return scene

    async def _open(self, scene: Scene, lead: Persona, starter: str) -> None:
        """Post the opening: a narrator reads the premise, everybody else greets."""
        macros = passing(scene.record, lead, starter, self._table.clock, self._rng)
        greeting = expand(opening(lead, scene.record.title), macros)
        text = (lead.narrator and scene.record.premise) or greeting
        if not text:
            return
        shown: list[int] = []

        async def on_posted(message_id: int) -> None:
            shown.append(message_id)

        speaker = Speaker.of(lead)
        async with scene.arrivals:
            utterance = self._table.stage.speak(
                scene.place, speaker, key=f"opening:{scene.id}", posted=(), on_posted=on_posted
            )
            ids = await utterance.finish(text)
            async with self._store.transaction() as tx:
                now = self._table.clock.now()
                told = scene.next_entry(EntryKind.OPENING, lead.name, text, now, persona=lead.slug)
                entry = await log.append(tx, told, ids)
            scene.add(entry)

    async def end(self, scene: Scene) -> None:
        """End a scene: whoever is speaking stops, its webhooks go, its story stays."""
        await self._close(scene)
        seen = dict.fromkeys([*scene.cast, *(stay.persona for stay in scene.stays)])
        with contextlib.suppress(HearthsideError):
            await self._table.stage.leave(scene.place, self._faces(seen))

    async def _close(self, scene: Scene) -> None:
        now = self._table.clock.now()
        async with self._door(scene.place.channel_id):
            async with scene.arrivals:
                await self._change(scene, state=SceneState.ENDED, ended_at=now)
                self._table.unseat(scene)
            await self._hush(scene)
            await self._forget_unshown(scene)
            async with self._store.transaction() as tx:
                for turn in scene.turns:
                    await turns.close(tx, turn.id, now)
                    if turn.whisper:
                        await knowledge.end_whisper(tx, turn.id)
        scene.turns.clear()

    async def _forget_unshown(self, scene: Scene) -> None:
        """Forget answers that were stored already when they were taken back from the channel."""
        async with self._store.read() as connection:
            open_turns = await turns.unfinished(connection, scene.id)
        for reply in [reply for _, replies in open_turns for reply in replies]:
            if reply.state is ReplyState.TOLD and reply.entry_id is not None:
                await self._table.forget(scene, reply.entry_id)

    async def pause(self, scene: Scene) -> None:
        """Let the table talk among themselves: nothing said now belongs to the story."""
        if not scene.listening:
            raise TableError("This scene is paused already.", hint="/scene resume goes on.")
        await self._change(scene, state=SceneState.PAUSED)

    async def resume(self, channel_id: int, heard_from: int) -> Scene:
        """Go on with a paused scene, or with the one that ended last in this channel."""
        async with self._door(channel_id):
            scene = self._table.scene_in(channel_id) or await self._last_ended(channel_id)
            if scene.listening:
                raise TableError("This scene is not paused.")
            await self._change(scene, state=SceneState.ACTIVE, ended_at=None, heard_from=heard_from)
            self._table.seat(scene)
        self._table.wake(scene)
        return scene

    async def _last_ended(self, channel_id: int) -> Scene:
        async with self._store.read() as connection:
            record = await scenes.last_ended(connection, channel_id)
        if record is None:
            raise TableError("No scene has ever been played here.", hint="/scene start begins one.")
        return await self._table.load(record)

    # -- the cast -----------------------------------------------------------------------------------------

    async def add(self, scene: Scene, name: str, *, briefed: bool = False) -> Persona:
        """Bring a persona into the scene. If `briefed`, it knows everything that happened before."""
        persona = self.persona(name, scene.record.guild_id)
        async with self._door(scene.record.channel_id):
            if persona.slug in scene.cast:
                raise TableError(f"{persona.name} is in this scene already.")
            if len(scene.cast) >= CAST_SIZE:
                raise TableError(
                    f"A scene holds {CAST_SIZE} characters at most.", hint="/scene remove makes room."
                )
            cast, note = [*scene.cast, persona.slug], f"{persona.name} is here now."
            await self._recast(scene, cast, note=note, briefed=briefed)
        return persona

    async def remove(self, scene: Scene, name: str) -> Persona:
        """Have a persona leave the scene. If it led, the next one leads."""
        async with self._door(scene.record.channel_id):
            persona = self._leaving(scene, name)
            rest = [slug for slug in scene.cast if slug != persona.slug]
            if not rest:
                raise TableError(
                    f"{persona.name} is the only one here.",
                    hint="Add somebody first, or end the scene with /scene end.",
                )
            lead = scene.record.lead if scene.record.lead in rest else rest[0]
            await self._recast(scene, rest, lead=lead, note=f"{persona.name} has left.")
        await self._leave(scene, persona)
        return persona

    async def set_lead(self, scene: Scene, name: str) -> Persona:
        """Have a persona lead the scene from the next turn on; a newcomer takes the old lead's place."""
        persona = self.persona(name, scene.record.guild_id)
        async with self._door(scene.record.channel_id):
            old = scene.record.lead
            if persona.slug == old:
                raise TableError(f"{persona.name} leads this scene already.")
            if persona.slug in scene.cast:
                await self._recast(scene, scene.cast, lead=persona.slug)
                return persona
            cast = [persona.slug if slug == old else slug for slug in scene.cast]
            gone = self._table.personas.get(old)
            note = f"{persona.name} is here now." + (f" {gone.name} has left." if gone else "")
            await self._recast(scene, cast, lead=persona.slug, note=note)
        if gone:
            await self._leave(scene, gone)
        return persona

    async def _leave(self, scene: Scene, persona: Persona) -> None:
        """Clear what a persona spoke with; where it may be speaking, that has time until the scene ends."""
        if not scene.answering:
            await self._table.stage.leave(scene.place, [Speaker.of(persona)])

    async def ask(self, scene: Scene, name: str | None) -> Persona:
        """Have a persona of the scene (its lead, if none is named) speak next."""
        if not scene.listening:
            raise TableError("This scene is paused.", hint="/scene resume goes on.")
        persona = self.present(scene, name or scene.record.lead)
        await self._table.ask(scene, persona.slug)
        return persona

    async def _recast(
        self,
        scene: Scene,
        cast: list[str],
        *,
        lead: str | None = None,
        note: str = "",
        briefed: bool = False,
    ) -> None:
        """Change the cast. Newcomers know what happens from the `note` on, or everything if `briefed`."""
        lead = lead or scene.record.lead
        came = [slug for slug in cast if slug not in scene.cast]
        went = [slug for slug in scene.cast if slug not in cast]
        async with scene.arrivals:
            async with self._store.transaction() as tx:
                await scenes.set_cast(tx, scene.id, cast)
                await scenes.change(tx, scene.id, lead=lead)
                entry = await self._note(scene, tx, note) if note else None
                if entry:
                    await knowledge.leave(tx, scene.id, went, last_seq=entry.seq)
                    await knowledge.arrive(tx, scene.id, came, 0 if briefed else entry.seq)
                stays = await knowledge.stays_of(tx, scene.id)
            scene.cast = cast
            scene.stays = stays
            scene.change(lead=lead)
            if entry:
                scene.add(entry)

    async def _note(self, scene: Scene, tx: Any, text: str) -> Entry:
        return await log.append(tx, scene.next_entry(EntryKind.NOTE, "", text, self._table.clock.now()))

    # -- how it is played ---------------------------------------------------------------------------------

    async def set_mode(self, scene: Scene, mode: Mode) -> None:
        """Decide anew who answers."""
        await self._change(scene, mode=mode)

    async def set_model(self, scene: Scene, model: str | None) -> None:
        """Have another model answer from the next turn on; None leaves the choice to the server."""
        await self._change(scene, model=model)

    async def prefer(self, guild_id: int, **values: str | None) -> None:
        """Remember `persona` or `model` for the scenes that this server will start."""
        async with self._store.transaction() as tx:
            await scenes.prefer(tx, guild_id, **values)

    async def preferences(self, guild_id: int | None) -> Preferences:
        """Give what a server prefers."""
        if guild_id is None:
            return Preferences()
        async with self._store.read() as connection:
            return await scenes.preferences_of(connection, guild_id)

    async def _change(self, scene: Scene, **values: Any) -> None:
        async with self._store.transaction() as tx:
            await scenes.change(tx, scene.id, **values)
        scene.change(**values)

    async def _hush(self, scene: Scene) -> None:
        if scene.player and scene.player is not asyncio.current_task():
            scene.player.cancel()
            await asyncio.gather(scene.player, return_exceptions=True)

    # -- who is who ---------------------------------------------------------------------------------------

    def persona(self, name: str, guild_id: int | None) -> Persona:
        """Find a persona of a server by slug, name or alias. Raises TableError if there is none."""
        found = self._table.personas.find(name, guild_id)
        if found is None:
            raise TableError(
                f"There is no persona called “{name[:80]}”.", hint="/persona list shows who is there."
            )
        return found

    def faces(self, scene: Scene) -> list[Speaker]:
        """Give the faces of a scene's cast."""
        return self._faces(scene.cast)

    def _faces(self, slugs: Iterable[str]) -> list[Speaker]:
        present = (self._table.personas.get(slug) for slug in slugs)
        return [Speaker.of(persona) for persona in present if persona]

    def _leaving(self, scene: Scene, name: str) -> Persona:
        """Find who is to leave; one that is no persona any more goes by the name the scene has for it."""
        if name in scene.cast and self._table.personas.get(name) is None:
            return Persona(name, name)
        return self.present(scene, name)

    def present(self, scene: Scene, name: str) -> Persona:
        """Find a persona of a scene's cast. Raises TableError if there is none of that name."""
        persona = self.persona(name, scene.record.guild_id)
        if persona.slug not in scene.cast:
            raise TableError(
                f"{persona.name} is not in this scene.",
                hint="/scene status shows who is; /scene add brings them in.",
            )
        return persona
