"""Cards for the tests, in every version and wrapping, good and bad."""

from __future__ import annotations

import base64
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

from bot.persona.cards import png

V1: dict[str, Any] = {
    "name": "Oda",
    "description": "{{char}} mends nets by the harbour.",
    "personality": "patient",
    "scenario": "{{user}} waits for the tide.",
    "first_mes": "*Oda does not look up.* Mind the rope, {{user}}.",
    "mes_example": "<START>\n{{user}}: Is it late?\n{{char}}: The tide says no.\n",
}
V2: dict[str, Any] = {
    "spec": "chara_card_v2",
    "spec_version": "2.0",
    "data": {
        **V1,
        "creator_notes": "Best with slow scenes.",
        "system_prompt": "{{original}} Never hurry.",
        "post_history_instructions": "End on a sound. {{ORIGINAL}}",
        "alternate_greetings": ["You again."],
        "tags": ["harbour", "slow"],
        "creator": "Ann",
        "character_version": "3",
        "extensions": {
            "talkativeness": "0.8",
            "fav": True,
            "depth_prompt": {"prompt": "Rope.", "depth": 4, "role": "system"},
            "somebody/else": {"kept": [1, 2.5, None]},
        },
        "character_book": {"entries": [{"keys": ["tide"], "content": "Twice a day."}], "extensions": {}},
    },
}
V3: dict[str, Any] = {
    "spec": "chara_card_v3",
    "spec_version": "3.0",
    "data": {
        **V2["data"],
        "nickname": "Od",
        "creator_notes_multilingual": {"de": "Langsam."},
        "source": ["https://example.org/oda"],
        "group_only_greetings": ["All of you."],
        "creation_date": 1_700_000_000,
        "modification_date": 1_700_000_001,
        "assets": [{"type": "icon", "uri": "ccdefault:", "name": "main", "ext": "png"}],
    },
}


def as_json(document: Any) -> bytes:
    return json.dumps(document).encode()


def chunk(kind: bytes, content: bytes, *, checksum: int | None = None) -> bytes:
    made = zlib.crc32(kind + content) if checksum is None else checksum
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", made)


def header(width: int = 2, height: int = 2) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))


PIXELS = chunk(b"IDAT", zlib.compress((b"\0" + b"\x40\x60\x80" * 2) * 2))
END = chunk(b"IEND", b"")


def text_chunk(keyword: bytes, document: Any) -> bytes:
    return chunk(b"tEXt", keyword + b"\0" + base64.b64encode(as_json(document)))


def as_png(*chunks: bytes, head: bytes | None = None, pixels: bytes = PIXELS) -> bytes:
    return png.SIGNATURE + (head or header()) + pixels + b"".join(chunks) + END


def as_zip(members: Mapping[str, bytes] | Iterable[tuple[str, bytes]]) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in dict(members).items():
            info = zipfile.ZipInfo("placeholder")
            info.filename = name  # as it stands: ZipInfo would tidy it up
            archive.writestr(info, data, zipfile.ZIP_DEFLATED)
    return written.getvalue()


def card_chunks(data: bytes) -> dict[str, Any]:
    """Read the cards in a PNG with other eyes than the bot's."""
    found, at = {}, 8
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        kind, content = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        if kind == b"tEXt":
            keyword, _, value = content.partition(b"\0")
            found[keyword.decode()] = json.loads(base64.b64decode(value))
        at += length + 12
    return found
