"""What is remembered of a scene, for the one who asks: found, forgotten, taken along, told again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from bot.errors import TableError
from bot.scene.choosing import LEAST_MEANING
from bot.scene.export import Export, exported
from bot.scene.knowledge import Asker, Ken, ken_of, shortened
from bot.store import knowledge, log
from bot.store.records import Entry, EntryKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bot.memory.embedding import Embedding
    from bot.memory.recall import Hit, Recall
    from bot.scene.scene import Scene
    from bot.scene.stories import Stories
    from bot.scene.table import Table

LOOKED_AT = 500  # entries that were found, of which those are shown that the asker may know
FOUND = 10
OFFERED = 25
QUOTE_CHARACTERS = 220
RECAP_ENTRIES = 12
RECAP_CHARACTERS = 1900
STORY_CHARACTERS = 1100  # of the recap, for what is summed up

NOTHING_KNOWN = (
    "Your character has not been in this story yet. What happens from the first thing you say is yours."
)


@dataclass(frozen=True, slots=True)
class Found:
    """An entry that was found, and the number of the session in which it was said."""

    entry: Entry
    session: int


class Memories:
    """Answers questions about what happened. Nobody learns from it what their character does not know."""

    def __init__(self, table: Table, stories: Stories, embedding: Embedding, recall: Recall) -> None:
        self._table = table
        self._recall = recall
        self._embedding = embedding
        self._store = table.store
        self._stories = stories

    # -- finding and forgetting ---------------------------------------------------------------------------

    async def search(self, scene: Scene, text: str, asker: Asker, limit: int = FOUND) -> list[Found]:
        """Find what was said that fits a text, best first."""
        async with self._store.read() as connection:
            ken = await ken_of(connection, scene.id, asker)
        hits = await self._recall.search([scene.id], text, LOOKED_AT)
        known = [hit.entry for hit in hits if ken.covers(hit.entry) and _fits(hit)]
        return [Found(entry, ken.session_of(entry.seq)) for entry in known[:limit]]

    async def forgettable(self, scene: Scene, wanted: str, asker: Asker) -> Entry:
        """Find the entry `#id` that the asker may have forgotten: their own; who directs the scene: any."""
        number = wanted.strip().removeprefix("#")
        async with self._store.read() as connection:
            known = number.isascii() and number.isdigit() and len(number) < 19
            entry = await log.by_id(connection, scene.id, int(number)) if known else None
            ken = await ken_of(connection, scene.id, asker)
        if entry is None or not (asker.directs or ken.covers(entry)):
            raise TableError("There is no such memory.", hint="/memory search shows each with its number.")
        if not asker.directs and entry.author_id != asker.member_id:
            raise TableError("Only who said it and the game master can have that forgotten.")
        return entry

    async def forget(self, scene: Scene, entry: Entry) -> None:
        """Delete an entry and all that was made from it."""
        await self._table.forget(scene, entry.id)

    async def own(self, scene: Scene, text: str, asker: Asker) -> list[Entry]:
        """Find what the asker may have forgotten that fits what they have typed so far.

        First what has it all, the latest first, for the last word may be half a word; then what a search by
        words finds, which knows other forms of a word, and letters without their accents.
        """
        async with self._store.read() as connection:
            ken = await ken_of(connection, scene.id, asker)
            said = await log.saying(connection, scene.id, text.split()[:32], LOOKED_AT)
        hits = await self._recall.search([scene.id], text, LOOKED_AT, by_meaning=False)
        found = {entry.id: entry for entry in [*said, *(hit.entry for hit in hits if hit.named)]}
        known = (entry for entry in found.values() if ken.covers(entry))
        mine = (entry for entry in known if asker.directs or entry.author_id == asker.member_id)
        return list(islice(mine, OFFERED))

    async def overview(self, scene: Scene) -> list[str]:
        """Say how much is remembered of a scene, and how it is found again."""
        async with self._store.read() as connection:
            entries = await log.count(connection, scene.id)
            sessions = len(await knowledge.sessions_of(connection, scene.id))
        summed_up = sum(not one.stale for one in await self._stories.all(scene))
        evenings = f"{sessions:,} session{'' if sessions == 1 else 's'}"
        summaries = f"{summed_up:,} summar{'y' if summed_up == 1 else 'ies'}"
        return [f"{entries:,} entries in {evenings}, {summaries}.", await self._embedding.report()]

    # -- all of it ----------------------------------------------------------------------------------------

    async def export(self, scene: Scene, asker: Asker, most_bytes: int) -> Export:
        """Give what the asker may know of a scene as a file. Raises TableError if it is too long for that."""
        return await exported(self._store, self._stories, scene, asker, most_bytes)

    # -- telling it again ---------------------------------------------------------------------------------

    async def recap(self, scene: Scene, asker: Asker, *, for_all: bool = False) -> str:
        """Tell what the asker's character knows, or what all may know, within one message of Discord.

        What is summed up is told to those who were there in every session; to others the last lines of those
        sessions that they were in. Even who directs the scene is not told what others whispered: they play.
        """
        async with self._store.read() as connection:
            ken = await ken_of(connection, scene.id, asker)
            entries = await log.last(connection, scene.id, LOOKED_AT)
        player = replace(ken, asker=replace(asker, directs=False))
        known = [one for one in entries if (player.covers(one) and not for_all) or _public(one, ken)]
        known = known[-RECAP_ENTRIES:]
        story = await self._stories.story(scene, None) if ken.whole and ken.sessions else ""
        title = f"**{scene.record.title}**"
        if not known and not story:
            return f"{title}: {'Nothing has happened yet.' if ken.whole else NOTHING_KNOWN}"
        parts = [f"{title}, so far:\n{_cut(story)}"] if story else []
        room = RECAP_CHARACTERS - sum(map(len, parts)) - len(title)
        parts.append("\n".join([f"{title}, lately:", *_lines(known, ken, room)]))
        return "\n\n".join(parts)


def _fits(hit: Hit) -> bool:
    """Tell whether an entry fits by itself: what stands beside a whisper must not tell that there is one."""
    return hit.named or (hit.meaning is not None and hit.meaning >= LEAST_MEANING)


def _public(entry: Entry, ken: Ken) -> bool:
    """Tell whether somebody who directs the scene may tell everybody of an entry."""
    return entry.audience is None and ken.asker.directs and ken.covers(entry)


def _lines(known: Sequence[Entry], ken: Ken, room: int) -> list[str]:
    """Quote the last entries that fit, with a line where a session begins."""
    lines: list[str] = []
    later = None
    for entry in reversed(known):
        line = quote(entry)
        session = ken.session_of(entry.seq)
        heading = f"-# Session {later}" if later not in {None, session} else ""
        room -= len(line) + len(heading) + 2
        if room < 0:
            break
        lines = [line, *filter(None, [heading]), *lines]
        later = session
    return lines


def quote(entry: Entry) -> str:
    """Show an entry, shortened, on one line."""
    shown = shortened(entry.text, QUOTE_CHARACTERS)
    return f"*{shown}*" if entry.kind is EntryKind.NOTE else f"**{entry.speaker}**: {shown}"


def _cut(story: str) -> str:
    """Give the last paragraphs of a story that fit into a recap."""
    shown: list[str] = []
    room = STORY_CHARACTERS
    for paragraph in reversed(story.split("\n\n")):
        room -= len(paragraph) + 1
        if room < 0 and shown:
            break
        shown.insert(0, shortened(paragraph, STORY_CHARACTERS))
    return "\n".join(shown)
