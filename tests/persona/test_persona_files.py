"""An operator writes a persona file by hand, and is told about every slip with its line."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path

import pytest

from bot.chat import Sampling
from bot.persona.persona import Example, Lora
from bot.persona.toml import FILE_BYTES, PersonaFileError, read

PNG = b"\x89PNG\r\n\x1a\n" + bytes(16)

MARTA = '''\
# The innkeeper.
name = "Marta"
aliases = ["innkeeper", "Mother Marta"]
talkativeness = 0.7
avatar = "avatars/marta.png"
avatar_url = "https://example.org/marta.png"
model = "roleplay-12b"
tags = ["inn"]
description = """
Keeps an inn. She says "name = 5" when she is tired.
[sampling]
temperature = 9
"""
voice = 'Short.'
greeting = "Wipe your boots, {{user}}."
creator_notes = "Never read aloud."

[sampling] # how she is drawn
temperature = 0.8
top_k = 40

[lora]
name = "tavern"
scale = 0.6

[[examples]]
player = "A room?"
answer = "Two coppers."

[[examples]]
player = "And a bath?"
answer = "The river is free."
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    personas = tmp_path / "personas"
    (personas / "avatars").mkdir(parents=True)
    (personas / "avatars" / "marta.png").write_bytes(PNG)
    return personas


def refused(folder: Path, content: str | bytes) -> PersonaFileError:
    path = folder / "marta.toml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(PersonaFileError) as caught:
        read(path)
    assert str(caught.value).startswith("personas/marta.toml")
    return caught.value


def test_a_full_file_is_read_field_by_field(folder: Path) -> None:
    (folder / "marta.toml").write_text(MARTA, encoding="utf-8")
    marta = read(folder / "marta.toml")
    assert (marta.slug, marta.name, marta.narrator) == ("marta", "Marta", False)
    assert marta.aliases == ("innkeeper", "Mother Marta")
    assert marta.talkativeness == pytest.approx(0.7)
    assert marta.description.startswith("Keeps an inn.")
    assert marta.description.endswith("temperature = 9")
    assert marta.avatar == folder / "avatars" / "marta.png"
    assert marta.avatar_url == "https://example.org/marta.png"
    assert marta.model == "roleplay-12b"
    assert marta.lora == Lora("tavern", 0.6)
    assert marta.sampling == Sampling(temperature=0.8, top_k=40)
    assert marta.examples[1] == Example("And a bath?", "The river is free.")


def test_every_way_of_drawing_words_can_be_set(folder: Path) -> None:
    values = {
        "temperature": 1.1,
        "top_p": 0.95,
        "top_k": 40,
        "min_p": 0.05,
        "typical_p": 0.9,
        "repeat_penalty": 1.05,
        "presence_penalty": -0.5,
        "frequency_penalty": 0.2,
        "dry_multiplier": 0.8,
        "dry_base": 1.75,
        "dry_allowed_length": 3,
        "xtc_probability": 0.5,
        "xtc_threshold": 0.1,
        "seed": 7,
        "max_tokens": 300,
    }
    lines = "\n".join(f"{name} = {value}" for name, value in values.items())
    (folder / "ann.toml").write_text(f'name = "Ann"\n[sampling]\n{lines}\n', encoding="utf-8")
    assert asdict(read(folder / "ann.toml").sampling) == values


def test_a_file_saved_by_notepad_is_read_all_the_same(folder: Path) -> None:
    content = b"\xef\xbb\xbf" + MARTA.replace("\n", "\r\n").encode()
    (folder / "marta.toml").write_bytes(content)
    marta = read(folder / "marta.toml")
    assert marta.name == "Marta"
    assert "\r" not in marta.description


@pytest.mark.parametrize(
    ("right", "wrong", "line", "said"),
    [
        ("talkativeness = 0.7", "talkativenes = 0.7", 4, "Did you mean 'talkativeness'?"),
        ("talkativeness = 0.7", 'talkativeness = "often"', 4, "must be a number, not text"),
        ("talkativeness = 0.7", "talkativeness = 7", 4, "must be from 0 to 1"),
        ("talkativeness = 0.7", "talkativeness = nan", 4, "must be from 0 to 1"),
        ("talkativeness = 0.7", "talkativeness = 2026-01-01", 4, "not a date or time"),
        ("talkativeness = 0.7", "talkativeness = true", 4, "must be a number, not true or false"),
        ("talkativeness = 0.7", "narrator = 1", 4, "must be true or false, not a number"),
        ("talkativeness = 0.7", "talkativeness 0.7", 4, "not valid TOML"),
        ("talkativeness = 0.7", "talkativeness = " + "1" * 5000, None, "thousands of digits"),
        ('name = "Marta"', "", None, "the field 'name' is missing"),
        ('name = "Marta"', 'name = ""', 2, "may not be empty"),
        ('name = "Marta"', 'name = "Mar\\nta"', 2, "one line"),
        ('name = "Marta"', 'name = "Marta: of the Bell"', 2, "without ':'"),
        ('name = "Marta"', f'name = "{"M" * 81}"', 2, "at most 80 characters"),
        ('"innkeeper", ', '"", ', 3, "may not be empty"),
        ('["inn"]', '"inn"', 8, "must be a list of texts"),
        ("avatars/marta.png", "avatars/nobody.png", 5, "cannot be read"),
        ("avatars/marta.png", "../secret.png", 5, "inside this folder"),
        ("avatars/marta.png", "/etc/passwd.png", 5, "inside this folder"),
        ("avatars/marta.png", "avatars\\\\marta.png", 5, "inside this folder"),
        ("https://example.org", "http://example.org", 6, "https://"),
        ("https://example.org", "https://me:pw@example.org", 6, "https://"),
        ('model = "roleplay-12b"', 'model = ""', 7, "leave the line out"),
        ("voice = 'Short.'", 'voice = "\\u0007"', 14, "control character U+0007"),
        ("temperature = 0.8", "temperture = 0.8", 19, "in [sampling]. Did you mean 'temperature'?"),
        ("temperature = 0.8", "temperature = 80", 19, "must be from 0 to 5"),
        ("top_k = 40", "top_k = 0.5", 20, "must be a whole number"),
        ("top_k = 40", "dry_base = 0.5", 20, "must be from 1 to 4"),
        ("top_k = 40", "dry_allowed_length = 0", 20, "must be from 1 to 100"),
        ("top_k = 40", "xtc_threshold = 0.9", 20, "must be from 0 to 0.5"),
        ("top_k = 40", 'voice = "loud"', 20, "Move it above the first line in [brackets]"),
        ("scale = 0.6", "scale = 3", 24, "must be from 0 to 2"),
        ('name = "tavern"', "", 22, "[lora] needs the name"),
        ('answer = "The river is free."', 'answr = "The river is free."', 32, "Did you mean 'answer'?"),
        ('player = "And a bath?"', "", 30, "this example has no 'player' line"),
        ("[lora]", "lora = 5 #", 22, "unknown field 'lora' in [sampling]"),
    ],
)
def test_a_slip_is_named_with_its_line_and_a_way_out(
    folder: Path, right: str, wrong: str, line: int | None, said: str
) -> None:
    assert right in MARTA
    error = refused(folder, MARTA.replace(right, wrong, 1))
    assert said in str(error)
    assert error.line == line
    assert line is None or f", line {line}:" in str(error)


def test_an_open_string_is_reported_at_the_end_of_the_file(folder: Path) -> None:
    error = refused(folder, 'name = "Marta"\nvoice = """on and on\n')
    assert "not valid TOML" in str(error)
    assert error.line == 2


def test_a_quote_left_open_is_named_as_such(folder: Path) -> None:
    error = refused(folder, 'name = "Marta"\nvoice = "Short.\n')
    assert "a quote is not closed on this line" in str(error)
    assert error.line == 2


def test_a_ten_megabyte_file_is_refused_by_its_size(folder: Path) -> None:
    error = refused(folder, b"x" * 10_000_000)
    assert "10,000,000 bytes" in str(error)
    assert f"{FILE_BYTES:,}" in str(error)


def test_text_beyond_what_a_prompt_can_carry_is_refused(folder: Path) -> None:
    error = refused(folder, MARTA.replace("Short.", "long " * 7000))
    assert "32 kB in all" in str(error)


def test_a_file_that_is_not_utf8_names_the_line_of_the_first_bad_byte(folder: Path) -> None:
    error = refused(folder, 'name = "Marta"\nvoice = "Grüß Gott"\n'.encode("latin-1"))
    assert error.line == 2
    assert "Save it as UTF-8." in str(error)


@pytest.mark.parametrize(
    "content",
    [
        "a=" + "[" * 100_000,
        "a." * 100_000 + "a=1",
        "a={" * 60_000,
        '"a" . ' * 40_000 + "a=1",
        "[[a" + ".a" * 100_000,
    ],
    ids=["brackets", "dots", "braces", "quoted dots", "header"],
)
def test_nesting_without_end_is_refused_at_once(folder: Path, content: str) -> None:
    started = time.perf_counter()
    refused(folder, content)
    assert time.perf_counter() - started < 1


def test_a_picture_that_is_no_picture_is_refused(folder: Path) -> None:
    (folder / "avatars" / "marta.png").write_text("<html>not found</html>", encoding="utf-8")
    assert "not a PNG" in str(refused(folder, MARTA))


def test_a_link_out_of_the_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "private.png").write_bytes(PNG)
    (folder / "avatars" / "marta.png").unlink()
    try:
        (folder / "avatars" / "marta.png").symlink_to(tmp_path / "private.png")
    except OSError:
        pytest.skip("this system lets nobody make links")
    assert "outside this folder" in str(refused(folder, MARTA))
