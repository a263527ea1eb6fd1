"""REST: channels and threads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bot.rehearsal import threads
from bot.rehearsal.calls import Answer, Call, Route, done
from bot.rehearsal.guilds import DIRECT, PRIVATE_THREAD, PUBLIC_THREAD, Channel, Guild, Thread
from bot.rehearsal.openings import ARCHIVE_MINUTES, open_thread
from bot.rehearsal.payloads import (
    channel_payload,
    full_member_payload,
    thread_member_payload,
    thread_payload,
)
from bot.rehearsal.permissions import Overwrite, Permission
from bot.rehearsal.refusals import Form, refusal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bot.rehearsal.messages import Message

Json = dict[str, Any]

MAX_SLOWMODE = 21_600


def get_channel(call: Call) -> Answer:
    """Give a channel or thread."""
    call.require()
    return _one(call, call.channel)


def edit_channel(call: Call) -> Answer:
    """Change a channel's or a thread's settings."""
    channel = call.channel
    if isinstance(channel, Thread):
        _edit_thread(call, channel)
    elif channel.type == DIRECT:
        raise refusal(50003)
    else:
        _edit_text_channel(call, channel)
    return _one(call, channel)


def delete_channel(call: Call) -> Answer:
    """Delete a channel or thread, or close a direct message."""
    channel = call.channel
    if isinstance(channel, Thread):
        call.require(Permission.MANAGE_THREADS)
        threads.remove(call.state, channel)
    elif channel.type != DIRECT:
        call.require(Permission.MANAGE_CHANNELS)
        call.state.remove_channel(channel)
    return _one(call, channel)


def set_overwrite(call: Call) -> Answer:
    """Set a channel's exception for a role or member."""
    call.require(Permission.MANAGE_ROLES)
    form = Form()
    target = call.id("overwrite_id")
    kind = form.choice(call.body, ("type",), (0, 1)) or 0
    bits = {
        name: form.number(call.body, (name,), low=0, high=(1 << 54) - 1) or 0 for name in ("allow", "deny")
    }
    form.check()
    overwrite = Overwrite(target, kind, Permission(bits["allow"]), Permission(bits["deny"]))
    call.channel.overwrites[target] = overwrite
    call.state.channel_changed("CHANNEL_UPDATE", call.channel)
    return done()


def delete_overwrite(call: Call) -> Answer:
    """Take a channel's exception away."""
    call.require(Permission.MANAGE_ROLES)
    call.channel.overwrites.pop(call.id("overwrite_id"), None)
    call.state.channel_changed("CHANNEL_UPDATE", call.channel)
    return done()


def start_thread(call: Call) -> Answer:
    """Open a thread without a message; a private one where the type is not given."""
    form = Form()
    kind = form.choice(call.body, ("type",), (PUBLIC_THREAD, PRIVATE_THREAD)) or PRIVATE_THREAD
    public = kind == PUBLIC_THREAD
    call.require(Permission.CREATE_PUBLIC_THREADS if public else Permission.CREATE_PRIVATE_THREADS)
    invitable = form.flag(call.body, ("invitable",))
    thread = _open(call, form, None, kind, invitable=invitable is not False)
    return Answer(201, thread_payload(thread, call.application.user))


def start_thread_from_message(call: Call) -> Answer:
    """Open a thread on a message (160004 where it has one)."""
    call.require(Permission.CREATE_PUBLIC_THREADS, Permission.READ_MESSAGE_HISTORY)
    message = call.state.message(call.channel, call.id("message_id"))
    thread = _open(call, Form(), message, PUBLIC_THREAD)
    return Answer(201, thread_payload(thread, call.application.user))


def list_thread_members(call: Call) -> Answer:
    """Give who is in a thread."""
    call.require()
    thread = _thread(call)
    listed = []
    for user_id in thread.joined:
        payload = thread_member_payload(thread, user_id)
        member = thread.guild.members.get(user_id) if thread.guild else None
        if call.query_flag("with_member") and member is not None:
            payload["member"] = full_member_payload(member)
        listed.append(payload)
    return Answer(json=listed)


def get_thread_member(call: Call) -> Answer:
    """Give one member of a thread."""
    call.require()
    thread = _thread(call)
    user_id = call.id("user_id")
    if user_id not in thread.joined:
        raise refusal(10007)
    return Answer(json=thread_member_payload(thread, user_id))


def join_thread(call: Call) -> Answer:
    """Make the bot, or somebody else, a member of a thread (50083 where it is archived)."""
    call.require()
    thread = _thread(call)
    if thread.archived:
        raise refusal(50083)
    user_id = call.id("user_id") if "user_id" in call.path else call.application.user.id
    if thread.guild is None or user_id not in thread.guild.members:
        raise refusal(10013)
    threads.join(call.state, thread, user_id)
    return done()


def leave_thread(call: Call) -> Answer:
    """Take the bot, or somebody else, out of a thread (50083 where it is archived)."""
    other = "user_id" in call.path
    call.require(*((Permission.MANAGE_THREADS,) if other else ()))
    thread = _thread(call)
    if thread.archived:
        raise refusal(50083)
    threads.leave(call.state, thread, call.id("user_id") if other else call.application.user.id)
    return done()


def list_active_threads(call: Call) -> Answer:
    """Give a server's open threads that the bot can see."""
    guild = call.state.guild(call.id("guild_id"))
    if call.application.user.id not in guild.members:
        raise refusal(10004)
    return _list(call, [each for each in _visible(call, guild) if not each.archived])


def list_archived_threads(call: Call) -> Answer:
    """Give a channel's archived public threads."""
    call.require(Permission.READ_MESSAGE_HISTORY)
    guild = call.channel.guild
    found = _visible(call, guild) if guild else []
    public = [each for each in found if each.type == PUBLIC_THREAD and each.archived]
    return _list(call, [each for each in public if each.parent is call.channel])


def _edit_text_channel(call: Call, channel: Channel) -> None:
    call.require(Permission.MANAGE_CHANNELS)
    form, body = Form(), call.body
    name = form.text(body, ("name",), low=1, high=100)
    topic = form.text(body, ("topic",), high=1024)
    slowmode = form.number(body, ("rate_limit_per_user",), low=0, high=MAX_SLOWMODE)
    nsfw = form.flag(body, ("nsfw",))
    position = form.number(body, ("position",), low=0, high=10_000)
    form.check()
    channel.name = name or channel.name
    channel.topic = topic if "topic" in body else channel.topic
    channel.rate_limit_per_user = channel.rate_limit_per_user if slowmode is None else slowmode
    channel.nsfw = channel.nsfw if nsfw is None else nsfw
    channel.position = channel.position if position is None else position
    call.state.channel_changed("CHANNEL_UPDATE", channel)


def _edit_thread(call: Call, thread: Thread) -> None:
    held = call.require()
    form, body = Form(), call.body
    name = form.text(body, ("name",), low=1, high=100)
    slowmode = form.number(body, ("rate_limit_per_user",), low=0, high=MAX_SLOWMODE)
    minutes = form.choice(body, ("auto_archive_duration",), ARCHIVE_MINUTES)
    flags = {name: form.flag(body, (name,)) for name in ("archived", "locked", "invitable")}
    form.check()
    manages = Permission.MANAGE_THREADS in held
    if not manages and (thread.owner_id != call.application.user.id or flags["locked"] is not None):
        raise refusal(50013)
    if thread.archived and flags["archived"] is not False and set(body) - {"archived", "locked"}:
        raise refusal(50083)
    thread.name = name or thread.name
    thread.rate_limit_per_user = thread.rate_limit_per_user if slowmode is None else slowmode
    thread.auto_archive_minutes = minutes or thread.auto_archive_minutes
    thread.locked = thread.locked if flags["locked"] is None else flags["locked"]
    thread.invitable = thread.invitable if flags["invitable"] is None else flags["invitable"]
    if flags["archived"] is not None and flags["archived"] != thread.archived:
        threads.set_archived(call.state, thread, archived=flags["archived"])
    else:
        threads.publish_update(call.state, thread)


def _open(call: Call, form: Form, starter: Message | None, kind: int, *, invitable: bool = True) -> Thread:
    if isinstance(call.channel, Thread) or call.channel.type == DIRECT:
        raise refusal(50024)
    name = form.text(call.body, ("name",), low=1, high=100, required=True)
    minutes = form.choice(call.body, ("auto_archive_duration",), ARCHIVE_MINUTES)
    slowmode = form.number(call.body, ("rate_limit_per_user",), low=0, high=MAX_SLOWMODE)
    form.check()
    return open_thread(
        call.state,
        call.channel,
        name or "",
        call.application.user,
        starter=starter,
        kind=kind,
        archive_minutes=minutes,
        invitable=invitable,
        rate_limit_per_user=slowmode or 0,
    )


def _thread(call: Call) -> Thread:
    return call.state.thread(call.id("channel_id"))


def _visible(call: Call, guild: Guild) -> list[Thread]:
    return [each for each in guild.threads.values() if each.permissions(call.application.user)]


def _list(call: Call, found: Iterable[Thread]) -> Answer:
    viewer = call.application.user
    listed = list(found)
    return Answer(
        json={
            "threads": [thread_payload(each, viewer) for each in listed],
            "members": [
                thread_member_payload(each, viewer.id) for each in listed if viewer.id in each.joined
            ],
            "has_more": False,
        }
    )


def _one(call: Call, channel: Channel) -> Answer:
    return Answer(json=channel_payload(channel, call.application.user))


_CHANNEL = "/channels/{channel_id}"
_MEMBER = _CHANNEL + "/thread-members"

ROUTES = (
    Route("GET", _CHANNEL, get_channel),
    Route("PATCH", _CHANNEL, edit_channel),
    Route("DELETE", _CHANNEL, delete_channel),
    Route("PUT", _CHANNEL + "/permissions/{overwrite_id}", set_overwrite),
    Route("DELETE", _CHANNEL + "/permissions/{overwrite_id}", delete_overwrite),
    Route("POST", _CHANNEL + "/threads", start_thread),
    Route("POST", _CHANNEL + "/messages/{message_id}/threads", start_thread_from_message),
    Route("GET", _CHANNEL + "/threads/archived/public", list_archived_threads),
    Route("GET", _MEMBER, list_thread_members),
    Route("PUT", _MEMBER + "/@me", join_thread),
    Route("DELETE", _MEMBER + "/@me", leave_thread),
    Route("GET", _MEMBER + "/{user_id}", get_thread_member),
    Route("PUT", _MEMBER + "/{user_id}", join_thread),
    Route("DELETE", _MEMBER + "/{user_id}", leave_thread),
    Route("GET", "/guilds/{guild_id}/threads/active", list_active_threads),
)
