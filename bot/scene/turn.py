"""One answer of a turn: from the promise to the text that stands in the channel and in the log."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog

from bot.chat import ChatRequest
from bot.errors import BackendError, HearthsideError, PromptTooLongError, StoreError, TableError
from bot.prompt.replay import struck
from bot.scene.caveats import Caveats
from bot.scene.discretion import DiscreetFilter, reminded
from bot.scene.making import Making, seeded
from bot.scene.ports import Speaker
from bot.scene.tries import Tries
from bot.store import answers, log, turns
from bot.store.records import Entry, EntryKind, Reply, ReplyState

if TYPE_CHECKING:
    from random import Random

    from bot.clock import Clock
    from bot.model.backend import Backend
    from bot.model.backends import Backends
    from bot.persona.persona import Persona
    from bot.persona.personas import Personas
    from bot.scene.kept import Kept
    from bot.scene.lore import SceneLore
    from bot.scene.model_choices import ModelChoices
    from bot.scene.ports import Stage, Utterance
    from bot.scene.prompter import Prompt, Prompter
    from bot.scene.recalling import Recalling
    from bot.scene.scene import Scene
    from bot.store.answers import AnswerRecord
    from bot.store.connection import Connection
    from bot.store.records import Whisper
    from bot.store.store import Store

SILENT = "Say something more, or use /scene next to have them try again."
TOO_LATE = (
    "*(A whisper was answered too late to be shown. Whoever whispered finds it with `/memory search`.)*"
)
GONE = "It was deleted or its file is gone: /scene remove takes the name out, /scene add brings another in."


@dataclass(slots=True)
class Told:
    """What came out of one request, the entries that were counted for it, and what it was made of.

    `as_of` is how often the log had changed when it was made (`Prompt.as_of`). `leaked` says that it was
    stopped because it was about to repeat a secret.
    """

    text: str
    counted: tuple[Entry, ...] = ()
    as_of: int = 0
    made: AnswerRecord | None = None
    leaked: bool = False


class Answering:
    """Gives promised answers, one at a time for each scene."""

    def __init__(
        self,
        store: Store,
        personas: Personas,
        backends: Backends,
        stage: Stage,
        prompter: Prompter,
        lore: SceneLore,
        recalling: Recalling,
        kept: Kept,
        models: ModelChoices,
        clock: Clock,
        rng: Random,
    ) -> None:
        self._store = store
        self._personas = personas
        self._backends = backends
        self._stage = stage
        self._prompter = prompter
        self._lore = lore
        self._recalling = recalling
        self._kept = kept
        self._clock = clock
        self._rng = rng
        self._models = models
        self._caveats = Caveats(personas, models, stage)
        self._log = structlog.get_logger("hearthside.turn")

    def expect(self, scene: Scene, text: str) -> None:
        """Begin with what an answer to a player's words will need, while those are being stored."""
        self._recalling.begin(scene, text)

    async def give(
        self, scene: Scene, reply: Reply, *, resumed: bool, whisper: Whisper | None = None
    ) -> None:
        """Give one answer, unless it was given before. It ends visibly, whatever goes wrong.

        `resumed` says that an earlier run of the bot may have begun it. The answer to a `whisper` is shown to
        the one who whispered alone. Raises StoreError: how far the answer has come is to be read from the
        store then, once it can be written again.
        """
        if reply.state in {ReplyState.DONE, ReplyState.FAILED}:
            return
        notice = ""
        try:
            await self._give(scene, reply, whisper, resumed=resumed)
        except StoreError:
            raise
        except HearthsideError as error:
            self._log.warning("answer_failed", scene=scene.id, persona=reply.persona, error=str(error))
            notice = f"⚠ {error}"
        except Exception:  # noqa: BLE001  # a bug in one answer must not end the scene
            error_id = secrets.token_hex(3)
            self._log.exception("answer_broke", scene=scene.id, persona=reply.persona, id=error_id)
            notice = f"⚠ Something went wrong inside the bot. The operator finds it in the log as {error_id}."
        if notice:
            with contextlib.suppress(HearthsideError):
                if whisper:
                    await self._confide(scene, reply, whisper, notice)
                else:
                    await self._stage.notice(scene.place, notice, key=f"reply:{reply.id}")
            async with self._store.transaction() as tx:
                await turns.set_reply(tx, reply.id, ReplyState.FAILED, reply.entry_id)

    async def _confide(self, scene: Scene, reply: Reply, whisper: Whisper, notice: str) -> None:
        """Tell the one who whispered why there is no answer; where that is too late, say only that it is."""
        persona = self._personas.get(reply.persona)
        speaker = Speaker.of(persona) if persona else Speaker(reply.persona, reply.persona)
        try:
            await self._stage.confide(speaker, whisper.token).finish(notice)
        except HearthsideError:
            await self._stage.notice(scene.place, TOO_LATE, key=f"reply:{reply.id}")

    async def _give(self, scene: Scene, reply: Reply, whisper: Whisper | None, *, resumed: bool) -> None:
        persona = self._personas.get(reply.persona)
        if persona is None:
            raise TableError(f"There is no persona {reply.persona} any more, so nobody answered.", hint=GONE)
        if whisper:
            utterance: Utterance = self._stage.confide(Speaker.of(persona), whisper.token)
        else:
            utterance = await self._utterance(scene, reply, persona, resumed=resumed)
        audience = whisper.audience if whisper else None
        try:
            entry = await self._told_before(scene, reply) or await self._speak(
                scene, reply, persona, utterance, audience
            )
            await utterance.finish(entry.text)
        except asyncio.CancelledError:
            # The scene was ended. At a mere shutdown the answer is given after the next start.
            if not scene.listening:
                with contextlib.suppress(HearthsideError):
                    await utterance.retract()
            raise
        except Exception:
            await utterance.halt()
            raise

        async def done(tx: Connection) -> None:
            await turns.set_reply(tx, reply.id, ReplyState.DONE, entry.id)
            await turns.show(tx, reply.id, entry.id)

        await self._store.change(done)

    async def _utterance(self, scene: Scene, reply: Reply, persona: Persona, *, resumed: bool) -> Utterance:
        """Set up where the answer will appear: over what an interrupted run has shown of it, if anything."""
        posted = reply.posted

        async def on_posted(message_id: int) -> None:
            await self._store.change(lambda tx: turns.posted(tx, scene.id, reply.id, message_id))

        if resumed:
            for orphan in await self._orphans(scene, reply, persona):
                await on_posted(orphan)
                posted += (orphan,)
        return self._stage.speak(
            scene.place, Speaker.of(persona), key=f"reply:{reply.id}", posted=posted, on_posted=on_posted
        )

    async def _orphans(self, scene: Scene, reply: Reply, persona: Persona) -> tuple[int, ...]:
        """Find what an interrupted run posted for this answer and had no time to note."""
        async with self._store.read() as connection:
            asked = await log.first_message_of_turn(connection, reply.turn_id)
        after = asked or scene.record.heard_from
        ours = await self._stage.orphans(scene.place, Speaker.of(persona), after=after, known=reply.posted)
        async with self._store.read() as connection:
            return tuple(await log.unknown_messages(connection, ours))

    async def _told_before(self, scene: Scene, reply: Reply) -> Entry | None:
        """Give the answer's text if an interrupted run had it and did not finish showing it."""
        return next((entry for entry in scene.window.entries if reply.entry_id == entry.id), None)

    async def _speak(
        self, scene: Scene, reply: Reply, persona: Persona, utterance: Utterance, audience: str | None
    ) -> Entry:
        """Take the answer's place in the log, behind lore and memories; have the model tell it; keep it.

        Only the `audience` may know of it, if one is given.
        """
        await self._lore.append(scene, persona, audience)
        await self._recalling.append(scene, persona, audience)
        async with scene.arrivals:
            seq = scene.take_seq()
        try:
            told = await self._told(scene, seq, persona, utterance)
            if not told.text:
                raise TableError(f"{persona.name} found no words.", hint=SILENT)
        except HearthsideError:
            with contextlib.suppress(HearthsideError):
                await utterance.retract()
            raise
        return await self._keep(scene, reply, persona, seq, told, audience)

    async def _told(self, scene: Scene, seq: int, persona: Persona, utterance: Utterance) -> Told:
        """Ask until there is an answer: another server after a failure, a shorter window after a refusal."""
        told = Told("")
        tries = Tries(self._clock)
        while tries.left:
            tries.begin()
            try:
                told = await self._try(scene, seq, persona, utterance, tries)
            except BackendError as error:
                self._log.warning("backend_failed", scene=scene.id, error=str(error))
                tries.failed(error)
                continue
            if told.text or (told.leaked and tries.leaked):
                return told
            tries.leaked |= told.leaked
            tries.failed(None)
        if tries.error:
            raise tries.error
        return told

    async def _try(
        self, scene: Scene, seq: int, persona: Persona, utterance: Utterance, tries: Tries
    ) -> Told:
        """Ask the backend whose turn it is, once; with a reminder after an answer that gave a secret away."""

        def progress(text: str) -> None:
            utterance.write(f"*({text})*")

        wanted = self._models.model(scene, persona)
        backend = await self._backends.choose(scene.id, wanted, progress, avoid=tries.avoid)
        tries.asks(backend)
        model = self._backends.model_for(backend, wanted)
        await self._caveats.tell(scene, backend, persona, wanted=wanted, model=model)
        prompt = await self._prompter.build(scene, backend, persona, seq, model=model, tight=tries.tight)
        if tries.leaked:
            prompt = replace(prompt, messages=reminded(prompt.messages))
            persona = replace(persona, sampling=replace(persona.sampling, seed=None))
        try:
            return await self._ask(scene, backend, prompt, persona, utterance)
        except PromptTooLongError as error:
            self._prompter.learn_limit(backend, error)
            raise

    async def _ask(
        self, scene: Scene, backend: Backend, prompt: Prompt, persona: Persona, utterance: Utterance
    ) -> Told:
        """Send one request and show the answer as it comes."""
        sampling = seeded(persona.sampling, self._rng)
        request = ChatRequest(
            prompt.messages,
            prompt.max_tokens,
            sampling,
            prompt.stop,
            prompt.model,
            lora=self._models.adapter(scene.record.guild_id, persona),
            session=scene.session,
        )
        making = Making(self._clock, backend, prompt, request)
        secrets_kept = [secret.text for secret in (await self._kept.of(scene)).secrets]
        answer = DiscreetFilter(persona.name, prompt.others, secrets_kept)

        def waiting(ahead: int) -> None:
            utterance.write(f"*({persona.name} waits for the model: {ahead} ahead)*")

        async with self._backends.lease(backend, waiting):
            await self._backends.wake(backend, prompt.model, lambda text: utterance.write(f"*({text})*"))
            await making.sent()
            async with contextlib.aclosing(backend.stream(request)) as deltas:
                async for delta in deltas:
                    making.came(delta)
                    shown = answer.feed(delta.text)
                    if shown:
                        utterance.write(shown)
                    if answer.done:
                        break
        self._prompter.learn(backend, prompt, making.usage)
        self._backends.note(backend, making.usage)
        scene.last_answer = making.record()
        text = answer.finish(making.finish_reason)
        if answer.circled:
            self._log.info("went_in_circles", scene=scene.id, persona=persona.slug, model=prompt.model)
        if answer.told is not None:
            self._log.warning("secret_kept", scene=scene.id, persona=persona.slug, number=answer.told + 1)
        leaked = answer.told is not None
        return Told(text, prompt.counted, prompt.as_of, scene.last_answer, leaked)

    async def _keep(
        self, scene: Scene, reply: Reply, persona: Persona, seq: int, told: Told, audience: str | None
    ) -> Entry:
        """Store the answer before it is shown whole: what the players have read is in the log."""
        new = Entry(
            id=0,
            scene_id=scene.id,
            seq=seq,
            kind=EntryKind.ANSWER,
            speaker=persona.name,
            persona=persona.slug,
            text=told.text,
            created_at=self._clock.now(),
            turn_id=reply.turn_id,
            audience=audience,
        )
        async with self._store.transaction() as tx:
            # What was deleted meanwhile must not come back with the record of a prompt that told of it.
            void = self._prompter.outdated(scene, told.as_of)
            made = replace(told.made, head=struck(told.made.head)) if told.made and void else told.made

            async def keep(there: Connection) -> Entry:
                await log.set_tokens(there, told.counted)
                entry = await log.append(there, new)
                if made:
                    await answers.keep(there, entry.id, made)
                await turns.set_reply(there, reply.id, ReplyState.TOLD, entry.id)
                return entry

            entry = await tx.together(keep)
        scene.add(entry)
        return entry
