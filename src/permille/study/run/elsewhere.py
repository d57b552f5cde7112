"""Models whose work may be done by a process outside the run. Pure."""

from __future__ import annotations

import msgspec

from permille.records import Recording
from permille.study.plan.cells import PlannedCell


def works_elsewhere(planned: PlannedCell) -> bool:
    """Whether a server that permille did not start may do this model's work: a worker can reach one
    only with the network (an endpoint without ``serve``, a callable with ``network``)."""
    return planned.network and not planned.model.settings.get("serve")


def judged(recording: Recording | None, planned: PlannedCell) -> Recording | None:
    """The recording for the trial: if the model's own server would look like another process, the
    data about other processes are dropped."""
    if recording is None or not works_elsewhere(planned):
        return recording
    return msgspec.structs.replace(recording, cpu=None)
