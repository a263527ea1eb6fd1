"""Messages as the room keeps them, with files and reactions, and the webhooks that some come from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bot.rehearsal.guilds import Channel, Thread
    from bot.rehearsal.people import User

Json = dict[str, Any]

DEFAULT = 0
PINNED = 6
THREAD_CREATED = 18
REPLY = 19
CHAT_COMMAND = 20
THREAD_STARTER = 21
MENU_COMMAND = 23
NOTICES = (PINNED, THREAD_CREATED, THREAD_STARTER)
"""Message types that Discord writes itself (system messages)."""

SUPPRESS_EMBEDS = 1 << 2
HAS_THREAD = 1 << 5
EPHEMERAL = 1 << 6
LOADING = 1 << 7
SUPPRESS_NOTIFICATIONS = 1 << 12
COMPONENTS_V2 = 1 << 15


@dataclass(slots=True, eq=False)
class Attachment:
    """A file of a message, kept whole."""

    id: int
    channel_id: int
    filename: str
    data: bytes
    content_type: str
    description: str | None = None
    ephemeral: bool = False


@dataclass(slots=True, eq=False)
class Webhook:
    """A way to post under any name. `application_id` is the bot that made it, or None for a person's."""

    id: int
    token: str
    channel: Channel
    name: str
    user: User
    application_id: int | None
    avatar: str | None = None


@dataclass(slots=True, eq=False)
class Reply:
    """What a message refers to: the message it answers, or for a notice a message or thread."""

    message: Message | None
    message_id: int | None
    channel_id: int
    guild_id: int | None


@dataclass(slots=True, eq=False)
class Message:
    """One message. Live: an edit changes it in place and raises `edited_count`.

    `ephemeral_for` is the id of the one user who sees it; `cursor` is the room's event number
    at its creation, for `Room.wait_for(since=...)`.
    """

    id: int
    channel: Channel
    author: User
    created_at: float
    content: str = ""
    type: int = DEFAULT
    embeds: list[Json] = field(default_factory=list)
    components: list[Json] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    flags: int = 0
    edited_at: float | None = None
    edited_count: int = 0
    webhook_id: int | None = None
    application_id: int | None = None
    avatar_url: str | None = None
    nonce: str | int | None = None
    reply: Reply | None = None
    mentions: list[User] = field(default_factory=list)
    mention_roles: list[int] = field(default_factory=list)
    mention_everyone: bool = False
    reactions: dict[str, dict[int, User]] = field(default_factory=dict)
    pinned: bool = False
    tts: bool = False
    interaction: Any = None
    ephemeral_for: int | None = None
    thread: Thread | None = None
    deleted: bool = False
    old_edits: list[float] = field(default_factory=list)
    cursor: int = 0

    @property
    def author_name(self) -> str:
        """The name above the message: a webhook's username, a nickname, or a display name."""
        guild = self.channel.guild
        if self.webhook_id is None and guild is not None and (member := guild.members.get(self.author.id)):
            return member.name
        return self.author.name

    @property
    def ephemeral(self) -> bool:
        """Whether only one member sees it."""
        return self.ephemeral_for is not None

    @property
    def notice(self) -> bool:
        """Whether Discord wrote it itself."""
        return self.type in NOTICES

    @property
    def loading(self) -> bool:
        """Whether it stands for an answer that was deferred and is not there yet."""
        return bool(self.flags & LOADING)

    def visible_to(self, user_id: int) -> bool:
        """Say whether this user would see the message (permissions aside)."""
        return self.ephemeral_for is None or self.ephemeral_for == user_id
