"""Resolve paths in a study file: inside its folder, or inside one that the user allowed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from permille import assets
from permille.errors import StudyError
from permille.escaping import plain


def resolve(text: str, folder: Path, allowed: Sequence[Path], at: str) -> Path:
    """The path that ``text`` names, with symlinks resolved, or the file of an ``asset:``.

    Raises:
        StudyError: it is outside the study's folder and every allowed one, or does not exist.
        AssetError: the asset has not been fetched.
    """
    if not text:
        raise StudyError(f"{at}: the path is empty")
    if assets.is_reference(text):
        return assets.resolve(text)
    try:
        # Resolved before it is compared: a link in the folder may lead out of it.
        path = (folder / text).resolve()
        exists = path.exists()
    # RuntimeError: a loop of links, until Python 3.13; ValueError: a null byte.
    except (OSError, ValueError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise StudyError(f"{at}: {text[:100]!r} is not a path: {reason}") from error
    if not any(path.is_relative_to(root.resolve()) for root in (folder, *allowed)):
        raise StudyError(
            f"{at}: {plain(text)} is outside the study's folder; move it there, or allow its"
            f" folder with --allow-path {plain(str(path.parent))}"
        )
    # After the check above, or the message would tell which files exist elsewhere.
    if not exists:
        raise StudyError(f"{at}: {plain(text)} does not exist in {folder}")
    return path
