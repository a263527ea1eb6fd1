"""Servers, their members, roles, channels and threads, and who may do what in them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bot.rehearsal.permissions import (
    ALL,
    EVERYONE,
    Overwrite,
    Permission,
    apply_overwrites,
    base_permissions,
)

if TYPE_CHECKING:
    from bot.rehearsal.messages import Message
    from bot.rehearsal.people import Application, User
    from bot.rehearsal.state import State

TEXT = 0
DIRECT = 1
PUBLIC_THREAD = 11
PRIVATE_THREAD = 12


@dataclass(slots=True, eq=False)
class Role:
    """A named set of permissions. The role of a server's own id is @everyone."""

    id: int
    name: str
    permissions: Permission
    position: int = 0
    managed: bool = False
    mentionable: bool = False
    bot_id: int | None = None


@dataclass(slots=True, eq=False)
class Member:
    """A user in a server. `role_ids` leaves out @everyone."""

    guild: Guild
    user: User
    joined_at: float
    nick: str | None = None
    role_ids: list[int] = field(default_factory=list)

    @property
    def id(self) -> int:
        """The user's id."""
        return self.user.id

    @property
    def name(self) -> str:
        """What people see in this server."""
        return self.nick or self.user.name

    @property
    def mention(self) -> str:
        """The text that pings this member."""
        return self.user.mention


@dataclass(slots=True, eq=False)
class Channel:
    """A text channel or direct message channel; threads are `Thread`."""

    state: State = field(repr=False)
    id: int
    type: int
    name: str
    guild: Guild | None = None
    parent_id: int | None = None
    position: int = 0
    topic: str | None = None
    nsfw: bool = False
    rate_limit_per_user: int = 0
    overwrites: dict[int, Overwrite] = field(default_factory=dict)
    recipients: list[User] = field(default_factory=list)
    messages: dict[int, Message] = field(default_factory=dict)
    last_message_id: int | None = None

    @property
    def mention(self) -> str:
        """The text that links to this channel."""
        return f"<#{self.id}>"

    @property
    def holder(self) -> Channel:
        """The channel whose overwrites, age restriction and webhooks apply: the parent of a thread."""
        return self

    def permissions(self, user: User) -> Permission:
        """Compute what a user may do here, by roles and overwrites."""
        if self.guild is None:
            return ALL if user in self.recipients else Permission.NONE
        return self.guild.permissions(user, self.holder)

    def allow(self, who: Application | Member | Role | None, permission: Permission) -> None:
        """Allow something here to a bot, a member, a role, or (None) to everyone."""
        overwrite = self._overwrite(who)
        overwrite.allow |= permission
        overwrite.deny &= ~permission
        self.state.channel_changed("CHANNEL_UPDATE", self)

    def deny(self, who: Application | Member | Role | None, permission: Permission) -> None:
        """Forbid something here to a bot, a member, a role, or (None) to everyone."""
        overwrite = self._overwrite(who)
        overwrite.deny |= permission
        overwrite.allow &= ~permission
        self.state.channel_changed("CHANNEL_UPDATE", self)

    def delete(self) -> None:
        """Take the channel away, with its threads and webhooks."""
        self.state.remove_channel(self)

    def _overwrite(self, who: Application | Member | Role | None) -> Overwrite:
        if who is None:
            target, kind = (self.guild.id if self.guild else 0), 0
        else:
            target, kind = who.id, 0 if isinstance(who, Role) else 1
        return self.overwrites.setdefault(target, Overwrite(target, kind))


@dataclass(slots=True, eq=False)
class Thread(Channel):
    """A thread under a text channel."""

    owner_id: int = 0
    parent: Channel | None = None
    created_at: float = 0.0
    archived: bool = False
    archived_at: float = 0.0
    locked: bool = False
    invitable: bool = True
    auto_archive_minutes: int = 4320
    joined: dict[int, float] = field(default_factory=dict)
    total_sent: int = 0

    @property
    def holder(self) -> Channel:
        """The channel whose overwrites, age restriction and webhooks apply."""
        return self if self.parent is None else self.parent

    def permissions(self, user: User) -> Permission:
        """Compute what a user may do here; writing needs a permission of its own in threads."""
        found = self.holder.permissions(user)
        if (
            self.type == PRIVATE_THREAD
            and user.id not in self.joined
            and Permission.MANAGE_THREADS not in found
        ):
            return Permission.NONE
        writing = Permission.SEND_MESSAGES_IN_THREADS in found
        return found | Permission.SEND_MESSAGES if writing else found & ~Permission.SEND_MESSAGES


@dataclass(slots=True, eq=False)
class Guild:
    """A Discord server. Its first member owns it."""

    state: State = field(repr=False)
    id: int
    name: str
    roles: dict[int, Role] = field(default_factory=dict)
    members: dict[int, Member] = field(default_factory=dict)
    channels: dict[int, Channel] = field(default_factory=dict)
    threads: dict[int, Thread] = field(default_factory=dict)
    owner_id: int | None = None

    def __post_init__(self) -> None:
        self.roles[self.id] = Role(self.id, "@everyone", EVERYONE)

    def permissions(self, user: User, channel: Channel | None = None) -> Permission:
        """Compute what a user may do in the server, or in one of its channels."""
        member = self.members.get(user.id)
        if member is None:
            return Permission.NONE
        base = base_permissions(
            self.roles[self.id].permissions,
            [self.roles[role_id].permissions for role_id in member.role_ids if role_id in self.roles],
            owner=user.id == self.owner_id,
        )
        if channel is None:
            return base
        return apply_overwrites(base, channel.overwrites, self.id, member.role_ids, user.id)

    @property
    def owner(self) -> Member | None:
        """The member who may do everything."""
        return self.members.get(self.owner_id or 0)

    def add_text_channel(self, name: str, *, nsfw: bool = False, topic: str | None = None) -> Channel:
        """Add a text channel."""
        channel = Channel(
            self.state,
            id=self.state.ids.next(),
            type=TEXT,
            name=name,
            guild=self,
            position=len(self.channels),
            nsfw=nsfw,
            topic=topic,
        )
        self.channels[channel.id] = self.state.channels[channel.id] = channel
        self.state.channel_changed("CHANNEL_CREATE", channel)
        return channel

    def add_member(self, who: str | User, *, nick: str | None = None) -> Member:
        """Let a person in: a new one by name, or a user of another server."""
        user = self.state.add_user(who) if isinstance(who, str) else who
        member = Member(self, user, self.state.clock.now(), nick)
        self.members[user.id] = member
        if self.owner_id is None:
            self.owner_id = user.id
        self.state.member_changed("GUILD_MEMBER_ADD", member)
        return member

    def add_role(self, name: str, permissions: int = 0, *, mentionable: bool = False) -> Role:
        """Add a role above the others."""
        role = Role(
            self.state.ids.next(), name, Permission(permissions), len(self.roles), mentionable=mentionable
        )
        self.roles[role.id] = role
        self.state.role_changed("GUILD_ROLE_CREATE", self, role)
        return role

    def invite(self, application: Application, permissions: int) -> Member:
        """Let a bot in, with a role of its own that carries these permissions."""
        role = Role(
            self.state.ids.next(),
            application.name,
            Permission(permissions),
            len(self.roles),
            managed=True,
            bot_id=application.user.id,
        )
        self.roles[role.id] = role
        member = Member(self, application.user, self.state.clock.now(), role_ids=[role.id])
        self.members[application.user.id] = member
        self.state.guild_joined(self, application)
        return member

    def set_permissions(self, who: Application | Role | None, permissions: int) -> None:
        """Set what a bot's own role, another role, or (None) @everyone carries."""
        role = who if isinstance(who, Role) else self._role_of(who)
        role.permissions = Permission(permissions)
        self.state.role_changed("GUILD_ROLE_UPDATE", self, role)

    def remove(self, who: Application | Member) -> None:
        """Let a person or a bot go."""
        user = who.user
        member = self.members.pop(user.id, None)
        if member is not None:
            self.state.member_left(self, user)

    def _role_of(self, application: Application | None) -> Role:
        if application is None:
            return self.roles[self.id]
        return next(role for role in self.roles.values() if role.bot_id == application.user.id)
