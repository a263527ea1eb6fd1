"""More scenes than the server has slots: their prompts come back from its cache in memory."""

from __future__ import annotations

from pathlib import Path

import aiohttp

from bot.clock import SystemClock
from bot.model.backends import Backends
from bot.model.cpu import CpuServer, Endpoint
from bot.model.openai_server import OpenAIServer
from bot.scene.reports import backend_line
from tests.model.conftest import ask, hear, serving

STORIES = [f"{word} " + "comes down on the old stone stairs and counts the bells. " * 8 for word in "ABCDEF"]


async def test_six_scenes_on_two_slots_pay_for_what_is_new(llama: OpenAIServer) -> None:
    sent = evaluated = 0
    told: list[str] = []
    for line in ("I climb.", "I knock.", "I wait."):
        told.append(line)
        for story in STORIES:
            _, last = await hear(llama, ask(story, *told, max_tokens=4))
            assert last.usage
            assert last.usage.evaluated_tokens is not None
            if len(told) > 1:
                sent += last.usage.prompt_tokens
                evaluated += last.usage.evaluated_tokens
    assert evaluated < 0.15 * sent


async def test_a_scene_at_rest_is_not_copied_when_another_is_asked(tiny_gguf: Path, tmp_path: Path) -> None:
    """It stands in its slot: whoever is answered next would wait for the copy. Once erased, it is nowhere."""
    child = CpuServer(tiny_gguf, clock=SystemClock(), context=1024, parallel=2, slots=tmp_path)
    endpoint = await child.ensure()
    server = OpenAIServer(endpoint.url, api_key=endpoint.api_key)
    try:
        for story in STORIES[:2]:  # long ones: little of them is alike, so that each has a slot of its own
            await hear(server, ask(story * 2, max_tokens=1))
        headers = {"Authorization": f"Bearer {endpoint.api_key}"}
        async with aiohttp.ClientSession(headers=headers) as session:
            for slot in range(2):
                async with session.post(f"{endpoint.url}/slots/{slot}?action=erase", json={}) as response:
                    assert response.status == 200
        _, last = await hear(server, ask(STORIES[0] * 2, max_tokens=1))
    finally:
        await server.aclose()
        await child.stop()
    assert last.usage
    assert last.usage.evaluated_tokens == last.usage.prompt_tokens


async def test_two_scenes_that_begin_alike_share_one_slot_from_the_start(tiny_gguf: Path) -> None:
    """Of one title and cast, and short: most of what they have they have in common."""
    evaluated = []
    with serving(tiny_gguf, 1024, slots=1) as endpoint:
        server = OpenAIServer(endpoint.url, api_key=endpoint.api_key)
        told: dict[str, list[str]] = {"Ann": [], "Bob": []}
        for turn in range(6):
            for who, lines in told.items():
                lines.append(f"{who}: I climb step number {turn}.")
                _, last = await hear(server, ask(STORIES[0], "\n".join(lines), max_tokens=1))
                assert last.usage
                evaluated.append(last.usage.evaluated_tokens or 0)
        await server.aclose()
    assert max(evaluated[4:]) < 2 * len(lines[-1]), "one of them was read anew"


async def test_the_operator_sees_how_much_was_cached(llama_endpoint: Endpoint, tiny_gguf: Path) -> None:
    backends = Backends(
        [llama_endpoint.url], api_key=llama_endpoint.api_key, clock=SystemClock(), cpu_model=tiny_gguf
    )
    backends.start()
    try:
        backend = await backends.choose(1)
        for line in ("I open the gate.", "I open the gate. And then?"):
            _, last = await hear(backend, ask(STORIES[0], line))
            backends.note(backend, last.usage)
        backends.note(backend, None)
        status = (await backends.status())[0]
    finally:
        await backends.aclose()
    assert 0 < status.evaluated_tokens < status.prompt_tokens
    assert f"Of {status.prompt_tokens:,} prompt tokens it had" in backend_line(status)
