"""One evening's rows, for every test that needs a scene to hang them on."""

from __future__ import annotations

from typing import Any

from bot.store import log, scenes
from bot.store.records import Entry, EntryKind, Mode, SceneRecord, SceneState
from bot.store.store import Store

TAVERN = 1_100_000_000_000_000_001
SERVER = 1_000_000_000_000_000_001
MIRA = 1_200_000_000_000_000_001
AT = 1_700_000_000.5


def scene(**changes: Any) -> SceneRecord:
    values: dict[str, Any] = {
        "id": 0,
        "guild_id": SERVER,
        "channel_id": TAVERN,
        "parent_id": None,
        "title": "The Drowned Bell",
        "premise": "",
        "mode": Mode.NATURAL,
        "lead": "narrator",
        "model": None,
        "state": SceneState.ACTIVE,
        "started_by": MIRA,
        "created_at": AT,
        "ended_at": None,
        "window_start": 0,
        "heard_from": 0,
    }
    return SceneRecord(**{**values, **changes})


def line(scene_id: int, seq: int, text: str = "I open the door.", **changes: Any) -> Entry:
    values: dict[str, Any] = {
        "id": 0,
        "scene_id": scene_id,
        "kind": EntryKind.PLAYER,
        "speaker": "Mira",
        "author_id": MIRA,
        "text": text,
        "created_at": AT,
        "seq": seq,
    }
    return Entry(**{**values, **changes})


async def started(store: Store, **changes: Any) -> int:
    async with store.transaction() as tx:
        return await scenes.create(tx, scene(**changes))


async def texts(store: Store, scene_id: int) -> list[str]:
    async with store.read() as connection:
        return [entry.text for entry in await log.since(connection, scene_id, 0)]
