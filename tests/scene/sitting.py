"""One scene without Discord and without a model: the store, the books, and what is said."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Any

from bot.clock import SystemClock
from bot.persona.library import PersonaLibrary
from bot.persona.persona import Persona
from bot.persona.personas import Personas
from bot.scene.lore import SceneLore
from bot.scene.lorebooks import Lorebooks
from bot.scene.scene import Scene
from bot.store import log
from bot.store.records import Entry, EntryKind, SceneRecord
from bot.store.store import Store
from tests.store.story import MIRA, SERVER, line, scene, started

PERSONAS = Path(__file__).parents[2] / "personas"


def shelf(store: Store, folder: Path, personas: Path = PERSONAS) -> Personas:
    """Give the personas of a folder, those that ship if it is not named. Faces go to `folder`."""
    library = PersonaLibrary(personas)
    library.load_all()
    return Personas(library, store, SystemClock(), faces=folder / "faces")


class Sitting:
    """A store, its books, and one scene."""

    def __init__(self, store: Store, personas: Personas, *cast: str) -> None:
        self.store = store
        self.personas = personas
        self.books = Lorebooks(store, SystemClock())
        self.cast = cast or ("narrator",)
        self.scene: Scene
        self.lore: SceneLore

    async def begin(self, **record: Any) -> None:
        """Begin the scene."""
        await self.sit(scene(id=await started(self.store, **record), **record))

    async def sit(self, record: SceneRecord) -> None:
        """Take the scene up as a start of the bot does."""
        async with self.store.read() as connection:
            window = await log.since(connection, record.id, record.window_start)
            last = await log.last_seq(connection, record.id)
        self.scene = Scene(record, self.cast, window, last)
        self.lore = SceneLore(self.store, self.books, self.personas, SystemClock(), Random(1))  # noqa: S311  # dice

    async def bring(self, *entries: dict[str, Any], **frame: Any) -> None:
        """Bring a lorebook."""
        document = {**frame, "entries": {str(number): entry for number, entry in enumerate(entries)}}
        data = json.dumps(document).encode()
        await self.books.bring(SERVER, data, MIRA, name="Vell", filename="vell.json")

    def persona(self, slug: str) -> Persona:
        found = self.personas.get(slug)
        assert found
        return found

    async def says(self, text: str, kind: EntryKind = EntryKind.PLAYER, **changes: Any) -> Entry:
        """Have something said or told, and put into the log."""
        async with self.store.transaction() as tx:
            entry = await log.append(
                tx, line(self.scene.id, self.scene.take_seq(), text, kind=kind, **changes)
            )
        self.scene.add(entry)
        return entry

    async def forget(self, entries: Iterable[Entry]) -> None:
        """Take entries out of the log, as a deletion does."""
        async with self.store.transaction() as tx:
            for entry in entries:
                await log.remove(tx, entry.id)
        for entry in entries:
            self.scene.window.discard(entry.id)

    async def change(self, entry: Entry, text: str) -> None:
        """Change an entry's text, as an edit does."""
        async with self.store.transaction() as tx:
            await log.set_text(tx, entry.id, text, 0.0)
            (changed,) = await log.between(tx, self.scene.id, entry.seq, entry.seq)
        self.scene.replace_entry(changed)
