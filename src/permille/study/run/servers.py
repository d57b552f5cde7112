"""The server that the trials of a sweep share: one start, as long as it lives.

At most one server runs at a time, because an idle one still draws power and holds memory. It stays
up between the trials of cells that can use it, and is started again

- after a trial of another server or of none,
- after a trial that failed, because requests that its worker abandoned may still occupy it,
- if it has ended.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from permille import plugins
from permille.errors import ModelError, TrialError
from permille.processes import SERVER, VARIABLE, end_marked
from permille.records.trial import ServerUse
from permille.study.plan.cells import PlannedCell
from permille.workload.protocols import RunningServer, Serving
from permille.workload.specs import Launch, ModelSpec

SHARED = (
    "one start of the server serves several trials: what earlier trials left in it (prompt cache,"
    " warm-up, memory) is still there, the idle baseline includes the waiting server, and the"
    " energy of the start is in no figure"
)
"""The note of every trial that used a shared server."""


@dataclass
class _Up:
    """A running server, and how many trials it has served."""

    key: str
    server: RunningServer
    trials: int = 0


class SharedServers:
    """Starts and stops the servers of one run on one machine. ``token``: the run's, by which
    everything that they left behind is found."""

    def __init__(
        self, environment: Mapping[str, str], token: str, memory_gib: float | None
    ) -> None:
        # Of its own: after each trial, everything with the token of workers is killed.
        self._token = token + SERVER
        self._launch = Launch(
            prefix=(
                *(sys.executable, "-P", "-m", "permille.study.worker.launch"),
                *(str(os.getpid()), "" if memory_gib is None else str(memory_gib)),
            ),
            environment={**environment, VARIABLE: self._token},
        )
        self._up: _Up | None = None
        self._starts = 0

    @property
    def pid(self) -> int | None:
        """The process of the server that is up."""
        return None if self._up is None else self._up.server.pid

    def is_up_for(self, planned: PlannedCell) -> bool:
        """Whether the cell's server is up and running."""
        up = self._up
        return up is not None and up.key == planned.server_key and self.ended() is None

    def use(self, planned: PlannedCell) -> ServerUse | None:
        """Have the cell's server ready for one trial, and no other; None if the cell shares none.

        Raises:
            TrialError: it does not start.
        """
        if not self.is_up_for(planned):
            self.stop()
            if planned.server_key is None:
                return None
            self._up = self._start(planned, planned.server_key)
        assert self._up is not None
        self._up.trials += 1
        return ServerUse(start=self._starts, trial=self._up.trials)

    def ended(self) -> str | None:
        """How the server that was up has ended; None if it runs, or if there is none."""
        if self._up is None:
            return None
        try:
            self._up.server.check_running()
        except ModelError as error:
            return str(error)
        return None

    def stop(self) -> None:
        """Stop the server that is up, and kill what it may have left."""
        if self._up is not None:
            self._up.server.stop()
            self._up = None
            end_marked(self._token)

    def _start(self, planned: PlannedCell, key: str) -> _Up:
        backend = _serving(planned)
        self._starts += 1
        try:
            server = backend.start_server(planned.model, planned.cell.task, self._launch)
        except ModelError as error:
            # What it started may still hold its port, or the GPU's memory.
            end_marked(self._token)
            raise TrialError(str(error)) from error
        return _Up(key, server)


def client_of(planned: PlannedCell) -> ModelSpec:
    """The model for the cell's worker: with a shared server, it starts none."""
    return (
        planned.model if planned.server_key is None else _serving(planned).client_of(planned.model)
    )


def _serving(planned: PlannedCell) -> Serving:
    backend = plugins.load("backends", planned.model.backend)
    assert isinstance(backend, Serving)
    return backend
