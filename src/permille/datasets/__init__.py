"""Datasets: where samples come from. Rows are hostile input: validated, bounded, escaped."""

from __future__ import annotations

from typing import Any, Literal

from permille.records import Record


class Sample(Record):
    """One row. ``id`` is stable across runs; ``inputs`` is keyed by the task's input names;
    ``reference`` is what the answer is scored against, None where there is none."""

    id: str
    inputs: dict[str, Any]
    reference: Any = None


class HubSource(Record):
    """A dataset on the Hub."""

    repo: str
    """The dataset's repository. Such as `"rotten_tomatoes"`."""
    config: str | None = None
    """The configuration (subset). Such as `"en"`."""
    split: str = "test"
    """The split. Such as `"validation"`."""
    revision: str = "main"
    """The branch, tag or commit. Such as `"main"`."""
    files: str | None = None
    """Only the files that this pattern matches. Such as `"*.parquet"`."""
    boxes: Literal["sides", "corners"] = "sides"
    """How an object's box is given: `[x, y, width, height]`, or two `corners`. Such as
    `"corners"`."""
    unscored: bool = False
    """Whether it lacks the column that answers are scored against. Such as `true`."""


class DatasetSpec(Record):
    """A dataset as the study file names it: a name that permille knows, or a path or a place on
    the Hub with column names.

    ``columns`` maps the task's own names (``text``, ``label``, …) to the file's; ``id`` may name
    a column whose values identify the rows. ``labels``, if given, are the only ones allowed: a
    row with another is left out and named."""

    name: str
    path: str | None = None
    hub: HubSource | None = None
    columns: dict[str, str] = {}
    labels: tuple[str, ...] = ()


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
