"""ONNX models through onnxruntime, on the CPU.

text-classification, in two forms. A classifier: ``model.onnx`` puts out logits, ``config.json``
beside it names the classes (``id2label``), or the study file does (``classes``). An encoder with
a head: ``model.onnx`` puts out token embeddings, which are averaged over the tokens (not the
padding), scaled to length 1, and given to the linear head of ``head_path``. ``tokenizer.json``
lies beside the model. Batch 1; texts are cut at ``max_length`` tokens.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from permille.backends import Backend, ModelSpec, Output, Text, files, heads
from permille.backends.onnx_text import TextModel, embedding
from permille.errors import ModelError
from permille.records import Category, ModelFacts, Record

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MAX_CONFIG_BYTES = 16 << 20


class Settings(Record, forbid_unknown_fields=True):
    """``path``: the .onnx file, or the folder with model.onnx in it. ``classes``: the classes in
    the order of the logits. ``labels``: the dataset's label -> the model's. ``threads``: of
    onnxruntime; its own choice if not given. ``max_length`` in tokens: the tokenizer's own, or
    512."""

    path: str
    head_path: str | None = None
    tokenizer_path: str | None = None
    classes: tuple[str, ...] = ()
    labels: dict[str, str] = {}
    threads: int | None = None
    max_length: int | None = None


class OnnxBackend:
    """The backend, as a plug-in."""

    name = "onnx"
    tasks: Mapping[str, frozenset[Category]] = {
        "text-classification": frozenset({"task-specific"}),
    }
    settings: type[Record] = Settings
    requires: tuple[str, ...] = ("onnxruntime", "tokenizers", "numpy")
    install = "pip install permille"
    hub_format = "onnx"

    def check(self, model: ModelSpec, task: str) -> None:
        """That the files are there, the head is one, and the classes have names.

        Raises:
            ModelError: one of them is not so.
        """
        settings = msgspec.convert(model.settings, Settings)
        files.existing(model.id, "path", _model_file(settings))
        files.existing(model.id, "tokenizer_path", _tokenizer_file(settings))
        _labels(model.id, settings)
        for key, value in (("threads", settings.threads), ("max_length", settings.max_length)):
            if value is not None and value < 1:
                raise ModelError(f"model {model.id!r}: {key} must be at least 1, not {value}")

    def load(self, model: ModelSpec, task: str) -> _Classifier:
        """The model in memory.

        Raises:
            ModelError: the files are damaged, or not a model of either form.
        """
        self.check(model, task)
        return _Classifier(model.id, msgspec.convert(model.settings, Settings))


class _Classifier:
    """A loaded classifier, of either form."""

    device = "cpu"

    def __init__(self, model_id: str, settings: Settings) -> None:
        self._id = model_id
        self._settings = settings
        self.labels = _labels(model_id, settings)
        self._head = _load_head(settings)
        self._model = TextModel(
            model_id,
            _model_file(settings),
            _tokenizer_file(settings),
            threads=settings.threads,
            max_length=settings.max_length,
        )
        if self._head is None:
            self._output = _logits(model_id, self._model.outputs, self.labels)
        else:
            self._output = _embeddings(model_id, self._model.outputs, self._head[0].shape[1])
        self.facts = ModelFacts(size_bytes=_model_file(settings).stat().st_size)

    def infer(self, request: Any) -> Any:
        """One text to (the class's number, tokens read)."""
        if not isinstance(request, Text):
            raise ModelError(f"backend onnx cannot do a {type(request).__name__} request")
        values, mask = self._model.run(request.text, self._output)
        if self._head is not None:
            weights, bias = self._head
            values = weights @ embedding(values, mask) + bias
        if values.shape != (len(self.labels),):
            raise ModelError(
                f"model {self._id!r} puts out {list(values.shape)} for a text, "
                f"but there are {len(self.labels)} classes"
            )
        return int(values.argmax()), len(mask)

    def read(self, raw: Any) -> Output:
        """The class's name."""
        number, tokens = raw
        return Output(label=self.labels[number], tokens_in=tokens)

    def close(self) -> None:
        """Let go of the session."""
        del self._model


# --- files -------------------------------------------------------------------------------


def _model_file(settings: Settings) -> Path:
    path = Path(settings.path)
    return path / "model.onnx" if path.is_dir() else path


def _tokenizer_file(settings: Settings) -> Path:
    if settings.tokenizer_path:
        return Path(settings.tokenizer_path)
    return _model_file(settings).parent / "tokenizer.json"


def _labels(model_id: str, settings: Settings) -> tuple[str, ...]:
    """The classes in the order of the scores: the head's, the study file's or config.json's."""
    if settings.head_path:
        if settings.classes:
            raise ModelError(f"model {model_id!r}: classes and head_path: the head names its own")
        return heads.read(files.existing(model_id, "head_path", settings.head_path)).labels
    if settings.classes:
        if len(settings.classes) < 2 or len(set(settings.classes)) < len(settings.classes):
            raise ModelError(f"model {model_id!r}: classes: two or more, all different")
        return settings.classes
    config = _model_file(settings).parent / "config.json"
    mend = 'give classes = ["…", "…"], in the order of the logits, or head_path for an encoder'
    if not config.is_file():
        raise ModelError(f"model {model_id!r}: no {config} to name the classes; {mend}")
    labels = _id2label(config)
    if labels is None:
        raise ModelError(f"model {model_id!r}: {config} has no usable id2label; {mend}")
    return labels


def _id2label(config: Path) -> tuple[str, ...] | None:
    """The names under ``id2label``, keyed "0" to "n-1", or None."""
    try:
        with config.open("rb") as stream:
            content = json.loads(stream.read(_MAX_CONFIG_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    names = content.get("id2label") if isinstance(content, dict) else None
    if not isinstance(names, dict):
        return None
    values = [names.get(str(number)) for number in range(len(names))]
    labels = tuple(value for value in values if isinstance(value, str) and value)
    whole = len(labels) == len(values) >= 2 and len(set(labels)) == len(labels)
    return labels if whole else None


# --- what the session puts out ------------------------------------------------------------


def _load_head(settings: Settings) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    if not settings.head_path:
        return None
    import numpy as np

    head = heads.read(Path(settings.head_path))
    return np.array(head.weights, dtype=np.float32), np.array(head.bias, dtype=np.float32)


def _embeddings(model_id: str, outputs: Mapping[str, list[Any]], width: int) -> str:
    """The output with the embeddings: batch x tokens x D, or batch x D; D is ``width``."""
    fitting = [n for n, shape in outputs.items() if len(shape) in (2, 3)]
    fitting = [n for n in fitting if outputs[n][-1] == width or isinstance(outputs[n][-1], str)]
    if not fitting:
        raise ModelError(
            f"model {model_id!r} puts out {_shapes(outputs)}: "
            f"no embeddings of {width}, which its head takes"
        )
    return fitting[0]


def _logits(model_id: str, outputs: Mapping[str, list[Any]], labels: tuple[str, ...]) -> str:
    """The output with the logits: batch x classes."""
    flat = [name for name, shape in outputs.items() if len(shape) == 2]
    if not flat:
        raise ModelError(
            f"model {model_id!r} puts out {_shapes(outputs)}, which are no logits of classes; "
            "give head_path for an encoder"
        )
    name = "logits" if "logits" in flat else flat[0]
    width = outputs[name][1]
    if isinstance(width, int) and width != len(labels):
        raise ModelError(
            f"model {model_id!r} has {width} classes, but {len(labels)} are named: "
            f"{', '.join(labels[:10])}"
        )
    return name


def _shapes(outputs: Mapping[str, list[Any]]) -> str:
    return ", ".join(f"{name} {shape}" for name, shape in outputs.items())


backend: Backend = OnnxBackend()
