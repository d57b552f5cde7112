"""The same weights through onnx and through transformers: tiny models, exported here."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from permille.backends.onnx.plugin import backend
from permille.backends.transformers.plugin import backend as reference
from permille.errors import ModelError
from permille.workload.outputs import Output
from permille.workload.protocols import Loaded
from permille.workload.requests import Masked, Picture, Question, Text, Words
from permille.workload.specs import ModelSpec
from tests import tiny_models as tiny
from tests.optional import later

torch = later("torch", "torch")
later("transformers", "torch")
later("onnx", "check")

pytestmark = pytest.mark.slow

TEXT = ("input_ids", "attention_mask", "token_type_ids")


def export(folder: Path, model: Any, names: tuple[str, ...], outputs: tuple[str, ...]) -> Path:
    """``model.onnx`` in the folder of a model, its own files beside it."""
    model.requires_grad_(False)

    class Plain(torch.nn.Module):  # type: ignore[misc,name-defined]
        def forward(self, *values: Any) -> Any:
            found = model(**dict(zip(names, values, strict=True)))
            return tuple(found[name] for name in outputs)

    if names == TEXT:
        values = (torch.ones(1, 6, dtype=torch.long),) * 3
        axes = {name: {1: "tokens"} for name in (*names, *outputs)}
    else:
        sides = {"detr": (46, 64), "yolos": (32, 64), "vit": (32, 32)}[model.config.model_type]
        size = (1, 3, *sides)
        values = (torch.zeros(size), torch.ones(1, *size[2:], dtype=torch.long))[: len(names)]
        axes = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Plain().eval(), values, folder / "model.onnx", input_names=list(names),
            output_names=list(outputs), dynamic_axes=axes, dynamo=False,
        )  # fmt: skip
    return folder


def answerer(folder: Path) -> Any:
    return tiny.bert(folder, "BertForQuestionAnswering", initializer_range=1.0)


def encoder(folder: Path) -> Any:
    return tiny.bert(folder, "BertModel")


def classifier(folder: Path) -> Any:
    names = {0: "yes", 1: "no", 2: "maybe"}
    return tiny.bert(folder, "BertForSequenceClassification", id2label=names, initializer_range=1.0)


@pytest.fixture
def both(tmp_path: Path) -> Callable[..., tuple[Loaded, Loaded]]:
    """One model, loaded by onnx and by transformers."""

    def load(make: Any, task: str, names: Any, outputs: Any) -> tuple[Loaded, Loaded]:
        export(tmp_path, make(tmp_path), names, outputs)
        settings = {"path": str(tmp_path)}
        spec = ModelSpec(id="m", backend="onnx", category="task-specific", settings=settings)
        return backend.load(spec, task), reference.load(spec, task)

    return load


def answers(models: tuple[Loaded, Loaded], request: Any) -> tuple[Output, Output]:
    ours, theirs = (model.read(model.infer(request)) for model in models)
    return ours, theirs


def test_a_label(both: Any) -> None:
    models = both(classifier, "text-classification", TEXT, ("logits",))
    for text in ("a good film", "ada lives in paris", "bad", "works for acme"):
        ours, theirs = answers(models, Text(text=text))
        assert ours == theirs


def test_tags(both: Any) -> None:
    ours, theirs = answers(
        both(tiny.tagger, "token-classification", TEXT, ("logits",)), Words(words=tiny.SENTENCE)
    )
    assert ours == theirs == Output(data=list(tiny.SENTENCE_TAGS), tokens_in=10)


def test_a_word_left_out(both: Any) -> None:
    models = both(tiny.masked, "fill-mask", TEXT, ("logits",))
    ours, theirs = answers(models, Masked(before="a ", after=" film"))
    assert ours == theirs
    assert ours.data[0] == "good"
    # The text itself contains the mask token.
    for before, after in (("[MASK] good ", ""), ("a ", " [MASK]")):
        ours, theirs = answers(models, Masked(before=before, after=after))
        assert ours == theirs
        assert ours.data[0] == ("good" if after else "film")


def test_a_span(both: Any) -> None:
    models = both(answerer, "question-answering", TEXT, ("start_logits", "end_logits"))
    for question, context in (
        ("ada works", "ada lives in paris and works for acme"),
        ("film", "a good film a bad film"),
    ):
        ours, theirs = answers(models, Question(question=question, context=context))
        assert ours == theirs
        assert ours.text
        assert ours.text in context
    for model in models:
        with pytest.raises(ModelError, match="a question leaves no room for its context in the"):
            model.infer(Question(question="film " * 600, context="a good film"))


def test_a_vector(both: Any) -> None:
    models = both(encoder, "feature-extraction", TEXT, ("last_hidden_state",))
    ours, theirs = answers(models, Text(text="ada lives in paris"))
    length = sum(value**2 for value in theirs.data) ** 0.5
    assert ours.data == pytest.approx([value / length for value in theirs.data], abs=1e-5)
    assert ours.tokens_in == theirs.tokens_in == 6


def test_an_image(both: Any, tmp_path: Path) -> None:
    models = both(tiny.vit, "image-classification", ("pixel_values",), ("logits",))
    for number in range(5):
        file = tiny.noise(tmp_path / "x.png", number=number)
        ours, theirs = answers(models, Picture(content=file.read_bytes()))
        assert ours == theirs
    red = tiny.picture(tmp_path / "red.png", (255, 0, 0))
    assert answers(models, Picture(content=red.read_bytes()))[0].label == "red"


@pytest.mark.parametrize(
    ("make", "names"),
    [(tiny.yolos, ("pixel_values",)), (tiny.detr, ("pixel_values", "pixel_mask"))],
)
def test_objects(both: Any, tmp_path: Path, make: Any, names: Any) -> None:
    models = both(make, "object-detection", names, ("logits", "pred_boxes"))
    file = tiny.noise(tmp_path / "x.png")
    ours, theirs = answers(models, Picture(content=file.read_bytes()))
    assert ours.counted == theirs.counted == {"images": 1.0, "pixels": 52.0 * 37}
    assert len(ours.data) == len(theirs.data) > 0
    for one, other in zip(ours.data, theirs.data, strict=True):
        assert one["label"] == other["label"]
        assert one["score"] == pytest.approx(other["score"], abs=1e-4)
        assert one["bbox"] == pytest.approx(other["bbox"], abs=0.01)


def test_a_mask_has_the_images_sides_wherever_its_channels_are(tmp_path: Path) -> None:
    from onnx import TensorProto, helper, save

    def declared(name: str, kind: int, *shape: int) -> Any:
        return helper.make_tensor_value_info(name, kind, shape)

    tiny.image_processor(tmp_path, size={"height": 4, "width": 6})
    config = {"model_type": "detr", "id2label": {"0": "cat", "1": "dog"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    inputs = [declared("image", TensorProto.FLOAT, 1, 4, 6, 3)]
    inputs.append(declared("pixel_mask", TensorProto.INT64, 1, 4, 6))
    shapes = {"logits": (1, 1, 3), "pred_boxes": (1, 1, 4)}
    values = {"logits": [0.0, 9.0, 0.0], "pred_boxes": [0.5, 0.5, 1.0, 1.0]}
    graph = helper.make_graph(
        [helper.make_node("Identity", [f"of_{name}"], [name]) for name in shapes],
        "tiny",
        inputs,
        [declared(name, TensorProto.FLOAT, *shape) for name, shape in shapes.items()],
        [helper.make_tensor(f"of_{n}", TensorProto.FLOAT, s, values[n]) for n, s in shapes.items()],
    )
    opset = [helper.make_opsetid("", 13)]
    save(helper.make_model(graph, ir_version=8, opset_imports=opset), tmp_path / "model.onnx")
    spec = ModelSpec(
        id="m", backend="onnx", category="task-specific", settings={"path": str(tmp_path)}
    )
    model = backend.load(spec, "object-detection")
    file = tiny.noise(tmp_path / "x.png")
    (thing,) = model.read(model.infer(Picture(content=file.read_bytes()))).data
    assert thing["label"] == "dog"


# --- refused -----------------------------------------------------------------------------


def check(folder: Path, task: str, **settings: Any) -> None:
    own = {"path": str(folder), **settings}
    backend.check(ModelSpec(id="m", backend="onnx", category="task-specific", settings=own), task)


def test_what_lacks_its_own_files_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"x")
    (tmp_path / "config.json").write_text('{"id2label": {"0": "a", "1": "b"}, "model_type": "x"}')
    with pytest.raises(ModelError, match=r"no usable .*preprocessor_config\.json"):
        check(tmp_path, "image-classification")
    tiny.image_processor(tmp_path)
    check(tmp_path, "image-classification")
    with pytest.raises(ModelError, match=r"model_type 'x'; .*detr, yolos.*try backend transform"):
        check(tmp_path, "object-detection")
    tiny.image_processor(tmp_path, size={"height": 0, "width": 32})
    with pytest.raises(ModelError, match="a size is not 1 to 4096"):
        check(tmp_path, "image-classification")
    with pytest.raises(ModelError, match="head_path is for text-classification"):
        check(tmp_path, "fill-mask", head_path="head.json")


def test_a_model_of_another_kind_is_one_line(tmp_path: Path) -> None:
    export(tmp_path, encoder(tmp_path), TEXT, ("last_hidden_state",))
    (tmp_path / "config.json").write_text(json.dumps({"id2label": {"0": "O", "1": "B-X"}}))
    spec = ModelSpec(
        id="m", backend="onnx", category="task-specific", settings={"path": str(tmp_path)}
    )
    for task, says in (
        ("token-classification", "but no logits"),
        ("question-answering", "but no start_logits or end_logits"),
        ("image-classification", "a vision model takes one image"),
    ):
        tiny.image_processor(tmp_path)
        with pytest.raises(ModelError, match=says) as caught:
            backend.load(spec, task)
        assert "\n" not in str(caught.value)
