"""LoRA adapters by name: on the real llama.cpp with two tiny ones, and on servers of other kinds."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest

from bot.chat import Adapter, Sampling
from bot.model.openai_server import OpenAIServer
from tests.fakes.model_server import ScriptedModelServer
from tests.model.conftest import ask, hear
from tests.tiny_gguf import write_tiny_gguf, write_tiny_lora

# What an operator's own `llama-server --lora elf.gguf --lora dwarf.gguf --lora-init-without-apply` is.
SERVE = """
import os, sys, xllamacpp
params = xllamacpp.CommonParams()
params.model.path, *adapters = sys.argv[1:]
params.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(path, 0.0) for path in adapters]
params.lora_init_without_apply = True
params.hostnames, params.port, params.n_ctx, params.n_parallel = ["127.0.0.1"], 0, 2048, 1
params.cpuparams.n_threads, params.ui, params.fit_params, params.use_jinja = 1, False, False, True
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
os._exit(0)
"""
GREEDY = Sampling(temperature=0.0, top_k=1)
STORY = "The rain comes down on the old stone stairs. " * 10


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("lora")
    model = write_tiny_gguf(folder / "tiny.gguf")
    adapters = [write_tiny_lora(folder / f"{name}.gguf", seed) for seed, name in enumerate(("Elf", "dwarf"))]
    command = [sys.executable, "-c", SERVE, *map(str, (model, *adapters))]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True) as child:
        assert child.stdout
        yield child.stdout.readline().strip()
        child.communicate(timeout=10)


@pytest.fixture
async def server(address: str) -> AsyncIterator[OpenAIServer]:
    server = OpenAIServer(address)
    async with asyncio.timeout(60):
        while server.dialect != "llama.cpp":  # a busy machine may not let it say so in time
            await server.health()
    yield server
    await server.aclose()


async def evaluated(server: OpenAIServer, adapter: Adapter | None) -> tuple[str, int]:
    text, last = await hear(server, replace(ask(STORY, sampling=GREEDY), lora=adapter))
    assert last.usage
    assert last.usage.evaluated_tokens is not None
    return text, last.usage.evaluated_tokens


async def test_an_adapter_is_found_by_its_file_and_speaks_with_its_own_voice(server: OpenAIServer) -> None:
    assert server.has_lora(Adapter("elf"))
    assert server.has_lora(Adapter("Dwarf.gguf"))
    assert not server.has_lora(Adapter("orc"))
    adapters = (None, Adapter("elf"), Adapter("dwarf"), Adapter("dwarf", 2.0))
    voices = {(await evaluated(server, adapter))[0] for adapter in adapters}
    assert len(voices) == len(adapters)


async def test_another_adapter_or_scale_costs_the_whole_prompt_and_the_same_one_nothing(
    server: OpenAIServer,
) -> None:
    await evaluated(server, Adapter("elf"))
    assert (await evaluated(server, Adapter("elf")))[1] == 1
    assert (await evaluated(server, Adapter("elf", 0.5)))[1] > 100
    assert (await evaluated(server, Adapter("dwarf")))[1] > 100


async def test_an_adapter_that_is_not_there_is_gone_without(server: OpenAIServer) -> None:
    assert (await evaluated(server, Adapter("orc")))[0] == (await evaluated(server, None))[0]


async def test_on_vllm_an_adapter_is_a_model_and_elsewhere_there_is_none() -> None:
    async with ScriptedModelServer(dialect="vllm", models=("llama", "elf")) as scripted:
        server = OpenAIServer(scripted.url)
        await hear(server, replace(ask(), lora=Adapter("elf")))
        await hear(server, replace(ask(), lora=Adapter("orc")))
        await server.aclose()
    assert [chat.body["model"] for chat in scripted.chats] == ["elf", "llama"]
    async with ScriptedModelServer() as scripted:
        server = OpenAIServer(scripted.url)
        assert (await hear(server, replace(ask(), lora=Adapter("elf"))))[0]
        assert not server.has_lora(Adapter("elf"))
        await server.aclose()
    assert "lora" not in scripted.chats[0].body
