from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel

from permille.backends.onnx.plugin import backend
from permille.errors import ModelError
from permille.workload.outputs import Output
from permille.workload.protocols import Loaded
from permille.workload.requests import Choice, Text, Words
from permille.workload.specs import ModelSpec
from tests import tiny_onnx

WORDS = ["[UNK]", "good", "bad"]
TASK = "text-classification"


def spec(**settings: Any) -> ModelSpec:
    return ModelSpec(id="tiny", backend="onnx", category="task-specific", settings=settings)


def classifier(folder: Path, id2label: object = None) -> Path:
    tiny_onnx.write(folder, [[0, 0], [0, 1], [1, 0]], pooled=True)
    tiny_onnx.write_tokenizer(folder, WORDS)
    names = {"0": "NEG", "1": "POS"} if id2label is None else id2label
    (folder / "config.json").write_text(json.dumps({"id2label": names}))
    return folder


def encoder(folder: Path, head: dict[str, Any] | None = None) -> Path:
    """Embeddings in two dimensions; the head looks at their direction alone."""
    tiny_onnx.write(folder, [[0, 0], [3, 4], [-6, 8]], pooled=False)
    tiny_onnx.write_tokenizer(folder, WORDS)
    default = {
        "format": "permille-head-1",
        "labels": ["left", "right"],
        "weights": [[-1.0, 0.0], [1.0, 0.0]],
        "bias": [0.0, 0.0],
        "trained": {},
    }
    (folder / "head.json").write_text(json.dumps({**default, **(head or {})}))
    return folder


def label(model: Loaded, text: str) -> str | None:
    return model.read(model.infer(Text(text=text))).label


def test_a_classifier_names_its_greatest_logit(tmp_path: Path) -> None:
    model = backend.load(spec(path=str(classifier(tmp_path))), TASK)
    assert label(model, "good good bad") == "POS"
    assert label(model, "bad bad good") == "NEG"
    assert model.device == "cpu"
    assert model.facts.size_bytes == (tmp_path / "model.onnx").stat().st_size
    model.close()


@pytest.mark.parametrize(("kind", "tags"), [("roberta", ["B", "B"]), ("modernbert", ["O", "O"])])
def test_separate_words_get_their_blanks(tmp_path: Path, kind: str, tags: list[str]) -> None:
    tiny_onnx.write(tmp_path, [[1, 0]] * 2 + [[0, 1]] * 2, pooled=False, output_name="logits")
    tokenizer = Tokenizer(BPE({"a": 0, "Ġ": 1, "Ġa": 2, "b": 3}, [("Ġ", "a")]))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    config = {"model_type": kind, "id2label": {"0": "O", "1": "B"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    model = backend.load(spec(path=str(tmp_path)), "token-classification")
    assert model.read(model.infer(Words(words=("a", "a")))) == Output(data=tags, tokens_in=2)


def test_the_size_includes_weights_in_separate_files(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load(classifier(tmp_path) / "model.onnx")
    outside = {"location": "weights.bin", "size_threshold": 0, "save_as_external_data": True}
    onnx.save_model(model, tmp_path / "model.onnx", **outside)
    loaded = backend.load(spec(path=str(tmp_path)), TASK)
    files = [tmp_path / "model.onnx", tmp_path / "weights.bin"]
    assert loaded.facts.size_bytes == sum(file.stat().st_size for file in files)


def test_tokens_are_counted_and_cut_at_max_length(tmp_path: Path) -> None:
    settings = {"path": str(classifier(tmp_path) / "model.onnx"), "max_length": 3}
    model = backend.load(spec(**settings), TASK)
    output = model.read(model.infer(Text(text="good bad bad good good good")))
    assert output.tokens_in == 3
    assert output.label == "NEG", "the words after the third must not count"


def test_a_tokenizers_own_padding_is_not_paid_for(tmp_path: Path) -> None:
    classifier(tmp_path)
    tiny_onnx.write_tokenizer(tmp_path, WORDS, pad_to=64)
    model = backend.load(spec(path=str(tmp_path)), TASK)
    assert model.read(model.infer(Text(text="good bad"))).tokens_in == 2


def test_classes_of_the_study_file_stand_before_config_json(tmp_path: Path) -> None:
    folder = classifier(tmp_path)
    model = backend.load(spec(path=str(folder), classes=("no", "yes"), threads=1), TASK)
    assert label(model, "good") == "yes"


def test_an_encoder_is_averaged_scaled_and_given_to_its_head(tmp_path: Path) -> None:
    # The mean of (3, 4) and (-6, 8) is (-1.5, 6), of length 6.185: scaled, x is -0.2425. The
    # head's bias of 0.2 is above it, of 0.3 it would not be; unscaled, -1.5 would beat both.
    folder = encoder(tmp_path, {"bias": [0.0, 0.4]})
    settings = {"path": str(folder), "head_path": str(folder / "head.json")}
    assert label(backend.load(spec(**settings), TASK), "good bad") == "left"
    encoder(tmp_path, {"bias": [0.0, 0.5]})
    assert label(backend.load(spec(**settings), TASK), "good bad") == "right"


def test_only_texts_are_taken(tmp_path: Path) -> None:
    model = backend.load(spec(path=str(classifier(tmp_path))), TASK)
    with pytest.raises(ModelError, match="Choice"):
        model.infer(Choice(prompt="x", choices=("a", "b")))


def _no_model(folder: Path) -> dict[str, Any]:
    return {"path": str(classifier(folder) / "other.onnx")}


def _no_tokenizer(folder: Path) -> dict[str, Any]:
    (classifier(folder) / "tokenizer.json").unlink()
    return {"path": str(folder)}


def _no_config(folder: Path) -> dict[str, Any]:
    (classifier(folder) / "config.json").unlink()
    return {"path": str(folder)}


def _odd_config(folder: Path) -> dict[str, Any]:
    return {"path": str(classifier(folder, {"0": "A", "2": "B"}))}


def _no_head(folder: Path) -> dict[str, Any]:
    return {"path": str(encoder(folder)), "head_path": str(folder / "none.json")}


def _pickle_head(folder: Path) -> dict[str, Any]:
    (encoder(folder) / "head.json").write_bytes(b"\x80\x04\x95")
    return {"path": str(folder), "head_path": str(folder / "head.json")}


def _deep_head(folder: Path) -> dict[str, Any]:
    (encoder(folder) / "head.json").write_text('{"unknown": ' + "[" * 100_000)
    return {"path": str(folder), "head_path": str(folder / "head.json")}


def _ragged_head(folder: Path) -> dict[str, Any]:
    encoder(folder, {"weights": [[1.0], [1.0, 2.0]]})
    return {"path": str(folder), "head_path": str(folder / "head.json")}


def _two_names(folder: Path) -> dict[str, Any]:
    encoder(folder)
    return {"path": str(folder), "head_path": str(folder / "head.json"), "classes": ("a", "b")}


def _no_threads(folder: Path) -> dict[str, Any]:
    return {"path": str(classifier(folder)), "threads": 0}


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (_no_model, "other.onnx': no such file"),
        (_no_tokenizer, "tokenizer.json': no such file"),
        (_no_config, "to name the classes; give classes"),
        (_odd_config, "no usable id2label"),
        (_no_head, "head_path .*none.json': no such file"),
        (_pickle_head, "not a permille-head-1 file"),
        (_deep_head, "not a permille-head-1 file"),
        (_ragged_head, "different lengths"),
        (_two_names, "the head in head_path has its own"),
        (_no_threads, "threads must be at least 1"),
    ],
)
def test_what_can_be_found_wrong_without_loading_is(tmp_path: Path, build: Any, says: str) -> None:
    with pytest.raises(ModelError, match=says) as caught:
        backend.check(spec(**build(tmp_path)), TASK)
    assert "\n" not in str(caught.value)


def _corrupt(folder: Path) -> dict[str, Any]:
    (classifier(folder) / "model.onnx").write_bytes(b"not an ONNX file")
    return {"path": str(folder)}


def _truncated(folder: Path) -> dict[str, Any]:
    model = classifier(folder) / "model.onnx"
    model.write_bytes(model.read_bytes()[:-20])
    return {"path": str(folder)}


def _bad_tokenizer(folder: Path) -> dict[str, Any]:
    (classifier(folder) / "tokenizer.json").write_text("{}")
    return {"path": str(folder)}


def _wrong_input(folder: Path) -> dict[str, Any]:
    classifier(folder)
    tiny_onnx.write(folder, [[0, 0], [0, 1]], pooled=True, input_name="pixel_values")
    return {"path": str(folder)}


def _three_classes(folder: Path) -> dict[str, Any]:
    return {"path": str(classifier(folder)), "classes": ("a", "b", "c")}


def _encoder_alone(folder: Path) -> dict[str, Any]:
    return {"path": str(encoder(folder)), "classes": ("a", "b")}


def _wide_head(folder: Path) -> dict[str, Any]:
    encoder(folder, {"weights": [[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]]})
    return {"path": str(folder), "head_path": str(folder / "head.json")}


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (_corrupt, "not a model that onnxruntime can run"),
        (_truncated, "not a model that onnxruntime can run"),
        (_bad_tokenizer, "is not a tokenizer"),
        (_wrong_input, "takes the inputs pixel_values"),
        (_three_classes, "has 2 classes, but 3 are named"),
        (_encoder_alone, "not logits of classes; give head_path"),
        (_wide_head, "no embeddings of 3"),
    ],
)
def test_what_only_loading_finds_is_one_line_too(
    tmp_path: Path, build: Any, says: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ModelError, match=says) as caught:
        backend.load(spec(**build(tmp_path)), TASK)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", ""), "onnxruntime must not log beside the error"


def test_a_token_that_the_model_does_not_know_is_the_models_error(tmp_path: Path) -> None:
    classifier(tmp_path)
    tiny_onnx.write_tokenizer(tmp_path, [*WORDS, "unseen"])
    model = backend.load(spec(path=str(tmp_path)), TASK)
    with pytest.raises(ModelError, match="onnxruntime"):
        model.infer(Text(text="unseen"))
