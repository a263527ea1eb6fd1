"""Lineage: what was made from an entry goes, or is made again, when the entry is edited or deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.prompt.log import PINNED
from bot.prompt.text import unbracketed
from bot.store import log, lore, pins, recall, summaries

if TYPE_CHECKING:
    from bot.memory.embedding import Embedding
    from bot.scene.forgetting import Forgetting
    from bot.scene.kept import Kept
    from bot.scene.stories import Stories
    from bot.store.connection import Connection
    from bot.store.records import Entry


class Lineage:
    """Knows everything that is made from entries."""

    def __init__(self, embedding: Embedding, stories: Stories, kept: Kept, forgetting: Forgetting) -> None:
        self._embedding = embedding
        self._forgetting = forgetting
        self._stories = stories
        self._kept = kept

    async def changed(self, tx: Connection, entry: Entry, *, deleted: bool) -> list[int]:
        """Deal with what was made from `entry`, as it was, in the transaction that changes it.

        Call it before the change is stored: deleting an entry forgets what was made from it. Gives the ids of
        the memories, and of lore that repeats the entry, that were taken out of the log, in whichever scenes:
        take them out of windows too.
        """
        await self._stories.changed(tx, entry.scene_id, entry.seq)
        self._kept.changed(entry.scene_id)
        if await pins.has(tx, entry.id):
            await summaries.strike(tx, entry.scene_id, PINNED)
        gone = await recall.memories_of(tx, entry.id)
        if said := unbracketed(entry.text).strip():
            gone += await lore.quoting(tx, entry, said)
        for one in gone:
            await log.remove(tx, one)
        await self._forgetting.soon(tx)
        await self._embedding.forget(tx, entry.id, again=not deleted)
        return gone
