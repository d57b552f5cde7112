"""Replicas in a study: which models get random weights, and the length of their answers."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from permille.architectures import lengths
from permille.errors import StudyError
from permille.study.plan.entries import ModelEntry, Settings
from permille.workload.protocols import Task
from permille.workload.specs import ModelSpec

_COMMON = ("weights", "device", "dtype")


def is_replica(spec: ModelSpec) -> bool:
    """Whether a model's weights are random."""
    return spec.settings.get("weights") == "replica"


def apply(entry: ModelEntry, settings: Settings, keys: Sequence[str], at: str) -> ModelEntry:
    """A model's table with the study's ``weights``, ``device`` and ``dtype``, if its backend has
    these ``keys`` and the table does not set them. A replica of a Hub model uses the architecture
    of its ``repo``; nothing is downloaded.

    Raises:
        StudyError: the models should be replicas, which the backend does not support; or an
            architecture is given for a model that is not a replica.
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
        raise StudyError(f'{at}: architecture is only for replicas; add weights = "replica"')
    if settings.weights is None or entry.repo is None or "path" in own:
        return msgspec.structs.replace(entry, own=own)
    own.setdefault("architecture", entry.repo)
    # Nothing is downloaded, so that these three have no meaning, and models.py would refuse them.
    return msgspec.structs.replace(entry, own=own, repo=None, revision=None, file=None)


def with_answer_length(spec: ModelSpec, task: Task, dataset: str) -> ModelSpec:
    """A replica with the length of its generated answers: the published mean, or the table's
    ``max_new_tokens``, or the study's limit for its datasets, or the task's."""
    most = getattr(task, "tokens", None)
    # A head marks a span of the input: it generates nothing.
    by_head = task.name == "question-answering" and spec.prompt is None
    if most is None or by_head:
        return spec
    tokens = lengths.published_answer_tokens(task.name, dataset, spec.id)
    if tokens is None:
        of_study = lengths.input_lengths(dataset) is not None
        tokens = spec.settings.get("max_new_tokens") or (lengths.limit() if of_study else most)
    return msgspec.structs.replace(spec, settings={**spec.settings, "max_new_tokens": tokens})
