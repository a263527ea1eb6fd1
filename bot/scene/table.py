"""The table: every scene that is being played, what is heard there, and the turns that follow from it."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog

from bot.errors import HearthsideError, StoreError
from bot.persona.persona import clean_name, fold, names
from bot.prompt.speech import in_character
from bot.scene.patience import Patience
from bot.scene.scene import LONGEST_WAIT, Scene, Turn
from bot.scene.speakers import Candidate, who_answers
from bot.store import knowledge, log, scenes, turns
from bot.store.records import Entry, EntryKind, Reply, ReplyState, SceneRecord

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from random import Random

    from bot.clock import Clock
    from bot.memory.embedding import Embedding
    from bot.model.switches import Switch
    from bot.persona.personas import Personas
    from bot.scene.lineage import Lineage
    from bot.scene.ports import Stage
    from bot.scene.turn import Answering
    from bot.scene.warming import Warming
    from bot.store.connection import Connection
    from bot.store.store import Store

PLAYER_NAME_CHARACTERS = 32
NAMELESS = "Someone"
# How long what is being stored is waited for at the end, in seconds.
LAST_WORDS = 5.0


@dataclass(frozen=True, slots=True)
class Said:
    """A message that a member wrote.

    `mentions_bot` is true for an @mention of the bot; `reply_to` is the message that it answers.
    `names` tells what the ids that it mentions are called.
    """

    message_id: int
    channel_id: int
    author_id: int
    author_name: str
    text: str
    created_at: float
    mentions_bot: bool = False
    reply_to: int | None = None
    names: tuple[tuple[int, str], ...] = ()


class Table:
    """Hears what is said in the scenes and has the cast answer. One for each bot."""

    def __init__(
        self,
        store: Store,
        personas: Personas,
        answering: Answering,
        stage: Stage,
        warming: Warming,
        embedding: Embedding,
        lineage: Lineage,
        clock: Clock,
        rng: Random,
    ) -> None:
        self.store = store
        self.personas = personas
        self.stage = stage
        self.clock = clock
        self._answering = answering
        self._warming = warming
        self._embedding = embedding
        self._lineage = lineage
        self._rng = rng
        self._patience = Patience(stage, clock)
        self._scenes: dict[int, Scene] = {}
        self._closed = False
        self._log = structlog.get_logger("hearthside.table")

    # -- scenes -------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Take up every scene that was being played, with the answers that it still owes."""
        async with self.store.read() as connection:
            for record in await scenes.unended(connection):
                self.seat(await self._loaded(connection, record))

    def seat(self, scene: Scene) -> None:
        """Begin to listen in a scene's channel."""
        self._scenes[scene.record.channel_id] = scene

    def unseat(self, scene: Scene) -> None:
        """Stop listening in a scene's channel."""
        if self._scenes.get(scene.record.channel_id) is scene:
            del self._scenes[scene.record.channel_id]

    def scene_in(self, channel_id: int) -> Scene | None:
        """Give the scene that is played or paused in a channel."""
        return self._scenes.get(channel_id)

    def scenes(self) -> tuple[Scene, ...]:
        """Give every scene that is played or paused."""
        return tuple(self._scenes.values())

    async def load(self, record: SceneRecord) -> Scene:
        """Read a scene from the store."""
        async with self.store.read() as connection:
            return await self._loaded(connection, record)

    async def _loaded(self, connection: Connection, record: SceneRecord) -> Scene:
        scene = Scene(
            record,
            await scenes.cast_of(connection, record.id),
            await log.since(connection, record.id, record.window_start),
            await log.last_seq(connection, record.id),
            await knowledge.stays_of(connection, record.id),
        )
        whispers = await knowledge.whispers_of(connection, record.id)
        for turn_id, replies in await turns.unfinished(connection, record.id):
            whisper = whispers.get(turn_id)
            begun = any(reply.posted or reply.state is not ReplyState.PROMISED for reply in replies)
            scene.turns.append(
                Turn(turn_id, replies, begun=begun or whisper is not None, resumed=True, whisper=whisper)
            )
        return scene

    async def last_heard(self, scene: Scene) -> int:
        """Give the message after which a scene has missed what was said while the bot was away."""
        async with self.store.read() as connection:
            return max(await log.last_message(connection, scene.id), scene.record.heard_from)

    async def aclose(self) -> None:
        """Stop listening and playing: the next start reads in what is said now and gives what is promised."""
        self._closed = True
        players = [scene.player for scene in self._scenes.values() if scene.player]
        for player in players:
            player.cancel()
        await asyncio.gather(*players, return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS):
                for scene in self.scenes():
                    await scene.arrivals.acquire()  # what has begun to be stored is; nothing follows it

    # -- what is heard ------------------------------------------------------------------------------------

    async def hear(self, said: Said, *, missed: bool = False) -> None:
        """Store a member's message, once, and have the cast answer it.

        What was `missed` while the bot was away is answered together: call `wake` after the last of it.
        """
        scene = self._scenes.get(said.channel_id)
        if scene is None:
            return
        async with scene.arrivals:
            if scene.listening and said.message_id > scene.record.heard_from:
                await self._patience.until_stored(scene, lambda: self._take_in(scene, said))
        scene.saw_message(said.author_id)  # only now: it begins the turn, which the message is to be part of
        if not missed:
            self.wake(scene)
            if not (scene.turns or self._closed):
                self._warming.soon(scene)
                self._embedding.soon()

    async def _take_in(self, scene: Scene, said: Said) -> None:
        now, text = self.clock.now(), in_character(said.text, dict(said.names))
        addressed = await self._addressed(scene, said)
        turn, wanted = self._wanted(scene, text, addressed) if text else (None, [])
        told = scene.next_entry(
            EntryKind.PLAYER,
            self.player_name(scene, said.author_name),
            text,
            said.created_at,
            author_id=said.author_id,
        )
        first = len(turn.replies) if turn else 0
        if wanted and not scene.answering:
            self._answering.expect(scene, text)

        async def store(tx: Connection) -> tuple[Entry, list[Reply]] | None:
            if not await log.claim(tx, said.message_id, now) or not text:
                return None
            turn_id = turn.id if turn else await turns.begin(tx, scene.id, now) if wanted else None
            promised = await turns.promise(tx, turn_id, wanted, first=first) if turn_id else []
            return await log.append(tx, replace(told, turn_id=turn_id), [said.message_id]), promised

        if stored := await self.store.change(store):
            entry, promised = stored
            scene.add(entry)
            if entry.turn_id is not None:
                self._owe(scene, turn or Turn(entry.turn_id), promised)

    async def _addressed(self, scene: Scene, said: Said) -> str | None:
        if said.reply_to:
            async with self.store.read() as connection:
                answered = await log.shown_by(connection, said.reply_to)
            if answered and answered.persona:
                return answered.persona
        return scene.record.lead if said.mentions_bot else None

    def _wanted(self, scene: Scene, text: str, addressed: str | None) -> tuple[Turn | None, list[str]]:
        """Give the turn that gathers, if one does, and who is to answer in it beside those who owe one."""
        turn = scene.gathering()
        wanted = who_answers(
            text, self.candidates(scene), scene.record.mode, self._rng, addressed=addressed, draw=turn is None
        )
        owing = turn.promised() if turn else set()
        return turn, [slug for slug in wanted if slug not in owing]

    def _owe(self, scene: Scene, turn: Turn, promised: list[Reply]) -> None:
        """Take note of promised answers, once they are stored."""
        turn.replies += promised
        if turn not in scene.turns:
            scene.turns.append(turn)

    async def ask(self, scene: Scene, slug: str) -> None:
        """Have a persona speak without anybody having said anything."""
        async with scene.arrivals:
            turn = scene.gathering()
            if turn and slug in turn.promised():
                return
            async with self.store.transaction() as tx:
                turn = turn or Turn(await turns.begin(tx, scene.id, self.clock.now()))
                promised = await turns.promise(tx, turn.id, [slug], first=len(turn.replies))
            turn.asked = True
            self._owe(scene, turn, promised)
        self.wake(scene)

    async def edited(
        self, channel_id: int, message_id: int, text: str, mentioned: Iterable[tuple[int, str]]
    ) -> None:
        """Change what a player said, because they changed their message; in a story that has ended, too."""
        if not await self._may_tell(channel_id, message_id):
            return
        said = in_character(text, dict(mentioned))

        async def change(tx: Connection, entry: Entry) -> None:
            if entry.kind is not EntryKind.PLAYER or entry.text == said:
                return
            if said:
                self._discard(await self._lineage.changed(tx, entry, deleted=False))
                await log.set_text(tx, entry.id, said, self.clock.now())
                for scene in self._scenes.values():
                    scene.replace_entry(replace(entry, text=said, tokens=None, fingerprint=None))
            else:
                await self._remove(tx, entry)

        await self._change(channel_id, message_id, change)

    async def deleted(self, channel_id: int, message_id: int) -> None:
        """Forget what a message said, because it was deleted. An answer goes with its last message."""
        if not await self._may_tell(channel_id, message_id):
            return

        async def change(tx: Connection, entry: Entry) -> None:
            if await log.forget_message(tx, message_id, entry.id):
                await self._remove(tx, entry)

        await self._change(channel_id, message_id, change)

    async def _change(
        self, channel_id: int, message_id: int, change: Callable[[Connection, Entry], Awaitable[None]]
    ) -> None:
        """Change what a message told, in the scene of that channel or in one that has ended."""
        scene = self._scenes.get(channel_id)

        async def work() -> None:
            async with self.store.transaction() as tx:
                if entry := await log.shown_by(tx, message_id):
                    await change(tx, entry)

        async with scene.arrivals if scene else contextlib.nullcontext():
            await self._patience.until_stored(scene, work)
        if scene:
            self._warming.mend(scene)

    async def _may_tell(self, channel_id: int, message_id: int) -> bool:
        """Tell whether a message may belong to a story: most do not, and have nobody wait for the writer."""
        if channel_id in self._scenes:
            return True
        async with self.store.read() as connection:
            return await log.shown_by(connection, message_id) is not None

    async def forget(self, scene: Scene, entry_id: int) -> None:
        """Delete an entry because somebody asked for it. The message that shows it stays."""
        async with scene.arrivals, self.store.transaction() as tx:
            entry = await log.by_id(tx, scene.id, entry_id)
            if entry:
                await self._remove(tx, entry)
        self._warming.mend(scene)

    async def _remove(self, tx: Connection, entry: Entry) -> None:
        memories = await self._lineage.changed(tx, entry, deleted=True)
        await log.remove(tx, entry.id)
        self._discard([entry.id, *memories])
        for scene in self._scenes.values():
            for turn in scene.turns:
                if turn.id == entry.turn_id and not turn.begun and not turn.asked:
                    await self._call_off(tx, turn)

    async def _call_off(self, tx: Connection, turn: Turn) -> None:
        """Owe nothing for a turn that was not begun when the last message was deleted that asked for it."""
        if await log.first_message_of_turn(tx, turn.id) is None:
            await turns.close(tx, turn.id, self.clock.now())
            turn.replies.clear()
            turn.begun = True  # nothing joins it any more

    def _discard(self, entry_ids: Iterable[int]) -> None:
        """Take entries out of whichever windows they stand in."""
        for entry_id in entry_ids:
            for scene in self._scenes.values():
                scene.window.discard(entry_id)

    def typing(self, channel_id: int, member: int) -> None:
        """Note that a player is writing: the cast lets them finish."""
        if scene := self._scenes.get(channel_id):
            scene.saw_typing(member, self.clock.monotonic())

    # -- what follows -------------------------------------------------------------------------------------

    def wake(self, scene: Scene) -> None:
        """Play the turns that a scene has promised, unless that is going on."""
        idle = scene.player is None or scene.player.done()
        if scene.turns and scene.listening and idle and not self._closed:
            scene.player = asyncio.create_task(self._play(scene), name=f"scene {scene.id}")

    async def _play(self, scene: Scene) -> None:
        while scene.turns and scene.listening:
            await self._play_turn(scene, scene.turns[0])
        self._warming.soon(scene)
        self._embedding.soon()

    async def _play_turn(self, scene: Scene, turn: Turn) -> None:
        """Give all answers of a turn; where the store fails, find out how far it has come."""
        try:
            await self._answer(scene, turn)
            await self._close(turn)
        except StoreError:
            await self._patience.until_stored(scene, lambda: self._take_up(scene, turn))
        else:
            scene.turns.popleft()

    async def _answer(self, scene: Scene, turn: Turn) -> None:
        for reply in turn.replies:  # more may be promised until it is begun
            # Nobody is to see that somebody is whispered to.
            thinking = contextlib.nullcontext() if turn.whisper else self.stage.thinking(scene.place)
            async with thinking:
                if not turn.begun:
                    await self._let_them_finish(scene)
                    turn.begun = True
                if reply in turn.replies:  # else it was called off
                    await self._answering.give(scene, reply, resumed=turn.resumed, whisper=turn.whisper)

    async def _take_up(self, scene: Scene, turn: Turn) -> None:
        """Find out how far an interrupted turn has come, as after a restart."""
        async with scene.arrivals, self.store.transaction() as tx:
            turn.replies = await turns.take_up(tx, turn.id)
            turn.resumed = True

    async def _close(self, turn: Turn) -> None:
        async def store(tx: Connection) -> None:
            await turns.close(tx, turn.id, self.clock.now())
            if turn.whisper:
                await knowledge.end_whisper(tx, turn.id)

        await self.store.change(store)

    async def _let_them_finish(self, scene: Scene) -> None:
        """Wait while a player is seen typing, but not for ever."""
        latest = self.clock.monotonic() + LONGEST_WAIT
        while (until := scene.typing_until(now := self.clock.monotonic())) and now < latest:
            self._warming.soon(scene)
            scene.somebody_spoke.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(scene.somebody_spoke.wait(), min(until, latest) - now)

    async def tell_switch(self, switch: Switch) -> None:
        """Tell a scene's players that another model server answers them now."""
        if scene := next((one for one in self._scenes.values() if one.id == switch.scene_key), None):
            with contextlib.suppress(HearthsideError):
                await self.stage.notice(scene.place, f"*{switch.text}*")

    # -- names --------------------------------------------------------------------------------------------

    def candidates(self, scene: Scene) -> list[Candidate]:
        """Give those of the cast whose persona is there."""
        present = (self.personas.get(slug) for slug in scene.cast)
        return [Candidate(one.slug, names(one), one.talkativeness) for one in present if one]

    def player_name(self, scene: Scene, name: str) -> str:
        """Make a member's name one that can stand before their lines and is nobody else's in the cast."""
        clean = clean_name(name)[:PLAYER_NAME_CHARACTERS].strip() or NAMELESS
        cast = (self.personas.get(slug) for slug in scene.cast)
        taken = {fold(known) for one in cast if one for known in names(one)}
        return f"{clean} (player)" if fold(clean) in taken else clean
