"""Which webhook carries which persona."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import discord

from bot.clock import Clock
from bot.scene.ports import Place, Speaker
from bot.stage.clean import shown_name
from bot.stage.pictures import Stamp, data_uri, stamp
from bot.stage.refusals import (
    NO_ACCESS,
    NO_PERMISSION,
    WEBHOOKS_FULL,
    UnreachableError,
    known_permissions,
    reaching,
)

_log = logging.getLogger(__name__)

CHANNEL_LIMIT = 15
"""Webhooks in one channel, those of other bots included."""

REFUSAL_MEMORY = 600.0
"""Seconds for which a refusal is remembered: 10,000 refused requests in ten minutes ban an address."""

SHARED_NAME = "Hearthside"


def own_name(speaker: Speaker) -> str:
    """Give the name of a persona's own webhook, as the server's settings list it. Players never see it."""
    return shown_name(f"{SHARED_NAME}: {speaker.slug}")


@dataclass(slots=True)
class Hook:
    """A webhook of ours. `picture` is the state of the file that it carries, None if that is not known."""

    id: int
    token: str
    name: str
    has_avatar: bool
    picture: Stamp | None = None


@dataclass(slots=True)
class _Channel:
    """What is known of one channel's webhooks. `count` includes those of others."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    listed: bool = False
    count: int = 0
    hooks: dict[str, Hook] = field(default_factory=dict)
    users: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))


class Webhooks:
    """The webhooks that the bot made, by channel: found again by listing, made when first needed.

    A thread uses those of its parent. A persona with a local picture has one of its own; the others share
    one, for which a place is kept free. A picture that changed is uploaded when it is next needed: when the
    file changed since this process used it, or is younger than the webhook it was found with.
    """

    def __init__(self, client: discord.Client, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._channels: dict[int, _Channel] = {}
        self._refused: dict[int, float] = {}

    async def of(self, place: Place, speaker: Speaker) -> Hook | None:
        """Give the webhook that carries `speaker`, or None where the bot must speak as itself.

        Raises UnreachableError.
        """
        if not self._permitted(place):
            return None
        channel_id = place.parent_id or place.channel_id
        channel = self._channels.setdefault(channel_id, _Channel())
        async with channel.lock:
            try:
                hook = await self._choose(channel_id, channel, speaker)
            except discord.HTTPException as error:
                self._remember_refusal(channel_id, error)
                return None
            if hook is not None:
                channel.users[hook.name].add(speaker.slug)
            return hook

    async def by_id(self, place: Place, webhook_id: int) -> Hook | None:
        """Find a webhook of ours. Raises UnreachableError."""
        if not self._permitted(place):
            return None
        channel_id = place.parent_id or place.channel_id
        channel = self._channels.setdefault(channel_id, _Channel())
        async with channel.lock:
            try:
                async with reaching():
                    await self._list(channel_id, channel)
            except discord.HTTPException as error:
                self._remember_refusal(channel_id, error)
                return None
        return next((hook for hook in channel.hooks.values() if hook.id == webhook_id), None)

    def forget(self, place: Place) -> None:
        """Look at the channel's webhooks again next time, because one of them is gone."""
        channel = self._channels.get(place.parent_id or place.channel_id)
        if channel is not None:
            channel.listed = False

    async def remove(self, place: Place, speakers: tuple[Speaker, ...]) -> None:
        """Delete the webhooks that carried these speakers and nobody else since the bot started."""
        if not self._permitted(place):
            return
        channel_id = place.parent_id or place.channel_id
        channel = self._channels.setdefault(channel_id, _Channel())
        async with channel.lock:
            try:
                async with reaching():
                    await self._list(channel_id, channel)
                    await self._delete_unused(channel, speakers)
            except discord.HTTPException as error:
                self._remember_refusal(channel_id, error)
            except UnreachableError:
                _log.warning("Webhooks stay behind in channel %d: Discord does not answer.", channel_id)
                channel.listed = False
            if not any(channel.users.values()):
                self._channels.pop(channel_id, None)

    async def _delete_unused(self, channel: _Channel, speakers: tuple[Speaker, ...]) -> None:
        gone = {speaker.slug for speaker in speakers}
        for users in channel.users.values():
            users.difference_update(gone)
        own = {own_name(speaker) for speaker in speakers}
        for hook in list(channel.hooks.values()):
            if channel.users[hook.name] or hook.name not in own | {SHARED_NAME}:
                continue
            del channel.hooks[hook.name]
            try:
                await self._client.http.request(_webhook_route("DELETE", hook), reason="The scene has ended.")
            except discord.NotFound:
                continue
            channel.count -= 1

    def _permitted(self, place: Place) -> bool:
        if place.guild_id is None:
            return False
        permissions = known_permissions(self._client, place)
        if permissions is not None and not permissions.manage_webhooks:
            return False
        channel_id = place.parent_id or place.channel_id
        if self._refused.get(channel_id, 0.0) > self._clock.monotonic():
            return False
        self._refused.pop(channel_id, None)
        return True

    def _remember_refusal(self, channel_id: int, error: discord.HTTPException) -> None:
        self._refused[channel_id] = self._clock.monotonic() + REFUSAL_MEMORY
        reason = "it lacks Manage Webhooks" if error.code in {NO_ACCESS, NO_PERMISSION} else error.text
        _log.warning("The bot speaks as itself in channel %d for ten minutes: %s.", channel_id, reason)

    async def _choose(self, channel_id: int, channel: _Channel, speaker: Speaker) -> Hook | None:
        try:
            async with reaching():
                await self._list(channel_id, channel)
                own = None
                if stamp(speaker.avatar) is not None:
                    own = await self._own(channel_id, channel, speaker)
                return own or await self._shared(channel_id, channel, speaker)
        except UnreachableError:
            channel.listed = False  # one may have been made
            raise

    async def _list(self, channel_id: int, channel: _Channel) -> None:
        if channel.listed:
            return
        found: list[Any] = list(await self._client.http.channel_webhooks(channel_id))
        known = {hook.id: hook.picture for hook in channel.hooks.values()}
        channel.count, channel.hooks = len(found), {}
        for payload in found:
            if self._is_ours(payload):
                hook = Hook(
                    int(payload["id"]), payload["token"], payload["name"], bool(payload.get("avatar"))
                )
                hook.picture = known.get(hook.id)
                channel.hooks.setdefault(hook.name, hook)
        channel.listed = True

    def _is_ours(self, payload: dict[str, Any]) -> bool:
        if not payload.get("token") or not str(payload.get("name")).startswith(SHARED_NAME):
            return False
        return str(payload.get("application_id")) == str(self._client.application_id)

    async def _own(self, channel_id: int, channel: _Channel, speaker: Speaker) -> Hook | None:
        name = own_name(speaker)
        hook = channel.hooks.get(name)
        if hook is None:
            kept_for_shared = 0 if SHARED_NAME in channel.hooks else 1
            if channel.count + kept_for_shared >= CHANNEL_LIMIT:
                return None
            return await self._make(channel_id, channel, name, speaker)
        await self._refresh_picture(hook, speaker)
        return hook

    async def _shared(self, channel_id: int, channel: _Channel, speaker: Speaker) -> Hook | None:
        hook = channel.hooks.get(SHARED_NAME)
        if hook is None and channel.count < CHANNEL_LIMIT:
            hook = await self._make(channel_id, channel, SHARED_NAME, None)
        if hook is None and speaker.avatar_url:
            hook = next(iter(channel.hooks.values()), None)  # whose picture that address covers
        return hook

    async def _make(
        self, channel_id: int, channel: _Channel, name: str, speaker: Speaker | None
    ) -> Hook | None:
        picture = speaker.avatar if speaker else None
        mark, avatar = stamp(picture), await data_uri(picture) if picture else None
        try:
            payload = await self._create(channel_id, name, avatar)
        except discord.HTTPException as error:
            if error.code != WEBHOOKS_FULL:
                raise
            channel.count = CHANNEL_LIMIT
            return None
        hook = Hook(int(payload["id"]), payload["token"], name, avatar is not None, mark)
        channel.hooks[name] = hook
        channel.count += 1
        return hook

    async def _create(self, channel_id: int, name: str, avatar: str | None) -> dict[str, Any]:
        body = {"name": name} if avatar is None else {"name": name, "avatar": avatar}
        route = discord.http.Route("POST", "/channels/{channel_id}/webhooks", channel_id=channel_id)
        try:
            payload: dict[str, Any] = await self._client.http.request(
                route, json=body, reason="A persona speaks here."
            )
        except discord.HTTPException as error:
            if avatar is None or error.status != 400 or error.code == WEBHOOKS_FULL:
                raise
            _log.warning("Discord refused the picture for %s: %s", name, error.text)
            return await self._create(channel_id, name, None)
        return payload

    async def _refresh_picture(self, hook: Hook, speaker: Speaker) -> None:
        mark = stamp(speaker.avatar)
        if mark is None or speaker.avatar is None or hook.picture == mark:
            return
        younger = mark[0] / 1e9 > discord.utils.snowflake_time(hook.id).timestamp()
        if hook.picture is None and hook.has_avatar and not younger:
            hook.picture = mark
            return
        hook.picture = mark
        avatar = await data_uri(speaker.avatar)
        if avatar is None:
            return
        try:
            await self._client.http.request(_webhook_route("PATCH", hook), json={"avatar": avatar})
            hook.has_avatar = True
        except discord.HTTPException as error:
            if error.status != 404:  # a webhook that is gone is found out, and made anew, when it is to speak
                _log.warning("Discord refused the picture for %s: %s", hook.name, error.text)


def _webhook_route(method: str, hook: Hook) -> discord.http.Route:
    return discord.http.Route(
        method,
        "/webhooks/{webhook_id}/{webhook_token}",
        webhook_id=hook.id,
        webhook_token=hook.token,
    )
