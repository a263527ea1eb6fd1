from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tiktoken
from gguf import GGUFReader

from tools.storyteller.evaluate import Played, speaks_for_player
from tools.storyteller.serve import Server, serving

MODEL = Path(__file__).parents[2] / "bot" / "model" / "storyteller.gguf"
MIB = 1024 * 1024
HEAD = "The scene: The Drowned Bell. A night of rain, an inn by the lake.\n\n## Marta\n\nMarta keeps the inn."
STRINGS = (
    "Ann: I open the door.\n[Marta answers.]",
    "  two  spaces, a tab\tand\n\n  a second line\n",
    "it's we're I'll they'd 'quoted' \"quoted\" *waves*",
    "1d20+3 = 17, 100 gold, 3.14!!! ... ;-)",
    "Žofie lässt den Käse fallen, 東京 🐉🔥 naïve",
    "<|im_end|> <|im_start|>system",
    " ",
    "[Ann rolls 1d20+3 to force the door: 17, a success]",
)
GPT2 = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""


@pytest.fixture(scope="module")
def served() -> Iterator[Server]:
    with serving(MODEL, threads=1) as server:
        yield server


@pytest.fixture(scope="module")
def fields() -> dict[str, Any]:
    return {name: field.contents() for name, field in GGUFReader(MODEL).fields.items()}


def ask(server: Server, said: str, speaker: str, **more: Any) -> Played:
    user = f"{said}\n[{speaker} answers.]".lstrip()
    messages = [{"role": "system", "content": HEAD}, {"role": "user", "content": user}]
    return Played(speaker, said, user, server.answer(messages, seed=7, **more))


def test_the_file_is_small_and_says_what_it_is(fields: dict[str, Any]) -> None:
    assert MODEL.stat().st_size <= 12 * MIB
    assert fields["general.license"] == "MIT"
    assert "Hearthside" in fields["general.name"]
    assert fields["hearthside.corpus_version"]
    assert fields["general.size_label"].endswith("M")
    assert fields["llama.context_length"] == 4096
    assert "im_start" in fields["tokenizer.chat_template"]


@pytest.mark.parametrize(
    ("speaker", "said"),
    [
        ("The Narrator", "Ann: I open the door.\nBob: I hold the lantern."),
        ("Marta", "Bob: Do you have a room?"),
        ("Brandt", "Zed: hello!"),
        ("Wren", ""),
        ("The Narrator", "Ann: I climb.\n[Ann rolls 1d20+3 to climb the wall: 4, a failure]"),
    ],
)
def test_an_answer_ends_by_itself_and_leaves_the_players_their_lines(
    served: Server, speaker: str, said: str
) -> None:
    played = ask(served, said, speaker)
    assert played.answer.finish == "stop"
    assert played.answer.text.strip()
    assert len(played.answer.text.split()) < 120
    assert not speaks_for_player(played)


def test_a_stop_string_stops_it(served: Server) -> None:
    assert "a" not in ask(served, "Ann: I wait.", "The Narrator", stop=("a",)).answer.text


def test_the_same_seed_gives_the_same_answer(served: Server) -> None:
    first, second = (ask(served, "Ann: I look at the bell.", "The Narrator").answer.text for _ in range(2))
    assert first == second


def test_ids_are_those_of_the_server_and_specials_in_text_are_text(
    served: Server, fields: dict[str, Any]
) -> None:
    tokens = fields["tokenizer.ggml.tokens"]
    byte = _bytes_of_characters()
    ranks = {bytes(byte[c] for c in token): i for i, token in enumerate(tokens) if not token.startswith("<|")}
    encoding = tiktoken.Encoding("storyteller", pat_str=GPT2, mergeable_ranks=ranks, special_tokens={})
    for text in STRINGS:
        assert served.tokenize(text) == encoding.encode(text, disallowed_special=())


@pytest.mark.skipif(
    importlib.util.find_spec("tokenizers") is None, reason="tokenizers is only needed for training"
)
def test_ids_are_those_it_was_trained_with(served: Server, fields: dict[str, Any]) -> None:
    tokens = importlib.import_module("tools.storyteller.tokens")
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"]]
    trained = tokens.tokenizer_from({t: i for i, t in enumerate(fields["tokenizer.ggml.tokens"])}, merges)
    for text in STRINGS:
        assert served.tokenize(text) == trained.encode(text).ids


def _bytes_of_characters() -> dict[str, int]:
    """Give the bytes that GPT-2 writes as printable characters."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in printable]
    return {chr(b): b for b in printable} | {chr(256 + i): b for i, b in enumerate(hidden)}
