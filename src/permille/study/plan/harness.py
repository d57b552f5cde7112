"""Score the models of a task by a task of lm-eval: check it, and what it depends on, beforehand."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from permille.errors import StudyError
from permille.records import Record
from permille.study.plan.entries import HARNESS, QualityEntry, StudyFile
from permille.study.plan.models import Model
from permille.study.plan.paths import resolve
from permille.study.plan.replicas import is_replica
from permille.study.plan.stamps import Stamp
from permille.suggestions import nearest
from permille.workload.protocols import HarnessScored
from permille.workload.specs import HarnessTask


class OpenedHarness(Record):
    """A task of lm-eval, and the files of its folder as they are now."""

    task: HarnessTask
    stamps: tuple[Stamp, ...] = ()


def open_harness(
    entry: QualityEntry | None, study: StudyFile, allowed: Sequence[Path]
) -> OpenedHarness | None:
    """The task of lm-eval that a study file names; None if it names none.

    Raises:
        StudyError: lm-eval is not installed, has no such task, or the folder is not allowed.
    """
    if entry is None:
        return None
    name, at = entry.task.removeprefix(HARNESS), f"{study.where}: quality {entry.task!r}"
    if importlib.util.find_spec("lm_eval") is None:
        raise StudyError(f"{at} needs lm-eval: pip install 'permille[lm-eval]'")
    folder = None
    if entry.include_path is not None:
        folder = resolve(entry.include_path, study.folder, allowed, f"{at} include_path")
        if not folder.is_dir():
            raise StudyError(f"{at}: include_path {entry.include_path!r} is not a folder")
    _check_name(name, folder, at)
    # Every file, whatever its name: a task's YAML may include others, and name Python functions.
    stamps = [] if folder is None else [
        Stamp.of(f"{HARNESS}{file.relative_to(folder)}", file)
        for file in sorted(folder.rglob("*"))
        # Python writes there when the task's functions are imported: a run would change it itself.
        if file.is_file() and "__pycache__" not in file.parts
    ]  # fmt: skip
    task = HarnessTask(
        task=name,
        metric=entry.metric,
        limit=entry.limit,
        include_path=None if folder is None else str(folder),
        files={stamp.name: stamp.sha256 for stamp in stamps},
    )
    return OpenedHarness(task=task, stamps=tuple(stamps))


def _check_name(name: str, folder: Path | None, at: str) -> None:
    tasks, groups = _names(folder)
    if name in groups:
        raise StudyError(
            f"{at}: {name} is a group of tasks, which has no single score; name one of them"
        )
    if name not in tasks:
        where = "lm-eval has" if folder is None else f"{folder} has"
        raise StudyError(f"{at}: {where} no task {name!r}; {nearest(name, tasks)}")


@lru_cache(maxsize=16)
def _names(folder: Path | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of tasks, and of groups and tags. This reads YAML files, and runs nothing that
    they name."""
    from lm_eval.tasks import TaskManager

    # Of the folder alone: beside the installed tasks, a misspelt name could be one of theirs.
    manager = TaskManager(include_path=folder, include_defaults=folder is None)
    return tuple(manager.all_subtasks), (*manager.all_groups, *manager.all_tags)


def check_scored(opened: OpenedHarness | None, model: Model, task: str, where: str) -> None:
    """Check that lm-eval can score a model.

    Raises:
        StudyError: it cannot.
    """
    if opened is None:
        return
    problem = None
    if is_replica(model.spec):
        problem = "a replica has random weights, so it has no quality"
    elif isinstance(model.backend, HarnessScored):
        problem = model.backend.harness_problem(model.spec, task)
    else:
        problem = f"backend {model.spec.backend} cannot be scored by lm-eval; use transformers"
    if problem is not None:
        raise StudyError(f"{where}: model {model.spec.id!r}: {problem}, or remove quality")
