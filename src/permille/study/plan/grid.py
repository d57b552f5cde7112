"""Make the plan from a study file: the grid of cells, completely checked before measuring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from permille import plugins
from permille.analysis.comparable import same_model_twice
from permille.errors import StudyError
from permille.records import Record
from permille.records.trial import SHARED_SERVER, Protocol
from permille.study.plan.cells import PlannedCell, build
from permille.study.plan.datasets import notes_of, open_datasets
from permille.study.plan.entries import Settings, StudyFile, TaskEntry
from permille.study.plan.harness import open_harness
from permille.study.plan.models import Model, open_entry
from permille.study.plan.selection import able, check_number
from permille.suggestions import nearest
from permille.workload.protocols import Task


class Plan(Record):
    """A study, ready to run."""

    name: str
    settings: Settings
    protocol: Protocol
    cells: tuple[PlannedCell, ...]
    notes: tuple[str, ...] = ()

    def protocol_of(self, planned: PlannedCell) -> Protocol:
        """The protocol of a cell's trials: the study's, with the model's batch size; its name says
        whether they share a server."""
        name = self.protocol.name if planned.server_key is None else SHARED_SERVER
        return msgspec.structs.replace(self.protocol, batch_size=planned.batch_size, name=name)

    @property
    def protocols(self) -> dict[str, Protocol]:
        """The protocol of each cell's trials, by the cell's id. The id does not depend on the
        protocol: other trials of a cell may have had fewer inferences."""
        return {planned.cell.id: self.protocol_of(planned) for planned in self.cells}

    @property
    def by_protocol(self) -> dict[Protocol, list[str]]:
        """The ids of the cells, by the protocol of their trials."""
        ids: dict[Protocol, list[str]] = {}
        for planned in self.cells:
            ids.setdefault(self.protocol_of(planned), []).append(planned.cell.id)
        return ids


def make(
    study: StudyFile,
    allowed: Sequence[Path] = (),
    *,
    fetch: bool = True,
    modules: Sequence[str] = (),
    passed: Mapping[str, str] | None = None,
) -> Plan:
    """The plan of a study: tasks × datasets × the models that can do the task.

    With ``fetch``, files from the Hub are downloaded. Without, models and datasets of the Hub are
    planned without their files, and the plan cannot be run. ``modules``: modules outside the
    study's folder that may be called. ``passed``: additional environment variables for workers.

    Raises:
        PermilleError: the first error, on one line, and how to fix it.
    """
    check_number(study)
    # Each once, not for every task and dataset: its files are hashed.
    models = [
        open_entry(entry, study, allowed, fetch=fetch, modules=modules) for entry in study.models
    ]
    settings = study.settings
    cells: list[PlannedCell] = []
    notes: list[str] = [note for model in models for note in model.notes]
    for entry in study.tasks:
        task = _task(entry, study)
        able_models = [model for model in models if able(model.entry, entry.task)]
        harness = open_harness(entry.quality, study, allowed)
        for dataset in open_datasets(entry, task, able_models, study, allowed, fetch=fetch):
            notes += notes_of(dataset, settings.inferences)
            cells += [
                build(task, model, dataset, study, passed or {}, harness) for model in able_models
            ]
    # Over all cells: two datasets of one name may be in different [[tasks]] tables.
    _refuse_same_model_twice(cells, study.where)
    _refuse_unused_model(models, cells, study)
    return Plan(
        name=settings.name,
        settings=settings,
        protocol=Protocol(
            inferences=settings.inferences,
            warmup_max=settings.warmup,
            idle_s=settings.idle_s,
            seed=settings.seed,
        ),
        cells=tuple(cells),
        notes=tuple(dict.fromkeys(notes)),
    )


def _task(entry: TaskEntry, study: StudyFile) -> Task:
    known = plugins.names("tasks")
    if entry.task not in known:
        raise StudyError(f"{study.where}: no task {entry.task!r}; {nearest(entry.task, known)}")
    task: Task = plugins.load("tasks", entry.task)
    return task


def _refuse_same_model_twice(cells: Sequence[PlannedCell], where: str) -> None:
    twice = same_model_twice([planned.cell for planned in cells])
    if twice is not None:
        one = twice[0]
        raise StudyError(
            f"{where}: model {one.model!r} has two different datasets called"
            f" {one.dataset!r} for {one.task}, which no table could distinguish; give one"
            ' another name, as in { path = "…", name = "…" }'
        )


def _refuse_unused_model(
    models: Sequence[Model], cells: Sequence[PlannedCell], study: StudyFile
) -> None:
    """Refuse a model without a cell, which the user would otherwise notice only in the results."""
    at_work = {cell.model.id for cell in cells}
    for model in models:
        if model.spec.id not in at_work:
            tasks = ", ".join(entry.task for entry in study.tasks)
            raise StudyError(
                f"{study.where}: model {model.spec.id!r} ({model.spec.category}, backend"
                f" {model.spec.backend}) supports none of the study's tasks: {tasks}"
            )
