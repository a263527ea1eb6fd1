"""Taking a story along: what somebody may know of a scene, as one JSON file, whatever its length."""

from __future__ import annotations

import asyncio
import json
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bot.errors import TableError
from bot.scene.knowledge import ken_of, pins_known
from bot.store import knowledge, log

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bot.scene.knowledge import Asker, Ken
    from bot.scene.scene import Scene
    from bot.scene.stories import Stories
    from bot.store.records import Entry
    from bot.store.store import Store

PAGE = 1000
"""Places of the log that are read at once."""
_GZIP = 16 + zlib.MAX_WBITS  # https://docs.python.org/3/library/zlib.html#zlib.compressobj


@dataclass(frozen=True, slots=True)
class Export:
    """A file: JSON in UTF-8, as gzip if it `is_packed`."""

    data: bytes
    is_packed: bool


async def exported(store: Store, stories: Stories, scene: Scene, asker: Asker, most_bytes: int) -> Export:
    """Write down what the asker may know of a scene; secrets are for who directs it alone.

    What takes more than `most_bytes` is packed. Raises TableError if that is too much, too.
    """
    file = _File(most_bytes)
    async with store.read() as connection:
        ken = await ken_of(connection, scene.id, asker)
        pins = [pin.text for pin in await pins_known(connection, scene.id, ken)]
        secrets = await knowledge.secrets_of(connection, scene.id) if asker.directs else None
        last = await log.last_seq(connection, scene.id)
    document: dict[str, Any] = {
        "title": scene.record.title,
        "premise": scene.record.premise,
        "story": await stories.story(scene, None) if ken.whole else "",
        "pins": pins,
        "sessions": [
            {"number": one.number, "began": _at(one.started_at)}
            for one in ken.sessions
            if asker.directs or one.number in ken.played
        ],
    }
    if secrets is not None:
        document["secrets"] = [secret.text for secret in secrets]
    beginning = json.dumps(document, ensure_ascii=False, indent=2).removesuffix("\n}")
    file.write(f'{beginning},\n  "entries": [')
    for first in range(1, last + 1, PAGE):
        async with store.read() as connection:
            entries = await log.between(connection, scene.id, first, first + PAGE - 1)
        known = [_told(entry, ken) for entry in entries if ken.covers(entry)]
        await asyncio.to_thread(file.list, known)
    return await asyncio.to_thread(file.finished, "\n  ]\n}\n")


class _File:
    """A file that is packed as soon as it is too long: never more of it is held than may come of it."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._parts: list[bytes] = []
        self._size = 0
        self._packer: zlib._Compress | None = None
        self._is_first = True

    def write(self, text: str) -> None:
        """Go on with a text."""
        data = text.encode()
        self._keep(self._packer.compress(data) if self._packer else data)
        if self._size > self._most and self._packer is None:
            self._pack()

    def list(self, things: Iterable[dict[str, Any]]) -> None:
        """Go on with things of a list, each on a line."""
        for one in things:
            comma = "" if self._is_first else ","
            self.write(f"{comma}\n    {json.dumps(one, ensure_ascii=False)}")
            self._is_first = False

    def finished(self, end: str) -> Export:
        """Give the whole file."""
        self.write(end)
        if self._packer:
            self._keep(self._packer.flush())
        if self._size > self._most:
            raise TableError(
                f"Even packed it takes more than {self._most / 1024**2:.0f} MiB, too much for Discord.",
                hint="Whoever runs the bot has all of it in its database.",
            )
        return Export(b"".join(self._parts), self._packer is not None)

    def _keep(self, data: bytes) -> None:
        self._size += len(data)
        if self._packer is None or self._size <= self._most:
            self._parts.append(data)

    def _pack(self) -> None:
        self._packer = zlib.compressobj(wbits=_GZIP)
        parts, self._parts, self._size = self._parts, [], 0
        for part in parts:
            self._keep(self._packer.compress(part))


def _told(entry: Entry, ken: Ken) -> dict[str, Any]:
    return {
        "session": ken.session_of(entry.seq),
        "at": _at(entry.created_at),
        "kind": entry.kind.value,
        "speaker": entry.speaker,
        "text": entry.text,
        **({"audience": entry.audience} if entry.audience else {}),
    }


def _at(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
