"""The keys that a study file may give this backend, and what is checked of them without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from permille.backends import files, model_config
from permille.errors import ModelError
from permille.records import Record


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
