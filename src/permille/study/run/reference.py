"""The reference workload as a cell of its own: the same small work, measured as trials are, now
and then during a run. What it costs should not change; where it does, the machine has.

Its trials are in the store under a source of their own, which no table, ratio or export lists.
"""

from __future__ import annotations

import hashlib

import msgspec

from permille.records.cell import Cell
from permille.records.trial import Protocol
from permille.study.plan.cells import PlannedCell
from permille.study.worker import reference_work
from permille.workload.samples import Dataset, Sample
from permille.workload.specs import ModelSpec

EVERY_S = 20.0
"""Seconds of trials between two references, which take about 2 s: at most a tenth of a run. It
follows a block, at most one each; a study that is shorter than this has none."""

PROTOCOL = Protocol(inferences=500, warmup_max=20, name="permille-reference-1")

_TASK = "text-classification"
_NAME = "permille reference workload"


def reference_cell() -> PlannedCell:
    """The cell; its answers are scored, so that undone work is noticed."""
    sample = Sample(id="0", inputs={"text": ""}, reference=reference_work.ANSWER)
    # Without a digest: the cell's id is made of the work itself, below.
    dataset = Dataset(
        name=_NAME, samples=(sample,), digest="", labels=(reference_work.ANSWER,), usable_total=1
    )
    target = f"{reference_work.__name__}:{reference_work.work.__name__}"
    model = ModelSpec(
        id=_NAME, backend="python", category="task-specific", settings={"callable": target}
    )
    # Other work is another cell, so that its figures are never compared with those before.
    content = (PROTOCOL, target, reference_work.STEPS, reference_work.MEMORY_BYTES)
    digest = hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()
    cell = Cell(
        id=digest[:16],
        task=_TASK,
        dataset=_NAME,
        model=_NAME,
        category="task-specific",
        backend="python",
    )
    return PlannedCell(cell=cell, model=model, dataset=dataset)
