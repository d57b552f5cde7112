"""Lend this machine's recorder to one run at a time."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from permille.errors import PermilleError
from permille.recorder.client import Recorder
from permille.recorder.in_use import all_in_use
from permille.recorder.remote.protocol import (
    LEASE_S,
    AgentRequest,
    Done,
    Opened,
    Refusal,
    Taken,
)
from permille.study.run import machine_state
from permille.study.run.environment import describe
from permille.study.run.session_log import state_of

MOST_RECORDING_S = 12 * 3600.0
"""A recording is discarded after this time, so that no run can fill this machine's memory."""


class Lending:
    """The recorder and the run that has it. It is started for each run, so that the machine is free
    for its own measurements in between. ``pid``: the server's process, whose devices then count;
    without it every device does. The methods are for one thread."""

    def __init__(self, start: Callable[[], Recorder], pid: int | None) -> None:
        self._start, self._pid = start, pid
        self._recorder: Recorder | None = None
        self.lease = ""
        self._used_s = self._began_s = 0.0

    def serve(self, request: AgentRequest) -> Opened | Done | Taken | Refusal:
        """Carry out a request."""
        self.expire()
        try:
            if request.op == "open":
                return self._open(request.lease)
            if self._recorder is None or request.lease != self.lease:
                return Refusal(
                    reason="the recorder is no longer this run's: the agent was restarted, or did"
                    f" not hear from the run for {LEASE_S:g} s"
                )
            self._used_s = time.monotonic()
            return self._carry_out(request, self._recorder)
        except PermilleError as error:
            # What is recorded is incomplete now, and a part of a recording is never handed out.
            self.end()
            return Refusal(reason=str(error))

    def expire(self) -> None:
        """End a lease whose run has gone, or records for too long."""
        now_s = time.monotonic()
        idle, long = now_s - self._used_s > LEASE_S, now_s - self._began_s > MOST_RECORDING_S
        if self._recorder is not None and (idle or long):
            self.end()

    def end(self) -> None:
        """End the lease, and stop the recorder."""
        recorder, self._recorder, self.lease = self._recorder, None, ""
        if recorder is not None:
            recorder.stop()

    def keep(self) -> None:
        """Note that the run is alive. Any thread may call this."""
        self._used_s = time.monotonic()

    def _open(self, previous: str) -> Opened | Refusal:
        """Start the recorder for a run; one that lost its connection may take its own place."""
        if self._recorder is not None and previous != self.lease:
            return Refusal(reason="another run is measuring with it; wait until that has ended")
        # First: the recorder of this lease holds the machine's lock, which the next one needs.
        self.end()
        recorder = self._start()
        self._recorder, self.lease = recorder, os.urandom(16).hex()
        self._used_s = self._began_s = time.monotonic()
        machine, boot = machine_state.ids()
        return Opened(
            lease=self.lease,
            domains=recorder.domains,
            missing=recorder.missing,
            interval_s=recorder.interval_s,
            environment=describe(recorder.domains),
            state=state_of(recorder.domains),
            machine=machine,
            boot=boot,
        )

    def _carry_out(self, request: AgentRequest, recorder: Recorder) -> Done | Taken:
        if request.op == "begin":
            recorder.begin()
            self._began_s = time.monotonic()
            # Only now: `begin` discards the processes of the workload, too.
            if self._pid is not None:
                recorder.watch(self._pid)
        elif request.op == "mark":
            recorder.mark()
        elif request.op == "take":
            recording = recorder.take()
            return Taken(recording=recording if self._pid is not None else all_in_use(recording))
        elif request.op == "close":
            self.end()
        return Done()
