"""How people, servers and channels look on the wire. Source of the shapes: Discord's OpenAPI description."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bot.rehearsal.guilds import DIRECT, PRIVATE_THREAD, Channel, Guild, Member, Role, Thread
from bot.rehearsal.snowflakes import isoformat

if TYPE_CHECKING:
    from bot.rehearsal.messages import Webhook
    from bot.rehearsal.people import Application, User

Json = dict[str, Any]


def user_payload(user: User) -> Json:
    """Write a user as everybody may see them."""
    payload: Json = {
        "id": str(user.id),
        "username": user.username,
        "avatar": user.avatar,
        "discriminator": user.discriminator,
        "public_flags": 0,
        "flags": 0,
        "banner": None,
        "accent_color": None,
        "global_name": user.global_name,
        "avatar_decoration_data": None,
        "collectibles": None,
        "primary_guild": None,
    }
    if user.bot:
        payload["bot"] = True
    return payload


def self_payload(user: User) -> Json:
    """Write a user as they see themselves."""
    return user_payload(user) | {"mfa_enabled": True, "locale": "en-US", "verified": True, "email": None}


def member_payload(member: Member) -> Json:
    """Write a member without the user, as it stands beside an author or a mention."""
    return {
        "avatar": None,
        "banner": None,
        "communication_disabled_until": None,
        "flags": 0,
        "joined_at": isoformat(member.joined_at),
        "nick": member.nick,
        "pending": False,
        "premium_since": None,
        "roles": [str(role_id) for role_id in member.role_ids],
        "mute": False,
        "deaf": False,
    }


def full_member_payload(member: Member) -> Json:
    """Write a member with the user."""
    return member_payload(member) | {"user": user_payload(member.user)}


def role_payload(role: Role) -> Json:
    """Write a role."""
    payload: Json = {
        "id": str(role.id),
        "name": role.name,
        "permissions": str(int(role.permissions)),
        "position": role.position,
        "color": 0,
        "colors": {"primary_color": 0, "secondary_color": None, "tertiary_color": None},
        "hoist": False,
        "managed": role.managed,
        "mentionable": role.mentionable,
        "icon": None,
        "unicode_emoji": None,
        "flags": 0,
    }
    if role.bot_id is not None:
        payload["tags"] = {"bot_id": str(role.bot_id)}
    return payload


def _base_channel(channel: Channel) -> Json:
    return {
        "id": str(channel.id),
        "type": channel.type,
        "last_message_id": str(channel.last_message_id) if channel.last_message_id else None,
        "flags": 0,
    }


def channel_payload(channel: Channel, viewer: User | None = None) -> Json:
    """Write any channel or thread; `viewer` is left out of recipients and told of their own membership."""
    if isinstance(channel, Thread):
        return thread_payload(channel, viewer)
    payload = _base_channel(channel)
    if channel.type == DIRECT or channel.guild is None:
        return payload | {
            "recipients": [user_payload(user) for user in channel.recipients if user is not viewer]
        }
    return payload | {
        "guild_id": str(channel.guild.id),
        "name": channel.name,
        "parent_id": str(channel.parent_id) if channel.parent_id else None,
        "rate_limit_per_user": channel.rate_limit_per_user,
        "topic": channel.topic,
        "position": channel.position,
        "permission_overwrites": [
            {
                "id": str(each.id),
                "type": each.type,
                "allow": str(int(each.allow)),
                "deny": str(int(each.deny)),
            }
            for each in channel.overwrites.values()
        ],
        "nsfw": channel.nsfw,
    }


def thread_payload(thread: Thread, viewer: User | None = None) -> Json:
    """Write a thread, with the viewer's own membership where there is one."""
    guild = thread.guild
    metadata: Json = {
        "archived": thread.archived,
        "archive_timestamp": isoformat(thread.archived_at),
        "auto_archive_duration": thread.auto_archive_minutes,
        "locked": thread.locked,
        "create_timestamp": isoformat(thread.created_at),
    }
    if thread.type == PRIVATE_THREAD:
        metadata["invitable"] = thread.invitable
    sent = sum(1 for message in thread.messages.values() if not message.ephemeral)
    payload = _base_channel(thread) | {
        "guild_id": str(guild.id if guild else 0),
        "name": thread.name,
        "parent_id": str(thread.parent_id),
        "rate_limit_per_user": thread.rate_limit_per_user,
        "owner_id": str(thread.owner_id),
        "thread_metadata": metadata,
        "message_count": sent,
        "member_count": min(len(thread.joined), 50),
        "total_message_sent": thread.total_sent,
    }
    if viewer is not None and viewer.id in thread.joined:
        payload["member"] = thread_member_payload(thread, viewer.id)
    return payload


def thread_member_payload(thread: Thread, user_id: int) -> Json:
    """Write who is in a thread since when."""
    return {
        "id": str(thread.id),
        "user_id": str(user_id),
        "join_timestamp": isoformat(thread.joined[user_id]),
        "flags": 0,
    }


def guild_payload(guild: Guild) -> Json:
    """Write a server as REST gives it."""
    return {
        "id": str(guild.id),
        "name": guild.name,
        "icon": None,
        "description": None,
        "home_header": None,
        "splash": None,
        "discovery_splash": None,
        "features": [],
        "banner": None,
        "owner_id": str(guild.owner_id or 0),
        "application_id": None,
        "region": "deprecated",
        "afk_channel_id": None,
        "afk_timeout": 300,
        "system_channel_id": None,
        "system_channel_flags": 0,
        "widget_enabled": False,
        "widget_channel_id": None,
        "verification_level": 0,
        "roles": [role_payload(role) for role in guild.roles.values()],
        "default_message_notifications": 0,
        "mfa_level": 0,
        "explicit_content_filter": 0,
        "max_presences": None,
        "max_members": 500_000,
        "max_stage_video_channel_users": 50,
        "max_video_channel_users": 25,
        "vanity_url_code": None,
        "premium_tier": 0,
        "premium_subscription_count": 0,
        "preferred_locale": "en-US",
        "rules_channel_id": None,
        "safety_alerts_channel_id": None,
        "public_updates_channel_id": None,
        "premium_progress_bar_enabled": False,
        "nsfw": False,
        "nsfw_level": 0,
        "emojis": [],
        "stickers": [],
        "incidents_data": None,
    }


def guild_create_payload(guild: Guild, application: Application, *, everybody: bool) -> Json:
    """Write a server as the gateway gives it on connecting.

    Without the presence intent only the bot itself is among the members; `everybody` lists them all.
    """
    member = guild.members[application.user.id]
    viewer = application.user
    listed = list(guild.members.values()) if everybody else [member]
    return guild_payload(guild) | {
        "joined_at": isoformat(member.joined_at),
        "large": False,
        "member_count": len(guild.members),
        "voice_states": [],
        "members": [full_member_payload(each) for each in listed],
        "channels": [channel_payload(each, viewer) for each in guild.channels.values()],
        "threads": [
            thread_payload(each, viewer)
            for each in guild.threads.values()
            if not each.archived and each.permissions(viewer)
        ],
        "presences": [],
        "stage_instances": [],
        "guild_scheduled_events": [],
        "soundboard_sounds": [],
    }


def webhook_payload(webhook: Webhook, api_url: str, application: Application | None) -> Json:
    """Write a webhook; its token shows only to the application that made it, or to who has the token."""
    guild = webhook.channel.guild
    payload: Json = {
        "application_id": str(webhook.application_id) if webhook.application_id else None,
        "avatar": webhook.avatar,
        "channel_id": str(webhook.channel.id),
        "guild_id": str(guild.id) if guild else None,
        "id": str(webhook.id),
        "name": webhook.name,
        "type": 1,
        "user": user_payload(webhook.user),
    }
    if application is None or webhook.application_id in {application.id, None}:
        payload["token"] = webhook.token
        payload["url"] = f"{api_url}/webhooks/{webhook.id}/{webhook.token}"
    if application is None:
        del payload["user"]  # asked for by token, Discord does not tell who made it
    return payload


def application_payload(application: Application, guilds: int) -> Json:
    """Write an application as its own bot sees it."""
    return {
        "id": str(application.id),
        "name": application.name,
        "icon": None,
        "description": "",
        "type": None,
        "bot": user_payload(application.user),
        "bot_public": False,
        "bot_require_code_grant": False,
        "verify_key": f"{application.id:064x}",
        "flags": application.flags,
        "flags_new": str(application.flags),
        "redirect_uris": [],
        "interactions_endpoint_url": None,
        "role_connections_verification_url": None,
        "owner": user_payload(application.owner),
        "approximate_guild_count": guilds,
        "approximate_user_install_count": 0,
        "approximate_user_authorization_count": 0,
        "explicit_content_filter": 0,
        "team": None,
        "eligible_oauth2_scopes": ["bot", "applications.commands"],
    }
