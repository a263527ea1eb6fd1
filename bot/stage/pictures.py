"""A persona's picture, as Discord takes it."""

from __future__ import annotations

import asyncio
import base64
import logging
from pathlib import Path

_log = logging.getLogger(__name__)

PICTURE_LIMIT = 10 * 1024 * 1024
"""Bytes of an avatar that Discord takes."""

_KINDS = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif"}

Stamp = tuple[int, int]
"""Tells one state of a file from another: time of last change in nanoseconds, size in bytes."""


def stamp(path: Path | None) -> Stamp | None:
    """Give the file's stamp, or None where there is no such file."""
    if path is None:
        return None
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


async def data_uri(path: Path) -> str | None:
    """Read a picture into the `data:` URI that Discord takes for avatars, or None if it would refuse it.

    Source: https://docs.discord.com/developers/reference#image-data
    """
    try:
        content = await asyncio.to_thread(_read, path)
    except OSError as error:
        _log.warning("The picture %s cannot be read (%s): its persona is shown without it.", path.name, error)
        return None
    kind = _kind(content)
    if kind is None or len(content) > PICTURE_LIMIT:
        _log.warning("The picture %s is no PNG, JPEG, GIF or WebP of 10 MiB at most: not used.", path.name)
        return None
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(PICTURE_LIMIT + 1)


def _kind(content: bytes) -> str | None:
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for magic, kind in _KINDS.items() if content.startswith(magic)), None)
