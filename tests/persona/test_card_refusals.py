"""Bad cards: each is refused, or bounded, with a sentence that says why, and at once."""

from __future__ import annotations

import base64
import json
import struct
import time
import zipfile
import zlib
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.persona.cards import png
from bot.persona.cards.document import CardError
from bot.persona.cards.files import FILE_BYTES, picture, read, require_size
from bot.persona.cards.mapping import persona_from
from tests.persona.cards import PIXELS, V1, V2, V3, as_json, as_png, as_zip, chunk, header, text_chunk

SECONDS = 1.0


def bomb(megabytes: int) -> bytes:
    return zlib.compress(bytes(megabytes * 1024**2), 9)


def many_members(count: int) -> bytes:
    return as_zip([(f"assets/{number}", b"") for number in range(count)] + [("card.json", as_json(V2))])


def patched(archive: bytes, what: bytes, offset: int, value: bytes) -> bytes:
    at = archive.index(what) + offset
    return archive[:at] + value + archive[at + len(value) :]


def with_data(**fields: Any) -> bytes:
    return as_json({**V2, "data": {**V2["data"], **fields}})


CARD = text_chunk(b"chara", V2)
CHARX = as_zip({"card.json": as_json(V2)})

BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "nothing": (lambda: b"", "no character card"),
    "a shopping list": (lambda: b"milk, eggs", "no character card"),
    "a JPEG": (lambda: b"\xff\xd8\xff\xe0rest", "PNG pictures"),
    "a large file": (lambda: bytes(FILE_BYTES + 1), "8.0 MiB large"),
    # JSON
    "cut JSON": (lambda: as_json(V2)[:-9], "not valid JSON"),
    "an array in braces": (lambda: b"{1}", "not valid JSON"),
    "another JSON": (lambda: b'{"hello": 1}', "no character card"),
    "not UTF-8": (lambda: b'{"name": "\xff"}', "not UTF-8"),
    "NaN": (lambda: b'{"name": "x", "description": NaN}', "no number"),
    "a number without end": (lambda: b'{"name": "x", "description": ' + b"9" * 5000 + b"}", "not valid JSON"),
    "an endless float": (lambda: b'{"name": "x", "description": 1e999}', "too large"),
    "deep brackets": (lambda: b'{"a":' * 150_000, "levels deep"),
    "many empty lists": (lambda: b'{"a":[' + b"[]," * 1_300_000 + b"1]}", "parts"),
    "one endless string": (lambda: b'{"' + b'a\\"' * 1_300_000, "not valid JSON"),
    "6 MiB of text": (lambda: with_data(description="x" * 6 * 1024**2), "at most 4 MiB"),
    "no name": (lambda: with_data(name=""), "no name"),
    "a name of nothing visible": (lambda: with_data(name="\u202e\n\0"), "no name"),
    "a name that is none": (lambda: with_data(name=["Oda"]), "no name"),
    "a lorebook": (lambda: b'{"entries": {"0": {"key": ["tide"]}}}', "a lorebook"),
    "a V3 lorebook": (lambda: b'{"spec": "lorebook_v3", "data": {}}', "a lorebook"),
    "another spec": (lambda: b'{"spec": "recipe_v1", "data": {}}', "“recipe_v1”"),
    "a spec that is none": (lambda: b'{"spec": {"a": 1}, "data": {}}', "no character card"),
    "V9 without fields": (lambda: b'{"spec": "chara_card_v9"}', "fields are missing"),
    # PNG
    "a PNG without a card": (as_png, "no character card in this picture"),
    "12000 x 12000": (lambda: as_png(CARD, head=header(12_000, 12_000)), "12000 x 12000 pixels"),
    "no pixels at all": (lambda: as_png(CARD, head=header(0, 5)), "makes no sense"),
    "an odd header": (lambda: as_png(CARD, head=chunk(b"IHDR", b"\1" * 13)), "pixels"),
    "a short header": (lambda: as_png(CARD, head=chunk(b"IHDR", b"\0")), "does not begin"),
    "no image data": (lambda: as_png(CARD, pixels=chunk(b"tIME", b"")), "no picture"),
    "a signature alone": (lambda: png.SIGNATURE, "cut off"),
    "cut": (lambda: as_png(CARD)[:-12], "cut off"),
    "a length past the end": (
        lambda: png.SIGNATURE + header() + struct.pack(">I4s", 2**31, b"tEXt") + bytes(99),
        "cut off",
    ),
    "a wrong checksum": (lambda: as_png(chunk(b"tEXt", b"chara\0e30=", checksum=1)), "checksum"),
    "a million chunks": (lambda: as_png(chunk(b"tEXt", b"") * 500_000), "chunks"),
    "a zTXt bomb": (lambda: as_png(chunk(b"zTXt", b"chara\0\0" + bomb(16))), "zTXt"),
    "an iTXt bomb": (lambda: as_png(chunk(b"iTXt", b"ccv3\0\1\0\0\0" + bomb(16))), "iTXt"),
    "invalid base64": (lambda: as_png(chunk(b"tEXt", b"chara\0e30=!!")), "base64"),
    "base64 of nonsense": (lambda: as_png(chunk(b"tEXt", b"chara\0" + base64.b64encode(b"{no"))), "JSON"),
    # CHARX
    "a zip without a card": (lambda: as_zip({"readme.txt": b"hello"}), "no card.json"),
    "a zip bomb": (lambda: as_zip({"card.json": as_json(V2), "assets/a": bytes(80 * 1024**2)}), "unpack"),
    "a card of 20 MB": (lambda: as_zip({"card.json": bytes(20 * 1024**2)}), "unpack|larger"),
    "a card of 5 MB": (
        lambda: as_zip({"card.json": json.dumps({"name": "x", "a": "ab" * 2_500_000}).encode()}),
        "unpack|larger",
    ),
    "2000 files": (lambda: many_members(2000), "2001 files"),
    "40000 files": (lambda: many_members(40_000), "too many files"),
    "a way out": (lambda: as_zip({"card.json": as_json(V2), "../../bot/app.py": b""}), "leads out"),
    "an absolute path": (lambda: as_zip({"card.json": as_json(V2), "/etc/passwd": b""}), "leads out"),
    "a Windows path": (lambda: as_zip({"card.json": as_json(V2), "..\\bot.py": b""}), "leads out"),
    "a drive": (lambda: as_zip({"card.json": as_json(V2), "C:/bot.py": b""}), "leads out"),
    "a cut zip": (lambda: CHARX[:-30], "damaged"),
    "a zip with a hole": (lambda: patched(CHARX, b"card.json", 12, b"\xff" * 9), "damaged"),
    "an encrypted zip": (lambda: patched(CHARX, b"PK\1\2", 8, b"\1"), "encrypted"),
    "a zip of another packing": (lambda: patched(CHARX, b"PK\1\2", 10, b"\x0e"), "packed"),
    "a list that is too long": (
        lambda: patched(CHARX, b"PK\5\6", 12, struct.pack("<I", 2**30)),
        "too many files",
    ),
    "a name that lies": (lambda: patched(CHARX, b"PK\1\2", 46, b"c\0rd.json"), "leads out"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_a_bad_file_is_refused_at_once_and_in_a_sentence(what: str) -> None:
    make, said = BAD[what]
    data = make()
    begun = time.process_time()
    with pytest.raises(CardError, match=said) as caught:
        persona_from(read(data).card, "x.1")
    assert time.process_time() - begun < SECONDS
    assert str(caught.value)[0].isupper()
    assert len(str(caught.value)) < 250


def test_a_file_of_20_mb_is_refused_before_it_is_fetched() -> None:
    with pytest.raises(CardError, match=r"20\.0 MiB"):
        require_size(20 * 1024**2)


def test_two_files_of_one_name_are_refused() -> None:
    written = BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        archive.writestr("card.json", as_json(V2))
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("card.json", as_json(V1))
    with pytest.raises(CardError, match="same name"):
        read(written.getvalue())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"spec": "chara_card_v9", "spec_version": "9.0"}, "says it is V9"),
        ({"spec_version": "3.7"}, "version 3.7, which is newer"),
        ({"spec_version": "banana"}, "“banana” is no number"),
        ({"spec_version": ["x" * 500]}, "is no number"),
    ],
)
def test_a_card_of_the_future_is_read_as_far_as_it_goes(changes: dict[str, Any], said: str) -> None:
    came = read(as_json({**V3, **changes}))
    assert came.card.text("name") == "Oda"
    assert said in " ".join(came.card.notes)
    assert came.card.document == {**V3, **changes}


@pytest.mark.parametrize(
    "changes", [{"spec_version": "3.0"}, {"spec_version": "2.9"}, {"spec_version": 3}, {}]
)
def test_a_card_of_today_needs_no_note(changes: dict[str, Any]) -> None:
    assert read(as_json({**V3, **changes})).card.notes == ()


def test_a_card_with_a_byte_order_mark_is_read() -> None:
    assert read(b"\xef\xbb\xbf  " + as_json(V2)).card.document == V2


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_who_saved_a_card_as_utf_16_is_told_so(encoding: str) -> None:
    with pytest.raises(CardError, match="Save it as UTF-8"):
        read(("\ufeff" * (encoding != "utf-16") + json.dumps(V2)).encode(encoding))


def test_a_bomb_beside_the_card_is_never_unpacked_and_never_shown() -> None:
    came = read(as_png(chunk(b"zTXt", b"Comment\0\0" + bomb(16)), text_chunk(b"chara", V2)))
    assert picture(came) == as_png()


def test_what_stands_behind_a_png_goes_no_further() -> None:
    assert picture(read(as_png(text_chunk(b"chara", V2)) + b"PK\3\4 another file")) == as_png()


def test_a_damaged_icon_is_refused_with_its_card() -> None:
    icon = {"type": "icon", "uri": "embeded://assets/a.png", "name": "main", "ext": "png"}
    card = as_json({**V3, "data": {**V3["data"], "assets": [icon]}})
    came = read(as_zip({"card.json": card, "assets/a.png": as_png()[:40] + PIXELS}))
    with pytest.raises(CardError, match=r"damaged|cut off"):
        picture(came)


@given(
    st.binary(max_size=300), st.sampled_from([b"", png.SIGNATURE, png.SIGNATURE + header(), b"PK\3\4", b"{"])
)
def test_any_bytes_are_a_card_or_a_clear_sentence(tail: bytes, head: bytes) -> None:
    with pytest.raises(CardError):
        read(head + tail)


@given(st.data())
def test_a_card_with_one_bad_byte_is_read_or_refused(data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from([as_png(CARD), as_zip({"card.json": as_json(V2), "assets/a": b"a"})]))
    at = data.draw(st.integers(0, len(whole) - 1))
    broken = whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :]
    try:
        came = read(broken)
        persona_from(came.card, "x.1")
        picture(came)
    except CardError as error:
        assert str(error)  # noqa: PT017  # both ends are good
