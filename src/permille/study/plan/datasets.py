"""Open and check the datasets of a ``[[tasks]]`` table, each once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from permille.datasets import stand_ins
from permille.datasets.opening import open_dataset
from permille.errors import DatasetError, StudyError
from permille.study.plan.entries import DatasetEntry, StudyFile, TaskEntry
from permille.study.plan.models import Model
from permille.study.plan.paths import resolve
from permille.suggestions import nearest
from permille.units import counted
from permille.workload.protocols import Task
from permille.workload.samples import Dataset
from permille.workload.specs import DatasetSpec

REPLICA_NOTE = "replicas get generated inputs as long as the study's; energy and time only"


def open_datasets(
    entry: TaskEntry,
    task: Task,
    models: Sequence[Model],
    study: StudyFile,
    allowed: Sequence[Path],
    *,
    fetch: bool,
) -> list[Dataset]:
    """The datasets of a task. ``models`` are those that use them: if all are replicas, a dataset of
    the published study is replaced with generated inputs of the same lengths.

    Raises:
        PermilleError: the first dataset that cannot be used, on one line, and how to fix it.
    """
    # With a single real model, replicas get its samples: a block compares models on the same
    # inputs.
    only_replicas = bool(models) and all(model.replica for model in models)
    opened = []
    for given in entry.datasets:
        _check_columns(given, task, study.where)
        if given.path is None and only_replicas:
            made_up = stand_ins.stand_in(given.name, task, study.settings.inferences)
            if made_up is not None:
                opened.append(made_up)
                continue
        opened.append(_open(given, task, study, allowed, fetch=fetch))
    return opened


def _open(
    given: DatasetEntry, task: Task, study: StudyFile, allowed: Sequence[Path], *, fetch: bool
) -> Dataset:
    path = None
    if given.path is not None:
        path = str(resolve(given.path, study.folder, allowed, f"{study.where}: dataset"))
    spec = DatasetSpec(
        name=given.name, path=path, hub=given.hub, columns=given.columns, labels=given.labels
    )
    limit, seed = study.settings.inferences, study.settings.seed
    dataset = open_dataset(spec, task, limit=limit, seed=seed, fetch=fetch)
    # The rows of a dataset of the Hub are not the user's to correct.
    if path is not None:
        _check_mostly_good(dataset, study.where)
    return dataset


def _check_columns(given: DatasetEntry, task: Task, where: str) -> None:
    # Here, where the task is known: to the study file, any further key of the table is a column.
    known = [name for name in (*task.inputs, task.reference, "id") if name]
    for column in given.columns:
        if column not in known:
            raise StudyError(
                f"{where}: dataset {given.name!r} has no key {column!r}; {nearest(column, known)}"
            )


def _check_mostly_good(dataset: Dataset, where: str) -> None:
    """Check that at least half of the rows of a user's file can be used. With fewer, it is probably
    the wrong file or the wrong columns, and a figure for the rest would be about other data.

    Raises:
        DatasetError: more are bad.
    """
    bad = dataset.skipped_total - dataset.unwanted_total
    if bad > dataset.usable_total:
        raise DatasetError(
            f"{where}: dataset {dataset.name!r}: {bad} of {bad + dataset.usable_total} rows are bad"
            f" ({'; '.join(dataset.skipped[:3])}); correct them, remove them from the file, or name"
            " the right columns"
        )


def notes_of(dataset: Dataset, inferences: int) -> list[str]:
    """Notes on a dataset before it is used."""
    if stand_ins.is_stand_in(dataset):
        return [REPLICA_NOTE]
    notes = []
    if dataset.origin:
        notes.append(f"{dataset.name}: {dataset.origin}")
    if dataset.skipped_total:
        shown = "; ".join(dataset.skipped)
        more = dataset.skipped_total - len(dataset.skipped)
        also = f"; and {more} more" if more > 0 else ""
        skipped = counted(dataset.skipped_total, "bad row")
        notes.append(f"{dataset.name}: {skipped} skipped: {shown}{also}")
    if 0 < len(dataset.samples) < inferences:
        passes = -(-inferences // len(dataset.samples))
        notes.append(
            f"{dataset.name}: {counted(len(dataset.samples), 'sample')} for {inferences}"
            f" inferences: {passes} passes, {passes * len(dataset.samples)} inferences"
        )
    return notes
