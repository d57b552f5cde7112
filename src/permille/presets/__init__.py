"""The studies that ship with permille, and the files that they use."""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path

from permille.errors import AssetError, StudyError
from permille.suggestions import nearest

_FOLDER = Path(str(resources.files(__name__)))


def names() -> list[str]:
    """The presets' names, sorted."""
    return sorted(path.stem for path in _FOLDER.glob("*.toml"))


def text(name: str) -> str:
    """A preset's study file.

    Raises:
        StudyError: there is no such preset.
    """
    if name not in names():
        raise StudyError(f"no preset {name!r}; {nearest(name, names())}")
    return (_FOLDER / f"{name}.toml").read_text(encoding="utf-8")


def describe(name: str) -> str:
    """One sentence about a preset: the ``description`` of its study.

    Raises:
        StudyError: there is no such preset.
    """
    return str(tomllib.loads(text(name))["study"]["description"])


def file(name: str) -> Path:
    """A data file that ships with the presets (``asset:permille/NAME`` in a study file).

    Raises:
        AssetError: there is no file of that name.
    """
    known = sorted(path.name for path in _FOLDER.glob("*.json"))
    if name not in known:
        raise AssetError(f"permille ships no file {name!r}; it ships: {', '.join(known)}")
    return _FOLDER / name
