"""Every kind of server is told apart, and says what it has: on small servers that speak its published API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from bot.chat import ChatMessage
from bot.errors import BackendBusyError, BackendError, BackendUnavailableError, ModelRefusedError
from bot.model.backend import ModelInfo
from bot.model.openai_server import OpenAIServer
from bot.model.routes import Timeouts
from tests.fakes.dialect_server import ADMIN_KEY, API_KEY, INN, SEA, DialectServer, Model
from tests.fakes.koboldcpp import FakeKoboldCpp
from tests.fakes.llama_router import FakeLlamaRouter
from tests.fakes.lm_studio import FakeLMStudio
from tests.fakes.model_server import ScriptedModelServer
from tests.fakes.ollama import FakeOllama
from tests.fakes.tabbyapi import INN_EXL2, SEA_EXL3, FakeTabbyAPI
from tests.fakes.textgen_webui import FakeTextGenWebUI
from tests.fakes.vllm import FakeVllm
from tests.model.conftest import ask, hear

QUICK = Timeouts(poll=0.01)
EVERY: tuple[tuple[str, type[DialectServer]], ...] = (
    ("KoboldCpp", FakeKoboldCpp),
    ("TabbyAPI", FakeTabbyAPI),
    ("text-generation-webui", FakeTextGenWebUI),
    ("LM Studio", FakeLMStudio),
    ("Ollama", FakeOllama),
    ("vLLM", FakeVllm),
    ("llama.cpp", FakeLlamaRouter),
)
SWAPPING = tuple(one for one in EVERY if one[0] != "vLLM")


@asynccontextmanager
async def reaching(fake: DialectServer, **options: Any) -> AsyncIterator[OpenAIServer]:
    """A running fake, and the backend that has asked it what it is."""
    async with fake:
        server = OpenAIServer(fake.url, **{"api_key": API_KEY, "timeouts": QUICK, **options})
        try:
            await server.health()
            yield server
        finally:
            await server.aclose()


async def listed(server: OpenAIServer) -> dict[str, ModelInfo]:
    return {model.name: model for model in await server.models()}


def other(fake: DialectServer) -> str:
    """What a server that is not loaded calls its other model."""
    name = next(name for name in fake.folder if name not in fake.loaded)
    return f"{name}.gguf" if isinstance(fake, FakeKoboldCpp) else name


@pytest.mark.parametrize(("name", "fake"), EVERY)
async def test_each_server_is_known_by_what_only_it_answers(name: str, fake: type[DialectServer]) -> None:
    async with reaching(fake()) as server:
        assert server.dialect == name
        assert server.name.startswith(f"{name} at 127.0.0.1:")


@pytest.mark.parametrize(("name", "fake"), EVERY)
async def test_each_server_answers_and_dies_visibly(name: str, fake: type[DialectServer]) -> None:
    scripted = fake()
    async with reaching(scripted) as server:
        text, last = await hear(server)
        assert text.startswith("The door swings open.")
        assert last.finish_reason == "stop"
        assert last.usage is not None
        scripted.dies_in_mid_answer()
        with pytest.raises(BackendUnavailableError, match=name):
            await hear(server)
        assert (await hear(server))[0] == text


@pytest.mark.parametrize(("name", "fake"), EVERY)
async def test_a_server_that_comes_back_is_asked_again(name: str, fake: type[DialectServer]) -> None:
    before = FakeVllm() if name != "vLLM" else FakeLMStudio()
    async with before, fake() as after:
        server = OpenAIServer(before.url, api_key=API_KEY, timeouts=QUICK)
        await server.health()
        port = before._port
        await before.stop()
        await after.stop()
        await after.start(port)
        server.forget()
        await server.health()
        assert server.dialect == name
        await server.aclose()


@pytest.mark.parametrize(
    ("fake", "context", "form", "quantization"),
    [
        (FakeKoboldCpp, 4096, "gguf", None),
        (FakeTabbyAPI, 4096, "exl2", "4.0bpw"),
        (FakeTextGenWebUI, None, "exl2", None),
        (FakeLMStudio, 4096, "gguf", "Q4_K_M"),
        (FakeOllama, 4096, "gguf", "Q4_K_M"),
        (FakeVllm, 4096, "awq", None),
        (FakeLlamaRouter, 4096, "gguf", "Q4_K_M"),
    ],
)
async def test_the_loaded_model_comes_first_with_its_context_and_format(
    fake: type[DialectServer], context: int | None, form: str, quantization: str | None
) -> None:
    async with reaching(fake()) as server:
        first, *others = await server.models()
        assert first.loaded
        assert (first.context_length, first.format, first.quantization) == (context, form, quantization)
        assert await server.context_length() == context
        assert not any(model.loaded for model in others)


async def test_a_context_that_would_only_be_guessed_is_none() -> None:
    """LM Studio and llama.cpp tell what a model could have had, not what it will be loaded with."""
    async with reaching(FakeLMStudio()) as server:
        assert (await listed(server))[SEA.name].context_length is None
        assert await server.context_length(SEA.name) is None


async def test_an_older_lm_studio_tells_less_but_the_same() -> None:
    async with reaching(FakeLMStudio(older=True)) as server:
        models = await listed(server)
        assert server.dialect == "LM Studio"
        assert models[INN.name] == ModelInfo(INN.name, 4096, "gguf", "Q4_K_M", loaded=True)
        assert models[SEA.name].context_length is None
        await server.load(SEA.name)
        assert (await listed(server))[SEA.name].loaded


async def test_embedding_models_are_not_for_answering() -> None:
    async with reaching(FakeLMStudio()) as server:
        assert set(await listed(server)) == {INN.name, SEA.name}
        assert server.capabilities.embeddings


@pytest.mark.parametrize(("name", "fake"), SWAPPING)
async def test_another_model_is_loaded_and_answers(name: str, fake: type[DialectServer]) -> None:
    scripted = fake()
    async with reaching(scripted) as server:
        wanted = other(scripted)
        assert (await listed(server))[wanted].loaded is False
        await server.load(wanted)
        loaded = [model for model in await server.models() if model.loaded]
        assert wanted in {model.name for model in loaded}
        one = server.capabilities.swaps == "whole"
        assert len(loaded) == (1 if one else 2)
        await hear(server, ask(model=loaded[-1].name))
        assert scripted.chats[-1].body["model"] == loaded[-1].name


@pytest.mark.parametrize(("name", "fake"), SWAPPING)
async def test_loading_is_told_while_it_takes_long(name: str, fake: type[DialectServer]) -> None:
    scripted = fake()
    async with reaching(scripted) as server:
        scripted.loading.clear()
        wanted, told = other(scripted), list[str]()

        def progress(text: str) -> None:
            told.append(text)
            scripted.loading.set()

        await server.load(wanted, progress)
        assert told[0].startswith(f"loading {wanted} ... ")


@pytest.mark.parametrize(("name", "fake"), SWAPPING)
async def test_a_model_that_cannot_be_loaded_is_refused_with_a_reason(
    name: str, fake: type[DialectServer]
) -> None:
    scripted = fake()
    async with reaching(scripted) as server:
        scripted.unloadable = set(scripted.folder)
        with pytest.raises(
            BackendError, match=rf"{name} at 127\.0\.0\.1:\d+ (could not|came back|failed|refused)"
        ):
            await server.load(other(scripted))


@pytest.mark.parametrize(("name", "fake"), EVERY)
async def test_a_model_nobody_has_is_refused_with_what_there_is(name: str, fake: type[DialectServer]) -> None:
    async with reaching(fake()) as server:
        with pytest.raises(ModelRefusedError, match=r"has no model called 'dragon-70b'.*offers: .*inn-8b"):
            await server.load("dragon-70b")


@pytest.mark.parametrize(("name", "fake"), SWAPPING)
async def test_a_model_that_takes_too_long_is_given_up(name: str, fake: type[DialectServer]) -> None:
    scripted = fake()
    async with reaching(scripted, timeouts=Timeouts(poll=0.01, load=0.05)) as server:
        scripted.loading.clear()
        with pytest.raises(BackendUnavailableError, match=r"did not load \S+ within 0\.05 seconds"):
            await server.load(other(scripted))


async def test_a_model_that_answers_already_is_not_loaded_again() -> None:
    for _, fake in EVERY:
        scripted = fake()
        async with reaching(scripted) as server:
            await server.load((await server.models())[0].name)
            assert not scripted.started_loading.is_set()


async def test_vllm_says_that_it_serves_what_it_was_started_with() -> None:
    async with reaching(FakeVllm()) as server:
        assert server.capabilities.swaps == "none"
        await server.load(INN.name)


@pytest.mark.parametrize("fake", [FakeKoboldCpp, FakeTabbyAPI, FakeTextGenWebUI])
async def test_loading_is_the_operators(fake: type[DialectServer]) -> None:
    """With the players' key alone neither TabbyAPI nor the others tell what else they could load."""
    async with reaching(fake(api_key=API_KEY, admin_key=ADMIN_KEY)) as server:
        assert len(await server.models()) == 1
        assert server.capabilities.swaps == "none"
    scripted = fake(api_key=API_KEY, admin_key=ADMIN_KEY)
    async with reaching(scripted, admin_key=ADMIN_KEY) as server:
        assert len(await server.models()) >= 2
        await server.load(other(scripted))
        assert all(request.headers["Authorization"] == f"Bearer {API_KEY}" for request in scripted.chats)


async def test_the_operators_key_is_shown_to_no_stranger() -> None:
    async with ScriptedModelServer() as stranger:
        server = OpenAIServer(stranger.url, api_key=API_KEY, admin_key=ADMIN_KEY)
        await server.health()
        await hear(server)
        await server.aclose()
    assert stranger.requests
    assert not any(ADMIN_KEY in value for one in stranger.requests for value in one.headers.values())


async def test_a_lost_right_to_load_is_told_with_the_setting_that_gives_it() -> None:
    scripted = FakeTabbyAPI(api_key=API_KEY, admin_key=ADMIN_KEY)
    async with reaching(scripted, admin_key=ADMIN_KEY) as server:
        dialect = await server._known()
        scripted.admin_key = "another"
        with pytest.raises(BackendError, match="MODEL_ADMIN_KEY"):
            await dialect.load(SEA_EXL3.name, None)


async def test_koboldcpp_without_its_admin_loads_nothing_and_says_what_it_needs() -> None:
    scripted = FakeKoboldCpp()
    scripted.admin = False
    async with reaching(scripted) as server:
        assert [model.name for model in await server.models()] == ["koboldcpp/inn-8b"]
        dialect = await server._known()
        with pytest.raises(BackendError, match=r"would not load.*--admindir.*MODEL_ADMIN_KEY"):
            await dialect.load("sea-24b.gguf", None)


async def test_what_koboldcpp_loads_is_called_as_it_was_asked_for() -> None:
    """It tells the model's name and not the settings' file; the next turn asks for that again."""
    scripted = FakeKoboldCpp()
    async with reaching(scripted) as server:
        assert list(await listed(server)) == ["inn-8b.gguf", "sea-24b.gguf", "tavern.kcpps"]
        await server.load("tavern.kcpps")
        first, *others = await server.models()
        assert (first.name, first.loaded, first.context_length) == ("tavern.kcpps", True, SEA.context)
        assert not any(model.loaded for model in others)
        scripted.started_loading.clear()
        await server.load("tavern.kcpps")
        assert not scripted.started_loading.is_set()
        await server.load("inn-8b.gguf")
        assert (await server.models())[0].name == "inn-8b.gguf"
        assert (await listed(server))["tavern.kcpps"].loaded is False


async def test_koboldcpp_at_work_is_busy_and_not_gone() -> None:
    scripted = FakeKoboldCpp()
    async with reaching(scripted) as server:
        scripted.busy = True
        with pytest.raises(BackendBusyError):
            await hear(server)


async def test_a_router_is_asked_nothing_that_would_load_a_model() -> None:
    scripted = FakeLlamaRouter(loaded=None)
    async with reaching(scripted) as server:
        assert scripted.woken == []
        before = server.capabilities
        assert not before.counts
        assert await server.count(ask().messages) is None
        await server.load(SEA.name)
        assert server.capabilities.counts
        assert await server.count(ask().messages, INN.name) is None
        assert scripted.woken == []


async def test_a_router_notices_by_its_list_that_another_model_was_loaded() -> None:
    scripted = FakeLlamaRouter()
    async with reaching(scripted) as server:
        scripted.loaded = {SEA.name}
        await server.health()
        assert (await server.models())[0].name == SEA.name
        assert await server.context_length() == SEA.context


@pytest.mark.parametrize("fake", [FakeLMStudio, FakeOllama])
async def test_what_others_load_and_unload_is_noticed(fake: type[DialectServer]) -> None:
    scripted = fake()
    async with reaching(scripted) as server:
        scripted.loaded.add(SEA.name)
        if isinstance(scripted, FakeOllama):
            scripted.contexts[SEA.name] = 8192
        await server.health()
        assert [model.loaded for model in await server.models()] == [True, True]
        scripted.loaded.clear()
        await server.health()
        assert [model.loaded for model in await server.models()] == [False, False]


@pytest.mark.parametrize("fake", [FakeLMStudio, FakeOllama, FakeLlamaRouter])
async def test_a_model_that_was_let_go_of_still_answers_by_default(fake: type[DialectServer]) -> None:
    """They unload what nobody used for a while; the voice of the story must not change for that."""
    scripted = fake(loaded=SEA)
    async with reaching(scripted) as server:
        scripted.loaded.clear()
        await server.health()
        await hear(server)
    assert scripted.chats[-1].body["model"] == SEA.name


async def test_what_servers_count_is_what_they_bill() -> None:
    for fake in (FakeTextGenWebUI, FakeVllm, FakeLlamaRouter):
        async with reaching(fake()) as server:
            request = ask("I knock, and wait.")
            _, last = await hear(server, request)
            count = await server.count(request.messages)
            assert last.usage
            assert count
            assert count.tokens == last.usage.prompt_tokens


@pytest.mark.parametrize(("name", "fake"), EVERY)
async def test_text_is_counted_where_there_is_a_route_for_it(name: str, fake: type[DialectServer]) -> None:
    async with reaching(fake()) as server:
        has = name not in {"LM Studio", "Ollama"}
        assert server.capabilities.tokenizes == has
        assert await server.tokenize("a lantern in the rain") == (5 if has else None)


async def test_tokenizers_have_a_name_that_outlives_a_restart_and_not_a_swap() -> None:
    for _, fake in SWAPPING:
        scripted = fake()
        async with reaching(scripted) as server:
            before = server.fingerprint()
            await server.refresh()
            assert server.fingerprint() == before
            if server.capabilities.swaps == "whole":
                await server.load(other(scripted))
                assert server.fingerprint() != before


async def test_ollama_is_told_the_context_that_is_counted_on_and_cuts_nothing() -> None:
    scripted = FakeOllama()
    async with reaching(scripted, context_override=8192) as server:
        assert await server.context_length() == 8192
        long = ask("The rain comes down. " * 1200)
        _, last = await hear(server, long)
        assert scripted.cut == 0
        assert last.usage
        assert last.usage.prompt_tokens > 4096
        assert scripted.chats[0].body["options"]["num_ctx"] == 8192
        await hear(server, long)
        assert scripted.reloads == 1


@pytest.mark.parametrize(
    ("modelfile", "loaded", "override", "trusted"),
    [
        (None, None, None, 4096),
        (16_384, None, None, 16_384),
        (16_384, 8192, None, 8192),
        (None, 8192, 6000, 6000),
        (None, None, 1_000_000, 131_072),
    ],
)
async def test_ollamas_maximum_is_never_taken_for_its_context(
    modelfile: int | None, loaded: int | None, override: int | None, trusted: int
) -> None:
    scripted = FakeOllama(loaded=INN if loaded else None)
    if modelfile:
        scripted.modelfiles[INN.name] = modelfile
    if loaded:
        scripted.contexts[INN.name] = loaded
    async with reaching(scripted, context_override=override) as server:
        assert await server.context_length(INN.name) == trusted


async def test_lm_studio_loads_with_the_operators_context() -> None:
    scripted = FakeLMStudio()
    async with reaching(scripted, context_override=16_384) as server:
        await server.load(SEA.name)
        assert (await listed(server))[SEA.name].context_length == 16_384


async def test_a_server_with_nothing_loaded_is_still_known() -> None:
    for name, fake in SWAPPING:
        scripted = fake(loaded=None)
        async with reaching(scripted) as server:
            assert server.dialect == name
            models = await server.models()
            assert models
            assert not any(model.loaded for model in models)


async def test_the_names_in_a_textgen_folder_tell_formats_whatever_loads_them() -> None:
    folder = (Model("TheBloke_Mythomax-13B-GPTQ"), Model("inn-Q6_K.gguf"), Model("meta_inn-8b"))
    scripted = FakeTextGenWebUI(folder=folder, loaded=folder[0], loader="ExLlamav2_HF")
    async with reaching(scripted) as server:
        models = await listed(server)
        found = {name: (model.format, model.quantization) for name, model in models.items()}
    assert found == {
        "TheBloke_Mythomax-13B-GPTQ": ("gptq", None),
        "inn-Q6_K.gguf": ("gguf", "Q6_K"),
        "meta_inn-8b": (None, None),
    }


async def test_a_tabby_list_is_its_folder_for_the_operator() -> None:
    async with reaching(FakeTabbyAPI()) as server:
        assert list(await listed(server)) == [INN_EXL2.name, SEA_EXL3.name]
        assert await server.count([ChatMessage("user", "Hello.")]) is None
