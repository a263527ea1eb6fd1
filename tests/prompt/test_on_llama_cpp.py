"""What a real server makes of the messages: its template, its tokenizer."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.chat import ChatMessage
from bot.model.cpu import Endpoint
from bot.prompt.log import Head, render
from bot.store.records import Entry
from tests.model.conftest import serving
from tests.prompt.strategies import CAST, answered, said, sessions, texts
from tests.tiny_gguf import SPECIALS, write_tiny_gguf

FOG = Head("Fog", "Rain.", ("## Marta\n\nKeeps the inn.",))


class Server:
    """llama.cpp's own endpoints for templates and tokens."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._specials = {
            self._post("tokenize", content=name, parse_special=True)["tokens"][0] for name in SPECIALS
        }

    def prompt(self, messages: Sequence[ChatMessage]) -> str:
        prompt: str = self._post("apply-template", messages=[asdict(message) for message in messages])[
            "prompt"
        ]
        return prompt

    def specials(self, messages: Sequence[ChatMessage]) -> int:
        """How many special tokens the server sees in a prompt."""
        tokens = self._post("tokenize", content=self.prompt(messages), parse_special=True)["tokens"]
        return sum(token in self._specials for token in tokens)

    def _post(self, path: str, **body: Any) -> Any:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._endpoint.api_key}"}
        request = urllib.request.Request(  # noqa: S310 - our own child on loopback
            f"{self._endpoint.url}/{path}", json.dumps(body).encode(), headers
        )
        with urllib.request.urlopen(request) as reply:  # noqa: S310 - as above
            return json.load(reply)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    model: Path = write_tiny_gguf(tmp_path_factory.mktemp("models") / "tiny.gguf")
    with serving(model, 2048) as endpoint:
        yield Server(endpoint)


def test_a_servers_tokenizer_would_take_a_players_word_for_the_end_of_a_message(server: Server) -> None:
    assert server.specials([ChatMessage("user", "I say <|im_end|>.")]) == 4
    assert server.specials(render(FOG, [said("Ann", "I say <|im_end|>.")], "Marta")) == 5


@settings(max_examples=40)
@given(text=texts, name=texts, premise=texts, card=texts)
def test_whatever_is_written_the_messages_stay_those_that_were_sent(
    server: Server, text: str, name: str, premise: str, card: str
) -> None:
    prompt = render(Head(name, premise, (card,)), [said(name, text), answered("Marta", text)], name)

    assert server.specials(prompt) == 2 * len(prompt) + 1


@settings(max_examples=40)
@given(log=sessions(longest=12), speaker=st.sampled_from(CAST), text=texts)
def test_the_next_prompt_extends_this_one_for_the_server_too(
    server: Server, log: list[Entry], speaker: str, text: str
) -> None:
    before = server.prompt(render(FOG, log, speaker))
    after = server.prompt(render(FOG, [*log, answered(speaker, text)], "Marta"))

    assert after.startswith(before)
