"""A table with a real model server behind a tap, for benches that play whole evenings."""

from __future__ import annotations

import json
import struct
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from bot.rehearsal.message_forms import Upload
from tests.acceptance.tabletop import Tabletop
from tests.fakes.tap import Tap

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from bot.model.cpu import Endpoint
    from bot.rehearsal.guilds import Channel

Figures = dict[str, Any]

ANSWER_TOKENS = 80
PATIENCE = 300.0  # seconds for one turn
MARK = b"hearthside.corpus_version"  # of the bundled model, in its metadata
UINT32 = struct.Struct("<I")
TRAINED_FOR = b"llama.context_length" + UINT32.pack(4)  # the key, and that its value is such a number


class Evening:
    """One table with a real model server behind a tap."""

    def __init__(self, table: Tabletop, tap: Tap) -> None:
        self.table = table
        self.tap = tap
        self.tokens = 0
        """Those of the last prompt in the campaign's channel."""

    async def turn(self, player: str, text: str, channel: Channel | None = None) -> float:
        """Have a player say something and wait until the server is idle again.

        Gives the seconds from the message to the first token of the answer.
        """
        answers = len(self.tap.answers)
        begun = time.perf_counter()
        await self.table.says(self._seat(player), text, channel=channel)
        await self.tap.until(lambda: len(self.tap.answers) > answers, PATIENCE)
        answer = self.tap.answers[answers]
        await self.tap.until(lambda: answer.ended is not None, PATIENCE)
        await self.table.at_rest()
        await self.tap.until(lambda: self.tap.at_rest, PATIENCE)
        if answer.cost and channel is None:
            self.tokens = answer.prompt_tokens
        return (answer.first_token or answer.ended or begun) - begun

    def _seat(self, player: str) -> Any:
        table = self.table
        seats = {"MATT": table.ann, "SAM": table.bob, "ORION": table.cleo, "LAURA": table.dov}
        return seats.get(player, table.eve)


@asynccontextmanager
async def evening(folder: Path, endpoint: Endpoint, book: Figures | None) -> AsyncIterator[Evening]:
    """Set the table, with the bot at it and a lorebook open."""
    async with Tabletop(folder, folder / "empty.sqlite").served() as table, Tap(endpoint.url) as tap:
        settings = {"MODEL_API_KEY": endpoint.api_key, "ANSWER_TOKENS": str(ANSWER_TOKENS)}
        async with table.bot(tap.url, **settings):
            if book:
                data = json.dumps(book).encode()
                await table.command("lore import", {"file": Upload("valley.json", data)})
            await table.start_scene(title="Kraghammer", persona="narrator, marta")
            yield Evening(table, tap)


def unmarked(model: Path, folder: Path, context: int) -> Path:
    """Give a copy of the bundled model that the bot takes for any other: it is asked to sum up, too.

    It says that it was trained for so long a `context`: what counts is how much is read, not how it answers.
    """
    data = bytearray(model.read_bytes().replace(MARK, MARK[:-1] + b"_"))
    if (key := data.find(TRAINED_FOR)) >= 0:
        place = key + len(TRAINED_FOR)
        UINT32.pack_into(data, place, max(context, *UINT32.unpack_from(data, place)))
    copy = folder / model.name
    copy.write_bytes(data)
    return copy
