"""Samples: the rows of a dataset that a study asks about."""

from __future__ import annotations

from typing import Any

from permille.records import Record


class Sample(Record):
    """One row. ``id`` is stable across runs; ``inputs`` is keyed by the task's input names;
    ``reference`` is what the answer is scored against, None where there is none."""

    id: str
    inputs: dict[str, Any]
    reference: Any = None


class Dataset(Record):
    """Samples, ready. ``digest`` is the sha256 of their content, ``skipped`` names the first bad
    rows that were left out (``line 7: no text``), ``skipped_total`` counts them all,
    ``unwanted_total`` those among them whose label is not one that the study file lists, and
    ``usable_total`` the rows that samples were taken from. ``labels``
    are all labels of the dataset, sorted, not only those of the samples taken. ``origin`` says
    where on the Hub they come from. No samples: planned, but not fetched."""

    name: str
    samples: tuple[Sample, ...]
    digest: str
    skipped: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    skipped_total: int = 0
    unwanted_total: int = 0
    usable_total: int = 0
    origin: str | None = None
