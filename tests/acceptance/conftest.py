from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.acceptance.tabletop import Tabletop
from tests.fakes.model_server import ScriptedModelServer
from tests.rehearsal.openapi import Description, load


@pytest.fixture(scope="session")
def discord() -> Description | None:
    return load()


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("empty") / "hearthside.sqlite"


@pytest.fixture
async def table(tmp_path: Path, empty_database: Path, discord: Description | None) -> AsyncIterator[Tabletop]:
    """Lay a table. At its end each request of the bot is held against Discord's own description."""
    async with Tabletop(tmp_path, empty_database).served() as table:
        yield table
        if discord is not None:
            assert discord.problems(table.room.requests) == []


@pytest.fixture
async def model() -> AsyncIterator[ScriptedModelServer]:
    async with ScriptedModelServer() as server:
        yield server
