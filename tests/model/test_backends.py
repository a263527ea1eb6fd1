"""Several servers in a line: who answers, who waits, and what the table is told when one goes away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from bot.chat import ChatRequest
from bot.clock import SystemClock
from bot.errors import BackendBusyError, BackendError, BackendUnavailableError
from bot.model.backend import Backend
from bot.model.backends import Backends
from bot.model.cpu import Endpoint
from bot.model.switches import Switch
from tests.fakes.model_server import Answer, Refusal, ScriptedModelServer, Stream, chunk, event
from tests.model.conftest import ask, hear

SCENE = 7
MakeBackends = Callable[..., Backends]


@pytest.fixture
async def make(tiny_gguf: Path) -> AsyncIterator[MakeBackends]:
    made: list[Backends] = []

    def make_backends(
        *urls: str,
        cpu_model: Path = tiny_gguf,
        api_key: str | None = None,
        parallel: int = 4,
        queue_bound: int = 32,
        local_ports: tuple[int, ...] = (),
        first_wait_s: float = 0.02,
    ) -> Backends:
        backends = Backends(
            urls,
            clock=SystemClock(),
            cpu_model=cpu_model,
            api_key=api_key,
            context_length=512 if cpu_model == tiny_gguf else None,
            parallel=parallel,
            queue_bound=queue_bound,
            local_ports=local_ports,
            look_s=0.02,
            first_wait_s=first_wait_s,
        )
        made.append(backends)
        backends.start()
        return backends

    yield make_backends
    for backends in made:
        await backends.aclose()


@pytest.fixture
async def second() -> AsyncIterator[ScriptedModelServer]:
    async with ScriptedModelServer(models=("second", "shared")) as server:
        yield server


def hear_switches(backends: Backends) -> list[Switch]:
    told: list[Switch] = []

    async def note(switch: Switch) -> None:
        told.append(switch)

    backends.subscribe(note)
    return told


async def say(backends: Backends, request: ChatRequest | None = None, scene: int = SCENE) -> str:
    """One answer in a scene, without a second try."""
    backend = await backends.choose(scene)
    async with backends.lease(backend):
        return (await hear(backend, request))[0]


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(5):
        while not await condition():  # noqa: ASYNC110  # whether a server is back shows only in what is chosen
            await asyncio.sleep(0)


async def test_the_first_that_answers_is_the_one(
    make: MakeBackends, scripted: ScriptedModelServer, second: ScriptedModelServer
) -> None:
    backends = make(scripted.url, second.url)
    told = hear_switches(backends)
    for _ in range(3):
        assert await say(backends)
    assert len(scripted.chats) == 3
    assert not second.chats
    assert not told


async def test_the_table_is_told_once_when_the_server_goes_away_and_once_when_it_is_back(
    make: MakeBackends, scripted: ScriptedModelServer, second: ScriptedModelServer
) -> None:
    backends = make(scripted.url, second.url)
    told = hear_switches(backends)
    first = await backends.choose(SCENE)
    await scripted.stop()
    with pytest.raises(BackendUnavailableError):
        await say(backends)
    for _ in range(3):
        assert await say(backends)
    assert [switch.scene_key for switch in told] == [SCENE]
    assert "does not answer" in told[0].text
    assert told[0].text.endswith(f"Going on with {told[0].after}.")
    assert told[0].before == first.name

    await scripted.start()
    await until(lambda: is_chosen(backends, first))
    assert await say(backends)
    assert len(told) == 2
    assert told[1].after == first.name
    assert len(scripted.chats) == 1


async def is_chosen(backends: Backends, backend: Backend) -> bool:
    return await backends.choose(SCENE) is backend


async def test_every_scene_is_told_for_itself(
    make: MakeBackends, scripted: ScriptedModelServer, second: ScriptedModelServer
) -> None:
    await scripted.stop()
    backends = make(scripted.url, second.url)
    told = hear_switches(backends)
    for scene in (1, 2, 1, 2):
        await backends.choose(scene)
    assert [switch.scene_key for switch in told] == [1, 2]


@pytest.mark.parametrize(
    "mishap",
    [
        Stream(event(chunk("The door")), broken=True),
        Refusal(503, '{"error": {"message": "Loading model"}}'),
        Refusal(401, "{}"),
    ],
)
async def test_a_failed_answer_sends_the_next_one_elsewhere(
    make: MakeBackends, scripted: ScriptedModelServer, second: ScriptedModelServer, mishap: Refusal | Stream
) -> None:
    backends = make(scripted.url, second.url)
    await backends.choose(SCENE)
    scripted.listing = Refusal(503, '{"error": {"message": "Loading model"}}')
    scripted.script.append(mishap)
    with pytest.raises(BackendUnavailableError):
        await say(backends)
    assert await say(backends)
    assert len(second.chats) == 1


async def test_one_answer_that_broke_off_is_no_reason_to_leave(
    make: MakeBackends, scripted: ScriptedModelServer, second: ScriptedModelServer
) -> None:
    backends = make(scripted.url, second.url, first_wait_s=60)
    told = hear_switches(backends)
    broken = Stream(event(chunk("The door")), broken=True)
    scripted.script.append(broken)
    with pytest.raises(BackendUnavailableError):
        await say(backends)
    assert await say(backends)
    assert not second.chats
    assert not told

    scripted.script.extend([broken, broken])
    with pytest.raises(BackendUnavailableError):
        await say(backends)
    assert await say(backends)
    assert len(second.chats) == 1


async def test_a_wrong_key_is_found_out_before_anybody_is_sent_there(
    make: MakeBackends, talkative_endpoint: Endpoint, second: ScriptedModelServer
) -> None:
    """llama.cpp lists its models for everybody, and refuses only the rest."""
    backends = make(talkative_endpoint.url, second.url, api_key="wrong")
    assert await say(backends)
    assert len(second.chats) == 1
    assert "API key" in (await backends.status())[0].error


async def test_a_key_that_only_chats_refuse_is_not_tried_again_in_every_turn(
    make: MakeBackends, scripted: ScriptedModelServer, second: ScriptedModelServer
) -> None:
    """OpenRouter lists its models for everybody, too, and has nothing else that could be asked."""
    backends = make(scripted.url, second.url)
    told = hear_switches(backends)
    scripted.default = Refusal(401, "{}")
    with pytest.raises(BackendUnavailableError):
        await say(backends)
    before = len(scripted.requests)
    while len(scripted.requests) < before + 9:  # it is looked at three times or more meanwhile
        assert await say(backends)
    assert len(scripted.chats) == 1
    assert len(told) == 1
    assert "API key" in (await backends.status())[0].error


async def test_a_request_that_was_at_fault_itself_leaves_the_server_in_the_line(
    make: MakeBackends, scripted: ScriptedModelServer, second: ScriptedModelServer
) -> None:
    backends = make(scripted.url, second.url)
    scripted.script.append(Refusal(400, '{"error": {"message": "the grammar is wrong"}}'))
    with pytest.raises(BackendError, match="the grammar is wrong"):
        await say(backends)
    assert await say(backends)
    assert not second.chats


async def test_without_any_server_the_cpu_model_answers_until_one_comes(
    make: MakeBackends, scripted: ScriptedModelServer
) -> None:
    await scripted.stop()
    backends = make(scripted.url)
    told = hear_switches(backends)
    assert (await backends.status())[-1].state == "standby"
    assert await say(backends)
    assert "the CPU model tiny" in told[0].text
    cpu = (await backends.status())[-1]
    assert (cpu.state, cpu.model, cpu.context_length, cpu.exact_counts) == ("up", "tiny", 512, True)

    on_cpu = await backends.choose(SCENE)
    await scripted.start()
    await until(lambda: is_other(backends, on_cpu))
    assert await say(backends)
    assert [switch.after for switch in told] == ["the CPU model tiny", told[1].after]
    assert "answers again" in told[1].text


async def is_other(backends: Backends, backend: Backend) -> bool:
    return await backends.choose(SCENE) is not backend


async def test_the_cpu_model_comes_back_after_a_death_and_nobody_is_told(make: MakeBackends) -> None:
    backends = make()
    told = hear_switches(backends)
    assert await say(backends)
    child = backends._fallback._cpu._child
    assert child is not None
    child.process.kill()
    with pytest.raises(BackendUnavailableError):
        await say(backends)
    assert await say(backends)
    assert not told


async def test_scenes_that_need_the_cpu_model_at_the_same_time_share_it(make: MakeBackends) -> None:
    backends = make()
    first, second = await asyncio.gather(backends.choose(1), backends.choose(2))
    assert first is second


async def test_when_nothing_answers_both_reasons_are_said(
    make: MakeBackends, scripted: ScriptedModelServer, tmp_path: Path
) -> None:
    await scripted.stop()
    backends = make(scripted.url, cpu_model=tmp_path / "no-such.gguf")
    with pytest.raises(BackendUnavailableError) as error:
        await backends.choose(SCENE)
    assert "connection refused" in str(error.value)
    assert "no-such.gguf" in str(error.value)
    status = await backends.status()
    assert [one.state for one in status] == ["down", "down"]
    assert "no-such.gguf" in status[-1].error


async def test_the_usual_ports_are_looked_at_and_strangers_left_alone(make: MakeBackends) -> None:
    page = Refusal(200, "<html>my router</html>", "text/html")
    async with AsyncExitStack() as stack:
        stranger, airplay, locked, server = [
            await stack.enter_async_context(ScriptedModelServer(api_key=key))
            for key in (None, None, "x", None)
        ]
        stranger.listing = page
        airplay.listing = Refusal(403, "")
        ports = [
            int(one.url.split(":")[2].removesuffix("/v1")) for one in (stranger, airplay, locked, server)
        ]
        backends = make(local_ports=(1, *ports), api_key="sk-for-somebody-else")
        told = hear_switches(backends)
        assert await say(backends)
        assert len(server.chats) == 1
        assert not told
        states = [(status.state, status.error) for status in await backends.status()]
        assert [state for state, _ in states] == ["down", "up", "standby"]
        assert f"set MODEL_URLS={locked.url} and MODEL_API_KEY" in states[0][1], "the key alone goes nowhere"
        for one in (stranger, locked, server):
            assert "sk-for-somebody-else" not in str(one.requests)


async def test_the_server_that_has_the_model_comes_first(
    make: MakeBackends, scripted: ScriptedModelServer, second: ScriptedModelServer
) -> None:
    backends = make(scripted.url, second.url)
    assert await backends.choose(SCENE, "second") is not await backends.choose(SCENE)
    assert await backends.choose(SCENE, "nobody-has-it") is await backends.choose(SCENE)
    offers = [(offer.backend, offer.model.name) for offer in await backends.models()]
    assert [model for _, model in offers] == ["scripted", "second", "shared", "tiny"]
    assert offers[-1][0] == "the CPU model tiny"


async def test_the_cpu_model_is_ready_ahead_of_the_first_turn(make: MakeBackends) -> None:
    backends = make()
    await backends.warm()
    assert (await backends.status())[-1].state == "up"


async def test_status_shows_no_credentials(make: MakeBackends, scripted: ScriptedModelServer) -> None:
    backends = make(
        scripted.url.replace("://", "://ada:s3cret@"), "http://ada:s3cret@127.0.0.1:1", api_key="sk-1"
    )
    shown = str(await backends.status())
    assert "s3cret" not in shown
    assert "sk-1" not in shown
    assert "127.0.0.1:1" in shown


async def test_who_waits_sees_the_place_and_moves_up_in_order(
    make: MakeBackends, scripted: ScriptedModelServer
) -> None:
    backends = make(scripted.url, parallel=1)
    backend = await backends.choose(SCENE)
    gate = asyncio.Event()
    scripted.default = Answer(gate=gate)
    places: dict[str, list[int]] = {"Ada": [], "Ben": [], "Cleo": []}
    done: list[str] = []

    async def answer(player: str) -> None:
        async with backends.lease(backend, places[player].append):
            await hear(backend)
        done.append(player)

    waiting = []
    for player in places:
        waiting.append(asyncio.create_task(answer(player)))
        await asyncio.sleep(0)
    await scripted.wait_for_chats(1)
    (status, _) = await backends.status()
    assert (status.running, status.waiting) == (1, 2)
    gate.set()
    await asyncio.gather(*waiting)
    assert places == {"Ada": [], "Ben": [1], "Cleo": [2, 1]}
    assert done == ["Ada", "Ben", "Cleo"]


async def test_who_leaves_the_queue_lets_the_others_move_up(
    make: MakeBackends, scripted: ScriptedModelServer
) -> None:
    backends = make(scripted.url, parallel=1)
    backend = await backends.choose(SCENE)
    places: list[int] = []

    async def wait_and_hold(note: Callable[[int], None]) -> None:
        async with backends.lease(backend, note):
            pass

    async with backends.lease(backend):
        leaver = asyncio.create_task(wait_and_hold(lambda _: None))
        await asyncio.sleep(0)
        stayer = asyncio.create_task(wait_and_hold(places.append))
        await asyncio.sleep(0)
        leaver.cancel()
        await asyncio.wait({leaver})
    await stayer
    assert places == [2, 1]


async def test_a_full_queue_says_so_at_once(make: MakeBackends, scripted: ScriptedModelServer) -> None:
    backends = make(scripted.url, parallel=1, queue_bound=1)
    backend = await backends.choose(SCENE)
    queued = asyncio.Event()

    async def wait_for_place() -> None:
        async with backends.lease(backend, lambda _: queued.set()):
            pass

    async with backends.lease(backend):
        waiter = asyncio.create_task(wait_for_place())
        await queued.wait()
        with pytest.raises(BackendBusyError, match="busy"):
            async with backends.lease(backend):
                pass
    await waiter


async def test_who_waited_for_a_server_that_died_does_not_have_to_find_out(
    make: MakeBackends, scripted: ScriptedModelServer
) -> None:
    backends = make(scripted.url, parallel=1)
    backend = await backends.choose(SCENE)
    scripted.default = Answer(gate=asyncio.Event())

    async def answer() -> None:
        async with backends.lease(backend):
            await hear(backend)

    turns = [asyncio.create_task(answer()) for _ in range(3)]
    await scripted.wait_for_chats(1)
    await scripted.stop()
    results = await asyncio.gather(*turns, return_exceptions=True)
    assert all(isinstance(result, BackendUnavailableError) for result in results)
    assert len(scripted.chats) == 1


async def test_a_server_works_on_as_many_answers_as_it_has_slots(
    make: MakeBackends, talkative_endpoint: Endpoint
) -> None:
    """Two slots, although the setting says four: the third has to wait."""
    backends = make(talkative_endpoint.url, api_key=talkative_endpoint.api_key, parallel=4)
    backend = await backends.choose(SCENE)
    waited = asyncio.Event()

    async def answer() -> None:
        async with backends.lease(backend, lambda _: waited.set()):
            await hear(backend, ask(max_tokens=5))

    turns = [asyncio.create_task(answer()) for _ in range(3)]
    await asyncio.wait_for(waited.wait(), 5)
    assert (await backends.status())[0].waiting <= 1
    await asyncio.gather(*turns)
