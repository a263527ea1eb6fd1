"""Names at the table: from ids to names for reading, from names to ids for typing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bot.rehearsal.guilds import Channel, Guild


class Directory:
    """Everybody and every place of one server, by id and by name. Names compare without case."""

    def __init__(self, guild: Guild) -> None:
        self._guild = guild

    def user(self, user_id: int) -> str | None:
        """Name a member."""
        member = self._guild.members.get(user_id)
        return member.name if member else None

    def role(self, role_id: int) -> str | None:
        """Name a role."""
        role = self._guild.roles.get(role_id)
        return role.name if role else None

    def channel(self, channel_id: int) -> str | None:
        """Name a channel or thread."""
        place = self._guild.channels.get(channel_id) or self._guild.threads.get(channel_id)
        return place.name if place else None

    def places(self) -> list[Channel]:
        """List every channel and thread that can be written in, the oldest first."""
        return [*self._guild.channels.values(), *self._guild.threads.values()]

    def people(self) -> list[str]:
        """List the names of all members, bots included."""
        return [member.name for member in self._guild.members.values()]

    def roles(self) -> list[str]:
        """List the names of all roles."""
        return [role.name for role in self._guild.roles.values()]

    def find_user(self, name: str) -> int | None:
        """Find a member by name, with or without an @."""
        return _find(name.removeprefix("@"), ((m.name, m.id) for m in self._guild.members.values()))

    def find_role(self, name: str) -> int | None:
        """Find a role by name, with or without an @; `everyone` is one."""
        roles = ((role.name.removeprefix("@"), role.id) for role in self._guild.roles.values())
        return _find(name.removeprefix("@"), roles)

    def find_channel(self, name: str) -> Channel | None:
        """Find a channel or thread by name, with or without a #; of two with that name the newer."""
        found = _find(name.removeprefix("#"), ((place.name, place.id) for place in reversed(self.places())))
        return next((place for place in self.places() if place.id == found), None)

    def with_mentions(self, text: str) -> str:
        """Write `@Name` as Discord does when a name is picked from its list: as `<@id>`."""
        ids = {member.name.lower(): member.id for member in self._guild.members.values()}
        names = "|".join(re.escape(name) for name in sorted(ids, key=len, reverse=True))
        if not names:
            return text
        pattern = rf"(?<!\w)@({names})(?!\w)"
        return re.sub(pattern, lambda found: f"<@{ids[found[1].lower()]}>", text, flags=re.IGNORECASE)


def _find(name: str, known: Iterable[tuple[str, int]]) -> int | None:
    wanted = name.strip().casefold()
    return next((known_id for known_name, known_id in known if known_name.casefold() == wanted), None)
