"""Whispers: one player and one character, and nobody else who hears them."""

from __future__ import annotations

import asyncio

from bot.rehearsal.interactions import TOKEN_LIFETIME
from bot.rehearsal.messages import Message
from tests.acceptance.tabletop import PATIENCE, Tabletop
from tests.fakes.model_server import TEXT, Answer, ScriptedModelServer

KEY = "I have the silver key."


async def whisper(table: Tabletop, text: str, *, to: str = "marta", answers: int = 1) -> list[Message]:
    """Have Bob whisper, and give what he is shown: the confirmation, and the answers to it."""
    call = await table.room.command(table.bob, table.campaign, "whisper", {"to": to, "text": text})
    await call.answered(PATIENCE)
    await table.until(lambda: len(call.responses) == 1 + answers)
    await table.at_rest()
    return list(call.responses)


async def test_only_the_addressee_and_the_narrator_hear_a_whisper(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    async with table.bot(model.url):
        await table.start_scene(title="At the inn", persona="narrator, marta, tobin", mode="mention-only")
        before = table.spoken()
        model.script.append(Answer("Then hide it well."))
        told, answer = await whisper(table, KEY)
        assert told.content == f"You whisper to **Marta**: {KEY}"
        assert answer.content == "**Marta**\nThen hide it well."
        assert told.ephemeral
        assert answer.ephemeral
        assert table.spoken() == before, "nothing of it stands in the channel"
        for name in ("Tobin", "Marta", "Narrator"):
            said = await table.says(table.ann, f"{name}, what do you think?")
            await table.shows(TEXT, since=said.cursor)
            await table.at_rest()
        why = await table.command("why")
        assert "hide it well" not in str(why.embeds)
        for command in ("why", "context", "scene status"):
            seen = await table.command(command, who=table.cleo)
            assert "Bob" not in seen.content + str(seen.embeds), "who only whispers is not there for others"

    asked, tobin, marta, narrator = (str(one.body["messages"]) for one in model.chats)
    line = f"Bob: (whispers to Marta) {KEY}"
    assert line in asked
    assert "silver key" not in tobin
    assert "hide it well" not in tobin
    assert line in marta
    assert "Then hide it well." in marta
    assert line in narrator
    rows = table.query("SELECT audience FROM entries WHERE audience IS NOT NULL")
    assert rows == [(f"marta,@{table.bob.id}",)] * 2
    assert table.query("SELECT * FROM whispers") == []


async def test_a_whisper_heard_twice_is_one_and_one_to_nobody_is_refused(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    async with table.bot(model.url):
        await table.start_scene(title="At the inn", persona="narrator, marta")
        [refused] = await whisper(table, KEY, to="tobin", answers=0)
        assert refused.content.startswith("⚠ Tobin Quill is not in this scene.")
        [refused] = await whisper(table, "// anybody want tea?", answers=0)
        assert "nothing in it that your character says" in refused.content
        offered = await table.room.autocomplete(
            table.bob, table.campaign, "whisper", {"to": "ma"}, focused="to"
        )
        assert offered == [("Marta", "marta")]
    assert table.stored() == []
    assert model.chats == []


async def test_what_was_whispered_before_the_power_went_is_answered_after_it(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    async with table.bot(model.url):
        await table.start_scene(title="At the inn", persona="narrator, marta")
        model.default = Answer("Never heard.", gate=asyncio.Event())
        ask = {"to": "marta", "text": KEY}
        in_time = await table.room.command(table.bob, table.campaign, "whisper", ask)
        late = await table.room.command(table.cleo, table.campaign, "whisper", ask)
        await table.until(lambda: len(table.stored()) == 2)
        await model.wait_for_chats(1)
        await table.kill()
    late.created_at -= TOKEN_LIFETIME
    model.default = Answer("Hide it.")
    since = table.room.cursor
    async with table.bot(model.url):
        await table.at_rest()
        notice = await table.begins("*(A whisper was answered too late", since=since)
    assert [one.content for one in in_time.responses][1:] == ["**Marta**\nHide it."]
    assert len(late.responses) == 1
    assert "Cleo" not in notice.content
    assert table.query("SELECT count(*) FROM entries WHERE audience IS NOT NULL") == [(4,)]
    assert "Hide it." not in str(table.spoken())


async def test_who_whispers_in_vain_is_told_why(table: Tabletop, model: ScriptedModelServer) -> None:
    model.default = Answer("")
    async with table.bot(model.url):
        await table.start_scene(title="At the inn", persona="narrator, marta")
        before = table.spoken()
        _, failed = await whisper(table, "Are you there?")
        assert failed.content.startswith("**Marta**\n⚠ Marta found no words.")
        assert failed.ephemeral
        assert table.spoken() == before
