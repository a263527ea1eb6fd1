"""Webhooks: how they are made, what they may be called, and what comes through them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bot.rehearsal import intents
from bot.rehearsal.guilds import DIRECT, Thread
from bot.rehearsal.message_forms import Upload, read_message
from bot.rehearsal.messages import COMPONENTS_V2, SUPPRESS_EMBEDS, Message, Webhook
from bot.rehearsal.people import Application, User
from bot.rehearsal.posting import Origin, post, revise
from bot.rehearsal.refusals import Form, refusal
from bot.rehearsal.state import Signal, State, fixed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bot.rehearsal.guilds import Channel
    from bot.rehearsal.refusals import Path

Json = dict[str, Any]

MAX_WEBHOOKS = 15
"""Webhooks of one channel."""

_SUBSTRINGS = ("clyde", "discord", "```")
_NAMES = ("everyone", "here")


def create(state: State, channel: Channel, application: Application, body: Json) -> Webhook:
    """Make a webhook that belongs to a bot (30007 beyond fifteen, 50024 in threads and direct messages)."""
    if isinstance(channel, Thread) or channel.type == DIRECT:
        raise refusal(50024)
    form = Form()
    name = _read_name(form, body, ("name",), required=True)
    avatar = state.media.image_from_form(form, body, ("avatar",))
    form.check()
    if sum(1 for each in state.webhooks.values() if each.channel is channel) >= MAX_WEBHOOKS:
        raise refusal(30007)
    webhook = Webhook(
        id=state.ids.next(),
        token=state.secret(68),
        channel=channel,
        name=name or "",
        user=application.user,
        application_id=application.id,
        avatar=avatar,
    )
    state.webhooks[webhook.id] = webhook
    _publish(state, channel)
    return webhook


def change(state: State, webhook: Webhook, body: Json, *, movable: bool) -> None:
    """Change the given fields of a webhook."""
    form = Form()
    name = _read_name(form, body, ("name",), required=False)
    avatar = state.media.image_from_form(form, body, ("avatar",))
    channel_id = form.snowflake(body, ("channel_id",)) if movable else None
    form.check()
    if channel_id is not None:
        webhook.channel = state.channel(channel_id)
    if name is not None:
        webhook.name = name
    if "avatar" in body:
        webhook.avatar = avatar
    _publish(state, webhook.channel)


def remove(state: State, webhook: Webhook) -> None:
    """Delete a webhook; its messages stay."""
    del state.webhooks[webhook.id]
    _publish(state, webhook.channel)


def place(state: State, webhook: Webhook, thread_id: int | None) -> Channel:
    """Give where a webhook posts: its channel, or a thread of it (10003)."""
    if thread_id is None:
        return webhook.channel
    thread = state.channel(thread_id)
    if not isinstance(thread, Thread) or thread.parent is not webhook.channel:
        raise refusal(10003)
    return thread


def execute(
    state: State, webhook: Webhook, body: Json, files: Mapping[int, Upload], thread_id: int | None
) -> Message:
    """Post through a webhook, under another name and face where the body gives them."""
    form = Form()
    username = _read_name(form, body, ("username",), required=False)
    form.url(body, ("avatar_url",))
    draft = read_message(body, files, form=form)
    target = place(state, webhook, thread_id)
    avatar_url = body.get("avatar_url") or None
    author = User(
        webhook.id,
        username or webhook.name,
        bot=True,
        avatar=state.media.keep_link(avatar_url) if avatar_url else webhook.avatar,
        discriminator="0000",
    )
    application = state.applications.get(webhook.application_id or 0)
    origin = Origin(author, webhook_id=webhook.id, application=application, avatar_url=avatar_url)
    return post(state, target, origin, draft)


def edit(state: State, message: Message, body: Json, files: Mapping[int, Upload]) -> None:
    """Change a message that came through a webhook."""
    layout = bool(message.flags & COMPONENTS_V2)
    revise(state, message, read_message(body, files, layout=layout, settable=SUPPRESS_EMBEDS | COMPONENTS_V2))


def _read_name(form: Form, body: Json, path: Path, *, required: bool) -> str | None:
    name = form.text(body, path, low=1, high=80, required=required)
    if name is None:
        return None
    lowered = name.strip().lower()
    for part in _SUBSTRINGS:
        if part in lowered:
            form.fault(path, "USERNAME_INVALID_CONTAINS", f'Username cannot contain "{part}"')
    if lowered in _NAMES:
        form.fault(path, "USERNAME_INVALID", f'Username cannot be "{lowered}"')
    return " ".join(name.split())


def _publish(state: State, channel: Channel) -> None:
    guild = channel.guild
    payload = {"guild_id": str(guild.id if guild else 0), "channel_id": str(channel.id)}
    signal = Signal("WEBHOOKS_UPDATE", fixed(payload), intents.GUILD_WEBHOOKS, guild, channel)
    state.publish(signal)
