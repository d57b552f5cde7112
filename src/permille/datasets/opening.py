"""A dataset by its description: bundled or in a file, and which samples of it are taken."""

from __future__ import annotations

from permille.datasets import Dataset, DatasetSpec, bundled, local, rows
from permille.tasks import Task


def open_dataset(spec: DatasetSpec, task: Task, *, limit: int | None, seed: int) -> Dataset:
    """The samples of ``spec`` for ``task``.

    At most ``limit`` samples are taken (None: all). Which, and in what order, follows from
    ``seed`` and the rows' ids alone, so that every model is asked the same in the same order.

    Raises:
        DatasetError: no such dataset or file, a column that is missing, no usable row.
        AssetError: the dataset is one of the quick start's and has not been fetched.
    """
    source = local.read(spec, task) if spec.path else bundled.read(spec, task)
    labelled = task.reference is not None and task.kinds[task.reference] == "label"
    return rows.collect(spec.name, source, limit=limit, seed=seed, labelled=labelled)
