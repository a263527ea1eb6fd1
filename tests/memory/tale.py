"""A scene to search in, for every test that looks for what was said."""

from __future__ import annotations

from bot.memory.recall import Hit, Recall
from bot.store import log
from bot.store.records import Entry
from bot.store.store import Store
from tests.store.story import line

WEATHER = ("The rain goes on.", "Somebody coughs.", "The fire is low.", "A dog barks far away.")


class Tale:
    """A scene in which much is said, and what is found in it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.recall = Recall(store)
        self.scene_id = 0
        self.seq = 0

    async def says(self, *texts: str, **changes: object) -> Entry:
        async with self.store.transaction() as tx:
            for text in texts:
                self.seq += 1
                entry = await log.append(tx, line(self.scene_id, self.seq, text, **changes))
        return entry

    async def chatter(self, lines: int) -> None:
        await self.says(*(WEATHER[number % len(WEATHER)] for number in range(lines)))

    async def search(self, text: str, limit: int = 5) -> list[Hit]:
        return await self.recall.search([self.scene_id], text, limit)

    async def first(self, text: str) -> str:
        return (await self.search(text))[0].entry.text
