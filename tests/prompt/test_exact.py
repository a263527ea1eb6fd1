"""Our own encoder against llama.cpp's: the same ids for whatever is written, however a model cuts words."""

from __future__ import annotations

import http.client
import json
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from bot.model.cpu import Endpoint
from bot.model.pretokenizers import GPT2
from bot.model.tokenizers import Vocabulary, read_vocabulary
from bot.prompt.vocabulary import Encoder, UnfitVocabularyError, gpt2_spelling
from bot.scene.counting import encoder_of
from tests.model.conftest import serving
from tests.prompt.merging_gguf import LINES, vocabulary, write_gguf, write_merging_gguf
from tests.tiny_gguf import SPECIALS

# One name for each way of cutting that bot.model.pretokenizers knows.
CUTS = (
    "gpt-2", "llama-bpe", "glm4", "qwen2", "qwen35", "starcoder", "falcon", "default", "deepseek-llm",
    "deepseek-coder", "deepseek-v3", "tekken", "gpt-4o", "bloom",
)  # fmt: skip


def encoder(found: Vocabulary | None) -> Encoder:
    assert found
    return encoder_of(found)


def odd_texts(number: int, seed: int = 0) -> list[str]:
    """Pieces of odd lines, put together at random."""
    rng = random.Random(seed)  # noqa: S311 - nothing is at stake

    def piece() -> str:
        line = rng.choice(LINES)
        start = rng.randrange(len(line))
        return line[start : start + rng.randint(1, 14)]

    return [*LINES, *("".join(piece() for _ in range(rng.randint(3, 40))) for _ in range(number))]


@contextmanager
def asking(endpoint: Endpoint) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection(endpoint.url.removeprefix("http://"))
    yield connection
    connection.close()


def ids(connection: http.client.HTTPConnection, text: str) -> list[int]:
    headers = {"Content-Type": "application/json", "Authorization": "Bearer the-key"}
    connection.request("POST", "/tokenize", json.dumps({"content": text, "parse_special": True}), headers)
    tokens: list[int] = json.load(connection.getresponse())["tokens"]
    return tokens


@pytest.mark.parametrize("name", CUTS)
def test_every_cut_gives_the_servers_ids(name: str, tmp_path: Path) -> None:
    model = write_merging_gguf(tmp_path / "model.gguf", name)
    own = encoder(read_vocabulary(model))
    with serving(model, 512) as endpoint, asking(endpoint) as server:
        for text in odd_texts(40):
            assert own.ids(text) == ids(server, text)
            assert own.count(text) == len(own.ids(text))


def test_the_texts_tell_the_cuts_apart(tmp_path: Path) -> None:
    texts = odd_texts(40)
    seen = set()
    for name in CUTS:
        own = encoder(read_vocabulary(write_merging_gguf(tmp_path / f"{name}.gguf", name)))
        seen.add(tuple(tuple(own.ids(text)) for text in texts))
    assert len(seen) == len(CUTS) - 1  # llama-bpe and glm4 differ in tokens that no merge makes


def test_a_byte_that_is_no_token_leaves_none_on_the_server_either(tmp_path: Path) -> None:
    """SmolLM2's vocabulary lacks 21 bytes: some controls, and those that begin no character yet."""
    pieces, merges = vocabulary()
    lacking = [chr(gpt2_spelling()[byte]) for byte in (4, 20, 192, 193, 241, *range(245, 256))]
    model = write_gguf(
        tmp_path / "model.gguf", [piece for piece in pieces if piece not in lacking], merges, "smollm"
    )
    own = encoder(read_vocabulary(model))
    with serving(model, 512) as endpoint, asking(endpoint) as server:
        for text in [*odd_texts(40), "a\x04b", "\x14", " \x04\x04x", "\U00040000z"]:
            assert own.ids(text) == ids(server, text)
            assert own.count(text) == len(own.ids(text))


def test_a_cut_that_is_not_known_is_left_to_the_server(tmp_path: Path) -> None:
    assert read_vocabulary(write_merging_gguf(tmp_path / "model.gguf", "kimi-k2")) is None


def tokenizer_json(pre_tokenizer: Mapping[str, object], **changes: object) -> str:
    pieces, merges = vocabulary()
    ids_ = {piece: number for number, piece in enumerate(pieces)}
    added = [
        {"id": len(pieces) + number, "content": name, "lstrip": False, "rstrip": False, "single_word": False}
        for number, name in enumerate(SPECIALS)
    ]
    pairs = [merge.split(" ") for merge in merges]
    model = {"type": "BPE", "vocab": ids_, "merges": pairs, **changes}
    return json.dumps(
        {"model": model, "normalizer": None, "pre_tokenizer": pre_tokenizer, "added_tokens": added}
    )


BYTES = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}


def test_a_tokenizer_json_beside_the_model_counts_where_the_models_own_name_is_not_known(
    tmp_path: Path,
) -> None:
    (tmp_path / "tokenizer.json").write_text(tokenizer_json(BYTES), "utf-8")
    same = encoder(read_vocabulary(write_merging_gguf(tmp_path / "a.gguf", "gpt-2")))
    for found in (
        read_vocabulary(write_merging_gguf(tmp_path / "b.gguf", "kimi-k2")),
        read_vocabulary(tmp_path),
    ):
        own = encoder(found)
        assert all(own.ids(text) == same.ids(text) for text in odd_texts(20))


def test_a_tokenizer_json_may_cut_digits_apart(tmp_path: Path) -> None:
    digits = {"type": "Digits", "individual_digits": True}
    steps = {"type": "Sequence", "pretokenizers": [digits, BYTES]}
    (tmp_path / "tokenizer.json").write_text(tokenizer_json(steps), "utf-8")
    found = read_vocabulary(tmp_path)
    assert found
    assert found.expressions == (r"\p{N}", GPT2)
    assert encoder(found).count("2024") == 4


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"model": {"type": "Unigram"}}',
        tokenizer_json({"type": "Metaspace", "replacement": "_"}),
        tokenizer_json({**BYTES, "add_prefix_space": True}),
        tokenizer_json({"type": "Sequence", "pretokenizers": []}),
        tokenizer_json(BYTES, byte_fallback=True),
        "[" * 100_000,
    ],
    ids=["empty", "list", "broken", "unigram", "metaspace", "prefix space", "no steps", "fallback", "deep"],
)
def test_a_tokenizer_json_of_another_kind_is_left_alone(text: str, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(text, "utf-8")
    assert read_vocabulary(tmp_path) is None


def test_nothing_is_made_of_a_path_that_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"GGUF" + b"\xff" * 60)
    assert read_vocabulary(tmp_path / "model.gguf") is None
    assert read_vocabulary(tmp_path / "absent.gguf") is None


def test_a_vocabulary_without_its_merges_results_is_refused() -> None:
    pieces, merges = vocabulary()
    known = {piece: number for number, piece in enumerate(pieces[:300])}
    with pytest.raises(UnfitVocabularyError):
        Encoder(known, merges, {}, (GPT2,))
    for drops in (False, True):
        with pytest.raises(UnfitVocabularyError):
            Encoder({"a": 0}, [], {}, (GPT2,), drops=drops)


def test_a_token_that_no_merge_makes_is_found_as_a_whole_word_only_where_that_is_the_rule() -> None:
    pieces, merges = vocabulary()
    known = {piece: number for number, piece in enumerate([*pieces, "Zqx"])}
    assert len(Encoder(known, merges, {}, (GPT2,), whole_words=True).ids("Zqx")) == 1
    assert len(Encoder(known, merges, {}, (GPT2,)).ids("Zqx")) == 3
    with pytest.raises(UnfitVocabularyError):
        Encoder({**known, "Zq": len(known)}, [*merges, "Z q"], {}, (GPT2,), whole_words=True)


def test_the_longest_special_is_taken_first() -> None:
    pieces, merges = vocabulary()
    known = {piece: number for number, piece in enumerate(pieces)}
    own = Encoder(known, merges, {"<a>": 9001, "<a><b>": 9002, "  ": 9003}, (GPT2,))
    assert own.ids("<a><b><a>   ") == [9002, 9001, 9003, known["Ġ"]]
