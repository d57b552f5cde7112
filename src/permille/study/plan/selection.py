"""Select a part of a study: some tasks, some models, one machine's share of the cells. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

import msgspec

from permille import plugins
from permille.errors import StudyError, UsageError
from permille.records import Record
from permille.study.plan.entries import ModelEntry, StudyFile
from permille.study.plan.published import published
from permille.study.plan.sharding import Key, deal
from permille.suggestions import nearest
from permille.units import counted

MAX_CELLS = 100_000
"""The most cells of a study; to check one takes about a millisecond."""


class Selection(Record):
    """``tasks`` and ``models``: names or patterns (``*``, ``?``), commas between them. ``shard``:
    ``i/n``, the i-th of n shares of the (task, dataset) pairs, each with all of its models."""

    tasks: str | None = None
    models: str | None = None
    shard: str | None = None


def select(study: StudyFile, chosen: Selection) -> StudyFile:
    """The selected part of the study. The n shards are disjoint and together cover all of it.

    Raises:
        UsageError: a name or pattern that matches nothing, an invalid shard, or an empty selection.
        StudyError: the study has too many cells.
    """
    if chosen.tasks is not None:
        named = _matching(chosen.tasks, [entry.task for entry in study.tasks], "--tasks")
        tasks = tuple(entry for entry in study.tasks if entry.task in named)
        study = msgspec.structs.replace(study, tasks=tasks)
    if chosen.models is not None:
        named = _matching(chosen.models, [entry.id for entry in study.models], "--models")
        models = tuple(entry for entry in study.models if entry.id in named)
        study = msgspec.structs.replace(study, models=models)
    # A study without any cell is for the plan to refuse, which names the model that has none.
    if chosen == Selection():
        return study
    keys = grid(study)
    if chosen.shard is not None:
        first, count = _shard(chosen.shard)
        keys = _share(keys, first, count, study.where)
    if not keys:
        raise UsageError(f"{study.where}: the selection matches no cells")
    return _kept(study, keys)


def _share(keys: Sequence[Key], first: int, count: int, where: str) -> list[Key]:
    pairs = len({key[:2] for key in keys})
    if count > pairs:
        raise UsageError(
            f"{where}: --shard {first}/{count}: the models of one task and dataset stay together"
            f" on one machine, and there {'is' if pairs == 1 else 'are'}"
            f" {counted(pairs, 'such pair')}: use at most {counted(pairs, 'shard')}"
        )
    return deal(keys, count, published())[first - 1]


def grid(study: StudyFile) -> list[Key]:
    """The cells, in the order of the plan: tasks × datasets × the models that can do the task.

    Raises:
        StudyError: they are too many.
    """
    check_number(study)
    return [
        (entry.task, dataset.name, model.id)
        for entry in study.tasks
        for dataset in entry.datasets
        for model in study.models
        if able(model, entry.task)
    ]


def check_number(study: StudyFile) -> None:
    """Check that a study has no more than :data:`MAX_CELLS` cells.

    Raises:
        StudyError: it has more.
    """
    # Before any of them is made: a file of a megabyte can list thousands of models and thousands of
    # datasets, whose product nobody could check or measure.
    count = 0
    for entry in study.tasks:
        count += len(entry.datasets) * sum(able(model, entry.task) for model in study.models)
        if count > MAX_CELLS:
            raise StudyError(
                f"{study.where}: the study has more than {MAX_CELLS:,} cells (tasks × datasets ×"
                " models); divide it into several"
            )


def able(model: ModelEntry, task: str) -> bool:
    """Whether a model is used for a task: it is not limited to others, and its backend supports the
    task for its category."""
    if model.tasks is not None and task not in model.tasks:
        return False
    if model.backend not in plugins.names("backends"):
        return True  # the plan reports what is wrong with it
    return model.category in plugins.load("backends", model.backend).tasks.get(task, frozenset())


def _kept(study: StudyFile, keys: Sequence[Key]) -> StudyFile:
    """The study with the datasets and models of these cells alone: a selection has every model that
    can do a task, on each of its datasets."""
    tasks = []
    for entry in study.tasks:
        used = {dataset for task, dataset, _ in keys if task == entry.task}
        datasets = tuple(dataset for dataset in entry.datasets if dataset.name in used)
        if datasets:
            tasks.append(msgspec.structs.replace(entry, datasets=datasets))
    needed = {model for _, _, model in keys}
    return msgspec.structs.replace(
        study,
        tasks=tuple(tasks),
        models=tuple(model for model in study.models if model.id in needed),
    )


def _matching(given: str, names: Sequence[str], option: str) -> set[str]:
    if given in names:  # the name of a model of a sweep contains commas
        return {given}
    matches: set[str] = set()
    for pattern in (part.strip() for part in given.split(",")):
        hits = [name for name in names if fnmatchcase(name, pattern)]
        if not hits:
            raise UsageError(f"{option}: nothing matches {pattern!r}; {nearest(pattern, names)}")
        matches.update(hits)
    return matches


def _shard(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise UsageError(f"--shard {text}: use i/n, from 1/n to n/n, such as 1/4")
    return int(match[1]), int(match[2])
