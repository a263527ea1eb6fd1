"""What players change and delete while the bot is away is changed and deleted when it comes back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from bot.rehearsal.permissions import Permission
from tests.acceptance.tabletop import Tabletop
from tests.acceptance.test_inside import Evening
from tests.acceptance.test_memory_commands import remember
from tests.acceptance.test_remembering import text
from tests.fakes.model_server import TEXT, Answer, ScriptedModelServer

if TYPE_CHECKING:
    from bot.rehearsal.messages import Message

KEY = "The brass key lies under the third stair."
MAP = "The map hangs behind the mirror."
REFUSED: dict[str, Any] = {"code": 50001, "message": "Missing Access"}


def entries(table: Tabletop, kind: str = "player") -> list[str]:
    return [said for (said,) in table.query("SELECT text FROM entries WHERE kind = ? ORDER BY seq", kind)]


def histories_read(table: Tabletop) -> int:
    return sum(
        (one.method, one.route) == ("GET", "/channels/{channel_id}/messages") for one in table.room.requests
    )


async def looked_back(table: Tabletop) -> None:
    """Wait until the bot has been told what stands in the channel."""
    before = histories_read(table)
    await table.until(lambda: histories_read(table) > before)


async def test_what_was_deleted_while_the_bot_was_away_is_nowhere_afterwards(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    evening = Evening(table, model)
    async with table.bot(model.url):
        await table.start_scene()
        key = (await evening.plays(table.ann, KEY)).said
        answer = (await evening.plays(table.bob, "I look around.")).shown
        assert "Remembered" in (await remember(table, key, table.ann)).content
    await table.room.delete(key)
    await table.room.delete(answer)

    async with table.bot(model.url):
        await table.until(lambda: table.stored() == ["I look around."])
        await table.until(lambda: len(entries(table, "answer")) == 1)
        played = await evening.plays(table.bob, "What do I see?")
    assert "brass" not in text(played.sent)
    assert answer.content not in text(played.sent)
    assert b"brass key" not in table.database.read_bytes()


async def test_what_was_edited_while_the_bot_was_away_is_told_as_it_reads_now(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    evening = Evening(table, model)
    async with table.bot(model.url):
        await table.start_scene()
        key, look, aside = [
            (await evening.plays(table.ann, line)).said for line in (KEY, "I look around.", MAP)
        ]
    await table.room.edit(key, f"{KEY} It is cold.")
    await table.room.edit(aside, "// never mind the map")

    async with table.bot(model.url):
        await table.until(lambda: table.stored() == [f"{KEY} It is cold.", look.content])
        played = await evening.plays(table.ann, "I take it.")
    assert f"Ann: {KEY} It is cold." in text(played.sent)
    assert "map" not in text(played.sent)


async def test_where_nothing_was_touched_the_prompt_goes_on_as_it_was(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    evening = Evening(table, model)
    fay = table.guild.add_member("Fay", nick="Quickfoot")  # the history does not tell what she is called here
    async with table.bot(model.url):
        await table.start_scene()
        slip = (await evening.plays(table.ann, f"<@{fay.id}>, I open the dor.")).said
        await table.room.edit(slip, f"<@{fay.id}>, I open the door.")
        await table.until(lambda: table.stored() == ["Quickfoot, I open the door."])
        await table.says(table.bob, "// a word among us")
        before = await evening.plays(table.bob, KEY)
        log = table.query("SELECT * FROM entries")

    for _ in range(2):
        read = histories_read(table)
        async with table.bot(model.url):
            await looked_back(table)
            after = await evening.plays(table.ann, "And now?")
        assert histories_read(table) == read + 1, "a short evening is read at once"
        assert text(after.sent).startswith(text(before.sent))
        before = after
    assert table.query("SELECT * FROM entries")[: len(log)] == log


async def test_who_may_not_read_what_members_write_does_not_take_it_for_emptied(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    evening = Evening(table, model)
    async with table.bot(model.url):
        await table.start_scene()
        slip = (await evening.plays(table.ann, "I open the dor.")).said
        await table.room.edit(slip, "I open the door.")
        await table.until(lambda: table.stored() == ["I open the door."])
    await table.room.edit(slip, "I open the door, slowly.")
    table.room.deny_intent_message_content = True
    table.application.message_content = False
    async with table.bot(model.url):
        await looked_back(table)
        await table.room.edit(slip, "I open the door, and look.")
        await table.command("scene status")
    assert table.stored() == ["I open the door."]


async def play_once(table: Tabletop, model: ScriptedModelServer) -> Message:
    """Have the bot come, hear of the key, answer and go."""
    async with table.bot(model.url):
        await table.start_scene()
        said = await table.says(table.ann, KEY)
        await table.shows(TEXT, since=said.cursor)
        await table.at_rest()
    return said


@pytest.mark.parametrize("why", ["may not read", "refused", "channel gone"])
async def test_where_the_history_cannot_be_read_nothing_is_taken_for_deleted(
    table: Tabletop, model: ScriptedModelServer, why: str
) -> None:
    said = await play_once(table, model)
    log = table.query("SELECT * FROM entries")
    if why == "may not read":
        table.campaign.deny(table.application, Permission.READ_MESSAGE_HISTORY)
    elif why == "refused":
        await table.room.delete(said)
        table.room.fail_next("GET", "/messages", status=403, json=REFUSED)
    else:
        table.campaign.delete()

    async with table.bot(model.url):
        await table.until(lambda: "history_unreadable" in table.log())
    assert table.log().count("history_unreadable") == 1
    assert table.query("SELECT * FROM entries") == log

    if why == "refused":
        async with table.bot(model.url):
            await table.until(lambda: not table.stored())


async def test_a_history_with_a_gap_that_is_none_deletes_nothing(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    await play_once(table, model)
    log = table.query("SELECT * FROM entries")
    empty: Any = []
    table.room.fail_next("GET", "/messages", status=200, json=empty)

    async with table.bot(model.url):
        await table.until(lambda: "history_incomplete" in table.log())
    assert table.query("SELECT * FROM entries") == log


async def test_an_answer_in_two_messages_goes_with_the_second_of_them(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    async with table.bot(model.url):
        await table.start_scene()
        steps = "".join(f"Step {number} down is worn and wet. " for number in range(1, 80))
        model.script.append(Answer(f"The stair winds. {steps}", chunk=4000))
        await table.says(table.ann, "I go down.")
        await table.until(lambda: bool(entries(table, "answer")))
        await table.at_rest()
        first, second = [one for one in table.room.messages(table.campaign) if "Step " in one.content]
    await table.room.delete(first)
    async with table.bot(model.url):
        await table.until(lambda: first.id not in known_messages(table))
        assert entries(table, "answer")
    await table.room.delete(second)
    async with table.bot(model.url):
        await table.until(lambda: not entries(table, "answer"))


def known_messages(table: Tabletop) -> list[int]:
    return [one for (one,) in table.query("SELECT message_id FROM messages")]


async def test_an_answer_that_was_cut_short_and_deleted_is_given_once_more(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    never = asyncio.Event()
    async with table.bot(model.url):
        await table.start_scene()
        model.script.append(Answer("The door is open. Behind it, dark.", gate=never, gate_after=4))
        said = await table.says(table.ann, "I open the door.")
        half = await table.begins("The door is open.", since=said.cursor)
        await table.kill()
    await table.room.delete(half)

    async with table.bot(model.url):
        await table.shows(TEXT, since=said.cursor)
        await table.at_rest()
    assert entries(table, "answer") == [TEXT]
    assert [shown for _, shown in table.spoken()].count(TEXT) == 1


async def test_what_is_deleted_while_a_session_is_lost_is_noticed_in_the_next_and_in_a_thread(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    async with table.bot(model.url):
        await table.start_scene()
        thread = await table.room.open_thread(table.ann, table.campaign, "The cellar")
        await table.start_scene(thread, title="The cellar")
        said = [
            await table.says(table.ann, KEY),
            await table.says(table.ann, MAP, channel=thread),
            await table.says(table.bob, "I light the lantern.", channel=thread),
        ]
        await table.until(lambda: len(table.stored()) == len(said))
        await table.at_rest()
        await table.room.drop_gateway(resumable=False)
        await table.room.delete(said[0])
        await table.room.delete(said[1])
        await table.until(lambda: table.stored() == ["I light the lantern."])


async def test_a_whisper_stays_though_it_is_not_in_the_channel(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    async with table.bot(model.url):
        await table.start_scene()
        await table.command("whisper", {"to": "narrator", "text": KEY})
        await table.at_rest()
        said = await table.says(table.ann, MAP)
        await table.shows(TEXT, since=said.cursor)
        await table.at_rest()
    whispered = table.query("SELECT text FROM entries WHERE audience IS NOT NULL")
    assert len(whispered) == 2
    await table.room.delete(said)
    async with table.bot(model.url):
        await table.until(lambda: MAP not in table.stored())
    assert table.query("SELECT text FROM entries WHERE audience IS NOT NULL") == whispered


async def test_who_spoke_while_the_bot_was_away_is_called_as_before(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    evening = Evening(table, model)
    fay = table.guild.add_member("Fay", nick="Quickfoot")
    async with table.bot(model.url):
        await table.start_scene()
        await evening.plays(fay, "I run ahead.")
    await table.says(fay, "I am there.")
    async with table.bot(model.url):
        await table.until(lambda: len(table.stored()) == 2)
        played = await evening.plays(table.ann, "Wait for me!")
    assert "Quickfoot: I am there." in text(played.sent)


async def test_what_was_missed_is_made_up_for_though_the_first_attempt_failed(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    """A message that is heard meanwhile does not stand for all that came before it."""
    async with table.bot(model.url):
        await table.start_scene(title="The Drowned Bell", mode="mention-only")
    missed = [f"Step {number} of the stair." for number in range(205)]
    for line in missed:
        await table.says(table.ann, line)
    table.room.fail_next("GET", "/messages", status=403, json=REFUSED)
    async with table.bot(model.url):
        await table.until(lambda: "history_unreadable" in table.log())
        await table.says(table.bob, "Where are you?")
        await table.until(lambda: table.stored() == ["Where are you?"])
        await table.room.drop_gateway(resumable=True)
        await table.until(lambda: len(table.stored()) == 1 + len(missed))
    assert table.stored() == ["Where are you?", *missed]
