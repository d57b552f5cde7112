"""Replicas in a study: which models are built at random, and how long their answers are."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from permille.architectures import lengths
from permille.errors import StudyError
from permille.study.plan.file import ModelEntry, Settings
from permille.workload.protocols import Task
from permille.workload.specs import ModelSpec

_COMMON = ("weights", "device", "dtype")


def is_replica(spec: ModelSpec) -> bool:
    """Whether a model's weights are random."""
    return spec.settings.get("weights") == "replica"


def apply(entry: ModelEntry, settings: Settings, keys: Sequence[str], at: str) -> ModelEntry:
    """A model's table with the study's ``weights``, ``device`` and ``dtype``, where its backend has
    such ``keys`` and the table does not say otherwise. A replica of a model of the Hub is one of
    the architecture of its ``repo``; nothing is fetched.

    Raises:
        StudyError: the models are to be replicas, which its backend does not build; or an
            architecture is named of a model that is none.
    """
    if settings.weights is not None and "weights" not in keys:
        raise StudyError(
            f"{at}: backend {entry.backend} builds no replicas; backends transformers and diffusers"
            " do"
        )
    common = {name: getattr(settings, name) for name in _COMMON if name in keys}
    given = {name: value for name, value in common.items() if value is not None}
    own = {**given, **entry.own}
    if "architecture" in own and own.get("weights") != "replica":
        raise StudyError(f'{at}: architecture is of replicas alone; add weights = "replica"')
    if settings.weights is None or entry.repo is None or "path" in own:
        return msgspec.structs.replace(entry, own=own)
    own.setdefault("architecture", entry.repo)
    return msgspec.structs.replace(entry, own=own, repo=None, revision=None, file=None)


def with_answer_length(spec: ModelSpec, task: Task, dataset: str) -> ModelSpec:
    """A replica with the length of its answers, where it generates: the published mean, else the
    table's own ``max_new_tokens``, else the study's limit on its datasets, else the task's."""
    most = getattr(task, "tokens", None)
    by_head = task.name == "question-answering" and spec.prompt is None
    if most is None or by_head:
        return spec
    tokens = lengths.published_answer_tokens(task.name, dataset, spec.id)
    if tokens is None:
        of_study = lengths.input_lengths(dataset) is not None
        tokens = spec.settings.get("max_new_tokens") or (lengths.limit() if of_study else most)
    return msgspec.structs.replace(spec, settings={**spec.settings, "max_new_tokens": tokens})
