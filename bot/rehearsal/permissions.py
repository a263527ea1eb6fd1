"""Who may do what where: Discord's permission bits and how roles and overwrites combine.

Source of the bits and the order: Discord's documentation, "Permissions".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import KEEP, IntFlag
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Permission(IntFlag, boundary=KEEP):
    """One bit for each thing that a role or overwrite can allow."""

    NONE = 0
    CREATE_INSTANT_INVITE = 1 << 0
    ADMINISTRATOR = 1 << 3
    MANAGE_CHANNELS = 1 << 4
    MANAGE_GUILD = 1 << 5
    ADD_REACTIONS = 1 << 6
    VIEW_CHANNEL = 1 << 10
    SEND_MESSAGES = 1 << 11
    MANAGE_MESSAGES = 1 << 13
    EMBED_LINKS = 1 << 14
    ATTACH_FILES = 1 << 15
    READ_MESSAGE_HISTORY = 1 << 16
    MENTION_EVERYONE = 1 << 17
    USE_EXTERNAL_EMOJIS = 1 << 18
    CHANGE_NICKNAME = 1 << 26
    MANAGE_ROLES = 1 << 28
    MANAGE_WEBHOOKS = 1 << 29
    USE_APPLICATION_COMMANDS = 1 << 31
    MANAGE_THREADS = 1 << 34
    CREATE_PUBLIC_THREADS = 1 << 35
    CREATE_PRIVATE_THREADS = 1 << 36
    SEND_MESSAGES_IN_THREADS = 1 << 38
    PIN_MESSAGES = 1 << 51


ALL = Permission((1 << 53) - 1)

EVERYONE = (
    Permission.CREATE_INSTANT_INVITE
    | Permission.ADD_REACTIONS
    | Permission.VIEW_CHANNEL
    | Permission.SEND_MESSAGES
    | Permission.EMBED_LINKS
    | Permission.ATTACH_FILES
    | Permission.READ_MESSAGE_HISTORY
    | Permission.MENTION_EVERYONE
    | Permission.USE_EXTERNAL_EMOJIS
    | Permission.CHANGE_NICKNAME
    | Permission.USE_APPLICATION_COMMANDS
    | Permission.CREATE_PUBLIC_THREADS
    | Permission.CREATE_PRIVATE_THREADS
    | Permission.SEND_MESSAGES_IN_THREADS
)
"""What @everyone may do in a new Discord server; pinging everyone is part of it."""


@dataclass(slots=True)
class Overwrite:
    """A channel's exception for one role (`type` 0) or one member (`type` 1)."""

    id: int
    type: int
    allow: Permission = Permission.NONE
    deny: Permission = Permission.NONE


def base_permissions(everyone: Permission, roles: Iterable[Permission], *, owner: bool) -> Permission:
    """Combine a member's roles, without any channel."""
    if owner:
        return ALL
    total = everyone
    for role in roles:
        total |= role
    return ALL if Permission.ADMINISTRATOR in total else total


def apply_overwrites(
    base: Permission,
    overwrites: Mapping[int, Overwrite],
    everyone_id: int,
    role_ids: Iterable[int],
    user_id: int,
) -> Permission:
    """Apply a channel's overwrites in Discord's order: @everyone, all roles together, the member."""
    if base == ALL:
        return ALL
    allow = deny = Permission.NONE
    for role_id in role_ids:
        if role_id != everyone_id and (found := overwrites.get(role_id)) is not None:
            allow |= found.allow
            deny |= found.deny
    for removed, added in (
        _bits(overwrites.get(everyone_id)),
        (deny, allow),
        _bits(overwrites.get(user_id)),
    ):
        base = (base & ~removed) | added
    return base if Permission.VIEW_CHANNEL in base else Permission.NONE


def _bits(overwrite: Overwrite | None) -> tuple[Permission, Permission]:
    return (overwrite.deny, overwrite.allow) if overwrite else (Permission.NONE, Permission.NONE)
