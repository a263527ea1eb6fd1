"""From a scene to the request for its next answer: the glue between log, window and model server."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog

from bot.chat import ChatMessage, TokenCount, Usage
from bot.memory.witnesses import visible
from bot.prompt.answer import stop_sequences
from bot.prompt.inspector import Contents, inspect, texts_of
from bot.prompt.log import Head, aside, cue, render, render_ahead, render_head
from bot.prompt.tokens import EstimatingCounter, entry_tokens
from bot.prompt.window import Budget, Window, head_tokens, longest_turn, plan
from bot.scene.counting import Encoders, ServerCounter
from bot.scene.heads import Heads, as_before, known_to, remember, texts_counted
from bot.scene.kept import Kept
from bot.scene.narrowing import note_cut, widened
from bot.scene.stories import Stories
from bot.store import log, scenes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bot.errors import PromptTooLongError
    from bot.model.backend import Backend
    from bot.persona.persona import Persona
    from bot.persona.personas import Personas
    from bot.scene.lore import SceneLore
    from bot.scene.scene import Scene
    from bot.store.answers import AnswerRecord
    from bot.store.records import Entry
    from bot.store.store import Store

# The context, in tokens, of a server that does not say: what most of them load a model with when not told.
ASSUMED_CONTEXT = 4096
# Stop strings for one request: OpenAI's API refuses more than four.
STOPS = 4
# How much smaller the next prompt is after a server refused one and did not say by how much.
AFTER_REFUSAL = 1.25


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt that fits.

    `entries` are what it was rendered from, `aside` what it tells behind them, `others` the names that must
    not speak in the answer, `counted` the entries whose count is new. `as_of` is how often the log had
    changed by then.
    """

    messages: tuple[ChatMessage, ...]
    aside: str
    entries: tuple[Entry, ...]
    max_tokens: int
    tokens: TokenCount
    context_length: int
    model: str | None
    others: tuple[str, ...]
    stop: tuple[str, ...]
    counted: tuple[Entry, ...] = ()
    as_of: int = 0


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a context of `context_length` tokens would hold of a window.

    The prompt has `tokens`; of its `entries`, the oldest `gone` with their `gone_tokens` would leave it.
    """

    context_length: int
    tokens: int
    entries: int
    gone: int
    gone_tokens: int
    exact: bool


@dataclass(frozen=True, slots=True)
class Outlook:
    """How a scene's context is shared out, and which entries the next turn or a reader ahead will cut off."""

    budget: Budget
    leaving: tuple[Entry, ...]
    counter: ServerCounter


class Prompter:
    """Builds prompts, and keeps each scene's window within what its model can read."""

    def __init__(
        self,
        store: Store,
        personas: Personas,
        lore: SceneLore,
        stories: Stories | None = None,
        kept: Kept | None = None,
        *,
        answer_tokens: int,
    ) -> None:
        self._store = store
        self._personas = personas
        self._stories = stories or Stories(store)
        self._heads = Heads(personas, lore, self._stories, kept or Kept(store), answer_tokens)
        self._answer_tokens = answer_tokens
        self._counters: dict[str, ServerCounter] = {}
        self._encoders = Encoders()
        self._limits: dict[str, int] = {}  # what a server said its context was, when it refused a prompt
        self._log = structlog.get_logger("hearthside.prompt")

    async def build(
        self, scene: Scene, backend: Backend, persona: Persona, seq: int, *, model: str | None, tight: bool
    ) -> Prompt:
        """Give the prompt that asks `persona` to answer at place `seq` of the log.

        `tight` follows a refusal for length: the window is cut again. Raises TableError if the cast alone is
        too long for the context.
        """
        counter = self._counter(backend, model)
        wanted = persona.sampling.max_tokens or self._answer_tokens
        async with scene.prompting:
            if tight:
                counter.tighten(AFTER_REFUSAL)
            as_of = await self._stories.changes(scene)  # before anything is read that may change meanwhile
            head, budget, counted = await self._plan(scene, backend, model, wanted, persona)
            while await self._fit(scene, budget, counter, seq):  # then the head tells what left the window
                head, budget, more = await self._plan(scene, backend, model, wanted, persona)
                counted += more
        head = known_to(head, persona)
        entries = visible(scene.before(seq), persona.slug, persona.narrator, scene.stays)
        messages = render(head, entries, persona.name)
        others = self._others(scene, persona)
        return Prompt(
            messages=messages,
            entries=tuple(entries),
            max_tokens=budget.reserve,
            aside=aside(head),
            tokens=counter.total(head, entries, persona.name),
            context_length=budget.context_length,
            model=model,
            others=others,
            stop=tuple(stop_sequences(others, STOPS)),
            counted=counted,
            as_of=as_of,
        )

    def outdated(self, scene: Scene, as_of: int) -> bool:
        """Tell whether the log was changed since: a prompt `as_of` then may tell what is nowhere now."""
        return self._stories.changed_since(scene, as_of)

    async def contents(
        self, scene: Scene, backend: Backend | None, last: AnswerRecord | None, *, model: str | None
    ) -> Contents:
        """Say what is in a scene's window now, counted as it would be for an answer of the lead by `backend`.

        None stands for no server at hand: then it is an estimate for the context of the `last` answer.
        Raises TableError if the cast alone is too long for the context, BackendError.
        """
        lead = self._personas.get(scene.record.lead)
        wanted = (lead and lead.sampling.max_tokens) or self._answer_tokens
        speaker = lead.name if lead else scene.record.lead
        counter: ServerCounter | EstimatingCounter = EstimatingCounter()
        context_length = last.context_length if last else ASSUMED_CONTEXT
        if backend:
            counter = self._counter(backend, model)
            context_length = await self._context_length(backend, model)
        raw = await self._heads.whole(scene, context_length, lead)
        head = as_before(scene, raw, context_length)
        entries: Sequence[Entry] = scene.window.entries
        if isinstance(counter, ServerCounter):
            known = known_to(head, lead) if lead else head
            bare = replace(head, story=())
            await counter.prime([*texts_counted(head), render_head(bare), *texts_of(known, speaker)])
            entries = await counter.counted(tuple(scene.window.entries))
        head, budget = plan(head, context_length, wanted, counter, counter.scale)
        if lead:
            head, entries = known_to(head, lead), visible(entries, lead.slug, lead.narrator, scene.stays)
            budget = replace(budget, head=head_tokens(head, counter))
        return inspect(head, raw, entries, speaker, budget, counter, counter.scale)

    async def ahead(self, scene: Scene, backend: Backend, *, model: str | None) -> tuple[ChatMessage, ...]:
        """Give what the next prompt will begin with if the lead answers, whatever is said before.

        If another turn like the longest in the window would have the window cut, it is cut now: the server
        can then read the new beginning before anybody waits for it. Once a turn is being answered it is too
        late for that: its own prompt may still fit. Raises TableError as `build` does.
        """
        counter, wanted = self._counter(backend, model), self._heads.longest_answer(scene)
        lead = self._personas.get(scene.record.lead)
        async with scene.prompting:
            head, budget, counted = await self._plan(scene, backend, model, wanted, lead)
            while not scene.answering and await self._fit(scene, budget, counter, None, _coming(scene)):
                head, budget, more = await self._plan(scene, backend, model, wanted, lead)
                counted += more
            messages = self._ahead(scene, head)
        await self._keep_counts(counted)
        return messages

    async def outlook(self, scene: Scene, backend: Backend, *, model: str | None) -> Outlook:
        """Say what `ahead` would cut off, and how long what is told of it may be. Raises as `ahead` does."""
        lead = self._personas.get(scene.record.lead)
        async with scene.prompting:
            wanted = self._heads.longest_answer(scene)
            _, budget, counted = await self._plan(scene, backend, model, wanted, lead)
            coming = _coming(scene)
            due = scene.window.leaving(budget, None, coming)
            leaving = due and scene.window.leaving(budget.once_cut, None, coming)
        await self._keep_counts(counted)
        return Outlook(budget, leaving, self._counter(backend, model))

    async def _keep_counts(self, counted: tuple[Entry, ...]) -> None:
        """Store counts that no answer will bring to the store: a restart must not count again."""
        if counted:
            await self._store.change(lambda tx: log.set_tokens(tx, counted))

    def _ahead(self, scene: Scene, head: Head) -> tuple[ChatMessage, ...]:
        """Give the beginning as the lead knows it: most of the cast knows the same."""
        lead = self._personas.get(scene.record.lead)
        if lead is None:
            return render_ahead(replace(head, secrets=()), scene.window.entries)
        entries = visible(scene.window.entries, lead.slug, lead.narrator, scene.stays)
        return render_ahead(known_to(head, lead), entries)

    async def _plan(
        self, scene: Scene, backend: Backend, model: str | None, wanted: int, persona: Persona | None
    ) -> tuple[Head, Budget, tuple[Entry, ...]]:
        """Give the head as it fits, the shares of the context, and the entries whose count is new.

        The head tells what `persona` knows of the story; its secrets are the narrator's: what others do not
        know of it leaves them some room to spare.
        """
        counter = self._counter(backend, model)
        context_length = await self._context_length(backend, model)
        if await widened(self._store, scene, context_length):
            await self._stories.cut(scene)
        raw = await self._heads.whole(scene, context_length, persona)
        head = as_before(scene, raw, context_length)
        await counter.prime([*texts_counted(head), *([cue(persona.name)] if persona else [])])
        counted = await self._count(scene, counter)
        head = await self._heads.shortened(scene, head, context_length, counter)
        _, budget = plan(head, context_length, wanted, counter, counter.scale)
        remember(scene, raw, context_length, head)
        return head, budget, counted

    async def foresee(
        self, scene: Scene, backend: Backend | None, context_length: int, *, model: str | None
    ) -> Forecast:
        """Say what of a scene's window another context would hold; nothing is cut.

        It is counted as `backend` counts for `model`, or estimated if that is None. Raises TableError if the
        cast alone is too long, BackendError.
        """
        counter = self._counter(backend, model) if backend else EstimatingCounter()
        head = await self._heads.whole(scene, context_length, self._personas.get(scene.record.lead))
        entries = tuple(scene.window.entries)
        if isinstance(counter, ServerCounter):
            await counter.prime(texts_counted(head))
            head = await self._heads.shortened(scene, head, context_length, counter)
            entries = await counter.counted(entries)
        else:
            entries = tuple(replace(one, tokens=entry_tokens(one, counter)) for one in entries)
        head, budget = plan(head, context_length, self._heads.longest_answer(scene), counter, counter.scale)
        window = Window(entries)
        tokens = window.tokens
        gone = window.fit(budget, lambda entry: entry_tokens(entry, counter))
        return Forecast(
            context_length=context_length,
            tokens=round((budget.head + tokens) * counter.scale),
            entries=len(entries),
            gone=len(gone),
            gone_tokens=round((tokens - window.tokens) * counter.scale),
            exact=counter.exact,
        )

    async def is_exact(self, backend: Backend, model: str | None) -> bool:
        """Tell whether prompts for that model of a server are counted exactly. Raises BackendError."""
        counter = self._counter(backend, model)
        await counter.prime([])
        return counter.exact

    def learn(self, backend: Backend, prompt: Prompt, usage: Usage | None) -> None:
        """Correct the estimate by what the server really counted."""
        if usage:
            self._counter(backend, prompt.model).calibrate(prompt.tokens, usage.prompt_tokens)

    def learn_limit(self, backend: Backend, refusal: PromptTooLongError) -> None:
        """Remember the context that a server named when it refused a prompt."""
        if refusal.context_length:
            self._limits[backend.name] = refusal.context_length

    def _counter(self, backend: Backend, model: str | None) -> ServerCounter:
        fingerprint = backend.fingerprint(model)
        counter = self._counters.get(fingerprint)
        if counter is None or counter.backend is not backend:
            counter = self._counters[fingerprint] = ServerCounter(backend, fingerprint, model, self._encoders)
        return counter

    async def _context_length(self, backend: Backend, model: str | None) -> int:
        said = await backend.context_length(model) or ASSUMED_CONTEXT
        return min(said, self._limits.get(backend.name, said))

    async def _count(self, scene: Scene, counter: ServerCounter) -> tuple[Entry, ...]:
        """Count the entries that are new to this tokenizer. What is edited meanwhile is counted next time."""
        new = [entry for entry in scene.window.entries if entry.fingerprint != counter.fingerprint]
        counted = await counter.counted(new)
        for entry, was in zip(counted, new, strict=True):
            scene.window.replace(entry, of=was)
        return counted

    async def _fit(
        self, scene: Scene, budget: Budget, counter: ServerCounter, seq: int | None, coming: int = 0
    ) -> bool:
        """Cut the window if it has to be, where it is summed up if that is known; tell whether it was cut.

        Once more after each cut: somebody may have made their message longer while it was stored.
        """
        gone: tuple[Entry, ...] = ()
        if scene.window.leaving(budget, seq, coming):
            gone = scene.window.drop(await self._stories.summed_up_to(scene), seq)
            budget = budget.once_cut
        gone = gone or scene.window.fit(budget, lambda entry: entry_tokens(entry, counter), seq, coming)
        if not gone:
            return False
        note_cut(scene, budget.context_length, gone[0].seq)
        if start := scene.window.start:
            scene.change(window_start=start.seq)
            await self._store.change(lambda tx: scenes.cut(tx, scene.id, start.seq))
        await self._stories.cut(scene)
        self._log.info("window_cut", scene=scene.id, entries=len(gone), left=len(scene.window.entries))
        return True

    def _others(self, scene: Scene, persona: Persona) -> tuple[str, ...]:
        cast = (self._personas.get(slug) for slug in scene.cast)
        names = [*scene.players(), *(one.name for one in cast if one and one.slug != persona.slug)]
        return tuple(dict.fromkeys(name for name in names if name != persona.name))


def _coming(scene: Scene) -> int:
    """Give the tokens that a next turn may take."""
    return longest_turn(scene.window.entries)
