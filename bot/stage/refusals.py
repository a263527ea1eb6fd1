"""What goes wrong between the bot and Discord, told apart: out of reach, refused, gone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import discord

from bot.errors import SetupError
from bot.scene.ports import Place

MESSAGE_GONE = 10008
CHANNEL_GONE = 10003
WEBHOOK_GONE = 10015
WEBHOOKS_FULL = 30007
TOO_MANY_EDITS = 30046
NO_ACCESS = 50001
NOT_THE_AUTHOR = 50005
NO_PERMISSION = 50013
WRONG_WEBHOOK_TOKEN = 50027
THREAD_ARCHIVED = 50083
THREAD_LOCKED = 160005


class StageError(SetupError):
    """An answer cannot be shown in Discord."""


class UnreachableError(Exception):
    """Discord did not answer, or only that something broke on its side. What was asked may have happened."""


@asynccontextmanager
async def reaching() -> AsyncIterator[None]:
    """Turn every way in which Discord can fail to answer into UnreachableError."""
    try:
        yield
    except (aiohttp.ClientError, OSError, TimeoutError, discord.DiscordServerError) as error:
        raise UnreachableError(str(error) or type(error).__name__) from error


def webhook_is_gone(error: discord.HTTPException) -> bool:
    """Say whether the refusal means that the webhook does not exist any more."""
    if error.code in {WEBHOOK_GONE, WRONG_WEBHOOK_TOKEN}:
        return True
    return error.status == 404 and error.code == 0


def unreachable(place: Place) -> StageError:
    """Say that Discord has not answered for a while."""
    return StageError(
        f"Discord does not answer, so nothing more can be shown in <#{place.channel_id}>.",
        hint="Try again in a few minutes; https://discordstatus.com says whether Discord has a problem.",
    )


def refused(error: discord.HTTPException, place: Place, missing: tuple[str, ...] = ()) -> StageError:
    """Say why Discord would not show an answer in `place`. `missing` names permissions it lacks."""
    where = f"<#{place.channel_id}>"
    if error.code in {NO_ACCESS, NO_PERMISSION}:
        names = " and ".join(f'"{name}"' for name in missing or _likely_missing(error, place))
        return StageError(
            f"Hearthside may not write in {where}.",
            hint=f"Give its role the permission {names} there (channel settings > Permissions).",
        )
    if error.code == CHANNEL_GONE:
        return StageError(
            f"The channel {place.channel_id} is gone.", hint="Start the scene anew in another one."
        )
    if error.code in {THREAD_ARCHIVED, THREAD_LOCKED}:
        return StageError(f"The thread {where} is closed.", hint="A moderator can open it again.")
    if error.status == 429:
        return StageError(
            "Discord refuses every request from this address for a while, for too many were refused.",
            hint="Stop other bots behind the same address and wait an hour.",
        )
    return StageError(
        f"Discord would not show a message in {where}: {error.text or error.status} ({error.code})."
    )


def _likely_missing(error: discord.HTTPException, place: Place) -> tuple[str, ...]:
    if error.code == NO_ACCESS:
        return ("View Channel",)
    return ("Send Messages in Threads",) if place.parent_id else ("Send Messages",)


def missing_permissions(client: discord.Client, place: Place) -> tuple[str, ...]:
    """Name what the bot lacks to write in `place`, as far as the gateway told it."""
    permissions = known_permissions(client, place)
    if permissions is None:
        return ()
    writing = "send_messages_in_threads" if place.parent_id else "send_messages"
    words = {
        "view_channel": "View Channel",
        writing: writing.replace("_", " ").title().replace(" In ", " in "),
    }
    return tuple(name for flag, name in words.items() if not getattr(permissions, flag))


def known_permissions(client: discord.Client, place: Place) -> discord.Permissions | None:
    """Give the bot's own permissions in `place` (of a thread: its parent), or None if they are not known."""
    guild = client.get_guild(place.guild_id) if place.guild_id else None
    channel = guild.get_channel(place.parent_id or place.channel_id) if guild else None
    if guild is None or channel is None or guild.me is None:
        return None
    return channel.permissions_for(guild.me)
