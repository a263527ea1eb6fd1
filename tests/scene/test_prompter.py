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
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bot.chat import ChatMessage, TokenCount
from bot.prompt.log import SILENCE, cue
from bot.prompt.window import CUT_MARK
from bot.scene.prompter import Prompt, Prompter
from bot.scene.scene import Turn
from bot.store.records import Entry, EntryKind
from bot.store.store import Store
from tests.fakes.word_server import WordServer
from tests.prompt.strategies import PLAYERS, texts
from tests.scene.sitting import Sitting, shelf

ANSWER = 60
CONTEXT = 1300
"""The cards have to be shortened for it, and what is left is full after a dozen lines."""
CAST = {"marta": 90, "old-rusk": 200, "wren": 0}
"""Who plays, and how long their answers may be; a longer answer leaves less room for cards."""
BOOK = (
    {"key": ["door"], "content": "{{char}} knows the door. {{random::Oak::Elm}} {{roll:1d20}}"},
    {"key": ["bell"], "content": "The bell drowned.", "sticky": 3},
    {"key": ["die"], "content": "Nobody dies here. {{user}}?", "cooldown": 4, "probability": 60},
    {"key": ["lantern"], "content": "It is lit.", "constant": True},
)
ASIDE = st.sampled_from([EntryKind.NOTE, EntryKind.LORE, EntryKind.MEMORY])
KEYS = st.sampled_from(["The door!", "A bell.", "I die."])
SAID = st.one_of(texts, KEYS, st.integers(20, 150).map("rain ".__mul__))


def written(messages: tuple[ChatMessage, ...]) -> str:
    """Give messages as ChatML writes them."""
    return "".join(f"<|im_start|>{one.role}\n{one.content}<|im_end|>\n" for one in messages)


def opened(messages: tuple[ChatMessage, ...], without: str = "") -> str:
    """Give a prompt up to where its last message may go on; `without` its last line."""
    *whole, last = messages
    text = last.content.removesuffix(without).removesuffix("\n") if without else last.content
    return written(tuple(whole)) + ("" if text in {"", SILENCE} else f"<|im_start|>user\n{text}")


class Playing(Sitting):
    """A sitting whose prompts are built."""

    server: WordServer
    prompter: Prompter

    async def take_up(self) -> None:
        """Begin, or go on as after a start of the bot."""
        await self.sit(self.scene.record)
        self.prompter = Prompter(self.store, self.personas, self.lore, answer_tokens=ANSWER)

    async def fill(self, tokens: int) -> None:
        """Have the window filled with so many tokens, or a few more."""
        while self.scene.window.tokens < tokens:
            await self.says("rain " * 30)

    async def asked(self, slug: str) -> Prompt:
        """Give the prompt that asks one of the cast for an answer, behind the lore that it needs."""
        persona = self.persona(slug)
        await self.lore.append(self.scene, persona)
        backend, seq = self.server.as_backend(), self.scene.take_seq()
        return await self.prompter.build(self.scene, backend, persona, seq, model=None, tight=False)

    async def ahead(self) -> tuple[ChatMessage, ...]:
        return await self.prompter.ahead(self.scene, self.server.as_backend(), model=None)


def persona_files(folder: Path) -> Path:
    """Write the cast's files: each has a card that is short without its last paragraphs."""
    folder.mkdir()
    words = "".join(f"It has been said {number} times. " * 3 + "\n\n" for number in range(4))
    for slug, tokens in CAST.items():
        card = f'name = "{slug.title()}"\ndescription = """\nKeeps the inn.\n\n{words}"""\n'
        length = f"[sampling]\nmax_tokens = {tokens}\n" if tokens else ""
        (folder / f"{slug}.toml").write_text(card + length, encoding="utf-8")
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
    return table


class Evening(RuleBasedStateMachine):
    """One scene over the real store, with lore, until hypothesis has seen enough.

    `promised` is what the next prompt has to begin with; empty after a cut.
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
        self.asked = ""  # whom the last prompt asked, if the answer can be taken back
        self.prompt: Prompt | None = None

    def do(self, what: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run(what)

    def teardown(self) -> None:
        self.do(self.store.aclose())
        self.loop.close()
        self.folder.cleanup()

    @property
    def entries(self) -> list[Entry]:
        return list(self.table.scene.window.entries)

    def unanswered(self) -> Entry | None:
        """The last thing that a player said, while nobody has been asked about it."""
        last = next((one for one in reversed(self.entries) if one.kind is EntryKind.PLAYER), None)
        return last if last and last.id not in self.heard else None

    @property
    def heard(self) -> set[int]:
        return {one.id for one in self.prompt.entries} if self.prompt else set()

    @rule(player=st.sampled_from(PLAYERS), text=SAID)
    def a_player_speaks(self, player: str, text: str) -> None:
        self.do(self.table.says(text, speaker=player))

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

    @rule(slug=st.sampled_from([*CAST]), text=SAID, found=st.booleans())
    def anybody_of_the_cast_answers_or_finds_no_words(self, slug: str, text: str, found: bool) -> None:
        prompt = self.ask(slug)
        name = self.table.persona(slug).name
        if found:
            self.do(self.table.says(text, EntryKind.ANSWER, speaker=name, persona=slug))
            self.promised, self.asked = f"{written(prompt.messages)}<|im_start|>assistant\n", slug
        else:
            self.promised, self.asked = opened(prompt.messages, cue(name)), ""

    @precondition(lambda self: self.asked and self.entries[-1].kind is EntryKind.ANSWER)
    @rule(slug=st.sampled_from([*CAST]), same=st.booleans())
    def an_answer_is_taken_back_and_given_again(self, slug: str, same: bool) -> None:
        """By the same character, or by another of the cast: only the cue may differ."""
        assert self.prompt
        before = self.prompt
        self.do(self.table.forget([self.entries[-1]]))
        name = self.table.persona(self.asked).name
        if self.promised:  # else the window was cut since, for what was read ahead
            self.promised = opened(before.messages, cue(name))
        self.read = ""
        again = self.asked if same else slug
        prompt = self.ask(again)
        self.do(self.table.says("So be it.", EntryKind.ANSWER, speaker=self.table.persona(again).name))
        told = ChatMessage("assistant", "So be it.")
        self.promised, self.asked = written((*prompt.messages, told)), again

    @rule()
    def the_server_reads_ahead(self) -> None:
        start = self.table.scene.record.window_start
        ahead = self.do(self.table.ahead())
        if self.table.scene.record.window_start != start:
            self.promised = self.read = ""
        assert opened(ahead).startswith(self.promised)
        assert opened(ahead).startswith(self.read), "what was read ahead was read in vain"
        self.read = opened(ahead)

    @precondition(lambda self: not any(CUT_MARK in one.text for one in self.entries))
    @rule()
    def the_bot_is_started_again(self) -> None:
        self.do(self.table.take_up())

    def ask(self, slug: str) -> Prompt:
        """Ask for an answer, and hold the prompt against the one before it and what was read ahead."""
        start = self.table.scene.record.window_start
        prompt: Prompt = self.do(self.table.asked(slug))
        short = any(CUT_MARK in one.text for one in prompt.entries)
        if short or self.table.scene.record.window_start != start:
            self.promised = self.read = ""  # the one time that the beginning changes
        assert written(prompt.messages).startswith(self.promised)
        assert written(prompt.messages).startswith(self.read), "what was read ahead was read in vain"
        billed = self.table.server.billed(prompt.messages)
        assert billed + prompt.max_tokens <= CONTEXT
        assert prompt.tokens.tokens == billed or not prompt.tokens.exact
        self.prompt, self.read = prompt, ""
        return prompt

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
    other.lore, other.prompter = table.lore, table.prompter
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
