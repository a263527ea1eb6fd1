"""Servers that are down, slow, strange or broken: each ends in a sentence somebody can act on."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing

import pytest

from bot.chat import Sampling
from bot.errors import (
    BackendBusyError,
    BackendError,
    BackendUnavailableError,
    PromptTooLongError,
)
from bot.model.openai_server import OpenAIServer
from bot.model.routes import Timeouts
from tests.fakes.model_server import Answer, Refusal, ScriptedModelServer, Stream, chunk, event
from tests.model.conftest import ask, hear

DONE = b"data: [DONE]\n\n"
END = event(chunk(finish_reason="stop")) + DONE
PAGE = "<!doctype html><html><body>Welcome to nginx</body></html>"


async def test_a_plain_server_answers_and_is_told_what_was_asked(
    scripted: ScriptedModelServer, backend: OpenAIServer
) -> None:
    request = ask(
        "I knock.", sampling=Sampling(temperature=0.7, top_k=40, min_p=0.05, seed=3), stop=("\nAda:",)
    )
    text, last = await hear(backend, request)
    assert text.startswith("The door swings open.")
    assert last.finish_reason == "stop"
    assert last.usage is not None
    assert last.usage.evaluated_tokens is None
    body = scripted.chats[0].body
    assert body["messages"][-1] == {"role": "user", "content": "I knock."}
    assert body["model"] == "scripted"
    assert body["stream"] is True
    assert body["stop"] == ["\nAda:"]
    assert {name: body[name] for name in ("temperature", "top_k", "min_p", "seed")} == {
        "temperature": 0.7,
        "top_k": 40,
        "min_p": 0.05,
        "seed": 3,
    }
    assert not {"top_p", "repeat_penalty", "presence_penalty", "frequency_penalty"} & body.keys()


async def test_what_a_plain_server_cannot_tell_is_none_and_not_a_guess(backend: OpenAIServer) -> None:
    assert await backend.count(ask().messages) is None
    assert await backend.tokenize("the lantern") is None
    assert await backend.context_length() is None
    assert not backend.capabilities.counts
    assert [model.name for model in await backend.models()] == ["scripted"]


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/"])
async def test_the_address_may_be_written_as_people_write_it(
    scripted: ScriptedModelServer, suffix: str
) -> None:
    backend = OpenAIServer(scripted.url.removesuffix("/v1") + suffix)
    assert (await hear(backend))[0]
    await backend.aclose()


async def test_a_server_that_knows_nothing_but_chats_is_enough(
    scripted: ScriptedModelServer, backend: OpenAIServer
) -> None:
    scripted.listing = Refusal(404, PAGE, "text/html")
    await backend.health()
    assert (await hear(backend))[0]
    assert await backend.models() == ()
    assert scripted.chats[0].body["model"] == "default"


@pytest.mark.parametrize(
    ("refusal", "told"),
    [
        (Refusal(200, PAGE, "text/html"), ["web page", "MODEL_URLS"]),
        (Refusal(200, '{"choices": []}'), ["application/json", "MODEL_URLS"]),
        (Refusal(404, PAGE, "text/html"), ["HTTP 404", "MODEL_URLS"]),
        (Refusal(401, '{"error": {"message": "no"}}'), ["API key", "MODEL_API_KEY"]),
        (Refusal(403, ""), ["API key"]),
        (Refusal(503, '{"error": {"message": "Loading model", "code": 503}}'), ["still loading"]),
        (Refusal(500, '{"error": "CUDA out of memory"}'), ["CUDA out of memory"]),
        (Refusal(502, PAGE, "text/html"), ["HTTP 502"]),
        (Refusal(500, "null"), ["failed (HTTP 500)."]),
        (Refusal(301, ""), ["redirect"]),
    ],
)
async def test_a_server_that_cannot_serve_is_left_with_a_reason(
    scripted: ScriptedModelServer, backend: OpenAIServer, refusal: Refusal, told: list[str]
) -> None:
    scripted.script.append(refusal)
    with pytest.raises(BackendUnavailableError) as error:
        await hear(backend)
    assert all(words in str(error.value) for words in told)
    assert "127.0.0.1" in str(error.value)
    assert "nginx" not in str(error.value)


@pytest.mark.parametrize(
    "answer",
    [
        Refusal(500, '{"error": "Cannot process: Nobody knows that the duke was poisoned."}'),
        Refusal(400, '{"detail": "{\\"content\\": \\"Nobody knows that the duke was poisoned.\\"}"}'),
        Stream(event(chunk("The door")) + event({"error": {"message": "Nobody knows that the duke was"}})),
    ],
)
async def test_a_server_that_repeats_the_prompt_in_its_error_is_not_quoted(
    scripted: ScriptedModelServer, backend: OpenAIServer, answer: Refusal | Stream
) -> None:
    scripted.script.append(answer)
    with pytest.raises(BackendError, match=r"(HTTP \d00\)|in the middle of an answer)\.") as error:
        await hear(backend, ask("Nobody knows that the duke was poisoned."))
    assert "duke" not in str(error.value)


async def test_a_server_with_too_many_requests_is_busy(
    scripted: ScriptedModelServer, backend: OpenAIServer
) -> None:
    scripted.script.append(Refusal(429, "{}"))
    with pytest.raises(BackendBusyError):
        await hear(backend)


async def test_a_refused_model_name_tells_which_there_are(
    scripted: ScriptedModelServer, backend: OpenAIServer
) -> None:
    await backend.health()
    scripted.script.append(Refusal(404, '{"error": {"message": "The model `scripted` does not exist."}}'))
    with pytest.raises(BackendError, match=r"'scripted'.*offers: scripted"):
        await hear(backend, ask(model="scripted"))


async def test_a_model_that_is_not_listed_is_answered_by_the_default_one(
    scripted: ScriptedModelServer, backend: OpenAIServer
) -> None:
    await backend.health()
    await hear(backend, ask(model="another-servers-model"))
    assert scripted.chats[0].body["model"] == "scripted"


@pytest.mark.parametrize(
    ("message", "numbers"),
    [
        (
            "This model's maximum context length is 4 tokens. However, your messages resulted in 5012 tokens",
            (5012, 4),
        ),
        (
            (
                "This model's maximum context length is 16384 tokens. However, you requested 122946 tokens"
                " (112946 in the messages, 10000 in the completion)."
            ),
            (112946, 16384),
        ),
        (
            (
                "This model's maximum context length is 2048 tokens. However, your request has 8 input tokens"
                " plus 2045 'max_tokens'. (parameter=input_tokens, max_tokens, value=(8, 2045))"
            ),
            (8, 2048),
        ),
        (
            (
                "Trying to keep the first 15857 tokens when context the overflows. However, the model is"
                " loaded with context length of only 4096 tokens, which is not enough."
            ),
            (15857, 4096),
        ),
        ("Request length 71599 + 2048 is greater than max_seq_len 65536", (71599, 65536)),
        ("the input length exceeds the context length", (None, None)),
        (
            "This endpoint's maximum context length is 9000 tokens. However, you requested about 9430 tokens",
            (9430, 9000),
        ),
    ],
)
@pytest.mark.parametrize("in_stream", [False, True])
async def test_too_long_is_understood_in_every_servers_words(
    scripted: ScriptedModelServer,
    backend: OpenAIServer,
    message: str,
    numbers: tuple[int | None, int | None],
    in_stream: bool,
) -> None:
    body = {"error": {"message": message, "code": 400}}
    scripted.script.append(Stream(event(body)) if in_stream else Refusal(400, json.dumps(body)))
    with pytest.raises(PromptTooLongError) as error:
        await hear(backend)
    assert (error.value.prompt_tokens, error.value.context_length) == numbers


@pytest.mark.parametrize(
    ("refusal", "dropped", "kept"),
    [
        ('{"error": {"message": "Unrecognized request argument supplied: top_k"}}', "top_k", "seed"),
        (
            (
                '{"detail": [{"type": "extra_forbidden", "loc": ["body", "stream_options"],'
                ' "msg": "Extra inputs are not permitted", "input": {"temperature": 1}}]}'
            ),
            "stream_options",
            "temperature",
        ),
        (
            (
                '{"error": {"message": "Unsupported parameter: \'max_tokens\' is not supported with this'
                " model. Use 'max_completion_tokens' instead.\"}}"
            ),
            "max_tokens",
            "max_completion_tokens",
        ),
    ],
)
async def test_what_a_server_does_not_know_is_left_out_and_remembered(
    scripted: ScriptedModelServer, backend: OpenAIServer, refusal: str, dropped: str, kept: str
) -> None:
    request = ask(sampling=Sampling(temperature=1.0, top_k=10, seed=1))
    scripted.script.append(Refusal(400 if "detail" not in refusal else 422, refusal))
    assert (await hear(backend, request))[0]
    await hear(backend, request)
    first, second, third = (chat.body for chat in scripted.chats)
    assert dropped in first
    assert dropped not in second
    assert kept in second
    assert third == second


@pytest.mark.parametrize(
    ("sent", "heard"),
    [
        (event(chunk("caf")).replace(b"caf", b"caf\xc3\xa9 \xff\xfe!"), "café \ufffd\ufffd!"),
        (b": ping\n\n" + event(chunk("after a ping")), "after a ping"),
        (event({"choices": []}) + event({"choices": [{}]}) + event([1]) + event(chunk("odd")), "odd"),
        (event({"choices": [{"delta": {"reasoning_content": "hmm"}}]}) + event(chunk("aloud")), "aloud"),
        (b"", ""),
    ],
)
async def test_a_strange_stream_is_read_as_far_as_it_makes_sense(
    scripted: ScriptedModelServer, backend: OpenAIServer, sent: bytes, heard: str
) -> None:
    scripted.script.append(Stream(sent + END))
    text, last = await hear(backend)
    assert text == heard
    assert last.finish_reason == "stop"


@pytest.mark.parametrize(
    ("step", "told"),
    [
        (Stream(event(chunk("The door")), broken=True), "broke off"),
        (Stream(event(chunk("The door"))), "broke off"),
        (Answer(finish_reason=None), "broke off"),
        (Stream(event(chunk("The door")) + event({"error": {"message": "GPU fell off"}})), "GPU fell off"),
        (Stream(event(chunk("The door")) + b"data: {what?\n\n"), "broken JSON"),
        (Stream(b"", broken=True), "the connection failed"),
    ],
)
async def test_an_answer_that_breaks_off_is_no_answer(
    scripted: ScriptedModelServer, backend: OpenAIServer, step: Stream | Answer, told: str
) -> None:
    scripted.script.append(step)
    with pytest.raises(BackendUnavailableError, match=told):
        await hear(backend)


async def test_a_server_that_is_down_or_unknown_says_which(scripted: ScriptedModelServer) -> None:
    down = OpenAIServer(scripted.url)
    await scripted.stop()
    unknown = OpenAIServer("http://no-such-host.invalid:8080")
    for server, told in ((down, "connection refused"), (unknown, "host name is not known")):
        with pytest.raises(BackendUnavailableError, match=told):
            await hear(server)
        with pytest.raises(BackendUnavailableError, match=told):
            await server.health()
        await server.aclose()


async def test_a_silent_server_is_given_up(scripted: ScriptedModelServer) -> None:
    never = asyncio.Event()
    for step, limits, told in (
        (Answer(gate=never), Timeouts(first_token=0.05), "did not begin to answer"),
        (Answer(gate=never, gate_after=1), Timeouts(between_tokens=0.05), "did not go on"),
    ):
        backend = OpenAIServer(scripted.url, timeouts=limits)
        await backend.warm()
        scripted.script.append(step)
        with pytest.raises(BackendUnavailableError, match=told):
            await hear(backend)
        await backend.aclose()
    for chat in scripted.chats:
        await asyncio.wait_for(chat.gone.wait(), 10)


async def test_a_chunk_that_only_opens_the_stream_is_not_the_first_token(
    scripted: ScriptedModelServer,
) -> None:
    """Some servers open the stream at once and then read the prompt for minutes."""
    backend = OpenAIServer(scripted.url, timeouts=Timeouts(first_token=5, between_tokens=0.05))
    await backend.warm()
    gate = asyncio.Event()
    scripted.script.append(Answer("Yes.", gate=gate, opening=True))
    hearing = asyncio.create_task(hear(backend))
    (chat,) = [await scripted.wait_for_chats(1)]
    await chat.opened.wait()
    await asyncio.wait({hearing}, timeout=0.1)  # longer than may pass between two tokens
    gate.set()
    assert (await hearing)[0] == "Yes."
    await backend.aclose()


async def test_leaving_closes_the_connection_at_once(
    scripted: ScriptedModelServer, backend: OpenAIServer
) -> None:
    scripted.script.append(Answer(gate=asyncio.Event(), gate_after=2))
    async with aclosing(backend.stream(ask())) as answer:
        assert (await anext(answer)).text
    await asyncio.wait_for(scripted.chats[0].gone.wait(), 1)
    assert (await hear(backend))[0]


async def test_credentials_in_the_address_are_used_and_never_shown(scripted: ScriptedModelServer) -> None:
    backend = OpenAIServer(scripted.url.replace("://", "://ada:s3cret@"), api_key="sk-unused")
    await hear(backend)
    assert scripted.chats[0].headers["Authorization"] == "Basic YWRhOnMzY3JldA=="
    await scripted.stop()
    with pytest.raises(BackendUnavailableError) as error:
        await hear(backend)
    shown = f"{backend!r} {backend.name} {backend.url} {vars(backend)} {error.value!r} {error.value}"
    assert "s3cret" not in shown
    assert "sk-unused" not in shown
    await backend.aclose()


async def test_nothing_of_the_key_is_logged(
    scripted: ScriptedModelServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    backend = OpenAIServer(scripted.url.replace("://", "://ada:s3cret@"))
    keyed = OpenAIServer(scripted.url, api_key="sk-secret")
    scripted.script.extend([Refusal(401, "{}"), Refusal(500, "{}")])
    for server in (backend, keyed):
        with pytest.raises(BackendUnavailableError):
            await hear(server)
        await server.aclose()
    assert "s3cret" not in caplog.text
    assert "YWRhOnMzY3JldA" not in caplog.text
    assert "sk-secret" not in caplog.text


async def test_vllm_is_told_apart_and_counts_whole_conversations() -> None:
    async with ScriptedModelServer(
        dialect="vllm", models=("mistral", "mistral-lora"), context=8192
    ) as scripted:
        backend = OpenAIServer(scripted.url)
        count = await backend.count(ask("I open the door.").messages)
        assert count is not None
        assert count.exact
        assert count.tokens == 12
        assert await backend.tokenize("one two three") == 3
        assert await backend.context_length("mistral-lora") == 8192
        assert backend.name.startswith("vLLM at 127.0.0.1")
        await hear(backend, ask(model="mistral-lora", sampling=Sampling(repeat_penalty=1.1)))
        assert scripted.chats[0].body["model"] == "mistral-lora"
        assert scripted.chats[0].body["repetition_penalty"] == 1.1
        assert backend.fingerprint() != backend.fingerprint("mistral-lora")
        await backend.aclose()


async def test_another_model_behind_the_address_is_noticed(
    scripted: ScriptedModelServer, backend: OpenAIServer
) -> None:
    await backend.health()
    before = backend.fingerprint()
    await backend.health()
    assert backend.fingerprint() == before
    scripted.models = ("another",)
    await backend.health()
    assert backend.fingerprint() != before
    assert [model.name for model in await backend.models()] == ["another"]
