"""What was said once is found again by its words, whatever is typed to find it."""

from __future__ import annotations

import asyncio
from array import array
from typing import TYPE_CHECKING

import pytest

from bot.chat import Vector
from bot.clock import SystemClock
from bot.memory import query, recall
from bot.memory.embedding import Embedding
from bot.memory.recall import Recall
from bot.memory.vectors import Vectors
from bot.store import log
from bot.store.records import EntryKind
from tests.memory.tale import WEATHER, Tale
from tests.store.story import started

if TYPE_CHECKING:
    from collections.abc import Sequence


async def test_a_promise_is_found_among_much_else(tale: Tale) -> None:
    await tale.chatter(60)
    promise = await tale.says("I promise the ferryman twelve silver crowns.")
    await tale.chatter(60)
    [best, *_] = await tale.search("How many crowns did we promise that ferryman?")
    assert best.entry == promise
    assert best.evidence > 1.4
    assert best.meaning is None
    scores = [hit.score for hit in await tale.search("ferryman")]
    assert scores == sorted(scores, reverse=True)
    assert 0 < scores[-1] <= scores[0] <= 1


async def test_other_forms_of_a_word_are_found(tale: Tale) -> None:
    await tale.says("The bridges were burning.")
    await tale.chatter(20)
    assert await tale.first("Who burned the bridge?") == "The bridges were burning."


async def test_a_name_is_found_though_it_reads_like_a_word_that_says_nothing(tale: Tale) -> None:
    await tale.chatter(20)
    await tale.says("Nobody trusts Will.")
    await tale.chatter(20)
    assert await tale.first("What did we hear of Will?") == "Nobody trusts Will."
    assert [*query.words("Will you come with us?")] == ["come"]


async def test_of_two_that_fit_equally_well_the_later_one_comes_first(tale: Tale) -> None:
    told = []
    for _ in range(2):
        await tale.chatter(40)
        told.append(await tale.says("The ferry costs three crowns."))
    await tale.chatter(40)
    hits = await tale.search("What does the ferry cost?")
    assert [hit.entry for hit in hits[:2]] == told[::-1]


async def test_who_said_something_is_found_by_name(tale: Tale) -> None:
    await tale.chatter(20)
    said = await tale.says("We should turn back.", speaker="Yorick")
    await tale.chatter(20)
    hits = await tale.search("What did Yorick want?")
    assert hits[0].entry == said


async def test_what_stands_around_the_words_is_found_with_them(tale: Tale) -> None:
    await tale.chatter(40)
    await tale.says("We speak of the Amber Gate.")
    answer = await tale.says("It opens at low tide alone.")
    await tale.chatter(40)
    rows = {hit.entry.id for hit in await tale.search("the Amber Gate", 3)}
    assert answer.id in rows


@pytest.mark.parametrize(
    "typed",
    [
        '" OR * NEAR(',
        '"ferry" OR *',
        "ferry NEAR(crowns, 3)",
        "text:ferry AND NOT crowns",
        "ferry^ (crowns",
        "'; DROP TABLE passages; -- ferry",
        "ferry\x00ferry {a b}: -",
        "F\u00c9RRY",
    ],
)
async def test_query_syntax_is_only_words(tale: Tale, typed: str) -> None:
    await tale.says("The ferry waits.")
    await tale.chatter(20)
    hits = await tale.search(typed)
    assert not hits or hits[0].entry.text == "The ferry waits."
    assert bool(hits) == ("f" in typed.lower())
    await tale.says("And it still works.")
    assert await tale.first("ferry waits") == "The ferry waits."


@pytest.mark.parametrize(
    ("told", "asked"),
    [
        ("Kael'thas pays the toll.", "Where was Kael\N{RIGHT SINGLE QUOTATION MARK}thas?"),
        ("D\N{RIGHT SINGLE QUOTATION MARK}Arnaud's horse is lame.", "What about D'Arnaud?"),
        ("\u9f8d\u306e\u5263 \u3092\u62fe\u3046\u3002", "\u9f8d\u306e\u5263"),
        ("Jos\u00e9 sings.", "Jose\u0301"),
        ("Room 404 is locked.", "404?"),
    ],
    ids=["apostrophe", "curly apostrophe", "Japanese", "combining accent", "number"],
)
async def test_names_are_found_in_whatever_way_they_are_written(tale: Tale, told: str, asked: str) -> None:
    await tale.chatter(20)
    await tale.says(told)
    await tale.chatter(20)
    assert await tale.first(asked) == told


async def test_a_message_as_long_as_discord_lets_it_be_is_searched_with(tale: Tale) -> None:
    await tale.chatter(20)
    await tale.says("The ferryman wants crowns.")
    typed = ("We ask about the ferryman and his crowns, again and again. " * 40)[:2000]
    assert await tale.first(typed) == "The ferryman wants crowns."


@pytest.mark.parametrize("typed", ["", "   ", "...", "🎲🎲", "*", '"'])
async def test_nothing_is_found_by_nothing(tale: Tale, typed: str) -> None:
    await tale.chatter(5)
    assert await tale.search(typed) == []


async def test_texts_of_100_kb_are_stored_and_searched_with(tale: Tale) -> None:
    await tale.chatter(5)
    long = await tale.says("The ferry waits. " + "word " * 20_000)
    assert (await tale.search("ferry"))[0].entry == long
    assert (await tale.search("ferry " + "x" * 100_000))[0].entry == long
    await tale.search(" ".join(f"word{number}" for number in range(20_000)))
    assert len(query.words(" ".join(f"word{number}" for number in range(20_000)))) == query.MOST_WORDS


async def test_common_words_neither_hide_rare_ones_nor_are_they_all_read(
    tale: Tale, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"FEW_HITS": 4, "MOST_HITS": 8, "ALL_HITS": 12}.items():
        monkeypatch.setattr(recall, name, value)
    await tale.chatter(80)
    wanted = await tale.says("The ferryman wants crowns.")
    await tale.chatter(80)
    assert (await tale.search("rain, dog, fire: ferryman"))[0].entry == wanted
    latest = [hit.entry.seq for hit in await tale.search("rain") if hit.named]
    assert latest
    assert min(latest) > tale.seq - 8 * len(WEATHER)


async def test_a_word_that_was_common_is_searched_for_where_it_still_stands(
    tale: Tale, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"FEW_HITS": 4, "MOST_HITS": 8, "ALL_HITS": 12}.items():
        monkeypatch.setattr(recall, name, value)
    told = [await tale.says("The rain goes on.") for _ in range(6)]
    await tale.says(*["Somebody coughs."] * 300)
    assert {hit.entry.id for hit in await tale.search("rain", 6)} == {entry.id for entry in told}
    async with tale.store.transaction() as tx:
        for entry in told[1:]:
            await log.remove(tx, entry.id)
    assert [hit.entry for hit in await tale.search("rain") if hit.named] == told[:1]
    await tale.says(*["The rain is back."] * 10)
    assert await tale.first("rain") == "The rain is back."
    async with tale.store.transaction() as tx:
        await log.remove(tx, told[0].id)
    assert "goes on" not in str(await tale.search("rain"))


class Directions:
    """An embedding model that knows two meanings, and says so when it is let."""

    name = "directions"

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.may_answer = asyncio.Event()

    def vector(self, text: str) -> Vector:
        return Vector(
            "directions/2", array("f", (1.0, 0.0) if "boat" in text or "ferry" in text else (0.0, 1.0))
        )

    async def embed(self, texts: Sequence[str], *, query: bool = False) -> list[Vector]:
        if query:
            self.asked.set()
            await self.may_answer.wait()
        return [self.vector(text) for text in texts]

    async def of_model(self, model: str) -> None:
        """There is no other."""

    async def aclose(self) -> None:
        """Nothing is open."""


async def test_meaning_counts_although_it_is_known_after_the_words(tale: Tale) -> None:
    meant = await tale.says("The ferry waits.")
    await tale.chatter(40)
    named = await tale.says("Wet planks.")
    await tale.chatter(40)
    model, vectors = Directions(), Vectors(tale.store)
    async with tale.store.read() as connection:
        told = await log.since(connection, tale.scene_id, 0)
    await vectors.add([(entry, model.vector(entry.text)) for entry in told])
    embedding = Embedding(tale.store, vectors, model, SystemClock(), query_s=30.0)
    both = Recall(tale.store, vectors, embedding)

    searching = asyncio.create_task(both.search([tale.scene_id], "Did a boat leave? The planks?", 5))
    await model.asked.wait()
    assert await tale.first("planks") == named.text  # the words are found meanwhile
    model.may_answer.set()
    hits = await searching
    assert {hits[0].entry, hits[1].entry} == {meant, named}
    assert {hit.entry.id: hit.meaning for hit in hits}[meant.id] == pytest.approx(1.0, abs=0.01)
    await embedding.aclose()


async def test_only_what_happened_in_those_scenes_is_found(tale: Tale) -> None:
    await tale.says("The ferry of lore.", kind=EntryKind.LORE, author_id=None)
    await tale.says("earlier: the ferry", kind=EntryKind.MEMORY, author_id=None)
    elsewhere = Tale(tale.store)
    elsewhere.scene_id = await started(tale.store, channel_id=7)
    other = await elsewhere.says("The ferry of another town.")
    assert await tale.search("ferry") == []
    found = await tale.recall.search([tale.scene_id, elsewhere.scene_id], "ferry", 5)
    assert [hit.entry for hit in found] == [other]


async def test_what_was_edited_is_found_as_it_reads_now_and_what_was_deleted_not_at_all(tale: Tale) -> None:
    entry = await tale.says("The ferry waits.")
    await tale.chatter(5)
    async with tale.store.transaction() as tx:
        await log.set_text(tx, entry.id, "The barge waits.", 0.0)
    assert await tale.first("barge") == "The barge waits."
    assert "ferry" not in str(await tale.search("ferry"))
    async with tale.store.transaction() as tx:
        await log.remove(tx, entry.id)
    assert await tale.search("barge") == []
