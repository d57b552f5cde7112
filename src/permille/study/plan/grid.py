"""Study file -> plan: the grid of cells, everything checked before anything is measured."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from permille import plugins
from permille.analysis.comparable import same_model_twice
from permille.datasets import stand_ins as inputs
from permille.datasets.opening import open_dataset
from permille.errors import DatasetError, ModelError, StudyError
from permille.hub.selection import Wanted
from permille.records import Cell, ModelFacts, Protocol, Record
from permille.study.plan import replicas
from permille.study.plan.file import Settings, StudyFile, TaskEntry
from permille.study.plan.models import Model, open_entry
from permille.study.plan.paths import resolve
from permille.study.plan.selection import able
from permille.study.plan.stamps import Stamp
from permille.suggestions import nearest
from permille.workload.protocols import Task
from permille.workload.samples import Dataset
from permille.workload.specs import DatasetSpec, ModelSpec


class PlannedCell(Record):
    """One cell with all that its worker needs."""

    cell: Cell
    model: ModelSpec
    dataset: Dataset
    facts: ModelFacts = ModelFacts()
    """What is known of the model before it is loaded, from its files."""
    params: int | None = None
    """As the study file says, against what is counted."""
    network: bool = False
    batch_size: int = 1
    wanted: Wanted | None = None
    """The model is yet to be had from the Hub."""
    stamps: tuple[Stamp, ...] = ()
    """The model's files, as they were when they were hashed."""


class Plan(Record):
    """A study, ready to run."""

    name: str
    settings: Settings
    protocol: Protocol
    cells: tuple[PlannedCell, ...]
    notes: tuple[str, ...] = ()

    def protocol_of(self, planned: PlannedCell) -> Protocol:
        """The protocol of a cell's trials: the study's, at the model's batch size."""
        return msgspec.structs.replace(self.protocol, batch_size=planned.batch_size)

    @property
    def by_protocol(self) -> dict[Protocol, list[str]]:
        """The ids of the cells by the protocol of their trials."""
        found: dict[Protocol, list[str]] = {}
        for planned in self.cells:
            found.setdefault(self.protocol_of(planned), []).append(planned.cell.id)
        return found


def make(
    study: StudyFile,
    allowed: Sequence[Path] = (),
    *,
    fetch: bool = True,
    modules: Sequence[str] = (),
    passed: Mapping[str, str] | None = None,
) -> Plan:
    """The plan of a study: tasks × datasets × the models that can do the task.

    ``fetch``: what it needs of the Hub is downloaded. Without, models and datasets of the Hub are
    planned unseen, and the plan cannot be run. ``modules``: those outside the study's folder that
    may be called. ``passed``: the environment variables that workers are given besides.

    Raises:
        PermilleError: the first thing found wrong, on one line, with the way to mend it.
    """
    models = [
        open_entry(entry, study, allowed, fetch=fetch, modules=modules) for entry in study.models
    ]
    settings = study.settings
    cells: list[PlannedCell] = []
    notes: list[str] = [note for model in models for note in model.notes]
    for entry in study.tasks:
        task = _task(entry, study)
        asked = [_asked(m, task) for m in models if able(m.entry, entry.task)]
        for dataset in _datasets(entry, task, asked, study, allowed, fetch=fetch):
            notes += _dataset_notes(dataset, settings.inferences)
            chosen = [m for m in asked if _chosen(study, task, dataset, m)]
            cells += [_cell(task, m, dataset, study, passed or {}) for m in chosen]
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
            f"{where}: model {one.model!r} is to answer two different datasets called"
            f" {one.dataset!r} for {one.task}, and no table could tell them apart; give one"
            ' another name, as in { path = "…", name = "…" }'
        )


def _refuse_unused_model(
    models: Sequence[Model], cells: Sequence[PlannedCell], study: StudyFile
) -> None:
    """Refuse a model with no cell: its author would miss it in the results only after hours."""
    at_work = {cell.model.id for cell in cells}
    for model in models:
        if model.spec.id not in at_work:
            tasks = ", ".join(entry.task for entry in study.tasks)
            raise StudyError(
                f"{study.where}: model {model.spec.id!r} ({model.spec.category}, backend"
                f" {model.spec.backend}) can do none of the study's tasks: {tasks}"
            )


def _chosen(study: StudyFile, task: Task, dataset: Dataset, model: Model) -> bool:
    return study.only is None or (task.name, dataset.name, model.spec.id) in study.only


def _asked(model: Model, task: Task) -> Model:
    """A model with its prompt for this task, where it has one for each."""
    if not isinstance(model.entry.prompt, dict):
        return model
    spec = msgspec.structs.replace(model.spec, prompt=model.entry.prompt.get(task.name))
    return msgspec.structs.replace(model, spec=spec)


def _datasets(
    entry: TaskEntry,
    task: Task,
    models: Sequence[Model],
    study: StudyFile,
    allowed: Sequence[Path],
    *,
    fetch: bool,
) -> list[Dataset]:
    opened = []
    specs = [model.spec for model in models]
    for given in entry.datasets:
        path = None
        if given.path is not None:
            path = str(resolve(given.path, study.folder, allowed, f"{study.where}: dataset"))
        known = (*task.inputs, task.reference, "id")
        for column in given.columns:
            if column not in known:
                names = [name for name in known if name]
                raise StudyError(
                    f"{study.where}: dataset {given.name!r} has no key {column!r};"
                    f" {nearest(column, names)}"
                )
        spec = DatasetSpec(
            name=given.name,
            path=path,
            hub=given.hub,
            columns=given.columns,
            labels=given.labels,
        )
        limit, seed = study.settings.inferences, study.settings.seed
        if path is None and specs:
            made_up = replicas.samples(given.name, task, specs, limit)
            if made_up is not None:
                opened.append(made_up)
                continue
        dataset = open_dataset(spec, task, limit=limit, seed=seed, fetch=fetch)
        if path is not None:
            _check_mostly_good(dataset, study.where)
        opened.append(dataset)
    return opened


def _check_mostly_good(dataset: Dataset, where: str) -> None:
    """That at least half of the rows of a user's file can be used: of a file with fewer, the file,
    or its columns, are others than are meant, and a figure on the rest would be of other data.

    Raises:
        DatasetError: more are bad.
    """
    bad = dataset.skipped_total - dataset.unwanted_total
    if bad > dataset.usable_total:
        raise DatasetError(
            f"{where}: dataset {dataset.name!r}: {bad} of {bad + dataset.usable_total} rows are bad"
            f" ({'; '.join(dataset.skipped[:3])}); mend them, take them out of the file, or name"
            " the right columns"
        )


def _dataset_notes(dataset: Dataset, inferences: int) -> list[str]:
    if inputs.is_stand_in(dataset):
        return [replicas.NOTE]
    notes = []
    if dataset.origin:
        notes.append(f"{dataset.name}: {dataset.origin}")
    if dataset.skipped_total:
        shown = "; ".join(dataset.skipped)
        more = dataset.skipped_total - len(dataset.skipped)
        also = f"; and {more} more" if more > 0 else ""
        notes.append(f"{dataset.name}: {dataset.skipped_total} bad rows left out: {shown}{also}")
    if 0 < len(dataset.samples) < inferences:
        passes = -(-inferences // len(dataset.samples))
        notes.append(
            f"{dataset.name}: {len(dataset.samples)} samples for {inferences} inferences:"
            f" {passes} whole passes, {passes * len(dataset.samples)} inferences"
        )
    return notes


def _cell(
    task: Task, model: Model, dataset: Dataset, study: StudyFile, passed: Mapping[str, str]
) -> PlannedCell:
    spec = replicas.forced(model.spec, task, dataset.name)
    model = msgspec.structs.replace(model, spec=spec)
    try:
        if dataset.samples:
            task.check(model.spec, dataset)
        if model.wanted is None:
            model.backend.check(model.spec, task.name)
    except ModelError as error:
        text = str(error)
        named = text if model.spec.id in text else f"model {model.spec.id!r}: {text}"
        raise ModelError(f"{study.where}: {named}") from error
    batch_size = int(model.spec.settings.get("batch_size", 1))
    if dataset.samples and batch_size > len(dataset.samples):
        raise StudyError(
            f"{study.where}: model {model.spec.id!r}: batch_size = {batch_size}, but dataset"
            f" {dataset.name!r} gives {len(dataset.samples)} samples: a batch would never be full"
        )
    settings = {**model.recorded, "prompt": model.spec.prompt}
    if replicas.is_replica(spec) and "max_new_tokens" in spec.settings:
        settings["max_new_tokens"] = spec.settings["max_new_tokens"]
    content = {
        "task": task.name,
        "dataset": dataset.name,
        "samples": dataset.digest,
        "labels": dataset.labels,
        "model": model.spec.id,
        "category": model.spec.category,
        "backend": model.spec.backend,
        "settings": settings,
        "files": model.files,
        "network": _network(model, study),
        "environment": passed,
    }
    digest = hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()
    shown = settings | {"dataset_origin": dataset.origin}  # its samples are in the id already
    cell = Cell(
        id=digest[:16],
        task=task.name,
        dataset=dataset.name,
        model=model.spec.id,
        category=model.spec.category,
        backend=model.spec.backend,
        settings={k: v for k, v in shown.items() if v is not None},
    )
    return PlannedCell(
        cell=cell,
        model=model.spec,
        dataset=dataset,
        facts=model.read,
        params=model.entry.params,
        network=_network(model, study),
        batch_size=batch_size,
        wanted=model.wanted,
        stamps=model.stamps,
    )


def _network(model: Model, study: StudyFile) -> bool:
    """Whether the model's workers may use the network: as the study says, else only for a
    backend that is of no use without (it has ``network = True``)."""
    if model.entry.network is not None:
        return model.entry.network
    return study.settings.network or bool(getattr(model.backend, "network", False))
