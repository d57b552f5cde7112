"""Datasets: where samples come from. Rows are hostile input: validated, bounded, escaped."""

from __future__ import annotations

from typing import Any

from permille.records import Record


class Sample(Record):
    """One row. ``id`` is stable across runs; ``inputs`` is keyed by the task's input names;
    ``reference`` is what the answer is scored against, None where there is none."""

    id: str
    inputs: dict[str, Any]
    reference: Any = None


class DatasetSpec(Record):
    """A dataset as the study file names it: a bundled name, or a path with column names.

    ``columns`` maps the task's own names (``text``, ``label``, …) to the file's; ``id`` may name
    a column whose values identify the rows. ``labels``, if given, are the only ones allowed: a
    row with another is left out and named."""

    name: str
    path: str | None = None
    columns: dict[str, str] = {}
    labels: tuple[str, ...] = ()


class Dataset(Record):
    """Samples, ready. ``digest`` is the sha256 of their content, ``skipped`` names the first bad
    rows that were left out (``line 7: no text``), ``skipped_total`` counts them all. ``labels``
    are all labels of the dataset, sorted, not only those of the samples taken."""

    name: str
    samples: tuple[Sample, ...]
    digest: str
    skipped: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    skipped_total: int = 0
