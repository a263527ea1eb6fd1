"""What a server does while nobody waits for it: one thing at a time, and never in a player's way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from bot.clock import SystemClock
from bot.errors import BackendError
from bot.model.backend import Backend
from bot.model.backends import Backends
from tests.fakes.model_server import Answer, Refusal, ScriptedModelServer
from tests.model.conftest import ask, hear


@pytest.fixture
async def backends(scripted: ScriptedModelServer, tiny_gguf: Path) -> AsyncIterator[Backends]:
    backends = Backends([scripted.url], clock=SystemClock(), cpu_model=tiny_gguf)
    backends.start()
    yield backends
    await backends.aclose()


async def read(backend: Backend) -> None:
    await hear(backend, ask(max_tokens=1))


async def test_a_player_who_comes_ends_it_at_once_and_it_is_done_later(
    backends: Backends, scripted: ScriptedModelServer
) -> None:
    backend = await backends.choose(1)
    scripted.script += [Answer(gate=asyncio.Event(), opening=True), Answer("The player's."), Answer("x")]
    reading = asyncio.create_task(backends.spare(backend, lambda: read(backend)))
    ahead = await scripted.wait_for_chats(1)
    await ahead.opened.wait()

    async with backends.lease(backend):
        assert (await hear(backend))[0] == "The player's."
        await ahead.gone.wait()
        assert await reading is False
        later = asyncio.create_task(backends.spare(backend, lambda: read(backend)))
        await asyncio.sleep(0)
        assert len(scripted.chats) == 2
    assert await later is True
    assert len(scripted.chats) == 3


async def test_one_scene_after_the_other(backends: Backends) -> None:
    backend = await backends.choose(1)
    begun: list[int] = []
    first, go_on = asyncio.Event(), asyncio.Event()

    async def work(scene: int) -> None:
        begun.append(scene)
        first.set()
        await go_on.wait()

    tasks = [asyncio.create_task(backends.spare(backend, partial(work, scene))) for scene in range(3)]
    await first.wait()
    assert begun == [0]
    go_on.set()
    assert await asyncio.gather(*tasks) == [True] * 3
    assert begun == [0, 1, 2]


async def test_who_gives_it_up_leaves_the_server_to_others(
    backends: Backends, scripted: ScriptedModelServer
) -> None:
    backend = await backends.choose(1)
    scripted.script += [Answer(gate=asyncio.Event(), opening=True)]
    reading = asyncio.create_task(backends.spare(backend, lambda: read(backend)))
    ahead = await scripted.wait_for_chats(1)
    reading.cancel()
    await asyncio.wait({reading})
    await ahead.gone.wait()
    assert await backends.spare(backend, lambda: read(backend))


async def test_a_server_that_refuses_it_stays_in_the_line(
    backends: Backends, scripted: ScriptedModelServer
) -> None:
    backend = await backends.choose(1)
    scripted.script += [Refusal(500, "{}")]
    with pytest.raises(BackendError):
        await backends.spare(backend, lambda: read(backend))
    assert backends.at_hand() is backend
    assert await backends.choose(1) is backend


async def test_a_server_that_may_be_paid_for_is_not_known_to_read_ahead(backends: Backends) -> None:
    assert not (await backends.choose(1)).capabilities.caches_prefix
