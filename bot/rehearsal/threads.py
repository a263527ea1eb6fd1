"""Threads are joined, fall asleep, wake up and go. How they open is in openings.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bot.rehearsal import intents
from bot.rehearsal.events import ThreadUpdated
from bot.rehearsal.guilds import Thread
from bot.rehearsal.payloads import thread_member_payload, thread_payload
from bot.rehearsal.permissions import Permission
from bot.rehearsal.refusals import refusal
from bot.rehearsal.state import Signal, State, Viewer, fixed

if TYPE_CHECKING:
    from bot.rehearsal.people import User

Json = dict[str, Any]


def join(state: State, thread: Thread, user_id: int) -> None:
    """Make a user a member of a thread; nothing happens where they are one."""
    if user_id in thread.joined:
        return
    thread.joined[user_id] = state.clock.now()
    added = [thread_member_payload(thread, user_id)]
    _publish_members(state, thread, {"added_members": added})


def leave(state: State, thread: Thread, user_id: int) -> None:
    """Take a user out of a thread."""
    if thread.joined.pop(user_id, None) is not None:
        _publish_members(state, thread, {"removed_member_ids": [str(user_id)]})


def reopen(state: State, thread: Thread, user: User, *, by_message: bool = False) -> None:
    """Wake an archived thread, as a message in it does; refuse where it is locked (160005)."""
    if thread.locked and by_message and Permission.MANAGE_THREADS not in thread.permissions(user):
        raise refusal(160005)
    if thread.archived:
        set_archived(state, thread, archived=False)


def set_archived(state: State, thread: Thread, *, archived: bool) -> None:
    """Archive a thread or open it again, and tell everybody."""
    thread.archived = archived
    thread.archived_at = state.clock.now()
    publish_update(state, thread)


def publish_update(state: State, thread: Thread) -> None:
    """Tell the gateway and the watchers that a thread's settings changed."""
    publish(state, "THREAD_UPDATE", thread)
    state.record(ThreadUpdated(channel=thread.holder, thread=thread))


def remove(state: State, thread: Thread) -> None:
    """Delete a thread with everything in it."""
    guild = thread.guild
    state.channels.pop(thread.id, None)
    if guild is not None:
        guild.threads.pop(thread.id, None)
    payload = {
        "id": str(thread.id),
        "guild_id": str(guild.id if guild else 0),
        "parent_id": str(thread.parent_id),
        "type": thread.type,
    }
    state.publish(Signal("THREAD_DELETE", fixed(payload), intents.GUILDS, guild, thread.holder))


def publish(state: State, name: str, thread: Thread, **more: Any) -> None:
    """Tell the gateway about a thread."""

    def render(viewer: Viewer) -> Json:
        return thread_payload(thread, viewer.application.user) | more

    state.publish(Signal(name, render, intents.GUILDS, thread.guild, thread))


def _publish_members(state: State, thread: Thread, change: Json) -> None:
    payload = change | {
        "id": str(thread.id),
        "guild_id": str(thread.guild.id if thread.guild else 0),
        "member_count": len(thread.joined),
    }
    signal = Signal("THREAD_MEMBERS_UPDATE", fixed(payload), intents.GUILDS, thread.guild, thread)
    state.publish(signal)
