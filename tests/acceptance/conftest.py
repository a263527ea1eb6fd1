from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.acceptance.tabletop import Tabletop
from tests.fakes.model_server import ScriptedModelServer


@pytest.fixture
async def table(tmp_path: Path) -> AsyncIterator[Tabletop]:
    async with Tabletop(tmp_path).served() as table:
        yield table


@pytest.fixture
async def model() -> AsyncIterator[ScriptedModelServer]:
    async with ScriptedModelServer() as server:
        yield server
