"""Prompts as scenes really build them: whole random evenings, and what happens while counts are awaited."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Coroutine
from contextlib import aclosing
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bot.chat import ChatMessage, TokenCount
from bot.clock import SystemClock
from bot.memory.recall import Recall
from bot.prompt.log import SILENCE, UNTOLD, cue
from bot.prompt.window import CUT_MARK
from bot.scene.prompter import Prompt, Prompter
from bot.scene.recalling import Recalling
from bot.scene.scene import Turn
from bot.scene.stories import Stories
from bot.store import knowledge, recall, scenes
from bot.store.records import Entry, EntryKind
from bot.store.store import Store
from bot.store.summaries import Summary
from tests.fakes.word_server import WordServer
from tests.prompt.strategies import PLAYERS, texts
from tests.scene.sitting import Sitting, shelf
from tests.store.story import MIRA

ANSWER = 60
CONTEXT = 1200
"""The cards have to be shortened for it, and what is left is full after a dozen lines."""
CAST = {"marta": 90, "old-rusk": 200, "wren": 0, "keeper": 200}
"""Who plays, and how long their answers may be; a longer answer leaves less room for cards."""
NARRATOR = "keeper"
SECRET = " ".join(["The keeper drowned the bell."] * 10)
LORE = "The bell drowned."
BOOK = (
    {"key": ["door"], "content": "{{char}} knows the door. {{random::Oak::Elm}} {{roll:1d20}}"},
    {"key": ["bell"], "content": LORE, "sticky": 3},
    {"key": ["die"], "content": "Nobody dies here. {{user}}?", "cooldown": 4, "probability": 60},
    {"key": ["lantern"], "content": "It is lit.", "constant": True},
)
ASIDE = st.sampled_from([EntryKind.NOTE, EntryKind.LORE, EntryKind.MEMORY])
KEYS = st.sampled_from(["The door!", "A bell.", "I die."])
OWED = "We owe Tobin twelve silver crowns for the ferry to Vellmoor."
"""Said again after it has left the window, it is remembered."""
SAID = st.one_of(texts, KEYS, st.just(OWED), st.integers(20, 150).map("rain ".__mul__))


def written(messages: tuple[ChatMessage, ...]) -> str:
    """Give messages as ChatML writes them."""
    return "".join(f"<|im_start|>{one.role}\n{one.content}<|im_end|>\n" for one in messages)


def opened(messages: tuple[ChatMessage, ...], without: str = "") -> str:
    """Give a prompt up to where its last message may go on; `without` its last line."""
    *whole, last = messages
    text = last.content.removesuffix(without).removesuffix("\n") if without else last.content
    return written(tuple(whole)) + ("" if text in {"", SILENCE} else f"<|im_start|>user\n{text}")


def lasting(prompt: Prompt) -> tuple[ChatMessage, ...]:
    """Give a prompt without what is told at its end, which the next one does not repeat."""
    *whole, last = prompt.messages
    return (
        *whole,
        ChatMessage(last.role, last.content.replace(f"{prompt.aside}\n" * bool(prompt.aside), "")),
    )


class Playing(Sitting):
    """A sitting whose prompts are built."""

    server: WordServer
    prompter: Prompter
    recalling: Recalling
    stories: Stories

    async def take_up(self) -> None:
        """Begin, or go on as after a start of the bot: with what is stored of the scene, and nothing else."""
        async with self.store.read() as connection:
            records = await scenes.unended(connection)
        await self.sit(next(one for one in records if one.id == self.scene.id))
        self.stories = Stories(self.store)
        self.recalling = Recalling(self.store, Recall(self.store), self.personas, SystemClock())
        self.prompter = Prompter(
            self.store, self.personas, self.lore, answer_tokens=ANSWER, stories=self.stories
        )

    async def fill(self, tokens: int) -> None:
        """Have the window filled with so many tokens, or a few more."""
        while self.scene.window.tokens < tokens:
            await self.says("rain " * 30)

    async def asked(self, slug: str, audience: str | None = None) -> Prompt:
        """Give the prompt that asks one of the cast for an answer, behind the lore and memories it needs."""
        persona = self.persona(slug)
        await self.lore.append(self.scene, persona, audience)
        await self.recalling.append(self.scene, persona, audience)
        backend, seq = self.server.as_backend(), self.scene.take_seq()
        return await self.prompter.build(self.scene, backend, persona, seq, model=None, tight=False)

    async def ahead(self) -> tuple[ChatMessage, ...]:
        return await self.prompter.ahead(self.scene, self.server.as_backend(), model=None)

    async def remembered(self, prompt: Prompt) -> list[tuple[int, str | None]]:
        """Give the entries that memories in a prompt tell of, and to whom."""
        memories = {one.id: one.audience for one in prompt.entries if one.kind is EntryKind.MEMORY}
        async with self.store.read() as connection:
            sources = await recall.recalled_in(connection, list(memories))
        return [(entry, memories[memory]) for memory, told in sources.items() for entry in told]

    async def keeps_secret(self, text: str) -> None:
        async with self.store.transaction() as tx:
            await knowledge.add_secret(tx, self.scene.id, text, MIRA, 0.0)

    async def sum_up(self, text: str) -> bool:
        """Sum up what left the window since that was last done; tell whether there was anything."""
        first = await self.stories.summed_up_to(self.scene) + 1
        last = self.scene.record.window_start - 1
        made = Summary(0, self.scene.id, "", 0, first, last, stale=False, made_at=0.0)
        as_of = await self.stories.changes(self.scene)
        return first <= last and await self.stories.keep(self.scene, made, text, as_of)


def persona_files(folder: Path) -> Path:
    """Write the cast's files: each has a card that is short without its last paragraphs."""
    folder.mkdir()
    words = "".join(f"It has been said {number} times. " * 3 + "\n\n" for number in range(4))
    for slug, tokens in CAST.items():
        card = f'name = "{slug.title()}"\ndescription = """\nKeeps the inn.\n\n{words}"""\n'
        length = f"[sampling]\nmax_tokens = {tokens}\n" if tokens else ""
        narrator = "narrator = true\n" if slug == NARRATOR else ""
        (folder / f"{slug}.toml").write_text(narrator + card + length, encoding="utf-8")
    return folder


@cache
def empty_store() -> bytes:
    """Give the file of a new store: its tables take 0.15 s to make, too long for each evening."""

    async def make(file: Path) -> None:
        await (await Store.open(file)).aclose()

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "hearthside.sqlite"
        asyncio.run(make(file))
        return file.read_bytes()


async def playing(store: Store, folder: Path, context: int = CONTEXT) -> Playing:
    """Begin a scene with a lorebook."""
    table = Playing(store, shelf(store, folder, persona_files(folder / "personas")), *CAST)
    table.server = WordServer(context)
    await table.begin(lead="old-rusk")
    await table.bring(*BOOK)
    await table.take_up()
    await table.keeps_secret(SECRET)
    return table


class Evening(RuleBasedStateMachine):
    """One scene over the real store, with lore, memories and secrets, until hypothesis has seen enough.

    `promised` is what the next prompt has to begin with, whoever is asked, as long as all of the cast know
    the same; `own` is that for each of them. There is no promise after a cut.
    """

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.loop = asyncio.Runner()
        folder = Path(self.folder.name)
        (folder / "hearthside.sqlite").write_bytes(empty_store())
        self.store = self.do(Store.open(folder / "hearthside.sqlite"))
        self.table = self.do(playing(self.store, folder))
        self.promised = self.read = ""
        self.own: dict[str, str] = {}
        self.asked = ""  # whom the last prompt asked, if the answer can be taken back
        self.prompt: Prompt | None = None
        self.heard: set[int] = set()  # what anybody was asked about
        self.discreet = self.untold = False

    def do(self, what: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run(what)

    def teardown(self) -> None:
        self.do(self.store.aclose())
        self.loop.close()
        self.folder.cleanup()

    @initialize(discreet=st.booleans())
    def some_evenings_have_whispers(self, discreet: bool) -> None:
        self.discreet = discreet

    @property
    def entries(self) -> list[Entry]:
        return list(self.table.scene.window.entries)

    def unanswered(self) -> Entry | None:
        """The last thing that a player said, while nobody has been asked about it."""
        last = next((one for one in reversed(self.entries) if one.kind is EntryKind.PLAYER), None)
        return last if last and last.id not in self.heard else None

    @rule(player=st.sampled_from(PLAYERS), text=SAID)
    def a_player_speaks(self, player: str, text: str) -> None:
        self.do(self.table.says(text, speaker=player))

    @precondition(lambda self: self.discreet)
    @rule(slug=st.sampled_from([*CAST]), text=SAID)
    def somebody_is_whispered_to_and_answers(self, slug: str, text: str) -> None:
        audience = f"{slug},@{MIRA}"
        self.do(self.table.says(text, audience=audience))
        self.answer(slug, "I know.", audience)

    @rule(kind=ASIDE, text=texts)
    def the_table_notes_a_roll_tells_lore_or_remembers(self, kind: EntryKind, text: str) -> None:
        self.do(self.table.says(text, kind))

    @precondition(lambda self: self.unanswered())
    @rule(text=SAID)
    def the_last_message_is_edited_before_anybody_has_answered(self, text: str) -> None:
        last = self.unanswered()
        assert last
        self.do(self.table.change(last, text))
        self.read = ""

    @rule(slug=st.sampled_from([*CAST]), text=SAID)
    def anybody_of_the_cast_answers(self, slug: str, text: str) -> None:
        self.answer(slug, text)

    @rule(slug=st.sampled_from([*CAST]))
    def somebody_finds_no_words(self, slug: str) -> None:
        self.promise(slug, opened(lasting(self.ask(slug)), cue(self.table.persona(slug).name)))
        self.asked = ""

    @precondition(lambda self: self.asked and self.entries[-1].kind is EntryKind.ANSWER)
    @rule(slug=st.sampled_from([*CAST]), same=st.booleans())
    def an_answer_is_taken_back_and_given_again(self, slug: str, same: bool) -> None:
        """By the same character, or by another of the cast: only the cue may differ."""
        assert self.prompt
        self.do(self.table.forget([self.entries[-1]]))
        if self.own:  # else the window was cut since, for what was read ahead
            self.promise(self.asked, opened(lasting(self.prompt), cue(self.table.persona(self.asked).name)))
        self.read = ""
        self.answer(self.asked if same else slug, "So be it.")

    @rule()
    def the_server_reads_ahead(self) -> None:
        start = self.table.scene.record.window_start
        ahead = self.do(self.table.ahead())
        if self.table.scene.record.window_start != start:
            self.forget()
        assert opened(ahead).startswith(self.promised)
        assert opened(ahead).startswith(self.own.get(self.table.scene.record.lead, ""))
        assert opened(ahead).startswith(self.read), "what was read ahead was read in vain"
        assert SECRET not in str(ahead)
        self.read = opened(ahead)

    @rule()
    def what_left_the_window_is_summed_up(self) -> None:
        """It is told from the next cut on: until then prompts begin as they did."""
        self.untold |= self.do(self.table.sum_up("They talked in the rain."))

    @precondition(lambda self: not self.untold and not any(CUT_MARK in one.text for one in self.entries))
    @rule()
    def the_bot_is_started_again(self) -> None:
        before = self.entries
        self.do(self.table.take_up())
        assert [one.id for one in self.entries] == [one.id for one in before], "the window begins elsewhere"

    def answer(self, slug: str, text: str, audience: str | None = None) -> None:
        """Have somebody asked, and answer."""
        prompt = self.ask(slug, audience)
        name = self.table.persona(slug).name
        self.do(
            self.table.says(
                text, EntryKind.ANSWER, speaker=name, persona=slug, audience=audience, author_id=None
            )
        )
        self.promise(slug, f"{written(lasting(prompt))}<|im_start|>assistant\n")
        self.asked = slug

    def ask(self, slug: str, audience: str | None = None) -> Prompt:
        """Ask for an answer, and hold the prompt against the one before it and what was read ahead."""
        start = self.table.scene.record.window_start
        prompt: Prompt = self.do(self.table.asked(slug, audience))
        short = any(CUT_MARK in one.text for one in prompt.entries)
        if short or self.table.scene.record.window_start != start:
            self.forget()  # the one time that the beginning changes
        text = written(prompt.messages)
        assert text.startswith(self.promised)
        assert text.startswith(self.own.get(slug, ""))
        if not self.discreet or slug == self.table.scene.record.lead:
            assert text.startswith(self.read), "what was read ahead was read in vain"
        self.check_what_it_tells(prompt, slug)
        self.check_what_it_costs(prompt)
        self.heard |= {one.id for one in prompt.entries}
        self.prompt, self.read = prompt, ""
        return prompt

    def check_what_it_tells(self, prompt: Prompt, slug: str) -> None:
        """Nobody is told what they do not know, and nothing is told the same twice."""
        known = [
            one.seq
            for one in self.entries
            if slug == NARRATOR or one.audience is None or slug in one.audience.split(",")
        ]
        assert [one.seq for one in prompt.entries] == [seq for seq in known if seq <= prompt.entries[-1].seq]
        assert (UNTOLD in str(prompt.messages)) == (SECRET in str(prompt.messages)) == (slug == NARRATOR)
        lore = [one.audience for one in prompt.entries if one.kind is EntryKind.LORE and one.text == LORE]
        assert len(lore) == len(set(lore)), "lore was told twice in one window to the same"
        told = self.do(self.table.remembered(prompt))
        assert len(told) == len(set(told)), "a memory was told twice in one window to the same"

    def check_what_it_costs(self, prompt: Prompt) -> None:
        billed = self.table.server.billed(prompt.messages)
        assert billed + prompt.max_tokens <= CONTEXT
        assert prompt.tokens.tokens == billed or not prompt.tokens.exact

    def promise(self, slug: str, text: str) -> None:
        """Note what the next prompt begins with: theirs, and if all know the same, anybody's."""
        self.own[slug] = text
        self.promised = "" if self.discreet else text

    def forget(self) -> None:
        self.promised = self.read = ""
        self.own.clear()
        self.untold = False

    @invariant()
    def the_window_knows_what_it_costs(self) -> None:
        window = self.table.scene.window
        assert window.tokens == sum(one.tokens or 0 for one in window.entries)


Evening.TestCase.settings = settings(max_examples=12, stateful_step_count=36, deadline=None)
test_evenings = Evening.TestCase


@pytest.fixture
async def table(tmp_path: Path) -> AsyncIterator[Playing]:
    async with aclosing(await Store.open(tmp_path / "hearthside.sqlite")) as store:
        yield await playing(store, tmp_path)


def said(prompt: Prompt) -> str:
    return prompt.messages[-1].content


async def test_scenes_that_count_at_the_same_time_do_not_forget_each_others_counts(table: Playing) -> None:
    other = Playing(table.store, table.personas, *CAST)
    other.server = table.server
    await other.begin(channel_id=2, lead="old-rusk")
    for one in (table, other):
        for number in range(5):
            await one.says(f"{number} bells")
    other.lore, other.prompter, other.recalling = table.lore, table.prompter, table.recalling
    first, second = await asyncio.gather(table.asked("wren"), other.asked("marta"))
    for prompt in (first, second):
        assert prompt.tokens == TokenCount(table.server.billed(prompt.messages), exact=True)
        assert {entry.fingerprint for entry in prompt.entries} == {"words"}


async def test_what_is_edited_or_deleted_while_it_is_counted_is_what_players_see(table: Playing) -> None:
    await table.asked("wren")
    one, two, _ = [await table.says(text) for text in ("I open.", "I sing, and sing.", "I wait.")]
    table.server.hold()
    asking = asyncio.create_task(table.asked("wren"))
    await table.server.asked.wait()
    await table.change(one, "I knock three times, softly.")
    await table.forget([two])
    table.server.gate.set()
    assert said(await asking) == "Mira: I knock three times, softly.\nMira: I wait.\n[Wren answers.]"
    prompt = await table.asked("wren")
    assert prompt.tokens == TokenCount(table.server.billed(prompt.messages), exact=True)
    assert [entry.text for entry in prompt.counted] == ["I knock three times, softly."]


async def test_a_turn_that_begins_while_the_server_is_to_read_ahead_is_not_cut_for_it(table: Playing) -> None:
    """The cut is for a turn to come; this one has come, and fits as it is."""
    await table.asked("wren")
    backend = table.server.as_backend()
    while (await table.prompter.contents(table.scene, backend, None, model=None)).until_cut > 40:
        await table.says("rain " * 30)
    whole = len(table.scene.window.entries)
    table.server.hold()
    reading = asyncio.create_task(table.ahead())
    await table.server.asked.wait()
    table.scene.turns.append(Turn(1, begun=True))
    table.server.gate.set()
    await reading
    assert len(table.scene.window.entries) == whole
    table.scene.turns.clear()
    await table.ahead()
    assert len(table.scene.window.entries) < whole


async def test_what_grows_while_a_cut_is_stored_fits_all_the_same(table: Playing) -> None:
    await table.asked("wren")
    await table.fill(CONTEXT)
    last = await table.says("And?")
    start = table.scene.record.window_start
    async with table.store.transaction():  # so the cut cannot be stored yet
        asking = asyncio.create_task(table.asked("wren"))
        async with asyncio.timeout(10):
            while table.scene.record.window_start == start:  # noqa: ASYNC110  # nothing announces the cut
                await asyncio.sleep(0)
        table.scene.replace_entry(replace(last, text="rain " * 400, tokens=None, fingerprint=None))
    prompt = await asking
    assert table.server.billed(prompt.messages) + prompt.max_tokens <= CONTEXT


async def test_a_restart_goes_on_with_the_window_as_it_was_cut(table: Playing) -> None:
    await table.asked("wren")
    await table.fill(CONTEXT)
    cut = await table.asked("wren")
    for _ in range(3):
        await table.says("rain " * 30)
    before = await table.asked("wren")
    assert before.entries[0] == cut.entries[0], "it has grown since, and was not cut again"
    await table.take_up()
    assert (await table.asked("wren")).messages == before.messages


async def test_cards_are_shortened_too_where_the_server_has_to_be_asked(table: Playing) -> None:
    head = (await table.asked("wren")).messages[0].content
    assert head.count("It has been said 0 times. ") == 3 * len(CAST)
    assert head.count("It has been said 3 times. ") < 3 * len(CAST)


async def test_what_is_told_last_finds_its_room_in_a_full_window(table: Playing) -> None:
    await table.asked(NARRATOR)
    backend = table.server.as_backend()
    while (await table.prompter.contents(table.scene, backend, None, model=None)).until_cut > 10:
        await table.says("rain " * 4)
    whole = len(table.scene.window.entries)
    prompt = await table.asked(NARRATOR)
    assert len(prompt.entries) == whole
    assert prompt.messages[-1].content.endswith(f"- {SECRET}]\n[Keeper answers.]")
    assert table.server.billed(prompt.messages) + prompt.max_tokens <= CONTEXT


async def test_a_window_that_a_smaller_server_has_cut_comes_back_with_the_larger_one(table: Playing) -> None:
    table.server.context = 2 * CONTEXT
    await table.take_up()
    await table.asked("wren")
    await table.fill(CONTEXT)
    before = await table.asked("wren")
    table.server.context = CONTEXT
    await table.says("Who is there?")
    assert len((await table.asked("wren")).entries) < len(before.entries)
    await table.says("Nobody answers.")
    away = await table.asked("wren")

    table.server.context = 2 * CONTEXT
    back = await table.asked("wren")
    assert written(back.messages).startswith(opened(before.messages, cue("Wren")))
    assert back.entries[-len(away.entries) :] == away.entries
    assert table.server.billed(back.messages) + back.max_tokens <= 2 * CONTEXT
    async with table.store.read() as connection:
        [stored] = await scenes.unended(connection)
    assert stored.window_start == table.scene.record.window_start <= before.entries[0].seq
    await table.fill(4 * CONTEXT)
    assert (await table.asked("wren")).entries[0].seq > stored.window_start
