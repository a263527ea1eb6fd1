"""A model server goes away, loads, or will not: the table sees what happens, and the turn is finished.

The servers that die are real llama.cpp; what takes them minutes in real life is scripted.
"""

from __future__ import annotations

from pathlib import Path

from bot.rehearsal.events import MessageCreated
from tests.acceptance.tabletop import PATIENCE, Tabletop
from tests.fakes.model_server import TEXT, Answer, Refusal, ScriptedModelServer
from tests.llama_server import LlamaServer
from tests.tiny_gguf import write_tiny_gguf

LOADING = Refusal(503, '{"error": {"message": "Loading model", "type": "unavailable_error", "code": 503}}')
NO_SUCH_MODEL = Refusal(404, '{"error": {"message": "The model `large` does not exist."}}')


def answers(table: Tabletop) -> list[str]:
    """What the store has of the characters' words, in order."""
    rows = table.query("SELECT text FROM entries WHERE kind = 'answer' ORDER BY scene_id, seq")
    return [text for (text,) in rows]


def backends(table: Tabletop) -> list[str]:
    """Who gave them."""
    return [name for (name,) in table.query("SELECT backend FROM answers ORDER BY entry_id")]


def announced(table: Tabletop) -> list[str]:
    """What the bot itself said about servers."""
    return [text for _, text in table.spoken() if text.startswith("*") and "Going on with" in text]


async def speaks(table: Tabletop, text: str, answers_so_far: int) -> None:
    """Ann says something, and the turn that follows is played to its end."""
    await table.says(table.ann, text)
    await table.until(lambda: len(answers(table)) > answers_so_far)
    await table.at_rest()


async def test_a_server_is_killed_in_mid_answer_and_the_scene_goes_on(
    table: Tabletop, tmp_path: Path
) -> None:
    """The first goes on for long if it is let; the second is brief."""
    talkative = write_tiny_gguf(tmp_path / "talkative.gguf", context=32768, ends_after=1e9)
    brief = write_tiny_gguf(tmp_path / "brief.gguf")
    async with LlamaServer(talkative, context=32768) as first, LlamaServer(brief) as second:
        async with table.bot(f"{first.url},{second.url}", ANSWER_TOKENS="8192"):
            await table.start_scene()
            said = await table.says(table.ann, "I open the door.")
            begun = await table.room.wait_for(table.in_character, PATIENCE, since=said.cursor)
            assert isinstance(begun, MessageCreated)
            await first.kill()
            await table.until(lambda: len(answers(table)) == 1)
            await table.at_rest()
            [answer] = answers(table)
            assert begun.content not in answer
            assert begun.message.content == answer
            assert [name for name, _ in table.spoken()].count("The Narrator") == 2
            assert second.host in backends(table)[0]
            [notice] = announced(table)
            assert first.host in notice
            assert notice.endswith(f"Going on with llama.cpp at {second.host}.*")

            await first.start(brief)
            number = 1
            while first.host not in backends(table)[-1]:
                await speaks(table, f"Is anybody there? {number}", number)
                number += 1
        assert announced(table)[1:] == [
            f"*llama.cpp at {first.host} answers again. Going on with llama.cpp at {first.host}.*"
        ]


async def test_where_every_server_dies_the_cpu_model_goes_on_with_a_window_that_fits_its_context(
    table: Tabletop, tmp_path: Path
) -> None:
    gguf = write_tiny_gguf(tmp_path / "tiny.gguf", context=2048)
    async with (
        ScriptedModelServer(dialect="vllm", context=32_768) as model,
        table.bot(model.url, CPU_MODEL=str(gguf)),
    ):
        await table.start_scene()
        for number in range(4):
            await speaks(table, f"I knock {number} times. " + "Knock! " * 250, number)
        model.script.append(Answer(dies_after=3))
        await table.says(table.ann, "I open the door.")
        await model.wait_for_chats(5)
        await model.stop()
        await table.until(lambda: len(answers(table)) == 5)
        await table.at_rest()
    told = table.query("SELECT context_length, prompt_tokens FROM answers ORDER BY entry_id")
    assert [context for context, _ in told] == [32_768] * 4 + [2048]
    assert told[-1][1] < 2048
    assert backends(table)[-1] == "the CPU model tiny"
    assert len(announced(table)) == 1


async def test_a_server_that_loads_for_long_is_seen_to_load_and_finishes_the_turn(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    model.listing = LOADING
    async with table.bot(model.url):
        await table.start_scene()
        said = await table.says(table.ann, "I open the door.")
        loading = await table.begins("*(", since=said.cursor)
        assert "is loading its model ... " in loading.content
        model.listing = None
        await table.shows(TEXT, since=said.cursor)
        await table.at_rest()
    assert not announced(table)


async def test_a_server_that_loads_is_not_waited_for_where_there_is_a_next_one(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    async with ScriptedModelServer(default=Answer("The small one speaks.")) as second:
        model.listing = LOADING
        async with table.bot(f"{model.url},{second.url}"):
            await table.start_scene()
            said = await table.says(table.ann, "I open the door.")
            await table.shows("The small one speaks.", since=said.cursor)
            await table.at_rest()
            model.listing = None
            number = 1
            while TEXT not in answers(table)[-1]:
                await speaks(table, f"Is the big one there? {number}", number)
                number += 1
    assert "is still loading its model. Going on with" in announced(table)[0]
    assert "answers again" in announced(table)[1]


async def test_a_server_that_refuses_the_name_of_a_model_answers_as_another_and_says_so(
    table: Tabletop,
) -> None:
    async with ScriptedModelServer(models=("small", "large")) as model, table.bot(model.url):
        await table.start_scene()
        await table.command("model set", {"model": "large"})
        model.script.append(NO_SUCH_MODEL)
        said = await table.says(table.ann, "I open the door.")
        await table.shows(TEXT, since=said.cursor)
        await table.at_rest()
        await speaks(table, "And on.", 1)
    asked = [chat.body["model"] for chat in model.chats if chat.purpose == "answer"]
    assert asked == ["large", "small", "small"]
    said_so = [text for _, text in table.spoken() if "does not answer as" in text]
    assert len(said_so) == 1
    assert "“large”: `small` speaks for The Narrator instead" in said_so[0]


async def test_where_nothing_can_answer_the_turn_fails_visibly_and_the_next_one_is_tried(
    table: Tabletop, model: ScriptedModelServer, tmp_path: Path
) -> None:
    model.default = Refusal(400, '{"error": {"message": "the grammar is wrong"}}')
    async with table.bot(model.url, CPU_MODEL=str(tmp_path / "none.gguf")):
        await table.start_scene()
        said = await table.says(table.ann, "I open the door.")
        await table.begins("⚠", since=said.cursor)
        await table.at_rest()
        model.default = Answer()
        said = await table.says(table.ann, "Again.")
        await table.shows(TEXT, since=said.cursor)
        await table.at_rest()
    assert any("the grammar is wrong" in text for _, text in table.spoken())
