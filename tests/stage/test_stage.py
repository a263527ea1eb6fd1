"""What players see when a persona speaks, thinks, fails and leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bot.rehearsal.events import TypingStarted
from bot.rehearsal.messages import SUPPRESS_EMBEDS
from bot.rehearsal.permissions import Permission
from bot.scene.ports import Place, Speaker
from bot.stage.refusals import StageError
from bot.stage.stage import DiscordStage

if TYPE_CHECKING:
    from tests.stage.conftest import Table

POST_BY_WEBHOOK = "/webhooks/{webhook_id}/{webhook_token}"
OWN_MESSAGES = "/channels/{channel_id}/messages"
WEBHOOKS = "/channels/{channel_id}/webhooks"


async def test_an_answer_stands_under_the_personas_name_and_face(table: Table, marta: Speaker) -> None:
    ids = await table.say(marta, "Who goes there?")
    [message] = table.messages()
    assert (message.author_name, message.content) == ("Marta", "Who goes there?")
    assert message.author.avatar is not None
    assert ids == (message.id,) == tuple(table.posted)


async def test_a_persona_without_a_local_picture_wears_the_one_at_its_address(table: Table) -> None:
    await table.say(Speaker("bard", "Lio", avatar_url="https://example.com/lio.png"), "A song!")
    assert table.messages()[0].avatar_url == "https://example.com/lio.png"


@pytest.mark.parametrize("name", ["Bonnie and Clyde", "Discordia", "everyone", "x" * 100, "\u200b"])
async def test_no_name_of_a_persona_is_refused(table: Table, name: str) -> None:
    await table.say(Speaker("odd", name), "Hello.")
    assert len(table.messages()) == 1
    assert table.messages()[0].webhook_id is not None


@pytest.mark.parametrize("webhooks", [True, False])
async def test_nothing_a_model_writes_pings_anybody(table: Table, marta: Speaker, *, webhooks: bool) -> None:
    if not webhooks:
        table.channel.deny(table.application, Permission.MANAGE_WEBHOOKS)
    table.channel.allow(table.application, Permission.MENTION_EVERYONE)
    utterance = table.speak(marta)
    utterance.write(f"@everyone @here <@{table.ann.id}>! ")
    await table.seen(table.messages)
    await utterance.finish(f"@everyone @here <@{table.ann.id}>! All of you! @everyone")
    [message] = table.messages()
    assert message.edited_count > 0
    assert "@everyone" in message.content
    assert not message.mention_everyone
    assert not message.mentions
    writing = [
        each for each in table.room.requests if each.method in {"POST", "PATCH"} and "content" in each.json
    ]
    assert all(each.json["allowed_mentions"] == {"parse": []} for each in writing)


async def test_an_address_is_shown_as_code_and_previews_nothing(table: Table, marta: Speaker) -> None:
    await table.say(marta, "See [the map](https://evil.example/?q=secret).")
    [message] = table.messages()
    assert message.content == "See [the map](`https://evil.example/?q=secret`)."
    assert message.flags & SUPPRESS_EMBEDS


async def test_an_allowed_domain_stays_a_link(table: Table, marta: Speaker) -> None:
    stage = DiscordStage(table.client, table.clock, ["wikipedia.org"])
    table.stage, before = stage, table.stage
    await table.say(marta, "See https://en.wikipedia.org/wiki/Bell.")
    table.stage = before
    await stage.close()
    [message] = table.messages()
    assert message.content == "See https://en.wikipedia.org/wiki/Bell."
    assert not message.flags & SUPPRESS_EMBEDS


async def test_in_a_thread_the_parents_webhook_speaks(table: Table, marta: Speaker) -> None:
    thread = await table.room.open_thread(table.ann, table.channel, "The cellar")
    place = Place(table.guild.id, thread.id, table.channel.id)
    utterance = table.speak(marta, place=place)
    utterance.write("Down here. ")
    await table.seen(lambda: table.shown(thread)[-1:] == [("Marta", "Down here.")])
    await utterance.finish("Down here. Mind the step.")
    assert table.shown(thread)[-1] == ("Marta", "Down here. Mind the step.")
    assert table.webhooks() == ["Hearthside: marta"]
    await table.speak(marta, place=place, posted=(table.messages(thread)[-1].id,)).finish("")
    assert ("Marta", "Down here. Mind the step.") not in table.shown(thread)


async def test_in_direct_messages_the_bot_speaks_for_the_persona(table: Table, marta: Speaker) -> None:
    channel = table.room.dm(table.ann, table.application)
    await table.say(marta, "Psst.", place=Place(None, channel.id))
    assert table.shown(channel) == [("Hearthside", "**Marta**\nPsst.")]


async def test_a_notice_is_the_bots_own_and_said_once_for_one_key(table: Table) -> None:
    first = await table.stage.notice(table.place, "The scene begins.", key="start")
    again = await table.stage.notice(table.place, "The scene begins.", key="start")
    assert first == again == table.messages()[0].id
    assert table.shown() == [("Hearthside", "The scene begins.")]


async def test_a_long_notice_takes_several_messages(table: Table) -> None:
    first = await table.stage.notice(table.place, "So far they have walked. " * 100)
    assert table.messages()[0].id == first
    assert len(table.messages()) == 2


async def test_a_notice_where_the_bot_may_not_write_is_none(table: Table) -> None:
    table.channel.deny(table.application, Permission.SEND_MESSAGES)
    assert await table.stage.notice(table.place, "Hello?") is None


async def test_a_notice_survives_a_broken_connection_and_stands_once(table: Table) -> None:
    table.room.fail_next("POST", OWN_MESSAGES, after_effect=True)
    table.room.fail_next("POST", OWN_MESSAGES, status=503)
    assert await table.stage.notice(table.place, "The scene begins.") == table.messages()[0].id
    assert len(table.messages()) == 1


async def test_typing_shows_while_the_model_thinks_and_again_before_it_fades(table: Table) -> None:
    table.clock.hurried = False
    async with table.stage.thinking(table.place):
        await table.room.wait_for(lambda event: isinstance(event, TypingStarted), since=0)
        await table.clock.somebody_waits()
        cursor = table.room.cursor
        table.clock.advance(8)
        await table.room.wait_for(lambda event: isinstance(event, TypingStarted), since=cursor)
    assert len(table.requests("POST", "/typing")) == 2


async def test_a_refused_typing_signal_disturbs_nothing(table: Table) -> None:
    table.channel.deny(table.application, Permission.SEND_MESSAGES)
    async with table.stage.thinking(table.place):
        await table.asked("POST", "/typing")
    assert len(table.requests("POST", "/typing")) == 1


async def test_a_called_off_answer_is_taken_back(table: Table, marta: Speaker) -> None:
    utterance = table.speak(marta)
    utterance.write("The door opens. " * 200)
    await table.seen(lambda: len(table.messages()) >= 2)
    await utterance.retract()
    assert table.messages() == []


async def test_nothing_is_written_after_an_answer_was_taken_back(table: Table, marta: Speaker) -> None:
    utterance = table.speak(marta)
    await utterance.retract()
    utterance.write("Too late. ")
    assert await utterance.finish("Too late.") == ()
    assert table.messages() == []


async def test_what_an_interrupted_run_left_behind_is_found(table: Table, marta: Speaker) -> None:
    start = await table.room.say(table.ann, table.channel, "Marta?")
    ids = await table.say(marta, "Marta speaks. " * 200)
    await table.say(Speaker("rival", "Vex"), "Ha!", key="turn-2")
    await table.room.say(table.ann, table.channel, "**Marta**\nis what I say too")
    stage = table.new_stage()
    assert await stage.orphans(table.place, marta, after=start.id, known=ids[:1]) == list(ids[1:])
    assert await stage.orphans(table.place, marta, after=ids[-1], known=()) == []
    await stage.close()


async def test_what_the_bot_left_behind_in_its_own_messages_is_found(table: Table, marta: Speaker) -> None:
    table.channel.deny(table.application, Permission.MANAGE_WEBHOOKS)
    start = await table.room.say(table.ann, table.channel, "Marta?")
    ids = await table.say(marta, "Marta speaks. " * 200)
    await table.stage.notice(table.place, "The model is slow today.")
    assert await table.stage.orphans(table.place, marta, after=start.id, known=()) == list(ids)
    assert len(ids) == 2


async def test_where_the_bot_may_not_read_nothing_is_found(table: Table, marta: Speaker) -> None:
    await table.say(marta, "Hello.")
    table.channel.deny(table.application, Permission.VIEW_CHANNEL)
    assert await table.stage.orphans(table.place, marta, after=0, known=()) == []


@pytest.mark.parametrize("thread", [True, False])
async def test_a_missing_permission_is_named(table: Table, marta: Speaker, *, thread: bool) -> None:
    place, permission, name = table.place, Permission.SEND_MESSAGES, '"Send Messages"'
    if thread:
        opened = await table.room.open_thread(table.ann, table.channel, "The cellar")
        place = Place(table.guild.id, opened.id, table.channel.id)
        permission, name = Permission.SEND_MESSAGES_IN_THREADS, '"Send Messages in Threads"'
    table.channel.deny(table.application, permission)
    table.channel.deny(table.application, Permission.MANAGE_WEBHOOKS)
    with pytest.raises(StageError, match=name):
        await table.say(marta, "Hello.", place=place)


async def test_what_the_gateway_knows_to_be_missing_is_named(connected_table: Table, marta: Speaker) -> None:
    table = connected_table
    table.channel.deny(table.application, Permission.SEND_MESSAGES | Permission.MANAGE_WEBHOOKS)
    await table.known(table.channel, send_messages=False)
    with pytest.raises(StageError, match='"Send Messages"'):
        await table.say(marta, "Hello.")
    assert not table.requests("GET", WEBHOOKS)


async def test_a_channel_that_is_gone_is_said_to_be_gone(table: Table, marta: Speaker) -> None:
    table.channel.delete()
    with pytest.raises(StageError, match="is gone"):
        await table.say(marta, "Hello.")
