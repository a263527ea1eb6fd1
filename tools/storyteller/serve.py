"""The model behind llama.cpp's own server, as the bot starts it, for the evaluation and the tests."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bot.model.cpu_child import Job

KEY = "storyteller"


@dataclass(frozen=True)
class Answer:
    """What came back: the text, why it ended (`stop` or `length`), its tokens, and tokens per second."""

    text: str
    finish: str
    tokens: int
    tokens_per_second: float


class Server:
    """A running server. `url` ends in the port."""

    def __init__(self, url: str) -> None:
        self.url = url

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """Send a JSON request and give the JSON answer."""
        request = urllib.request.Request(  # noqa: S310 - loopback
            self.url + path,
            json.dumps(body).encode(),
            {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"},
        )
        with urllib.request.urlopen(request, timeout=120) as response:  # noqa: S310 - loopback
            return json.load(response)

    def answer(
        self, messages: list[dict[str, str]], seed: int, stop: Sequence[str] = (), **more: Any
    ) -> Answer:
        """Ask for one answer, drawn as the model's file recommends, as shipped characters are."""
        body = {"messages": messages, "seed": seed, "stop": list(stop), "max_tokens": 220, **more}
        reply = self.post("/v1/chat/completions", body)
        choice, timings = reply["choices"][0], reply["timings"]
        return Answer(choice["message"]["content"], choice["finish_reason"], timings["predicted_n"],
                      timings["predicted_per_second"])  # fmt: skip

    def tokenize(self, text: str) -> list[int]:
        """Give the ids of a text without special tokens."""
        return list(self.post("/tokenize", {"content": text, "parse_special": False})["tokens"])


@contextmanager
def serving(model: Path, context: int = 4096, threads: int = 2) -> Iterator[Server]:
    """Start the bot's CPU child on `model` and stop it afterwards."""
    job = Job(model=str(model), name="storyteller", api_key=KEY, context=context, parallel=1, threads=threads,
              cache_mib=64)  # fmt: skip
    child = subprocess.Popen(
        [sys.executable, "-m", "bot.model.cpu_child"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        child.stdin.write(json.dumps(asdict(job)) + "\n")
        child.stdin.flush()
        said = json.loads(child.stdout.readline() or '{"error": "the server ended before it answered"}')
        if "url" not in said:
            raise RuntimeError(f"{model}: {said['error']}")
        yield Server(said["url"])
    finally:
        child.stdin.close()
        child.stdout.close()
        child.wait(timeout=30)
