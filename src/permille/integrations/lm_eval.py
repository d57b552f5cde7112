"""lm-eval (the Language Model Evaluation Harness): the energy beside each task's score.

::

    lm = get_model("hf").create_from_arg_string("pretrained=…")
    for scored in evaluate(lm, ["arc_easy"], limit=100):
        print(scored.task, scored.scores, scored.energy.kwh_per_1000)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Literal

from permille.analysis.spans import Result
from permille.api.session import Session, record
from permille.errors import UsageError
from permille.extras import extra
from permille.records import Record
from permille.records.energy import Boundary

_CALLS = ("loglikelihood", "loglikelihood_rolling", "generate_until")


class ScoredTask(Record):
    """A task's scores as lm-eval gives them, by metric, for the task and its subtasks; and the
    energy of the model's calls, per 1,000 samples."""

    task: str
    scores: dict[str, dict[str, Any]]
    energy: Result


def evaluate(
    lm: Any,
    tasks: Sequence[str | dict[str, Any]],
    *,
    idle: float = 0.0,
    boundary: Boundary = "compute",
    pue: float = 1.0,
    require: Literal["measured"] | None = None,
    shared: bool = False,
    **settings: Any,
) -> list[ScoredTask]:
    """Evaluate a model of lm-eval on tasks, one after the other, in one recording.

    Only the model's calls are measured: not the loading of data, and not the scoring. A sample is
    one inference, however many requests it needs (one for each choice). If a task calls the model
    again for the same samples, its energy per 1,000 is unknown. ``settings`` are those of
    ``lm_eval.simple_evaluate``; the other arguments, and the errors, are those of
    ``permille.record``.

    Raises:
        UsageError: ``lm`` is a name and not a model, answers would come from a cache, or lm-eval is
        not installed.
    """
    with extra("lm-eval", "the wrapper for lm-eval"):
        import lm_eval
        from lm_eval.api.model import LM

    if not isinstance(lm, LM):
        raise UsageError(
            "evaluate() needs a model, not its name: lm_eval.api.registry.get_model(name)"
            ".create_from_arg_string(arguments)"
        )
    if settings.get("use_cache"):
        raise UsageError("answers from a cache need no energy: remove use_cache")
    names = [_name(task) for task in tasks]
    if len(set(names)) < len(names):
        raise UsageError(f"a task is given twice: {', '.join(names)}")
    reports: list[dict[str, Any]] = []
    rec = record(idle=idle, boundary=boundary, pue=pue, require=require, shared=shared)
    with rec:
        for task, name in zip(tasks, names, strict=True):
            with _spans_around_calls(rec, lm, name):
                # One task at a time, because lm-eval mixes the requests of several in its calls.
                # The report is None on every rank of a distributed evaluation but the first.
                reports.append(lm_eval.simple_evaluate(model=lm, tasks=[task], **settings) or {})
    return [
        ScoredTask(task=name, scores=report.get("results", {}), energy=rec[name])
        for name, report in zip(names, reports, strict=True)
    ]


def _name(task: str | dict[str, Any]) -> str:
    return task if isinstance(task, str) else str(task.get("task"))


@contextmanager
def _spans_around_calls(rec: Session, lm: Any, name: str) -> Iterator[None]:
    """Within the block, each call of the model is a span with the number of samples that it is the
    first to answer."""
    answered: set[tuple[Any, Any]] = set()

    def with_span(call: Callable[..., Any]) -> Callable[..., Any]:
        def measured(requests: Sequence[Any], *arguments: Any, **more: Any) -> Any:
            new = {(each.task_name, each.doc_id) for each in requests} - answered
            answered.update(new)
            with rec.span(name, inferences=len(new) or None):
                return call(requests, *arguments, **more)

        return measured

    with ExitStack() as restoring:
        for method in _CALLS:
            # On the object, over the method of its class, which deleting uncovers.
            setattr(lm, method, with_span(getattr(lm, method)))
            restoring.callback(delattr, lm, method)
        yield
