"""How a message looks on the wire, and what of it a bot without the message content intent gets to see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bot.rehearsal.media import Media, png_size
from bot.rehearsal.payloads import member_payload, thread_payload, user_payload
from bot.rehearsal.snowflakes import isoformat

if TYPE_CHECKING:
    from bot.rehearsal.messages import Attachment, Message, Reply
    from bot.rehearsal.people import Application, User

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class View:
    """Whose eyes a message is written for.

    `application` is None for whoever holds a webhook's token; `content` says whether the
    message content intent is theirs.
    """

    media: Media
    application: Application | None = None
    content: bool = True

    def reads(self, message: Message) -> bool:
        """Say whether text, embeds, files and components of this message show.

        Without the intent they do for the bot's own messages, direct messages, and messages that ping it.
        """
        if self.content or self.application is None or message.channel.guild is None:
            return True
        bot = self.application.user
        own = message.author is bot or message.application_id == self.application.id
        return own or bot in message.mentions


def message_payload(message: Message, view: View, *, nested: bool = False) -> Json:
    """Write a message as REST gives it; `nested` leaves out the message that it answers."""
    payload: Json = {
        "id": str(message.id),
        "channel_id": str(message.channel.id),
        "type": message.type,
        "author": user_payload(message.author),
        "mentions": [user_payload(user) for user in message.mentions],
        "mention_roles": [str(role_id) for role_id in message.mention_roles],
        "mention_everyone": message.mention_everyone,
        "timestamp": isoformat(message.created_at),
        "edited_timestamp": isoformat(message.edited_at) if message.edited_at is not None else None,
        "flags": message.flags,
        "pinned": message.pinned,
        "tts": message.tts,
        **_content(message, view),
        **_origin(message),
    }
    if message.reactions:
        payload["reactions"] = [_reaction(*each, view.application) for each in message.reactions.items()]
    if message.thread is not None:
        payload["thread"] = thread_payload(
            message.thread, view.application.user if view.application else None
        )
    if message.reply is not None:
        payload.update(_reply(message.reply, view, nested=nested))
    return payload


def gateway_message_payload(message: Message, view: View) -> Json:
    """Write a message as the gateway gives it: with server and members, except for ephemeral ones."""
    payload = message_payload(message, view)
    guild = message.channel.guild
    if guild is None or message.ephemeral:
        return payload
    payload["guild_id"] = str(guild.id)
    if message.webhook_id is None and (member := guild.members.get(message.author.id)) is not None:
        payload["member"] = member_payload(member)
    for mention in payload["mentions"]:
        if (member := guild.members.get(int(mention["id"]))) is not None:
            mention["member"] = member_payload(member)
    return payload


def attachment_payload(attachment: Attachment, media: Media) -> Json:
    """Write a file of a message."""
    url = media.attachment_url(attachment)
    payload: Json = {
        "id": str(attachment.id),
        "filename": attachment.filename,
        "size": len(attachment.data),
        "url": url,
        "proxy_url": url,
        "content_type": attachment.content_type,
    }
    if attachment.description is not None:
        payload["description"] = attachment.description
    if attachment.ephemeral:
        payload["ephemeral"] = True
    if (size := png_size(attachment.data)) is not None:
        payload["width"], payload["height"] = size
    return payload


def emoji_payload(emoji: str) -> Json:
    """Write an emoji: a custom one as `name:id`, or a Unicode one."""
    name, separator, emoji_id = emoji.rpartition(":")
    if separator and emoji_id.isdecimal():
        return {"id": emoji_id, "name": name}
    return {"id": None, "name": emoji}


def _content(message: Message, view: View) -> Json:
    if not view.reads(message):
        return {"content": "", "embeds": [], "attachments": [], "components": []}
    return {
        "content": message.content,
        "embeds": message.embeds,
        "attachments": [attachment_payload(each, view.media) for each in message.attachments],
        "components": message.components,
    }


def _origin(message: Message) -> Json:
    payload: Json = {}
    if message.webhook_id is not None:
        payload["webhook_id"] = str(message.webhook_id)
    if message.application_id is not None:
        payload["application_id"] = str(message.application_id)
    if message.nonce is not None:
        payload["nonce"] = message.nonce
    if message.interaction is not None:
        payload["interaction_metadata"] = message.interaction.metadata()
        if message.interaction.type == 2:
            payload["interaction"] = {
                "id": str(message.interaction.id),
                "type": 2,
                "name": message.interaction.name,
                "user": user_payload(message.interaction.user),
            }
    return payload


def _reaction(emoji: str, users: dict[int, User], application: Application | None) -> Json:
    return {
        "emoji": emoji_payload(emoji),
        "count": len(users),
        "count_details": {"burst": 0, "normal": len(users)},
        "burst_colors": [],
        "me_burst": False,
        "me": application is not None and application.user.id in users,
    }


def _reply(reply: Reply, view: View, *, nested: bool) -> Json:
    reference: Json = {"type": 0, "channel_id": str(reply.channel_id)}
    if reply.guild_id is not None:
        reference["guild_id"] = str(reply.guild_id)
    if reply.message_id is not None:
        reference["message_id"] = str(reply.message_id)
    if nested or reply.message_id is None:
        return {"message_reference": reference}
    gone = reply.message is None or reply.message.deleted
    shown = None if gone or reply.message is None else message_payload(reply.message, view, nested=True)
    return {"message_reference": reference, "referenced_message": shown}
