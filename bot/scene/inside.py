"""A look inside: what the model reads now, what an answer was made of, and the prompt it was given to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bot.errors import BackendError, TableError
from bot.model.backend import fold_system
from bot.prompt.replay import rebuild
from bot.scene.discretion import reminded
from bot.store import answers, log, lore, recall
from bot.store.records import EntryKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bot.model.backends import Backends
    from bot.persona.personas import Personas
    from bot.prompt.inspector import Contents
    from bot.prompt.replay import Rebuilt
    from bot.scene.model_choices import ModelChoices
    from bot.scene.prompter import Prompter
    from bot.scene.scene import Scene
    from bot.store.answers import AnswerRecord
    from bot.store.connection import Connection
    from bot.store.records import Entry
    from bot.store.store import Store

WHICH = "Give the link or the id of a character's answer; without one it is the last answer."


@dataclass(frozen=True, slots=True)
class Look:
    """A window as it is now.

    `left_out` entries of the story stand before it. `last` is what the latest answer was made of; `served`
    tells whether a model server is at hand now.
    """

    contents: Contents
    left_out: int
    last: AnswerRecord | None
    served: bool


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer and what it was made of.

    `started_by` is the member who started its scene, `message_id` the first message that shows it. `read` are
    the entries that stood in its prompt, but for those that were deleted since; `left_out` is how many before
    them were no longer read. `woken` says of lore in the scene, by its entry's id, what woke it; `fitted` of
    memories, how well they did, from 0 to 1.
    """

    entry: Entry
    record: AnswerRecord
    started_by: int
    message_id: int | None
    read: tuple[Entry, ...]
    left_out: int
    woken: Mapping[int, str]
    fitted: Mapping[int, float]


class Inside:
    """Answers what is asked about windows and answers."""

    def __init__(
        self,
        store: Store,
        prompter: Prompter,
        backends: Backends,
        personas: Personas,
        models: ModelChoices,
    ) -> None:
        self._store = store
        self._prompter = prompter
        self._backends = backends
        self._personas = personas
        self._models = models

    async def look(self, scene: Scene) -> Look:
        """Look into a scene's window. Raises TableError if its cast does not fit into the context."""
        start = scene.window.start
        async with self._store.read() as connection:
            last = await answers.last(connection, scene.id)
            left_out = await answers.count_before(connection, scene.id, start.seq) if start else 0
        lead = self._personas.get(scene.record.lead)
        wanted = self._models.model(scene, lead)
        backend = self._backends.at_hand(wanted, scene.id)
        model = self._backends.model_for(backend, wanted) if backend else None
        try:
            contents = await self._prompter.contents(scene, backend, last, model=model)
        except BackendError:  # it went away just now
            backend = None
            contents = await self._prompter.contents(scene, backend, last, model=model)
        return Look(contents, left_out, last, served=backend is not None)

    async def why(self, channel_id: int, message_id: int | None) -> Answered:
        """Give what an answer was made of: the one that a message of this channel shows, or the last one.

        Raises TableError where there is none, or nothing is known of it.
        """
        async with self._store.read() as connection:
            if message_id is None:
                entry = await log.last_answer(connection, channel_id)
                if entry is None:
                    raise TableError("Nobody has answered in this channel yet.")
            elif await answers.channel_of(connection, message_id) == channel_id:
                entry = await log.shown_by(connection, message_id)
            else:
                raise TableError("That message belongs to no story in this channel.", hint=WHICH)
            return await _answered(connection, entry)


async def replay(store: Store, message_id: int) -> Rebuilt:
    """Rebuild the prompt of the answer that a message shows. Raises TableError where that cannot be."""
    async with store.read() as connection:
        answer = await _answered(connection, await log.shown_by(connection, message_id))
        record = answer.record
        edited = await answers.edited_since(connection, answer.entry.scene_id, record.asked_at)
    return rebuild(
        record.head,
        answer.read,
        answer.entry.speaker,
        window=record.window,
        shortened=record.shortened,
        edited=edited,
        sha256=record.prompt_sha256,
        forms=[fold_system, reminded, lambda messages: fold_system(reminded(messages))],
    )


async def _answered(connection: Connection, entry: Entry | None) -> Answered:
    if entry is None:
        raise TableError("That message shows nothing of a story any more.", hint=WHICH)
    if entry.kind is EntryKind.OPENING:
        raise TableError("That is an opening: it was written beforehand, no model was asked.", hint=WHICH)
    if entry.kind is not EntryKind.ANSWER:
        raise TableError("A player said that, no model was asked.", hint=WHICH)
    record = await answers.of(connection, entry.id)
    if record is None:
        raise TableError("That answer is older than the notes on what answers were made of.", hint=WHICH)
    first, last = min(record.window, default=entry.seq), max(record.window, default=0)
    stood = set(record.window)
    there = await log.between(connection, entry.scene_id, first, last)
    memories = [one.id for one in there if one.kind is EntryKind.MEMORY]
    sources = await recall.recalled_in(connection, memories)
    return Answered(
        entry,
        record,
        started_by=await answers.started_by(connection, entry.scene_id),
        message_id=next(iter(await log.messages_of(connection, entry.id)), None),
        read=tuple(entry for entry in there if entry.seq in stood),
        left_out=await answers.count_before(connection, entry.scene_id, first),
        woken={fired.entry_id: fired.because for fired in await lore.fired_in(connection, entry.scene_id)},
        fitted={memory: max(scores.values()) for memory, scores in sources.items()},
    )
