"""The runner's side of the recorder: it holds the machine's lock, starts the recorder's process and
communicates with it."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import weakref
from types import TracebackType
from typing import Protocol, Self, TypeVar

import msgspec

from permille.errors import MeterError, RecorderError, UsageError
from permille.recorder import wire
from permille.recorder.lock import acquire
from permille.recorder.marker import ANSWER_S
from permille.records import Record
from permille.records.recording import Domain, Provenance, Recording

START_S = 60.0
"""Seconds to wait for the recorder to start."""

END_S = 5.0
"""Seconds to wait for a recorder to exit by itself."""

R = TypeVar("R", bound=Record)


class MeteredMachine(Protocol):
    """What a machine can measure, and what it cannot."""

    @property
    def domains(self) -> tuple[Domain, ...]:
        """What is recorded."""
        ...

    @property
    def missing(self) -> tuple[wire.Missing, ...]:
        """The meters that cannot be used."""
        ...


def check_measured(where: str, meters: MeteredMachine) -> None:
    """Check that a machine has more than an estimate.

    Raises:
        MeterError: no domain is measured; the message has the reasons and remedies.
    """
    if any(d.provenance is Provenance.MEASURED for d in meters.domains):
        return
    lacking = "; ".join(
        f"{m.meter}: {m.reason}" + (f" ({m.remedy})" if m.remedy else "") for m in meters.missing
    )
    raise MeterError(f"nothing {where} can be measured, only estimated: {lacking or 'no meter'}")


class Recorder:
    """A running recorder, for use in a ``with`` statement. Starting it takes the machine's lock
    unless it is ``shared``; ``remedy`` is the caller's name for that option. Another run is given
    ``wait_s`` to end. With ``gpu``, a UUID, it is the recorder of this GPU alone, with its lock.

    Raises:
        RecorderError: another run is measuring on this machine, or the process does not start.
        MeterError: there is no meter.
        UsageError: PERMILLE_METERS, or a meter's own variable, is wrong.
    """

    def __init__(
        self,
        *,
        shared: bool = False,
        remedy: str = "--shared",
        wait_s: float = 0.0,
        gpu: str | None = None,
    ) -> None:
        self.shared = shared
        self.token = os.urandom(16).hex()
        self._gpu = gpu
        self._locks = () if shared else acquire(remedy, wait_s, gpu)
        with contextlib.ExitStack() as undo:
            undo.callback(self._release)
            self._start()
            undo.pop_all()
        _open.add(self)

    token: str
    """The token of the run's workers, so that the recorder stops them if the runner is killed."""
    domains: tuple[Domain, ...]
    missing: tuple[wire.Missing, ...]
    interval_s: float
    _fault: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The recorder's process."""
        return self._process.pid

    def require_measured(self) -> None:
        """Check that this machine has more than an estimate.

        Raises:
            MeterError: no domain is measured; the message has the reasons and remedies.
        """
        check_measured("here", self)

    def begin(self) -> None:
        """Discard everything recorded so far."""
        self._ask(wire.Request(op="begin"), wire.Marked)

    def mark(self) -> int:
        """Have every meter read; returns the time of the readings (ns)."""
        return self._ask(wire.Request(op="mark"), wire.Marked).t_ns

    def watch(self, pid: int) -> None:
        """Treat ``pid`` and its children as the workload (to find devices in use)."""
        self._ask(wire.Request(op="watch", pid=pid), wire.Marked)

    def channel(self) -> int:
        """The worker's end of a channel for :class:`Marker`: a descriptor to pass on and then
        close."""
        ours, theirs = socket.socketpair()
        with ours:
            # The recorder then has a copy, and this one is closed: otherwise a worker would wait
            # for a recorder that has died.
            self._ask(wire.Request(op="attach"), wire.Marked, [ours.fileno()])
        return theirs.detach()

    def take(self) -> Recording:
        """Everything recorded since :meth:`begin`."""
        recording = self._ask(wire.Request(op="take"), Recording)
        return msgspec.structs.replace(recording, shared=self.shared)

    def cut(self, t_ns: int) -> Recording:
        """Everything recorded so far. What a span from ``t_ns`` on does not need is then discarded,
        so that consecutive spans can be recorded without a gap for any length of time."""
        recording = self._ask(wire.Request(op="cut", t_ns=t_ns), Recording)
        return msgspec.structs.replace(recording, shared=self.shared)

    def restart(self) -> None:
        """Start a new process to replace one that died."""
        # The lock is kept: no other run may begin in between.
        self._end()
        self._start()

    def stop(self) -> None:
        """Stop the process and release the lock."""
        self._end()
        self._release()

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        # A file: a pipe that nobody reads until the end blocks its writer once full (pipe(7)).
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed in _end
        # Our copy of its end is closed then: only so does its death end the channel.
        with theirs:
            self._process = subprocess.Popen(
                # -P: a file of the working directory must not take a module's place (python(1)).
                [
                    *(sys.executable, "-P", "-m", "permille.recorder.server"),
                    *(str(theirs.fileno()), self.token),
                    *([self._gpu] if self._gpu else []),
                ],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._stderr,
                # The terminal's signals must not end it before the runner has taken the recording.
                start_new_session=True,
            )
        self._control, self._fault = ours, None
        ours.settimeout(START_S)
        try:
            hello = self._receive(wire.Hello)
        except RecorderError:
            self._end(wait_s=0.0)  # a meter blocks while it is opened: do not wait for it
            raise
        if hello.error is not None:
            self._end()
            raise UsageError(hello.error) if hello.usage else MeterError(hello.error)
        self._control.settimeout(ANSWER_S)
        self.domains, self.missing = hello.domains, hello.missing
        self.interval_s = hello.interval_s
        if not self.domains:
            self._end()
            why = "; ".join(f"{m.meter}: {m.reason}" for m in self.missing)
            raise MeterError(f"no meter here: {why or 'none is installed'}; see: permille meters")

    def _ask(self, request: wire.Request, kind: type[R], descriptors: list[int] | None = None) -> R:
        if self._fault is not None:
            raise RecorderError(self._fault)
        try:
            wire.send(self._control, request, descriptors)
        except OSError as error:
            raise self._lost() from error
        return self._receive(kind)

    def _receive(self, kind: type[R]) -> R:
        try:
            body, _ = wire.receive(self._control)
        except (OSError, EOFError) as error:
            raise self._lost() from error
        return msgspec.msgpack.decode(body, type=kind)

    @property
    def fault(self) -> str | None:
        """Why this recorder cannot be used until :meth:`restart`, or None. A late answer would be
        taken for the answer to the next request."""
        return self._fault

    def _lost(self) -> RecorderError:
        self._fault = self._death()
        return RecorderError(self._fault)

    def _death(self) -> str:
        """How the recorder ended, with the last line that it printed."""
        try:
            # The channel is closed a moment before the process has ended.
            code: int | None = self._process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            return "the recorder does not answer: a meter may block; see: permille meters"
        self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, self._stderr.tell() - 4096))
        printed = self._stderr.read().decode("utf-8", "replace").strip().splitlines()
        return f"the recorder died (exit {code})" + (f": {printed[-1]}" if printed else "")

    def _end(self, wait_s: float = END_S) -> None:
        # This is the request to end; a runner that is killed makes it too.
        self._control.close()
        try:
            # One that does not answer does not end by itself either.
            self._process.wait(timeout=wait_s if self._fault is None else 0.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._stderr.close()

    def _release(self) -> None:
        for descriptor in self._locks:
            os.close(descriptor)
        self._locks = ()

    def leave_to_parent(self) -> None:
        """In a forked child: close its copies of the channel and of the lock. Otherwise the lock
        would be held, and the recorder would run, until the child has ended too."""
        self._fault = f"the recorder belongs to process {os.getppid()}"
        self._control.close()
        self._release()


_open: weakref.WeakSet[Recorder] = weakref.WeakSet()
"""The recorders that this process has started."""


def _leave_all() -> None:
    for recorder in _open:
        recorder.leave_to_parent()
    _open.clear()


os.register_at_fork(after_in_child=_leave_all)
