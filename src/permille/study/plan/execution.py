"""List what a study executes on this machine."""

from __future__ import annotations

from typing import Literal

from permille import plugins
from permille.records import Record
from permille.study.plan.grid import Plan
from permille.workload.protocols import Executing


class ModelExecution(Record):
    """One thing that is executed for a model."""

    model: str
    kind: Literal["callable", "command", "code"]
    what: str


def executions(plan: Plan) -> list[ModelExecution]:
    """Everything that a plan's models execute, without duplicates."""
    executed: dict[ModelExecution, None] = {}
    for planned in plan.cells:
        spec = planned.model
        backend = plugins.load("backends", spec.backend)
        for each in backend.executes(spec) if isinstance(backend, Executing) else ():
            executed[ModelExecution(model=spec.id, kind=each.kind, what=each.what)] = None
        # lm-eval's own tasks are code that the user has installed; a folder is named by the study.
        if planned.harness is not None and planned.harness.include_path is not None:
            what = f"the functions that the task of lm-eval names in {planned.harness.include_path}"
            executed[ModelExecution(model=spec.id, kind="code", what=what)] = None
    return list(executed)
