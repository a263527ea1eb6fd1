"""Summing up what leaves the windows: what is to be summed up next, for whom, and when it is tried again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from bot.errors import BackendError
from bot.memory.summary import PUBLIC, View, bounds, chunks, missing, summed_up_to, to_fold
from bot.memory.summary_text import Line
from bot.memory.witnesses import visible
from bot.prompt.log import SPOKEN
from bot.prompt.text import clean, hanging, table_name, unbracketed
from bot.prompt.tokens import EstimatingCounter, entry_tokens
from bot.prompt.window import level, shorten
from bot.store import log
from bot.store.records import EntryKind
from bot.store.summaries import Summary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bot.clock import Clock
    from bot.memory.summary import Bounds
    from bot.model.backend import Backend
    from bot.persona.persona import Persona
    from bot.persona.personas import Personas
    from bot.scene.counting import ServerCounter
    from bot.scene.prompter import Prompter
    from bot.scene.scene import Scene
    from bot.scene.stories import Stories
    from bot.scene.summary_writer import SummaryWriter
    from bot.store.records import Entry
    from bot.store.store import Store

# How long to leave a server alone that failed, in seconds: twice as long after every failure.
FIRST_WAIT_S, LONGEST_WAIT_S = 30.0, 900.0
# Tokens of the log for one summary that is made without a model.
EXCERPTED = 512
# Places of the log that are looked at together.
PAGE = 400

_TOLD = frozenset({EntryKind.PLAYER, EntryKind.NOTE, *SPOKEN})  # lore and memories come back by themselves


@dataclass(frozen=True, slots=True)
class _Job:
    """A summary to be made from `source`, which was read when the log had changed `as_of` times."""

    summary: Summary
    source: tuple[Line, ...]
    as_of: int


@dataclass(slots=True)
class _Trouble:
    """How often the server has failed in a row, and until when it is left alone (monotonic seconds)."""

    failures: int = 0
    until: float = 0.0


class Summarising:
    """Makes the summaries that scenes lack, one request after the other."""

    def __init__(
        self,
        store: Store,
        stories: Stories,
        prompter: Prompter,
        writer: SummaryWriter,
        personas: Personas,
        clock: Clock,
    ) -> None:
        self._store = store
        self._stories = stories
        self._prompter = prompter
        self._writer = writer
        self._personas = personas
        self._clock = clock
        self._trouble: dict[int, _Trouble] = {}
        self._log = structlog.get_logger("hearthside.summary")

    async def catch_up(self, scene: Scene, backend: Backend, model: str | None) -> float | None:
        """Sum up what left a scene's window or is about to, and put it in place if nobody waits by then.

        Gives the seconds after which to try again where the server failed, else None. Nothing is lost by a
        failure: the log stays whole, and the store knows what of it is summed up. Raises TableError if the
        scene's cast is too long for the context.
        """
        trouble = self._trouble.setdefault(scene.id, _Trouble())
        if (wait := trouble.until - self._clock.monotonic()) > 0:
            return wait
        try:
            while await self._advance(scene, backend, model):
                await self._settle(scene)
        except BackendError as error:
            return self._note_failure(scene, trouble, error)
        finally:
            await self._settle(scene)
        self._trouble.pop(scene.id, None)
        return None

    async def _settle(self, scene: Scene) -> None:
        """Put in place what is summed up so far: before the next part is found somebody may be answered."""
        if not scene.answering:
            await self._stories.settle(scene)

    def is_due(self, scene: Scene) -> bool:
        """Tell whether a summary was voided and is to be made again."""
        return self._stories.any_stale(scene)

    def _note_failure(self, scene: Scene, trouble: _Trouble, error: BackendError) -> float:
        wait: float = min(FIRST_WAIT_S * 2**trouble.failures, LONGEST_WAIT_S)
        trouble.failures += 1
        trouble.until = self._clock.monotonic() + wait
        self._log.warning("not_summed_up", scene=scene.id, error=str(error), again_in_s=wait)
        return wait

    async def _advance(self, scene: Scene, backend: Backend, model: str | None) -> bool:
        """Make the next summary; False if none is to be made, or somebody came who is answered first."""
        if not _at_leisure(scene):
            return False
        outlook = await self._prompter.outlook(scene, backend, model=model)
        if not _at_leisure(scene):
            return False
        budget, counter = outlook.budget, outlook.counter
        limits = bounds(int(budget.context_length / counter.scale), budget.story)
        # The last place that the window does not begin before, or soon will not.
        end = max([scene.record.window_start - 1, *(entry.seq for entry in outlook.leaving[-1:])])
        job = await self._lacking(scene, end, limits) or await self._folding(scene, end + 1, limits, counter)
        if job is None:
            return False
        made = job.summary
        text = await self._writer.write(scene, backend, model, job.source, made.level, limits, counter)
        if text is None:
            return False
        if await self._stories.keep(scene, made, text, job.as_of):
            who, places = made.persona or "everybody", f"{made.first_seq}-{made.last_seq}"
            self._log.info("summed_up", scene=scene.id, known_to=who, level=made.level, entries=places)
        return True

    # -- what the log lacks -------------------------------------------------------------------------------

    async def _lacking(self, scene: Scene, end: int, limits: Bounds) -> _Job | None:
        """Find what is not summed up, or has changed since: for the public first, then for the cast."""
        as_of = await self._stories.settled_changes(scene)
        there = await self._stories.all(scene)
        again = missing(there, PUBLIC)
        if again:
            return await self._from_log(scene, PUBLIC, None, again, limits, as_of)
        done = summed_up_to(there)
        if done < end:
            return await self._further(scene, done + 1, min(end, done + PAGE), limits, as_of)
        for persona in self._cast(scene):
            view = await self._stories.view(scene, persona, end + 1)
            if places := missing(there, view):
                return await self._from_log(scene, view, persona, places, limits, as_of)
        return None

    async def _further(self, scene: Scene, first: int, last: int, limits: Bounds, as_of: int) -> _Job:
        """Sum up the public part of the log from a place on, as much of it as can be read at once."""
        entries = await self._entries(scene, PUBLIC, None, first, last)
        parts = chunks(entries, _cost, limits.read or EXCERPTED)
        if len(parts) > 1:
            last = parts[0][-1].seq
        source = _lines(parts[0] if parts else [], limits)
        return _Job(self._new(scene, PUBLIC, 0, first, last), source, as_of)

    async def _from_log(
        self,
        scene: Scene,
        view: View,
        persona: Persona | None,
        places: tuple[int, int],
        limits: Bounds,
        as_of: int,
    ) -> _Job:
        entries = await self._entries(scene, view, persona, *places)
        return _Job(self._new(scene, view, 0, *places), _lines(entries, limits), as_of)

    async def _entries(
        self, scene: Scene, view: View, persona: Persona | None, first: int, last: int
    ) -> list[Entry]:
        """Give what can be told of the log, as a view knows it."""
        entries = await self._store.look_up(lambda there: log.between(there, scene.id, first, last))
        if persona is None:
            known = [entry for entry in entries if entry.audience is None]
        else:
            known = visible(entries, view.persona, persona.narrator, scene.stays)
        return [entry for entry in known if entry.kind in _TOLD]

    # -- what grew too long -------------------------------------------------------------------------------

    async def _folding(
        self, scene: Scene, before: int, limits: Bounds, counter: ServerCounter
    ) -> _Job | None:
        """Find summaries that will take up too much of the prompt together."""
        views = [PUBLIC, *[await self._stories.view(scene, one, before) for one in self._cast(scene)]]
        for view in views:
            as_of = await self._stories.settled_changes(scene)
            shown = await self._stories.shown(scene, view, before)
            told = await self._stories.texts(scene, shown)
            await counter.prime(told)
            costs = [counter.count(text) for text in told]
            if fold := to_fold(list(zip(shown, costs, strict=True)), limits.shown):
                of = PUBLIC if not any(one.persona for one in fold) else view
                above = max(one.level for one in fold) + 1
                made = self._new(scene, of, above, fold[0].first_seq, fold[-1].last_seq)
                texts = dict(zip(shown, told, strict=True))
                source = tuple(Line("", text) for one in fold if (text := texts[one]))
                return _Job(made, source, as_of)
        return None

    # -- small things -------------------------------------------------------------------------------------

    def _new(self, scene: Scene, view: View, depth: int, first: int, last: int) -> Summary:
        return Summary(
            id=0,
            scene_id=scene.id,
            persona=view.persona,
            level=depth,
            first_seq=first,
            last_seq=last,
            stale=False,
            made_at=self._clock.now(),
        )

    def _cast(self, scene: Scene) -> list[Persona]:
        return [one for one in map(self._personas.get, scene.cast) if one]


def _at_leisure(scene: Scene) -> bool:
    """Tell whether a scene goes on and nobody waits for an answer in it."""
    return scene.listening and not scene.answering


def _lines(entries: Sequence[Entry], limits: Bounds) -> tuple[Line, ...]:
    """Write entries down for a model, the longest of them without their middle where they are too much."""
    longest = level([_cost(entry) for entry in entries], limits.read) if limits.read else 0
    return tuple(
        _line(shorten(entry, longest, _estimated) if 0 < longest < _cost(entry) else entry)
        for entry in entries
    )


def _line(entry: Entry) -> Line:
    speaker = "" if entry.kind is EntryKind.NOTE else table_name(entry.speaker)
    return Line(speaker, hanging(unbracketed(clean(entry.text))))


def _cost(entry: Entry) -> int:
    return _estimated(entry) if entry.tokens is None else entry.tokens


def _estimated(entry: Entry) -> int:
    return entry_tokens(entry, EstimatingCounter())
