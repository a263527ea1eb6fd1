"""The first evening: a scene is opened, played, paused, and ended."""

from __future__ import annotations

from itertools import pairwise

from tests.acceptance.tabletop import Tabletop
from tests.fakes.model_server import TEXT, Answer, ScriptedModelServer


async def test_a_scene_is_opened_and_the_narrator_answers(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    async with table.bot(model.url):
        opening = await table.start_scene()
        assert opening.author_name == "The Narrator"
        assert opening.webhook_id
        said = await table.says(table.ann, "I open the door.")
        answer = await table.shows(TEXT, since=said.cursor)
        assert answer.author_name == "The Narrator"
        await table.at_rest()

    sent = model.chats[0].body["messages"]
    assert [message["role"] for message in sent] == ["system", "user", "assistant", "user"]
    assert "The scene: The Drowned Bell." in sent[0]["content"]
    assert sent[-1]["content"] == "Ann: I open the door.\n[The Narrator answers.]"


async def test_who_is_named_answers_and_who_is_replied_to(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    async with table.bot(model.url):
        await table.start_scene(title="At the inn", persona="narrator, marta, tobin")
        model.script += [Answer("Four coppers."), Answer("For you? Three."), Answer("Boots off.")]

        said = await table.says(table.ann, "Tobin, and you, Marta: what is a room?")
        tobin = await table.shows("Four coppers.", since=said.cursor)
        marta = await table.shows("For you? Three.", since=said.cursor)
        assert (tobin.author_name, marta.author_name) == ("Tobin Quill", "Marta")
        await table.at_rest()

        said = await table.says(table.bob, "And for me?", reply_to=marta)
        assert (await table.shows("Boots off.", since=said.cursor)).author_name == "Marta"
        await table.at_rest()


async def test_what_the_players_say_among_themselves_never_reaches_the_model(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    async with table.bot(model.url):
        await table.start_scene()
        await table.says(table.bob, "// pizza is here")
        await table.says(table.bob, "((one moment please))")
        said = await table.says(table.ann, "I wait. ((brb)) The rain is cold.")
        await table.shows(TEXT, since=said.cursor)
        await table.at_rest()

    everything = str([chat.body for chat in model.chats])
    assert len(model.chats) == 1
    assert "pizza" not in everything
    assert "brb" not in everything
    assert "The rain is cold." in everything


async def test_a_paused_scene_does_not_listen_and_an_ended_one_can_be_taken_up_again(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    async with table.bot(model.url):
        await table.start_scene()
        assert "paused" in (await table.command("scene pause")).content
        await table.says(table.ann, "Who wants tea?")
        assert "goes on" in (await table.command("scene resume")).content
        said = await table.says(table.ann, "I drink.")
        await table.shows(TEXT, since=said.cursor)
        await table.at_rest()
        assert "has ended" in (await table.command("scene end")).content
        assert "Nobody is playing here" in (await table.command("scene status")).content
        assert "goes on" in (await table.command("scene resume")).content
        said = await table.says(table.ann, "I come back.")
        await table.shows(TEXT, since=said.cursor)
        await table.at_rest()

    last = str(model.chats[-1].body["messages"])
    assert "Who wants tea?" not in last
    assert "I drink." in last


async def test_a_scene_can_play_in_a_thread_of_its_own(table: Tabletop, model: ScriptedModelServer) -> None:
    async with table.bot(model.url):
        since = table.room.cursor
        await table.command("scene start", {"title": "Below", "thread": True})
        event = await table.room.wait_for(table.in_character, since=since)
        thread = event.channel
        assert thread is not None
        assert thread is not table.campaign
        said = await table.says(table.ann, "I go down.", channel=thread)
        await table.shows(TEXT, since=said.cursor, channel=thread)
        await table.at_rest()


async def test_two_scenes_of_one_server_do_not_hear_each_other(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    async with table.bot(model.url):
        await table.start_scene(title="Above")
        await table.start_scene(table.tavern, title="Below", persona="marta")
        first = await table.says(table.ann, "I count the lanterns.")
        second = await table.says(table.bob, "I order soup.", channel=table.tavern)
        await table.shows(TEXT, since=first.cursor)
        await table.shows(TEXT, since=second.cursor, channel=table.tavern)
        await table.at_rest()

    prompts = [str(chat.body["messages"]) for chat in model.chats]
    assert sorted("soup" in prompt for prompt in prompts) == [False, True]
    assert all(("soup" in prompt) != ("lanterns" in prompt) for prompt in prompts)


async def test_the_prompt_only_grows(table: Tabletop, model: ScriptedModelServer) -> None:
    async with table.bot(model.url):
        await table.start_scene(persona="narrator, marta")
        for line in ("I knock.", "Marta, let us in!", "Thank you.", "Narrator, what do I see?"):
            said = await table.says(table.ann, line)
            await table.shows(TEXT, since=said.cursor)
            await table.at_rest()

    prompts = [chat.body["messages"] for chat in model.chats]
    for earlier, later in pairwise(prompts):
        assert later[: len(earlier)] == earlier
