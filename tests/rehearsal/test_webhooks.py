from __future__ import annotations

from typing import TYPE_CHECKING

import discord
import pytest

from bot.rehearsal.media import plain_png
from bot.rehearsal.permissions import Permission

if TYPE_CHECKING:
    from tests.rehearsal.conftest import Table


async def test_a_character_speaks_under_its_own_name_and_face(table: Table) -> None:
    face = plain_png(200, 30, 30)
    async with table.actor() as bot:
        channel = bot.get_channel(table.channel.id)
        assert isinstance(channel, discord.TextChannel)
        webhook = await channel.create_webhook(name="Mara", avatar=face)
        message = await webhook.send("Well met.", wait=True)
        assert await message.author.display_avatar.read() == face
        assert await bot.user.display_avatar.read() if bot.user else False
        other = await webhook.send(
            "Hm.", username="Mara Vane", avatar_url="https://example.org/a.png", wait=True
        )
        heard = await bot.hear(other.id)
        assert (heard.webhook_id, heard.author.display_name) == (webhook.id, "Mara Vane")
    shown = table.room.messages(table.channel)
    assert [each.author_name for each in shown] == ["Mara", "Mara Vane"]
    assert shown[1].avatar_url == "https://example.org/a.png"


async def test_a_streamed_answer_is_edited_in_place_in_its_thread(table: Table) -> None:
    async with table.actor() as bot:
        channel = bot.get_channel(table.channel.id)
        assert isinstance(channel, discord.TextChannel)
        webhook = await channel.create_webhook(name="Mara")
        thread = await channel.create_thread(name="The Inn", type=discord.ChannelType.public_thread)
        message = await webhook.send("The rain", thread=thread, wait=True)
        for text in ("The rain falls", "The rain falls on the roof."):
            message = await message.edit(content=text)
        (shown,) = table.guild.threads[thread.id].messages.values()
        assert (shown.content, shown.edited_count) == ("The rain falls on the roof.", 2)
        assert table.room.messages(table.channel) == []
        with pytest.raises(discord.NotFound):
            await webhook.fetch_message(message.id)  # it is in the thread, and the request does not say so
        await message.delete()
        assert not table.guild.threads[thread.id].messages


async def test_a_channel_holds_fifteen_webhooks(table: Table) -> None:
    path = f"/channels/{table.channel.id}/webhooks"
    made = [await table.api("POST", path, {"name": f"No. {number}"}) for number in range(16)]
    assert [each.status for each in made] == [200] * 15 + [400]
    assert made[-1].code == 30007
    assert (await table.api("DELETE", f"/webhooks/{made[0].json['id']}")).status == 204
    assert (await table.api("POST", path, {"name": "One more"})).status == 200
    assert len((await table.api("GET", path)).json) == 15


async def test_a_webhook_that_is_gone_or_whose_token_is_wrong(table: Table) -> None:
    made = (await table.api("POST", f"/channels/{table.channel.id}/webhooks", {"name": "Mara"})).json
    wrong = await table.api("POST", f"/webhooks/{made['id']}/wrong", {"content": "x"}, token=None)
    assert (wrong.status, wrong.code) == (401, 50027)
    path = f"/webhooks/{made['id']}/{made['token']}"
    assert (await table.api("POST", path, {"content": "x"}, token=None)).status == 204
    assert (await table.api("POST", path + "?thread_id=1", {"content": "x"}, token=None)).code == 10003
    assert (await table.api("POST", path, {}, token=None)).code == 50006
    assert (await table.api("PATCH", path, {"name": "Vane"}, token=None)).json["name"] == "Vane"
    assert (await table.api("DELETE", path, token=None)).status == 204
    assert (await table.api("POST", path, {"content": "x"}, token=None)).code == 10015
    assert [each.content for each in table.room.messages(table.channel)] == ["x"], "what was said stays"


async def test_a_face_that_is_no_picture_is_refused(table: Table) -> None:
    path = f"/channels/{table.channel.id}/webhooks"
    for avatar in ("data:image/png;base64,bm90IGEgcGljdHVyZQ==", "data:image/png;base64,???", "face.png"):
        assert (await table.api("POST", path, {"name": "Mara", "avatar": avatar})).faults() == {
            "avatar": "IMAGE_INVALID"
        }


async def test_a_webhook_of_another_bot_keeps_its_token_to_itself(table: Table) -> None:
    other = table.room.add_application("Other")
    table.guild.invite(other, permissions=int(Permission.MANAGE_WEBHOOKS))
    path = f"/channels/{table.channel.id}/webhooks"
    made = (await table.api("POST", path, {"name": "Mara"}, token=other.token)).json
    assert made["token"]
    (seen,) = (await table.api("GET", path)).json
    assert "token" not in seen


async def test_only_what_came_through_a_webhook_can_be_edited_through_it(table: Table) -> None:
    said = await table.room.say(table.ann, table.channel, "Mine.")
    made = (await table.api("POST", f"/channels/{table.channel.id}/webhooks", {"name": "Mara"})).json
    path = f"/webhooks/{made['id']}/{made['token']}/messages/{said.id}"
    assert (await table.api("PATCH", path, {"content": "Ours."}, token=None)).code == 10008
