"""When the bot, Discord or the model goes away in the middle of things: nothing lost, nothing twice."""

from __future__ import annotations

import asyncio

from tests.acceptance.tabletop import Tabletop
from tests.fakes.model_server import TEXT, Answer, ScriptedModelServer


async def test_an_answer_that_was_cut_short_by_a_crash_is_finished_in_its_own_message(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    more = asyncio.Event()
    async with table.bot(model.url):
        await table.start_scene()
        model.script.append(Answer("The door is open. Behind it, dark.", gate=more, gate_after=4))
        said = await table.says(table.ann, "I open the door.")
        half = await table.begins("The door is open.", since=said.cursor)
        await table.kill()
    more.set()

    async with table.bot(model.url):
        whole = await table.shows(TEXT, since=said.cursor)
        await table.at_rest()
    assert whole.id == half.id
    assert [name for name, _ in table.spoken()].count("The Narrator") == 2  # the opening and one answer


async def test_what_was_said_while_the_bot_was_away_is_heard_when_it_comes_back(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    async with table.bot(model.url):
        await table.start_scene()
    missed = await table.says(table.ann, "Is anybody there?")
    await table.says(table.bob, "I knock three times.")

    async with table.bot(model.url):
        await table.shows(TEXT, since=missed.cursor)
        await table.at_rest()
        assert table.stored() == ["Is anybody there?", "I knock three times."]
        assert len(model.chats) == 1

    async with table.bot(model.url):
        said = await table.says(table.ann, "Good.")
        await table.shows(TEXT, since=said.cursor)
        await table.at_rest()
    assert table.stored() == ["Is anybody there?", "I knock three times.", "Good."]
    assert len(model.chats) == 2


async def test_events_that_discord_sends_again_are_answered_once(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    async with table.bot(model.url):
        await table.start_scene()
        await table.room.drop_gateway(resumable=True)
        said = await table.says(table.ann, "Hello?")
        await table.shows(TEXT, since=said.cursor)
        await table.at_rest()
        await table.room.drop_gateway(resumable=False)
        missed = await table.says(table.bob, "Still there?")
        await table.shows(TEXT, since=missed.cursor)
        await table.at_rest()
    assert table.stored() == ["Hello?", "Still there?"]
    assert len(model.chats) == 2


async def test_an_edited_message_changes_the_story_and_a_deleted_one_leaves_it(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    async with table.bot(model.url):
        await table.start_scene()
        slip = await table.says(table.ann, "I open the dor.")
        answer = await table.shows(TEXT, since=slip.cursor)
        await table.at_rest()
        await table.room.edit(slip, "I open the door.")
        await table.until(lambda: table.stored() == ["I open the door."])
        await table.room.delete(answer)
        await table.until(lambda: not table.query("SELECT 1 FROM entries WHERE kind = 'answer'"))
        said = await table.says(table.bob, "I follow her.")
        await table.shows(TEXT, since=said.cursor)
        await table.at_rest()

    prompt = model.chats[-1].body["messages"]
    assert [message["role"] for message in prompt] == ["system", "user", "assistant", "user"]
    assert "Ann: I open the door.\nBob: I follow her." in prompt[-1]["content"]
    assert "dor." not in str(prompt)


async def test_what_is_changed_after_the_scene_has_ended_is_changed_in_its_story(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    async with table.bot(model.url):
        await table.start_scene()
        lines = ("The key lies in the well.", "The map lies in the attic.", "I light the lantern.")
        said = [await table.says(table.ann, line) for line in lines]
        await table.until(lambda: len(table.stored()) == len(lines))
        await table.at_rest()
        await table.command("scene end")
        await table.room.delete(said[0])
        await table.until(lambda: "well" not in str(table.stored()))

        await table.command("scene start", {"title": "Another evening"})
        await table.room.edit(said[1], "The map lies in the cellar.")
        await table.until(lambda: "attic" not in str(table.stored()))
        await table.command("scene end")

        await table.room.edit(said[2], "// out of character after all")
        await table.until(lambda: "lantern" not in str(table.stored()))
    assert table.stored() == ["The map lies in the cellar."]
    assert not table.query("SELECT 1 FROM entries WHERE text LIKE '%well%' OR text LIKE '%lantern%'")


async def test_ending_a_scene_stops_the_answer_and_takes_it_back(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    never = asyncio.Event()
    async with table.bot(model.url):
        await table.start_scene()
        model.script.append(Answer("I begin. And then", gate=never, gate_after=2))
        said = await table.says(table.ann, "Tell us everything.")
        await table.begins("I begin.", since=said.cursor)
        await table.command("scene end")
        await asyncio.wait_for(model.chats[-1].gone.wait(), 10)
        assert all(not text.startswith("I begin.") for _, text in table.spoken())
        assert not table.guild_webhooks()


async def test_what_a_crash_left_unnoted_belongs_to_the_answer_that_takes_it_over(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    """The message stands, but the bot dies before Discord has told it so. It is deleted with its answer."""
    more = asyncio.Event()
    async with table.bot(model.url):
        await table.start_scene()
        model.script.append(Answer("The door is open. Behind it, dark.", gate=more, gate_after=4))
        table.room.fail_next("POST", "/webhooks/{webhook_id}", after_effect=True)
        said = await table.says(table.ann, "I open the door.")
        half = await table.begins("The door is open.", since=said.cursor)
        await table.kill()
    more.set()
    assert not table.query("SELECT 1 FROM messages WHERE message_id = ?", half.id)

    async with table.bot(model.url):
        whole = await table.shows(TEXT, since=said.cursor)
        await table.at_rest()
        assert whole.id == half.id
        await table.room.delete(whole)
        await table.until(lambda: not table.query("SELECT 1 FROM entries WHERE kind = 'answer'"))


async def test_what_is_said_while_the_missed_is_read_in_comes_after_it(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    """So does what is deleted then; and who speaks is called as at the table, not as in the history."""
    fay = table.guild.add_member("Fay", nick="Quickfoot")
    async with table.bot(model.url):
        await table.start_scene()
    missed = await table.says(table.ann, "Is anybody there?")
    lost = await table.says(table.bob, "Forget what I said.")

    async with table.bot(model.url):
        await table.says(fay, "I am.")
        await table.room.delete(lost)
        await table.shows(TEXT, since=missed.cursor)
        await table.until(lambda: len(table.stored()) == 2)
        await table.at_rest()
    assert table.stored() == ["Is anybody there?", "I am."]
    assert table.query("SELECT speaker FROM entries WHERE text = 'I am.'") == [("Quickfoot",)]


async def test_what_is_deleted_before_its_turn_has_come_is_not_answered(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    more = asyncio.Event()
    async with table.bot(model.url):
        await table.start_scene()
        model.script.append(Answer(gate=more, gate_after=4))
        said = await table.says(table.ann, "I open the door.")
        await model.wait_for_chats(1)
        slip = await table.says(table.bob, "Psst, what is for dinner?")
        await table.until(lambda: len(table.stored()) == 2)
        await table.room.delete(slip)
        await table.until(lambda: len(table.stored()) == 1)
        more.set()
        await table.shows(TEXT, since=said.cursor)
        await table.at_rest()
        await table.says(table.bob, "I follow her.")
        await table.until(lambda: len(table.stored()) == 2)
        await table.at_rest()
    asked = [chat.body["messages"][-1]["content"] for chat in model.answers]
    assert len(asked) == 2
    assert "I follow her." in asked[1]


async def test_an_answer_that_the_end_of_the_scene_takes_back_is_not_in_its_story(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    """It came whole and is stored, but the channel may not change again so soon to show the rest of it."""
    more = asyncio.Event()
    async with table.bot(model.url):
        await table.start_scene()
        model.script.append(Answer("The door is open. Behind it, dark.", gate=more, gate_after=4))
        said = await table.says(table.ann, "I open the door.")
        await table.begins("The door is open.", since=said.cursor)
        more.set()
        await table.until(lambda: bool(table.query("SELECT 1 FROM entries WHERE kind = 'answer'")))
        await table.command("scene end")
    assert all(not text.startswith("The door is open.") for _, text in table.spoken())
    assert not table.query("SELECT 1 FROM entries WHERE kind = 'answer'")
    assert table.stored() == ["I open the door."]


async def test_what_is_said_while_the_bot_stops_is_answered_after_its_next_start(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    """An answer is on its way to a channel that has to wait; it is not given again."""
    wait = {"message": "You are being rate limited.", "retry_after": 0.4, "global": False, "code": 0}
    async with table.bot(model.url) as bot:
        await table.start_scene()
        table.room.fail_next("POST", "/webhooks/{webhook_id}", status=429, json=wait)
        await table.says(table.ann, "I open the door.")
        await table.until(lambda: bool(table.query("SELECT 1 FROM entries WHERE kind = 'answer'")))
        stopped = asyncio.create_task(bot.stop(print))
        await asyncio.sleep(0)
        await table.says(table.bob, "I follow her.")
        await stopped
    assert "Traceback" not in table.log()

    async with table.bot(model.url):
        await table.until(lambda: len(table.stored()) == 2)
        await table.at_rest()
    assert table.stored() == ["I open the door.", "I follow her."]
    assert table.query("SELECT text FROM entries WHERE kind = 'answer'") == [(TEXT,)] * 2
    assert [text for _, text in table.spoken()].count(TEXT) == 2
    assert len(model.answers) == 2
