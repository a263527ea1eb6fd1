"""Pictures and files as Discord's CDN keeps them: by hash or id, under addresses of which some expire."""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
import zlib
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from bot.rehearsal.refusals import Form

if TYPE_CHECKING:
    from bot.clock import Clock
    from bot.rehearsal.messages import Attachment
    from bot.rehearsal.refusals import Json, Path

ATTACHMENT_LIFETIME = 24 * 3600.0
"""Seconds for which the address of an attachment is good (Discord: "around a day")."""

MAX_FILE = 10 * 1024 * 1024
"""Bytes that one uploaded file may have in a server without boosts."""

MAX_IMAGE = 10_240_000
"""Bytes that an avatar may have."""

MAX_KEPT = 2000
"""Pictures, and files, that the room keeps; the oldest are forgotten first."""

_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image/png", "png"),
    (b"\xff\xd8\xff", "image/jpeg", "jpg"),
    (b"GIF8", "image/gif", "gif"),
    (b"RIFF", "image/webp", "webp"),
)


class Media:
    """Every picture and file of the room. `base_url` is where they are served once the room has sockets."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.base_url = "http://127.0.0.1/cdn"
        self.images: dict[str, bytes] = {}
        self.attachments: dict[int, Attachment] = {}

    def keep_image(self, data: bytes) -> str:
        """Keep a picture and give the hash that stands for it in payloads."""
        digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
        self.images[digest] = data
        _forget_oldest(self.images)
        return digest

    def keep_attachment(self, attachment: Attachment) -> None:
        """Keep a file under its id."""
        self.attachments[attachment.id] = attachment
        _forget_oldest(self.attachments)

    def keep_link(self, url: str) -> str:
        """Give the hash that stands for a picture elsewhere; nothing is fetched."""
        return hashlib.md5(url.encode(), usedforsecurity=False).hexdigest()

    def image_from_form(self, form: Form, body: Json, path: Path) -> str | None:
        """Read a `data:` URI with a picture (avatars of users and webhooks) and keep it; None removes one."""
        value = body.get(path[-1])
        if value is None:
            return None
        header, _, encoded = value.partition(",") if isinstance(value, str) else ("", "", "")
        if not header.startswith("data:image/") or not header.endswith(";base64"):
            form.fault(path, "IMAGE_INVALID", "Invalid image data")
            return None
        try:
            data = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            form.fault(path, "IMAGE_INVALID", "Invalid image data")
            return None
        if len(data) > MAX_IMAGE:
            form.fault(path, "BINARY_TYPE_MAX_SIZE", f"File cannot be larger than {MAX_IMAGE / 1000} kb.")
            return None
        if image_type(data) is None:
            form.fault(path, "IMAGE_INVALID", "Invalid image data")
            return None
        return self.keep_image(data)

    def attachment_url(self, attachment: Attachment) -> str:
        """Give an address that is good for a day from now, like Discord's signed ones."""
        expires = int(self._clock.now() + ATTACHMENT_LIFETIME)
        place = f"attachments/{attachment.channel_id}/{attachment.id}/{attachment.filename}"
        signature = hashlib.sha256(f"{place}{expires}".encode()).hexdigest()
        return f"{self.base_url}/{quote(place)}?ex={expires:x}&hm={signature}"

    def is_current(self, place: str, expires: str, signature: str) -> bool:
        """Check the signature of an attachment's address and that its time has not passed."""
        try:
            until = int(expires, 16)
        except ValueError:
            return False
        expected = hashlib.sha256(f"{place}{until}".encode()).hexdigest()
        return signature == expected and self._clock.now() <= until


def _forget_oldest(kept: dict[Any, Any]) -> None:
    if len(kept) > MAX_KEPT:
        del kept[next(iter(kept))]


def image_type(data: bytes) -> tuple[str, str] | None:
    """Tell MIME type and file ending of a picture by its first bytes, or None if it is not one."""
    return next(((mime, ending) for magic, mime, ending in _MAGIC if data.startswith(magic)), None)


def png_size(data: bytes) -> tuple[int, int] | None:
    """Read width and height in pixels from a PNG's header, or None if it is not one."""
    if not data.startswith(_MAGIC[0][0]) or len(data) < 24:
        return None
    width, height = struct.unpack(">II", data[16:24])
    return int(width), int(height)


def plain_png(red: int, green: int, blue: int, size: int = 16) -> bytes:
    """Draw a square of one colour: what a default avatar looks like here."""
    rows = (b"\0" + bytes((red, green, blue)) * size) * size

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    return _MAGIC[0][0] + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
