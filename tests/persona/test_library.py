"""The shelf of personas: finding, breaking, mending, and knowing what changed on disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bot.errors import SetupError, TableError
from bot.persona.library import Changes, PersonaLibrary
from bot.persona.persona import card, fold, names
from bot.persona.toml import PersonaFileError

SHIPPED = Path(__file__).parents[2] / "personas"


def write(folder: Path, name: str, content: str) -> None:
    path = folder / name
    before = path.stat().st_mtime_ns if path.exists() else 0
    path.write_text(content, encoding="utf-8")
    os.utime(path, ns=(before + 10**9, before + 10**9))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    personas = tmp_path / "personas"
    personas.mkdir()
    write(personas, "marta.toml", 'name = "Marta"\naliases = ["innkeeper", "Mother Marta"]')
    write(personas, "ilse.toml", 'name = "Sister Ilse"\naliases = ["marta\'s friend"]')
    return personas


@pytest.fixture
def library(folder: Path) -> PersonaLibrary:
    library = PersonaLibrary(folder)
    library.load_all()
    return library


@pytest.mark.parametrize("said", ["marta", "MARTA", " Marta ", "Innkeeper", "mother  marta", "Mother: Marta"])
def test_a_persona_is_found_by_slug_name_or_alias_whatever_the_case(
    library: PersonaLibrary, said: str
) -> None:
    assert library.find(said) is library.get("marta")


def test_a_name_goes_before_an_alias(library: PersonaLibrary, folder: Path) -> None:
    write(folder, "aaron.toml", 'name = "Aaron"\naliases = ["Sister Ilse", "innkeeper"]')
    library.load_all()
    assert library.find("sister ilse") is library.get("ilse")
    assert library.find("innkeeper") is library.get("aaron")


@pytest.mark.parametrize("said", ["", "mart", "../marta", "marta.toml", "/etc/passwd", "x" * 10_000])
def test_a_stranger_is_not_found(library: PersonaLibrary, said: str) -> None:
    assert library.find(said) is None
    assert library.get(said) is None
    with pytest.raises(TableError, match="There is no persona file"):
        library.reload(said)


def test_everybody_is_listed_by_name(library: PersonaLibrary) -> None:
    assert [persona.name for persona in library.all()] == ["Marta", "Sister Ilse"]


def test_two_personas_cannot_share_a_name(library: PersonaLibrary, folder: Path) -> None:
    write(folder, "other.toml", '# another\nname = "MARTA"')
    library.load_all()
    (broken,) = library.broken()
    assert "personas/other.toml, line 2: the name MARTA is already taken by marta.toml" in str(broken)
    assert library.get("other") is None


@pytest.mark.parametrize(
    "name", ["Marta Two.toml", "MARTA.toml", "-x.toml", "ünder.toml", f"{'x' * 33}.toml"]
)
def test_a_file_name_that_is_no_slug_is_reported(library: PersonaLibrary, folder: Path, name: str) -> None:
    write(folder, name, 'name = "Somebody"')
    library.load_all()
    (broken,) = library.broken()
    assert str(broken).startswith(f"personas/{name}: a persona's file name is made of small letters")


def test_what_editors_and_python_leave_behind_is_no_persona(library: PersonaLibrary, folder: Path) -> None:
    for name in (
        ".marta.toml.swp",
        "_draft.toml",
        "marta.toml~",
        "marta.toml.bak",
        "__init__.py",
        "notes.md",
    ):
        write(folder, name, "not a persona")
    (folder / "folder.toml").mkdir()
    library.load_all()
    assert library.broken() == ()
    assert len(library.all()) == 2


def test_changes_are_those_since_the_files_were_read(library: PersonaLibrary, folder: Path) -> None:
    assert library.changes(library.snapshot()) == Changes()
    write(folder, "marta.toml", 'name = "Marta!"')
    write(folder, "wren.toml", 'name = "Wren"')
    (folder / "ilse.toml").unlink()
    found = library.changes(library.snapshot())
    assert found == Changes(added=("wren",), changed=("marta",), removed=("ilse",))
    library.load_all()
    assert library.changes(library.snapshot()) == Changes()
    assert [persona.name for persona in library.all()] == ["Marta!", "Wren"]


def test_code_beside_the_words_counts_as_a_change_of_the_persona(
    library: PersonaLibrary, folder: Path
) -> None:
    write(folder, "marta.py", "")
    assert library.changes(library.snapshot()) == Changes(changed=("marta",))


def test_a_broken_edit_leaves_the_last_good_version(library: PersonaLibrary, folder: Path) -> None:
    good = library.get("marta")
    write(folder, "marta.toml", "name = ")
    with pytest.raises(PersonaFileError, match="line 1"):
        library.reload("marta")
    assert library.get("marta") is good
    assert len(library.broken()) == 1
    assert library.changes(library.snapshot()) == Changes()
    write(folder, "marta.toml", 'name = "Marta Again"')
    assert library.reload("marta").name == "Marta Again"
    assert library.broken() == ()


def test_what_was_put_away_stays_away_until_it_is_asked_for(library: PersonaLibrary, folder: Path) -> None:
    library.unload("marta")
    write(folder, "marta.toml", 'name = "Marta, changed"')
    assert library.changes(library.snapshot()) == Changes()
    assert library.find("marta") is None
    assert library.reload("marta").name == "Marta, changed"


def test_a_folder_that_is_not_there_is_the_operators_to_mend(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="cannot be read"):
        PersonaLibrary(tmp_path / "nowhere").load_all()


@pytest.fixture(scope="module")
def shipped() -> PersonaLibrary:
    library = PersonaLibrary(SHIPPED)
    library.load_all()
    return library


def test_the_characters_in_the_box_are_all_in_order(shipped: PersonaLibrary) -> None:
    assert shipped.broken() == ()
    slugs = {persona.slug for persona in shipped.all()}
    assert slugs >= {"narrator", "marta", "corvin", "ilse", "tobin", "wren"}
    assert [persona.slug for persona in shipped.all() if persona.narrator] == ["narrator"]


def test_each_character_in_the_box_is_written_out(shipped: PersonaLibrary) -> None:
    for persona in shipped.all():
        assert 100 <= len(persona.description.split()) <= 250, persona.slug
        assert 40 <= len(persona.voice.split()) <= 90, persona.slug
        assert 3 <= len(persona.examples) <= 5, persona.slug
        assert 200 <= len(persona.greeting) <= 600, persona.slug
        assert 600 <= len(dict(persona.openings)["The Drowned Bell"]) <= 2000, persona.slug
        assert persona.sampling.max_tokens, persona.slug
        assert persona.sampling.temperature is None, "how words are drawn is the model's to recommend"
        assert persona.aliases, persona.slug


def test_each_character_in_the_box_shows_a_face_of_its_own(shipped: PersonaLibrary) -> None:
    faces = [persona.avatar.read_bytes() for persona in shipped.all() if persona.avatar]
    assert len(set(faces)) == len(shipped.all())
    for face in faces:
        assert face[16:24] == (256).to_bytes(4) * 2
        assert len(face) < 20_000


def test_no_two_in_the_box_answer_to_one_name_or_speak_with_one_voice(shipped: PersonaLibrary) -> None:
    called = [fold(name) for persona in shipped.all() for name in names(persona)]
    assert len(set(called)) == len(called)
    for part in ("voice", "description", "greeting"):
        assert len({getattr(persona, part) for persona in shipped.all()}) == len(shipped.all())


def test_the_whole_box_as_a_cast_leaves_room_for_a_story(shipped: PersonaLibrary) -> None:
    """Six cards in a window of 8192 tokens, at about four characters a token."""
    assert sum(len(card(persona)) for persona in shipped.all()) < 18_000
