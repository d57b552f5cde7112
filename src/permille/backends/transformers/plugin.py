"""Models of the Hub's format in a local folder, through transformers and torch.

    backend = "transformers"
    path = "models/flan-t5-base"
    device = "cuda"            # cpu if not given
    dtype = "bfloat16"         # what the files say, if not given
    batch_size = 8             # 1 if not given

It uses the auto classes and ``generate``, not pipelines, and greedy decoding. Weights are read from
safetensors; a pickle is refused unless ``allow_pickle = true``, and code that comes with a model is
not run unless ``trust_remote_code = true``. A folder without weights for the task's head is
refused, because transformers would initialise them at random. The device has finished when an
inference returns.

One module per modality: ``encoding``, ``generation``, ``vision`` and ``audio``. A processor and a
model come from a folder (``folder``), or are built with random weights (``replica``).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path

import msgspec

from permille.backends import model_config
from permille.backends.torch_device import find_device
from permille.backends.transformers.settings import Settings, check_folder, check_numbers
from permille.errors import ModelError
from permille.records import Record
from permille.records.cell import Category
from permille.workload.protocols import Backend, Loaded
from permille.workload.specs import Execution, ModelSpec

_GENERAL: frozenset[Category] = frozenset({"general-purpose"})
_SPECIFIC: frozenset[Category] = frozenset({"task-specific"})
_OF_TEXT = frozenset(
    {"text-classification", "question-answering", "text-generation", "summarization", "translation",
     "chat"}
)  # fmt: skip
_NEEDS = {
    "image-classification": ("PIL", "vision"),
    "object-detection": ("PIL", "vision"),
    "image-to-text": ("PIL", "vision"),
    "automatic-speech-recognition": ("soundfile", "audio"),
}


class TransformersBackend:
    """The backend, as a plug-in."""

    name = "transformers"
    tasks: Mapping[str, frozenset[Category]] = {
        "text-classification": _SPECIFIC | _GENERAL,
        "token-classification": _SPECIFIC,
        "fill-mask": _SPECIFIC,
        "feature-extraction": _SPECIFIC,
        "question-answering": _SPECIFIC | _GENERAL,
        "text-generation": _SPECIFIC | _GENERAL,
        "summarization": _SPECIFIC | _GENERAL,
        "translation": _SPECIFIC | _GENERAL,
        "chat": _SPECIFIC | _GENERAL,
        "image-classification": _SPECIFIC,
        "object-detection": _SPECIFIC,
        "image-to-text": _SPECIFIC,
        "automatic-speech-recognition": _SPECIFIC,
    }
    settings: type[Record] = Settings
    requires: tuple[str, ...] = ("torch", "transformers")
    install = "pip install 'permille[torch]'"
    hub_format = "transformers"

    def check(self, model: ModelSpec, task: str) -> None:
        """Check that the folder contains a model in a permitted format.

        Raises:
            ModelError: no config.json, no weights, only a pickle, or a setting out of range.
        """
        settings = msgspec.convert(model.settings, Settings)
        check_numbers(model.id, settings)
        module, extra = _NEEDS.get(task, ("torch", "torch"))
        if importlib.util.find_spec(module) is None:
            raise ModelError(f"{task} needs {module}: pip install 'permille[{extra}]'")
        by_choice = model.category == "general-purpose" and task == "text-classification"
        if by_choice and settings.batch_size > 1:
            raise ModelError(
                f"model {model.id!r}: labels are chosen one prompt at a time; batch_size = 1"
            )
        if settings.weights == "replica":
            from permille.architectures.descriptions import check

            check(model, task)
        elif settings.path is None:
            raise ModelError(
                f"model {model.id!r}: set path to the model's folder"
                ' (or, for its energy and time only, weights = "replica")'
            )
        else:
            check_folder(model.id, Path(settings.path), allow_pickle=settings.allow_pickle)
            if settings.trust_remote_code:
                check_own_code(model.id, Path(settings.path))

    def executes(self, model: ModelSpec) -> tuple[Execution, ...]:
        """The code that comes with the model, if the study file allows it to run."""
        if not model.settings.get("trust_remote_code"):
            return ()
        return (Execution(kind="code", what="the code that comes with the model"),)

    def load(self, model: ModelSpec, task: str) -> Loaded:
        """The model on its device.

        Raises:
            ModelError: the device does not exist, or the files are damaged or of another kind of
            model.
        """
        self.check(model, task)
        from permille.backends.transformers.audio import Audio
        from permille.backends.transformers.encoding import Encoding
        from permille.backends.transformers.generation import Generation
        from permille.backends.transformers.vision import TorchVision

        settings = msgspec.convert(model.settings, Settings)
        device = find_device(model.id, settings.device)
        if settings.weights == "replica":
            from permille.backends.transformers.replica import build

            opened = build(model, task, settings, device)
        else:
            from permille.backends.transformers.folder import open_folder

            opened = open_folder(model, task, settings, device)
        if task in ("image-classification", "object-detection", "image-to-text"):
            return TorchVision(model, opened, settings, task)
        if task == "automatic-speech-recognition":
            return Audio(model, opened, settings, task)
        if generates(model, task):
            return Generation(model, opened, settings, task)
        return Encoding(model, opened, settings, task)

    def harness_problem(self, model: ModelSpec, task: str) -> str | None:
        """lm-eval scores models that generate text."""
        if task in _OF_TEXT and generates(model, task):
            return None
        return f"lm-eval scores models that generate text, not for {task} by a head"


def generates(model: ModelSpec, task: str) -> bool:
    """Whether a model of text does a task by generating, not by a head."""
    if task in ("token-classification", "fill-mask", "feature-extraction"):
        return False
    by_head = task == "text-classification" or (task == "question-answering" and not model.prompt)
    return not (by_head and model.category == "task-specific")


def check_own_code(model_id: str, folder: Path) -> None:
    """Check that the code that a model requests is its own: code of another repository has no
    pinned commit.

    Raises:
        ModelError: it is from another repository.
    """
    for file in sorted(folder.glob("*.json")):
        auto_map = (model_config.read(file) or {}).get("auto_map")
        for name in _texts(auto_map):
            # transformers' form for code of another repository: OWNER/NAME--module.Class.
            if "--" in name:
                raise ModelError(
                    f"model {model_id!r}: {file.name} requests code from another repository"
                    f" ({name.partition('--')[0]}), whose commit is not pinned; it is not run"
                )


def _texts(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for inner in value.values() for text in _texts(inner)]
    if isinstance(value, list):
        return [text for inner in value for text in _texts(inner)]
    return [value] if isinstance(value, str) else []


backend: Backend = TransformersBackend()
