"""A CHARX: a zip with `card.json` at its root and pictures under `assets/`.

What it holds is judged by its list of members before anything is unpacked, and nothing is ever written under
a name from inside it.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from bot.persona.cards.document import DOCUMENT, CardError

SIGNATURE = b"PK\x03\x04"
CARD = "card.json"
ICON = "assets/icon/images/main.png"

MEMBERS = 1000
LIST_BYTES = 256 * 1024  # the list of members; reading one of 80,000 members takes a second
UNPACKED_BYTES = 64 * 1024 * 1024
RATIO = 100  # how many times larger than the archive its content may be, once it is larger than 1 MiB
NAME_CHARACTERS = 200

_DAMAGED = "This CHARX is damaged: it is no valid zip archive."
_MISTAKES = (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, ValueError, struct.error)


class Charx:
    """An archive that was found harmless. Raises `CardError` from every method where it is damaged."""

    def __init__(self, data: bytes) -> None:
        with _explained():
            _require_short_list(data)
            self._archive = zipfile.ZipFile(io.BytesIO(data))
            self._members = {info.filename: info for info in self._archive.infolist()}
        _check(self._archive.infolist(), len(data))

    def card(self) -> bytes:
        """Give the card's JSON."""
        if CARD not in self._members:
            raise CardError(f"There is no {CARD} in this archive, so it is no CHARX.")
        return self.read(CARD, DOCUMENT.size)

    def names(self) -> list[str]:
        """Give the names of its files, the card excepted."""
        return [name for name in self._members if name != CARD and not name.endswith("/")]

    def read(self, name: str, limit: int) -> bytes:
        """Unpack one member of at most `limit` bytes."""
        info = self._members[name]
        if info.file_size > limit:
            raise CardError(f"{name} in this archive is larger than {limit // 1024**2} MiB.")
        with _explained():
            return self._archive.read(info)

    def with_card(self, card: bytes) -> bytes:
        """Write the archive with another card and everything else as it is."""
        written = io.BytesIO()
        with zipfile.ZipFile(written, "w") as target:
            target.writestr(zipfile.ZipInfo(CARD), card, zipfile.ZIP_DEFLATED)
            for name in self.names():
                info = self._members[name]
                target.writestr(zipfile.ZipInfo(name), self.read(name, UNPACKED_BYTES), info.compress_type)
        return written.getvalue()


def packed(card: bytes, icon: bytes | None) -> bytes:
    """Write a new archive: a card, and the face of the character as a PNG."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as target:
        target.writestr(zipfile.ZipInfo(CARD), card, zipfile.ZIP_DEFLATED)
        if icon is not None:
            target.writestr(zipfile.ZipInfo(ICON), icon, zipfile.ZIP_STORED)
    return written.getvalue()


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except _MISTAKES:
        raise CardError(_DAMAGED) from None


def _require_short_list(data: bytes) -> None:
    """Look at the end of the archive, which tells how long its list of members is, before that is read.

    Source: PKWARE's APPNOTE 4.3.16; an archive of a few MiB has no need of its 64-bit form.
    """
    end = data.rfind(b"PK\x05\x06", max(0, len(data) - 65_557))
    if end < 0 or len(data) < end + 22:
        raise CardError(_DAMAGED)
    (size,) = struct.unpack_from("<I", data, end + 12)
    if size > LIST_BYTES or data[max(0, end - 20) : end].startswith(b"PK\x06\x07"):
        raise CardError(f"This archive lists too many files; a CHARX may hold {MEMBERS}.")


def _check(members: list[zipfile.ZipInfo], size: int) -> None:
    if len(members) > MEMBERS:
        raise CardError(f"This archive holds {len(members)} files; a CHARX may hold {MEMBERS}.")
    if len({info.filename for info in members}) < len(members):
        raise CardError("This archive holds two files of the same name.")
    unpacked = sum(info.file_size for info in members)
    if unpacked > min(UNPACKED_BYTES, max(1024**2, RATIO * size)):
        raise CardError(f"This archive would unpack to {unpacked / 1024**2:,.0f} MiB, which is not done.")
    for info in members:
        if not _is_plain(info.orig_filename):
            raise CardError("This archive holds a file whose name leads out of it.")
        if info.flag_bits & 1 or info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
            raise CardError("This archive is encrypted or packed in a way that CHARX does not know.")


def _is_plain(name: str) -> bool:
    parts = name.split("/")
    odd = "\\" in name or ":" in name or "\0" in name or len(name) > NAME_CHARACTERS
    return not odd and not name.startswith("/") and ".." not in parts and "." not in parts
