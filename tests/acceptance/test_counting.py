"""Token counts over an evening: made once, kept over a restart, and called what they are."""

from __future__ import annotations

from tests.acceptance.tabletop import Tabletop
from tests.fakes.model_server import Answer, ScriptedModelServer


async def answered(table: Tabletop, model: ScriptedModelServer, text: str) -> None:
    """Have Ann say something, and wait for the answer."""
    asked = len([chat for chat in model.chats if chat.purpose == "answer"])
    await table.says(table.ann, text)
    async with model.arrived:
        await model.arrived.wait_for(
            lambda: len([chat for chat in model.chats if chat.purpose == "answer"]) > asked
        )
    await table.at_rest()


def tokenized(model: ScriptedModelServer) -> list[str]:
    """The texts that the server was asked to tokenize."""
    return [one.body["prompt"] for one in model.requests if one.path == "/tokenize" and "prompt" in one.body]


async def test_what_was_counted_is_not_counted_again_after_a_restart(table: Tabletop) -> None:
    async with ScriptedModelServer(dialect="vllm") as model:
        async with table.bot(model.url):
            await table.start_scene()
            await answered(table, model, "I open the first door.")
            await answered(table, model, "I open the second door.")
        before = tokenized(model)
        assert before.count("Ann: I open the first door.\n") == 1
        kept = table.query("SELECT count(*) FROM entries WHERE tokens > 0 AND fingerprint IS NOT NULL")[0][0]
        assert kept >= 4

        model.requests.clear()
        async with table.bot(model.url):
            await answered(table, model, "I open the third door.")
        again = tokenized(model)
        assert "Ann: I open the third door.\n" in again
        assert not any("first door" in text or "second door" in text for text in again)


async def test_what_was_edited_is_counted_as_it_reads_now(table: Tabletop) -> None:
    async with ScriptedModelServer(dialect="vllm") as model, table.bot(model.url):
        await table.start_scene()
        said = await table.says(table.ann, "I open the door.")
        await table.until(lambda: bool(table.query("SELECT 1 FROM entries WHERE kind = 'answer'")))
        await table.at_rest()
        await table.room.edit(said, "I open the door, and the one behind it, and so on.")
        await table.until(lambda: "behind" in str(table.stored()))
        await answered(table, model, "What do I see?")
        assert "Ann: I open the door, and the one behind it, and so on.\n" in tokenized(model)
        ((edited,), (next_said,)) = table.query(
            "SELECT tokens FROM entries WHERE kind = 'player' ORDER BY seq"
        )
        assert edited > 2 * next_said
        assert "count_was_not_the_bill" not in table.log()


async def test_an_estimate_is_called_one(table: Tabletop) -> None:
    async with (
        ScriptedModelServer(default=Answer("The door opens.", usage=False)) as model,
        table.bot(model.url),
    ):
        await table.start_scene()
        await answered(table, model, "I open the door.")
        said = (await table.command("model info")).content
        assert "tokens are estimated" in said
        assert "(estimated)" in said
        assert "counted exactly" not in said
