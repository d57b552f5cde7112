"""Models whose work may be done by a process outside the run, here or on another machine. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import msgspec

from permille.records.recording import Recording
from permille.study.plan.cells import PlannedCell


class TrialRecorder(Protocol):
    """What a trial needs of a recorder, of this machine or of another one."""

    token: str

    def begin(self) -> None:
        """Discard everything recorded so far."""
        ...

    def mark(self) -> int:
        """Have every meter read; returns when that was done (ns)."""
        ...

    def watch(self, pid: int) -> None:
        """Treat a process and its children as the workload."""
        ...

    def channel(self) -> int:
        """A descriptor on which a worker requests marks."""
        ...

    def take(self) -> Recording:
        """Everything recorded since :meth:`begin`."""
        ...

    def restart(self) -> None:
        """Replace a recorder that failed."""
        ...


def meter_of(planned: PlannedCell) -> str | None:
    """The address of the agent that measures a model; None if this machine does."""
    meter = planned.model.settings.get("meter")
    return None if meter is None else str(meter)


def meters_of(cells: Iterable[PlannedCell]) -> tuple[str, ...]:
    """The addresses of all agents, each once."""
    return tuple(dict.fromkeys(meter for cell in cells if (meter := meter_of(cell)) is not None))


def works_elsewhere(planned: PlannedCell) -> bool:
    """Whether a server that permille did not start may do this model's work: a worker can reach one
    only with the network (an endpoint without ``serve``, a callable with ``network``)."""
    # A server that permille starts is in the run's tree of processes, whose CPU time is its own.
    return planned.network and not planned.model.settings.get("serve")


def judged(recording: Recording | None, planned: PlannedCell) -> Recording | None:
    """The recording for the trial: if the model's own server would look like another process, the
    data about other processes are dropped."""
    if recording is None or not works_elsewhere(planned):
        return recording
    return msgspec.structs.replace(recording, cpu=None)
