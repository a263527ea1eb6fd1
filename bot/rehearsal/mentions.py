"""Who a message pings: what stands in its text, narrowed by `allowed_mentions` and by permissions."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bot.rehearsal.guilds import Channel
    from bot.rehearsal.people import User
    from bot.rehearsal.refusals import Form, Json, Path

_USER = re.compile(r"<@!?(\d{1,20})>")
_ROLE = re.compile(r"<@&(\d{1,20})>")
_EVERYONE = re.compile(r"@(?:everyone|here)\b")


@dataclass(frozen=True, slots=True)
class Allowed:
    """A read `allowed_mentions`: whole kinds in `parse`, single ids otherwise."""

    parse: frozenset[str] = frozenset()
    users: frozenset[int] = frozenset()
    roles: frozenset[int] = frozenset()
    replied_user: bool = False


@dataclass(slots=True)
class Pings:
    """Who is pinged."""

    users: list[User] = field(default_factory=list)
    roles: list[int] = field(default_factory=list)
    everyone: bool = False


ANYBODY = Allowed(parse=frozenset({"users", "roles", "everyone"}), replied_user=True)
"""What holds where a message says nothing: everything in its text pings, and so does a reply."""


def read_allowed(form: Form, body: Json, path: Path) -> Allowed | None:
    """Check an `allowed_mentions` object; None where there is none."""
    found = form.object(body, path)
    if found is None:
        return None
    parse = form.items(found, (*path, "parse"), high=3) or []
    for position, kind in enumerate(parse):
        if kind not in {"users", "roles", "everyone"}:
            message = "Value must be one of {'everyone', 'roles', 'users'}."
            form.fault((*path, "parse", position), "BASE_TYPE_CHOICES", message)
    ids = {name: _ids(form, found, (*path, name)) for name in ("users", "roles")}
    for name, listed in ids.items():
        if listed and name in parse:
            form.fault(
                path,
                "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE",
                f'parse:["{name}"] and {name}: [ids...] are mutually exclusive.',
            )
    replied = bool(form.flag(found, (*path, "replied_user")))
    return Allowed(frozenset(map(str, parse)), ids["users"], ids["roles"], replied)


def _ids(form: Form, body: Json, path: Path) -> frozenset[int]:
    listed = form.items(body, path, high=100) or []
    wrapped = {str(position): value for position, value in enumerate(listed)}
    read = [form.snowflake(wrapped, (*path, position)) for position in wrapped]
    return frozenset(value for value in read if value is not None)


def find_pings(
    text: str, channel: Channel, allowed: Allowed, *, may_ping_everyone: bool, replied: User | None
) -> Pings:
    """Work out who a text pings in this channel."""
    pings = Pings()
    for found in _USER.finditer(text):
        user = _person(channel, int(found[1]))
        if (
            user is not None
            and ("users" in allowed.parse or user.id in allowed.users)
            and user not in pings.users
        ):
            pings.users.append(user)
    if replied is not None and allowed.replied_user and replied not in pings.users:
        pings.users.append(replied)
    for found in _ROLE.finditer(text):
        role = channel.guild.roles.get(int(found[1])) if channel.guild else None
        wanted = role is not None and ("roles" in allowed.parse or role.id in allowed.roles)
        if (
            role is not None
            and wanted
            and (role.mentionable or may_ping_everyone)
            and role.id not in pings.roles
        ):
            pings.roles.append(role.id)
    pings.everyone = may_ping_everyone and "everyone" in allowed.parse and bool(_EVERYONE.search(text))
    return pings


def _person(channel: Channel, user_id: int) -> User | None:
    if channel.guild is None:
        return next((user for user in channel.recipients if user.id == user_id), None)
    member = channel.guild.members.get(user_id)
    return member.user if member else None
