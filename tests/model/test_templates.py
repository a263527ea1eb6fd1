"""Chat templates without a system role, or with strict turns: the same story reaches the model."""

from __future__ import annotations

import json
from pathlib import Path

import aiohttp
import pytest

from bot.chat import ChatMessage, ChatRequest
from bot.errors import BackendError
from bot.model.backend import Backend, fold_system
from bot.model.cpu import Endpoint
from bot.model.openai_server import OpenAIServer
from tests.fakes.model_server import Refusal, ScriptedModelServer
from tests.model.conftest import hear, serving
from tests.tiny_gguf import DEAF, GEMMA, MISTRAL, write_tiny_gguf

STORY = (
    ChatMessage("system", "You keep the inn."),
    ChatMessage("user", "Ann: Hello?\n[Marta answers.]"),
    ChatMessage("assistant", "Hm."),
    ChatMessage("user", "Ann: A room.\n[Marta answers.]"),
)
FOLDED = "You keep the inn.\n\nAnn: Hello?\n[Marta answers.]"
IN_THEIR_WORDS = [
    (400, "System role not supported"),
    (400, "Conversation roles must alternate user/assistant/user/assistant/..."),
    (500, "Only user, assistant and tool roles are supported, got system."),
]


def refusal(status: int, message: str) -> Refusal:
    return Refusal(status, json.dumps({"error": {"code": status, "message": message}}))


def test_the_system_text_opens_the_first_user_message() -> None:
    assert fold_system(STORY) == (ChatMessage("user", FOLDED), *STORY[2:])
    assert fold_system(STORY[1:]) == STORY[1:]


@pytest.mark.parametrize("template", [GEMMA, MISTRAL, DEAF], ids=["Gemma", "Mistral", "deaf"])
async def test_llama_cpp_is_sent_what_its_template_takes(tmp_path: Path, template: str) -> None:
    with serving(write_tiny_gguf(tmp_path / "tiny.gguf", template=template), 1024) as endpoint:
        server = OpenAIServer(endpoint.url, api_key=endpoint.api_key)
        _, last = await hear(server, ChatRequest(STORY, 4))
        count = await server.count(STORY)
        folded = await _tokens(endpoint, fold_system(STORY))
        await server.aclose()
    assert last.usage
    assert count
    assert last.usage.prompt_tokens == count.tokens == folded


async def _tokens(endpoint: Endpoint, messages: tuple[ChatMessage, ...]) -> int:
    """What the server makes of these very messages."""
    body = {"messages": [{"role": one.role, "content": one.content} for one in messages]}
    headers = {"Authorization": f"Bearer {endpoint.api_key}"}
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.post(f"{endpoint.url}/v1/chat/completions/input_tokens", json=body) as response,
    ):
        return int((await response.json())["input_tokens"])


@pytest.mark.parametrize(("status", "words"), IN_THEIR_WORDS)
async def test_a_server_that_refuses_a_system_message_is_asked_once(
    backend: Backend, scripted: ScriptedModelServer, status: int, words: str
) -> None:
    scripted.script += [refusal(status, words)]
    for _ in range(2):
        assert (await hear(backend, ChatRequest(STORY, 40)))[0]
    roles = [[message["role"] for message in chat.body["messages"]] for chat in scripted.chats]
    assert roles == [["system", "user", "assistant", "user"]] + 2 * [["user", "assistant", "user"]]
    assert scripted.chats[1].body["messages"][0]["content"] == FOLDED


async def test_a_template_that_takes_neither_is_told_in_its_own_words(
    backend: Backend, scripted: ScriptedModelServer
) -> None:
    scripted.script += [refusal(400, "Conversation roles must alternate")] * 2
    with pytest.raises(BackendError, match="roles must alternate"):
        await hear(backend, ChatRequest(STORY, 40))
    assert len(scripted.chats) == 2


async def test_another_model_on_the_same_server_is_asked_for_itself(scripted: ScriptedModelServer) -> None:
    scripted.models = ("one", "two")
    server = OpenAIServer(scripted.url)
    scripted.script += [refusal(400, "System role not supported")]
    await hear(server, ChatRequest(STORY, 40, model="one"))
    await hear(server, ChatRequest(STORY, 40, model="two"))
    await server.aclose()
    assert [len(chat.body["messages"]) for chat in scripted.chats] == [4, 3, 4]
