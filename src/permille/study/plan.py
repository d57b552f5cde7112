"""Study file -> plan: the grid of cells, everything checked before anything is measured."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from permille import plugins
from permille.backends import Backend, ModelSpec
from permille.datasets import Dataset, DatasetSpec
from permille.datasets.opening import open_dataset
from permille.errors import ModelError, StudyError
from permille.records import Cell, ModelFacts, Protocol, Record
from permille.study import replicas
from permille.study.file import ModelEntry, Settings, StudyFile, TaskEntry, nearest
from permille.study.paths import resolve
from permille.tasks import Task


class PlannedCell(Record):
    """One cell with all that its worker needs."""

    cell: Cell
    model: ModelSpec
    dataset: Dataset
    files: dict[str, str]
    params: int | None = None
    network: bool = False
    batch_size: int = 1

    @property
    def facts(self) -> ModelFacts:
        """What is known of the model before it is loaded."""
        return ModelFacts(params=self.params, files=self.files)


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


def make(study: StudyFile, allowed: Sequence[Path] = ()) -> Plan:
    """The plan of a study: tasks × datasets × the models that can do the task.

    Raises:
        PermilleError: the first thing found wrong, on one line, with the way to mend it.
    """
    models = [_model(entry, study, allowed) for entry in study.models]
    settings = study.settings
    cells: list[PlannedCell] = []
    notes: list[str] = []
    for entry in study.tasks:
        known = plugins.names("tasks")
        if entry.task not in known:
            raise StudyError(f"{study.where}: no task {entry.task!r}; {nearest(entry.task, known)}")
        task: Task = plugins.load("tasks", entry.task)
        able = [_asked(m, task) for m in models if _can(m, entry)]
        for dataset in _datasets(entry, task, able, study, allowed):
            notes += _dataset_notes(dataset, settings.inferences)
            cells += [_cell(task, m, dataset, study) for m in able]
    for model in models:
        if not any(cell.model.id == model.spec.id for cell in cells):
            tasks = ", ".join(entry.task for entry in study.tasks)
            raise StudyError(
                f"{study.where}: model {model.spec.id!r} ({model.spec.category}, backend"
                f" {model.spec.backend}) can do none of the study's tasks: {tasks}"
            )
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


class _Model(Record):
    """A model with its backend and the files it stands on."""

    entry: ModelEntry
    spec: ModelSpec
    backend: Any
    files: dict[str, str]


def _model(entry: ModelEntry, study: StudyFile, allowed: Sequence[Path]) -> _Model:
    at = f"{study.where}: model {entry.id!r}"
    if entry.backend not in plugins.names("backends"):
        known = plugins.names("backends")
        raise StudyError(f"{at}: no backend {entry.backend!r}; {nearest(entry.backend, known)}")
    backend: Backend = plugins.load("backends", entry.backend)
    lacking = [m for m in backend.requires if importlib.util.find_spec(m) is None]
    if lacking:
        raise StudyError(
            f"{at}: backend {entry.backend} needs {', '.join(lacking)}: {backend.install}"
        )
    fields = backend.settings.__struct_fields__
    entry = replicas.apply(entry, study.settings, fields, at)
    for key in entry.own:
        if key not in fields:
            known = ["id", "backend", "category", "prompt", "tasks", "params", "network", *fields]
            raise StudyError(f"{at} has no key {key!r}; {nearest(key, known)}")
    own = dict(entry.own)
    files: dict[str, str] = {}
    for key in own:
        if (key == "path" or key.endswith("_path")) and isinstance(own[key], str):
            path = resolve(own[key], study.folder, allowed, f"{at} {key}")
            files.update(_digests(path, key))
            own[key] = str(path)
    if "python_path" in fields:
        own.setdefault("python_path", str(study.folder))
    try:
        checked = msgspec.convert(own, backend.settings, strict=True)
    except msgspec.ValidationError as error:
        raise StudyError(f"{at}: {str(error).replace(' - at `$.', ' - at `')}") from error
    settings = {k: v for k, v in msgspec.structs.asdict(checked).items() if v is not None}
    spec = ModelSpec(
        id=entry.id,
        backend=entry.backend,
        category=entry.category,
        prompt=entry.prompt if isinstance(entry.prompt, str) else None,
        settings=settings,
    )
    if isinstance(entry.prompt, dict):
        for name in entry.prompt:
            if name not in plugins.names("tasks"):
                known = plugins.names("tasks")
                raise StudyError(f"{at} prompt: no task {name!r}; {nearest(name, known)}")
    return _Model(entry=entry, spec=spec, backend=backend, files=files)


def _digests(path: Path, key: str) -> dict[str, str]:
    """sha256 of the file, or of each file of the folder, by name; the Python path is code that
    the user runs, not a model, and is left out."""
    if key == "python_path":
        return {}
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    found = {}
    for file in files:
        with file.open("rb") as stream:
            name = file.name if path.is_file() else str(file.relative_to(path))
            found[name] = hashlib.file_digest(stream, "sha256").hexdigest()
    return found


def _can(model: _Model, entry: TaskEntry) -> bool:
    if model.entry.tasks is not None and entry.task not in model.entry.tasks:
        return False
    return model.spec.category in model.backend.tasks.get(entry.task, frozenset())


def _asked(model: _Model, task: Task) -> _Model:
    """A model with its prompt for this task, where it has one for each."""
    if not isinstance(model.entry.prompt, dict):
        return model
    spec = msgspec.structs.replace(model.spec, prompt=model.entry.prompt.get(task.name))
    return msgspec.structs.replace(model, spec=spec)


def _datasets(
    entry: TaskEntry,
    task: Task,
    models: Sequence[_Model],
    study: StudyFile,
    allowed: Sequence[Path],
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
        spec = DatasetSpec(name=given.name, path=path, columns=given.columns, labels=given.labels)
        settings = study.settings
        if path is None and specs:
            made_up = replicas.samples(given.name, task, specs, settings.inferences)
            if made_up is not None:
                opened.append(made_up)
                continue
        opened.append(open_dataset(spec, task, limit=settings.inferences, seed=settings.seed))
    return opened


def _dataset_notes(dataset: Dataset, inferences: int) -> list[str]:
    notes = []
    if dataset.skipped_total:
        shown = "; ".join(dataset.skipped)
        more = dataset.skipped_total - len(dataset.skipped)
        also = f"; and {more} more" if more > 0 else ""
        notes.append(f"{dataset.name}: {dataset.skipped_total} bad rows left out: {shown}{also}")
    if len(dataset.samples) < inferences:
        passes = -(-inferences // len(dataset.samples))
        notes.append(
            f"{dataset.name}: {len(dataset.samples)} samples for {inferences} inferences:"
            f" {passes} whole passes, {passes * len(dataset.samples)} inferences"
        )
    return notes


def _cell(task: Task, model: _Model, dataset: Dataset, study: StudyFile) -> PlannedCell:
    spec = replicas.forced(model.spec, task, dataset.name)
    model = msgspec.structs.replace(model, spec=spec)
    try:
        task.check(model.spec, dataset)
        model.backend.check(model.spec, task.name)
    except ModelError as error:
        text = str(error)
        named = text if model.spec.id in text else f"model {model.spec.id!r}: {text}"
        raise ModelError(f"{study.where}: {named}") from error
    batch_size = int(model.spec.settings.get("batch_size", 1))
    if batch_size > len(dataset.samples):
        raise StudyError(
            f"{study.where}: model {model.spec.id!r}: batch_size = {batch_size}, but dataset"
            f" {dataset.name!r} gives {len(dataset.samples)} samples: a batch would never be full"
        )
    settings = {**model.entry.own, "prompt": model.spec.prompt}
    if replicas.is_replica(spec) and "max_new_tokens" in spec.settings:
        settings["max_new_tokens"] = spec.settings["max_new_tokens"]
    content = {
        "task": task.name,
        "dataset": dataset.name,
        "samples": dataset.digest,
        "model": model.spec.id,
        "category": model.spec.category,
        "backend": model.spec.backend,
        "settings": settings,
        "files": model.files,
    }
    digest = hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()
    cell = Cell(
        id=digest[:16],
        task=task.name,
        dataset=dataset.name,
        model=model.spec.id,
        category=model.spec.category,
        backend=model.spec.backend,
        settings={k: v for k, v in settings.items() if v is not None},
    )
    return PlannedCell(
        cell=cell,
        model=model.spec,
        dataset=dataset,
        files=model.files,
        params=model.entry.params,
        network=_network(model, study),
        batch_size=batch_size,
    )


def _network(model: _Model, study: StudyFile) -> bool:
    """Whether the model's workers may use the network: as the study says, else only for a
    backend that is of no use without (it has ``network = True``)."""
    if model.entry.network is not None:
        return model.entry.network
    return study.settings.network or bool(getattr(model.backend, "network", False))
