"""The functions that a study names as ``module:function``: their form, and where they are."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import msgspec

from permille.backends.python.settings import Settings
from permille.backends.source_files.collecting import ModuleSource
from permille.backends.source_files.places import installed, locate
from permille.errors import ModelError
from permille.suggestions import nearest
from permille.workload.specs import ModelSpec


def targets_of(model: ModelSpec) -> dict[str, str]:
    """``callable`` and ``load``, as far as given.

    Raises:
        ModelError: neither is given, one is malformed, or is in Python's standard library.
    """
    settings = msgspec.convert(model.settings, Settings)
    given = {"callable": settings.callable, "load": settings.load}
    targets = {key: target for key, target in given.items() if target is not None}
    if not targets:
        raise ModelError(f'model {model.id!r} needs callable = "module:function" (or load)')
    for key, target in targets.items():
        at = f"model {model.id!r}: {key} {target!r}"
        module, _, function = target.partition(":")
        parts = module.split(".")
        if not (function.isidentifier() and all(part.isidentifier() for part in parts)):
            raise ModelError(f"{at} is not of the form module:function")
        # It is called with the dataset's texts: os.system would run each of them as a command.
        if parts[0] in sys.stdlib_module_names:
            raise ModelError(
                f"{at}: {parts[0]} is in Python's standard library, which a study must not call;"
                " write your own function, in a file with another name in the study's folder"
            )
    return targets


def python_path(model: ModelSpec) -> Path | None:
    """The folder that is searched for modules first."""
    text = model.settings.get("python_path")
    return Path(text) if text else None


def check_target(at: str, target: str, collected: ModuleSource, folder: Path | None) -> list[str]:
    """Check that a function exists; returns remarks about what only running can show."""
    name, _, function = target.partition(":")
    module = collected.modules.get(name)
    if module is None:
        roots = [folder] if folder else []
        if locate(name, roots) or installed(name):
            return []  # compiled, or in an installed package: not read
        raise ModelError(
            f"{at}: no module {name!r} in {folder or 'the Python path'}; set python_path to the"
            " folder that contains it, or install it"
        )
    if function in module.names:
        return []
    if module.surely:
        instead = nearest(function, module.names, f"its names: {', '.join(module.names)[:200]}")
        raise ModelError(f"{at}: {module.path}:1: module {name!r} has no {function!r}; {instead}")
    return [f"only running {module.path.name} shows whether it defines {function!r}"]


def find(model: ModelSpec, target: str) -> Any:
    """Import the module, and get the function.

    Raises:
        ModelError: it has no such function, or another module of its name was imported before.
    """
    name, _, function = target.partition(":")
    module = importlib.import_module(name)
    planned = model.code.get(name)
    if planned is not None and getattr(module, "__file__", None) != planned.path:
        raise ModelError(
            f"model {model.id!r}: another module {name!r} was imported before"
            f" ({getattr(module, '__file__', 'built in')}); give {planned.path} another name"
        )
    try:
        return getattr(module, function)
    except AttributeError as error:
        raise ModelError(f"model {model.id!r}: module {name!r} has no {function!r}") from error
