"""How an answer streams into the channel, and what stands there when something breaks."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import pytest

from bot.rehearsal.permissions import Permission
from bot.scene.ports import Place, Speaker
from bot.stage.refusals import StageError

if TYPE_CHECKING:
    from bot.rehearsal.messages import Message
    from tests.stage.conftest import Table

BY_WEBHOOK = "/webhooks/{webhook_id}/{webhook_token}"
BY_WEBHOOK_MESSAGE = "/webhooks/{webhook_id}/{webhook_token}/messages/{message_id}"
OWN_MESSAGES = "/channels/{channel_id}/messages"
LONG = "The bell tolls, and nobody answers. " * 120


def only(table: Table) -> Message:
    [message] = table.messages()
    return message


async def test_the_first_sentence_shows_while_the_model_still_writes(table: Table, marta: Speaker) -> None:
    table.clock.hurried = False
    utterance = table.speak(marta)
    utterance.write("Who goes")
    await table.clock.somebody_waits()
    assert table.messages() == []
    utterance.write("Who goes there? Sp")
    await table.seen(table.messages)
    assert only(table).content == "Who goes there? Sp"
    await utterance.retract()


async def test_a_slow_sentence_shows_after_a_moment(table: Table, marta: Speaker) -> None:
    table.clock.hurried = False
    utterance = table.speak(marta)
    utterance.write("Well")
    await table.clock.somebody_waits()
    table.clock.advance(1.1)
    utterance.write("Well, let me")
    await table.clock.somebody_waits()
    assert table.messages() == []
    table.clock.advance(0.1)
    await table.seen(table.messages)
    assert only(table).content == "Well, let me"
    await utterance.retract()


async def test_two_hundred_characters_show_without_a_sentence(table: Table, marta: Speaker) -> None:
    table.clock.hurried = False
    utterance = table.speak(marta)
    utterance.write("and then " * 25)
    await table.seen(table.messages)
    await utterance.retract()


async def test_edits_wait_for_their_time_and_show_only_the_newest_text(table: Table, marta: Speaker) -> None:
    table.clock.hurried = False
    utterance = table.speak(marta)
    utterance.write("One. ")
    await table.seen(table.messages)
    for text in ("One. Two. ", "One. Two. Three. ", "One. Two. Three. Four. "):
        utterance.write(text)
        await table.clock.somebody_waits()
    assert only(table).content == "One."
    table.clock.advance(1.2)
    await table.seen(lambda: only(table).edited_count)
    assert only(table).content == "One. Two. Three. Four."
    assert len(table.requests("PATCH", BY_WEBHOOK_MESSAGE)) == 1
    await utterance.retract()


async def test_two_who_speak_at_once_share_the_channels_pace(
    table: Table, marta: Speaker, oracle: Speaker
) -> None:
    table.clock.hurried = False
    first, second = table.speak(marta), table.speak(oracle, key="turn-2")
    first.write("One. ")
    second.write("Uno. ")
    await table.seen(lambda: len(table.messages()) == 2)
    finishing = [
        asyncio.create_task(first.finish("One. Two.")),
        asyncio.create_task(second.finish("Uno. Due.")),
    ]
    for edits in (1, 2):
        await table.clock.somebody_waits()
        assert len(table.requests("PATCH", BY_WEBHOOK_MESSAGE)) == edits - 1
        table.clock.advance(1.2)
        await table.seen(partial(table.was_edited, edits))
    await asyncio.gather(*finishing)
    assert sorted(content for _, content in table.shown()) == ["One. Two.", "Uno. Due."]


async def test_another_channel_does_not_wait(table: Table, marta: Speaker) -> None:
    table.clock.hurried = False
    elsewhere = table.guild.add_text_channel("elsewhere")
    here = table.speak(marta)
    here.write("One. ")
    await table.seen(table.messages)
    here.write("One. Two. ")
    await table.clock.somebody_waits()
    await table.say(marta, "Uno.", place=Place(table.guild.id, elsewhere.id), key="turn-2")
    assert table.shown(elsewhere) == [("Marta", "Uno.")]
    await here.retract()


async def test_a_long_answer_takes_several_messages_each_told_of_as_it_stands(
    table: Table, marta: Speaker
) -> None:
    utterance = table.speak(marta)
    for end in range(0, len(LONG), 400):
        utterance.write(LONG[:end])
        await asyncio.sleep(0)
    ids = await utterance.finish(LONG)
    assert ids == tuple(table.posted) == tuple(message.id for message in table.messages())
    assert " ".join(message.content for message in table.messages()) == LONG.strip()
    assert len(ids) == 3


async def test_an_answer_that_was_cut_back_leaves_no_surplus(table: Table, marta: Speaker) -> None:
    utterance = table.speak(marta)
    utterance.write(LONG)
    await table.seen(lambda: len(table.messages()) == 3)
    ids = await utterance.finish("The bell tolls.")
    assert table.shown() == [("Marta", "The bell tolls.")]
    assert ids == (only(table).id,)


async def test_an_empty_answer_leaves_nothing(table: Table, marta: Speaker) -> None:
    assert await table.say(marta, " \n") == ()
    utterance = table.speak(marta)
    utterance.write("Hm. ")
    await table.seen(table.messages)
    assert await utterance.finish("") == ()
    assert table.messages() == []


async def test_a_message_of_2000_emoji_is_shown_whole(table: Table, marta: Speaker) -> None:
    family = "👨\u200d👩\u200d👧\u200d👦"
    await table.say(marta, family * 2000)
    assert "".join(content for _, content in table.shown()) == family * 2000


# --- after a restart ---


@pytest.mark.parametrize("webhooks", [True, False])
async def test_what_an_interrupted_run_posted_is_written_over(
    table: Table, marta: Speaker, *, webhooks: bool
) -> None:
    if not webhooks:
        table.channel.deny(table.application, Permission.MANAGE_WEBHOOKS)
    before = await table.say(marta, LONG)
    table.posted.clear()
    table.stage = table.new_stage()
    ids = await table.say(marta, "The bell tolls. " + "Somebody answers. " * 120, posted=before)
    await table.stage.close()
    assert ids == before[:2] == tuple(message.id for message in table.messages())
    assert "Somebody answers." in table.messages()[0].content
    assert table.posted == []


async def test_what_was_posted_and_is_gone_is_posted_anew(table: Table, marta: Speaker) -> None:
    before = await table.say(marta, "The bell tolls.")
    await table.room.delete(only(table))
    ids = await table.say(marta, "The bell tolls.", posted=before)
    assert table.shown() == [("Marta", "The bell tolls.")]
    assert ids == (only(table).id,) != before


async def test_a_post_that_was_not_written_down_is_found_by_its_nonce(table: Table, marta: Speaker) -> None:
    table.channel.deny(table.application, Permission.MANAGE_WEBHOOKS)
    await table.say(marta, "The bell")
    table.stage = table.new_stage()
    ids = await table.say(marta, "The bell tolls.")
    await table.stage.close()
    assert table.shown() == [("Hearthside", "**Marta**\nThe bell tolls.")]
    assert ids == (only(table).id,)


# --- when Discord fails ---


@pytest.mark.parametrize("webhooks", [True, False])
@pytest.mark.parametrize("after_effect", [True, False])
async def test_a_broken_post_stands_once(
    table: Table, marta: Speaker, *, webhooks: bool, after_effect: bool
) -> None:
    if not webhooks:
        table.channel.deny(table.application, Permission.MANAGE_WEBHOOKS)
    await table.say(marta, "Hm.")
    table.room.fail_next("POST", BY_WEBHOOK if webhooks else OWN_MESSAGES, after_effect=after_effect)
    ids = await table.say(marta, "Hm.", key="turn-2")
    assert [message.id for message in table.messages()][1:] == list(ids)
    assert [content.removeprefix("**Marta**\n") for _, content in table.shown()] == ["Hm.", "Hm."]
    assert table.posted[-1:] == list(ids)


async def test_a_500_from_a_webhook_is_not_repeated_blindly(table: Table, marta: Speaker) -> None:
    await table.say(marta, "Hm.")
    table.room.fail_next("POST", BY_WEBHOOK, status=500)
    await table.say(marta, "Who goes there?", key="turn-2")
    assert [content for _, content in table.shown()] == ["Hm.", "Who goes there?"]
    assert table.requests("GET", OWN_MESSAGES)


async def test_a_failed_edit_in_between_does_not_spoil_the_answer(table: Table, marta: Speaker) -> None:
    utterance = table.speak(marta)
    utterance.write("One. ")
    await table.seen(table.messages)
    table.room.fail_next("PATCH", BY_WEBHOOK_MESSAGE, times=8)
    utterance.write("One. Two. ")
    await table.seen(lambda: only(table).edited_count)
    await utterance.finish("One. Two. Three.")
    assert only(table).content == "One. Two. Three."


async def test_if_discord_stays_away_the_answer_fails_with_advice(table: Table, marta: Speaker) -> None:
    table.room.fail_next("POST", BY_WEBHOOK, times=50)
    with pytest.raises(StageError, match="does not answer"):
        await table.say(marta, "Hello.")
    assert len(table.requests("POST", BY_WEBHOOK)) < 10


async def test_discord_that_is_away_when_the_webhook_is_looked_for_is_waited_for(
    table: Table, marta: Speaker
) -> None:
    table.room.fail_next("GET", "/channels/{channel_id}/webhooks", status=503)
    table.room.fail_next("POST", "/channels/{channel_id}/webhooks", after_effect=True)
    await table.say(marta, "Hello.")
    assert table.shown() == [("Marta", "Hello.")]
    assert table.webhooks() == ["Hearthside: marta"]


async def test_a_message_deleted_while_it_is_written_is_posted_anew_once(
    table: Table, marta: Speaker
) -> None:
    utterance = table.speak(marta)
    utterance.write("One. ")
    await table.seen(table.messages)
    await table.room.delete(only(table))
    utterance.write("One. Two. ")
    await table.seen(table.messages)
    assert only(table).content == "One. Two."
    await table.room.delete(only(table))
    with pytest.raises(StageError, match="is deleted"):
        await utterance.finish("One. Two. Three.")
    assert table.messages() == []


async def test_the_order_is_kept_when_an_early_message_is_deleted(table: Table, marta: Speaker) -> None:
    before = await table.say(marta, LONG)
    await table.room.delete(table.messages()[1])
    await table.say(marta, LONG, posted=before)
    assert " ".join(content for _, content in table.shown()) == LONG.strip()


async def test_a_message_too_old_for_edits_is_replaced(table: Table, marta: Speaker) -> None:
    before = await table.say(marta, "One.")
    table.room.fail_next(
        "PATCH", BY_WEBHOOK_MESSAGE, status=400, json={"code": 30046, "message": "Too many edits"}
    )
    ids = await table.say(marta, "One. Two.", posted=before)
    assert table.shown() == [("Marta", "One. Two.")]
    assert ids != before


async def test_an_answer_called_off_while_it_ends_can_be_taken_back(table: Table, marta: Speaker) -> None:
    table.clock.hurried = False
    utterance = table.speak(marta)
    utterance.write("One. ")
    await table.seen(table.messages)
    finishing = asyncio.create_task(utterance.finish("One. Two."))
    await table.clock.somebody_waits()
    finishing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await finishing
    await utterance.retract()
    assert table.messages() == []


async def test_a_post_under_way_is_never_forgotten(table: Table, marta: Speaker) -> None:
    """The message that was being posted when the answer was called off is told of and taken back."""
    for _ in range(5):
        table.posted.clear()
        utterance = table.speak(marta)
        utterance.write("One. ")
        await asyncio.sleep(0.002)
        await utterance.retract()
        assert table.messages() == []


async def test_a_failure_to_write_an_id_down_surfaces_at_the_end(table: Table, marta: Speaker) -> None:
    async def broken(_: int) -> None:
        raise OSError("disk full")

    utterance = table.stage.speak(table.place, marta, key="turn-1", posted=(), on_posted=broken)
    utterance.write("One. ")
    await table.seen(table.messages)
    with pytest.raises(OSError, match="disk full"):
        await utterance.finish("One. Two.")
    await utterance.retract()
    assert table.messages() == []


async def test_what_is_being_posted_when_the_bot_stops_is_still_told_of(table: Table, marta: Speaker) -> None:
    utterance = table.speak(marta)
    utterance.write("One. ")
    await table.asked("POST", BY_WEBHOOK)
    await table.stage.close()
    assert table.posted == [only(table).id]
