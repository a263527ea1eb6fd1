"""Whispers: what a player says to one character alone, and its answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bot.errors import TableError
from bot.memory.witnesses import audience, member
from bot.prompt.speech import in_character
from bot.scene.scene import Turn
from bot.store import knowledge, log, turns
from bot.store.records import EntryKind, Whisper

if TYPE_CHECKING:
    from bot.persona.persona import Persona
    from bot.scene.direction import Direction
    from bot.scene.scene import Scene
    from bot.scene.table import Table


@dataclass(frozen=True, slots=True)
class Whispered:
    """What a member whispered. `token` takes the answer for 15 minutes from `asked_at` (Unix seconds)."""

    author_id: int
    author_name: str
    text: str
    token: str
    asked_at: float


class Whispers:
    """Hears whispers. Only who is addressed, and the narrator, will know of them."""

    def __init__(self, table: Table, direction: Direction) -> None:
        self._table = table
        self._direction = direction

    async def hear(self, scene: Scene, name: str, whispered: Whispered) -> Persona:
        """Store a whisper to a persona of the scene, and promise its answer: `Table.wake` has it given.

        Raises TableError where nobody of that name is there to hear it.
        """
        if not scene.listening:
            raise TableError("This scene is paused.", hint="/scene resume goes on.")
        persona = self._direction.present(scene, name)
        text = in_character(whispered.text, {})
        if not text:
            raise TableError("There is nothing in it that your character says.")
        knowing = audience(persona.slug, member(whispered.author_id))
        whisper = Whisper(knowing, whispered.token, whispered.asked_at)
        async with scene.arrivals:
            async with self._table.store.transaction() as tx:
                turn_id = await turns.begin(tx, scene.id, self._table.clock.now())
                promised = await turns.promise(tx, turn_id, [persona.slug], first=0)
                await knowledge.whispered(tx, turn_id, whisper)
                told = scene.next_entry(
                    EntryKind.PLAYER,
                    self._table.player_name(scene, whispered.author_name),
                    f"(whispers to {persona.name}) {text}",
                    whispered.asked_at,
                    author_id=whispered.author_id,
                    turn_id=turn_id,
                    audience=knowing,
                )
                entry = await log.append(tx, told)
            scene.add(entry)
            scene.turns.append(Turn(turn_id, promised, begun=True, whisper=whisper))
        return persona
