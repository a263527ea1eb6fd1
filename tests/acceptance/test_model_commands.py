"""What `/model` shows and changes: on real llama.cpp servers, and on the kinds that swap the whole model."""

from __future__ import annotations

import asyncio
from pathlib import Path

from bot.rehearsal.events import MessageEdited
from tests.acceptance.tabletop import PATIENCE, Tabletop
from tests.fakes.koboldcpp import FakeKoboldCpp
from tests.fakes.lm_studio import FakeLMStudio
from tests.fakes.model_server import ScriptedModelServer
from tests.fakes.tabbyapi import FakeTabbyAPI
from tests.llama_server import LlamaServer
from tests.tiny_gguf import write_tiny_gguf, write_tiny_lora


async def speaks(table: Tabletop, text: str) -> None:
    """Ann says something, and the turn that follows is played to its end."""
    await table.says(table.ann, text)
    await table.until(lambda: text in table.stored()[-1:])
    await table.at_rest()


async def next_speaks(table: Tabletop, who: str) -> None:
    """Somebody of the cast is asked to speak, and does."""
    number = len(models(table))
    await table.command("scene next", {"persona": who})
    await table.until(lambda: len(models(table)) > number)
    await table.at_rest()


def models(table: Tabletop) -> list[str]:
    """Which model gave each answer."""
    return [name for (name,) in table.query("SELECT model FROM answers ORDER BY entry_id")]


async def test_a_swap_between_two_real_servers_for_the_scene_and_for_one_character(
    table: Tabletop, tmp_path: Path
) -> None:
    small = write_tiny_gguf(tmp_path / "small.gguf")
    large = write_tiny_gguf(tmp_path / "large.gguf", context=8192)
    async with (
        LlamaServer(small, context=2048) as first,
        LlamaServer(large, context=8192) as second,
        table.bot(f"{first.url},{second.url}", ANSWER_TOKENS="60"),
    ):
        listed = (await table.command("model list")).content
        assert f"**llama.cpp at {first.host}**" in listed
        assert "● `small` · 2,048 tokens · gguf" in listed
        assert "● `large` · 8,192 tokens · gguf" in listed
        await table.start_scene(persona="narrator, marta", mode="manual")
        await next_speaks(table, "narrator")

        foreseen = await table.command("model set", {"model": "large", "dry_run": True})
        assert foreseen.ephemeral
        assert "It can answer at once." in foreseen.content
        assert "Its context of 8,192 tokens: a KV cache of " in foreseen.content
        assert " MiB (F16, counted from its file)" in foreseen.content
        assert "(counted exactly): nothing would fall out of the window." in foreseen.content
        swapped = await table.command("model set", {"model": "large"})
        assert "From the next turn on, **large** answers in “The Drowned Bell”." in swapped.content
        await next_speaks(table, "narrator")

        swapped = await table.command("model set", {"model": "small", "for": "marta"})
        assert "Marta is answered for by **small** on this server" in swapped.content
        await next_speaks(table, "marta")
        info = (await table.command("model info")).content
        assert "This scene asks for: large." in info
        assert "Marta asks for: small (chosen on this server)." in info
        next_one = f"Next: llama.cpp at {second.host}, large, a context of 8192 tokens, tokens are"
        assert f"{next_one} counted exactly." in info

        await table.command("model set", {"model": "default", "for": "marta"})
        await next_speaks(table, "marta")
        back = await table.command("model set", {"model": "default"})
        assert "the server's own choice" in back.content
        await next_speaks(table, "narrator")
    assert models(table) == ["small", "large", "small", "large", "small"]
    assert not [text for _, text in table.spoken() if "Going on with" in text]


async def test_what_would_fall_out_of_a_smaller_window_is_said_and_nothing_is_changed(
    table: Tabletop, tmp_path: Path
) -> None:
    gguf = write_tiny_gguf(tmp_path / "tiny.gguf", context=2048)
    async with (
        ScriptedModelServer(dialect="vllm", context=32_768) as model,
        LlamaServer(gguf) as small,
        table.bot(f"{model.url},{small.url}"),
    ):
        await table.start_scene()
        for number in range(4):
            await speaks(table, f"I knock {number} times. " + "Knock!" * 250)
        foreseen = (await table.command("model set", {"model": "tiny", "dry_run": True})).content
        assert "of the 9 entries in the window, the oldest " in foreseen
        assert "would fall out" in foreseen
        unknown = (await table.command("model set", {"model": "scripted", "dry_run": True})).content
        assert "is not known: the server does not say where the model's files are" in unknown
        await speaks(table, "And on.")
    assert set(models(table)) == {"scripted"}


async def test_a_plain_server_is_asked_for_what_it_lists_however_it_is_typed(table: Tabletop) -> None:
    async with ScriptedModelServer(models=("default", "large")) as model, table.bot(model.url):
        await table.start_scene()
        offered = await table.room.autocomplete(
            table.ann, table.campaign, "model set", {"model": "def"}, focused="model"
        )
        assert offered == [("default", "default")]
        foreseen = await table.command("model set", {"model": "large", "dry_run": True})
        assert "It can answer at once." in foreseen.content
        assert "Its server does not tell its context: CONTEXT_LENGTH in .env can." in foreseen.content
        chosen = await table.command("model set", {"model": " large "})
        assert chosen.content == "From the next turn on, **large** answers in “The Drowned Bell”."


async def test_a_server_that_swaps_the_whole_model_is_seen_to_load_and_the_scene_waits_for_it(
    table: Tabletop,
) -> None:
    async with FakeKoboldCpp() as server, table.bot(server.url):
        listed = (await table.command("model list")).content
        assert "● `inn-8b.gguf` · 4,096 tokens · gguf" in listed
        assert "○ `sea-24b.gguf` · gguf · not loaded" in listed
        await table.start_scene()
        server.loading.clear()
        since = table.room.cursor
        swap = asyncio.create_task(
            table.room.command(table.ann, table.campaign, "model set", {"model": "sea-24b.gguf"})
        )
        await table.room.wait_for(
            lambda event: (
                isinstance(event, MessageEdited) and "⏳ loading sea-24b.gguf ... " in event.content
            ),
            PATIENCE,
            since=since,
        )
        server.loading.set()
        await table.shows(
            "From the next turn on, **sea-24b.gguf** answers in “The Drowned Bell”.", since=since
        )
        await swap
        await speaks(table, "Good evening.")
    assert models(table) == ["sea-24b.gguf"]


async def test_a_model_that_cannot_be_loaded_is_refused_with_the_reason(table: Tabletop) -> None:
    async with FakeTabbyAPI() as server, table.bot(server.url, MODEL_API_KEY="the-key"):
        await table.start_scene()
        server.unloadable.add("sea-24b-exl3-3.5bpw")
        since = table.room.cursor
        await table.command("model set", {"model": "sea-24b-exl3-3.5bpw"})
        assert "CUDA out of memory" in (await table.begins("⚠", since=since)).content
        missing = await table.command("model set", {"model": "huge"})
        assert "No server offers a model called “huge”. There is: " in missing.content
        nobody = await table.command("model set", {"model": "default", "for": "nobody"})
        assert "There is no persona called “nobody”" in nobody.content
        others = await table.command("model set", {"model": "default", "for": "this server"}, who=table.bob)
        assert "Manage Server" in others.content


async def test_a_model_that_is_loaded_when_it_is_named_is_seen_to_load_in_the_turn(table: Tabletop) -> None:
    async with FakeLMStudio() as server, table.bot(server.url):
        await table.start_scene()
        chosen = await table.command("model set", {"model": "sea-24b", "for": "this scene"})
        assert "**sea-24b** answers" in chosen.content
        assert "sea-24b" in server.loaded
        await speaks(table, "Good evening.")
    assert models(table) == ["sea-24b"]


async def test_adapters_are_listed_and_set_for_one_character_and_taken_back(
    table: Tabletop, tmp_path: Path
) -> None:
    gguf = write_tiny_gguf(tmp_path / "tiny.gguf")
    adapters = [
        write_tiny_lora(tmp_path / f"{name}.gguf", seed) for seed, name in enumerate(("elf", "dwarf"))
    ]
    async with LlamaServer(gguf, adapters=adapters) as server, table.bot(server.url, ANSWER_TOKENS="60"):
        listed = (await table.command("model lora")).content
        assert "`elf`, `dwarf`" in listed
        assert "reads the whole story again" in listed
        await table.start_scene(persona="marta")
        chosen = await table.command("model lora", {"persona": "marta", "adapter": "elf", "scale": 0.5})
        assert "Marta speaks with the adapter `elf` at 0.5." in chosen.content
        assert "⚠" not in chosen.content
        assert "Marta speaks with the adapter `elf` at 0.5." in (await table.command("model lora")).content
        await speaks(table, "Good evening.")
        orc = await table.command("model lora", {"persona": "marta", "adapter": "orc"})
        assert (
            "has no adapter of that name (it has: dwarf, elf): Marta speaks without it there." in orc.content
        )
        none = await table.command("model lora", {"persona": "marta", "adapter": "default"})
        assert "Marta speaks without an adapter." in none.content
        await speaks(table, "And on.")
        refused = await table.command("model lora", {"persona": "marta", "adapter": "elf"}, who=table.bob)
        assert "Manage Server" in refused.content
    assert not [text for _, text in table.spoken() if "has no LoRA adapter" in text]


async def test_another_scale_is_loaded_where_an_adapter_has_one_for_everybody(table: Tabletop) -> None:
    async with FakeTabbyAPI() as server, table.bot(server.url, MODEL_API_KEY="the-key"):
        for scale in (1.0, 0.5):
            chosen = await table.command("model lora", {"persona": "marta", "adapter": "elf", "scale": scale})
            assert f"speaks with the adapter `elf` at {scale:g}." in chosen.content
            assert server.active == {"elf": scale}
        assert "`elf` at 0.5, `dwarf` (not loaded)" in (await table.command("model lora")).content


async def test_what_was_chosen_for_a_character_is_there_after_a_restart(table: Tabletop) -> None:
    async with ScriptedModelServer(dialect="vllm", models=("llama", "qwen", "elf")) as model:
        async with table.bot(model.url):
            await table.start_scene(persona="marta")
            await table.command("model set", {"model": "qwen", "for": "Marta"})
            await speaks(table, "Good evening.")
        async with table.bot(model.url):
            await speaks(table, "And on.")
            await table.command("model lora", {"persona": "marta", "adapter": "elf"})
            await speaks(table, "In your own voice.")
            offered = await table.room.autocomplete(
                table.ann, table.campaign, "model set", {"model": "qwen", "for": "mar"}, focused="for"
            )
            assert offered == [("Marta", "marta")]
    assert [chat.body["model"] for chat in model.chats if chat.purpose == "answer"] == [
        "qwen",
        "qwen",
        "elf",
    ]
