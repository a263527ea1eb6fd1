from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.store.store import Store
from tests.memory.tale import Tale
from tests.store.story import started


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(tmp_path / "data" / "hearthside.sqlite")
    yield opened
    await opened.aclose()


@pytest.fixture
async def tale(store: Store) -> Tale:
    tale = Tale(store)
    tale.scene_id = await started(store)
    return tale
