"""What a study has run on this machine, by its own word."""

from __future__ import annotations

from typing import Literal

from permille import plugins
from permille.records import Record
from permille.study.plan.grid import Plan
from permille.workload.protocols import Executing


class ModelExecution(Record):
    """One thing that is run for a model."""

    model: str
    kind: Literal["callable", "command", "code"]
    what: str


def executions(plan: Plan) -> list[ModelExecution]:
    """All that a plan's models run, each once."""
    found: dict[ModelExecution, None] = {}
    for planned in plan.cells:
        spec = planned.model
        backend = plugins.load("backends", spec.backend)
        for each in backend.executes(spec) if isinstance(backend, Executing) else ():
            found[ModelExecution(model=spec.id, kind=each.kind, what=each.what)] = None
    return list(found)
