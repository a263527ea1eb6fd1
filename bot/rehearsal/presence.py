"""Small signs of life: typing, reactions, pins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bot.rehearsal import intents
from bot.rehearsal.events import ReactionChanged, TypingStarted
from bot.rehearsal.message_payloads import emoji_payload
from bot.rehearsal.messages import PINNED, Reply
from bot.rehearsal.payloads import full_member_payload
from bot.rehearsal.posting import post_notice, publish_edited
from bot.rehearsal.refusals import refusal
from bot.rehearsal.snowflakes import isoformat
from bot.rehearsal.state import Signal, State, fixed

if TYPE_CHECKING:
    from bot.rehearsal.guilds import Channel
    from bot.rehearsal.messages import Message
    from bot.rehearsal.people import User

Json = dict[str, Any]

MAX_REACTIONS = 20
"""Different emoji on one message (30010)."""


def start_typing(state: State, channel: Channel, user: User) -> None:
    """Show that a user types, for ten seconds."""
    payload: Json = {
        "channel_id": str(channel.id),
        "user_id": str(user.id),
        "timestamp": int(state.clock.now()),
    }
    member = channel.guild.members.get(user.id) if channel.guild else None
    if channel.guild is not None and member is not None:
        payload |= {"guild_id": str(channel.guild.id), "member": full_member_payload(member)}
    _send(state, channel, "TYPING_START", payload, intents.GUILD_TYPING, intents.DIRECT_TYPING)
    state.record(TypingStarted(channel=channel, user=user))


def add_reaction(state: State, message: Message, user: User, emoji: str) -> None:
    """Put a reaction on a message (10014 for what is no emoji, 30010 beyond twenty)."""
    if not _is_emoji(emoji):
        raise refusal(10014)
    if emoji not in message.reactions and len(message.reactions) >= MAX_REACTIONS:
        raise refusal(30010)
    users = message.reactions.setdefault(emoji, {})
    if user.id in users:
        return
    users[user.id] = user
    _reaction(state, message, user, emoji, added=True)


def remove_reaction(state: State, message: Message, user: User, emoji: str) -> None:
    """Take a reaction off a message."""
    users = message.reactions.get(emoji, {})
    if users.pop(user.id, None) is None:
        return
    if not users:
        del message.reactions[emoji]
    _reaction(state, message, user, emoji, added=False)


def clear_reactions(state: State, message: Message, emoji: str | None) -> None:
    """Take all reactions off a message, or all of one emoji."""
    payload: Json = {"channel_id": str(message.channel.id), "message_id": str(message.id)}
    name = "MESSAGE_REACTION_REMOVE_ALL"
    if emoji is None:
        message.reactions.clear()
    else:
        message.reactions.pop(emoji, None)
        payload["emoji"] = emoji_payload(emoji)
        name = "MESSAGE_REACTION_REMOVE_EMOJI"
    if message.channel.guild is not None:
        payload["guild_id"] = str(message.channel.guild.id)
    _send(state, message.channel, name, payload, intents.GUILD_REACTIONS, intents.DIRECT_REACTIONS)


def set_pinned(state: State, message: Message, user: User, *, pinned: bool) -> None:
    """Pin a message or unpin it; Discord leaves a notice of the first."""
    if message.pinned == pinned:
        return
    message.pinned = pinned
    payload: Json = {
        "channel_id": str(message.channel.id),
        "last_pin_timestamp": isoformat(state.clock.now()) if pinned else None,
    }
    if message.channel.guild is not None:
        payload["guild_id"] = str(message.channel.guild.id)
    _send(state, message.channel, "CHANNEL_PINS_UPDATE", payload, intents.GUILDS, intents.DIRECT_MESSAGES)
    publish_edited(state, message)
    if pinned:
        guild_id = message.channel.guild.id if message.channel.guild else None
        reply = Reply(message, message.id, message.channel.id, guild_id)
        post_notice(state, message.channel, user, PINNED, reply=reply)


def _reaction(state: State, message: Message, user: User, emoji: str, *, added: bool) -> None:
    channel = message.channel
    payload: Json = {
        "user_id": str(user.id),
        "channel_id": str(channel.id),
        "message_id": str(message.id),
        "emoji": emoji_payload(emoji),
        "burst": False,
        "type": 0,
    }
    if channel.guild is not None:
        payload["guild_id"] = str(channel.guild.id)
        member = channel.guild.members.get(user.id)
        if added and member is not None:
            payload["member"] = full_member_payload(member)
    if added:
        payload["message_author_id"] = str(message.author.id)
    name = "MESSAGE_REACTION_ADD" if added else "MESSAGE_REACTION_REMOVE"
    _send(state, channel, name, payload, intents.GUILD_REACTIONS, intents.DIRECT_REACTIONS)
    state.record(ReactionChanged(channel=channel, message=message, user=user, emoji=emoji, added=added))


def _is_emoji(emoji: str) -> bool:
    name, separator, number = emoji.rpartition(":")
    if separator:
        return bool(name) and number.isdecimal()
    return 0 < len(emoji) <= 16 and not emoji.isascii()


def _send(state: State, channel: Channel, name: str, payload: Json, guild: int, direct: int) -> None:
    wanted = direct if channel.guild is None else guild
    state.publish(Signal(name, fixed(payload), wanted, channel.guild, channel))
