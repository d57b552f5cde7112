"""The files named by a command: a server's program, its script with its imports, its model.

The command is not run. Files that it does not name are not detected: a program started by a shell
script, or a configuration file that a server looks for itself.
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

from permille.backends.source_files.collecting import collect, collect_script
from permille.backends.source_files.places import locate
from permille.errors import ModelError
from permille.workload.specs import StandsOn

_WRITTEN = (".log", ".out", ".err", ".pid", ".sock", ".db", ".sqlite")
"""Suffixes of files that a server writes and that do not affect its answers."""
_MODELS = ("*.safetensors", "*.gguf", "*.onnx", "config.json")
_MOST_WORDS = 1_000


def named_in(command: str, folder: Path) -> StandsOn:
    """The files named by ``command`` when it is run in ``folder``."""
    files: dict[str, Path] = {}
    words = list(_words(command))[:_MOST_WORDS]
    if words and (program := shutil.which(words[0], path=os.environ.get("PATH"))):
        files[words[0]] = Path(program)
    for before, word in zip(["", *words], words, strict=False):
        for text in dict.fromkeys((word, word.partition("=")[2])):
            for path in _files(text, before, folder):
                files[_shown(path, folder)] = path
    return StandsOn(files=files)


def _words(command: str) -> Iterator[str]:
    """The words of a command, and those of a command within it: ``sh -c "python server.py"``."""
    try:
        words = shlex.split(command)
    except ValueError:  # reported when the command is checked
        return
    for word in words:
        yield word
        if " " in word and word != command:
            yield from _words(word)


def _files(text: str, before: str, folder: Path) -> Iterator[Path]:
    if before == "-m" and all(part.isidentifier() for part in text.split(".")):
        # python -m runs a package's __main__, after its __init__.
        yield from _source([text, f"{text}.__main__"], folder)
        return
    path = folder / text
    try:
        # A log changes with every run, and the cell's id would change with it.
        if not text or text.endswith(_WRITTEN) or "log" in before.lower():
            return
        if path.is_dir():
            # Only a model's folder: a command may also name one to write to, or a home.
            if any(next(path.glob(kind), None) for kind in _MODELS):
                yield from (p for p in sorted(path.rglob("*")) if p.is_file())
            return
        if not path.is_file():
            return
    except (OSError, ValueError):  # not a file name
        return
    yield path
    if path.suffix == ".py":
        yield from _script(path)


def _script(path: Path) -> Iterator[Path]:
    try:
        collected = collect_script(path)
    except ModelError:  # perhaps for another version of Python: its bytes still count
        return
    yield from (module.path for module in collected.modules.values())
    yield from collected.others


def _source(names: list[str], folder: Path) -> Iterator[Path]:
    own = [name for name in names if locate(name, [folder])]
    try:
        collected = collect(own, [folder], check=False)
    except ModelError:
        return
    yield from (module.path for module in collected.modules.values())


def _shown(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)
