"""Build a cell, ready to run, from a resolved model, task and dataset."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from permille.errors import ModelError, StudyError
from permille.hub.selection import Wanted
from permille.records import Record
from permille.records.cell import Cell, ModelFacts
from permille.study.plan.entries import HARNESS, StudyFile
from permille.study.plan.harness import OpenedHarness, check_scored
from permille.study.plan.models import Model
from permille.study.plan.stamps import Stamp
from permille.units import counted
from permille.workload.protocols import Serving, Task
from permille.workload.samples import Dataset
from permille.workload.specs import HarnessTask, ModelSpec


class PlannedCell(Record):
    """One cell with everything that its worker needs."""

    cell: Cell
    model: ModelSpec
    dataset: Dataset
    facts: ModelFacts = ModelFacts()
    """Facts about the model from its files, before it is loaded."""
    params: int | None = None
    """The number from the study file, which overrides the counted one."""
    network: bool = False
    batch_size: int = 1
    wanted: Wanted | None = None
    """The model must still be downloaded from the Hub."""
    stamps: tuple[Stamp, ...] = ()
    """The model's files as they were when they were hashed."""
    server_key: str | None = None
    """Cells of a sweep with the same key share one server, which the run starts."""
    harness: HarnessTask | None = None
    """Score the model by this task of lm-eval; None: by its answers."""


def build(
    task: Task,
    model: Model,
    dataset: Dataset,
    study: StudyFile,
    passed: Mapping[str, str],
    harness: OpenedHarness | None = None,
) -> PlannedCell:
    """The cell of one model on one dataset. ``passed``: environment variables given to its worker.

    Raises:
        PermilleError: the model cannot do this task on this dataset; on one line, with the fix.
    """
    spec = model.spec_for(task, dataset.name)
    _check(task, model, spec, dataset, study.where)
    check_scored(harness, model, task.name, study.where)
    settings = {**model.recorded, "prompt": spec.prompt}
    # The length of a replica's answers is worked out and is in no study file, but its energy
    # depends on it: without this, two lengths would be one cell.
    if model.replica and "max_new_tokens" in spec.settings:
        settings["max_new_tokens"] = spec.settings["max_new_tokens"]
    if harness is not None:
        settings["quality"] = _quality_text(harness.task)
    content = {
        "task": task.name,
        "dataset": dataset.name,
        "samples": dataset.digest,
        "labels": dataset.labels,
        "model": spec.id,
        "category": spec.category,
        "backend": spec.backend,
        "settings": settings,
        "files": model.files,
        "network": _network(model, study),
        "environment": passed,
    }
    if harness is not None:
        # Where the folder lies says nothing of the score: its files count by their digests.
        content["quality"] = msgspec.structs.replace(harness.task, include_path=None)
    return PlannedCell(
        # The id already includes the samples.
        cell=_cell(task, dataset, spec, content, settings | {"dataset_origin": dataset.origin}),
        model=spec,
        dataset=dataset,
        facts=model.read,
        params=model.entry.params,
        network=_network(model, study),
        batch_size=_batch_size(spec),
        wanted=model.wanted,
        stamps=model.stamps if harness is None else model.stamps + harness.stamps,
        server_key=_server_key(model, spec, study),
        harness=None if harness is None else harness.task,
    )


def _cell(
    task: Task,
    dataset: Dataset,
    spec: ModelSpec,
    content: Mapping[str, Any],
    settings: Mapping[str, Any],
) -> Cell:
    """The cell whose id is the hash of ``content``; ``settings`` are those that are shown."""
    # Sorted, or the order of the keys in a study file would make another cell.
    digest = hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()
    return Cell(
        id=digest[:16],
        task=task.name,
        dataset=dataset.name,
        model=spec.id,
        category=spec.category,
        backend=spec.backend,
        settings={key: value for key, value in settings.items() if value is not None},
    )


def _quality_text(task: HarnessTask) -> str:
    """``lm-eval:arc_easy, acc_norm, the first 200 samples``."""
    limit = None if task.limit is None else f"the first {counted(task.limit, 'sample')}"
    parts = [f"{HARNESS}{task.task}", task.metric, limit]
    return ", ".join(part for part in parts if part)


def _server_key(model: Model, spec: ModelSpec, study: StudyFile) -> str | None:
    """What identifies the server of a sweep's cell; None if each trial starts its own, or none.

    A worker without a network has its own loopback interface, so its server must be its own too.
    That only depends on the study file, so that a part of a sweep is measured as the whole is.
    """
    if model.entry.swept_from is None or not _network(model, study):
        return None
    return model.backend.server_key(spec) if isinstance(model.backend, Serving) else None


def _check(task: Task, model: Model, spec: ModelSpec, dataset: Dataset, where: str) -> None:
    try:
        # A plan without fetching has neither samples of the Hub nor its models' files to check.
        if dataset.samples:
            task.check(spec, dataset)
        if model.wanted is None:
            model.backend.check(spec, task.name)
    except ModelError as error:
        text = str(error)
        named = text if spec.id in text else f"model {spec.id!r}: {text}"
        raise ModelError(f"{where}: {named}") from error
    batch_size = _batch_size(spec)
    if dataset.samples and batch_size > len(dataset.samples):
        raise StudyError(
            f"{where}: model {spec.id!r}: batch_size = {batch_size}, but dataset"
            f" {dataset.name!r} gives {len(dataset.samples)} samples: a batch would never be full"
        )


def _batch_size(spec: ModelSpec) -> int:
    return int(spec.settings.get("batch_size", 1))


def _network(model: Model, study: StudyFile) -> bool:
    """Whether the model's workers may use the network: as the study says, otherwise only for a
    backend that is useless without it (it has ``network = True``)."""
    if model.entry.network is not None:
        return model.entry.network
    return study.settings.network or bool(getattr(model.backend, "network", False))
