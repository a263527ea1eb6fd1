from __future__ import annotations

from typing import TYPE_CHECKING

import discord
import pytest

from bot.rehearsal.room import Room

if TYPE_CHECKING:
    from tests.rehearsal.conftest import Table


async def test_a_bot_logs_in_and_sees_its_server(table: Table) -> None:
    async with table.actor() as bot:
        await table.room.ready(table.application)
        (guild,) = bot.guilds
        assert guild.name == "The Table"
        assert {member.display_name for member in guild.members} == {"Ann", "Ben", "Hearthside"}
        assert guild.owner is not None
        assert guild.owner.display_name == "Ann"
        assert [channel.name for channel in guild.text_channels] == ["campaign"]
        assert guild.me.guild_permissions.manage_webhooks


async def test_a_wrong_token_is_refused_before_anything_else(table: Table) -> None:
    table.room.refuse_token = True
    with pytest.raises(discord.LoginFailure):
        async with table.actor():
            pass
    assert [request.status for request in table.room.requests] == [401]


async def test_an_intent_that_is_switched_off_closes_the_gateway(table: Table) -> None:
    table.room.deny_intent_message_content = True
    with pytest.raises(discord.PrivilegedIntentsRequired):
        async with table.actor():
            pass


async def test_ready_says_what_is_missing(table: Table) -> None:
    with pytest.raises(TimeoutError, match="it has not connected"):
        await table.room.ready(table.application, timeout=0.01)


async def test_every_shard_gets_its_own_servers(table: Table) -> None:
    table.room.state.shards = 2
    for number in range(3):
        table.clock.advance(0.001)  # the shard is the time in the id, modulo the number of shards
        table.room.add_guild(f"Other {number}").invite(table.application, permissions=0)
    async with table.actor() as bot:
        await table.room.ready(table.application)
        assert len(bot.shards) == 2
        assert len(bot.guilds) == 4
        assert {guild.shard_id for guild in bot.guilds} == {0, 1}
        assert all(guild.shard_id == (guild.id >> 22) % 2 for guild in bot.guilds)


async def test_a_bot_that_is_invited_while_it_runs_is_told(table: Table) -> None:
    async with table.actor() as bot:
        joined = table.room.add_guild("Later")
        joined.add_text_channel("tavern")
        joined.invite(table.application, permissions=0)
        guild = await bot.wait_for("guild_join", timeout=5)
        assert [channel.name for channel in guild.text_channels] == ["tavern"]
        joined.remove(table.application)
        gone = await bot.wait_for("guild_remove", timeout=5)
        assert gone.id == joined.id


def test_a_room_with_a_seed_gives_the_same_tokens() -> None:
    assert Room(rng_seed=7).state.secret(40) == Room(rng_seed=7).state.secret(40)
