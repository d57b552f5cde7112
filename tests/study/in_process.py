"""A worker's part in the test's own process, which imports torch once for all of its models."""

from __future__ import annotations

import io
import time

import msgspec

from permille import plugins
from permille.recorder.marker import Marker
from permille.study.plan.cells import PlannedCell
from permille.study.plan.grid import Plan
from permille.study.worker.main import main
from permille.study.worker.messages import Inbox, Job, SpanDone, WorkerResult


class Unmetered(Marker):
    """Without a recorder: a worker's part in this process is not measured."""

    def __init__(self) -> None:
        """There is no channel."""

    def mark(self) -> int:
        return time.monotonic_ns()


def work(plan: Plan, planned: PlannedCell) -> tuple[SpanDone, WorkerResult]:
    """Run a cell's trial from the job that the runner sends; its query span and its result."""
    job = Job(
        task=planned.cell.task,
        task_target=plugins.target("tasks", planned.cell.task),
        backend_target=plugins.target("backends", planned.model.backend),
        model=planned.model,
        dataset=planned.dataset,
        protocol=plan.protocol_of(planned),
        least_query_s=0.0,
    )
    out = io.BytesIO()
    main(out, Unmetered(), msgspec.msgpack.decode(msgspec.msgpack.encode(job), type=Job))
    *_, query, result = Inbox().feed(out.getvalue())
    assert isinstance(query, SpanDone)
    assert isinstance(result, WorkerResult)
    return query, result
