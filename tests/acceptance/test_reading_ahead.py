"""The model server reads ahead while nobody waits: the next turn pays for what is new in it, and no more.

Played on the real llama.cpp with a tiny model; a tap between the two notes what is sent and what it costs.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from bot.model.cpu import Endpoint
from bot.rehearsal.guilds import Member
from tests.acceptance.tabletop import Tabletop
from tests.fakes.tap import Passed, Tap
from tests.model.conftest import serving
from tests.tiny_gguf import write_tiny_gguf

CONTEXT = 4096
SHORT = 2304  # tokens; the head takes some 1300, so a few turns fill what is left
TEMPLATE = 16  # tokens at the end of a prompt, after what is said; there is no token longer than a word
LINE = "The rain comes down on the old stone stairs, and I count the bells under the bridge. "


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    with serving(write_tiny_gguf(tmp_path_factory.mktemp("models") / "tiny.gguf"), CONTEXT) as endpoint:
        yield endpoint


@asynccontextmanager
async def playing(table: Tabletop, llama: Endpoint, context: int = CONTEXT) -> AsyncIterator[Tap]:
    """A bot with that server behind a tap."""
    async with Tap(llama.url) as tap:
        limits = {"ANSWER_TOKENS": "60", "CONTEXT_LENGTH": str(context)}
        async with table.bot(tap.url, MODEL_API_KEY=llama.api_key, **limits):
            yield tap


async def turn(table: Tabletop, tap: Tap, text: str) -> Passed:
    """Have Ann say something; give the request for the answer once the server has read ahead after it."""
    return await turn_of(table, tap, table.ann, text)


async def turn_of(table: Tabletop, tap: Tap, who: Member, text: str) -> Passed:
    """Have somebody say something; see `turn`."""
    answers = len(tap.answers)
    await table.says(who, text)
    await tap.until(lambda: len(tap.answers) > answers and tap.at_rest)
    await table.at_rest()
    return tap.answers[-1]


def shared(one: Passed, other: Passed) -> int:
    """How many messages two prompts begin with alike."""
    pairs = zip(one.messages, other.messages, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(one.messages), len(other.messages)))


async def test_the_window_is_cut_and_read_before_the_turn_that_would_have_paid(
    table: Tabletop, llama: Endpoint
) -> None:
    async with playing(table, llama, SHORT) as tap:
        await table.start_scene()
        await turn(table, tap, "Hello?")
        cuts = 0
        for number in range(20):
            before = tap.answers[-1]
            answer = await turn(table, tap, f"{number}: {LINE}")
            said = len(f"Ann: {number}: {LINE}\n[The Narrator answers.]")
            assert answer.evaluated <= said, "a player paid for more than they said"
            cuts += shared(before, answer) < len(before.messages)
        assert cuts >= 2
    assert table.query("SELECT window_start FROM scenes")[0][0] > 1
    assert table.log().count("window_cut") >= cuts


async def test_what_nobody_answers_is_read_while_the_table_talks(table: Tabletop, llama: Endpoint) -> None:
    async with playing(table, llama) as tap:
        await table.start_scene(title="Fog", mode="mention-only")
        for number in range(3):
            await table.says(table.ann, f"{number}: {LINE}")
        await tap.until(lambda: any("2: " in _last_line(chat) and chat.cost for chat in tap.read_ahead))
        await table.says(table.bob, f"What now, <@{table.application.user.id}>?")
        await tap.until(lambda: bool(tap.answers) and tap.answers[0].ended is not None)
        await table.at_rest()
    answer = tap.answers[0]  # a random model may find no words, and is asked again
    assert answer.messages[-1]["content"].count(LINE.strip()) == 3
    assert answer.evaluated < 60 < answer.prompt_tokens


async def test_what_is_said_while_another_player_types_is_read_meanwhile(
    table: Tabletop, llama: Endpoint
) -> None:
    async with playing(table, llama) as tap:
        await table.start_scene(title="Fog")
        await turn(table, tap, "Hello?")
        asked = len(tap.answers)
        await table.room.type(table.bob, table.campaign)
        await table.says(table.ann, LINE)
        await tap.until(lambda: LINE.strip() in _last_line(tap.read_ahead[-1]))
        await tap.until(lambda: bool(tap.read_ahead[-1].cost))
        assert len(tap.answers) == asked
        answer = await turn_of(table, tap, table.bob, "Me too.")
    assert answer.messages[-1]["content"] == f"Ann: {LINE.strip()}\nBob: Me too.\n[The Narrator answers.]"
    assert answer.evaluated < len("Bob: Me too.\n[The Narrator answers.]") + TEMPLATE


async def test_an_edit_further_back_is_paid_for_once_and_a_newcomer_too(
    table: Tabletop, llama: Endpoint
) -> None:
    async with playing(table, llama) as tap:
        await table.start_scene(title="Fog")
        first = await table.says(table.ann, "I knock.")
        await tap.until(lambda: tap.at_rest)
        for _ in range(2):
            usual = await turn(table, tap, "I knock again.")
        before = len(tap.chats)
        await table.room.edit(first, "I sing.")
        await table.until(lambda: table.stored()[0] == "I sing.")
        edited = await turn(table, tap, "And now?")
        assert edited.messages[3]["content"].startswith("Ann: I sing.")
        # In the turn, or by reading ahead if that was just about to begin.
        assert sum(chat.evaluated for chat in tap.chats[before:] if chat.cost) > 2 * usual.evaluated
        assert (await turn(table, tap, "And now?")).evaluated < usual.evaluated
        before = len(tap.chats)
        await table.command("scene add", {"persona": "tobin"})
        await turn(table, tap, "Who is that?")
        assert sum(chat.evaluated for chat in tap.chats[before:] if chat.cost) > 5 * usual.evaluated


def _last_line(chat: Passed) -> str:
    return chat.messages[-1]["content"]
