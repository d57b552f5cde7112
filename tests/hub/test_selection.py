"""Which files of a repository are fetched."""

from __future__ import annotations

from typing import Any

import pytest

from permille.errors import ModelError
from permille.hub.selection import Wanted, choose


def chosen(form: str, names: list[str], **more: Any) -> set[str]:
    return set(choose(Wanted(model_id="m", repo="o/m", format=form, **more), names).names)


def test_a_folder_of_transformers_without_its_other_forms() -> None:
    wanted = {"config.json", "tokenizer.json", "vocab.txt", "model.safetensors"}
    others = {"pytorch_model.bin", "flax_model.msgpack", "README.md", "onnx/model.onnx", "code.py"}
    others |= {"consolidated.safetensors", "model.fp16.safetensors", "logs/config.json"}
    assert chosen("transformers", [*wanted, *others]) == wanted


def test_shards_are_taken_whole_or_not_at_all() -> None:
    shards = [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    index = "model.safetensors.index.json"
    assert chosen("transformers", [*shards, index]) == {*shards, index}
    with pytest.raises(ModelError, match="model has 1 of its 2 parts"):
        chosen("transformers", [shards[0], index])
    with pytest.raises(ModelError, match="model has 1 of its 2 parts"):
        chosen("transformers", [shards[0], "model-00003-of-00002.safetensors", index])
    for numbers in ((0, 1), (0, 1, 2)):
        whole = [f"model-0000{i}-of-00002.safetensors" for i in numbers]
        assert chosen("transformers", [*whole, index]) == {*whole, index}
    alone = "model-00000-of-00001.safetensors"
    assert chosen("transformers", [alone]) == {alone}
    for stray in ((), (2,)):
        some = [f"model-0000{i}-of-00002.safetensors" for i in (0, *stray)]
        with pytest.raises(ModelError, match="model has 1 of its 2 parts"):
            chosen("transformers", some)
    with pytest.raises(ModelError, match="m has 1 of its 2 parts"):
        chosen("gguf", [f"m-0000{i}-of-00002.gguf" for i in (0, 1)])
    parts = [f"m-q4-0000{i}-of-00002.gguf" for i in (1, 2)]
    assert chosen("gguf", parts) == set(parts)
    smaller = [f"m-q4-0000{i}-of-00003.gguf" for i in (1, 2, 3)]
    assert chosen("gguf", [*parts, *smaller], file=parts[0]) == set(parts)


def test_the_parts_of_a_pipeline_without_their_variants() -> None:
    wanted = {
        "model_index.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
        "text_encoder/model.safetensors",
        "tokenizer/vocab.json",
    }
    others = {"sd_xl_base_1.0.safetensors", "unet/diffusion_pytorch_model.fp16.safetensors"}
    others |= {"unet/diffusion_pytorch_model.bin", "text_encoder/model.onnx"}
    others |= {"unet/model.fp16-00001-of-00001.safetensors"}
    assert chosen("diffusers", [*wanted, *others]) == wanted
    shards = {f"unet/diffusion_pytorch_model-0000{i}-of-00002.safetensors" for i in (1, 2)}
    wanted = wanted - {"unet/diffusion_pytorch_model.safetensors"} | shards
    assert chosen("diffusers", [*wanted, *others]) == wanted
    with pytest.raises(ModelError, match="not a diffusers pipeline"):
        chosen("diffusers", ["unet/config.json"])


def test_weights_of_other_frameworks_are_not_called_pickles() -> None:
    others = ["flax_model.msgpack", "tf_model.h5"]
    with pytest.raises(ModelError, match=r"no \*\.safetensors; available: flax_model.*, tf_model"):
        chosen("transformers", others)
    with pytest.raises(ModelError, match=r"has pytorch_model\.bin, a pickle"):
        chosen("transformers", [*others, "pytorch_model.bin"])


def test_onnx_with_its_data_and_its_config_above() -> None:
    wanted = {"onnx/model.onnx", "onnx/model.onnx_data", "config.json", "tokenizer.json"}
    assert chosen("onnx", [*wanted, "onnx/model_fp16.onnx", "model.safetensors"]) == wanted
    named = chosen("onnx", [*wanted, "onnx/model_fp16.onnx"], file="onnx/model_fp16.onnx")
    assert named == {"onnx/model_fp16.onnx", "config.json", "tokenizer.json"}


def test_pickles_only_where_allowed_and_code_only_where_asked_for() -> None:
    names = ["config.json", "pytorch_model.bin", "training_args.bin", "modeling_x.py"]
    with pytest.raises(ModelError, match="a pickle, which can run code"):
        chosen("transformers", names)
    assert chosen("transformers", names, allow_pickle=True) == {"config.json", "pytorch_model.bin"}
    assert "modeling_x.py" in chosen("transformers", names, allow_pickle=True, remote_code=True)
    with pytest.raises(ModelError, match=r"no \*\.safetensors"):
        chosen("transformers", ["config.json"])
