"""What a request says, in each server's words: sampling, schemas, thinking, adapters, priority, sessions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bot.chat import Adapter, ChatRequest, Sampling
from bot.errors import BackendError
from bot.model.openai_server import OpenAIServer
from tests.fakes.dialect_server import API_KEY, DialectServer
from tests.fakes.koboldcpp import FakeKoboldCpp
from tests.fakes.llama_router import FakeLlamaRouter
from tests.fakes.lm_studio import FakeLMStudio
from tests.fakes.model_server import TEXT, Answer, Refusal, ScriptedModelServer, Stream, chunk, event
from tests.fakes.ollama import FakeOllama
from tests.fakes.tabbyapi import FakeTabbyAPI
from tests.fakes.textgen_webui import FakeTextGenWebUI
from tests.fakes.vllm import FakeVllm
from tests.model.conftest import ask, hear
from tests.model.test_dialects import EVERY, reaching

ALL = Sampling(
    temperature=1.1,
    top_p=0.95,
    top_k=40,
    min_p=0.05,
    typical_p=0.9,
    repeat_penalty=1.05,
    presence_penalty=0.5,
    frequency_penalty=0.25,
    dry_multiplier=0.8,
    dry_base=1.5,
    dry_allowed_length=3,
    xtc_probability=0.5,
    xtc_threshold=0.1,
    seed=7,
)
SHARED = {"temperature": 1.1, "top_p": 0.95, "top_k": 40, "min_p": 0.05, "presence_penalty": 0.5, "seed": 7}
DRY = {"dry_multiplier": 0.8, "dry_base": 1.5, "dry_allowed_length": 3}
XTC = {"xtc_probability": 0.5, "xtc_threshold": 0.1}
FREQUENCY = {"frequency_penalty": 0.25}
NO_DRY_OR_XTC = (*DRY, *XTC)
SCHEMA = {"type": "object", "properties": {"mood": {"type": "string"}}, "required": ["mood"]}
OPENAI_FORMAT = {
    "response_format": {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True},
    }
}
NOT_SAMPLING = {
    "model",
    "messages",
    "max_tokens",
    "stream",
    "stream_options",
    "chat_template_kwargs",
    "enable_thinking",
    "think",
}


async def sent(fake: DialectServer, request: ChatRequest) -> tuple[dict[str, Any], OpenAIServer]:
    """The body of the chat request that a server got in the end."""
    async with reaching(fake) as server:
        await hear(server, request)
        return fake.chats[-1].body, server


def said(body: dict[str, Any]) -> dict[str, Any]:
    """What a body says beyond what every request does."""
    return {name: value for name, value in body.items() if name not in NOT_SAMPLING}


@pytest.mark.parametrize(
    ("fake", "values", "dropped"),
    [
        (
            FakeLlamaRouter,
            {**SHARED, **FREQUENCY, **DRY, **XTC, "typical_p": 0.9, "repeat_penalty": 1.05},
            (),
        ),
        (FakeVllm, {**SHARED, **FREQUENCY, "repetition_penalty": 1.05}, ("typical_p", *NO_DRY_OR_XTC)),
        (
            FakeKoboldCpp,
            {**SHARED, **DRY, **XTC, "typical": 0.9, "rep_pen": 1.05},
            ("frequency_penalty",),
        ),
        (
            FakeTabbyAPI,
            {**SHARED, **FREQUENCY, **DRY, **XTC, "typical": 0.9, "repetition_penalty": 1.05},
            (),
        ),
        (
            FakeTextGenWebUI,
            {**SHARED, **FREQUENCY, **DRY, **XTC, "typical_p": 0.9, "repetition_penalty": 1.05},
            (),
        ),
        (FakeLMStudio, {**SHARED, **FREQUENCY, "repeat_penalty": 1.05}, ("typical_p", *NO_DRY_OR_XTC)),
    ],
)
async def test_every_value_has_the_servers_name_or_is_dropped(
    fake: type[DialectServer], values: dict[str, Any], dropped: tuple[str, ...]
) -> None:
    body, server = await sent(fake(), ask(sampling=ALL))
    assert said(body) == values
    assert server.dropped(ALL) == dropped
    assert server.dropped(Sampling(temperature=0.8)) == ()


async def test_ollama_has_its_values_where_it_looks_for_them() -> None:
    request = ask(sampling=ALL, max_tokens=120, stop=("\nAda:",))
    body, server = await sent(FakeOllama(), request)
    assert body["options"] == {
        **SHARED,
        **FREQUENCY,
        "typical_p": 0.9,
        "repeat_penalty": 1.05,
        "num_predict": 120,
        "num_ctx": 4096,
        "stop": ["\nAda:"],
    }
    assert set(body) == {"model", "messages", "stream", "options"}
    assert server.dropped(ALL) == NO_DRY_OR_XTC


async def test_dry_is_spelt_out_for_tabby_where_half_of_it_would_be_off() -> None:
    body, _ = await sent(FakeTabbyAPI(), ask(sampling=Sampling(dry_multiplier=0.8)))
    assert said(body) == {"dry_multiplier": 0.8, "dry_base": 1.75, "dry_allowed_length": 2}
    body, _ = await sent(FakeTabbyAPI(), ask(sampling=Sampling(dry_multiplier=0.0)))
    assert said(body) == {"dry_multiplier": 0.0}


async def test_a_penalty_that_tabby_would_refuse_is_dropped() -> None:
    sampling = Sampling(presence_penalty=-0.5, frequency_penalty=0.5)
    body, server = await sent(FakeTabbyAPI(), ask(sampling=sampling))
    assert said(body) == {"frequency_penalty": 0.5}
    assert server.dropped(sampling) == ("presence_penalty",)


async def test_what_a_plain_server_refuses_is_dropped_from_then_on() -> None:
    async with ScriptedModelServer() as scripted:
        server = OpenAIServer(scripted.url)
        scripted.script.append(
            Refusal(
                400, '{"error": {"message": "Unrecognized request arguments supplied: min_p, xtc_threshold"}}'
            )
        )
        assert server.dropped(ALL) == ()
        assert (await hear(server, ask(sampling=ALL)))[0]
        assert server.dropped(ALL) == ("min_p", "xtc_threshold")
        await server.aclose()


@pytest.mark.parametrize(
    ("fake", "field"),
    [
        (FakeLlamaRouter, OPENAI_FORMAT),
        (FakeVllm, OPENAI_FORMAT),
        (FakeKoboldCpp, OPENAI_FORMAT),
        (FakeLMStudio, OPENAI_FORMAT),
        (FakeTabbyAPI, {"json_schema": SCHEMA}),
        (FakeTextGenWebUI, {}),
    ],
)
async def test_an_answer_is_held_to_a_schema_where_the_server_can(
    fake: type[DialectServer], field: dict[str, Any]
) -> None:
    body, server = await sent(fake(), replace(ask(sampling=Sampling()), json_schema=SCHEMA))
    assert said(body) == field
    assert server.capabilities.json_schema == bool(field)


async def test_ollama_takes_a_schema_as_its_format() -> None:
    body, _ = await sent(FakeOllama(), replace(ask(), json_schema=SCHEMA))
    assert body["format"] == SCHEMA


@pytest.mark.parametrize(
    ("fake", "field"),
    [
        (FakeLlamaRouter, {"grammar": "root ::= [a-z]+"}),
        (FakeVllm, {"structured_outputs": {"grammar": "root ::= [a-z]+"}}),
        (FakeKoboldCpp, {"grammar": "root ::= [a-z]+"}),
        (FakeTextGenWebUI, {"grammar_string": "root ::= [a-z]+"}),
        (FakeTabbyAPI, {}),
        (FakeLMStudio, {}),
    ],
)
async def test_an_answer_is_held_to_a_grammar_where_the_server_can(
    fake: type[DialectServer], field: dict[str, Any]
) -> None:
    body, server = await sent(fake(), replace(ask(sampling=Sampling()), grammar="root ::= [a-z]+"))
    assert said(body) == field
    assert server.capabilities.grammar == bool(field)


@pytest.mark.parametrize("fake", [FakeLlamaRouter, FakeVllm, FakeKoboldCpp, FakeTabbyAPI])
async def test_thinking_is_turned_off_in_the_template(fake: type[DialectServer]) -> None:
    off = {"enable_thinking": False, "thinking": False}
    assert (await sent(fake(), ask()))[0]["chat_template_kwargs"] == off
    assert "chat_template_kwargs" not in (await sent(fake(), replace(ask(), thinking=True)))[0]


async def test_thinking_is_turned_off_where_a_field_does_it() -> None:
    assert (await sent(FakeTextGenWebUI(), ask()))[0]["enable_thinking"] is False
    assert (await sent(FakeOllama(thinkers=("inn-8b",)), ask()))[0]["think"] is False
    for fake in (FakeOllama(), FakeLMStudio()):
        body, _ = await sent(fake, ask())
        assert not {"think", "enable_thinking", "chat_template_kwargs"} & set(body)


async def test_a_server_that_knows_no_template_arguments_is_spared_them() -> None:
    scripted = FakeVllm()
    scripted.script.append(
        Refusal(400, '{"error": {"message": "Unsupported parameter: chat_template_kwargs"}}')
    )
    body, _ = await sent(scripted, ask())
    assert "chat_template_kwargs" not in body


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning", "thinking"])
async def test_thoughts_beside_the_answer_are_not_the_answer(field: str) -> None:
    thought = {**chunk(), "choices": [{"index": 0, "delta": {field: "They want in."}, "finish_reason": None}]}
    data = (
        event(thought) + event(chunk("Come in.")) + event(chunk(finish_reason="stop")) + b"data: [DONE]\n\n"
    )
    async with ScriptedModelServer(default=Stream(data)) as scripted:
        server = OpenAIServer(scripted.url)
        assert (await hear(server))[0] == "Come in."
        await server.aclose()


async def test_what_a_model_on_ollama_thinks_is_not_the_answer() -> None:
    scripted = FakeOllama(thinkers=("inn-8b",), default=Answer(thought="They want in."))
    async with reaching(scripted) as server:
        assert (await hear(server, replace(ask(), thinking=True)))[0] == TEXT


async def test_reading_ahead_gives_way_where_vllm_schedules_by_priority() -> None:
    async with reaching(scripted := FakeVllm(schedules=True)) as server:
        await hear(server, replace(ask(), ahead=True))
        await hear(server, ask())
    assert [chat.body.get("priority") for chat in scripted.chats] == [10, None]


async def test_a_vllm_without_priorities_is_asked_once() -> None:
    async with reaching(scripted := FakeVllm()) as server:
        for _ in range(2):
            assert (await hear(server, replace(ask(), ahead=True)))[0]
    assert [chat.body.get("priority") for chat in scripted.chats] == [10, None, None]


async def test_a_scene_names_itself_to_whatever_shares_out_its_requests() -> None:
    for _, fake in EVERY:
        if fake is FakeOllama:
            continue  # nothing shares out its own route
        async with reaching(scripted := fake()) as server:
            await hear(server, replace(ask(), session="5d41402a"))
            await hear(server, ask())
        named, unnamed = (chat.headers for chat in scripted.chats)
        assert named["x-session-id"] == named["x-litellm-session-id"] == "5d41402a"
        assert "x-session-id" not in unnamed


async def test_vllm_loads_an_adapter_that_is_a_model_from_then_on() -> None:
    async with reaching(scripted := FakeVllm()) as server:
        assert not server.has_lora(Adapter("elf"))
        await server.load_adapter(Adapter("elf"), "/adapters/elf")
        assert server.has_lora(Adapter("elf"))
        assert [one.name for one in await server.adapters()] == ["elf"]
        assert (await server.models())[1].adapter_of == "inn-8b"
        await hear(server, replace(ask(), lora=Adapter("elf")))
        assert scripted.chats[-1].body["model"] == "elf"
        with pytest.raises(BackendError, match="No adapter found"):
            await server.load_adapter(Adapter("orc"), "/adapters/orc")


async def test_vllm_says_how_it_would_load_adapters() -> None:
    async with reaching(FakeVllm(updates_loras=False)) as server:
        with pytest.raises(BackendError, match="VLLM_ALLOW_RUNTIME_LORA_UPDATING"):
            await server.load_adapter(Adapter("elf"), "/adapters/elf")


async def test_tabby_loads_adapters_of_its_folder_each_with_its_scale() -> None:
    async with reaching(scripted := FakeTabbyAPI()) as server:
        assert [(one.name, one.loaded) for one in await server.adapters()] == [
            ("elf", False),
            ("dwarf", False),
        ]
        assert not server.has_lora(Adapter("elf"))
        await server.load_adapter(Adapter("elf", 0.5))
        await server.load_adapter(Adapter("dwarf"))
        assert scripted.active == {"elf": 0.5, "dwarf": 1.0}
        assert server.has_lora(Adapter("elf"))
        assert {one.name: one.scale for one in await server.adapters()} == {"elf": 0.5, "dwarf": 1.0}
        await hear(server, replace(ask(), lora=Adapter("elf")))
        with pytest.raises(BackendError, match="could not load the adapter 'orc'"):
            await server.load_adapter(Adapter("orc"))


async def test_textgen_applies_adapters_of_its_folder() -> None:
    async with reaching(scripted := FakeTextGenWebUI()) as server:
        await server.load_adapter(Adapter("elf"))
        await server.load_adapter(Adapter("dwarf"))
        assert scripted.active == ["elf", "dwarf"]
        assert all(one.loaded for one in await server.adapters())
        assert server.has_lora(Adapter("dwarf"))
        with pytest.raises(BackendError, match=r"Failed to apply the LoRA"):
            await server.load_adapter(Adapter("orc"))


@pytest.mark.parametrize("fake", [FakeKoboldCpp, FakeLMStudio, FakeOllama, FakeLlamaRouter])
async def test_a_server_that_loads_no_adapters_says_so(fake: type[DialectServer]) -> None:
    async with reaching(fake()) as server:
        assert not server.capabilities.loads_loras
        assert not server.has_lora(Adapter("elf"))
        with pytest.raises(BackendError, match="LoRA adapter"):
            await server.load_adapter(Adapter("elf"))


async def test_ollama_refuses_and_fails_in_its_own_words() -> None:
    async with reaching(scripted := FakeOllama()) as server:
        scripted.refuses = {"sea-24b"}
        with pytest.raises(BackendError, match="refused the model 'sea-24b'"):
            await hear(server, ask(model="sea-24b"))
        scripted.refuses, scripted.unloadable = set(), {"sea-24b"}
        with pytest.raises(BackendError, match="more system memory"):
            await hear(server, ask(model="sea-24b"))
        scripted.script.append(Answer(finish_reason=None))
        with pytest.raises(BackendError, match="broke off"):
            await hear(server)


async def test_the_key_reaches_ollama_behind_a_proxy() -> None:
    async with reaching(scripted := FakeOllama(api_key=API_KEY)) as server:
        await hear(server)
    assert scripted.chats[0].headers["Authorization"] == f"Bearer {API_KEY}"
