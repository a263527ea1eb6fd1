from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp
import discord
import pytest

from bot.rehearsal.ratelimits import RateLimits

if TYPE_CHECKING:
    from tests.rehearsal.conftest import Table


async def test_a_bot_that_is_told_to_wait_tries_again(table: Table) -> None:
    body = {"message": "You are being rate limited.", "retry_after": 0.02, "global": False, "code": 0}
    async with table.actor() as bot:
        table.room.fail_next("POST", "/channels/{channel_id}/messages", status=429, json=body)
        channel = bot.get_channel(table.channel.id)
        assert isinstance(channel, discord.TextChannel)
        await channel.send("At last.")
    tried = [each for each in table.room.requests if each.route == "/channels/{channel_id}/messages"]
    assert [each.status for each in tried] == [429, 200]
    assert tried[0].headers["Via"], "without it discord.py takes a 429 for a ban"
    assert [message.content for message in table.room.messages(table.channel)] == ["At last."]


async def test_a_bucket_runs_empty_and_fills_again(table: Table) -> None:
    table.room.limits.set("/channels/{channel_id}/messages", 2, 5.0, "POST")
    path = f"/channels/{table.channel.id}/messages"
    replies = [await table.api("POST", path, {"content": "x"}) for _ in range(3)]
    assert [reply.status for reply in replies] == [200, 200, 429]
    assert [reply.headers["X-RateLimit-Remaining"] for reply in replies] == ["1", "0", "0"]
    assert replies[2].json == {
        "message": "You are being rate limited.",
        "retry_after": 5.0,
        "global": False,
        "code": 0,
    }
    other = table.guild.add_text_channel("cellar")
    assert (await table.api("POST", f"/channels/{other.id}/messages", {"content": "x"})).status == 200
    assert (await table.api("GET", path)).status == 200
    table.clock.advance(5.0)
    assert (await table.api("POST", path, {"content": "x"})).status == 200


def test_discords_own_orders_of_magnitude() -> None:
    limits = RateLimits()
    limits.like_discord()
    route = "/webhooks/{webhook_id}/{webhook_token}"
    verdicts = [limits.take("POST", route, "1", 0.5 * number) for number in range(7)]
    assert [verdict.retry_after is None for verdict in verdicts] == [True] * 7
    burst = [limits.take("POST", route, "2", 100.0) for _ in range(6)]
    assert burst[-1].retry_after == 2.0
    assert limits.take("PATCH", "/channels/{channel_id}/messages/{message_id}", "3", 0.0).limit == 5


async def test_a_request_fails_as_often_as_it_was_asked_to(table: Table) -> None:
    table.room.fail_next("GET", "/users/@me", status=503, times=2)
    assert [(await table.api("GET", "/users/@me")).status for _ in range(3)] == [503, 503, 200]


async def test_a_connection_breaks_after_the_effect(table: Table) -> None:
    made = (await table.api("POST", f"/channels/{table.channel.id}/webhooks", {"name": "Mara"})).json
    table.room.fail_next("POST", "/webhooks/", after_effect=True)
    with pytest.raises(aiohttp.ClientError):
        await table.api("POST", f"/webhooks/{made['id']}/{made['token']}", {"content": "Said."}, token=None)
    assert [message.content for message in table.room.messages(table.channel)] == ["Said."]
    assert table.room.requests[-1].status == 204


async def test_every_request_is_on_record(table: Table) -> None:
    await table.api("POST", f"/channels/{table.channel.id}/messages", {"content": "x"})
    request = table.room.requests[-1]
    assert (request.method, request.route) == ("POST", "/channels/{channel_id}/messages")
    assert request.path == f"/api/v10/channels/{table.channel.id}/messages"
    assert request.json == {"content": "x"}
    assert request.response["content"] == "x"
    assert request.application_id == table.application.id
    assert request.at == table.clock.now()
