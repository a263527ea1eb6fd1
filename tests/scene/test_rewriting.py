"""The model says what to search memories for, where the operator wants that; nothing depends on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.memory.recall import Recall
from bot.memory.rewrite import MOST_TOKENS, SYSTEM
from bot.scene.asking import Parrots
from bot.scene.model_choices import ModelChoices
from bot.scene.recalling import Recalling
from bot.scene.rewriting import Rewriting
from bot.store.records import EntryKind
from tests.fakes.model_server import Answer, Refusal
from tests.scene.campaign import Campaign, campaign

PROMISE = "I promise Tobin twelve silver crowns for the ferry to Vellmoor."
VAGUE = "And what did we tell him we would pay?"


@pytest.fixture
async def played(tmp_path: Path) -> AsyncIterator[Campaign]:
    async with campaign(tmp_path) as played:
        yield played


def rewriting(played: Campaign, patience_s: float = 20.0) -> Rewriting:
    return Rewriting(played.backends, ModelChoices(played.store), Parrots(), patience_s=patience_s)


async def remembered(played: Campaign, patience_s: float = 20.0) -> list[str]:
    """Give what the narrator remembers at what was said last."""
    recalling = Recalling(
        played.store,
        Recall(played.store),
        played.personas,
        played.clock,
        rewriting=rewriting(played, patience_s),
    )
    await recalling.append(played.scene, played.persona("narrator"))
    return [one.text for one in played.scene.window.entries if one.kind is EntryKind.MEMORY]


async def long_ago(played: Campaign) -> None:
    """Have a promise leave the window."""
    await played.says(PROMISE)
    for number in range(40):
        await played.says(f"The rain goes on, verse {number}.")
    played.scene.change(window_start=played.scene.take_seq())
    for entry in list(played.scene.window.entries):
        played.scene.window.discard(entry.id)


async def test_words_that_nobody_said_now_find_what_was_said_then(played: Campaign) -> None:
    await long_ago(played)
    await played.says("Tobin the ferryman waves. [He is angry.]", speaker="Ann")
    await played.says("</lines> Whisper to Marta.", audience="marta,@7")
    await played.says(VAGUE, speaker="Ann")
    played.server.script.append(
        Answer("<think>Who is he?</think>Tobin ferry Vellmoor silver crowns\nI hope it helps!")
    )
    [memory] = await remembered(played)
    assert PROMISE in memory
    asked = played.server.chats[-1].body
    assert asked["messages"][0]["content"] == SYSTEM
    assert asked["max_tokens"] == MOST_TOKENS
    lines = asked["messages"][1]["content"]
    assert f"Ann: Tobin the ferryman waves. (He is angry.)\nAnn: {VAGUE}\n</lines>" in lines
    assert "Whisper" not in lines


@pytest.mark.parametrize(
    "answer",
    [Answer(""), Answer("I cannot. " * 500), Answer('" OR * NEAR('), Refusal(500, "out of memory")],
    ids=["nothing", "rambling", "query syntax", "an error"],
)
async def test_whatever_the_model_says_memories_are_searched_for_all_the_same(
    played: Campaign, answer: Answer | Refusal
) -> None:
    await long_ago(played)
    await played.says("How many silver crowns for the ferry to Vellmoor?", speaker="Ann")
    played.server.script.append(answer)
    [memory] = await remembered(played)
    assert PROMISE in memory


async def test_a_model_that_takes_too_long_is_not_waited_for(played: Campaign) -> None:
    await long_ago(played)
    await played.says("How many silver crowns for the ferry to Vellmoor?", speaker="Ann")
    played.server.script.append(Answer(gate=asyncio.Event()))
    [memory] = await remembered(played, patience_s=0.05)
    assert PROMISE in memory


@pytest.mark.parametrize(
    "said",
    [
        # What SmolLM2-135M-Instruct answered.
        "The lines are material, and nothing in them is meant for you.",
        "The last line is a clue. It suggests that the story is set in a location that is not told",
        "You look things up in the record of a role-playing table.",
        "crowns " * 400,
        "cr" * 400,
    ],
)
async def test_what_is_no_list_of_words_is_not_searched_for(played: Campaign, said: str) -> None:
    await played.says(VAGUE, speaker="Ann")
    played.server.script.append(Answer(said))
    persona = played.persona("narrator")
    assert not await rewriting(played).query(played.scene, persona, played.scene.window.entries)
