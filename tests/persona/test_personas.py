"""Who can be played on which server, and what is kept of what its members brought."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from bot.clock import SystemClock
from bot.errors import TableError
from bot.persona.cards.card import new_card
from bot.persona.cards.document import CardError
from bot.persona.library import PersonaLibrary
from bot.persona.personas import ON_ONE_SERVER, Personas
from bot.store import personas as stored
from bot.store.store import Store
from tests.persona.cards import V1, V2, as_json, as_png, text_chunk

HERE, THERE, ANN = 11, 22, 33
MARTA = 'name = "Marta"\naliases = ["innkeeper", "Oda"]\n'


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(tmp_path / "data" / "hearthside.sqlite")
    yield opened
    await opened.aclose()


@pytest.fixture
async def personas(tmp_path: Path, store: Store) -> Personas:
    (tmp_path / "personas").mkdir()
    (tmp_path / "personas" / "marta.toml").write_text(MARTA, encoding="utf-8")
    return await again(tmp_path, store)


async def again(folder: Path, store: Store) -> Personas:
    """Open the personas as after a restart."""
    library = PersonaLibrary(folder / "personas")
    library.load_all()
    personas = Personas(library, store, SystemClock(), faces=folder / "faces")
    await personas.open()
    return personas


def names(personas: Personas, guild_id: int | None) -> list[str]:
    return [one.name for one in personas.all(guild_id)]


async def test_the_operators_are_everywhere_and_what_is_brought_is_where_it_was_brought(
    personas: Personas,
) -> None:
    oda = (await personas.bring(HERE, as_json(V2), ANN)).persona
    assert (names(personas, HERE), names(personas, THERE)) == (["Marta", "Oda"], ["Marta"])
    assert names(personas, None) == ["Marta"]
    assert personas.find("oda", HERE) == personas.find(oda.slug, HERE) == oda
    other = personas.find("oda", THERE)
    assert other
    assert other.name == "Marta", "where nobody is called that, an alias will do"
    assert personas.find(oda.slug, THERE) is None
    assert personas.get(oda.slug) == oda


async def test_a_restart_changes_nothing(tmp_path: Path, store: Store, personas: Personas) -> None:
    await personas.bring(HERE, as_png(text_chunk(b"chara", V2)), ANN)
    await personas.bring(THERE, as_json(V1), ANN)
    later = await again(tmp_path, store)
    for guild_id in (HERE, THERE):
        assert later.all(guild_id) == personas.all(guild_id)


async def test_of_two_who_bring_the_same_name_at_once_one_is_refused(personas: Personas) -> None:
    both = await asyncio.gather(
        *(personas.bring(HERE, as_json(V2), ANN) for _ in range(2)), return_exceptions=True
    )
    assert [type(one).__name__ for one in both] == ["Arrival", "TableError"]
    assert names(personas, HERE) == ["Marta", "Oda"]


async def test_the_operators_are_never_replaced(personas: Personas) -> None:
    card = as_json({**V1, "name": "MARTA"})
    with pytest.raises(TableError, match="belongs to the bot itself"):
        await personas.bring(HERE, card, ANN, replacing=True)
    with pytest.raises(TableError, match="not there any more"):
        await personas.remove(personas.all()[0])


async def test_a_replaced_character_keeps_its_slug_and_nothing_else(
    tmp_path: Path, personas: Personas
) -> None:
    old = (await personas.bring(HERE, as_png(text_chunk(b"chara", V2)), ANN)).persona
    assert old.avatar
    assert old.avatar.exists()
    card = as_json({**V1, "description": "Another."})
    new = (await personas.bring(HERE, card, ANN, replacing=True)).persona
    assert new.slug == old.slug
    assert new.description.startswith("Another.")
    assert new.avatar is None
    assert not old.avatar.exists()
    came = await personas.card_file(new)
    assert (came.file, came.card.text("description")) == (None, "Another.")


async def test_a_face_that_two_share_stays_until_both_are_gone(personas: Personas) -> None:
    picture = as_png(text_chunk(b"chara", V2))
    first, second = [(await personas.bring(guild, picture, ANN)).persona for guild in (HERE, THERE)]
    assert first.avatar == second.avatar
    assert first.avatar
    await personas.remove(first)
    assert first.avatar.exists()
    await personas.remove(second)
    assert not first.avatar.exists()


async def test_a_slug_is_never_given_twice(personas: Personas) -> None:
    first = (await personas.bring(HERE, as_json(V1), ANN)).persona
    await personas.remove(first)
    second = (await personas.bring(HERE, as_json(V1), ANN)).persona
    assert first.slug != second.slug


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("Sir Élan of the Very Long Valley", "sir-elan-of-the-very"),
        ("水無月", "persona"),
        ("../../etc", "etc"),
    ],
)
async def test_any_name_makes_a_slug(personas: Personas, name: str, stem: str) -> None:
    slug = (await personas.make(HERE, new_card({"name": name}), ANN)).slug
    assert slug.rpartition(".")[0] == stem


async def test_a_server_keeps_so_many_and_no_more(personas: Personas) -> None:
    for number in range(ON_ONE_SERVER):
        await personas.make(HERE, new_card({"name": f"Nobody {number}"}), ANN)
    with pytest.raises(TableError, match="100 characters, which is all"):
        await personas.make(HERE, new_card({"name": "Oda"}), ANN)
    await personas.make(THERE, new_card({"name": "Oda"}), ANN)


async def test_a_change_is_whole_or_not_at_all(personas: Personas) -> None:
    oda = (await personas.bring(HERE, as_json(V2), ANN)).persona
    before = (await personas.card_file(oda)).card
    for fields, said in (
        ({"name": " "}, "no name"),
        ({"name": "Marta"}, "already"),
        ({"first_mes": "x" * 33_000}, "long"),
    ):
        with pytest.raises(TableError, match=said):
            await personas.change(oda, before.changed(fields))
        assert personas.get(oda.slug) == oda
    changed = await personas.change(oda, before.changed({"name": "Odo"}))
    assert (changed.slug, changed.name) == (oda.slug, "Odo")
    assert (await personas.card_file(changed)).card.data["extensions"] == V2["data"]["extensions"]


async def test_a_card_that_cannot_be_read_any_more_is_left_alone(
    tmp_path: Path, store: Store, personas: Personas
) -> None:
    oda = (await personas.bring(HERE, as_json(V1), ANN)).persona
    async with store.transaction() as tx:
        await stored.change(tx, int(oda.slug.rpartition(".")[2]), card='{"name": ""}', face="gone")
    with capture_logs() as logs:
        later = await again(tmp_path, store)
    assert names(later, HERE) == ["Marta"]
    assert [(line["event"], line["slug"]) for line in logs] == [("persona_unreadable", oda.slug)]


async def test_a_bad_card_keeps_the_one_before(personas: Personas) -> None:
    await personas.bring(HERE, as_json(V2), ANN)
    with pytest.raises(CardError):
        await personas.bring(HERE, as_json(V2)[:-5], ANN, replacing=True)
    assert names(personas, HERE) == ["Marta", "Oda"]
