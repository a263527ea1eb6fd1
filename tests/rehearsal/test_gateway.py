from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import discord
import pytest

from bot.rehearsal import intents

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.rehearsal.conftest import Table


async def test_what_was_missed_is_replayed_in_order(table: Table) -> None:
    room = table.room
    async with table.actor() as bot:
        await room.drop_gateway()
        for number in range(5):
            await room.say(table.ann, table.channel, f"line {number}")
        resumed = asyncio.create_task(bot.wait_for("shard_resumed", timeout=10))
        await room.say(table.ann, table.channel, "line 5")
        await resumed
        said = await room.say(table.ann, table.channel, "line 6")
        await bot.hear(said.id)
        assert bot.lines == [f"line {number}" for number in range(7)]
        assert table.application.identified == 1


async def test_the_bot_resumes_when_it_is_asked_to_reconnect(table: Table) -> None:
    async with table.actor() as bot:
        await table.room.ask_reconnect()
        await bot.wait_for("shard_resumed", timeout=10)
        assert table.application.identified == 1


async def test_what_an_invalid_session_missed_is_gone_from_the_gateway(table: Table) -> None:
    room = table.room
    async with table.actor() as bot:
        said = await room.say(table.ann, table.channel, "before")
        await bot.hear(said.id)
        again = asyncio.create_task(bot.wait_for("shard_ready", timeout=10))
        await room.drop_gateway(resumable=False)
        await room.say(table.ann, table.channel, "meanwhile")
        await again
        said = await room.say(table.ann, table.channel, "after")
        await bot.hear(said.id)
        assert bot.lines == ["before", "after"]
        assert table.application.identified == 2
        channel = bot.get_channel(table.channel.id)
        assert isinstance(channel, discord.TextChannel)
        history = channel.history(after=discord.Object(bot.heard[0].id), oldest_first=True)
        assert [message.content async for message in history] == ["meanwhile", "after"]


async def test_a_session_that_is_declared_invalid_is_begun_anew(table: Table) -> None:
    async with table.actor() as bot:
        again = asyncio.create_task(bot.wait_for("shard_ready", timeout=10))
        await table.room.invalidate_sessions()
        await again
        assert table.application.identified == 2


class Wire:
    """A gateway connection without discord.py."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def send(self, operation: int, data: Any = None) -> None:
        await self.socket.send_json({"op": operation, "d": data})

    async def frame(self) -> dict[str, Any]:
        message = await self.socket.receive(timeout=5)
        assert message.type is aiohttp.WSMsgType.TEXT, message
        read = json.loads(message.data)
        assert isinstance(read, dict)
        return read

    async def event(self, name: str) -> Any:
        while (frame := await self.frame())["t"] != name:
            pass
        return frame["d"]

    async def names_until_ack(self) -> list[str]:
        await self.send(1)
        names = []
        while (frame := await self.frame())["op"] != 11:
            names.append(frame["t"])
        return names

    async def closed(self) -> int | None:
        while (message := await self.socket.receive(timeout=5)).type is aiohttp.WSMsgType.TEXT:
            pass
        return self.socket.close_code if message.type is not aiohttp.WSMsgType.CLOSE else message.data


@asynccontextmanager
async def connect(table: Table) -> AsyncIterator[Wire]:
    async with aiohttp.ClientSession() as session, session.ws_connect(table.address.gateway_url) as socket:
        wire = Wire(socket)
        hello = await wire.frame()
        assert (hello["op"], hello["d"]["heartbeat_interval"]) == (10, 41_250)
        yield wire


def identity(
    table: Table, wanted: int = intents.GUILDS | intents.GUILD_MESSAGES, **more: Any
) -> dict[str, Any]:
    return {"token": table.application.token, "intents": wanted, "properties": {}} | more


async def test_the_first_frames_of_a_session(table: Table) -> None:
    async with connect(table) as wire:
        await wire.send(1)
        assert (await wire.frame())["op"] == 11
        await wire.send(2, identity(table))
        ready = await wire.event("READY")
        assert ready["guilds"] == [{"id": str(table.guild.id), "unavailable": True}]
        guild = await wire.event("GUILD_CREATE")
        assert guild["unavailable"] is False
        assert [member["user"]["username"] for member in guild["members"]] == ["Hearthside"]
        await wire.send(8, {"guild_id": str(table.guild.id), "query": "a", "limit": 5, "nonce": "n"})
        chunk = await wire.event("GUILD_MEMBERS_CHUNK")
        assert [member["user"]["global_name"] for member in chunk["members"]] == ["Ann"]
        assert chunk["nonce"] == "n"


async def test_only_what_was_asked_for_is_sent(table: Table) -> None:
    async with connect(table) as wire:
        await wire.send(2, identity(table, intents.GUILDS))
        assert await wire.names_until_ack() == ["READY", "GUILD_CREATE"]
        await table.room.say(table.ann, table.channel, "Unheard.")
        await table.room.type(table.ann, table.channel)
        assert await wire.names_until_ack() == []
        table.guild.add_text_channel("cellar")
        assert await wire.names_until_ack() == ["CHANNEL_CREATE"]


CLOSES: list[tuple[list[tuple[int, Any]], int]] = [
    ([(2, {"token": "wrong", "intents": 1})], 4004),
    ([(2, {"intents": 1 << 8})], 4014),
    ([(2, {"intents": 1 << 40})], 4013),
    ([(2, {"intents": "all"})], 4013),
    ([(2, {"shard": [2, 2]})], 4010),
    ([(2, {"shard": ["a", {}]})], 4010),
    ([(2, {}), (2, {})], 4005),
    ([(3, {})], 4003),
    ([(2, {}), (99, {})], 4001),
    ([(2, {}), (8, {"guild_id": "0", "query": "x" * 5000})], 4002),
    ([(1, None)] * 121, 4008),
]


@pytest.mark.parametrize(("frames", "code"), CLOSES)
async def test_what_closes_the_gateway(table: Table, frames: list[tuple[int, Any]], code: int) -> None:
    async with connect(table) as wire:
        for operation, data in frames:
            await wire.send(operation, identity(table, **data) if operation == 2 else data)
        assert await wire.closed() == code


async def test_a_frame_that_is_no_json_closes_the_gateway(table: Table) -> None:
    for text in ("{", "[" * 4000, "7"):
        async with connect(table) as wire:
            await wire.socket.send_str(text)
            assert await wire.closed() == 4002


async def test_a_session_nobody_knows_cannot_be_resumed(table: Table) -> None:
    async with connect(table) as wire:
        await wire.send(6, {"token": table.application.token, "session_id": "none", "seq": 3})
        frame = await wire.frame()
        assert (frame["op"], frame["d"]) == (9, False)


async def test_content_is_hidden_without_the_intent_except_where_it_concerns_the_bot(table: Table) -> None:
    room, ann, place = table.room, table.ann, table.channel
    table.application.message_content = False
    wanted = discord.Intents.default()
    async with table.actor(intents=wanted) as bot:
        channel = bot.get_channel(place.id)
        assert isinstance(channel, discord.TextChannel)
        sent = await channel.send("My own.")
        direct = room.dm(ann, table.application)
        await room.say(ann, place, "A secret.")
        await room.say(ann, place, f"{table.application.user.mention} a word?")
        own = next(each for each in room.messages(place) if each.id == sent.id)
        await room.say(ann, place, "An answer.", reply_to=own)
        await room.say(ann, place, "A quiet answer.", reply_to=own, ping=False)
        last = await room.say(ann, direct, "Alone.")
        await bot.hear(last.id)
        assert bot.lines == ["My own.", "", f"<@{table.application.id}> a word?", "An answer.", "", "Alone."]
        fetched = [message.content async for message in channel.history()]
        assert fetched[-2:] == ["", "My own."], "REST hides it as well"


async def test_a_bot_may_resume_where_it_is_told_so(table: Table) -> None:
    async with table.actor() as bot:
        await table.room.invalidate_sessions(resumable=True)
        await bot.wait_for("shard_resumed", timeout=10)
        assert table.application.identified == 1


async def test_a_bot_that_says_goodbye_leaves_no_session(table: Table) -> None:
    async with table.actor():
        assert len(table.room.gateway.sessions) == 1
    await table.room.state.changed.until(lambda: not table.room.gateway.connections)
    assert table.room.gateway.sessions == {}


async def test_a_session_that_nobody_resumes_is_forgotten(table: Table) -> None:
    async with connect(table) as wire:
        await wire.send(2, identity(table))
        await wire.event("GUILD_CREATE")
        await table.room.drop_gateway()
    await table.room.say(table.ann, table.channel, "Still there?")
    assert len(table.room.gateway.sessions) == 1
    table.clock.advance(181)
    await table.room.say(table.ann, table.channel, "No.")
    assert table.room.gateway.sessions == {}
