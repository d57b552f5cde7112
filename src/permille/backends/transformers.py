"""Models of the Hub's format in a local folder, through transformers and torch.

    backend = "transformers"
    path = "models/flan-t5-base"
    device = "cuda"            # cpu if not given
    dtype = "bfloat16"         # what the files say, if not given
    batch_size = 8             # 1 if not given

The auto classes and ``generate``, not pipelines. Greedy. Weights are read from safetensors; a
pickle is refused unless ``allow_pickle = true``, and code that comes with a model is never run. A
folder that lacks weights of the task's head is refused: transformers would draw them at random. The
device has finished when an inference returns.

One module a modality: ``transformers_encoding``, ``transformers_generation``,
``transformers_vision`` and ``transformers_audio``; ``transformers_files.open_model`` is the one
place where processors and models come from.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from permille.backends import Backend, Execution, Loaded, ModelSpec, files, model_config
from permille.errors import ModelError
from permille.records import Category, Record

_GENERAL: frozenset[Category] = frozenset({"general-purpose"})
_SPECIFIC: frozenset[Category] = frozenset({"task-specific"})
_NEEDS = {
    "image-classification": ("PIL", "vision"),
    "object-detection": ("PIL", "vision"),
    "image-to-text": ("PIL", "vision"),
    "automatic-speech-recognition": ("soundfile", "audio"),
}


class Settings(Record, forbid_unknown_fields=True):
    """The keys of a ``[[models]]`` table with this backend."""

    path: str | None = None
    """The model's folder; without one, the model comes from the Hub. Such as `"models/flan-t5"`."""
    weights: Literal["replica"] | None = None
    """`replica`: random weights, for energy and time alone. Such as `"replica"`."""
    architecture: str | None = None
    """Of a replica: the model whose architecture is meant, where the id does not say it. Such as
    `"bert-base-uncased"`."""
    device: str = "cpu"
    """Where it runs. Such as `"cuda:0"`."""
    dtype: Literal["float32", "float16", "bfloat16"] | None = None
    """The numbers' type; as the files say, if not given. Such as `"float16"`."""
    labels: dict[str, str] = {}
    """The dataset's label -> the model's. Such as `{ positive = "LABEL_1" }`."""
    max_length: int | None = None
    """Tokens at which an input is cut; the tokenizer's own limit, or 512. Such as `256`."""
    max_new_tokens: int | None = None
    """The most tokens of an answer; the task's own if not given. Such as `64`."""
    batch_size: int = 1
    """Samples that go through at once. Such as `8`."""
    threads: int | None = None
    """Threads of the library on a CPU; its own choice if not given. Such as `2`."""
    compile: bool = False
    """Whether to compile the model with torch.compile; the first inferences pay for it. Such as
    `true`."""
    allow_pickle: bool = False
    """Whether weights may be read from a pickle; the user must say `--allow-pickle` as well. Such
    as `true`."""
    trust_remote_code: bool = False
    """Whether code that comes with a Hub model may run; needs a pinned `revision`. Such as
    `true`."""


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
        """That the folder holds a model, in a form that may be read.

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
            from permille.replicas.descriptions import check

            check(model, task)
        elif settings.path is None:
            raise ModelError(
                f"model {model.id!r}: it has no path, the model's folder"
                ' (or, for its energy and time alone, weights = "replica")'
            )
        else:
            check_folder(model.id, Path(settings.path), allow_pickle=settings.allow_pickle)
            if settings.trust_remote_code:
                check_own_code(model.id, Path(settings.path))

    def executes(self, model: ModelSpec) -> tuple[Execution, ...]:
        """The code that comes with it, where the study file lets it run."""
        if not model.settings.get("trust_remote_code"):
            return ()
        return (Execution(kind="code", what="the code that comes with the model"),)

    def load(self, model: ModelSpec, task: str) -> Loaded:
        """The model on its device.

        Raises:
            ModelError: the device is not there, the files are damaged, or not of such a model.
        """
        self.check(model, task)
        from permille.backends.transformers_audio import Audio
        from permille.backends.transformers_encoding import Encoding
        from permille.backends.transformers_files import open_model
        from permille.backends.transformers_generation import Generation
        from permille.backends.transformers_vision import Vision

        settings = msgspec.convert(model.settings, Settings)
        opened = open_model(model, task, settings)
        if task in ("image-classification", "object-detection", "image-to-text"):
            return Vision(model, opened, settings, task)
        if task == "automatic-speech-recognition":
            return Audio(model, opened, settings, task)
        by_head = model.category == "task-specific" and (
            task == "text-classification" or (task == "question-answering" and not model.prompt)
        )
        if by_head or task in ("token-classification", "fill-mask", "feature-extraction"):
            return Encoding(model, opened, settings, task)
        return Generation(model, opened, settings, task)


def check_numbers(model_id: str, settings: Record) -> None:
    """That the settings which are counts are at least 1.

    Raises:
        ModelError: one is not.
    """
    for key in ("threads", "max_length", "batch_size"):
        value = getattr(settings, key)
        if value is not None and value < 1:
            raise ModelError(f"model {model_id!r}: {key} must be at least 1, not {value}")


def check_folder(model_id: str, folder: Path, *, allow_pickle: bool) -> None:
    """That a folder holds a model, in a form that may be read.

    Raises:
        ModelError: no config.json, no weights, or only a pickle.
    """
    files.existing(model_id, "path", folder / "config.json")
    adapter = model_config.read(folder / "adapter_config.json")
    if adapter is not None:
        base = str(adapter.get("base_model_name_or_path"))
        raise ModelError(
            f"model {model_id!r}: {folder} is an adapter of {base}, which would be read from"
            " elsewhere, whatever lies there; merge the two (peft: merge_and_unload) and give the"
            " merged model's folder"
        )
    if any(folder.glob("*.safetensors")):
        return
    pickled = next(iter(sorted(folder.glob("*.bin"))), None)
    if pickled is None:
        raise ModelError(f"model {model_id!r}: no *.safetensors in {folder}")
    if not allow_pickle:
        raise ModelError(
            f"model {model_id!r}: {pickled.name} is a pickle, which can run code; convert "
            "it to safetensors, or say allow_pickle = true if you trust it"
        )


def check_own_code(model_id: str, folder: Path) -> None:
    """That the code which a model asks for is its own: another repository's has no pinned commit.

    Raises:
        ModelError: it is not.
    """
    for file in sorted(folder.glob("*.json")):
        asked = (model_config.read(file) or {}).get("auto_map")
        for name in _texts(asked):
            if "--" in name:
                raise ModelError(
                    f"model {model_id!r}: {file.name} asks for code of another repository"
                    f" ({name.partition('--')[0]}), of which no commit is pinned; it is not run"
                )


def _texts(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for inner in value.values() for text in _texts(inner)]
    if isinstance(value, list):
        return [text for inner in value for text in _texts(inner)]
    return [value] if isinstance(value, str) else []


backend: Backend = TransformersBackend()
