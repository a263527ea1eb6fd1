"""A PNG as the chunks it is made of: read strictly, never decoded, written with a card in it.

Format: https://www.w3.org/TR/png-3/. A card stands in a tEXt chunk named `chara` (V2) or `ccv3` (V3), as the
base64 of its JSON.
"""

from __future__ import annotations

import base64
import binascii
import struct
import zlib
from collections.abc import Iterable, Mapping

from bot.persona.cards.document import CardError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
SIDE = 4096  # pixels; nothing here decodes them, but every player's Discord does
CHUNKS = 10_000
PLAIN_SIZE = (256, 384)  # pixels of the picture for a character without one

Chunk = tuple[bytes, bytes]

# Keywords in the order in which they win (V3: "MUST prefer ccv3").
_KEYWORDS = (b"ccv3", b"chara")
_TEXT = (b"tEXt", b"zTXt", b"iTXt")
# Colour type: bit depths that it may have.
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}


def read_chunks(data: bytes) -> list[Chunk]:
    """Take a PNG apart into (type, content), the end chunk included; what stands behind it is left out.

    Raises `CardError` where lengths, checksums or the order of chunks are wrong, or a side has more than
    4096 pixels.
    """
    if not data.startswith(SIGNATURE):
        raise CardError("This is not a PNG picture.")
    chunks: list[Chunk] = []
    at = len(SIGNATURE)
    while not chunks or chunks[-1][0] != b"IEND":
        kind, content = _chunk(data, at)
        if not chunks:
            _check_header(kind, content)
        chunks.append((kind, content))
        at += len(content) + 12
        if len(chunks) > CHUNKS:
            raise CardError(f"This PNG has more than {CHUNKS:,} chunks.")
    if not any(kind == b"IDAT" for kind, _ in chunks):
        raise CardError("This PNG holds no picture.")
    return chunks


def card_in(chunks: Iterable[Chunk]) -> bytes:
    """Give the JSON of the card in a PNG. Raises `CardError` where there is none, or it is damaged."""
    found: dict[bytes, bytes] = {}
    for kind, content in chunks:
        keyword, _, value = content.partition(b"\0")
        if kind in _TEXT and keyword.lower() in _KEYWORDS:
            if kind != b"tEXt":  # and is not inflated: a few bytes of it could be gigabytes
                raise CardError(f"The card in this PNG is a {kind.decode()}, and cards are plain tEXt.")
            found.setdefault(keyword.lower(), value)
    for keyword in _KEYWORDS:
        if keyword in found:
            return _unpacked(found[keyword])
    raise CardError(
        "There is no character card in this picture.",
        hint="Pictures lose it when a site or a chat converts them: fetch the original file.",
    )


def with_cards(chunks: Iterable[Chunk], cards: Mapping[str, bytes]) -> bytes:
    """Write a PNG with these cards, by keyword, in the place of those it had."""
    kept = [chunk for chunk in chunks if not _is_card(chunk)]
    packed = [
        (b"tEXt", keyword.encode("ascii") + b"\0" + base64.b64encode(json)) for keyword, json in cards.items()
    ]
    return _written([*kept[:-1], *packed, *kept[-1:]])


def picture_alone(chunks: Iterable[Chunk]) -> bytes:
    """Write a PNG without any text in it: what is shown as a face tells nothing else."""
    return _written(chunk for chunk in chunks if chunk[0] not in _TEXT)


def plain_picture(name: str) -> list[Chunk]:
    """Draw a picture of one muted colour, always the same for the same name."""
    width, height = PLAIN_SIZE
    mark = zlib.crc32(name.encode())
    colour = bytes(64 + (mark >> shift) % 112 for shift in (0, 8, 16))
    rows = (b"\0" + colour * width) * height
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return [(b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b"")]


def _chunk(data: bytes, at: int) -> Chunk:
    if len(data) < at + 12:
        raise CardError("This PNG is cut off.")
    length, kind = struct.unpack_from(">I4s", data, at)
    if not kind.isalpha() or length > len(data) - at - 12:
        raise CardError("This PNG is damaged or cut off.")
    content = data[at + 8 : at + 8 + length]
    (checksum,) = struct.unpack_from(">I", data, at + 8 + length)
    if zlib.crc32(content, zlib.crc32(kind)) != checksum:
        raise CardError("This PNG is damaged: a checksum in it is wrong.")
    return kind, content


def _check_header(kind: bytes, content: bytes) -> None:
    if kind != b"IHDR" or len(content) != 13:
        raise CardError("This PNG is damaged: it does not begin with its header.")
    width, height, depth, colour, compression, filtering, interlace = struct.unpack(">IIBBBBB", content)
    if max(width, height) > SIDE:
        raise CardError(f"This picture has {width} x {height} pixels; at most {SIDE} x {SIDE} are taken.")
    known = depth in _DEPTHS.get(colour, ()) and not compression and not filtering and interlace in {0, 1}
    if not width or not height or not known:
        raise CardError("This PNG is damaged: its header makes no sense.")


def _is_card(chunk: Chunk) -> bool:
    kind, content = chunk
    return kind in _TEXT and content.partition(b"\0")[0].lower() in _KEYWORDS


def _unpacked(value: bytes) -> bytes:
    try:
        return base64.b64decode(b"".join(value.split()), validate=True)
    except binascii.Error:
        raise CardError("The card in this picture is damaged: it is no valid base64.") from None


def _written(chunks: Iterable[Chunk]) -> bytes:
    parts = [SIGNATURE]
    for kind, content in chunks:
        checksum = zlib.crc32(content, zlib.crc32(kind))
        parts += [struct.pack(">I4s", len(content), kind), content, struct.pack(">I", checksum)]
    return b"".join(parts)
