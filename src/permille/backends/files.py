"""Whether a model's files are there to be read, and where."""

from __future__ import annotations

from pathlib import Path

from permille.errors import ModelError


def existing(model_id: str, key: str, path: str | Path) -> Path:
    """``path`` if it is a file that can be read.

    Raises:
        ModelError: it is not; names the study file's key.
    """
    file = Path(path)
    try:
        if not file.exists():
            raise ModelError(f"model {model_id!r}: {key} {str(file)!r}: no such file")
        if not file.is_file():
            raise ModelError(f"model {model_id!r}: {key} {str(file)!r} is not a file")
        with file.open("rb"):
            return file
    except OSError as error:
        raise ModelError(
            f"model {model_id!r}: {key} {str(file)!r} cannot be read: {error.strerror}"
        ) from error


def folder_of(file: Path) -> Path:
    """Where a model's configuration and tokenizer lie: beside it; or, as in repositories of the
    Hub that have ``onnx/model.onnx``, in the folder above."""
    folder = file.parent
    if folder.name == "onnx" and not (folder / "config.json").exists():
        return folder.parent
    return folder
