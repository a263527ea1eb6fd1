"""Who is at the table: users, the applications behind bots, and what an application has registered."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bot.rehearsal.guilds import Channel

Json = dict[str, Any]

PRESENCE_LIMITED = 1 << 13
MEMBERS_LIMITED = 1 << 15
MESSAGE_CONTENT_LIMITED = 1 << 19


@dataclass(slots=True, eq=False)
class User:
    """An account: a human, a bot, or the name and face a webhook message goes by."""

    id: int
    username: str
    global_name: str | None = None
    bot: bool = False
    avatar: str | None = None
    discriminator: str = "0"

    @property
    def name(self) -> str:
        """What people see where no server nickname overrides it."""
        return self.global_name or self.username

    @property
    def mention(self) -> str:
        """The text that pings this user."""
        return f"<@{self.id}>"


@dataclass(slots=True, eq=False)
class Command:
    """A registered application command: Discord's id and version with the payload as it is given back."""

    id: int
    payload: Json

    @property
    def name(self) -> str:
        """The command's name without the slash."""
        return str(self.payload["name"])

    @property
    def type(self) -> int:
        """1 for a slash command, 2 for a user menu, 3 for a message menu."""
        return int(self.payload["type"])


@dataclass(slots=True, eq=False)
class Application:
    """A bot's registration: its token, its bot user, its privileged intents and its commands.

    `message_content`, `members` and `presences` are the switches of the developer portal.
    """

    id: int
    name: str
    token: str
    user: User
    owner: User
    message_content: bool = True
    members: bool = True
    presences: bool = False
    global_commands: dict[int, Command] = field(default_factory=dict)
    guild_commands: dict[int, dict[int, Command]] = field(default_factory=dict)
    direct_channels: dict[int, Channel] = field(default_factory=dict)
    command_creates: dict[int, list[float]] = field(default_factory=dict)
    commands_written: bool = False
    identified: int = 0

    @property
    def flags(self) -> int:
        """The application flags that tell a bot which privileged intents it has."""
        return (
            (PRESENCE_LIMITED if self.presences else 0)
            | (MEMBERS_LIMITED if self.members else 0)
            | (MESSAGE_CONTENT_LIMITED if self.message_content else 0)
        )

    def commands(self, guild_id: int | None) -> list[Command]:
        """Give what can be called in a server: its own commands in front of the global ones of that name."""
        own = list(self.guild_commands.get(guild_id, {}).values()) if guild_id is not None else []
        taken = {(command.type, command.name) for command in own}
        return own + [each for each in self.global_commands.values() if (each.type, each.name) not in taken]
