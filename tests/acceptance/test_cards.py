"""Players bring their own characters: as cards, or written in a form."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from bot.invite import PERMISSIONS
from bot.rehearsal.message_forms import Upload
from tests.acceptance.tabletop import PATIENCE, Tabletop
from tests.fakes.model_server import TEXT, ScriptedModelServer
from tests.persona.cards import V1, V2, V3, as_json, as_png, as_zip, header, text_chunk

if TYPE_CHECKING:
    from bot.rehearsal.guilds import Member
    from bot.rehearsal.interactions import Interaction
    from bot.rehearsal.messages import Message

CARD_PNG = as_png(text_chunk(b"chara", V2))


async def bring(table: Tabletop, data: bytes, name: str = "oda.png", **options: Any) -> Message:
    return await table.command("persona import", {"card": Upload(name, data), **options})


async def form(
    table: Tabletop, command: str, options: dict[str, Any] | None = None, who: Member | None = None
) -> Interaction:
    call = await table.room.command(who or table.ann, table.campaign, command, options or {})
    await call.responded(PATIENCE)
    assert call.modal, call.responses[0].content
    return call


async def send(table: Tabletop, opened: Interaction, answers: int = 1, **values: str) -> list[Message]:
    sent = await table.room.submit(table.ann, opened, values)
    await sent.answered(PATIENCE)
    if len(sent.responses) < answers:
        await table.room.wait_for(lambda _: len(sent.responses) >= answers, PATIENCE, since=sent.cursor)
    return sent.responses


def avatars(table: Tabletop) -> list[str]:
    """Give the pictures that the bot has put on webhooks, in base64."""
    bodies = [each.json for each in table.room.requests if each.route == "/channels/{channel_id}/webhooks"]
    return [body["avatar"].partition(",")[2] for body in bodies if body]


def exported(message: Message) -> bytes:
    (file,) = message.attachments
    return file.data


async def test_a_card_is_brought_played_and_taken_along(table: Tabletop, model: ScriptedModelServer) -> None:
    async with table.bot(model.url):
        answer = await bring(table, CARD_PNG)
        (shown,) = answer.embeds
        assert shown["title"] == "Oda"
        assert {field["name"]: field["value"] for field in shown["fields"]} == {
            "Written by": "Ann",
            "Tags": "harbour, slow",
            "From its creator": "Best with slow scenes.",
            "Good to know": "Kept for export, not used in play: its depth prompt.",
        }
        assert not answer.ephemeral

        opening = await table.start_scene(title="Low tide", persona="oda")
        assert (opening.author_name, opening.content) == (
            "Oda",
            "*Oda does not look up.* Mind the rope, Ann.",
        )
        said = await table.says(table.bob, "Oda, is it late?")
        assert (await table.shows(TEXT, since=said.cursor)).author_name == "Oda"
        await table.at_rest()

        file = await table.command("persona export", {"persona": "oda", "format": "json"}, who=table.bob)
        assert json.loads(exported(file)) == V2
        assert file.attachments[0].filename == "oda.json"
    head = model.chats[0].body["messages"][0]["content"]
    assert "Oda mends nets by the harbour." in head
    assert "Best with slow scenes." not in head
    assert [base64.b64decode(avatar) for avatar in avatars(table)] == [as_png()], (
        "the picture without the card"
    )


async def test_who_was_brought_is_there_after_a_restart_face_and_all(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    async with table.bot(model.url):
        await bring(table, CARD_PNG)
        await table.start_scene(title="Low tide", persona="oda")
    (face,) = (table.folder / "faces").iterdir()
    face.unlink()
    async with table.bot(model.url):
        said = await table.says(table.ann, "Still here?")
        assert (await table.shows(TEXT, since=said.cursor)).author_name == "Oda"
        await table.at_rest()
        assert face.read_bytes() == as_png()
        for kind in ("png", "charx"):
            file = await table.command("persona export", {"persona": "oda", "format": kind})
            again = await bring(table, exported(file), f"oda.{kind}", replace=True)
            assert "taken the place" in again.embeds[0]["description"]
        file = await table.command("persona export", {"persona": "oda", "format": "json"})
        kept = json.loads(exported(file))["data"]
        assert {**kept, "assets": 0} == {**V2["data"], "assets": 0}


async def test_a_server_has_its_characters_to_itself(table: Tabletop, model: ScriptedModelServer) -> None:
    elsewhere = table.room.add_guild("Next door")
    channel = elsewhere.add_text_channel("attic")
    neighbour = elsewhere.add_member("Fay")
    elsewhere.invite(table.application, permissions=sum(PERMISSIONS.values()))
    async with table.bot(model.url):
        await bring(table, CARD_PNG)
        (slug,) = (
            value
            for name, value in await table.room.autocomplete(
                table.ann, table.campaign, "persona show", {"persona": "oda"}, focused="persona"
            )
            if name == "Oda"
        )
        offered = await table.room.autocomplete(
            neighbour, channel, "persona show", {"persona": "oda"}, focused="persona"
        )
        assert offered == []
        for name in ("Oda", slug):
            refused = await table.command("persona export", {"persona": name}, who=neighbour, channel=channel)
            assert "no persona called" in refused.content
        await table.command(
            "persona import", {"card": Upload("oda.json", as_json(V3))}, who=neighbour, channel=channel
        )
        assert len(table.query("SELECT id FROM personas")) == 2


async def test_a_bad_card_leaves_nothing_behind_and_an_odd_one_a_word_about_it(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    bad = {
        "is 9.0 MiB large": bytes(9 * 1024**2),
        "12000 x 12000 pixels": as_png(text_chunk(b"chara", V2), head=header(12_000, 12_000)),
        "leads out of it": as_zip({"card.json": as_json(V2), "../bot.py": b""}),
        "no character card": b"PNG",
        "no name": as_json({**V1, "name": "\n"}),
    }
    async with table.bot(model.url):
        for said, data in bad.items():
            answer = await bring(table, data)
            assert answer.content.startswith("⚠")
            assert said in answer.content
        answer = await bring(table, as_json({**V1, "name": "marta"}))
        assert "a character called Marta already" in answer.content
        assert table.query("SELECT * FROM personas") == []
        assert not (table.folder / "faces").exists()

        of_the_future = await bring(table, as_json({**V3, "spec": "chara_card_v9"}), "oda.json")
        assert "It says it is V9" in of_the_future.embeds[0]["fields"][-1]["value"]
    assert "Traceback" not in table.log()


async def test_who_manages_the_server_brings_characters_and_everybody_takes_them_along(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    async with table.bot(model.url):
        card = {"card": Upload("oda.json", as_json(V2))}
        for command, options in (
            ("persona import", card),
            ("persona create", {}),
            ("persona edit", {"persona": "marta"}),
            ("persona delete", {"persona": "marta"}),
        ):
            refused = await table.command(command, options, who=table.bob)
            assert "Manage Server" in refused.content
            assert refused.ephemeral
        for command in ("persona edit", "persona delete"):
            refused = await table.command(command, {"persona": "marta"})
            assert "belongs to the bot itself" in refused.content

        for kind in ("json", "png", "charx"):
            file = await table.command("persona export", {"persona": "marta", "format": kind}, who=table.bob)
            assert file.attachments[0].filename == f"marta.{kind}"
            assert file.ephemeral
            refused = await bring(table, exported(file))
            assert "Marta already" in refused.content


async def test_a_character_is_written_in_a_form_and_changed_while_it_plays(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    async with table.bot(model.url):
        opened = await form(table, "persona create")
        (made,) = await send(
            table, opened, name="Brother Hob", description="Hob bakes.", first_mes="Bread, {{user}}?"
        )
        assert "**Brother Hob** can be played now" in made.content
        opening = await table.start_scene(title="Morning", persona="Brother Hob")
        assert opening.content == "Bread, Ann?"

        opened = await form(table, "persona edit", {"persona": "Brother Hob"})
        assert opened.modal
        assert [field.value for field in opened.modal.fields] == [
            "Brother Hob", "Hob bakes.", None, "Bread, {{user}}?", None,
        ]  # fmt: skip
        changed, before = await send(table, opened, 2, description="Hob brews.", personality="loud")
        assert "from the next turn on" in changed.content
        assert before.ephemeral
        said = await table.says(table.ann, "What do you do, Hob?")
        await table.shows(TEXT, since=said.cursor)
        await table.at_rest()
        assert (
            "Hob brews.\n\nBrother Hob's personality: loud" in model.chats[-1].body["messages"][0]["content"]
        )

        answer = await bring(table, exported(before), "hob.json", replace=True)
        assert "taken the place" in answer.embeds[0]["description"]
        said = await table.says(table.ann, "And now, Hob?")
        await table.shows(TEXT, since=said.cursor)
        await table.at_rest()
        assert "Hob bakes." in model.chats[-1].body["messages"][0]["content"]


async def test_no_form_loses_what_is_written(table: Tabletop, model: ScriptedModelServer) -> None:
    async with table.bot(model.url):
        opened = await form(table, "persona create")
        (refused,) = await send(table, opened, name="Marta", description="Another one.")
        assert "a character called Marta already" in refused.content
        assert json.loads(exported(refused))["data"]["description"] == "Another one."
        assert table.query("SELECT * FROM personas") == []

        long = "Oda mends nets. " * 300
        await bring(table, as_json({**V1, "description": long}), "oda.json")
        opened = await form(table, "persona edit", {"persona": "oda"})
        assert opened.modal
        assert "description" not in {field.custom_id for field in opened.modal.fields}
        _, before = await send(table, opened, 2, name="Odo")
        assert "give Odo the old name again first; then `/persona import`" in before.content
        file = await table.command("persona export", {"persona": "odo", "format": "json"})
        assert json.loads(exported(file)) == {**V1, "name": "Odo", "description": long}


async def test_deleting_asks_first_and_gives_the_card_back(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    async with table.bot(model.url):
        await bring(table, CARD_PNG)
        await table.start_scene(title="Low tide", persona="oda, marta")
        refused = await table.command("persona delete", {"persona": "oda"})
        assert "is playing in “Low tide”" in refused.content
        await table.command("scene remove", {"persona": "oda"})

        asked = await table.command("persona delete", {"persona": "oda"})
        (button,) = table.room.controls(asked)
        pressed = await table.room.press(table.ann, asked, button["custom_id"])
        await pressed.answered(PATIENCE)
        await table.room.wait_for(lambda _: bool(asked.attachments), PATIENCE, since=asked.cursor)
        assert "**Oda** is deleted" in asked.content
        assert table.room.controls(asked) == []
        assert table.query("SELECT * FROM personas") == []
        assert list((table.folder / "faces").iterdir()) == []

        again = await bring(table, exported(asked))
        assert again.embeds[0]["title"] == "Oda"


async def test_one_who_was_deleted_between_two_evenings_can_be_taken_out_of_the_scene(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    async with table.bot(model.url):
        await bring(table, CARD_PNG)
        oda = table.query("SELECT stem || '.' || id FROM personas")[0][0]
        await table.start_scene(title="Low tide", persona="oda, marta")
        await table.command("scene end")
        asked = await table.command("persona delete", {"persona": "oda"})
        (button,) = table.room.controls(asked)
        pressed = await table.room.press(table.ann, asked, button["custom_id"])
        await pressed.answered(PATIENCE)
        await table.command("scene resume")
        status = await table.command("scene status")
        assert f"{oda} (not there any more) (leads)" in str(status.embeds or status.content)

        refused = await table.command("scene next")
        assert "There is no persona" in refused.content
        removed = await table.command("scene remove", {"persona": oda})
        assert removed.content == f"**{oda}** leaves the scene."
        status = await table.command("scene status")
        assert "Marta (leads)" in str(status.embeds or status.content)


async def test_who_brings_a_card_is_told_what_of_its_lore_is_not_used(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    books: list[tuple[Any, str]] = [
        ({"entries": [None]}, "Its lorebook is not used. Entry 1 of this lorebook is no object."),
        ({"entries": [{}] * 10_001}, "Its lorebook is not used. This lorebook has 10,001 entries;"),
        ([1], "Its lorebook cannot be read."),
        (
            {"entries": [{"keys": ["/(?=rope)/"], "comment": "Rope"}]},
            "In its lorebook: Rope: the key “/(?=rope)/” is not used, it looks ahead or behind,",
        ),
    ]
    async with table.bot(model.url):
        for place, (book, said) in enumerate(books):
            data = {**V2["data"], "name": f"Oda {place}", "character_book": book}
            since = table.room.cursor
            shown = await bring(table, as_json({**V2, "data": data}), "oda.json")
            assert not shown.ephemeral
            told = await table.begins(said, since=since)
            assert told.ephemeral, "lore holds secrets"
        assert told.content.endswith("In its lorebook: Without a text, and so never told: 1 of its entries.")
        lorebook = await bring(table, b'{"entries": {}}')
        assert lorebook.content == "⚠ This is a lorebook and no character card. /lore import brings it."


async def test_the_lore_in_a_picture_of_a_card_can_be_brought_alone(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    archive = as_zip({"card.json": as_json({**V3, "data": V2["data"]})})
    async with table.bot(model.url):
        for name, data in {"picture.png": CARD_PNG, "archive.charx": archive}.items():
            brought = await table.command("lore import", {"file": Upload(name, data)})
            assert brought.content.startswith(f"“{name.partition('.')[0]}” is here, with 1 entries.")
        tried = await table.command("lore test", {"text": "The tide!"})
        assert tried.content.startswith("**2** would be told now:")
        refused = await table.command("lore import", {"file": Upload("face.png", as_png())})
        assert refused.content.startswith("⚠ There is no character card in this picture.")


async def test_people_read_names_where_a_card_has_macros(table: Tabletop, model: ScriptedModelServer) -> None:
    async with table.bot(model.url):
        await bring(table, CARD_PNG)
        (shown,) = (await table.command("persona show", {"persona": "oda"})).embeds
        assert shown["description"].startswith("Oda mends nets by the harbour.")
        assert shown["fields"][0]["value"] == "*Oda does not look up.* Mind the rope, Player."
        listed = (await table.command("persona list")).content
        assert "**Oda** `oda.1`: Oda mends nets by the harbour." in listed


async def test_a_character_whose_card_has_a_very_long_name_can_be_changed(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    long = "The Chronicle of the Seven Kingdoms: " * 4
    async with table.bot(model.url):
        brought = await bring(table, as_json({**V2, "data": {**V2["data"], "name": long}}), "long.json")
        name = brought.embeds[0]["title"]
        await send(table, await form(table, "persona edit", {"persona": name}), 2, description="War.")
        kept = json.loads(
            exported(await table.command("persona export", {"persona": name, "format": "json"}))
        )
    assert (kept["data"]["name"], kept["data"]["description"]) == (long, "War.")
