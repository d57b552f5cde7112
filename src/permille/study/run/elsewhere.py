"""Models whose work may be done by a process that is not the run's. Pure."""

from __future__ import annotations

import msgspec

from permille.records import Recording
from permille.study.plan.cells import PlannedCell


def works_elsewhere(planned: PlannedCell) -> bool:
    """Whether a server that permille did not start may do this model's work: a worker reaches one
    only where it has the network (an endpoint without ``serve``, a callable with ``network``)."""
    return planned.network and not planned.model.settings.get("serve")


def judged(recording: Recording | None, planned: PlannedCell) -> Recording | None:
    """The recording as the trial is made of it: where the model's own server would look like
    another tenant, nothing is said of what other processes took."""
    if recording is None or not works_elsewhere(planned):
        return recording
    return msgspec.structs.replace(recording, cpu=None)
