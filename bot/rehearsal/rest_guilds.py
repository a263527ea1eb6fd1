"""REST: servers, members, roles, and the bot itself."""

from __future__ import annotations

from typing import Any

from bot.rehearsal.calls import Answer, Call, Route
from bot.rehearsal.guilds import Guild
from bot.rehearsal.payloads import (
    application_payload,
    channel_payload,
    full_member_payload,
    guild_payload,
    role_payload,
    self_payload,
    user_payload,
)
from bot.rehearsal.refusals import Form, refusal

Json = dict[str, Any]

MAX_SESSIONS = 1000
"""Times that a bot may identify in a day."""


def get_self(call: Call) -> Answer:
    """Give the bot's own user."""
    return Answer(json=self_payload(call.application.user))


def edit_self(call: Call) -> Answer:
    """Give the bot another name or face."""
    form = Form()
    name = form.text(call.body, ("username",), low=2, high=32)
    avatar = call.state.media.image_from_form(form, call.body, ("avatar",))
    form.check()
    user = call.application.user
    user.username = name or user.username
    if "avatar" in call.body:
        user.avatar = avatar
    return get_self(call)


def get_user(call: Call) -> Answer:
    """Give a user."""
    user = call.state.users.get(call.id("user_id"))
    if user is None:
        raise refusal(10013)
    return Answer(json=user_payload(user))


def open_direct_channel(call: Call) -> Answer:
    """Give the direct message channel with a user (50033 for nobody, itself or another bot)."""
    form = Form()
    user_id = form.snowflake(call.body, ("recipient_id",), required=True)
    form.check()
    user = call.state.users.get(user_id or 0)
    if user is None or user.bot:
        raise refusal(50033)
    channel = call.state.direct_channel(user, call.application)
    return Answer(json=channel_payload(channel, call.application.user))


def get_application(call: Call) -> Answer:
    """Give the bot's application."""
    guilds = len(call.state.guilds_of(call.application))
    return Answer(json=application_payload(call.application, guilds))


def get_gateway(call: Call) -> Answer:
    """Give the gateway's address."""
    return Answer(json={"url": call.state.gateway_url})


def get_gateway_bot(call: Call) -> Answer:
    """Give the gateway's address, the shards to use, and how often the bot may still identify today."""
    used = call.application.identified
    limit = {
        "total": MAX_SESSIONS,
        "remaining": max(0, MAX_SESSIONS - used),
        "reset_after": 86_400_000,
        "max_concurrency": 1,
    }
    return Answer(
        json={"url": call.state.gateway_url, "shards": call.state.shards, "session_start_limit": limit}
    )


def list_own_guilds(call: Call) -> Answer:
    """Give the servers that the bot is in, in short."""
    user = call.application.user
    return Answer(
        json=[
            {
                "id": str(guild.id),
                "name": guild.name,
                "icon": None,
                "banner": None,
                "owner": guild.owner_id == user.id,
                "permissions": str(int(guild.permissions(user))),
                "features": [],
            }
            for guild in call.state.guilds_of(call.application)
        ]
    )


def get_guild(call: Call) -> Answer:
    """Give a server."""
    guild = _guild(call)
    payload = guild_payload(guild)
    if call.query_flag("with_counts"):
        payload |= {"approximate_member_count": len(guild.members), "approximate_presence_count": 0}
    return Answer(json=payload)


def list_channels(call: Call) -> Answer:
    """Give a server's channels, without threads."""
    viewer = call.application.user
    return Answer(json=[channel_payload(each, viewer) for each in _guild(call).channels.values()])


def list_roles(call: Call) -> Answer:
    """Give a server's roles."""
    return Answer(json=[role_payload(role) for role in _guild(call).roles.values()])


def list_members(call: Call) -> Answer:
    """Give a server's members by id; asks for the privileged members intent (50001)."""
    guild = _guild(call)
    if not call.application.members:
        raise refusal(50001)
    limit = call.query_number("limit", low=1, high=1000, default=1)
    after = call.query_id("after") or 0
    found = [each for each in sorted(guild.members.values(), key=lambda each: each.id) if each.id > after]
    return Answer(json=[full_member_payload(each) for each in found[:limit]])


def search_members(call: Call) -> Answer:
    """Give the members whose name or nickname begins with a text."""
    form = Form()
    query = (form.text(dict(call.query), ("query",), low=1, high=100, required=True) or "").lower()
    form.check()
    limit = call.query_number("limit", low=1, high=1000, default=1)
    found = [
        each
        for each in _guild(call).members.values()
        if any(name.lower().startswith(query) for name in (each.user.username, each.user.name, each.name))
    ]
    return Answer(json=[full_member_payload(each) for each in found[:limit]])


def get_member(call: Call) -> Answer:
    """Give one member."""
    member = _guild(call).members.get(call.id("user_id"))
    if member is None:
        raise refusal(10007)
    return Answer(json=full_member_payload(member))


def rename_self(call: Call) -> Answer:
    """Give the bot a nickname in a server."""
    form = Form()
    nick = form.text(call.body, ("nick",), high=32)
    form.check()
    member = _guild(call).members[call.application.user.id]
    if "nick" in call.body:
        member.nick = nick or None
    call.state.member_changed("GUILD_MEMBER_UPDATE", member)
    return Answer(json=full_member_payload(member))


def _guild(call: Call) -> Guild:
    guild = call.state.guild(call.id("guild_id"))
    if call.application.user.id not in guild.members:
        raise refusal(10004)
    return guild


ROUTES = (
    Route("GET", "/users/@me", get_self),
    Route("PATCH", "/users/@me", edit_self),
    Route("GET", "/users/@me/guilds", list_own_guilds),
    Route("POST", "/users/@me/channels", open_direct_channel),
    Route("GET", "/users/{user_id}", get_user),
    Route("GET", "/applications/@me", get_application),
    Route("GET", "/oauth2/applications/@me", get_application),
    Route("GET", "/gateway", get_gateway, token=False),
    Route("GET", "/gateway/bot", get_gateway_bot),
    Route("GET", "/guilds/{guild_id}", get_guild),
    Route("GET", "/guilds/{guild_id}/channels", list_channels),
    Route("GET", "/guilds/{guild_id}/roles", list_roles),
    Route("GET", "/guilds/{guild_id}/members", list_members),
    Route("GET", "/guilds/{guild_id}/members/search", search_members),
    Route("PATCH", "/guilds/{guild_id}/members/@me", rename_self),
    Route("GET", "/guilds/{guild_id}/members/{user_id}", get_member),
)
