from __future__ import annotations

import json
import struct
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import gguf
import pytest

from bot import cli
from bot.errors import SetupError
from bot.model.gguf_header import read_gguf_header
from bot.model.library.inspector import inspect
from tests.architecture_ggufs import write_architecture_gguf


def test_a_gguf_file_is_known_from_its_header(tiny_gguf: Path) -> None:
    found = inspect(str(tiny_gguf))
    assert (found.kind, found.architecture, found.tokenizer) == ("GGUF", "llama", "gpt2 / qwen2")
    assert (found.heads, found.kv_heads, found.head_size) == (4, 2, 16)
    assert (found.shape.context, found.shape.vocabulary, len(found.shape.layers)) == (8192, 352, 2)
    assert found.chat_template
    assert found.parameters == 119_104  # llama.cpp's log says 119.10 K
    assert found.bits == pytest.approx(16.04, abs=0.005)  # llama.cpp's log says 16.04 BPW
    assert found.shape.weights.total == pytest.approx(found.parameters * found.bits / 8)


def test_a_file_of_40_gb_takes_less_than_a_second(tiny_gguf: Path, tmp_path: Path) -> None:
    large = tmp_path / "large.gguf"
    large.write_bytes(tiny_gguf.read_bytes())
    with large.open("r+b") as file:
        file.truncate(40 * 10**9)
    start = time.perf_counter()
    assert inspect(str(large)).size == 40 * 10**9
    assert time.perf_counter() - start < 1


def test_what_comes_after_a_vocabulary_is_found(tmp_path: Path) -> None:
    words = ["", "x" * 200_000, *("y" * (number * 37 % 3000) for number in range(3000)), "z" * 65_528]
    for last in range(len(words) - 3, len(words) + 1):
        writer = gguf.GGUFWriter(tmp_path / "words.gguf", "llama")
        writer.add_token_list(words[:last])
        writer.add_string("general.name", "after")
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.close()
        assert read_gguf_header(tmp_path / "words.gguf")["general.name"] == "after"


@pytest.mark.parametrize("name", ["gemma3", "gpt-oss", "deepseek2", "jamba"])
def test_layers_are_told_apart(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_architecture_gguf(tmp_path / f"{name}.gguf", name)
    assert cli.main(["model", "inspect", str(path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    expected = {"gemma3": (7, 0), "gpt-oss": (2, 0), "deepseek2": (0, 0), "jamba": (0, 3)}[name]
    assert (told["windowed_layers"], told["recurrent_layers"]) == expected


def test_experts_that_sleep_are_not_read(tmp_path: Path) -> None:
    found = inspect(str(write_architecture_gguf(tmp_path / "moe.gguf", "gpt-oss")))
    assert found.experts == 4
    assert 0.5 < found.shape.weights.active < 0.9


@pytest.mark.parametrize("keep", [3, 12, 100, 1000, 9000])
def test_a_file_cut_short_is_refused(keep: int, tiny_gguf: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(tiny_gguf.read_bytes()[:keep])
    with pytest.raises(SetupError, match=r"damaged|not a GGUF|cut short"):
        inspect(str(broken))


def test_what_is_not_there_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["model", "inspect", str(tmp_path / "no.gguf")]) == 2
    assert "There is no file or folder" in capsys.readouterr().err


def split(whole: Path, folder: Path, parts: int = 3) -> list[Path]:
    """The model in several files, as gguf-split writes them."""
    reader = gguf.GGUFReader(whole)
    tensors = reader.tensors
    each = -(-len(tensors) // parts)
    paths = []
    for number in range(parts):
        path = folder / f"model-{number + 1:05d}-of-{parts:05d}.gguf"
        writer = gguf.GGUFWriter(path, "llama")
        writer.add_uint16("split.no", number)
        writer.add_uint16("split.count", parts)
        writer.add_int32("split.tensors.count", len(tensors))
        if number == 0:
            for field in reader.fields.values():
                if not field.name.startswith(("GGUF.", "general.architecture")):
                    kind = field.types[-1] if field.types[0] is gguf.GGUFValueType.ARRAY else None
                    writer.add_key_value(field.name, field.contents(), field.types[0], kind)
        for tensor in tensors[number * each : (number + 1) * each]:
            writer.add_tensor(tensor.name, tensor.data)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        paths.append(path)
    return paths


def test_a_split_file_is_one_model(tiny_gguf: Path, tmp_path: Path) -> None:
    paths = split(tiny_gguf, tmp_path)
    whole, found = inspect(str(tiny_gguf)), inspect(str(paths[1]))
    assert found.path == str(paths[0]), "llama.cpp is given the first part"
    assert (found.parameters, found.bits, found.types) == (whole.parameters, whole.bits, whole.types)
    assert found.shape == whole.shape
    assert found.size == sum(path.stat().st_size for path in paths)


def test_a_missing_part_is_named(tiny_gguf: Path, tmp_path: Path) -> None:
    first, second, third = split(tiny_gguf, tmp_path)
    third.unlink()
    with pytest.raises(SetupError, match=r"1 of 3 parts are missing: model-00003-of-00003\.gguf"):
        inspect(str(second))
    first.rename(tmp_path / "renamed.gguf")
    with pytest.raises(SetupError, match="one of 3 parts"):
        inspect(str(tmp_path / "renamed.gguf"))


def test_parts_of_two_models_are_no_model(tiny_gguf: Path, tmp_path: Path) -> None:
    first, second, _ = split(tiny_gguf, tmp_path)
    second.write_bytes(first.read_bytes())
    with pytest.raises(SetupError, match="not of the same model"):
        inspect(str(first))


def test_a_folder_of_gguf_files_is_not_guessed_at(tiny_gguf: Path, tmp_path: Path) -> None:
    (tmp_path / "a.gguf").write_bytes(tiny_gguf.read_bytes())
    with pytest.raises(SetupError, match=r"Name one of its GGUF files: a\.gguf"):
        inspect(str(tmp_path))


@contextmanager
def served(
    data: bytes, *, ranges: bool = True, others: Mapping[str, bytes] | None = None
) -> Iterator[tuple[str, list[int]]]:
    """A web server with one file (or `others` too), and the sizes of what was fetched of it."""
    files = {"model.gguf": data, **(others or {})}
    fetched: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data = files.get(self.path.removeprefix("/").partition("?")[0])
            if data is None:
                self.send_error(404)
                return
            first, last = (int(part) for part in self.headers["Range"].removeprefix("bytes=").split("-"))
            part = data[first : last + 1] if ranges else data
            fetched.append(len(part))
            self.send_response(206 if ranges else 200)
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
            self.send_header("Content-Length", str(len(part)))
            self.end_headers()
            self.wfile.write(part)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/model.gguf", fetched
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_file_on_a_hub_is_read_in_parts(tiny_gguf: Path) -> None:
    data = tiny_gguf.read_bytes() + bytes(8_000_000)
    with served(data) as (url, fetched):
        found = inspect(url)
    assert found.parameters == 119_104
    assert found.size == len(data)
    assert sum(fetched) < 2_000_000


def test_a_split_file_on_a_hub_is_one_model_too(tiny_gguf: Path, tmp_path: Path) -> None:
    parts = {path.name: path.read_bytes() for path in split(tiny_gguf, tmp_path)}
    with served(b"", others=parts) as (url, _):
        found = inspect(url.replace("model.gguf", "model-00001-of-00003.gguf?download=true"))
        assert found.parameters == 119_104
        assert found.size == sum(map(len, parts.values()))
    del parts["model-00002-of-00003.gguf"]
    with served(b"", others=parts) as (url, _), pytest.raises(SetupError, match=r"00002-of-00003.*404"):
        inspect(url.replace("model.gguf", "model-00001-of-00003.gguf"))


def test_the_address_of_a_files_page_will_do(tiny_gguf: Path) -> None:
    with served(b"", others={"owner/name/resolve/main/m.gguf": tiny_gguf.read_bytes()}) as (url, _):
        assert inspect(url.replace("model.gguf", "owner/name/blob/main/m.gguf")).parameters == 119_104


def test_a_hub_that_does_not_help_is_named(tiny_gguf: Path) -> None:
    with (
        served(tiny_gguf.read_bytes(), ranges=False) as (url, _),
        pytest.raises(SetupError, match="in parts"),
    ):
        inspect(url)
    with served(b"") as (url, _), pytest.raises(SetupError, match="404"):
        inspect(url.replace("model", "other"))
    with pytest.raises(SetupError, match="does not answer"):
        inspect(url)


LLAMA = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 100, "max_position_embeddings": 4096,
    "intermediate_size": 128, "rope_theta": 500000.0, "torch_dtype": "bfloat16",
}  # fmt: skip


def write_folder(
    path: Path, config: dict[str, Any], tensors: Mapping[str, tuple[tuple[int, ...], int]]
) -> str:
    """A model's folder: tensors by name, shape and bytes, without their numbers."""
    path.mkdir()
    (path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (path / "tokenizer_config.json").write_text(
        '{"tokenizer_class": "LlamaTokenizer", "chat_template": "x"}', encoding="utf-8"
    )
    entries, at = {}, 0
    for name, (shape, size) in tensors.items():
        entries[name] = {"dtype": "I32", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    header = json.dumps(entries).encode()
    with (path / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        file.truncate(8 + len(header) + at)
    return str(path)


def test_a_plain_folder(tmp_path: Path) -> None:
    tensors = {
        "model.embed_tokens.weight": ((100, 64), 12_800),
        "model.layers.0.self_attn.q_proj.weight": ((64, 64), 8192),
        "model.layers.1.self_attn.q_proj.weight": ((64, 64), 8192),
        "lm_head.weight": ((100, 64), 12_800),
    }
    found = inspect(write_folder(tmp_path / "llama", LLAMA, tensors))
    assert (found.kind, found.architecture, found.quantization) == (
        "safetensors",
        "LlamaForCausalLM",
        "bfloat16",
    )
    assert found.bits == 16
    assert found.shape.weights.layers == (8192, 8192)
    assert found.chat_template
    assert [layer.keys for layer in found.shape.layers] == [32, 32]


@pytest.mark.parametrize(
    ("method", "tensors", "kind", "bits"),
    [
        ("gptq", {"qweight": ((8, 64), 2048), "scales": ((1, 64), 128)}, "GPTQ", 4.25),
        ("awq", {"qweight": ((64, 8), 2048), "scales": ((1, 64), 128)}, "AWQ", 4.25),
        (
            "compressed-tensors",
            {"weight_packed": ((64, 8), 2048), "weight_scale": ((64, 1), 128)},
            "COMPRESSED-TENSORS",
            4.25,
        ),
        ("exl2", {"q_weight": ((10, 64), 2560), "q_invperm": ((64,), 128)}, "EXL2", 5.25),
        ("exl3", {"trellis": ((4, 4, 48), 1536)}, "EXL3", 3.0),
    ],
)
def test_packed_folders(
    method: str, tensors: dict[str, tuple[tuple[int, ...], int]], kind: str, bits: float, tmp_path: Path
) -> None:
    bits_told = {"config_groups": {"group_0": {"weights": {"num_bits": 4}}}} if "-" in method else {"bits": 4}
    config = LLAMA | {"quantization_config": {"quant_method": method, **bits_told}}
    named = {f"model.layers.0.mlp.up_proj.{name}": tensor for name, tensor in tensors.items()}
    found = inspect(write_folder(tmp_path / "packed", config, named))
    assert found.kind == kind
    assert found.parameters == 64 * 64
    assert found.bits == pytest.approx(bits)


@pytest.mark.parametrize("called", ["num_local_experts", "n_routed_experts", "num_experts"])
def test_experts_in_a_folder_whatever_a_family_calls_them(called: str, tmp_path: Path) -> None:
    config = LLAMA | {called: 8, "num_experts_per_tok": 2, "moe_intermediate_size": 512}
    tensors = {
        "model.layers.0.self_attn.q_proj.weight": ((64, 64), 8000),
        **{f"model.layers.0.mlp.experts.{n}.up_proj.weight": ((64, 64), 1000) for n in range(8)},
    }
    found = inspect(write_folder(tmp_path / "experts", config, tensors))
    assert found.experts == 8
    assert found.shape.weights.active == pytest.approx(1 - 8000 * 0.75 / 16000)
    assert found.shape.widest == 5 * 64 + 3 * 2 * 512


def test_kinds_of_layers_in_a_folder(tmp_path: Path) -> None:
    config = LLAMA | {"layer_types": ["sliding_attention", "linear_attention"], "sliding_window": 512}
    config |= {"linear_num_key_heads": 2, "linear_key_head_dim": 8, "linear_num_value_heads": 4}
    config |= {"linear_value_head_dim": 8, "linear_conv_kernel_dim": 4}
    tensors = {"model.embed_tokens.weight": ((100, 64), 12_800)}
    sliding, linear = inspect(write_folder(tmp_path / "a", config, tensors)).shape.layers
    assert sliding.window == 512
    assert linear.state == 4 * 8 * 8 + 3 * (2 * 16 + 32)
    latent = LLAMA | {"kv_lora_rank": 512, "qk_rope_head_dim": 64}
    [layer, _] = inspect(write_folder(tmp_path / "b", latent, tensors)).shape.layers
    assert (layer.keys, layer.values) == (576, 0)


def test_gemma_4_in_a_folder(tmp_path: Path) -> None:
    config = LLAMA | {
        "num_hidden_layers": 12,
        "model_type": "gemma4_text",
        "sliding_window": 512,
        "head_dim": 8,
    }
    config |= {"num_global_key_value_heads": 1, "global_head_dim": 32, "num_kv_shared_layers": 3}
    found = inspect(write_folder(tmp_path / "a", {"text_config": config}, {"a.weight": ((2,), 4)}))
    windowed, whole = found.shape.layers[0], found.shape.layers[5]
    assert (windowed.keys, windowed.window, whole.keys, whole.window) == (16, 512, 32, 0)
    assert [layer.keys for layer in found.shape.layers[8:]] == [16, 0, 0, 0]


def test_what_is_packed_in_an_unknown_way_is_not_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = LLAMA | {"quantization_config": {"quant_method": "bitsandbytes"}}
    place = write_folder(tmp_path / "a", config, {"a.weight": ((32, 1), 32)})
    assert cli.main(["model", "inspect", place]) == 0
    assert "bits per weight not known" in capsys.readouterr().out


def test_a_missing_file_of_a_folder_is_named(tmp_path: Path) -> None:
    place = Path(write_folder(tmp_path / "a", LLAMA, {"a.weight": ((2,), 4)}))
    (place / "model.safetensors").rename(place / "model-00001-of-00002.safetensors")
    with pytest.raises(SetupError, match=r"1 of 2 files are missing: model-00002-of-00002\.safetensors"):
        inspect(str(place))
    (place / "model-00001-of-00002.safetensors").rename(place / "model.safetensors")
    size = inspect(str(place)).size
    (place / "consolidated.safetensors").write_bytes((place / "model.safetensors").read_bytes())
    assert inspect(str(place)).size == size, "the same numbers twice are one model"
    index = {"weight_map": {"a.weight": "model.safetensors", "b.weight": "other.safetensors"}}
    (place / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    with pytest.raises(SetupError, match=r"missing: other\.safetensors"):
        inspect(str(place))


@pytest.mark.parametrize("config", ["", "[]", "{", '{"num_hidden_layers": -3}', '{"num_hidden_layers": "x"}'])
def test_a_damaged_folder_is_refused(config: str, tmp_path: Path) -> None:
    place = write_folder(tmp_path / "model", LLAMA, {"a.weight": ((2,), 4)})
    (tmp_path / "model" / "config.json").write_text(config, encoding="utf-8")
    with pytest.raises(SetupError):
        inspect(place)
    (tmp_path / "model" / "config.json").write_text(json.dumps(LLAMA), encoding="utf-8")
    weights = tmp_path / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(SetupError, match="cut short: 1 bytes are missing"):
        inspect(place)
    for damage in (b"\xff" * 20, struct.pack("<Q", 2**63) + b"{}"):
        weights.write_bytes(damage)
        with pytest.raises(SetupError, match="damaged"):
            inspect(place)


def test_a_plan_of_a_file_says_how_to_start_it(tiny_gguf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--context", "1000", "--parallel", "4", "--kv", "q8_0", "--vram", "12", "--ram", "32", "--json"]
    assert cli.main(["model", "plan", str(tiny_gguf), *words]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["kv_bytes"] == 4 * 1024 * 2 * 2 * 32 * 34 // 32
    assert told["fits"]
    assert told["commands"]["llama.cpp"].endswith("-c 4000 -np 4 -ngl 3 -fa on -ctk q8_0 -ctv q8_0 --jinja")
    assert "--quantkv 1" in told["commands"]["KoboldCpp"]
    assert "EXL3" in told["commands"]["TabbyAPI"]
