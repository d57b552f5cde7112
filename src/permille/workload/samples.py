"""Samples: the rows of a dataset that a study uses."""

from __future__ import annotations

from typing import Any

from permille.records import Record


class Sample(Record):
    """One row. ``id`` is stable across runs; ``inputs`` is keyed by the task's input names;
    ``reference`` is what the answer is scored against, or None."""

    id: str
    inputs: dict[str, Any]
    reference: Any = None


class Dataset(Record):
    """Samples, ready to use. ``digest`` is the sha256 of their content; ``skipped`` names the first
    bad rows (``line 7: no text``), and ``skipped_total`` counts all of them; ``unwanted_total``
    counts those whose label the study file does not list, and ``usable_total`` the rows from which
    the samples were drawn. ``labels`` are all labels of the dataset, sorted, not only those of the
    samples. ``origin`` is their source on the Hub. Without samples, the dataset was planned but not
    fetched."""

    name: str
    samples: tuple[Sample, ...]
    digest: str
    skipped: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    skipped_total: int = 0
    unwanted_total: int = 0
    usable_total: int = 0
    origin: str | None = None
