"""A card as players send it round: JSON, PNG or CHARX. Told apart by what is in the file, not by its name."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Literal

from bot.documents import Json, dumped
from bot.persona.cards import charx, png
from bot.persona.cards.card import Card, card_of
from bot.persona.cards.document import DOCUMENT, CardError

FILE_BYTES = 8 * 1024 * 1024  # less than the 10 MiB that Discord takes as a webhook's picture
Format = Literal["json", "png", "charx"]

_PICTURES = (png.SIGNATURE, b"\xff\xd8\xff", b"GIF8", b"RIFF")
_UTF_16 = b"\xff\xfe", b"\xfe\xff"  # as some editors save text; what reads the document says what to do
_EMBEDDED = re.compile(r"embedd?ed://(.+)", re.DOTALL)  # V3 spells it with one d
_DATA = re.compile(r"data:image/[a-z.+-]{1,20};base64,([A-Za-z0-9+/=\s]+)")


@dataclass(frozen=True, slots=True)
class CardFile:
    """A card and the file it came in, where that holds more than the card: a PNG or CHARX, or None."""

    card: Card
    file: bytes | None = None


def read(data: bytes) -> CardFile:
    """Read a card's file. Raises `CardError` where it is none, damaged, or larger than is taken."""
    require_size(len(data))
    if data.startswith(png.SIGNATURE):
        return CardFile(card_of(DOCUMENT.read(png.card_in(png.read_chunks(data)))), data)
    if data.startswith(charx.SIGNATURE):
        return CardFile(card_of(DOCUMENT.read(charx.Charx(data).card())), data)
    if data.startswith(_PICTURES):
        raise CardError("Cards come in PNG pictures, and this is another kind.", hint="Fetch the original.")
    if not data.startswith(_UTF_16) and not data.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{"):
        raise CardError("This is no character card.", hint="A card is a JSON, PNG or CHARX file.")
    return CardFile(card_of(DOCUMENT.read(data)))


def require_size(size: int) -> None:
    """Raise `CardError` for a file of more bytes than is taken."""
    if size > FILE_BYTES:
        shown = f"{size / 1024**2:.1f} MiB"
        raise CardError(f"This file is {shown} large; a card may be {FILE_BYTES // 1024**2} MiB.")


def picture(of: CardFile) -> bytes | None:
    """Give the character's face, or None. Raises `CardError` where it is damaged or larger than is taken.

    The face of a PNG is the PNG itself, freed of the card; else it is the card's first icon. Pictures that
    stand on the web are never fetched.
    """
    if of.file is not None and of.file.startswith(png.SIGNATURE):
        return png.picture_alone(png.read_chunks(of.file))
    archive = charx.Charx(of.file) if of.file is not None else None
    found = next((data for icon in _icons(of.card) if (data := _fetched(icon, archive)) is not None), None)
    if found is None or not found.startswith(_PICTURES):
        return None
    return png.picture_alone(png.read_chunks(found)) if found.startswith(png.SIGNATURE) else found


def write(of: CardFile, kind: Format) -> bytes:
    """Write a card's file. What else came with the card stays in the format that it came in."""
    if kind == "json":
        return dumped(of.card.document, indent=2)
    if kind == "png":
        return png.with_cards(
            _canvas(of), {"chara": dumped(of.card.as_v2()), "ccv3": dumped(of.card.as_v3())}
        )
    if of.file is not None and of.file.startswith(charx.SIGNATURE):
        return charx.Charx(of.file).with_card(dumped(of.card.as_v3()))
    return _new_charx(of)


def _canvas(of: CardFile) -> list[png.Chunk]:
    """Give the picture that a card is put into; its own where that is a PNG."""
    if of.file is not None and of.file.startswith(png.SIGNATURE):
        return png.read_chunks(of.file)
    face = picture(of)
    if face is not None and face.startswith(png.SIGNATURE):
        return png.read_chunks(face)
    return png.plain_picture(of.card.text("name"))


def _new_charx(of: CardFile) -> bytes:
    face = picture(of)
    document = of.card.as_v3()
    if face is None or not face.startswith(png.SIGNATURE):
        return charx.packed(dumped(document), None)
    return charx.packed(dumped(_with_icon(of.card, document)), face)


def _with_icon(card: Card, document: Json) -> Json:
    """Name the picture in the archive as the card's icon, before the assets that the card names already."""
    icon = {"type": "icon", "uri": f"embeded://{charx.ICON}", "name": "main", "ext": "png"}
    if any(asset.get("uri") == icon["uri"] for asset in card.objects("assets")):
        return document
    named = card.data.get("assets")
    return {**document, "data": {**card.data, "assets": [icon, *(named if isinstance(named, list) else [])]}}


def _icons(card: Card) -> list[str]:
    """Give the addresses of a card's icons, the main one first."""
    icons = [asset for asset in card.objects("assets") if asset.get("type") == "icon"]
    icons.sort(key=lambda asset: asset.get("name") != "main")
    return [asset["uri"] for asset in icons if isinstance(asset.get("uri"), str)]


def _fetched(uri: str, archive: charx.Charx | None) -> bytes | None:
    if found := _DATA.fullmatch(uri):
        try:
            return base64.b64decode(b"".join(found[1].encode().split()), validate=True)
        except binascii.Error:
            raise CardError("The picture in this card is damaged: it is no valid base64.") from None
    inside = _EMBEDDED.fullmatch(uri)
    if archive is None or not inside or inside[1] not in archive.names():
        return None
    return archive.read(inside[1], FILE_BYTES)


def own_format(of: CardFile) -> Format:
    """Give the format in which a card loses nothing: the one that it came in."""
    if of.file is None:
        return "json"
    return "png" if of.file.startswith(png.SIGNATURE) else "charx"
