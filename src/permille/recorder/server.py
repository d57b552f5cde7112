"""The recorder's process: it polls every meter on a clock and answers marks immediately.

Run by :mod:`permille.recorder` as ``python -P -m permille.recorder.server FD TOKEN [GPU]``; it ends
when the other side of its channel is closed, for whatever reason, and then stops any workers that
the runner has left, which have TOKEN in their environment.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import sys
import time

import msgspec

from permille.errors import PermilleError, UsageError
from permille.meters.one_gpu import open_one
from permille.meters.selection import OpenedMeters, open_all
from permille.processes import end_marked
from permille.recorder import wire
from permille.recorder.neighbours import CpuWatch
from permille.recorder.poller import Poller

OBSERVE_S = 1.0
MOST_MARKS = 1_000
"""The most marks kept between two takes; a worker requests about twenty."""
EARLY_OBSERVE_S = 0.05
"""The first check of a new workload; each further interval doubles, up to ``OBSERVE_S``."""


class RecorderServer:
    """The main loop: it polls on deadlines and serves the channels in between."""

    def __init__(self, recorder: Poller, control: socket.socket) -> None:
        self._recorder = recorder
        self._control = control
        self._selector = selectors.DefaultSelector()
        self._selector.register(control, selectors.EVENT_READ)
        self._observe_at = time.monotonic() + OBSERVE_S
        self._observe_gap = OBSERVE_S
        self._marks: list[int] = []

    def serve(self) -> None:
        """Run until the runner closes its channel."""
        interval = self._recorder.interval_s
        deadline = time.monotonic()
        while True:
            now = time.monotonic()
            if now >= deadline:
                if now > deadline + interval:
                    self._recorder.miss()
                self._recorder.poll()
                # Missed polls are not made up for: a burst of readings now says nothing about then.
                deadline = max(deadline + interval, now)
            if now >= self._observe_at:
                self._recorder.observe()
                self._observe_gap = min(OBSERVE_S, 2 * self._observe_gap)
                self._observe_at = time.monotonic() + self._observe_gap
            for key, _ in self._selector.select(max(0.0, deadline - time.monotonic())):
                channel = key.fileobj
                assert isinstance(channel, socket.socket)
                if channel is not self._control:
                    self._mark(channel)
                elif not self._answer():
                    return

    def _mark(self, channel: socket.socket) -> None:
        try:
            if channel.recv(1):
                done_ns = self._recorder.mark()
                if len(self._marks) < MOST_MARKS:
                    self._marks.append(done_ns)
                if channel.send(wire.STAMP.pack(done_ns)) == wire.STAMP.size:
                    self._recorder.look_around()  # after the answer, which must not wait for this
                    return
        except OSError:
            pass  # the worker was killed or does not read its answers: never wait for it
        self._selector.unregister(channel)
        channel.close()

    def _answer(self) -> bool:
        """Serve one request of the runner; returns False once it has closed its channel."""
        try:
            body, descriptors = wire.receive(self._control)
        except (EOFError, ConnectionError):
            return False
        request = msgspec.msgpack.decode(body, type=wire.Request)
        answer: msgspec.Struct
        if request.op in ("take", "cut"):
            self._recorder.mark()  # the recording ends now, not after the observation
            self._recorder.observe()
            answer = msgspec.structs.replace(self._recorder.take(), marks=tuple(self._marks))
            if request.op == "cut":
                self._recorder.discard_before(request.t_ns)
                self._marks.clear()
        else:
            if request.op == "begin":
                self._recorder.begin()
                self._marks.clear()
            elif request.op in ("attach", "watch"):
                for descriptor in descriptors:
                    channel = socket.socket(fileno=descriptor)
                    channel.setblocking(False)
                    self._selector.register(channel, selectors.EVENT_READ)
                self._recorder.watch(request.pid)
                self._observe_gap = EARLY_OBSERVE_S
                self._observe_at = time.monotonic() + self._observe_gap
            edge = request.op in ("mark", "begin")
            t_ns = self._recorder.mark() if edge else self._recorder.poll()
            answer = wire.Marked(t_ns=t_ns)
        try:
            wire.send(self._control, answer)
        except ConnectionError:
            return False
        if request.op == "mark":
            self._recorder.look_around()
        return True


def be_punctual() -> None:
    """Request real-time scheduling, if permitted (Linux; root or CAP_SYS_NICE).

    On a busy machine a delayed mark blurs the edge of a span: it is 5 to 7 ms late with six busy
    processes on two CPUs, and 1 ms with SCHED_FIFO (sched(7)). Niceness does not help, because
    every session gets an equal share (sched_autogroup). The recorder runs for a few thousandths of
    the time, and the kernel limits the time of real-time processes (sched_rt_runtime_us).
    """
    if not hasattr(os, "sched_setscheduler"):
        return
    try:
        least = os.sched_param(os.sched_get_priority_min(os.SCHED_FIFO))
        # Reset on fork: processes that a meter starts are scheduled normally (sched(7)).
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, least)
    except OSError:
        return  # not permitted: the uncertainty of the edges then includes late marks


def main(descriptor: int, token: str, gpu: str | None = None) -> int:
    """Open the meters, or that of one GPU alone, send the first message and serve; returns the exit
    code."""
    be_punctual()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the runner handles Ctrl-C
    control = socket.socket(fileno=descriptor)
    try:
        opened = OpenedMeters(open_one(gpu), ()) if gpu else open_all(None)
    except PermilleError as error:
        wire.send(control, wire.Hello(error=str(error), usage=isinstance(error, UsageError)))
        return error.exit_code
    missing = tuple(
        wire.Missing(
            meter=meter.name,
            reason=meter.reason,
            remedy=meter.remedy,
            forbidden=meter.forbidden,
            present=meter.present,
        )
        for meter in opened.unavailable
    )
    # The runner is the root of the run's processes: the recorder and all workers descend from it.
    recorder = Poller(list(opened.meters), cpu=CpuWatch(os.getppid()))
    recorder.poll()
    domains = tuple(counter.domain for counter in recorder.counters.values())
    wire.send(control, wire.Hello(domains=domains, missing=missing, interval_s=recorder.interval_s))
    try:
        RecorderServer(recorder, control).serve()
    finally:
        end_marked(token)
    for meter in opened.meters:
        meter.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), *sys.argv[2:]))
