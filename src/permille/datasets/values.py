"""Convert the fields of a row to a sample: each column by the kind that its task declares. Pure,
except that it reads the headers of the files that a row names."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeGuard

from permille.datasets import media
from permille.datasets.rows import Row, UnusableRow
from permille.errors import DatasetError
from permille.records import Record
from permille.workload.protocols import Kind, Task
from permille.workload.samples import Sample
from permille.workload.specs import DatasetSpec

MAX_ITEMS = 10_000
"""The most words, texts or objects in one row."""

Fields = dict[str, Any] | str
"""A row's fields by column, or the error in the row."""


class Layout(Record):
    """The columns that a task reads: ``columns`` maps its names, and ``id``, to the file's;
    ``root`` is the folder to which paths in the rows are relative."""

    columns: dict[str, str]
    kinds: dict[str, Kind]
    inputs: tuple[str, ...]
    reference: str | None
    labels: tuple[str, ...] = ()
    root: str = ""

    @property
    def used(self) -> set[str]:
        """The columns of the file that are read."""
        return set(self.columns.values())


def layout(spec: DatasetSpec, task: Task, *, root: Path) -> Layout:
    """The columns of a dataset that a task reads. A column that is not mapped has the task's own
    name.

    Raises:
        DatasetError: a mapped column is unknown to the task, or the library that reads its kind is
            not installed.
    """
    known = (*task.inputs, *((task.reference,) if task.reference else ()))
    if unknown := sorted(set(spec.columns) - {*known, "id"}):
        raise DatasetError(
            f"dataset {spec.name!r}: no column {unknown[0]!r} is used here; "
            f"the columns of {task.name} are: {', '.join((*known, 'id'))}"
        )
    reference = task.reference
    # Such a task also runs without a reference: its column is only required if it is named.
    if getattr(task, "optional_reference", False) and reference not in spec.columns:
        reference = None
    used = (*task.inputs, *((reference,) if reference else ()))
    columns = {name: spec.columns.get(name, name) for name in used}
    if "id" in spec.columns:
        columns["id"] = spec.columns["id"]
    kinds = {name: task.kinds[name] for name in used}
    for kind in kinds.values():
        if kind in ("image", "audio"):
            media.check_installed(kind)
    return Layout(
        columns=columns,
        kinds=kinds,
        inputs=task.inputs,
        reference=reference,
        labels=spec.labels,
        root=str(root),
    )


def missing(where: object, absent: Sequence[str], there: Sequence[str]) -> DatasetError:
    """A message that names a missing column and the existing ones."""
    shown = ", ".join(there[:20]) + (", …" if len(there) > 20 else "")
    return DatasetError(f"{where} has no column {absent[0]!r}; it has: {shown}")


def row(where: str, number: int, fields: Fields, plan: Layout) -> Row:
    """A row's fields as a sample, or the error. The id is ``number``, or the ``id`` column's
    value."""
    if isinstance(fields, str):
        return UnusableRow(where=where, why=fields)
    columns = plan.columns
    try:
        reference = None
        if plan.reference is not None:
            reference = _value(fields, plan.reference, plan)
            if plan.labels and reference not in plan.labels:
                return UnusableRow(
                    where=where, why=f"unknown label {reference!r:.60}", unlisted=True
                )
        inputs = {name: _value(fields, name, plan) for name in plan.inputs}
        if reference is not None and plan.reference and plan.kinds[plan.reference] == "tags":
            _check_tags(inputs, reference)
        return Sample(
            id=_word(fields, columns["id"]) if "id" in columns else str(number),
            inputs=inputs,
            reference=reference,
        )
    except (_Unusable, media.BadMedium) as problem:
        return UnusableRow(where=where, why=str(problem))


class _Unusable(Exception):
    """Why a row cannot be used."""


def _value(fields: Mapping[str, Any], name: str, plan: Layout) -> Any:
    column, kind = plan.columns[name], plan.kinds[name]
    if kind in ("image", "audio"):
        return _medium(fields, column, kind, Path(plan.root))
    readers = {
        "text": _text,
        "label": _word,
        "texts": _texts,
        "words": _words,
        "tags": _words,
        "objects": _objects,
    }
    return readers[kind](fields, column)


def _medium(fields: Mapping[str, Any], column: str, kind: Any, root: Path) -> dict[str, Any]:
    """A path inside the dataset's folder or, from Parquet, the content itself."""
    value = fields.get(column)
    if isinstance(value, dict) and isinstance(value.get("bytes"), bytes):
        return media.held(value["bytes"], kind)
    if isinstance(value, bytes):
        return media.held(value, kind)
    return media.reference(_text(fields, column), root, kind)


def _texts(fields: Mapping[str, Any], column: str) -> list[str]:
    """A list of texts (possibly empty), one text, or SQuAD's ``{"text": [...]}``."""
    value = fields.get(column)
    if isinstance(value, dict):
        value = value.get("text")
    if isinstance(value, str):
        value = [value]
    if not _is_list(value) or not all(isinstance(text, str) for text in value):
        raise _Unusable(f"{column!r} is not a text or a list of texts")
    return [_text({column: text}, column) for text in value]


def _words(fields: Mapping[str, Any], column: str) -> list[str]:
    """A list of words or tags, at least one."""
    value = fields.get(column)
    if not _is_list(value) or not value:
        raise _Unusable(f"{column!r} is not a list of words")
    return [_word({column: word}, column) for word in value]


def _check_tags(inputs: Mapping[str, Any], tags: list[str]) -> None:
    for words in inputs.values():
        if len(words) != len(tags):
            raise _Unusable(f"{len(words)} words, but {len(tags)} tags")


def _objects(fields: Mapping[str, Any], column: str) -> list[dict[str, Any]]:
    """``[{"label": …, "bbox": [x, y, width, height]}]``, possibly empty; or the Hub's layout,
    ``{"label": […], "bbox": […]}``."""
    value = fields.get(column)
    if isinstance(value, dict):
        labels, boxes = value.get("label", value.get("category")), value.get("bbox")
        if not _is_list(labels) or not _is_list(boxes) or len(labels) != len(boxes):
            raise _Unusable(f"{column!r} does not have one label for each bbox")
        # By object again: the datasets library turns a list of records into a record of lists.
        value = [{"label": n, "bbox": b} for n, b in zip(labels, boxes, strict=True)]
    if not _is_list(value) or not all(isinstance(thing, dict) for thing in value):
        raise _Unusable(f"{column!r} is not a list of objects with label and bbox")
    return [{"label": _word(thing, "label"), "bbox": _box(thing)} for thing in value]


def _box(thing: Mapping[str, Any]) -> list[float]:
    box = thing.get("bbox")
    if not _is_list(box) or len(box) != 4:
        raise _Unusable("a bbox is not [x, y, width, height]")
    # Not math.isfinite(), which fails on whole numbers that no float holds; JSON may have them.
    if not all(isinstance(n, int | float) and abs(n) <= sys.float_info.max for n in box):
        raise _Unusable("a bbox contains something that is not a number")
    x, y, width, height = (float(n) for n in box)
    if width <= 0 or height <= 0:
        raise _Unusable("a bbox has no area")
    return [x, y, width, height]


def _is_list(value: object) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, list | tuple) and len(value) <= MAX_ITEMS


def _text(fields: Mapping[str, Any], column: str) -> str:
    """A column's value, which must be a string that is not blank."""
    value = fields.get(column)
    if value is None:
        raise _Unusable(f"no {column!r}")
    if not isinstance(value, str):
        raise _Unusable(f"{column!r} is not a string")
    if not value.strip():
        raise _Unusable(f"empty {column!r}")
    try:
        value.encode()
    except UnicodeEncodeError:  # JSON can contain half of a surrogate pair
        raise _Unusable(f"{column!r} is not text: a lone surrogate") from None
    return value


def _word(fields: Mapping[str, Any], column: str) -> str:
    """A label or an id: a text without surrounding blanks, or a whole number."""
    value = fields.get(column)
    # True is an int in Python, but no label.
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return _text(fields, column).strip()
