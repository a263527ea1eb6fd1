"""What the table knows: what is pinned, what is kept secret, and who may know what was said."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from bot.errors import TableError
from bot.memory.witnesses import audience_of, knows, member
from bot.prompt.log import PINNED, UNTOLD, OwnPin
from bot.prompt.tokens import EstimatingCounter
from bot.store import knowledge, log, pins, summaries
from bot.store.records import EntryKind, Pin, Secret

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bot.clock import Clock
    from bot.persona.persona import Persona
    from bot.scene.forgetting import Forgetting
    from bot.scene.kept import Facts, Kept
    from bot.scene.scene import Scene
    from bot.scene.stories import Stories
    from bot.store.connection import Connection
    from bot.store.records import Entry, Session
    from bot.store.store import Store

# What is pinned takes an eighth of the context at most, and what is secret another one: the story needs room.
SHARE = 8
PINS = 20
PIN_CHARACTERS = 300
SECRETS = 50
SECRET_CHARACTERS = 500

_Kept = TypeVar("_Kept", Pin, Secret)

NO_PIN = "/memory list shows what is pinned."
NO_SUCH = "/secret list shows them."


@dataclass(frozen=True, slots=True)
class Standing:
    """What prompts tell while it stands: the pins that all of the cast know, those of some, the secrets."""

    pins: tuple[str, ...]
    own_pins: tuple[OwnPin, ...]
    secrets: tuple[str, ...]


def standing(facts: Facts, scene: Scene, cast: Sequence[Persona], context_length: int) -> Standing:
    """Give the latest pins, and the latest secrets, that fit into a scene's prompts.

    A pinned message is known to those of the cast who were there, as anything that was said; what players put
    into words themselves, to all.
    """

    def known_to(pin: Pin) -> frozenset[str]:
        entry = pin.entry
        if entry is None:
            return everybody
        return frozenset(one.slug for one in cast if knows(one.slug, one.narrator, entry, scene.stays))

    everybody = frozenset(one.slug for one in cast)
    room = context_length // SHARE
    told = [OwnPin(shortened(pin.text), known_to(pin)) for pin in facts.pins]
    latest = told[len(told) - len(_latest([pin.text for pin in told], room)) :]
    return Standing(
        tuple(pin.text for pin in latest if pin.known_to == everybody),
        tuple(pin for pin in latest if pin.known_to != everybody),
        _latest([secret.text for secret in facts.secrets], room),
    )


def _meant(there: Sequence[_Kept], wanted: str) -> _Kept | None:
    """Give what somebody means by `#id`, or by its text, which may read like the id of another."""
    by_id = next((one for one in there if wanted == f"#{one.id}"), None)
    return by_id or next((one for one in there if wanted == one.text), None)


def shortened(text: str, characters: int = PIN_CHARACTERS) -> str:
    """Give a text on one line, cut to so many characters."""
    line = " ".join(text.split())
    return line if len(line) <= characters else f"{line[: characters - 2].rstrip()} …"


def _latest(texts: Sequence[str], room: int) -> tuple[str, ...]:
    """Give the last of the texts that take up to `room` tokens together, in their order."""
    tokens = EstimatingCounter().count
    first = len(texts)
    while first and (room := room - tokens(f"- {texts[first - 1]}\n")) >= 0:
        first -= 1
    return tuple(texts[first:])


@dataclass(frozen=True, slots=True)
class Asker:
    """A member who asks. One who `directs` the scene may know everything."""

    member_id: int
    directs: bool


@dataclass(frozen=True, slots=True)
class Ken:
    """What one asker may know of a scene: what was said in the sessions that they played in, and to them."""

    asker: Asker
    sessions: tuple[Session, ...]
    played: frozenset[int]

    def covers(self, entry: Entry) -> bool:
        """Tell whether the asker may know of an entry. What only the model was told nobody is shown."""
        if entry.kind in {EntryKind.LORE, EntryKind.MEMORY}:
            return False
        if self.asker.directs or entry.author_id == self.asker.member_id:
            return True
        if entry.audience is not None:
            return member(self.asker.member_id) in audience_of(entry)
        return self.session_of(entry.seq) in self.played

    def covers_pin(self, pin: Pin) -> bool:
        """Tell whether the asker may know of a pin: what was said and pinned is no more public for that."""
        return pin.entry is None or pin.pinned_by == self.asker.member_id or self.covers(pin.entry)

    def session_of(self, seq: int) -> int:
        """Give the number of the session that a place in the log belongs to."""
        return max((one.number for one in self.sessions if one.first_seq <= seq), default=1)

    @property
    def whole(self) -> bool:
        """Whether the asker was there in every session, or directs."""
        return self.asker.directs or all(one.number in self.played for one in self.sessions)


async def ken_of(connection: Connection, scene_id: int, asker: Asker) -> Ken:
    """Give what an asker may know of a scene."""
    there = tuple(await knowledge.sessions_of(connection, scene_id))
    played = await knowledge.spoke_in(connection, scene_id, asker.member_id)
    return Ken(asker, there, frozenset(played))


async def pins_known(connection: Connection, scene_id: int, ken: Ken) -> list[Pin]:
    """Give what is pinned in a scene, oldest first, as far as somebody may know of it."""
    return [pin for pin in await pins.of_scene(connection, scene_id) if ken.covers_pin(pin)]


class Knowledge:
    """Keeps pins and secrets. Every refusal is a TableError that says what to do."""

    def __init__(
        self, store: Store, stories: Stories, kept: Kept, forgetting: Forgetting, clock: Clock
    ) -> None:
        self._store = store
        self._stories = stories
        self._kept = kept
        self._forgetting = forgetting
        self._clock = clock

    # -- pins ---------------------------------------------------------------------------------------------

    async def pins(self, scene: Scene, asker: Asker) -> list[Pin]:
        """Give what is pinned, oldest first, as far as the asker may know of it."""
        async with self._store.read() as connection:
            return await pins_known(connection, scene.id, await ken_of(connection, scene.id, asker))

    async def pin(self, scene: Scene, text: str, asker: Asker) -> Pin:
        """Pin a fact in a player's own words."""
        line = " ".join(text.split())[:PIN_CHARACTERS]
        if not line:
            raise TableError("There is nothing to pin in that.")
        async with self._store.transaction() as tx:
            await self._require_room(tx, scene, line)
            now = self._clock.now()
            pin_id = await pins.keep(tx, scene.id, line, asker.member_id, now)
            self._kept.changed(scene.id)
        return Pin(pin_id, line, asker.member_id, now)

    async def pin_message(self, scene: Scene, message_id: int, asker: Asker) -> Pin:
        """Pin what a message of the scene shows: while it is edited or deleted, so is the pin."""
        async with self._store.transaction() as tx:
            entry = await log.shown_by(tx, message_id)
            if entry is None or entry.scene_id != scene.id:
                raise TableError("That message belongs to no story that is played here.")
            if not (await ken_of(tx, scene.id, asker)).covers(entry):
                raise TableError("Your character was not there, and cannot remember it.")
            pin = Pin(0, "", asker.member_id, self._clock.now(), entry)
            await self._require_room(tx, scene, pin.text)
            pin_id = await pins.keep(tx, scene.id, "", pin.pinned_by, pin.created_at, entry_id=entry.id)
            self._kept.changed(scene.id)
        return replace(pin, id=pin_id)

    async def _require_room(self, tx: Connection, scene: Scene, text: str) -> None:
        there = await pins.of_scene(tx, scene.id)
        if any(pin.text == text for pin in there):
            raise TableError("That is pinned already.")
        if len(there) >= PINS:
            raise TableError(
                f"{PINS} facts are pinned here, and a scene holds no more.",
                hint="/memory unpin takes one out.",
            )

    async def unpin(self, scene: Scene, wanted: str, asker: Asker) -> Pin:
        """Take a pin out that the asker has pinned; who directs the scene takes out any."""
        async with self._store.transaction() as tx:
            there = await pins_known(tx, scene.id, await ken_of(tx, scene.id, asker))
            pin = _meant(there, wanted)
            if pin is None:
                raise TableError(f"Nothing like “{wanted[:80]}” is pinned here.", hint=NO_PIN)
            if not asker.directs and pin.pinned_by != asker.member_id:
                raise TableError(f"<@{pin.pinned_by}> has pinned that, and can take it out.")
            await pins.remove(tx, pin.id)
            await summaries.strike(tx, scene.id, PINNED)
            await self._forgetting.soon(tx)
            self._kept.changed(scene.id)
            self._stories.taken_back(scene)
        return pin

    # -- secrets ------------------------------------------------------------------------------------------

    async def secrets(self, scene: Scene) -> list[Secret]:
        """Give the secrets, oldest first."""
        async with self._store.read() as connection:
            return await knowledge.secrets_of(connection, scene.id)

    async def add_secret(self, scene: Scene, text: str, by: int) -> Secret:
        """Keep a secret."""
        line = " ".join(text.split())[:SECRET_CHARACTERS]
        if not line:
            raise TableError("There is no secret in that.")
        now = self._clock.now()
        async with self._store.transaction() as tx:
            there = await knowledge.secrets_of(tx, scene.id)
            if any(one.text == line for one in there):
                raise TableError("That is a secret already.")
            if len(there) >= SECRETS:
                raise TableError(
                    f"A scene keeps {SECRETS} secrets, and has them.", hint="/secret remove makes room."
                )
            secret_id = await knowledge.add_secret(tx, scene.id, line, by, now)
            self._kept.changed(scene.id)
        return Secret(secret_id, line, by, now)

    async def remove_secret(self, scene: Scene, wanted: str) -> Secret:
        """Forget a secret, because it has come out or was never true."""
        async with self._store.transaction() as tx:
            there = await knowledge.secrets_of(tx, scene.id)
            secret = _meant(there, wanted)
            if secret is None:
                raise TableError("There is no such secret.", hint=NO_SUCH)
            await knowledge.remove_secret(tx, secret.id)
            await summaries.strike(tx, scene.id, UNTOLD)
            await self._forgetting.soon(tx)
            self._kept.changed(scene.id)
            self._stories.taken_back(scene)
        return secret
