"""Facts from real files, made by the libraries that own the formats."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from permille import assets, weights
from tests import quickstart_assets
from tests.gguf_file import gguf


def safetensors(path: Path, shapes: dict[str, list[int]]) -> Path:
    """A safetensors file of float16 zeros, written as its specification says."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in shapes.items():
        size = 2
        for side in shape:
            size *= side
        header[name] = {"dtype": "F16", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(end))
    return path


MOE = {
    "model.embed_tokens.weight": [10, 4],
    "model.layers.0.mlp.gate.weight": [4, 4],
    "model.layers.0.mlp.experts.0.w1.weight": [4, 8],
    "model.layers.0.mlp.experts.1.w1.weight": [4, 8],
    "model.layers.0.mlp.experts.2.w1.weight": [4, 8],
    "model.layers.0.mlp.experts.3.w1.weight": [4, 8],
}


def test_safetensors_in_shards_with_their_config(tmp_path: Path) -> None:
    one = safetensors(tmp_path / "model-00001-of-00002.safetensors", {"a": [3, 5], "b": []})
    two = safetensors(tmp_path / "model-00002-of-00002.safetensors", {"c": [7]})
    config = tmp_path / "config.json"
    config.write_text('{"architectures": ["TinyModel"]}')
    facts = weights.read([one, two, config], ".safetensors")
    assert facts.params == 15 + 1 + 7
    assert facts.active_params is None
    assert facts.architecture == "TinyModel"
    assert facts.size_bytes == one.stat().st_size + two.stat().st_size


@pytest.mark.parametrize(
    "config",
    [
        {"num_local_experts": 4, "num_experts_per_tok": 1},
        {"text_config": {"num_experts": 4, "num_experts_per_tok": 1}},
    ],
)
def test_of_a_mixture_of_experts_only_some_are_active(
    tmp_path: Path, config: dict[str, Any]
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    file = safetensors(tmp_path / "model.safetensors", MOE)
    facts = weights.read([file, tmp_path / "config.json"], ".safetensors")
    assert facts.params == 40 + 16 + 4 * 32
    assert facts.active_params == 40 + 16 + 32


def test_packed_weights_are_not_counted(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"quantization_config": {"quant_method": "gptq"}}')
    file = safetensors(tmp_path / "model.safetensors", {"qweight": [8, 8]})
    facts = weights.read([file, tmp_path / "config.json"], ".safetensors")
    assert facts.params is None
    assert facts.size_bytes == file.stat().st_size


def test_gguf_of_a_mixture_of_experts(tmp_path: Path) -> None:
    file = tmp_path / "m.gguf"
    said = {
        "general.architecture": "tiny",
        "tiny.expert_count": 4,
        "tiny.expert_used_count": 2,
        "tokenizer.ggml.tokens": ["<s>", "é"],
        "tokenizer.ggml.scores": [1.0, 2.0],
    }
    file.write_bytes(gguf(said, {"blk.0.ffn_up_exps.weight": (4, 8, 4), "output.weight": (4, 10)}))
    facts = weights.read([file], ".gguf")
    assert facts.params == 128 + 40
    assert facts.active_params == 64 + 40
    assert facts.architecture == "tiny"


@quickstart_assets.needed
def test_real_files() -> None:
    smol = assets.path("smollm2-135m") / "SmolLM2-135M-Instruct.Q4_1.gguf"
    facts = weights.read([smol], ".gguf")
    assert facts.params == 134_515_008  # as llama.cpp counts
    assert facts.active_params is None
    assert facts.architecture == "llama"
    # MiniLM-L6 has 22,713,216 parameters; the export leaves out its pooler (384 x 384 + 384).
    minilm = weights.read([assets.path("minilm-int8") / "model.onnx"], ".onnx")
    assert minilm.params == 22_713_216 - 384 * 385


@pytest.mark.parametrize("name", ["m.safetensors", "m.onnx", "m.gguf"])
@pytest.mark.parametrize(
    "content", [b"", b"x", b"GGUF", b"GGUF\x03\0\0\0" + b"\xff" * 16, b"\x3a\x05abc", bytes(64)]
)
def test_damaged_files_are_said_to_be(tmp_path: Path, name: str, content: bytes) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(weights.UnreadableWeightsError, match=r"m\.(safetensors|onnx|gguf)"):
        weights.read([file], file.suffix)


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (b"GGUF\x01\0\0\0", "of version 1; versions 2 and 3 are supported"),
        (b"GGUF\x04\0\0\0", "of version 4; versions 2 and 3 are supported"),
        (b"GGUF\0\0\0\x03", "is a big-endian GGUF file"),
    ],
)
def test_gguf_of_an_unsupported_version_is_not_called_damaged(
    tmp_path: Path, head: bytes, message: str
) -> None:
    file = tmp_path / "m.gguf"
    file.write_bytes(head + bytes(16))
    with pytest.raises(weights.UnreadableWeightsError, match=message):
        weights.read([file], file.suffix)


@quickstart_assets.needed
@pytest.mark.parametrize(
    ("asset", "file"),
    [("minilm-int8", "model.onnx"), ("smollm2-135m", "SmolLM2-135M-Instruct.Q4_1.gguf")],
)
def test_a_file_that_is_cut_off(tmp_path: Path, asset: str, file: str) -> None:
    with (assets.path(asset) / file).open("rb") as stream:
        (tmp_path / file).write_bytes(stream.read(10_000))
    with pytest.raises(weights.UnreadableWeightsError, match=file):
        weights.read([tmp_path / file], Path(file).suffix)


def test_a_safetensors_file_that_is_cut_off(tmp_path: Path) -> None:
    file = safetensors(tmp_path / "m.safetensors", {"a": [100]})
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(weights.UnreadableWeightsError, match="cut off"):
        weights.read([file], file.suffix)


def test_nothing_is_known_of_other_files(tmp_path: Path) -> None:
    assert weights.read([tmp_path / "model.py"], ".onnx").params is None
