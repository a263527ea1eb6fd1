"""Who knows what: newcomers, those who left, and players who missed an evening."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from tests.acceptance.tabletop import Tabletop
from tests.fakes.model_server import Answer, ScriptedModelServer

DAY = 24 * 3600


async def plays(table: Tabletop, model: ScriptedModelServer, line: str, answer: str) -> str:
    """Have Ann say something, and give the prompt of the answer."""
    before = len(model.chats)
    model.default = Answer(answer)
    said = await table.says(table.ann, line)
    await table.shows(answer, since=said.cursor)
    await table.at_rest()
    return str([chat.body["messages"] for chat in model.chats[before:] if chat.purpose == "answer"][-1])


async def test_a_newcomer_knows_what_happens_from_then_on(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    async with table.bot(model.url):
        await table.start_scene(title="At the inn", persona="narrator, marta", mode="mention-only")
        await plays(table, model, "Marta, I hide the ledger under the third stair.", "I saw nothing.")
        await table.command("scene add", {"persona": "wren"})
        await table.command("scene add", {"persona": "tobin", "briefed": True})
        wren = await plays(table, model, "Wren, where is the ledger?", "What ledger?")
        tobin = await plays(table, model, "Tobin, where is it?", "Under a stair, is it not?")
        await table.command("scene remove", {"persona": "wren"})
        await plays(table, model, "Marta, the ledger goes into the well.", "Done.")
        await table.command("scene add", {"persona": "wren"})
        again = await plays(table, model, "Wren, are you back?", "Wet to the bone.")
    async with table.bot(model.url):
        after = await plays(table, model, "Wren, sit down.", "Gladly.")

    assert "third stair" not in wren
    assert "[Wren is here now.]" in wren
    assert "third stair" in tobin
    for late in (again, after):
        assert "third stair" not in late
        assert "into the well" not in late
        assert "What ledger?" in late
        assert "[Wren has left.]" in late


async def test_a_recap_tells_a_player_what_their_character_knows(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    async with table.bot(model.url):
        await table.start_scene(title="At the inn", persona="marta", mode="mention-only")
        await plays(table, model, "Marta, the bell rang twice.", "It was the wind.")
        await table.says(table.bob, "I heard it, too.")
        await table.until(lambda: len(table.stored()) == 2)
    with closing(sqlite3.connect(table.database)) as store:
        for column in ("entries SET created_at = created_at", "sessions SET started_at = started_at"):
            store.execute(f"UPDATE {column} - {DAY}")
        store.commit()
    async with table.bot(model.url):
        await table.says(table.cleo, "I come in from the rain.")
        await plays(table, model, "Marta, who is that?", "A stranger.")
        assert table.query("SELECT number, first_seq FROM sessions ORDER BY number") == [(1, 1), (2, 5)]
        cleo = await table.command("scene recap", who=table.cleo)
        bob = await table.command("scene recap", who=table.bob)
        dov = await table.command("scene recap", who=table.dov)
        refused = await table.command("scene recap", {"for_all": True}, who=table.bob)
        shared = await table.command("scene recap", {"for_all": True})

    assert cleo.ephemeral
    assert "A stranger." in cleo.content
    assert "bell" not in cleo.content
    assert "I heard it, too." in bob.content
    assert "stranger" not in bob.content
    assert "has not been in this story yet" in dov.content
    assert refused.content.startswith("⚠ Only <@")
    assert not shared.ephemeral
    assert shared.content.index("the wind") < shared.content.index("-# Session 2")
    assert shared.content.index("-# Session 2") < shared.content.index("A stranger.")
