"""Folders of images or recordings, in the layout of the Hub's ``imagefolder`` and ``audiofolder``:
files next to a ``metadata.jsonl`` or ``metadata.csv`` that lists them in ``file_name``; or, for
images, one folder per class."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from permille.datasets.rows import Row
from permille.datasets.values import layout, row
from permille.errors import DatasetError
from permille.workload.protocols import Task
from permille.workload.specs import DatasetSpec

MAX_FILES = 1_000_000
_METADATA = ("metadata.jsonl", "metadata.csv")
_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif"}


def read(
    folder: Path,
    spec: DatasetSpec,
    task: Task,
    *,
    read_file: Callable[[DatasetSpec, Task], Iterator[Row]],
) -> Iterator[Row]:
    """The images or recordings of a folder. ``read_file`` reads its metadata file, if it has one.

    Raises:
        DatasetError: the task uses neither, or needs more than a folder provides.
    """
    media = [name for name in task.inputs if task.kinds[name] in ("image", "audio")]
    if len(media) != 1 or len(task.inputs) != 1:
        raise DatasetError(f"{folder} is a folder; {task.name} needs a file of rows")
    for name in _METADATA:
        if (folder / name).is_file():
            columns = {media[0]: "file_name"} | spec.columns
            path = str(folder / name)
            return read_file(msgspec.structs.replace(spec, path=path, columns=columns), task)
    if task.reference is not None and task.kinds[task.reference] != "label":
        raise DatasetError(
            f"{folder} has no {' or '.join(_METADATA)}, "
            f"which {task.name} needs for {task.reference}"
        )
    if spec.columns:
        named = ", ".join(spec.columns)
        raise DatasetError(
            f"{folder} has no {' or '.join(_METADATA)}, whose columns could be named ({named}): the"
            " classes are its folders"
        )
    return _by_class(folder, spec, task, media[0])


def _by_class(folder: Path, spec: DatasetSpec, task: Task, image: str) -> Iterator[Row]:
    """One row per image in the folder's tree; its class is the name of its parent folder."""
    plan = layout(spec, task, root=folder)
    for number, path in enumerate(_files(folder), 1):
        if number > MAX_FILES:
            raise DatasetError(f"{folder} has more than {MAX_FILES:,} images; take a sample of it")
        # A name that is not valid text cannot be an id, so the row is bad.
        name = path.relative_to(folder).as_posix().encode(errors="replace").decode()
        fields = {image: name, "id": name}
        if plan.reference is not None:
            # An image outside the class folders has no class, so it becomes a bad row.
            fields[plan.reference] = path.parent.name if path.parent != folder else ""
        named = msgspec.structs.replace(plan, columns=plan.columns | {"id": "id"})
        yield row(name[:80], number, fields, named)


def _files(folder: Path) -> Iterator[Path]:
    """The images in a folder's tree, sorted by name; links to folders are not followed."""

    def unreadable(error: OSError) -> None:
        raise DatasetError(f"{error.filename} cannot be read: {error.strerror or error}") from error

    # Without onerror, os.walk leaves out what it cannot list: a class would be missing unseen.
    for root, folders, names in os.walk(folder, onerror=unreadable):
        folders.sort()
        for name in sorted(names):
            if Path(name).suffix.lower() in _SUFFIXES:
                yield Path(root, name)
