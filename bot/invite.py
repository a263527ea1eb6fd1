"""The invite link, with exactly the permissions that the bot uses."""

from __future__ import annotations

# Discord's permission bits: https://discord.com/developers/docs/topics/permissions
PERMISSIONS = {
    "View Channels": 1 << 10,
    "Send Messages": 1 << 11,
    "Embed Links": 1 << 14,
    "Attach Files": 1 << 15,
    "Read Message History": 1 << 16,
    "Add Reactions": 1 << 6,
    "Manage Webhooks": 1 << 29,
    "Create Public Threads": 1 << 35,
    "Send Messages in Threads": 1 << 38,
}
ADMINISTRATOR = 1 << 3


def invite_link(application_id: int | str) -> str:
    """Give the address at which a server's owner invites the bot."""
    return (
        f"https://discord.com/oauth2/authorize?client_id={application_id}"
        f"&scope=bot+applications.commands&permissions={sum(PERMISSIONS.values())}"
    )


def missing(permissions: int) -> list[str]:
    """Name the permissions that a bot with these bits lacks."""
    if permissions & ADMINISTRATOR:
        return []
    return [name for name, bit in PERMISSIONS.items() if not permissions & bit]
