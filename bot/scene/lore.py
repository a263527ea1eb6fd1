"""What lorebooks tell in a scene: appended to the log before the answer that it is for, once."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from random import Random
from typing import TYPE_CHECKING
from weakref import ReferenceType, WeakKeyDictionary, ref

import structlog

from bot.memory.witnesses import visible
from bot.persona.macros import expand
from bot.persona.persona import PLAYER, in_words_of, names
from bot.prompt.log import SPOKEN
from bot.prompt.lore import formats
from bot.prompt.lore.activation import BUDGET_SHARE, Circumstances, activate, standing
from bot.prompt.lore.matching import LONGEST_SCAN, Lore
from bot.prompt.lore.text import folded
from bot.prompt.text import unbracketed
from bot.prompt.tokens import EstimatingCounter
from bot.scene.wording import lasting, passing
from bot.store import log
from bot.store import lore as stored
from bot.store.records import Entry, EntryKind, FiredRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bot.clock import Clock
    from bot.persona.macros import Macros
    from bot.persona.persona import Persona
    from bot.persona.personas import Personas
    from bot.prompt.lore.model import Book, Ref
    from bot.prompt.lore.verdict import Fired, Outcome
    from bot.scene.lorebooks import Lorebooks
    from bot.scene.scene import Scene
    from bot.store.connection import Connection
    from bot.store.store import Store

# The context, in tokens, that the budget is a share of while a scene has not been answered yet.
ASSUMED_CONTEXT = 4096
# How many entries are held ready to be matched, of the casts and servers that played last: 10,000 take some
# 30 MiB. A server whose books alone are more keeps them.
ENTRIES_READY = 20_000
SCENES_READY = 1000
LABEL_CHARACTERS = 100

_MESSAGES = frozenset({EntryKind.PLAYER, *SPOKEN})


@dataclass(slots=True)
class _Memory:
    """What is known of one scene: what was told there, and how many messages it has up to a place.

    `head` is what stands in the head of its prompt, of the books as they were then: `head_of`.
    """

    fired: list[FiredRecord]
    context: int = ASSUMED_CONTEXT
    head: frozenset[Ref] = field(default_factory=frozenset)
    head_of: ReferenceType[Lore] | None = None
    counted_to: int = 0
    messages: int = 0
    answers: int = 0


class SceneLore:
    """The lore of running scenes: the server's books, and those of the cast."""

    def __init__(self, store: Store, books: Lorebooks, personas: Personas, clock: Clock, rng: Random) -> None:
        self._store = store
        self._books = books
        self._personas = personas
        self._clock = clock
        self._rng = rng
        self._tokens = EstimatingCounter().count
        self._memories: WeakKeyDictionary[Scene, _Memory] = WeakKeyDictionary()
        self._ready: OrderedDict[tuple[object, ...], tuple[tuple[int, list[Book]], Lore]] = OrderedDict()
        self._own_books: dict[str, tuple[Persona, Book | None]] = {}
        self._one_build = asyncio.Lock()
        self._log = structlog.get_logger("hearthside.lore")

    async def standing(self, scene: Scene, context_length: int) -> tuple[str, ...]:
        """Give what is always true in a scene, for the prompt's head: at most a quarter of the context."""
        lore = await self._lore(scene)
        memory = await self._memory(scene)
        memory.context = context_length
        told = self._standing(scene, lore, context_length)
        memory.head, memory.head_of = _refs(told), ref(lore)
        return tuple(fired.text for fired in told)

    async def append(self, scene: Scene, persona: Persona, audience: str | None = None) -> None:
        """Append to the log what was woken since the last answer, before `persona` takes the word.

        What wakes it is what the persona knows; whispers do so only for an answer to an `audience`, which
        alone knows what is told then.
        """
        lore = await self._lore(scene)
        if not lore.entries:
            return
        async with scene.arrivals:
            now = await self._circumstances(scene, persona, lore, audience=audience)
            outcome = activate(lore, now)
            if not outcome.fired:
                return
            memory = await self._memory(scene)
            async with self._store.transaction() as tx:
                told = [await self._tell(tx, scene, fired, audience) for fired in outcome.fired]
            for entry, record in told:
                scene.add(entry)
                memory.fired.append(record)

    async def tested(self, guild_id: int, scene: Scene | None, text: str) -> Outcome:
        """Say what would be told if somebody said that now, and what would not; nothing is changed by it.

        The keys are looked for in the text alone; time, chance and room are the scene's, if one is running.
        """
        if scene is None:
            lore = await asyncio.to_thread(Lore, await self._books.playable(guild_id))
            now = self._alone(text)
        else:
            lore = await self._lore(scene)
            lead = self._personas.get(scene.record.lead)
            now = await self._circumstances(scene, lead, lore, said=text)
        return activate(lore, now)

    # -- what it depends on -------------------------------------------------------------------------------

    def _alone(self, text: str) -> Circumstances:
        return Circumstances(
            messages=(text,),
            fresh=1,
            budget=ASSUMED_CONTEXT // BUDGET_SHARE,
            tokens=self._tokens,
            rng=self._rng,
            count=1,
        )

    async def _circumstances(
        self,
        scene: Scene,
        persona: Persona | None,
        lore: Lore,
        *,
        said: str | None = None,
        audience: str | None = None,
    ) -> Circumstances:
        memory = await self._memory(scene)
        count, answers = await self._counted(scene, keep=said is None)
        entries = scene.window.entries
        if persona:
            entries = visible(entries, persona.slug, persona.narrator, scene.stays)
        there = {entry.id: entry.seq for entry in entries if entry.kind is EntryKind.LORE}
        window = {(one.book, one.uid): one.seq for one in memory.fired if one.entry_id in there}
        heard = [entry for entry in entries if audience or entry.audience is None]
        messages = [entry for entry in heard if entry.kind in _MESSAGES][-LONGEST_SCAN:]
        known = memory.head_of is not None and memory.head_of() is lore
        head = memory.head if known else _refs(self._standing(scene, lore, memory.context))
        return Circumstances(
            messages=[f"{entry.speaker}: {entry.text}" for entry in messages] if said is None else (said,),
            fresh=_fresh(messages) if said is None else 1,
            budget=memory.context // BUDGET_SHARE,
            tokens=self._tokens,
            rng=self._rng,
            count=count,
            answers=answers,
            names=_folded(persona, lambda one: (*names(one), one.slug)),
            tags=_folded(persona, lambda one: one.tags),
            greeting=0,
            head=head,
            window=window,
            fired={(one.book, one.uid): one.since for one in memory.fired},
            fill=self._filler(scene, persona, messages, said),
        )

    async def _memory(self, scene: Scene) -> _Memory:
        memory = self._memories.get(scene)
        if memory is None:
            async with self._store.read() as connection:
                fired = await stored.fired_in(connection, scene.id)
            memory = self._memories.setdefault(scene, _Memory(fired))
        return memory

    async def _counted(self, scene: Scene, *, keep: bool) -> tuple[int, int]:
        """Count the messages so far, and those of the cast among them. Nobody may speak meanwhile.

        Do not `keep` the count while an answer may be on its way: that one has its place already, and comes
        to stand before what was counted.
        """
        memory = await self._memory(scene)
        entries = scene.window.entries
        last = entries[-1].seq if entries else 0
        if last <= memory.counted_to:
            return memory.messages, memory.answers
        async with self._store.read() as connection:
            messages, answers = await stored.messages_in(connection, scene.id, memory.counted_to)
        messages, answers = memory.messages + messages, memory.answers + answers
        if keep:
            memory.messages, memory.answers, memory.counted_to = messages, answers, last
        return messages, answers

    def _standing(self, scene: Scene, lore: Lore, context_length: int) -> list[Fired]:
        return standing(lore, context_length // BUDGET_SHARE, self._tokens, self._steady(scene))

    # -- macros -------------------------------------------------------------------------------------------

    def _filler(
        self, scene: Scene, persona: Persona | None, heard: Sequence[Entry], said: str | None
    ) -> Callable[[str, str], str]:
        """Replace macros as of now: `{{user}}` is the player who was heard last, `{{lastMessage}}` what was.

        It is what is `said` now, if that is given.
        """
        last = heard[-1].text if said is None and heard else said or ""
        last = unbracketed(last)  # what a player says does not become the table's word by being told
        players = (entry.speaker for entry in reversed(heard) if entry.kind is EntryKind.PLAYER)
        user = next(players, PLAYER)

        def fill(text: str, book: str) -> str:
            owner = self._owner(book, persona)
            if owner is None:
                return text
            now = passing(scene.record, owner, user, self._clock, self._rng, last)
            return _expanded(text, now)

        return fill

    def _steady(self, scene: Scene) -> Callable[[str, str], str]:
        """Replace macros always in the same way: the head must not change."""
        lead = self._personas.get(scene.record.lead)

        def fill(text: str, book: str) -> str:
            owner = self._owner(book, lead)
            return _expanded(text, in_words_of(owner, lasting(scene.record, owner))) if owner else text

        return fill

    def _owner(self, book: str, persona: Persona | None) -> Persona | None:
        """Give whom `{{char}}` means: in a character's own book that character, else who speaks."""
        return self._personas.get(book.removeprefix(_OWN)) if book.startswith(_OWN) else persona

    # -- the log ------------------------------------------------------------------------------------------

    async def _tell(
        self, tx: Connection, scene: Scene, fired: Fired, audience: str | None
    ) -> tuple[Entry, FiredRecord]:
        label = " ".join(fired.label.split())[:LABEL_CHARACTERS]
        told = scene.next_entry(EntryKind.LORE, label, fired.text, self._clock.now(), audience=audience)
        entry = await log.append(tx, told)
        record = FiredRecord(entry.id, entry.seq, *fired.ref, because=fired.because, since=fired.since)
        await stored.note_fired(tx, record)
        return entry, record

    # -- the books ----------------------------------------------------------------------------------------

    async def _lore(self, scene: Scene) -> Lore:
        """Give the scene's books ready to be matched; they are made ready when one of them has changed."""
        guild_id = scene.record.guild_id
        own = [book for slug in scene.cast if (book := await self._own_book(slug))]
        async with self._one_build:
            version = self._books.version(guild_id) if guild_id else 0
            key = (guild_id, *(book.id for book in own))
            known = self._ready.get(key)
            if known is None or known[0] != (version, own):
                shared = await self._books.playable(guild_id) if guild_id else []
                known = (version, own), await asyncio.to_thread(Lore, [*shared, *own])
            self._ready[key] = known
            self._ready.move_to_end(key)
            self._let_go()
        return known[1]

    def _let_go(self) -> None:
        """Forget what was not played for longest, where too much is held ready."""
        entries = sum(len(lore.entries) for _, lore in self._ready.values())
        while len(self._ready) > 1 and (entries > ENTRIES_READY or len(self._ready) > SCENES_READY):
            _, (_, lore) = self._ready.popitem(last=False)
            entries -= len(lore.entries)

    async def _own_book(self, slug: str) -> Book | None:
        """Give the book in a character's card, if there is one."""
        persona = self._personas.get(slug)
        if persona is None or not self._personas.is_brought(persona):
            return None
        known = self._own_books.get(slug)
        if known is None or known[0] is not persona:
            card = (await self._personas.card_file(persona)).card
            known = self._own_books[slug] = persona, self._read(card.data.get("character_book"), persona)
        return known[1]

    def _read(self, document: object, persona: Persona) -> Book | None:
        if not isinstance(document, dict):
            return None
        try:
            return formats.book_of(formats.parsed(document), f"{_OWN}{persona.slug}", persona.name)
        except formats.LoreError as error:
            self._log.warning("lorebook_unreadable", persona=persona.slug, error=str(error))
            return None


_OWN = "persona:"


def _refs(told: list[Fired]) -> frozenset[Ref]:
    return frozenset(fired.ref for fired in told)


def _expanded(text: str, macros: Macros) -> str:
    """Replace macros, but leave hidden keys: they wake other lore."""
    return expand(text, replace(macros, drops_hidden_keys=False))


def _fresh(messages: list[Entry]) -> int:
    """Count the messages from the last one of the cast on: that one has not been scanned either."""
    for number, entry in enumerate(reversed(messages), 1):
        if entry.kind in SPOKEN:
            return number
    return len(messages)


def _folded(persona: Persona | None, what: Callable[[Persona], tuple[str, ...]]) -> frozenset[str]:
    return frozenset(map(folded, what(persona))) if persona else frozenset()
