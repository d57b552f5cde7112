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
    """A dataset on the Hub: a configuration (``config``) and ``split`` of ``repo`` at ``revision``
    (a branch, a tag or a commit), or those of its ``files`` that a pattern matches. ``boxes``: an
    object's box is ``[x, y, width, height]``, or two ``corners``. ``unscored``: it lacks the
    column that answers are scored against."""

    repo: str
    config: str | None = None
    split: str = "test"
    revision: str = "main"
    files: str | None = None
    boxes: Literal["sides", "corners"] = "sides"
    unscored: bool = False


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
