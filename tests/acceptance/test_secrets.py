"""Secrets: the narrator knows them, and nobody ever reads one."""

from __future__ import annotations

import asyncio

from tests.acceptance.tabletop import Tabletop
from tests.fakes.model_server import TEXT, Answer, ScriptedModelServer

DUKE = "The duke was poisoned by his own brother with nightshade from the chapel garden."
INNOCENT = "The chapel garden lies in the rain, and nobody walks there but you."
CHOSEN = {"title": "At the inn", "persona": "narrator, marta", "mode": "mention-only"}


async def test_only_the_narrator_is_told_a_secret_and_only_the_game_master_sees_it(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    async with table.bot(model.url):
        await table.start_scene(None, **CHOSEN)
        added = await table.command("secret add", {"text": DUKE})
        assert added.ephemeral
        assert DUKE not in added.content
        assert "is stopped before anybody sees it" in added.content
        for name in ("Marta", "Narrator"):
            said = await table.says(table.ann, f"{name}, how did the duke die?")
            await table.shows(TEXT, since=said.cursor)
            await table.at_rest()
        looks = [
            await table.command(name, options, who=who)
            for who in (table.ann, table.bob)
            for name, options in (
                ("context", {}),
                ("why", {}),
                ("scene recap", {}),
                ("memory list", {}),
                ("memory search", {"text": "nightshade"}),
            )
        ]
        assert "Secrets: " in str(looks[0].embeds), "but how many tokens they take is no secret"
        for command in ("secret list", "secret add", "secret remove"):
            options = {} if command == "secret list" else {"secret" if "remove" in command else "text": DUKE}
            refused = await table.command(command, options, who=table.bob)
            assert refused.content.startswith("⚠ Only <@")
            looks.append(refused)
        offered = await table.room.autocomplete(
            table.bob, table.campaign, "secret remove", {"secret": ""}, focused="secret"
        )
        [exported] = (await table.command("memory export", who=table.bob)).attachments
        [whole] = (await table.command("memory export")).attachments
        listed = await table.command("secret list")
        assert "is a secret already" in (await table.command("secret add", {"text": DUKE})).content
        removed = await table.command("secret remove", {"secret": "#1"})
        short = await table.command("secret add", {"text": "The nightshade."})
        await table.command("secret remove", {"secret": "#2"})

    marta, narrator = (chat.body["messages"] for chat in model.chats)
    assert "nightshade" not in str(marta)
    assert narrator[-1]["content"].endswith(f"do not say it:\n  - {DUKE}]\n[The Narrator answers.]")
    assert narrator[0] == marta[0], "what all are told comes first, and is read but once"
    for look in looks:
        assert "nightshade" not in look.content + str(look.embeds)
    assert offered == []
    assert b"nightshade" not in exported.data
    assert DUKE.encode() in whole.data
    assert "too short to be watched for" in short.content
    assert listed.ephemeral
    assert DUKE in listed.content
    assert DUKE in removed.content
    assert "nightshade" not in table.log()
    assert DUKE.encode() not in table.database.read_bytes(), "what is taken back is nowhere"


async def test_what_is_taken_back_while_an_answer_is_made_is_not_kept_with_it(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    async with table.bot(model.url):
        await table.start_scene(None, **CHOSEN)
        await table.command("secret add", {"text": DUKE})
        await table.command("memory pin", {"text": "We owe Quillfeather three silver."})
        for command, option in (("secret remove", "secret"), ("memory unpin", "pin")):
            gate = asyncio.Event()
            model.script.append(Answer(TEXT, gate=gate))
            asked = len(model.chats)
            said = await table.says(table.ann, "Narrator, how did the duke die?")
            await model.wait_for_chats(asked + 1)
            await table.command(command, {option: "#1"})
            gate.set()
            await table.shows(TEXT, since=said.cursor)
            await table.at_rest()
    heads = str(table.query("SELECT text FROM heads"))
    assert "nightshade" not in heads
    assert "Quillfeather" not in heads


async def test_an_answer_that_would_tell_a_secret_is_stopped_before_anybody_sees_it(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    async with table.bot(model.url):
        await table.start_scene(None, **CHOSEN)
        await table.command("secret add", {"text": DUKE})
        sent_before = len(table.room.requests)

        model.script.append(Answer(f"{INNOCENT} {DUKE} So it was.", chunk=3))
        said = await table.says(table.ann, "Narrator, tell me everything.")
        await table.shows(INNOCENT, since=said.cursor)
        await table.at_rest()

        model.script += [Answer(f"Well. {DUKE}"), Answer("Nobody knows.")]
        said = await table.says(table.ann, "Narrator, who did it?")
        await table.shows("Nobody knows.", since=said.cursor)
        await table.at_rest()
        reminded = model.chats[-1].body

        model.script += [Answer(f"The truth: {DUKE.lower()}"), Answer(f"He said: {DUKE}")]
        said = await table.says(table.ann, "Marta, was it the brother?")
        await table.begins("⚠ Marta found no words.", since=said.cursor)
        await table.at_rest()
        sent = [request.json for request in list(table.room.requests)[sent_before:]]

    assert reminded["messages"][-1]["content"].endswith(
        "\n[What only you know stays unsaid.]\n[The Narrator answers.]"
    )
    assert reminded["seed"] != model.chats[-4].body["seed"]
    assert "nightshade" not in str(sent), "not even in a message that was changed a moment later"
    assert "secret_kept" in table.log()
    assert "nightshade" not in table.log()
    told = table.query("SELECT text FROM entries WHERE kind = 'answer' ORDER BY seq")
    assert told == [(INNOCENT,), ("Nobody knows.",)]
