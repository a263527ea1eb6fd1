"""Everything there is in the room, and the one place where a change is announced."""

from __future__ import annotations

import base64
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bot.rehearsal import intents
from bot.rehearsal.events import Event, Journal
from bot.rehearsal.guilds import DIRECT, Channel, Guild, Member, Role, Thread
from bot.rehearsal.media import Media
from bot.rehearsal.payloads import (
    channel_payload,
    full_member_payload,
    guild_create_payload,
    role_payload,
    user_payload,
)
from bot.rehearsal.people import Application, User
from bot.rehearsal.refusals import refusal
from bot.rehearsal.snowflakes import Snowflakes
from bot.rehearsal.waiting import Timers, Waker

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from bot.clock import Clock
    from bot.rehearsal.interactions import Interaction
    from bot.rehearsal.messages import Message, Webhook

Json = dict[str, Any]

MAX_MESSAGES = 200_000
"""Messages that a channel keeps; the oldest are forgotten first."""

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@dataclass(frozen=True, slots=True)
class Viewer:
    """A gateway session's eyes: its application and the intents that it identified with."""

    application: Application
    intents: int


@dataclass(frozen=True, slots=True)
class Signal:
    """Something that the gateway tells bots.

    A session gets it if it has any bit of `intents` (0 needs none), sees `channel` where one is
    given, is in `guild` where one is given, and is `only` where that is given. `shard_of` names the
    server whose shard it is where the bot is in no `guild`.
    """

    name: str
    render: Callable[[Viewer], Json]
    intents: int = 0
    guild: Guild | None = None
    channel: Channel | None = None
    only: Application | None = None
    shard_of: Guild | None = None


def fixed(payload: Json) -> Callable[[Viewer], Json]:
    """Render the same payload for everybody."""

    def render(_viewer: Viewer) -> Json:
        return payload

    return render


class State:
    """Registries by id. Changes are made by the modules about messages, threads and so on."""

    def __init__(self, clock: Clock, rng: random.Random) -> None:
        self.clock = clock
        self.rng = rng
        self.ids = Snowflakes(clock)
        self.media = Media(clock)
        self.journal = Journal()
        self.timers = Timers(clock)
        self.changed = Waker()
        self.api_url = ""
        self.gateway_url = ""
        self.shards = 1
        self.users: dict[int, User] = {}
        self.applications: dict[int, Application] = {}
        self.guilds: dict[int, Guild] = {}
        self.channels: dict[int, Channel] = {}
        self.webhooks: dict[int, Webhook] = {}
        self.interactions: dict[str, Interaction] = {}
        self.nonces: deque[tuple[float, int, str, Message]] = deque(maxlen=1000)
        self.listeners: list[Callable[[Signal], None]] = []

    def publish(self, signal: Signal) -> None:
        """Tell the gateway."""
        for listener in self.listeners:
            listener(signal)

    def record(self, event: Event) -> int:
        """Tell whoever watches the room, and give the event's number."""
        return self.journal.append(event, self.clock.now())

    def secret(self, length: int) -> str:
        """Draw a string that looks like one of Discord's tokens."""
        return "".join(self.rng.choices(_ALPHABET, k=length))

    def bot_token(self, user_id: int) -> str:
        """Make a bot token in Discord's shape: the id in base64, a timestamp, a signature."""
        head = base64.urlsafe_b64encode(str(user_id).encode()).decode().rstrip("=")
        return f"{head}.{self.secret(6)}.{self.secret(38)}"

    def add_user(self, name: str) -> User:
        """Make a person's account."""
        user = User(self.ids.next(), name.lower().replace(" ", "_")[:32] or "player", name)
        self.users[user.id] = user
        return user

    def add_application(self, name: str) -> Application:
        """Register a bot; its user carries the application's id."""
        identity = self.ids.next()
        user = User(identity, name, bot=True, discriminator="0042")
        owner = self.add_user(f"{name} owner")
        application = Application(identity, name, self.bot_token(identity), user, owner)
        self.users[user.id] = user
        self.applications[identity] = application
        return application

    def add_guild(self, name: str) -> Guild:
        """Make a server without channels or members."""
        guild = Guild(self, self.ids.next(), name)
        self.guilds[guild.id] = guild
        return guild

    def direct_channel(self, user: User, application: Application) -> Channel:
        """Give the direct message channel of a person and a bot, and open it where there is none."""
        found = application.direct_channels.get(user.id)
        if found is None:
            recipients = [user, application.user]
            found = Channel(self, self.ids.next(), DIRECT, "", recipients=recipients)
            application.direct_channels[user.id] = self.channels[found.id] = found
        return found

    def guilds_of(self, application: Application) -> list[Guild]:
        """Give the servers that a bot is in."""
        return [guild for guild in self.guilds.values() if application.user.id in guild.members]

    def channel_changed(self, name: str, channel: Channel) -> None:
        """Tell the gateway of a new, changed or removed channel."""

        def render(viewer: Viewer) -> Json:
            return channel_payload(channel, viewer.application.user)

        self.publish(Signal(name, render, intents.GUILDS, channel.guild, channel))

    def remove_channel(self, channel: Channel) -> None:
        """Take a channel away with its threads and webhooks."""
        self.channel_changed("CHANNEL_DELETE", channel)
        threads = list(channel.guild.threads.values()) if channel.guild else []
        for gone in [channel, *(each for each in threads if each.parent is channel)]:
            self.channels.pop(gone.id, None)
            if gone.guild is not None:
                gone.guild.channels.pop(gone.id, None)
                gone.guild.threads.pop(gone.id, None)
        self.webhooks = {key: each for key, each in self.webhooks.items() if each.channel is not channel}

    def member_changed(self, name: str, member: Member) -> None:
        """Tell the gateway of a new or changed member."""

        def render(_viewer: Viewer) -> Json:
            return full_member_payload(member) | {"guild_id": str(member.guild.id)}

        self.publish(Signal(name, render, intents.GUILD_MEMBERS, member.guild))

    def member_left(self, guild: Guild, user: User) -> None:
        """Tell the gateway that somebody is gone; a bot itself hears that the server is."""

        def render(_viewer: Viewer) -> Json:
            return {"guild_id": str(guild.id), "user": user_payload(user)}

        def removed(_viewer: Viewer) -> Json:
            return {"id": str(guild.id)}

        self.publish(Signal("GUILD_MEMBER_REMOVE", render, intents.GUILD_MEMBERS, guild))
        if (application := self.applications.get(user.id)) is not None:
            self.publish(Signal("GUILD_DELETE", removed, intents.GUILDS, only=application, shard_of=guild))

    def role_changed(self, name: str, guild: Guild, role: Role) -> None:
        """Tell the gateway of a new or changed role."""

        def render(_viewer: Viewer) -> Json:
            return {"guild_id": str(guild.id), "role": role_payload(role)}

        self.publish(Signal(name, render, intents.GUILDS, guild))

    def guild_joined(self, guild: Guild, application: Application, *, new: bool = True) -> None:
        """Tell a bot that it is in a server now, or where not `new`, on connecting, that it still is."""

        def render(viewer: Viewer) -> Json:
            everybody = bool(viewer.intents & intents.GUILD_PRESENCES)
            known = {} if new else {"unavailable": False}  # absent is how a bot tells joining from connecting
            return guild_create_payload(guild, viewer.application, everybody=everybody) | known

        self.publish(Signal("GUILD_CREATE", render, intents.GUILDS, guild, only=application))

    def channel(self, channel_id: int) -> Channel:
        """Find a channel or thread, or refuse (10003)."""
        found = self.channels.get(channel_id)
        if found is None:
            raise refusal(10003)
        return found

    def thread(self, channel_id: int) -> Thread:
        """Find a thread, or refuse: 10003 for nothing, 50024 for another kind of channel."""
        found = self.channel(channel_id)
        if not isinstance(found, Thread):
            raise refusal(50024)
        return found

    def guild(self, guild_id: int) -> Guild:
        """Find a server, or refuse (10004)."""
        found = self.guilds.get(guild_id)
        if found is None:
            raise refusal(10004)
        return found

    def message(self, channel: Channel, message_id: int) -> Message:
        """Find a message that is not ephemeral, or refuse (10008)."""
        found = channel.messages.get(message_id)
        if found is None or found.ephemeral:
            raise refusal(10008)
        return found

    def webhook(self, webhook_id: int) -> Webhook:
        """Find a webhook, or refuse (10015)."""
        found = self.webhooks.get(webhook_id)
        if found is None:
            raise refusal(10015)
        return found
