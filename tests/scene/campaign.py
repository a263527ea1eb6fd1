"""A scene that outgrows its window, on a scripted server that counts words, with a model that sums it up."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bot.chat import ChatMessage
from bot.memory.summary import PUBLIC, cover
from bot.model.backend import Backend
from bot.model.backends import Backends
from bot.prompt.log import STORY
from bot.scene.asking import Parrots
from bot.scene.prompter import Prompt, Prompter
from bot.scene.scene import Turn
from bot.scene.stories import Stories
from bot.scene.summarising import Summarising
from bot.scene.summary_writer import SummaryWriter
from bot.store import log, summaries
from bot.store.records import Entry, EntryKind, Stay
from bot.store.store import Store
from tests.fakes.model_server import Answer, ScriptedModelServer
from tests.rehearsal.hand_clock import HandClock
from tests.scene.sitting import Sitting, shelf
from tests.store.story import line

CONTEXT = 1600  # words
ANSWER = 60
LONG = 45
RAIN = "The rain comes down on the old stone stairs and nobody says a word about the bell. " * 2


def faithful(asked: str) -> Answer:
    """Sum up as a good model would: first what is promised, owed or hidden, then what else happened."""
    told = re.findall(r"[A-Z][^.!?\n:]*[.!?]", asked.partition(" ends here")[0])
    told = [one for one in dict.fromkeys(told) if one not in RAIN]
    told.sort(key=lambda one: not re.search(r"promise|owe|secret|hid", one))
    told = told or ["They talked in the rain."]
    return Answer(" ".join(" ".join(told).split()[:LONG]).rstrip(".,") + ".")


class Campaign(Sitting):
    """Plays one scene, with everything that sums it up."""

    server: ScriptedModelServer
    backend: Backend
    backends: Backends
    clock: HandClock
    prompter: Prompter
    stories: Stories
    summarising: Summarising
    well: Callable[[str], Answer]

    async def take_up(self, *stays: Stay) -> None:
        """Begin, or go on as after a start of the bot."""
        await self.sit(self.scene.record)
        if stays:
            self.scene.stays[:] = stays
        self.stories = Stories(self.store)
        self.prompter = Prompter(
            self.store, self.personas, self.lore, answer_tokens=ANSWER, stories=self.stories
        )
        self.summarising = Summarising(
            self.store,
            self.stories,
            self.prompter,
            SummaryWriter(self.backends, self.prompter, Parrots()),
            self.personas,
            self.clock,
        )

    async def asked(self, slug: str, seq: int | None = None) -> Prompt:
        """Give the prompt that asks one of the cast now."""
        place = seq or self.scene.window.entries[-1].seq + 1
        return await self.prompter.build(
            self.scene, self.backend, self.persona(slug), place, model=None, tight=False
        )

    async def turn(self, text: str, slug: str = "", **changes: Any) -> Prompt:
        """Have Ann say something and somebody answer; give the prompt for that. Then nobody says anything."""
        await self.says(text, speaker="Ann", **changes)
        prompt = await self.answered(slug or self.cast[0], **changes)
        await self.quiet()
        return prompt

    async def answered(self, slug: str, text: str = RAIN, **changes: Any) -> Prompt:
        """Have somebody answer what was said."""
        seq = self.scene.take_seq()
        self.scene.turns.append(Turn(1, begun=True))
        prompt = await self.asked(slug, seq)
        new = line(
            self.scene.id,
            seq,
            text,
            kind=EntryKind.ANSWER,
            speaker=self.persona(slug).name,
            persona=slug,
            author_id=None,
            **changes,
        )
        async with self.store.transaction() as tx:
            entry = await log.append(tx, new)
        self.scene.add(entry)
        self.scene.turns.clear()
        return prompt

    async def quiet(self) -> float | None:
        """Give the bot the time to sum up and read ahead; give when it wants to try again."""
        again = await self.summarising.catch_up(self.scene, self.backend, None)
        await self.prompter.ahead(self.scene, self.backend, model=None)
        return again

    async def fill(self, turns: int) -> list[Prompt]:
        """Play so many turns of no importance; give their prompts."""
        return [await self.turn(f"{number}: {RAIN}") for number in range(turns)]

    async def change_of(self, entry: Entry, text: str | None) -> None:
        """Edit an entry, or delete it if `text` is None, as the table does."""
        async with self.store.transaction() as tx:
            await self.stories.changed(tx, self.scene.id, entry.seq)
            if text is None:
                await log.remove(tx, entry.id)
                self.scene.window.discard(entry.id)
        if text is not None:
            await self.change(entry, text)

    async def rows(self) -> list[summaries.Summary]:
        async with self.store.read() as connection:
            return await summaries.of_scene(connection, self.scene.id)

    async def check_cover(self) -> None:
        """Check that what the prompts tell covers just what left the window, once."""
        shown = cover(await self.rows(), PUBLIC, self.scene.record.window_start)
        places = [seq for one in shown for seq in range(one.first_seq, one.last_seq + 1)]
        assert places == list(range(1, self.scene.record.window_start))


def story_of(prompt: Prompt) -> str:
    """Give what a prompt tells of the time before its window."""
    return prompt.messages[0].content.partition(STORY)[2]


def before_story(prompt: Prompt) -> str:
    return prompt.messages[0].content.partition(STORY)[0].rstrip()


def written(messages: tuple[ChatMessage, ...]) -> str:
    """Give messages as ChatML writes them."""
    return "".join(f"<|im_start|>{one.role}\n{one.content}<|im_end|>\n" for one in messages)


@asynccontextmanager
async def campaign(
    folder: Path, *cast: str, context: int = CONTEXT, store: Store | None = None
) -> AsyncIterator[Campaign]:
    """Begin a campaign in a folder."""
    store = store or await Store.open(folder / "hearthside.sqlite")
    clock = HandClock()
    async with ScriptedModelServer(dialect="vllm", context=context) as server:
        backends = Backends([server.url], clock=clock, cpu_model=folder / "none.gguf")
        backends.start()
        played = Campaign(store, shelf(store, folder), *(cast or ("narrator",)))
        played.server, played.backends, played.clock = server, backends, clock
        server.summary = played.well = faithful
        played.backend = await backends.choose(1)
        await played.begin(lead=played.cast[0])
        await played.take_up()
        try:
            yield played
        finally:
            await backends.aclose()
            await store.aclose()
