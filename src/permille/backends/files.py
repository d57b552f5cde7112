"""Check that a model's files exist and can be read."""

from __future__ import annotations

from pathlib import Path

from permille.errors import ModelError


def existing(model_id: str, key: str, path: str | Path) -> Path:
    """``path`` if it is a file that can be read.

    Raises:
        ModelError: it is not; the message names the key in the study file.
    """
    file = Path(path)
    try:
        if not file.exists():
            raise ModelError(f"model {model_id!r}: {key} {str(file)!r}: no such file")
        if not file.is_file():
            raise ModelError(f"model {model_id!r}: {key} {str(file)!r} is not a file")
        # Opened, because os.access() may permit what opening then refuses, on network file systems
        # for example (https://docs.python.org/3/library/os.html#os.access).
        with file.open("rb"):
            return file
    except OSError as error:
        raise ModelError(
            f"model {model_id!r}: {key} {str(file)!r} cannot be read: {error.strerror}"
        ) from error


def folder_of(file: Path) -> Path:
    """The folder of a model's configuration and tokenizer: the model's own or, in Hub repositories
    with ``onnx/model.onnx``, its parent."""
    folder = file.parent
    if folder.name == "onnx" and not (folder / "config.json").exists():
        return folder.parent
    return folder
