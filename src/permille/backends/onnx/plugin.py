"""ONNX models through onnxruntime, on the CPU, one sample at a time.

    backend = "onnx"
    path = "models/vit-base"    # a folder with model.onnx in it, or the .onnx file

Texts: ``tokenizer.json`` is next to the model, and texts are truncated to ``max_length`` tokens.
text-classification has two forms. A classifier: ``model.onnx`` outputs logits, and ``config.json``
next to it (``id2label``) or the study file (``classes``) names the classes. An encoder with a head:
``model.onnx`` outputs token embeddings, which are averaged over the tokens (not the padding),
scaled to length 1, and passed to the linear head in ``head_path``. token-classification, fill-mask,
question-answering and feature-extraction are in ``encoding``.

Images: ``preprocessor_config.json`` next to the model describes resizing and normalisation.
image-classification, and object-detection by models of DETR's family, are in ``vision``.
"""

from __future__ import annotations

import glob
import importlib.util
from collections.abc import Mapping
from pathlib import Path

import msgspec

from permille.backends import files, heads, model_config
from permille.errors import ModelError
from permille.records import Record
from permille.records.cell import Category
from permille.weights import onnx as weights_onnx
from permille.workload.protocols import Backend, Loaded
from permille.workload.specs import ModelSpec, StandsOn

_VISION = ("image-classification", "object-detection")
_BESIDE = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "config.json",
    "preprocessor_config.json",
)
_NAMELESS = ("fill-mask", "question-answering", "feature-extraction")
"""Tasks whose answers are not classes."""


class Settings(Record, forbid_unknown_fields=True):
    """The keys of a ``[[models]]`` table with this backend."""

    path: str
    """The .onnx file, or the folder that contains model.onnx. Such as `"models/minilm"`."""
    head_path: str | None = None
    """A linear classification head on the embedding (JSON). Such as `"head.json"`."""
    tokenizer_path: str | None = None
    """The tokenizer.json, if it is not next to the model. Such as `"tokenizer.json"`."""
    classes: tuple[str, ...] = ()
    """The classes in the order of the logits. Such as `["negative", "positive"]`."""
    labels: dict[str, str] = {}
    """The dataset's label -> the model's. Such as `{ neg = "negative" }`."""
    threads: int | None = None
    """Threads of onnxruntime; by default its own choice. Such as `1`."""
    max_length: int | None = None
    """Inputs are truncated to this many tokens; the default is the tokenizer's limit, or 512. Such
    as `256`."""


class OnnxBackend:
    """The backend, as a plug-in."""

    name = "onnx"
    tasks: Mapping[str, frozenset[Category]] = {
        task: frozenset({"task-specific"})
        for task in (
            "text-classification",
            "token-classification",
            "fill-mask",
            "question-answering",
            "feature-extraction",
            "image-classification",
            "object-detection",
        )
    }
    settings: type[Record] = Settings
    requires: tuple[str, ...] = ("onnxruntime", "tokenizers", "numpy")
    install = "pip install permille"
    hub_format = "onnx"

    def check(self, model: ModelSpec, task: str) -> None:
        """Check that the files exist, the head is valid, and the classes have names.

        Raises:
            ModelError: one of these does not hold.
        """
        settings = msgspec.convert(model.settings, Settings)
        for key, value in (("threads", settings.threads), ("max_length", settings.max_length)):
            if value is not None and value < 1:
                raise ModelError(f"model {model.id!r}: {key} must be at least 1, not {value}")
        if settings.head_path and task != "text-classification":
            raise ModelError(f"model {model.id!r}: head_path is for text-classification")
        file = files.existing(model.id, "path", _model_file(settings))
        _labels(model.id, settings, task)
        if task not in _VISION:
            files.existing(model.id, "tokenizer_path", _tokenizer_file(settings))
            return
        if importlib.util.find_spec("PIL") is None:
            raise ModelError(f"{task} needs PIL: pip install 'permille[vision]'")
        from permille.backends.onnx.vision import check_detector, preparation

        preparation(model.id, file)
        if task == "object-detection":
            check_detector(model.id, file)

    def stands_on(self, model: ModelSpec) -> StandsOn:
        """The files next to a model that is named by its file: external weights, the tokenizer, the
        class names, the image preprocessing."""
        file = Path(str(model.settings["path"]))
        if not file.is_file():
            return StandsOn()  # for a folder, all files count
        folder = files.folder_of(file)
        beside = [folder / name for name in _BESIDE]
        beside += [file.parent / name for name in weights_onnx.external(file)]
        # By convention, files of weights are named after the model, such as model.onnx_data
        # (https://onnx.ai/onnx/repo-docs/ExternalData.html).
        beside += sorted(file.parent.glob(f"{glob.escape(file.name)}?*"))
        return StandsOn(files={p.name: p for p in beside if p.is_file() and p != file})

    def load(self, model: ModelSpec, task: str) -> Loaded:
        """The model in memory.

        Raises:
            ModelError: the files are damaged, or not a model for the task.
        """
        self.check(model, task)
        settings = msgspec.convert(model.settings, Settings)
        file, labels = _model_file(settings), _labels(model.id, settings, task)
        if task in _VISION:
            from permille.backends.onnx.vision import OnnxVision

            return OnnxVision(model.id, task, file, labels, settings.threads)
        from permille.backends.onnx.classifying import Classifier
        from permille.backends.onnx.encoding import ENCODERS
        from permille.backends.onnx.text import TextModel

        text = TextModel(
            model.id,
            file,
            _tokenizer_file(settings),
            threads=settings.threads,
            max_length=settings.max_length,
            pairs=task == "question-answering",
        )
        if task == "text-classification":
            return Classifier(model.id, text, labels, settings.head_path)
        return ENCODERS[task](model.id, text, file, labels)


# --- files -------------------------------------------------------------------------------


def _model_file(settings: Settings) -> Path:
    path = Path(settings.path)
    return path / "model.onnx" if path.is_dir() else path


def _tokenizer_file(settings: Settings) -> Path:
    if settings.tokenizer_path:
        return Path(settings.tokenizer_path)
    return files.folder_of(_model_file(settings)) / "tokenizer.json"


def _labels(model_id: str, settings: Settings, task: str) -> tuple[str, ...]:
    """The classes in the order of the scores: from the head, the study file or config.json; none
    for a task without classes."""
    if task in _NAMELESS:
        return ()
    if settings.head_path:
        if settings.classes:
            raise ModelError(
                f"model {model_id!r}: remove classes: the head in head_path has its own"
            )
        return heads.read(files.existing(model_id, "head_path", settings.head_path)).labels
    if settings.classes:
        if len(settings.classes) < 2 or len(set(settings.classes)) < len(settings.classes):
            raise ModelError(f"model {model_id!r}: classes must be two or more different names")
        return settings.classes
    config = files.folder_of(_model_file(settings)) / "config.json"
    mend = 'give classes = ["…", "…"], in the order of the logits'
    if task == "text-classification":
        mend += ", or head_path for an encoder"
    if not config.is_file():
        raise ModelError(f"model {model_id!r}: no {config} to name the classes; {mend}")
    # Detectors give all the gaps in COCO's numbering the same name, "N/A".
    labels = model_config.class_names(config, unique=task != "object-detection")
    if labels is None:
        raise ModelError(f"model {model_id!r}: {config} has no usable id2label; {mend}")
    return labels


backend: Backend = OnnxBackend()
