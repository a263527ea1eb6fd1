from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import discord

from bot.rehearsal.events import ThreadCreated

if TYPE_CHECKING:
    from tests.rehearsal.conftest import Table


async def test_a_thread_is_opened_seen_and_archived(table: Table) -> None:
    start = table.room.cursor
    async with table.actor() as bot:
        channel = bot.get_channel(table.channel.id)
        assert isinstance(channel, discord.TextChannel)
        thread = await channel.create_thread(name="The Inn", type=discord.ChannelType.public_thread)
        event = await table.room.wait_for(lambda each: isinstance(each, ThreadCreated), since=start)
        assert isinstance(event, ThreadCreated)
        assert (event.thread.id, event.thread.name) == (thread.id, "The Inn")
        said = await table.room.say(table.ann, event.thread, "Here?")
        heard = await bot.hear(said.id)
        assert heard.channel == thread
        assert set(event.thread.joined) == {bot.user.id if bot.user else 0, table.ann.id}
        await thread.edit(archived=True)
        assert (await table.api("GET", f"/guilds/{table.guild.id}/threads/active")).json["threads"] == []
        await table.room.say(table.ann, event.thread, "Again?")
        assert not event.thread.archived, "a message wakes it"


async def test_a_thread_that_people_open_reaches_the_bot(table: Table) -> None:
    async with table.actor() as bot:
        said = await table.room.say(table.ann, table.channel, "Over here.")
        opened = await table.room.open_thread(table.ann, table.channel, "Aside", said)
        seen = await bot.wait_for("thread_create", timeout=5)
        assert (seen.id, seen.name, seen.owner_id) == (said.id, "Aside", table.ann.id)
        await seen.send("I follow.")
        assert [message.content for message in table.room.messages(opened)] == ["I follow."]


async def test_what_a_thread_refuses(table: Table) -> None:
    said = await table.room.say(table.ann, table.channel, "Over here.")
    path = f"/channels/{table.channel.id}/messages/{said.id}/threads"
    assert (await table.api("POST", path, {"name": ""})).faults() == {"name": "BASE_TYPE_REQUIRED"}
    assert (await table.api("POST", path, {"name": "x" * 101})).faults() == {"name": "BASE_TYPE_BAD_LENGTH"}
    body = {"name": "x", "auto_archive_duration": 61}
    assert (await table.api("POST", path, body)).faults() == {"auto_archive_duration": "BASE_TYPE_CHOICES"}
    thread = (await table.api("POST", path, {"name": "Aside"})).json
    assert (await table.api("POST", path, {"name": "Aside"})).code == 160004
    inside = f"/channels/{thread['id']}"
    assert (await table.api("POST", f"{inside}/webhooks", {"name": "Mara"})).code == 50024
    assert (await table.api("POST", f"{inside}/threads", {"name": "Deeper", "type": 11})).code == 50024
    sent = (await table.api("POST", f"{inside}/messages", {"content": "x"})).json
    await table.room.archive(table.guild.threads[int(thread["id"])], locked=True)
    assert (await table.api("PATCH", f"{inside}/messages/{sent['id']}", {"content": "y"})).code == 50083
    assert (await table.api("POST", f"{inside}/messages", {"content": "y"})).code == 160005
    assert (await table.api("PUT", f"{inside}/thread-members/@me")).code == 50083


async def test_a_private_thread_is_for_its_members(table: Table) -> None:
    await table.room.say(table.ann, table.channel, "Over here.")
    other = table.room.add_application("Other")
    table.guild.invite(other, permissions=0)
    path = f"/channels/{table.channel.id}/threads"
    opened = (await table.api("POST", path, {"name": "Secret"}, token=other.token)).json
    assert opened["type"] == 12
    assert (await table.api("GET", f"/channels/{opened['id']}")).code == 50001
    added = await table.api(
        "PUT", f"/channels/{opened['id']}/thread-members/{table.application.id}", token=other.token
    )
    assert added.status == 204
    assert (await table.api("GET", f"/channels/{opened['id']}")).json["name"] == "Secret"


async def test_discord_leaves_notices_that_bots_have_to_step_over(table: Table) -> None:
    said = await table.room.say(table.ann, table.channel, "Over here.")
    path = f"/channels/{table.channel.id}"
    async with table.actor() as bot:
        named = bot.wait_for("message", check=lambda message: message.content == "Aside", timeout=5)
        hearing = asyncio.ensure_future(named)
        await asyncio.sleep(0)  # lets it listen
        await table.api("POST", f"{path}/messages/{said.id}/threads", {"name": "On it"})
        await table.api("POST", f"{path}/threads", {"name": "Aside", "type": 11})
        heard = await hearing
        starter = next(each for each in bot.heard if each.channel.id == said.id)
        assert heard.type is discord.MessageType.thread_created
        assert heard.is_system()
        assert starter.type is discord.MessageType.thread_starter_message
    notice = table.channel.last_message_id
    refused = await table.api("PATCH", f"{path}/messages/{notice}", {"content": "x"})
    assert refused.code == 50021
    answer = {"content": "x", "message_reference": {"message_id": str(notice)}}
    assert (await table.api("POST", f"{path}/messages", answer)).faults() == {
        "message_reference": "REPLIES_CANNOT_REPLY_TO_SYSTEM_MESSAGE"
    }
    assert table.room.messages(table.channel) == [said]
