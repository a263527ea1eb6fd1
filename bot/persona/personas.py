"""Everybody who can be played: the operator's files, and what the members of each server brought.

The files are for every server, what members bring is for theirs alone. It is data in the store, never a
file in the operator's folder; what is needed of it at the table is held in memory, the whole card is not.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import re
import unicodedata
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog

from bot.documents import dumped
from bot.errors import TableError
from bot.persona.cards import files
from bot.persona.cards.card import Card, card_of
from bot.persona.cards.document import CardError
from bot.persona.cards.files import CardFile
from bot.persona.cards.mapping import card_from, persona_from
from bot.persona.library import meant
from bot.persona.persona import Persona, fold
from bot.store import personas as stored
from bot.store.records import PersonaRecord

if TYPE_CHECKING:
    from pathlib import Path

    from bot.clock import Clock
    from bot.persona.library import PersonaLibrary
    from bot.store.store import Store

ON_ONE_SERVER = 100
STEM_CHARACTERS = 20
NOT_YET = "persona.1"  # the slug of a persona that is read before it has one


@dataclass(frozen=True, slots=True)
class Arrival:
    """What came of bringing a card: who it is, who wrote it, and sentences about what is not used of it."""

    persona: Persona
    creator: str
    notes: tuple[str, ...]
    replaced: bool = False


@dataclass(frozen=True, slots=True)
class _Unpacked:
    came: CardFile
    persona: Persona
    notes: tuple[str, ...]
    face: bytes | None


class Personas:
    """The personas of all servers. `faces` is a folder of our own in which the stage finds their pictures."""

    def __init__(self, library: PersonaLibrary, store: Store, clock: Clock, faces: Path) -> None:
        self._library = library
        self._store = store
        self._clock = clock
        self._faces = faces
        self._brought: dict[str, tuple[PersonaRecord, Persona]] = {}
        self._one_change = asyncio.Lock()
        self._log = structlog.get_logger("hearthside.personas")

    async def open(self) -> None:
        """Read what members brought. A card that cannot be read is logged and left in the store."""
        faceless = []
        async with self._store.read() as connection:
            async for record, card in stored.every(connection):
                self._seat(record, card)
                if record.face and not (self._faces / record.face).exists():
                    faceless.append(record.slug)
        for slug in faceless:
            if slug in self._brought:
                await self._restore_face(slug)

    # -- who there is -------------------------------------------------------------------------------------

    def get(self, slug: str) -> Persona | None:
        """Give the persona of that slug, whichever server it belongs to."""
        return self._brought[slug][1] if slug in self._brought else self._library.get(slug)

    def find(self, text: str, guild_id: int | None = None) -> Persona | None:
        """Give the persona meant by a slug, else by a name, else by an alias, on that server."""
        return meant(text, self.all(guild_id))

    def all(self, guild_id: int | None = None) -> tuple[Persona, ...]:
        """Give those who can be played on a server, in the order of their names; of None, the operator's."""
        brought = [persona for record, persona in self._brought.values() if record.guild_id == guild_id]
        return tuple(sorted((*self._library.all(), *brought), key=lambda persona: fold(persona.name)))

    def is_brought(self, persona: Persona) -> bool:
        """Tell whether a persona is a member's, and no file of the operator's."""
        return persona.slug in self._brought

    # -- what members bring -------------------------------------------------------------------------------

    async def bring(self, guild_id: int, data: bytes, by: int, *, replacing: bool = False) -> Arrival:
        """Take in a card's file, whole or not at all; `replacing` puts it in the place of its namesake.

        Raises `CardError` where it cannot be used, `TableError` where there is no room for it.
        """
        unpacked = await asyncio.to_thread(_unpack, data)
        async with self._one_change:
            old = self._namesake(guild_id, unpacked.persona.name)
            if old and replacing and self.is_brought(old):
                persona = await self._replace(old, unpacked)
            else:
                persona = await self._add(guild_id, unpacked, by)
        creator = " ".join(unpacked.came.card.text("creator").split())[:100]
        return Arrival(persona, creator, unpacked.notes, replaced=old is not None)

    async def make(self, guild_id: int, card: Card, by: int) -> Persona:
        """Take in a card that was written here. Raises as `bring` does."""
        read = persona_from(card, NOT_YET)
        async with self._one_change:
            return await self._add(guild_id, _Unpacked(CardFile(card), read.persona, read.notes, None), by)

    async def change(self, persona: Persona, card: Card) -> Persona:
        """Change a member's persona. Running scenes use it from the next turn on. Raises as `bring` does."""
        async with self._one_change:
            record = self._record(persona)
            changed = persona_from(card, persona.slug, persona.avatar).persona
            self._require_free(record.guild_id, changed.name, but=persona.slug)
            text = dumped(card.document).decode()
            async with self._store.transaction() as tx:
                await stored.change(tx, record.id, card=text, changed_at=self._clock.now())
            return self._put(record, changed)

    async def remove(self, persona: Persona) -> None:
        """Forget a member's persona, its card and its face."""
        async with self._one_change:
            record = self._record(persona)
            async with self._store.transaction() as tx:
                await stored.remove(tx, record.id)
            del self._brought[persona.slug]
            await self._drop_face(record.face)

    async def card_file(self, persona: Persona) -> CardFile:
        """Give a persona's card with the file that it came in, or make one for an operator's persona."""
        if not self.is_brought(persona):
            face = await asyncio.to_thread(persona.avatar.read_bytes) if persona.avatar else None
            return CardFile(card_from(persona), face)
        record = self._record(persona)
        async with self._store.read() as connection:
            card, file = await stored.card_and_file(connection, record.id)
        return CardFile(card_of(json.loads(card)), file)

    # -- how it is kept -----------------------------------------------------------------------------------

    def _record(self, persona: Persona) -> PersonaRecord:
        if persona.slug not in self._brought:
            raise TableError(f"{persona.name} is not there any more.")
        return self._brought[persona.slug][0]

    def _namesake(self, guild_id: int, name: str) -> Persona | None:
        return next((one for one in self.all(guild_id) if fold(one.name) == fold(name)), None)

    def _require_free(self, guild_id: int, name: str, but: str = "") -> None:
        other = self._namesake(guild_id, name)
        if other is None or other.slug == but:
            return
        if self.is_brought(other):
            hint = "Import it with replace:True to put it in that one's place, or give it another name."
        else:
            hint = "That one belongs to the bot itself: give yours another name."
        raise TableError(f"There is a character called {other.name} already.", hint=hint)

    async def _add(self, guild_id: int, new: _Unpacked, by: int) -> Persona:
        self._require_free(guild_id, new.persona.name)
        there = sum(record.guild_id == guild_id for record, _ in self._brought.values())
        if there >= ON_ONE_SERVER:
            raise TableError(f"This server has brought {there} characters, which is all that is kept.")
        face = await self._keep_face(new.face)
        now = self._clock.now()
        stem = _stem(new.persona.name)
        async with self._store.transaction() as tx:
            persona_id = await stored.add(
                tx,
                guild_id=guild_id,
                stem=stem,
                card=dumped(new.came.card.document).decode(),
                face=face,
                created_by=by,
                created_at=now,
                changed_at=now,
                file=new.came.file,
            )
        return self._put(PersonaRecord(persona_id, guild_id, stem, face), new.persona)

    async def _replace(self, old: Persona, new: _Unpacked) -> Persona:
        record = self._record(old)
        face = await self._keep_face(new.face)
        text = dumped(new.came.card.document).decode()
        async with self._store.transaction() as tx:
            await stored.change(
                tx, record.id, card=text, face=face, file=new.came.file, changed_at=self._clock.now()
            )
        persona = self._put(replace(record, face=face), new.persona)
        if record.face != face:
            await self._drop_face(record.face)
        return persona

    def _seat(self, record: PersonaRecord, card: str) -> None:
        try:
            self._put(record, persona_from(card_of(json.loads(card)), record.slug).persona)
        except CardError as error:
            self._log.warning("persona_unreadable", slug=record.slug, error=str(error))

    def _put(self, record: PersonaRecord, persona: Persona) -> Persona:
        face = self._faces / record.face if record.face else None
        seated = replace(persona, slug=record.slug, avatar=face)
        self._brought[record.slug] = record, seated
        return seated

    # -- faces --------------------------------------------------------------------------------------------

    async def _keep_face(self, face: bytes | None) -> str | None:
        """Put a picture where the stage finds it, and give the name of its file."""
        if face is None:
            return None
        digest = hashlib.sha256(face).hexdigest()
        await asyncio.to_thread(_write, self._faces / digest, face)
        return digest

    async def _drop_face(self, face: str | None) -> None:
        if face and all(record.face != face for record, _ in self._brought.values()):
            with contextlib.suppress(OSError):
                await asyncio.to_thread((self._faces / face).unlink)

    async def _restore_face(self, slug: str) -> None:
        """Write a picture again whose file is gone; without it the character speaks without a face."""
        _, persona = self._brought[slug]
        try:
            await self._keep_face(await asyncio.to_thread(files.picture, await self.card_file(persona)))
        except (CardError, OSError) as error:
            self._log.warning("face_unreadable", slug=slug, error=str(error))


def _unpack(data: bytes) -> _Unpacked:
    came = files.read(data)
    read = persona_from(came.card, NOT_YET)
    return _Unpacked(came, read.persona, read.notes, files.picture(came))


def _write(path: Path, data: bytes) -> None:
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part")
    unfinished.write_bytes(data)
    unfinished.replace(path)


def _stem(name: str) -> str:
    """Make the readable part of a slug."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain)[:STEM_CHARACTERS].strip("-") or "persona"
