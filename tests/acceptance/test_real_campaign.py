"""The first 120 turns of a real campaign, played by five people, with a power cut in the middle."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bot.rehearsal.guilds import Member
from tests.acceptance.tabletop import PROJECT, Tabletop
from tests.fakes.model_server import ScriptedModelServer

TRANSCRIPT = PROJECT.parent / "shared" / "data" / "crd3" / "C1E001.turns.jsonl"
CONTEXT = 2048  # the fake counts words as tokens, so this is some 2700 real ones
TURNS = 120
CUT_AT = 60


@pytest.mark.skipif(
    not TRANSCRIPT.exists(), reason=f"the transcript {TRANSCRIPT.name} is not on this machine"
)
async def test_nothing_is_lost_or_doubled_over_a_whole_evening(table: Tabletop) -> None:
    lines = _lines(TRANSCRIPT)
    async with ScriptedModelServer(dialect="vllm", context=CONTEXT) as model:
        async with table.bot(model.url):
            await table.start_scene(title="Kraghammer", persona="narrator, marta")
            await _play(table, lines[:CUT_AT])
            for player, text in lines[CUT_AT : CUT_AT + 5]:
                await table.says(_seat(table, player), text)
            await table.until(lambda: len(table.stored()) > CUT_AT)
            await table.kill()
        async with table.bot(model.url):
            await table.until(lambda: len(table.stored()) == CUT_AT + 5)
            await _play(table, lines[CUT_AT + 5 :])
        await table.at_rest()

    assert table.stored() == [text for _, text in lines]
    answered = table.query("SELECT turn_id, persona, count(*) FROM replies GROUP BY turn_id, persona")
    assert all(count == 1 for *_, count in answered)
    shown = [name for name, _ in table.spoken() if name in {"The Narrator", "Marta"}]
    assert len(shown) == 1 + table.query("SELECT count(*) FROM replies WHERE state = 'done'")[0][0]
    assert not table.query("SELECT 1 FROM replies WHERE state != 'done'")
    assert model.refused == 0
    assert table.query("SELECT window_start FROM scenes")[0][0] > 1  # the window was cut on the way


async def _play(table: Tabletop, lines: list[tuple[str, str]]) -> None:
    """Say the lines as they were said; after every third the table listens to the answer."""
    for number, (player, text) in enumerate(lines, 1):
        await table.says(_seat(table, player), text)
        if number % 3 == 0:
            await table.until(lambda: len(table.stored()) >= len(_told(table)))
            await table.at_rest()
    await table.until(lambda: len(table.stored()) >= len(_told(table)))
    await table.at_rest()


def _told(table: Tabletop) -> list[str]:
    players = {table.ann.id, table.bob.id, table.cleo.id, table.dov.id, table.eve.id}
    return [one.content for one in table.room.messages(table.campaign) if one.author.id in players]


def _seat(table: Tabletop, player: str) -> Member:
    seats = {"MATT": table.ann, "SAM": table.bob, "ORION": table.cleo, "LAURA": table.dov}
    return seats.get(player, table.eve)


def _lines(transcript: Path) -> list[tuple[str, str]]:
    rows = [json.loads(line) for line in transcript.read_text(encoding="utf-8").splitlines()[:TURNS]]
    return [(row["speakers"][0], row["text"][:2000]) for row in rows]
