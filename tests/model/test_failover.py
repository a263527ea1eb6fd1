"""Servers that are equals, that load for minutes, that refuse a model, that are swapped between answers."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from bot.clock import SystemClock
from bot.errors import BackendError, BackendLoadingError, ModelRefusedError
from bot.model.backend import Backend
from bot.model.backends import Backends
from bot.model.switches import Switch
from tests.fakes.koboldcpp import FakeKoboldCpp
from tests.fakes.model_server import Answer, Refusal, ScriptedModelServer
from tests.model.conftest import ask, hear

LOADING = Refusal(503, '{"error": {"message": "Loading model", "type": "unavailable_error", "code": 503}}')
NO_SUCH_MODEL = Refusal(404, '{"error": {"message": "The model `large` does not exist."}}')
SCENES = range(60)

Make = Callable[..., Backends]


@pytest.fixture
async def make(tiny_gguf: Path) -> AsyncIterator[Make]:
    made: list[Backends] = []

    def make_backends(*urls: str) -> Backends:
        backends = Backends(
            urls,
            clock=SystemClock(),
            cpu_model=tiny_gguf,
            context_length=512,
            look_s=0.02,
            first_wait_s=0.02,
        )
        made.append(backends)
        backends.start()
        return backends

    yield make_backends
    for backends in made:
        await backends.aclose()


@pytest.fixture
async def other() -> AsyncIterator[ScriptedModelServer]:
    async with ScriptedModelServer() as server:
        yield server


async def ends_at(backends: Backends, scene: int, backend: Backend) -> None:
    async with asyncio.timeout(20):
        while await backends.choose(scene) is not backend:  # noqa: ASYNC110  # that it is back shows only here
            await asyncio.sleep(0)


async def test_equals_share_the_scenes_and_each_scene_keeps_to_its_own(
    make: Make, scripted: ScriptedModelServer, other: ScriptedModelServer
) -> None:
    backends = make(f"{scripted.url}|{other.url}")
    told: list[Switch] = []

    async def note(switch: Switch) -> None:
        told.append(switch)

    backends.subscribe(note)
    first = [await backends.choose(scene) for scene in SCENES]
    assert [await backends.choose(scene) for scene in SCENES] == first
    assert [backends.at_hand(None, scene) for scene in SCENES] == first
    assert min(Counter(first).values()) > len(SCENES) // 4
    assert len(Counter(first)) == 2
    assert not told


async def test_where_one_of_the_equals_dies_only_its_scenes_move_and_come_back(
    make: Make, scripted: ScriptedModelServer, other: ScriptedModelServer
) -> None:
    backends = make(f"{scripted.url}|{other.url}")
    home = {scene: await backends.choose(scene) for scene in SCENES}
    told: list[Switch] = []

    async def note(switch: Switch) -> None:
        told.append(switch)

    backends.subscribe(note)
    gone = next(backend for backend in home.values() if backend.name.endswith(other.url[7:-3]))
    its_scenes = [scene for scene in SCENES if home[scene] is gone]
    await hear(gone)  # what is imported for the first answer takes time, in which looks become rare
    await other.stop()
    with pytest.raises(BackendError):
        async with backends.lease(gone):
            await hear(gone)
    for scene in SCENES:
        assert await backends.choose(scene) is not gone
    assert [switch.scene_key for switch in told] == its_scenes

    await other.start()
    await ends_at(backends, its_scenes[0], gone)
    assert {scene: await backends.choose(scene) for scene in SCENES} == home
    assert "answers again" in told[-1].text


async def test_a_server_that_loads_is_waited_for_where_no_other_is_up(
    make: Make, scripted: ScriptedModelServer
) -> None:
    scripted.listing = LOADING
    backends = make(scripted.url)
    waited: list[str] = []
    told = asyncio.Event()

    def note(text: str) -> None:
        waited.append(text)
        told.set()

    choosing = asyncio.create_task(backends.choose(1, None, note))
    await asyncio.wait_for(told.wait(), 5)
    scripted.listing = None
    backend = await choosing
    assert "is loading its model ... " in waited[0]
    assert scripted.url[7:-3] in backend.name
    assert (await backends.status())[-1].state == "standby"


async def test_a_server_that_loads_is_not_waited_for_where_another_is_up(
    make: Make, scripted: ScriptedModelServer, other: ScriptedModelServer
) -> None:
    scripted.listing = LOADING
    backends = make(scripted.url, other.url)
    second = await backends.choose(1)
    assert other.url[7:-3] in second.name
    scripted.listing = None
    async with asyncio.timeout(5):
        while await backends.choose(1) is second:  # noqa: ASYNC110  # as above
            await asyncio.sleep(0)


async def test_a_chat_that_is_refused_while_the_model_loads_is_no_failure(
    make: Make, scripted: ScriptedModelServer
) -> None:
    """llama.cpp lists its models for everybody while it loads them."""
    backends = make(scripted.url)
    scripted.script += [LOADING] * 4
    for _ in range(4):
        backend = await backends.choose(1)
        with pytest.raises(BackendLoadingError):
            async with backends.lease(backend):
                await hear(backend)
    backend = await backends.choose(1)
    async with backends.lease(backend):
        assert (await hear(backend))[0]


async def test_a_model_that_is_refused_by_its_name_is_not_asked_for_again(make: Make) -> None:
    async with ScriptedModelServer(models=("small", "large")) as server:
        backends = make(server.url)
        backend = await backends.choose(1, "large")
        assert backends.model_for(backend, "large") == "large"
        server.script.append(NO_SUCH_MODEL)
        with pytest.raises(ModelRefusedError):
            async with backends.lease(backend):
                await hear(backend, ask(model="large"))
        assert await backends.choose(1, "large") is backend
        assert backends.model_for(backend, "large") is None


async def test_a_server_that_refuses_its_own_model_gives_way_to_the_next(
    make: Make, other: ScriptedModelServer
) -> None:
    async with ScriptedModelServer(models=("large",)) as server:
        backends = make(server.url, other.url)
        backend = await backends.choose(1)
        server.script.append(NO_SUCH_MODEL)
        with pytest.raises(ModelRefusedError):
            async with backends.lease(backend):
                await hear(backend)
        assert other.url[7:-3] in (await backends.choose(1)).name


async def test_characters_with_models_on_different_servers_are_no_reason_for_a_notice(
    make: Make, scripted: ScriptedModelServer
) -> None:
    async with ScriptedModelServer(models=("large",)) as second:
        backends = make(scripted.url, second.url)
        told: list[Switch] = []

        async def note(switch: Switch) -> None:
            told.append(switch)

        backends.subscribe(note)
        for model in ("scripted", "large", None, "scripted", "large"):
            await backends.choose(1, model)
        assert not told


async def test_the_cpu_model_answers_by_its_name_though_a_server_is_up(
    make: Make, scripted: ScriptedModelServer
) -> None:
    backends = make(scripted.url)
    assert "CPU model" in (await backends.choose(1, "tiny")).name
    assert "CPU model" not in (await backends.choose(1)).name


async def test_a_model_is_put_in_another_s_place_between_two_answers(make: Make) -> None:
    async with FakeKoboldCpp() as server:
        backends = make(server.url)
        backend = await backends.choose(1)
        gate = asyncio.Event()
        server.script.append(Answer(gate=gate, opening=True))
        places: list[int] = []

        async def answer(on_wait: Callable[[int], None] | None = None) -> str:
            async with backends.lease(backend, on_wait):
                return (await hear(backend))[0]

        first = asyncio.create_task(answer())
        await server.wait_for_chats(1)
        swap = asyncio.create_task(backends.load("sea-24b.gguf"))
        await asyncio.sleep(0)
        second = asyncio.create_task(answer(places.append))
        await asyncio.sleep(0)
        assert not swap.done()
        gate.set()
        assert await first
        assert await swap == "sea-24b.gguf"
        assert await second
        assert places == [1]
        assert backends.model_for(await backends.choose(1), "sea-24b.gguf")
