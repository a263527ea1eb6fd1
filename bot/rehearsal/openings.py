"""How a thread opens, and the notices that Discord leaves of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.rehearsal import threads
from bot.rehearsal.events import ThreadCreated
from bot.rehearsal.guilds import PUBLIC_THREAD, Thread
from bot.rehearsal.messages import HAS_THREAD, THREAD_CREATED, THREAD_STARTER, Message, Reply
from bot.rehearsal.posting import announce, post_notice
from bot.rehearsal.refusals import refusal

if TYPE_CHECKING:
    from bot.rehearsal.guilds import Channel
    from bot.rehearsal.people import User
    from bot.rehearsal.state import State

ARCHIVE_MINUTES = (60, 1440, 4320, 10080)
MAX_THREADS = 1000
"""Active threads of one server (160006 beyond)."""


def open_thread(
    state: State,
    channel: Channel,
    name: str,
    owner: User,
    *,
    starter: Message | None = None,
    kind: int = PUBLIC_THREAD,
    archive_minutes: int | None = None,
    invitable: bool = True,
    rate_limit_per_user: int = 0,
) -> Thread:
    """Open a thread under a channel; one that starts from a message takes that message's id."""
    guild = channel.guild
    if guild is None:
        raise refusal(50024)
    if starter is not None and starter.id in state.channels:
        raise refusal(160004)
    if sum(1 for each in guild.threads.values() if not each.archived) >= MAX_THREADS:
        raise refusal(160006)
    now = state.clock.now()
    thread = Thread(
        state,
        id=starter.id if starter else state.ids.next(),
        type=kind,
        name=name,
        guild=guild,
        parent_id=channel.id,
        parent=channel,
        owner_id=owner.id,
        created_at=now,
        archived_at=now,
        auto_archive_minutes=archive_minutes or 4320,
        invitable=invitable,
        rate_limit_per_user=rate_limit_per_user,
        nsfw=channel.nsfw,
        joined={owner.id: now},
    )
    state.channels[thread.id] = guild.threads[thread.id] = thread
    if starter is not None:
        starter.thread = thread
    threads.publish(state, "THREAD_CREATE", thread, newly_created=True)
    state.record(ThreadCreated(channel=channel, thread=thread))
    _leave_notice(state, thread, owner, starter)
    return thread


def _leave_notice(state: State, thread: Thread, owner: User, starter: Message | None) -> None:
    channel = thread.holder
    guild_id = channel.guild.id if channel.guild else None
    if starter is not None:
        starter.flags |= HAS_THREAD
        announce(state, "MESSAGE_UPDATE", starter, None)
        reply = Reply(starter, starter.id, channel.id, guild_id)
        post_notice(state, thread, starter.author, THREAD_STARTER, reply=reply)
    elif thread.type == PUBLIC_THREAD:
        reply = Reply(None, None, thread.id, guild_id)
        post_notice(state, channel, owner, THREAD_CREATED, content=thread.name, reply=reply)
