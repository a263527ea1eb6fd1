"""Things that go wrong, each ending in a clear word to the one who can do something about it."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
from contextlib import closing

from bot.rehearsal.events import MessageCreated
from bot.rehearsal.permissions import Permission
from tests.acceptance.tabletop import PATIENCE, PROJECT, Tabletop
from tests.fakes.model_server import TEXT, Answer, Refusal, ScriptedModelServer, Stream
from tests.tiny_gguf import write_tiny_gguf


async def hearthside(*arguments: str, **environment: str) -> tuple[int, str]:
    """Run a command as an operator would, and give its exit code and all that it printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bot", *arguments,
        env={**os.environ, "DISCORD_TOKEN": "", **environment}, cwd=PROJECT,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode()


async def test_without_a_token_the_bot_says_in_three_lines_how_to_get_one() -> None:
    code, out = await hearthside("run")
    assert code == 2
    assert len(out.strip().splitlines()) == 3
    assert "https://discord.com/developers/applications" in out


async def test_a_token_that_discord_refuses(table: Tabletop) -> None:
    table.room.refuse_token = True
    code, out = await hearthside(
        "run", DISCORD_TOKEN=table.application.token, DISCORD_API_URL=table.api_url,
        DATABASE_URL=f"sqlite:///{table.database.as_posix()}",
    )  # fmt: skip
    assert code == 2
    assert "Discord refused the token." in out
    assert table.application.token not in out
    assert "Traceback" not in out


async def test_without_a_network_the_bot_says_so_and_ends(table: Tabletop) -> None:
    code, out = await hearthside(
        "run", DISCORD_TOKEN=table.application.token, DISCORD_API_URL="http://127.0.0.1:9",
        DATABASE_URL=f"sqlite:///{table.database.as_posix()}",
    )  # fmt: skip
    assert code == 2
    assert "Discord does not answer at http://127.0.0.1:9/api/v10 (ClientConnectorError). Check the" in out
    assert "Traceback" not in out


async def test_a_second_copy_of_the_bot_does_not_get_between_a_table_and_its_story(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    settings = {
        "DISCORD_TOKEN": table.application.token,
        "DISCORD_API_URL": table.api_url,
        "DATABASE_URL": f"sqlite:///{table.database.as_posix()}",
    }
    async with table.bot(model.url):
        await table.start_scene()
        code, out = await hearthside("run", **settings)
        assert code == 2
        assert f"Another copy of Hearthside is running with {table.database}. Stop that one first" in out
        said = await table.says(table.ann, "I knock.")
        await table.shows(TEXT, since=said.cursor)
        await table.at_rest()
        await table.kill()
    async with table.bot(model.url):
        assert table.stored() == ["I knock."]


async def test_a_database_of_a_newer_version_is_left_alone(table: Tabletop) -> None:
    with closing(sqlite3.connect(table.database)) as database:
        database.execute("CREATE TABLE alembic_version (version_num TEXT)")
        database.execute("INSERT INTO alembic_version VALUES ('9999')")
        database.commit()
    code, out = await hearthside(
        "run", DISCORD_TOKEN=table.application.token, DISCORD_API_URL=table.api_url,
        DATABASE_URL=f"sqlite:///{table.database.as_posix()}",
    )  # fmt: skip
    assert code == 2
    assert "newer version" in out
    assert "Traceback" not in out


async def test_without_the_message_content_intent_mentions_and_replies_still_work(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    table.application.message_content = False
    async with table.bot(model.url):
        opening = await table.start_scene()
        await table.says(table.ann, "Nobody hears this.")
        said = await table.says(table.bob, f"<@{table.application.user.id}> I knock.", reply_to=opening)
        await table.shows(TEXT, since=said.cursor)
        await table.at_rest()
    assert "The Message Content intent is off" in table.log()
    assert "Nobody hears this." not in str(model.chats[0].body)
    assert "I knock." in model.chats[0].body["messages"][-1]["content"]


async def test_without_manage_webhooks_the_bot_speaks_itself(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    table.campaign.deny(table.application, Permission.MANAGE_WEBHOOKS)
    async with table.bot(model.url):
        await table.command("scene start", {"title": "The Drowned Bell"})
        said = await table.says(table.ann, "I knock.")
        answer = await table.shows(f"**The Narrator**\n{TEXT}", since=said.cursor)
        assert answer.author.id == table.application.user.id
        await table.at_rest()


async def test_where_the_bot_may_not_write_a_scene_is_not_opened(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    table.campaign.deny(table.application, Permission.SEND_MESSAGES)
    table.campaign.deny(table.application, Permission.MANAGE_WEBHOOKS)
    async with table.bot(model.url):
        answer = await table.command("scene start", {"title": "The Drowned Bell"})
        assert answer.content.startswith("⚠")
        assert "Send Messages" in answer.content
        assert not table.query("SELECT 1 FROM scenes WHERE state != 'ended'")


async def test_a_model_that_fails_again_and_again_ends_the_turn_with_a_notice(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    async with table.bot(model.url, CPU_MODEL=str(table.folder / "nothing.gguf")):
        await table.start_scene()
        for trouble in (
            Refusal(502, "<html><body>Bad Gateway</body></html>", "text/html"),
            Stream(b'data: {"choices": [{"delta": {"content": "The door', broken=True),
            Refusal(503, '{"error": {"message": "Loading model"}}'),
        ):
            model.default = trouble
            said = await table.says(table.ann, "I open the door.")
            await table.begins("⚠", since=said.cursor)
            await table.at_rest()
        model.default = Answer()
    assert table.stored() == ["I open the door."] * 3
    assert "Traceback" not in table.log()


async def test_an_answer_without_a_word_is_asked_for_again_and_then_said(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    async with table.bot(model.url):
        await table.start_scene()
        model.script += [Answer(""), Answer("At last.")]
        said = await table.says(table.ann, "Hello?")
        await table.shows("At last.", since=said.cursor)
        await table.at_rest()
        model.default = Answer("")
        said = await table.says(table.ann, "Hello??")
        notice = await table.begins("⚠ The Narrator found no words.", since=said.cursor)
        assert "/scene next" in notice.content
        await table.at_rest()


async def test_an_answer_that_goes_round_in_circles_is_ended_and_the_server_let_go(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    """A small instruct model went on like this for its 200 tokens, and in every answer after that one."""
    never = asyncio.Event()
    circles = "The bell is a letter. You need a message." + " The story is just." * 9
    async with table.bot(model.url):
        await table.start_scene()
        model.script.append(Answer(circles, gate=never, gate_after=len(circles) // 8))
        said = await table.says(table.ann, "What is the matter with the bell?")
        once = "The bell is a letter. You need a message. The story is just."
        await table.shows(once, since=said.cursor)
        await asyncio.wait_for(model.chats[-1].gone.wait(), 10)
        await table.at_rest()
    assert table.query("SELECT text FROM entries WHERE kind = 'answer'") == [(once,)]


async def test_broken_characters_of_a_model_reach_nobody_as_an_error(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    async with table.bot(model.url):
        await table.start_scene()
        head = b'data: {"choices": [{"index": 0, "delta": {"content": "Rain. '
        end = b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
        tail = b'"}}]}\n\n' + end
        model.script.append(Stream(head + b"\xff\xfe" + tail))
        said = await table.says(table.ann, "I look up.")
        await table.begins("Rain.", since=said.cursor)
        await table.at_rest()


async def test_two_thousand_emoji_are_heard_and_two_thousand_more_are_answered(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    async with table.bot(model.url):
        await table.start_scene()
        model.script.append(Answer("🔔" * 2500))
        said = await table.says(table.ann, "🎲" * 2000)
        await table.shows("🔔" * 500, since=said.cursor)
        await table.at_rest()
    assert table.stored() == ["🎲" * 2000]
    assert all(len(text) <= 2000 for _, text in table.spoken())


async def test_nothing_a_model_says_pings_anybody(table: Tabletop, model: ScriptedModelServer) -> None:
    async with table.bot(model.url):
        await table.start_scene()
        model.script.append(Answer(f"@everyone and @here and <@{table.bob.id}>, run!"))
        said = await table.says(table.ann, "Shout!")
        shout = await table.begins("@everyone", since=said.cursor)
        await table.at_rest()
        assert not shout.mention_everyone
        assert not shout.mentions


async def test_when_no_server_answers_the_cpu_model_does_and_a_server_that_comes_back_takes_over(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    gguf = write_tiny_gguf(table.folder / "tiny.gguf")
    await model.stop()
    async with table.bot(model.url, CPU_MODEL=str(gguf)):
        await table.start_scene()
        said = await table.says(table.ann, "I open the door.")
        notice = await table.room.wait_for(
            lambda event: isinstance(event, MessageCreated) and "CPU model" in event.message.content,
            30, since=said.cursor,
        )  # fmt: skip
        await table.at_rest()
        assert isinstance(notice, MessageCreated)
        await table.says(table.ann, "And now?")
        await table.until(lambda: len(table.stored()) == 2)
        await table.at_rest()
        await model.start()
        await table.until(lambda: any(request.path == "/v1/models" for request in model.requests))
        async with asyncio.timeout(PATIENCE):
            while "scripted" not in (await table.command("model list")).content:
                pass  # it has been seen, but what it is has not been asked to the end
        said = await table.says(table.bob, "Is the big one back?")
        await table.shows(TEXT, since=said.cursor)
        await table.at_rest()
    announced = [text for _, text in table.spoken() if "Going on with" in text]
    assert len(announced) == 2


async def test_while_the_disk_is_full_nothing_is_lost_and_nothing_said_twice(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    """It fills up in mid-answer, and somebody speaks. With room again, the answer is given where it began."""
    more = asyncio.Event()
    async with table.bot(model.url):
        await table.start_scene()
        model.script.append(Answer("The door is open. Behind it, dark.", gate=more, gate_after=4))
        said = await table.says(table.ann, "I open the door.")
        half = await table.begins("The door is open.", since=said.cursor)
        await table.until(lambda: bool(table.query("SELECT 1 FROM messages WHERE message_id = ?", half.id)))
        with table.full_disk():
            await table.says(table.bob, "I follow her.")
            await table.until(lambda: "not_stored_yet" in table.log())
            more.set()
            await table.until(lambda: "attempts=2" in table.log())
        await table.until(lambda: len(table.stored()) == 2)
        await table.at_rest()
    assert table.stored() == ["I open the door.", "I follow her."]
    assert table.query("SELECT text FROM entries WHERE kind = 'answer'") == [(TEXT,)] * 2
    assert half.content == TEXT
    assert [text for _, text in table.spoken()].count(TEXT) == 2


async def test_the_bot_stops_when_asked_to_while_it_connects_anew(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    async with table.bot(model.url) as bot:
        before = {*table.room.gateway.connections}
        await table.room.invalidate_sessions()
        await table.until(lambda: bool({*table.room.gateway.connections} - before))
        await bot.stop(print)
        assert bot.exit_code == 0
    assert "Traceback" not in table.log()
