"""What a game master and an operator decide: who plays, which model answers, whether all is well."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

from bot.doctor import as_text, examine
from bot.memory.embedding import NO_SOURCE, SAMPLE
from bot.rehearsal.command_forms import CHAT, MESSAGE_MENU
from bot.settings import Settings
from tests.acceptance.tabletop import Tabletop
from tests.acceptance.test_trouble import hearthside
from tests.fakes.embedding_server import EmbeddingServerFake
from tests.fakes.model_server import TEXT, Answer, Refusal, ScriptedModelServer


async def test_another_persona_and_another_model_take_over_and_stay_after_a_restart(table: Tabletop) -> None:
    async with ScriptedModelServer(models=("small", "large")) as model:
        async with table.bot(model.url):
            await table.start_scene()
            announced = await table.command("persona set", {"persona": "marta"})
            assert announced.content == "**Marta** leads the scene from the next turn on."
            announced = await table.command("model set", {"model": "large"})
            assert "**large** answers" in announced.content
            assert not announced.ephemeral
            said = await table.says(table.ann, "Good evening.")
            assert (await table.shows(TEXT, since=said.cursor)).author_name == "Marta"
            await table.at_rest()
        async with table.bot(model.url):
            said = await table.says(table.bob, "Good evening from me, too.")
            assert (await table.shows(TEXT, since=said.cursor)).author_name == "Marta"
            await table.at_rest()
            refused = await table.command("model set", {"model": "huge"})
            assert "No server offers a model called “huge”" in refused.content
            assert "small, large" in refused.content
    assert [chat.body["model"] for chat in model.chats] == ["large", "large"]


async def test_names_are_offered_while_they_are_typed(table: Tabletop, model: ScriptedModelServer) -> None:
    async with table.bot(model.url):
        ask = table.room.autocomplete
        offered = await ask(table.ann, table.campaign, "persona set", {"persona": "mar"}, focused="persona")
        assert offered == [("Marta", "marta")]
        offered = await ask(
            table.ann, table.campaign, "scene start", {"persona": "narrator, to"}, focused="persona"
        )
        assert offered == [("narrator, Tobin Quill", "narrator, tobin")]
        offered = await ask(table.ann, table.campaign, "model set", {"model": ""}, focused="model")
        assert ("scripted", "scripted") in offered


async def test_characters_come_and_go(table: Tabletop, model: ScriptedModelServer) -> None:
    async with table.bot(model.url):
        await table.start_scene()
        assert "joins" in (await table.command("scene add", {"persona": "Wren"})).content
        assert "already" in (await table.command("scene add", {"persona": "wren"})).content
        said = await table.says(table.ann, "Wren, sing for us!")
        assert (await table.shows(TEXT, since=said.cursor)).author_name == "Wren"
        await table.at_rest()
        status = (await table.command("scene status")).content
        assert "The Narrator (leads), Wren" in status
        assert "Players: Ann." in status
        assert "leaves" in (await table.command("scene remove", {"persona": "wren"})).content
        assert "the only one" in (await table.command("scene remove", {"persona": "narrator"})).content
        assert "Wren, sing for us!" in (await table.command("scene recap")).content
    assert "[Wren is here now.]" in model.chats[0].body["messages"][-1]["content"]


async def test_a_character_whose_file_is_gone_can_be_sent_away(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    folder = table.folder / "personas"
    folder.mkdir()
    for name in ("Oda", "Piet"):
        (folder / f"{name.lower()}.toml").write_text(f'name = "{name}"\ngreeting = "Well?"\n')

    async def offered(command: str) -> list[tuple[str, str | int | float]]:
        asked = table.room.autocomplete(
            table.ann, table.campaign, command, {"persona": ""}, focused="persona"
        )
        return list(await asked)

    async with table.bot(model.url, PERSONAS_DIR=str(folder)):
        await table.start_scene(title="Low tide", persona="oda, piet")
    (folder / "piet.toml").unlink()
    async with table.bot(model.url, PERSONAS_DIR=str(folder)):
        assert await offered("scene next") == [("Oda", "oda")]
        assert await offered("scene remove") == [("Oda", "oda"), ("piet", "piet")]
        assert "**piet** leaves" in (await table.command("scene remove", {"persona": "piet"})).content
        assert await offered("scene remove") == [("Oda", "oda")]


async def test_help_names_every_command_and_every_menu(table: Tabletop, model: ScriptedModelServer) -> None:
    async with table.bot(model.url):
        [embed] = (await table.command("help")).embeds
    told = "\n".join(field["value"] for field in embed["fields"])
    named = set(re.findall(r"`([^`]+)`", told))
    registered = table.application.commands(None)
    assert {one.name for one in registered if one.type == MESSAGE_MENU} == {
        "Remember this",
        "Why this answer?",
    }
    assert {f"/{one.name}" if one.type == CHAT else one.name for one in registered} == {
        name.split()[0] if name.startswith("/") else name for name in named
    }


async def test_only_the_starter_and_moderators_may_direct(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    async with table.bot(model.url):
        await table.start_scene()
        refused = await table.command("scene end", who=table.bob)
        assert refused.content.startswith("⚠ Only <@")
        assert refused.ephemeral
        assert "Manage Server" in (await table.command("persona reload", who=table.bob)).content


async def test_one_who_is_asked_speaks_without_being_spoken_to(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    async with table.bot(model.url):
        await table.start_scene(title="Quiet", mode="manual")
        await table.says(table.ann, "Narrator? Anybody?")
        since = table.room.cursor
        await table.command("scene next")
        await table.shows(TEXT, since=since)
        await table.at_rest()
        assert len(model.chats) == 1


async def test_a_player_who_waits_sees_it(table: Tabletop, model: ScriptedModelServer) -> None:
    gate = asyncio.Event()
    async with table.bot(model.url, PARALLEL_ANSWERS="1"):
        await table.start_scene()
        await table.start_scene(table.tavern, title="Below", persona="marta")
        model.script.append(Answer("The narrator takes a while.", gate=gate))
        said = await table.says(table.ann, "I open the door.")
        await asyncio.wait_for(model.wait_for_chats(1), 20)
        second = await table.says(table.bob, "Soup, please.", channel=table.tavern)
        await table.shows("*(Marta waits for the model: 1 ahead)*", since=second.cursor, channel=table.tavern)
        gate.set()
        await table.shows("The narrator takes a while.", since=said.cursor)
        await table.shows(TEXT, since=second.cursor, channel=table.tavern)
        await table.at_rest()


async def test_a_prompt_that_a_server_finds_too_long_is_cut_and_sent_again(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    error = {"type": "exceed_context_size_error", "n_prompt_tokens": 3000, "n_ctx": 2048}
    too_long = Refusal(400, json.dumps({"error": {"code": 400, "message": "too long", **error}}))
    async with table.bot(model.url):
        await table.start_scene()
        for number in range(6):
            said = await table.says(table.ann, f"Verse {number}: " + "and the rain came down " * 60)
            await table.shows(TEXT, since=said.cursor)
            await table.at_rest()
        model.script.append(too_long)
        said = await table.says(table.ann, "What was the last verse?")
        await table.shows(TEXT, since=said.cursor)
        await table.at_rest()
        model.default = too_long
        said = await table.says(table.ann, "And before that?")
        await table.begins("⚠ The prompt", since=said.cursor)
        await table.at_rest()
    sizes = [len(str(chat.body["messages"])) for chat in model.answers]
    assert sizes[7] < sizes[6]


async def test_the_doctor_finds_everything_well_and_says_what_is_not(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    well = {
        "DISCORD_TOKEN": table.application.token,
        "DISCORD_API_URL": table.api_url,
        "DATABASE_URL": f"sqlite:///{table.database.as_posix()}",
        "MODEL_URLS": model.url,
    }
    code, out = await hearthside("doctor", "--json", **well)
    report = json.loads(out)
    assert code == 0, out
    names = [check["name"] for check in report["checks"]]
    assert names == ["token", "intents", "permissions", "database", "model", "embedding", "personas"]
    assert report["checks"][5]["detail"] == NO_SOURCE

    (table.folder / "personas").mkdir()
    (table.folder / "personas" / "grub.toml").write_text('name = "Grub"\nvoise = "low"\n')
    table.application.message_content = False
    table.guild.set_permissions(table.application, 1 << 10)
    code, out = await hearthside("doctor", **well, PERSONAS_DIR=str(table.folder / "personas"))
    assert code == 1
    assert "Message Content is off" in out
    assert "The Table lacks Manage Webhooks" in out
    assert "grub.toml, line 2" in out
    assert "Did you mean 'voice'?" in out


async def test_the_doctor_is_not_content_with_the_cpu_model_where_a_server_is_meant_to_answer(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    away = Settings(
        discord_api_url=table.api_url,
        database_url=f"sqlite:///{table.database.as_posix()}",
        model_urls=(model.url,),
    )
    await model.stop()
    [line] = [line for line in as_text(await examine(away)).splitlines() if " model: " in line]
    assert line.startswith("✗ model: The bundled CPU model answers. ✗ The model server at 127.0.0.1")
    assert "connection refused; is it running?" in line


async def test_the_doctor_says_where_no_database_can_be_made(table: Tabletop) -> None:
    (table.folder / "notes.txt").write_text("a file, and no folder")
    away = Settings(
        discord_api_url=table.api_url, database_url=f"sqlite:///{(table.folder / 'notes.txt/x').as_posix()}"
    )
    [line] = [line for line in as_text(await examine(away)).splitlines() if " database: " in line]
    assert line.startswith("✗ database: ")
    assert "point DATABASE_URL elsewhere" in line


async def test_the_doctor_tries_the_embedding_model(table: Tabletop, model: ScriptedModelServer) -> None:
    async def found(**chosen: Any) -> str:
        settings = Settings(
            discord_api_url=table.api_url,
            database_url=f"sqlite:///{table.database.as_posix()}",
            model_urls=(model.url,),
            **chosen,
        )
        lines = as_text(await examine(settings)).splitlines()
        assert "sesame" not in str(lines), "a key is not printed"
        return next(line for line in lines if "embedding:" in line)

    async with EmbeddingServerFake("all-minilm", dimensions=384, api_key="sesame") as server:
        works = await found(embedding_url=server.url, embedding_api_key="sesame")
        assert server.texts == [SAMPLE]
        refused = await found(embedding_url=server.url)
    silent = await found(embedding_url=server.url)
    missing = await found(embedding_gguf=table.folder / "nowhere.gguf")

    assert works.startswith("✓ embedding: all-minilm at 127.0.0.1")
    assert works.endswith("gives vectors of 384 numbers.")
    assert refused.startswith("✗ embedding: ")
    assert "Set EMBEDDING_API_KEY to the key it expects." in refused
    assert silent.startswith("✗ embedding: ")
    assert "Check that EMBEDDING_URL has the address" in silent
    assert missing.startswith("✗ embedding: ")
    assert "nowhere.gguf" in missing


async def test_the_invite_link_is_printed_alone(table: Tabletop) -> None:
    code, out = await hearthside(
        "invite", DISCORD_TOKEN=table.application.token, DISCORD_API_URL=table.api_url
    )
    assert code == 0
    assert out.strip() == (
        f"https://discord.com/oauth2/authorize?client_id={table.application.id}"
        "&scope=bot+applications.commands&permissions=309774634048"
    )


async def test_of_two_who_command_the_same_at_once_one_is_told_that_it_is_done(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    async def twice(name: str, **options: str) -> list[str]:
        both = [table.command(name, options, who=who) for who in (table.ann, table.ann)]
        return sorted(answer.content for answer in await asyncio.gather(*both))

    async with table.bot(model.url):
        begun, refused = await twice("scene start", title="The Drowned Bell")
        assert begun.startswith("## The Drowned Bell")
        assert "already playing here" in refused
        joins, refused = await twice("scene add", persona="marta")
        assert "joins" in joins
        assert "in this scene already" in refused
        await table.command("scene end")
        goes_on, refused = await twice("scene resume")
        assert "goes on" in goes_on
        assert "not paused" in refused
        said = await table.says(table.ann, "Narrator, what do I see?")
        await table.shows(TEXT, since=said.cursor)
        await table.at_rest()
    assert len(table.query("SELECT 1 FROM scenes")) == 1
    assert len(model.answers) == 1


async def test_who_is_sent_away_in_mid_sentence_finishes_it_in_the_same_message(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    more = asyncio.Event()
    async with table.bot(model.url):
        await table.start_scene()
        model.script.append(Answer("The door is open. Behind it, dark.", gate=more, gate_after=4))
        said = await table.says(table.ann, "I open the door.")
        half = await table.begins("The door is open.", since=said.cursor)
        await table.command("persona set", {"persona": "marta"})
        more.set()
        await table.shows("The door is open. Behind it, dark.", since=said.cursor)
        await table.at_rest()
        assert half.content == "The door is open. Behind it, dark."
        assert [name for name, _ in table.spoken()].count("The Narrator") == 2  # the opening and the answer
        await table.command("scene end")
        assert not table.guild_webhooks()
