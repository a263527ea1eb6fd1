"""`/memory`: players have facts remembered and things forgotten, and see it in what the model is told."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import pytest

from bot.errors import TableError
from bot.rehearsal.guilds import Member
from bot.rehearsal.messages import Message
from bot.scene.knowledge import PIN_CHARACTERS, PINS
from tests.acceptance.tabletop import PATIENCE, Tabletop
from tests.fakes.model_server import TEXT, ScriptedModelServer

DEBT = "We owe the ferryman three silver."
CHOSEN: dict[str, Any] = {"title": "At the inn", "persona": "narrator, marta", "mode": "mention-only"}


async def system_of(table: Tabletop, model: ScriptedModelServer, text: str, who: Member | None = None) -> str:
    """Have a player speak to Marta, and give the system message with which she answered."""
    said = await table.says(who or table.ann, f"Marta, {text}")
    await table.shows(TEXT, since=said.cursor)
    await table.at_rest()
    return str(model.answers[-1].body["messages"][0]["content"])


def told(model: ScriptedModelServer) -> str:
    """Give all that the last answer was made from."""
    return str(model.answers[-1].body["messages"])


async def remember(table: Tabletop, message: Message, who: Member) -> Message:
    """Choose "Remember this" in the menu of a message."""
    call = await table.room.message_command(who, table.campaign, "Remember this", message)
    await call.answered(PATIENCE)
    return call.responses[0]


async def forget(table: Tabletop, entry: str, who: Member) -> Message:
    """Have something forgotten, and press the button that makes sure."""
    asked = await table.command("memory forget", {"entry": entry}, who=who)
    (button,) = table.room.controls(asked)
    since = asked.cursor
    await (await table.room.press(who, asked, button["custom_id"])).answered(PATIENCE)
    await table.room.wait_for(lambda _: asked.content.startswith("Forgotten"), PATIENCE, since=since)
    return asked


def tables_with(table: Tabletop, text: str) -> set[str]:
    """Name the tables of the bot's database that have a text in any column."""
    with closing(sqlite3.connect(f"file:{table.database}?mode=ro", uri=True)) as connection:
        tables = [
            name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        every = "SELECT * FROM {}"  # formatted apart from the call: a table's name cannot be a parameter
        return {name for name in tables if text in str(connection.execute(every.format(name)).fetchall())}


async def test_a_pinned_fact_is_told_to_the_characters_until_it_is_taken_out(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    async with table.bot(model.url):
        await table.start_scene(**CHOSEN)
        before = await system_of(table, model, "good evening.", table.bob)
        pinned = await table.command("memory pin", {"text": f"  {DEBT}\n"}, who=table.bob)
        assert pinned.content == f"Remembered: {DEBT}\n`/memory unpin` takes it out again."
        assert pinned.ephemeral
        after = await system_of(table, model, "what do we owe?")
        listed = await table.command("memory list", who=table.cleo)

        offered = await table.room.autocomplete(
            table.bob, table.campaign, "memory unpin", {"pin": "ferry"}, focused="pin"
        )
        assert [name for name, _ in offered] == [DEBT]
        out = {"pin": offered[0][1]}
        refused = await table.command("memory unpin", out, who=table.cleo)
        gone = await table.command("memory unpin", out, who=table.bob)
        again = await table.command("memory unpin", out, who=table.bob)
        last = await system_of(table, model, "and now?")
        empty = await table.command("memory list")

    assert DEBT not in before
    assert f"What the players want remembered, in their words:\n- {DEBT}" in after
    assert listed.ephemeral
    assert listed.content.startswith("5 entries in 1 session, 0 summaries.\nRecall goes by words alone")
    assert listed.content.endswith(f"**Pinned**\n`#1` {DEBT}")
    assert refused.content == f"⚠ <@{table.bob.id}> has pinned that, and can take it out."
    assert gone.content.startswith(f"No longer pinned: {DEBT}\n")
    assert again.content == "⚠ Nothing like “#1” is pinned here. /memory list shows what is pinned."
    assert last == before
    assert "Nothing is pinned." in empty.content
    assert tables_with(table, DEBT) == set()


async def test_a_message_is_pinned_from_its_menu_and_its_pin_goes_as_it_goes(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    async with table.bot(model.url):
        await table.start_scene(**CHOSEN)
        said = await table.says(table.bob, "I swear by Quillfeather that I come back.")
        await system_of(table, model, "did you hear him?")
        pinned = await remember(table, said, table.bob)
        assert pinned.ephemeral
        assert pinned.content.startswith("Remembered: Bob: I swear by Quillfeather that I come back.\n")
        assert (await remember(table, said, table.ann)).content == "⚠ That is pinned already."
        assert "Your character was not there" in (await remember(table, said, table.cleo)).content
        assert "belongs to no story" in (await remember(table, pinned, table.bob)).content
        assert "Nothing is pinned." in (await table.command("memory list", who=table.cleo)).content
        offered = await table.room.autocomplete(
            table.cleo, table.campaign, "memory unpin", {"pin": ""}, focused="pin"
        )
        [taken_along] = (await table.command("memory export", who=table.cleo)).attachments
        assert offered == []
        assert b"Quillfeather" not in taken_along.data
        first = await system_of(table, model, "what did he swear?")

        await table.room.edit(said, "I swear by Quillfeather that I stay.")
        await table.until(lambda: "Quillfeather that I stay." in str(table.stored()))
        second = await system_of(table, model, "and now?")
        assert (
            "`#1` Bob: I swear by Quillfeather that I stay." in (await table.command("memory list")).content
        )

        await table.room.delete(said)
        await table.until(lambda: "Quillfeather" not in str(table.stored()))
        third = await system_of(table, model, "what was it?")
        assert "Nothing is pinned." in (await table.command("memory list")).content

    assert "- Bob: I swear by Quillfeather that I come back." in first
    assert "- Bob: I swear by Quillfeather that I stay." in second
    assert "I come back" not in second
    assert "Quillfeather" not in third + told(model)
    assert tables_with(table, "Quillfeather") == set()


async def test_what_is_to_be_forgotten_is_in_no_prompt_and_no_table_after_it(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    async with table.bot(model.url):
        await table.start_scene(**CHOSEN)
        await system_of(table, model, "my name is Quillfeather.", table.bob)
        await system_of(table, model, "who is he?", table.cleo)
        assert "Quillfeather" in told(model)
        found = await table.command("memory search", {"text": "quillfeather"}, who=table.bob)
        assert "**Bob**: Marta, my name is Quillfeather." in found.content
        number = found.content[1:].partition("`")[0]

        for who, complaint in (
            (table.cleo, "⚠ Only who said it and the game master can have that forgotten."),
            (table.dov, "⚠ There is no such memory. /memory search shows each with its number."),
        ):
            refused = await table.command("memory forget", {"entry": number}, who=who)
            assert refused.content == complaint
            assert refused.ephemeral
            assert table.room.controls(refused) == []
            offered = await table.room.autocomplete(
                who, table.campaign, "memory forget", {"entry": "quillfeather"}, focused="entry"
            )
            assert offered == []
        for nonsense in ("#", "#99999", "-1", "²", "9" * 30, "' OR 1=1 --", "my name"):
            refused = await table.command("memory forget", {"entry": nonsense}, who=table.bob)
            assert refused.content.startswith("⚠ There is no such memory.")
        assert "Quillfeather" in str(table.stored())

        offered = await table.room.autocomplete(
            table.bob, table.campaign, "memory forget", {"entry": "quillfeather"}, focused="entry"
        )
        assert offered == [("Bob: Marta, my name is Quillfeather.", number)]
        for typed in ("quillf", "QUILLFEÁTHERS"):  # half a word, and another form of it
            assert offered == await table.room.autocomplete(
                table.bob, table.campaign, "memory forget", {"entry": typed}, focused="entry"
            )
        asked = await forget(table, number, table.bob)
        assert asked.ephemeral
        assert table.room.controls(asked) == []
        await system_of(table, model, "who is he?", table.cleo)
        found = await table.command("memory search", {"text": "quillfeather"}, who=table.bob)
        gone = await table.command("memory forget", {"entry": number}, who=table.bob)

    assert "Quillfeather" not in told(model)
    assert "who is he?" in told(model)
    assert found.content == "Your character remembers nothing of that."
    assert gone.content.startswith("⚠ There is no such memory.")
    assert tables_with(table, "Quillfeather") == set()
    assert "Quillfeather" in str(table.spoken()), "what stands in the channel is its writer's to delete"


async def test_the_game_master_has_anything_forgotten_a_pin_on_it_too(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    async with table.bot(model.url):
        await table.start_scene(**CHOSEN)
        said = await table.says(table.bob, "They call me Quillfeather.")
        before = await system_of(table, model, "who is he?", table.bob)
        await remember(table, said, table.bob)
        assert "Quillfeather" in await system_of(table, model, "who is he?", table.bob)
        found = await table.command("memory search", {"text": "quillfeather"})
        await forget(table, found.content[1:].partition("`")[0], table.ann)
        assert await system_of(table, model, "who is he?", table.bob) == before
    assert "Quillfeather" not in told(model)
    assert tables_with(table, "Quillfeather") == set()


async def test_a_scene_holds_only_so_many_pins_and_none_that_is_too_long(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    async with table.bot(model.url):
        nobody = await table.command("memory pin", {"text": DEBT})
        await table.start_scene(**CHOSEN)
        with pytest.raises(TableError, match=str(PIN_CHARACTERS)):
            await table.command("memory pin", {"text": "x" * 400})
        blank = await table.command("memory pin", {"text": " \n "})
        long = await table.says(table.ann, f"Marta, listen: {'word ' * 80}and Quillfeather.")
        await table.shows(TEXT, since=long.cursor)
        await table.at_rest()
        cut = await remember(table, long, table.ann)
        for n in range(1, PINS):
            pinned = await table.command("memory pin", {"text": f"Fact {n}."})
            assert pinned.content.startswith(f"Remembered: Fact {n}.")
        twice = await table.command("memory pin", {"text": "Fact 7."})
        full = await table.command("memory pin", {"text": DEBT})
        full_too = await remember(table, await table.says(table.ann, "Marta!"), table.ann)
        system = await system_of(table, model, "what do you know?")
        listed = await table.command("memory list")

    assert nobody.content.startswith("⚠ Nobody is playing here")
    assert blank.content == "⚠ There is nothing to pin in that."
    assert cut.content.endswith("\nIt is long: the characters are told its beginning.")
    assert twice.content == "⚠ That is pinned already."
    for refused in (full, full_too):
        assert refused.content == (
            f"⚠ {PINS} facts are pinned here, and a scene holds no more. /memory unpin takes one out."
        )
    assert table.query("SELECT count(*) FROM pins") == [(PINS,)]
    assert "- Ann: Marta, listen: word word" in system
    assert "and Quillfeather" not in system
    assert f"- Fact {PINS - 1}." in system
    assert DEBT not in system
    assert f"`#{PINS}` Fact {PINS - 1}." in listed.content


async def test_what_does_not_fit_into_a_list_is_told_and_a_fact_that_reads_like_a_number_is_none(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    async with table.bot(model.url):
        await table.start_scene(**CHOSEN)
        await table.command("memory pin", {"text": "#2"})
        for n in range(2, 10):
            await table.command("memory pin", {"text": f"{n}: {'word ' * 58}"})
            await table.command("secret add", {"text": f"{n}: {'word ' * 58}"})
        pins, secrets = [await table.command(name) for name in ("memory list", "secret list")]
        gone = await table.command("memory unpin", {"pin": "#2"})
        last = await table.command("memory unpin", {"pin": "#2"})
    assert pins.content.endswith("\n… and 2 more. `/memory export` has them all.")
    assert secrets.content.endswith("\n… and 2 more. `/memory export` has them all.")
    assert gone.content.startswith("No longer pinned: 2: word")
    assert last.content.startswith("No longer pinned: #2\n")
