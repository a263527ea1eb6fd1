from __future__ import annotations

import io
from typing import TYPE_CHECKING

import aiohttp
import discord
import pytest

from bot.errors import TableError
from bot.rehearsal.events import MessageCreated, MessageDeleted, MessageEdited, TypingStarted
from bot.rehearsal.media import plain_png
from bot.rehearsal.message_forms import Upload

if TYPE_CHECKING:
    from tests.rehearsal.conftest import Actor, Table


def channel_of(bot: Actor, table: Table) -> discord.TextChannel:
    channel = bot.get_channel(table.channel.id)
    assert isinstance(channel, discord.TextChannel)
    return channel


async def test_what_people_do_reaches_the_bot_in_order(table: Table) -> None:
    room = table.room
    async with table.actor() as bot:
        first = await room.say(table.ann, table.channel, "I open the door.")
        await room.type(table.ben, table.channel)
        second = await room.say(table.ben, table.channel, "Careful!", reply_to=first)
        await bot.hear(second.id)
        await room.edit(first, "I open the door slowly.")
        await room.delete(second)
        await bot.learn_of(second.id)
        assert bot.lines == ["I open the door.", "Careful!"]
        assert bot.heard[0].author.display_name == "Ann"
        assert bot.heard[1].reference is not None
        assert bot.heard[1].reference.message_id == first.id
        assert bot.typing == [table.ben.id]
        assert bot.edits[0].message.content == "I open the door slowly."
        assert bot.deleted == [second.id]


async def test_what_the_bot_does_is_seen_in_order(table: Table) -> None:
    seen = []
    async with table.actor() as bot:
        start = table.room.cursor
        channel = channel_of(bot, table)
        async with channel.typing():
            sent = await channel.send("A bell")
        await sent.edit(content="A bell rings.")
        await sent.delete()
        async for event in table.room.watch(table.channel, since=start):
            seen.append(event)
            if isinstance(event, MessageDeleted):
                break
    assert [type(event) for event in seen] == [TypingStarted, MessageCreated, MessageEdited, MessageDeleted]
    assert [event.content for event in seen if isinstance(event, (MessageCreated, MessageEdited))] == [
        "A bell",
        "A bell rings.",
    ]
    assert table.room.messages(table.channel) == []


async def test_the_same_nonce_makes_one_message(table: Table) -> None:
    path = f"/channels/{table.channel.id}/messages"
    body = {"content": "Once", "nonce": "turn-1", "enforce_nonce": True}
    first = await table.api("POST", path, body)
    second = await table.api("POST", path, body)
    assert first.json["id"] == second.json["id"]
    assert first.json["nonce"] == "turn-1"
    table.clock.advance(400)
    third = await table.api("POST", path, body)
    assert third.json["id"] != first.json["id"]
    assert len(table.room.messages(table.channel)) == 2


async def test_a_lost_answer_can_be_asked_for_again_by_nonce(table: Table) -> None:
    table.room.fail_next("POST", "/messages", after_effect=True)
    path = f"/channels/{table.channel.id}/messages"
    body = {"content": "Once", "nonce": "turn-1", "enforce_nonce": True}
    with pytest.raises(aiohttp.ClientError):
        await table.api("POST", path, body)
    again = await table.api("POST", path, body)
    assert [message.id for message in table.room.messages(table.channel)] == [int(again.json["id"])]


async def test_history_is_paged(table: Table) -> None:
    said = [await table.room.say(table.ann, table.channel, f"line {number}") for number in range(7)]
    path = f"/channels/{table.channel.id}/messages"

    async def page(query: str) -> list[str]:
        return [each["content"][-1] for each in (await table.api("GET", path + query)).json]

    assert await page("?limit=3") == ["6", "5", "4"]
    assert await page(f"?limit=2&before={said[3].id}") == ["2", "1"]
    assert await page(f"?limit=2&after={said[3].id}") == ["5", "4"]
    assert await page(f"?limit=3&around={said[3].id}") == ["4", "3", "2"]
    assert (await table.api("GET", path + "?limit=101")).faults() == {"limit": "NUMBER_TYPE_MAX"}
    async with table.actor() as bot:
        lines = [each.content async for each in channel_of(bot, table).history(limit=None, oldest_first=True)]
        after = channel_of(bot, table).history(after=discord.Object(said[4].id))
        assert lines == [f"line {number}" for number in range(7)]
        assert [each.content async for each in after] == ["line 5", "line 6"]


async def test_whitespace_around_a_message_goes_and_nothing_else_is_no_message(table: Table) -> None:
    path = f"/channels/{table.channel.id}/messages"
    sent = await table.api("POST", path, {"content": "  Hm. \n"})
    assert sent.json["content"] == "Hm."
    assert (await table.api("POST", path, {"content": " \n "})).code == 50006
    message = f"{path}/{sent.json['id']}"
    assert (await table.api("PATCH", message, {"content": ""})).code == 50006
    assert (await table.api("PATCH", message, {"embeds": [{"title": "Kept"}], "content": None})).status == 200


async def test_mentions_ping_unless_the_bot_says_otherwise(table: Table) -> None:
    path = f"/channels/{table.channel.id}/messages"
    text = f"<@{table.ann.id}> @everyone"
    loud = await table.api("POST", path, {"content": text})
    assert [each["id"] for each in loud.json["mentions"]] == [str(table.ann.id)]
    assert loud.json["mention_everyone"]
    quiet = await table.api("POST", path, {"content": text, "allowed_mentions": {"parse": []}})
    assert quiet.json["mentions"] == []
    assert not quiet.json["mention_everyone"]
    edited = await table.api("PATCH", f"{path}/{quiet.json['id']}", {"content": text + "!"})
    assert edited.json["mention_everyone"], "an edit without allowed_mentions parses with the defaults again"
    picky = {"content": text, "allowed_mentions": {"users": [str(table.ben.id)], "parse": ["everyone"]}}
    assert (await table.api("POST", path, picky)).json["mentions"] == []
    both = {"content": "x", "allowed_mentions": {"parse": ["users"], "users": [str(table.ben.id)]}}
    assert (await table.api("POST", path, both)).faults() == {
        "allowed_mentions": "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE"
    }


async def test_files_go_up_and_come_back_until_their_address_expires(table: Table) -> None:
    async with table.actor() as bot:
        picture = discord.File(
            io.BytesIO(plain_png(1, 2, 3, size=4)), "map of the inn.png", description="A map"
        )
        sent = await channel_of(bot, table).send("Here.", file=picture)
        (attachment,) = sent.attachments
        assert (attachment.filename, attachment.description) == ("map_of_the_inn.png", "A map")
        assert (attachment.width, attachment.content_type) == (4, "image/png")
        assert await attachment.read() == plain_png(1, 2, 3, size=4)
        table.clock.advance(25 * 3600)
        with pytest.raises(discord.NotFound):
            await attachment.read()
        await sent.edit(attachments=[])
        assert table.room.messages(table.channel)[0].attachments == []
        said = await table.room.say(table.ann, table.channel, "", files=[Upload("card.json", b"{}")])
        heard = await bot.hear(said.id)
        assert await heard.attachments[0].read() == b"{}"


async def test_a_file_that_is_too_large_is_refused(table: Table) -> None:
    async with table.actor() as bot:
        with pytest.raises(discord.HTTPException) as refused:
            await channel_of(bot, table).send(
                file=discord.File(io.BytesIO(b"x" * (10 * 2**20 + 1)), "big.bin")
            )
        assert (refused.value.status, refused.value.code) == (413, 40005)


async def test_reactions_pins_and_bulk_deletion(table: Table) -> None:
    room = table.room
    table.guild.set_permissions(
        table.application, 309774634048 | discord.Permissions(manage_messages=True).value
    )
    said = [await room.say(table.ann, table.channel, f"line {number}") for number in range(3)]
    async with table.actor() as bot:
        message = await channel_of(bot, table).fetch_message(said[0].id)
        await message.add_reaction("🎲")
        await room.react(table.ann, said[0], "🎲")
        assert list(said[0].reactions["🎲"]) == [bot.user.id if bot.user else 0, table.ann.id]
        await message.remove_reaction("🎲", discord.Object(table.ann.id))
        await message.clear_reactions()
        assert said[0].reactions == {}
        with pytest.raises(discord.HTTPException) as refused:
            await message.add_reaction("nothing")
        assert refused.value.code == 10014
        await message.pin()
        assert said[0].pinned
        assert [each.id async for each in channel_of(bot, table).pins()] == [said[0].id]
        await channel_of(bot, table).delete_messages([discord.Object(each.id) for each in said])
        assert room.messages(table.channel) == []


async def test_direct_messages_reach_the_bot_and_the_person(table: Table) -> None:
    async with table.actor() as bot:
        place = table.room.dm(table.ann, table.application)
        said = await table.room.say(table.ann, place, "Psst.")
        heard = await bot.hear(said.id)
        assert heard.content == "Psst."
        await heard.channel.send("Yes?")
        assert [message.content for message in table.room.messages(place)] == ["Psst.", "Yes?"]


async def test_an_old_message_takes_only_so_many_edits(table: Table) -> None:
    path = f"/channels/{table.channel.id}/messages"
    message = (await table.api("POST", path, {"content": "0"})).json["id"]
    table.clock.advance(3601)
    replies = [
        await table.api("PATCH", f"{path}/{message}", {"content": str(number)}) for number in range(31)
    ]
    assert [reply.status for reply in replies] == [200] * 30 + [429]
    assert replies[-1].code == 30046


async def test_people_are_bound_by_the_same_rules(table: Table) -> None:
    with pytest.raises(TableError, match="2000 or fewer"):
        await table.room.say(table.ann, table.channel, "x" * 2001)
    with pytest.raises(TableError, match="empty"):
        await table.room.say(table.ann, table.channel, " ")
    emoji = await table.room.say(table.ann, table.channel, "🎲" * 2000)
    assert len(emoji.content) == 2000


async def test_waiting_in_vain_says_what_there_was_instead(table: Table) -> None:
    start = table.room.cursor
    await table.room.say(table.ann, table.channel, "Hello?")
    with pytest.raises(TimeoutError, match="there was: MessageCreated"):
        await table.room.wait_for(lambda event: isinstance(event, MessageDeleted), timeout=0.01, since=start)
