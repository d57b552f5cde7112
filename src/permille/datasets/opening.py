"""Open a dataset from its spec (bundled, in a file or on the Hub) and draw its samples."""

from __future__ import annotations

import msgspec

from permille.datasets import bundled, local, pairs, rows
from permille.errors import DatasetError
from permille.workload.protocols import Task
from permille.workload.samples import Dataset
from permille.workload.specs import DatasetSpec, HubSource


def open_dataset(
    spec: DatasetSpec, task: Task, *, limit: int | None, seed: int, fetch: bool = True
) -> Dataset:
    """The samples of ``spec`` for ``task``.

    At most ``limit`` samples are taken (None: all). The selection and its order depend only on
    ``seed`` and the rows' ids, so that every model gets the same samples in the same order. Without
    ``fetch`` a dataset of the Hub has no samples.

    Raises:
        DatasetError: no such dataset or file, a missing column, or no usable row.
        AssetError: the dataset belongs to the quick start and has not been fetched.
    """
    spec, source = _on_hub(spec, task)
    if source is not None and not fetch:
        return Dataset(name=spec.name, samples=(), digest="", labels=spec.labels)
    if source is not None:
        from permille.datasets import hub

        return hub.open_dataset(spec, source, task, limit=limit, seed=seed)
    lines = local.read(spec, task) if spec.path else bundled.read(spec, task)
    labelled = task.reference is not None and task.kinds[task.reference] == "label"
    return rows.collect(spec.name, lines, limit=limit, seed=seed, labelled=labelled)


def _on_hub(spec: DatasetSpec, task: Task) -> tuple[DatasetSpec, HubSource | None]:
    """The dataset with its columns and, if it is on the Hub, its source there."""
    if spec.path is not None or spec.hub is not None or spec.name in bundled.NAMES:
        return spec, spec.hub
    pair = pairs.find(task.name, spec.name)
    if pair is None:
        return spec, None
    if pair.absent is not None:
        raise DatasetError(
            f"dataset {spec.name!r} is not available for {task.name}: {pair.absent}; "
            'use another, or your own file: { path = "…" }'
        )
    return msgspec.structs.replace(spec, columns=pair.columns), pair.source
