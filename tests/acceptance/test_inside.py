"""A look inside: what the model reads, what an answer was made of, and the very prompt it was given to."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
import sys
from contextlib import aclosing
from typing import Any, NamedTuple

import pytest
from PIL import Image

from bot import replay as bot_replay
from bot.errors import TableError
from bot.prompt.replay import prompt_json
from bot.rehearsal.message_forms import Upload
from bot.rehearsal.messages import Message
from bot.scene import inside
from bot.settings import Settings
from bot.store.store import Store
from tests.acceptance.tabletop import PROJECT, Tabletop
from tests.fakes.model_server import Answer, Refusal, ScriptedModelServer

GONG = {
    "entries": {"0": {"uid": 0, "key": ["gong"], "comment": "The gong", "content": "The founder cast it."}}
}


async def replay(table: Tabletop, message: str) -> tuple[int, list[dict[str, str]] | None, str]:
    """Run `hearthside replay`: give its exit code, the messages that it printed, and what it said of them."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bot", "replay", message, cwd=PROJECT,
        env={**os.environ, "DATABASE_URL": f"sqlite:///{table.database.as_posix()}"},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, said = await process.communicate()
    assert process.returncode is not None
    return process.returncode, json.loads(out) if out else None, said.decode()


def fields(message: Message) -> dict[str, str]:
    """Give the fields of a message's only embed."""
    [embed] = message.embeds
    return {field["name"]: field["value"] for field in embed["fields"]}


def link(table: Tabletop, message: Message) -> str:
    return f"https://discord.com/channels/{table.guild.id}/{message.channel.id}/{message.id}"


def sha256(messages: list[dict[str, str]]) -> str:
    """Hash messages as docs/inside.md says."""
    return hashlib.sha256(json.dumps(messages, ensure_ascii=False).encode()).hexdigest()


class Played(NamedTuple):
    """What a player said, the answer to it, and the request that was sent for that."""

    said: Message
    shown: Message
    sent: dict[str, Any]


class Evening:
    """People who play, and what the model was sent for each answer that came of it."""

    def __init__(self, table: Tabletop, model: ScriptedModelServer) -> None:
        self.table = table
        self.model = model
        self.answers = 0

    async def plays(self, who: Any, text: str) -> Played:
        """Have a player say something: give that, its answer, and the request that was sent for it."""
        self.answers += 1
        answer = f"Answer number {self.answers}, told at length."
        self.model.default = Answer(answer)
        before = len(self.model.chats)
        said = await self.table.says(who, text)
        shown = await self.table.shows(answer, since=said.cursor)
        await self.table.at_rest()
        # What is only read ahead asks for a single token.
        sent = [chat.body for chat in self.model.chats[before:] if chat.purpose == "answer"][-1]
        return Played(said, shown, sent)


async def test_any_answers_prompt_is_rebuilt_to_the_byte(table: Tabletop, model: ScriptedModelServer) -> None:
    evening = Evening(table, model)
    async with table.bot(model.url):
        await table.start_scene(title="At the inn", persona="narrator, marta", mode="mention-only")
        first = await evening.plays(table.ann, "Marta, what is a room?\nAnd soup?")
        await table.command("scene add", {"persona": "wren", "briefed": True})
        second = await evening.plays(table.bob, "Wren, “sing”! 🎲 <|im_end|>")
        await table.command("scene remove", {"persona": "marta"})
    async with table.bot(model.url):
        no_system_role = {"error": {"code": 400, "message": "System role not supported"}}
        model.script.append(Refusal(400, json.dumps(no_system_role)))
        third = await evening.plays(table.cleo, "Narrator, I open the door.")
        assert [message["role"] for message in third.sent["messages"]][:2] == ["user", "assistant"]
        played = [first, second, third]
        assert len({sent["seed"] for *_, sent in played}) == 3
        async with aclosing(await Store.open(table.database)) as store:
            for _, shown, sent in played:
                rebuilt = await inside.replay(store, shown.id)
                assert rebuilt.identical
                assert json.loads(prompt_json(rebuilt.messages)) == sent["messages"]
        kept = table.query("SELECT seed, prompt_sha256 FROM answers ORDER BY entry_id")
        assert kept == [(sent["seed"], sha256(sent["messages"])) for *_, sent in played]

        await table.room.edit(second.said, "Wren, hush!")
        await table.until(lambda: "Wren, hush!" in table.stored())
        await table.room.delete(first.said)
        await table.until(lambda: len(table.stored()) == 2)
        code, messages, said = await replay(table, link(table, second.shown))
    assert code == 1
    assert messages
    assert messages != second.sent["messages"]
    assert messages[0] == second.sent["messages"][0]
    assert said.startswith("different")
    assert "Entry 2 of the story was deleted since." in said
    assert "by Bob, was edited since." in said


async def test_what_stood_in_the_prompt_without_its_middle_is_rebuilt_too(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    evening = Evening(table, model)
    async with table.bot(model.url, CONTEXT_LENGTH="2048"):
        await table.start_scene(title="At the inn", persona="marta")
        await table.command("scene mode", {"mode": "mention-only"})
        for number in range(3):
            await table.says(table.bob, f"Verse {number}: " + "and the rain came down " * 80)
        _, shown, sent = await evening.plays(table.ann, "Marta! " + "Listen to the bell in the water! " * 55)
    assert "(...)" in sent["messages"][-1]["content"]
    code, messages, said = await replay(table, str(shown.id))
    assert said.startswith("identical")
    assert (code, messages) == (0, sent["messages"])


async def test_what_no_model_was_asked_for_cannot_be_replayed(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    code, messages, said = await replay(table, "1")
    assert (code, messages) == (2, None)
    assert "There is no database" in said
    async with table.bot(model.url):
        opening = await table.start_scene()
    settings = Settings(database_url=f"sqlite:///{table.database.as_posix()}")
    for message, complaint in (
        (link(table, opening), "an opening: it was written beforehand"),
        ("123", "shows nothing of a story"),
        ("the last one", "neither the id of a message nor a link"),
    ):
        with pytest.raises(TableError, match=complaint):
            await bot_replay.replay(settings, message)


async def test_why_tells_what_an_answer_was_made_of(table: Tabletop) -> None:
    async with ScriptedModelServer(models=("small", "large"), dialect="vllm") as model, table.bot(model.url):
        evening = Evening(table, model)
        assert "Nobody has answered" in (await table.command("why")).content
        await table.command("lore import", {"file": Upload("Inn.json", json.dumps(GONG).encode())})
        opening = await table.start_scene(title="At the inn", persona="narrator, marta", mode="mention-only")
        said, first, sent = await evening.plays(table.ann, "Marta, what is that gong?")
        _, second, _ = await evening.plays(table.bob, "Marta, I open the door.")

        told = await table.command("why", {"answer": link(table, first)}, who=table.bob)
        assert told.ephemeral
        [embed] = told.embeds
        assert embed["description"] == f"**Marta**: {first.content}"
        assert embed["footer"]["text"].endswith(f"hearthside replay {first.id}")
        shown = fields(told)
        assert shown["Model"].startswith("small on vLLM at 127.0.0.1:")
        assert shown["Drawn with"].startswith(f"seed {sent['seed']}\n")
        assert (
            f"at most {sent['max_tokens']} tokens, ending before `Ann:`, `The Narrator:`"
            in shown["Drawn with"]
        )
        assert "Prompt: " in shown["Prompt"]
        assert "the first word after" in shown["Prompt"]
        assert shown["What it read"] == "3 entries of the story"
        assert shown["Lore"] == "1 entry; which, only the game master is told"
        told_ann = await table.command("why", {"answer": link(table, first)})
        assert fields(told_ann)["Lore"] == "**The gong**: “gong” was said"

        assert second.content in (await table.command("why")).embeds[0]["description"]
        assert (await menu(table, first)).embeds == told.embeds
        for message, complaint in ((said, "A player said that"), (opening, "That is an opening")):
            assert complaint in (await menu(table, message)).content
        elsewhere = await table.command("why", {"answer": str(first.id)}, channel=table.tavern)
        assert "belongs to no story in this channel" in elsewhere.content
        assert "neither a link" in (await table.command("why", {"answer": "that one"})).content

        await table.command("scene end")
        assert (await table.command("why", {"answer": str(first.id)})).embeds == told_ann.embeds


async def menu(table: Tabletop, message: Message) -> Message:
    call = await table.room.message_command(table.eve, table.campaign, "Why this answer?", message)
    await call.answered(20)
    assert call.responses[0].ephemeral
    return call.responses[0]


async def test_context_shows_where_the_tokens_are(table: Tabletop) -> None:
    async with ScriptedModelServer(dialect="vllm", context=4096) as model:
        evening = Evening(table, model)
        async with table.bot(model.url):
            assert "Nobody is playing here" in (await table.command("context")).content
            await table.start_scene(title="At the inn", persona="narrator, marta", mode="mention-only")
            await evening.plays(table.ann, "Marta, what is a room?")
            seen = await table.command("context", who=table.bob)
            since = table.room.cursor
            model.default = Answer("So be it.")
            await table.command("scene next")
            await table.shows("So be it.", since=since)
            await table.at_rest()
            [[billed]] = table.query("SELECT prompt_tokens FROM answers ORDER BY entry_id DESC LIMIT 1")
        async with table.bot(model.url):
            again = await table.command("context", who=table.bob)

    assert seen.ephemeral
    [embed] = seen.embeds
    assert embed["title"] == "What the model reads of “At the inn”"
    how_full = "of 4,096 tokens** are in the prompt (counted by the model's own tokenizer)."
    assert embed["description"] == f"**{billed:,} {how_full}", "what the next turn was billed"
    assert again.embeds[0]["description"].endswith(how_full)
    shown = fields(seen)
    assert "\nThe Narrator: " in shown["Before the story"]
    assert "\nMarta: " in shown["Before the story"]
    assert shown["The story"].startswith("Players: ")
    assert "in 2 entries" in shown["The story"]
    assert shown["Left out"] == "Nothing: the model reads the whole story."
    assert shown["The last answer"].startswith("Prompt: ")

    [file] = seen.attachments
    assert (file.description or "").startswith(embed["description"].split("**")[1])
    picture = Image.open(io.BytesIO(file.data))
    assert (picture.format, picture.width) == ("PNG", 800)
    assert picture.convert("RGB").getpixel((2, 2)) == (0x31, 0x33, 0x38)


async def test_context_says_what_the_model_no_longer_reads_and_that_it_guesses(table: Tabletop) -> None:
    async with ScriptedModelServer() as model:
        evening = Evening(table, model)
        async with table.bot(model.url, CONTEXT_LENGTH="2048"):
            await table.start_scene(title="At the inn", persona="marta")
            for number in range(3):
                _, shown, _ = await evening.plays(table.ann, f"Verse {number}: " + "and the rain came " * 60)
            seen = await table.command("context")
            why = await table.command("why", {"answer": str(shown.id)})
    assert "of 2,048 tokens** are in the prompt (estimated" in seen.embeds[0]["description"]
    assert "at the story's beginning: the window was full" in fields(seen)["Left out"]
    assert "before them cut, or not known to Marta" in fields(why)["What it read"]
