"""The backend's keys in a study file, and the checks of them that need no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from permille.backends import files, model_config
from permille.backends.local_settings import LocalSettings
from permille.errors import ModelError
from permille.records import Record


class Settings(LocalSettings, forbid_unknown_fields=True):
    """The keys of a ``[[models]]`` table with this backend."""

    dtype: Literal["float32", "float16", "bfloat16"] | None = None
    """The floating-point type; the default is the files' own. Such as `"float16"`."""
    labels: dict[str, str] = {}
    """The dataset's label -> the model's. Such as `{ positive = "LABEL_1" }`."""
    max_length: int | None = None
    """Inputs are truncated to this many tokens; the default is the tokenizer's limit, or 512. Such
    as `256`."""
    max_new_tokens: int | None = None
    """The most tokens in an answer; the default depends on the task. Such as `64`."""
    compile: bool = False
    """Whether to compile the model with torch.compile, during its first inferences. Such as
    `true`."""
    trust_remote_code: bool = False
    """Whether code that comes with a Hub model may run; needs a pinned `revision`. Such as
    `true`."""


def check_numbers(model_id: str, settings: Record) -> None:
    """Check that settings that are counts are at least 1.

    Raises:
        ModelError: one is not.
    """
    for key in ("threads", "max_length", "batch_size"):
        value = getattr(settings, key)
        if value is not None and value < 1:
            raise ModelError(f"model {model_id!r}: {key} must be at least 1, not {value}")


def check_folder(model_id: str, folder: Path, *, allow_pickle: bool) -> None:
    """Check that a folder contains a model in a permitted format.

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
    # After the check for an adapter, whose own weights are *.safetensors, too.
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
