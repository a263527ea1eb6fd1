"""Messages come, change and go: the rules behind every way of sending one."""

from __future__ import annotations

import mimetypes
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bot.rehearsal import intents
from bot.rehearsal.component_forms import TEXT_DISPLAY, walk
from bot.rehearsal.events import MessageCreated, MessageDeleted, MessageEdited
from bot.rehearsal.guilds import Thread
from bot.rehearsal.media import MAX_FILE
from bot.rehearsal.mentions import ANYBODY, Pings, find_pings
from bot.rehearsal.message_payloads import View, gateway_message_payload
from bot.rehearsal.messages import (
    COMPONENTS_V2,
    DEFAULT,
    LOADING,
    REPLY,
    SUPPRESS_EMBEDS,
    THREAD_STARTER,
    Attachment,
    Message,
    Reply,
)
from bot.rehearsal.permissions import ALL, Permission
from bot.rehearsal.refusals import Form, Refusal, refusal
from bot.rehearsal.state import MAX_MESSAGES, Signal, State, Viewer, fixed
from bot.rehearsal.threads import join, reopen

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bot.rehearsal.guilds import Channel
    from bot.rehearsal.message_forms import Draft
    from bot.rehearsal.people import Application, User

Json = dict[str, Any]

NONCE_LIFETIME = 300.0
"""Seconds for which `enforce_nonce` finds the first message again (Discord: "the past few minutes")."""

OLD = 3600.0
OLD_EDITS = 30
"""Edits that a message older than an hour takes in an hour. Discord publishes no number (30046)."""

_UNSAFE = re.compile(r"[^\w.\-]+")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a message comes from: the name and face above it, and what made it.

    `may` are the permissions it is sent with; webhooks and interactions bring all of them.
    """

    author: User
    may: Permission = ALL
    webhook_id: int | None = None
    application: Application | None = None
    avatar_url: str | None = None
    interaction: Any = None
    ephemeral_for: int | None = None


def require(channel: Channel, user: User, *wanted: Permission) -> Permission:
    """Refuse unless a user sees the channel (50001) and holds all these permissions (50013)."""
    held = channel.permissions(user)
    if Permission.VIEW_CHANNEL not in held:
        raise refusal(50001)
    if any(each not in held for each in wanted):
        raise refusal(50013)
    return held


def post(state: State, channel: Channel, origin: Origin, draft: Draft, *, kind: int = DEFAULT) -> Message:
    """Put a message into a channel or thread and tell everybody.

    Refuses an empty message (50006), embeds or files without the permission (50013), a locked
    thread (160005), an answer to a message that is not there (50035).
    """
    if draft.enforce_nonce and (before := _same_nonce(state, origin.author.id, draft.nonce)) is not None:
        return before
    if draft.empty:
        raise refusal(50006)
    if (draft.embeds and Permission.EMBED_LINKS not in origin.may) or (
        draft.files and Permission.ATTACH_FILES not in origin.may
    ):
        raise refusal(50013)
    if isinstance(channel, Thread):
        reopen(state, channel, origin.author, by_message=True)
    reply = _find_reply(channel, draft, origin)
    message = Message(
        id=state.ids.next(),
        channel=channel,
        author=origin.author,
        created_at=state.clock.now(),
        type=REPLY if reply is not None else kind,
        flags=draft.flags,
        tts=draft.tts,
        nonce=draft.nonce,
        reply=reply,
        webhook_id=origin.webhook_id,
        application_id=origin.application.id if origin.application else None,
        avatar_url=origin.avatar_url,
        interaction=origin.interaction,
        ephemeral_for=origin.ephemeral_for,
    )
    _fill(state, message, draft, origin.may)
    publish_created(state, message, origin)
    if draft.nonce is not None:
        state.nonces.append((state.clock.monotonic(), origin.author.id, str(draft.nonce), message))
    return message


def publish_created(state: State, message: Message, origin: Origin) -> None:
    """Keep a finished message and tell the gateway and the watchers."""
    channel = message.channel
    channel.messages[message.id] = message
    if len(channel.messages) > MAX_MESSAGES:
        del channel.messages[next(iter(channel.messages))]
    if not message.ephemeral:
        channel.last_message_id = message.id
    if isinstance(channel, Thread) and not message.ephemeral:
        channel.total_sent += 1
        if message.webhook_id is None:
            join(state, channel, message.author.id)
    announce(state, "MESSAGE_CREATE", message, origin.application)
    message.cursor = state.record(MessageCreated(channel=channel, message=message, content=message.content))


def post_notice(
    state: State, channel: Channel, author: User, kind: int, *, content: str = "", reply: Reply | None = None
) -> None:
    """Leave one of Discord's own messages: bots read them in history and events like any other."""
    message = Message(
        id=state.ids.next(),
        channel=channel,
        author=author,
        created_at=state.clock.now(),
        content=content,
        type=kind,
        reply=reply,
    )
    channel.messages[message.id] = message
    channel.last_message_id = message.id
    announce(state, "MESSAGE_CREATE", message, None)


def revise(state: State, message: Message, draft: Draft, *, may: Permission = ALL) -> None:
    """Change the fields of a message that a body gave, and tell everybody.

    Refuses what would leave it empty (50006), an archived thread (50083), and too many edits of a
    message that is older than an hour (30046).
    """
    if isinstance(message.channel, Thread) and message.channel.archived:
        raise refusal(50083)
    _count_old_edit(state, message)
    after = _after(message, draft)
    if not after:
        raise refusal(50006)
    _fill(state, message, draft, may)
    if "flags" in draft.given:
        settable = SUPPRESS_EMBEDS | COMPONENTS_V2
        message.flags = (message.flags & ~SUPPRESS_EMBEDS) | (draft.flags & settable)
    message.flags &= ~LOADING
    if draft.given & {"content", "embeds", "components", "attachments"} or draft.files:
        message.edited_at = state.clock.now()
        message.edited_count += 1
    publish_edited(state, message)


def publish_edited(state: State, message: Message) -> None:
    """Tell the gateway and the watchers that a message changed."""
    application = state.applications.get(message.application_id or 0)
    announce(state, "MESSAGE_UPDATE", message, application)
    state.record(MessageEdited(channel=message.channel, message=message, content=message.content))


def delete(state: State, messages: Iterable[Message], *, bulk: bool = False) -> None:
    """Take messages away, with one event for all of them where `bulk` is true."""
    gone = list(messages)
    for message in gone:
        message.deleted = True
        message.channel.messages.pop(message.id, None)
        for attachment in message.attachments:
            state.media.attachments.pop(attachment.id, None)
        state.record(MessageDeleted(channel=message.channel, message=message))
        if not bulk:
            _announce_gone(state, message, {"id": str(message.id)}, "MESSAGE_DELETE")
    if bulk and gone:
        _announce_gone(state, gone[0], {"ids": [str(message.id) for message in gone]}, "MESSAGE_DELETE_BULK")


def keep_files(state: State, message: Message, draft: Draft) -> list[Attachment]:
    """Keep the uploads of a draft as the message's attachments (413/40005 for one over the limit)."""
    described = {str(entry.get("id")): entry for entry in draft.attachments or []}
    kept = []
    for index, upload in draft.files.items():
        if len(upload.data) > MAX_FILE:
            raise refusal(40005)
        entry = described.get(str(index), {})
        name = _UNSAFE.sub("_", str(entry.get("filename") or upload.filename)) or "unknown"
        guessed = mimetypes.guess_type(name)[0] or upload.content_type
        attachment = Attachment(
            id=state.ids.next(),
            channel_id=message.channel.id,
            filename=name,
            data=upload.data,
            content_type=guessed,
            description=entry.get("description"),
            ephemeral=message.ephemeral,
        )
        state.media.keep_attachment(attachment)
        kept.append(attachment)
    return kept


def _fill(state: State, message: Message, draft: Draft, may: Permission) -> None:
    if "attachments" in draft.given or draft.files:
        listed = {str(entry.get("id")) for entry in draft.attachments or []}
        explicit = "attachments" in draft.given
        stays = [each for each in message.attachments if not explicit or str(each.id) in listed]
        message.attachments = stays + keep_files(state, message, draft)
    if "content" in draft.given:
        message.content = draft.content
    if "embeds" in draft.given:
        message.embeds = _with_files(draft.embeds, message, state)
    if "components" in draft.given:
        message.components = _with_files(draft.components, message, state)
    if draft.given & {"content", "components", "allowed_mentions"}:
        _ping(message, draft, may)


def _ping(message: Message, draft: Draft, may: Permission) -> None:
    shown = [each["content"] for each in walk(message.components) if each.get("type") == TEXT_DISPLAY]
    target = message.reply.message if message.reply else None
    replied = target.author if target is not None and target.webhook_id is None else None
    pings: Pings = find_pings(
        "\n".join([message.content, *shown]),
        message.channel,
        draft.allowed or ANYBODY,
        may_ping_everyone=Permission.MENTION_EVERYONE in may,
        replied=replied,
    )
    message.mentions, message.mention_roles = pings.users, pings.roles
    message.mention_everyone = pings.everyone


def _with_files(parts: list[Json], message: Message, state: State) -> list[Json]:
    urls = {f"attachment://{each.filename}": state.media.attachment_url(each) for each in message.attachments}

    def resolve(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: resolve(each) for name, each in value.items()}
        if isinstance(value, list):
            return [resolve(each) for each in value]
        return urls.get(value, value) if isinstance(value, str) else value

    return [resolve(part) for part in parts]


def _after(message: Message, draft: Draft) -> bool:
    given = draft.given
    keeps = {str(entry.get("id")) for entry in draft.attachments or []}
    files = [each for each in message.attachments if "attachments" not in given or str(each.id) in keeps]
    return bool(
        (draft.content if "content" in given else message.content)
        or (draft.embeds if "embeds" in given else message.embeds)
        or (draft.components if "components" in given else message.components)
        or files
        or draft.files
    )


def _count_old_edit(state: State, message: Message) -> None:
    now = state.clock.now()
    if now - message.created_at < OLD:
        return
    message.old_edits = [at for at in message.old_edits if now - at < OLD]
    if len(message.old_edits) >= OLD_EDITS:
        text = "Maximum number of edits to messages older than 1 hour reached. Try again later."
        wait = OLD - (now - message.old_edits[0])
        raise Refusal(429, 30046, text, retry_after=round(wait, 3), **{"global": False})
    message.old_edits.append(now)


def _same_nonce(state: State, author_id: int, nonce: str | int | None) -> Message | None:
    now = state.clock.monotonic()
    for at, author, text, message in state.nonces:
        if author == author_id and text == str(nonce) and now - at < NONCE_LIFETIME and not message.deleted:
            return message
    return None


def _find_reply(channel: Channel, draft: Draft, origin: Origin) -> Reply | None:
    reference = draft.reference
    if reference is None:
        return None
    form = Form()
    path = ("message_reference",)
    form.choice(reference, (*path, "type"), (0,))
    message_id = form.snowflake(reference, (*path, "message_id"), required=True) or 0
    target = channel.messages.get(message_id)
    visible = target is not None and not target.ephemeral
    if not visible and reference.get("fail_if_not_exists", True):
        form.fault(path, "MESSAGE_REFERENCE_UNKNOWN_MESSAGE", "Unknown message")
    elif target is not None and target.notice and target.type != THREAD_STARTER:
        form.fault(path, "REPLIES_CANNOT_REPLY_TO_SYSTEM_MESSAGE", "Cannot reply to a system message")
    form.check()
    if Permission.READ_MESSAGE_HISTORY not in origin.may:
        raise refusal(160002)
    guild_id = channel.guild.id if channel.guild else None
    return Reply(target, message_id, channel.id, guild_id) if visible else None


def announce(state: State, name: str, message: Message, application: Application | None) -> None:
    """Tell the gateway about a message; `application` is the one that an ephemeral message belongs to."""

    def render(viewer: Viewer) -> Json:
        content = bool(viewer.intents & intents.MESSAGE_CONTENT)
        return gateway_message_payload(message, View(state.media, viewer.application, content=content))

    direct = message.channel.guild is None or message.ephemeral
    wanted = intents.DIRECT_MESSAGES if direct else intents.GUILD_MESSAGES
    only = application if message.ephemeral else None
    guild = None if message.ephemeral else message.channel.guild
    state.publish(Signal(name, render, wanted, guild, None if message.ephemeral else message.channel, only))


def _announce_gone(state: State, message: Message, ids: Json, name: str) -> None:
    channel = message.channel
    payload = ids | {"channel_id": str(channel.id)}
    if channel.guild is not None and not message.ephemeral:
        payload["guild_id"] = str(channel.guild.id)
    direct = channel.guild is None or message.ephemeral
    wanted = intents.DIRECT_MESSAGES if direct else intents.GUILD_MESSAGES
    only = state.applications.get(message.application_id or 0) if message.ephemeral else None
    guild = None if message.ephemeral else channel.guild
    state.publish(Signal(name, fixed(payload), wanted, guild, channel, only))
