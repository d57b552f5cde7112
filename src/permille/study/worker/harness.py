"""Score a loaded model by a task of lm-eval, after the measurement.

The score, its standard error, its direction and the number of samples are lm-eval's. Where the
score is the mean of a number per sample, these numbers are kept, so that two models are compared
sample by sample.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import msgspec

from permille.errors import ModelError
from permille.metrics import metric_of, scored
from permille.records import Record
from permille.records.answers import Quality
from permille.suggestions import nearest
from permille.workload.protocols import HarnessReady, Loaded
from permille.workload.specs import HarnessTask

BOOTSTRAPS = 1_000
"""Resamples for the standard error of a metric that is not a mean. lm-eval's default takes
minutes."""
_NO_FILTER = "none"
_OF_100 = frozenset({"bleu", "chrf", "ter"})
"""Metrics that lm-eval gives from 0 to 100, unlike permille."""


class HarnessScore(Record):
    """A model's quality by lm-eval, and what is worth a note."""

    quality: Quality
    note: str


def harness_score(model: Loaded, task: HarnessTask, *, seed: int) -> HarnessScore:
    """Run the task on the model.

    Raises:
        ModelError: the task has no such metric, or its score is not a number.
    """
    if not isinstance(model, HarnessReady):
        raise ModelError("this model cannot be scored by lm-eval")
    import lm_eval
    from lm_eval.tasks import TaskManager

    lm = model.harness_model()
    report = lm_eval.simple_evaluate(
        model=lm,
        tasks=[task.task],
        # As the plan has looked the name up (plan/harness.py), so that it is the same task.
        task_manager=TaskManager(
            include_path=task.include_path, include_defaults=task.include_path is None
        ),
        limit=task.limit,
        bootstrap_iters=BOOTSTRAPS,
        random_seed=seed,
        # numpy.random.seed() takes no others.
        numpy_random_seed=seed % 2**32,
        torch_random_seed=seed,
        fewshot_random_seed=seed,
    )
    return score_of(report or {}, task, lm_eval.__version__)


def score_of(report: Mapping[str, Any], task: HarnessTask, version: str) -> HarnessScore:
    """The score in the report of ``lm_eval.simple_evaluate``.

    Raises:
        ModelError: see :func:`harness_score`.
    """
    name = task.task
    results = report["results"][name]
    values = {key: value for key, value in results.items() if _is_metric(key, value)}
    key = _chosen(values, task)
    metric, _, filter_ = key.partition(",")
    higher = report["higher_is_better"].get(name, {}).get(metric)
    if higher is None:
        raise ModelError(
            f"lm-eval does not say whether a higher {metric} of {name} is better: set"
            " higher_is_better in the task's metric_list"
        )
    error = results.get(f"{metric}_stderr,{filter_}")
    # A sample is listed once for each filter of the task.
    samples = [one for one in report["samples"][name] if one.get("filter", filter_) == filter_]
    quality = _quality(
        _metric_name(metric, name, filter_, higher=higher),
        float(values[key]),
        float(error) if _is_number(error) else None,
        [one.get(metric) for one in samples],
        # By content, so that two models are compared on equal samples: doc_id is only a position.
        [str(one.get("doc_hash", one["doc_id"])) for one in samples],
    )
    others = {_other(k): float(v) for k, v in values.items() if k != key}
    counts, edition = report["n-samples"][name], report["versions"].get(name)
    task_version = f" (version {edition})" if isinstance(edition, Real) else ""
    note = (
        f"quality: {name}{task_version} of lm-eval {version}, {report['n-shot'].get(name)}-shot,"
        f" {counts['effective']:,} of its {counts['original']:,} samples, which are not those of"
        " the measurement"
    )
    return HarnessScore(quality=msgspec.structs.replace(quality, others=others), note=note)


def _is_metric(key: str, value: object) -> bool:
    # Among the results are the task's alias, which is a text, and the standard error of each
    # metric, as "acc_stderr,none".
    return "," in key and "_stderr," not in key and _is_number(value)


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and math.isfinite(value)


def _chosen(values: Mapping[str, Any], task: HarnessTask) -> str:
    """The key of the metric that was asked for, or of the first."""
    if not values:
        raise ModelError(f"lm-eval gives no score for {task.task} that is a number")
    if task.metric is None:
        return next(iter(values))
    for key in values:
        if task.metric in (key, key.partition(",")[0]):
            return key
    known = [_other(key) for key in values]
    raise ModelError(f"{task.task} has no metric {task.metric!r}; {nearest(task.metric, known)}")


def _other(key: str) -> str:
    return key.removesuffix(f",{_NO_FILTER}")


def _metric_name(metric: str, task: str, filter_: str, *, higher: bool) -> str:
    """``acc (lm-eval arc_easy)``: scores of other tasks are other metrics. The direction is part of
    the name where :func:`metric_of` would take the other."""
    scale = ", 0 to 100" if metric in _OF_100 else ""
    by = "" if filter_ == _NO_FILTER else f", {filter_}"
    name = f"{metric}{scale} (lm-eval {task}{by})"
    if metric_of(name).lower_is_better != (not higher):
        name = f"{name[:-1]}, {'higher' if higher else 'lower'} is better)"
    return name


def _quality(
    metric: str,
    value: float,
    error: float | None,
    each: Sequence[object],
    ids: Sequence[str],
) -> Quality:
    scores = [float(one) for one in each if isinstance(one, Real)]
    is_mean = bool(scores) and len(scores) == len(each)
    if is_mean and math.isclose(math.fsum(scores) / len(scores), value, rel_tol=1e-6, abs_tol=1e-9):
        quality = scored(metric, scores, ids, value=value)
        return msgspec.structs.replace(quality, standard_error=error or quality.standard_error)
    digest = hashlib.sha256("\0".join(ids).encode()).hexdigest()[:16]
    return Quality(metric=metric, value=value, n=len(each), standard_error=error, samples=digest)
