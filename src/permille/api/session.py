"""The Python interface: measure spans of your own code with the engine of the command line.

::

    with permille.record() as rec:
        with rec.span("query", inferences=1000):
            ...
    print(rec["query"].kwh_per_1000)

A separate recorder process reads the meters; a span reads them once more at both edges. Nothing is
computed before the end of the ``with`` block.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, NoReturn, Self

from permille import telemetry
from permille.analysis.cards import Card, as_html
from permille.analysis.spans import Measured, PowerOverTime, Result, card, pooled
from permille.api.awaiting import in_thread
from permille.api.ended import EndedSpan, measured_of, named
from permille.api.open_span import OpenSpan
from permille.api.otlp import points as otlp_points
from permille.energy import cross_check, phases
from permille.errors import RecorderError, UsageError
from permille.recorder.client import Recorder
from permille.recorder.marker import Marker
from permille.records import MOST
from permille.records.energy import BOUNDARIES, Boundary
from permille.records.recording import Recording, Span
from permille.units import LONGEST_S, counted


class Session:
    """A recording of this machine, made by :func:`record`. Use with ``with`` or ``async with``,
    once."""

    def __init__(
        self,
        *,
        idle: float,
        boundary: Boundary,
        pue: float,
        require: Literal["measured"] | None,
        shared: bool,
        otlp: str | None = None,
    ) -> None:
        self._otlp, self._unsent = otlp, ""
        self._idle_s, self._boundary, self._pue = idle, boundary, pue
        self._require, self._shared = require, shared
        self._ended_spans: list[EndedSpan] = []
        self._marking = threading.Lock()
        self._recorder: Recorder | None = None
        self._marker: Marker | None = None
        self._death: str | None = None
        self._pid = os.getpid()
        self._ended = False
        self._idle: Span | None = None
        self._recording: Recording | None = None

    def __enter__(self) -> Self:
        self._must_be_new()
        with contextlib.ExitStack() as undo:
            # Ctrl-C during the start, too, must leave no recorder behind with the machine's lock.
            undo.callback(self._undo)
            self._start()
            self._measure_idle()
            undo.pop_all()
        return self

    async def __aenter__(self) -> Self:
        """The event loop continues while the recorder starts, but not while the idle power is
        measured."""
        self._must_be_new()
        with contextlib.ExitStack() as undo:
            undo.callback(self._undo)
            await in_thread(self._start)
            # In the loop's own thread: what else the loop runs would not be idle.
            self._measure_idle()
            undo.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        await in_thread(lambda: self.__exit__(kind, error, trace))

    def __reduce__(self) -> NoReturn:
        raise UsageError(
            "a recording cannot be sent to another process: put the span around the work in the"
            " process that makes the recording (the energy of its children is in it)"
        )

    def _must_be_new(self) -> None:
        if self._recorder is not None or self._ended:
            raise UsageError("a recording is used once: call permille.record() again")

    def _start(self) -> None:
        # Again: a fork of the process that made the object may be the one that records.
        self._pid = os.getpid()
        self._recorder = Recorder(shared=self._shared, remedy="shared=True")
        if self._require:
            self._recorder.require_measured()
        self._recorder.begin()
        # Otherwise the CPU time of this process would count as a disturbance by others, and its
        # GPUs as not in use.
        self._recorder.watch(os.getpid())
        self._marker = Marker(self._recorder.channel())

    def _measure_idle(self) -> None:
        if self._idle_s > 0:
            with self._around("idle", {}) as made:
                time.sleep(self._idle_s)
            self._idle = made[0]

    def _undo(self) -> None:
        """The recording could not start: release everything."""
        recorder, self._recorder, self._ended = self._recorder, None, True
        self._close_marker()
        if recorder is not None:
            recorder.stop()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        if self._forked():
            return  # the recording belongs to the parent, which still needs its recorder
        recorder, self._recorder, self._ended = self._recorder, None, True
        assert recorder is not None
        try:
            # If the recorder has died, a mark has already found out how.
            if self._death is None:
                self._recording = recorder.take()
        except RecorderError as died:
            self._death = str(died)
        finally:
            self._close_marker()
            recorder.stop()
        # After the recorder has stopped: sending is in no figure.
        if self._otlp is not None and self._recording is not None:
            points = otlp_points(self._recording, self.results)
            self._unsent = telemetry.send(self._otlp, points) or ""

    @contextmanager
    def span(self, name: str, *, inferences: int | None = None) -> Iterator[OpenSpan]:
        """A named period of work on ``inferences``. Spans may be nested and used from any thread.
        If the number is known only afterwards, set it within the block:
        ``with rec.span("query") as span: span.inferences = len(answers)``.

        The meters are read before it starts and after it ends, which takes up to two milliseconds
        at either edge: put it around a loop rather than around each inference. An exception
        propagates, and the result reports it. If the recorder dies, the work continues and the
        result has no energy.

        Raises:
            UsageError: the recording has not begun or has ended, an argument is wrong, or this is a
            forked child, whose spans would not reach the recording.
        """
        if self._forked():
            raise UsageError(
                f"this is a forked child of process {self._pid}, which makes the recording: a span"
                " in here would be lost; put the span around the work in that process (the energy"
                " of its children is in it)"
            )
        if self._recorder is None:
            raise UsageError(
                "a span must be inside the recording: with permille.record() as rec: …"
            )
        # idle is the session's own span, of which the baseline is made.
        if not name or name == "idle":
            raise UsageError(f"a span needs a name other than {name!r}")
        open_span = OpenSpan()
        if inferences is not None:
            open_span.inferences = inferences
        made: list[Span] = []

        def keep(
            kind: type[BaseException] | None,
            error: BaseException | None,
            trace: types.TracebackType | None,
        ) -> None:
            # By now, made is the list of _around: empty only if the span did not begin.
            raised = None if error is None else named(error)
            self._ended_spans += [EndedSpan(span=span, raised=raised) for span in made]

        with contextlib.ExitStack() as ending:
            # Pushed first, it runs last: the span has ended, and it is told by which exception.
            ending.push(keep)
            with self._around(name, open_span.attributes) as made:
                yield open_span

    def __repr__(self) -> str:
        return f"<permille.Session, {self._state()}>"

    def _repr_html_(self) -> str:
        # A notebook shows an object whenever it stands last in a cell, also during the recording.
        results = [*self.results.values()] if self._ended else []
        if not results:
            return as_html(Card(title=f"Recording, {self._state()}", lines=()))
        return as_html(card(results, "Recording" if len(results) > 1 else results[0].name))

    def _state(self) -> str:
        names = ", ".join(dict.fromkeys(ended.span.name for ended in self._ended_spans))
        spans = f"{counted(len(self._ended_spans), 'span')}" + (f": {names}" if names else "")
        if self._ended:
            return f"ended, {spans}"
        return "not begun" if self._recorder is None else f"recording, {spans} ended so far"

    @property
    def ended(self) -> bool:
        """Whether results are available."""
        return self._ended

    @property
    def recording(self) -> Recording:
        """The series of every domain.

        Raises:
            UsageError: the recording has not ended.
            RecorderError: the recorder died.
        """
        self._must_have_ended()
        if self._recording is None:
            raise RecorderError(self._death or "nothing was recorded")
        return self._recording

    @property
    def notices(self) -> tuple[str, ...]:
        """Remarks about the recording: throttling, another tenant, a meter that did not respond,
        two readings of one GPU that disagree, energies that could not be sent."""
        self._must_have_ended()
        if self._recording is None:
            return ()
        spans = [ended.span for ended in self._ended_spans]
        unsent = (self._unsent,) if self._unsent else ()
        checks = cross_check.notes(self._recording, spans)
        return (*phases.notices(self._recording), *checks, *unsent)

    @property
    def results(self) -> dict[str, Result]:
        """The result for each span name, in the order in which the names first ended.

        Raises:
            UsageError: the recording has not ended.
        """
        self._must_have_ended()
        names = dict.fromkeys(ended.span.name for ended in self._ended_spans)
        return {name: self._result(name) for name in names}

    def __getitem__(self, name: str) -> Result:
        self._must_have_ended()
        names = dict.fromkeys(ended.span.name for ended in self._ended_spans)
        if name not in names:
            raise UsageError(
                f"no span {name!r} was recorded; recorded spans: {', '.join(names) or '–'}"
            )
        return self._result(name)

    def _forked(self) -> bool:
        return os.getpid() != self._pid

    def _must_have_ended(self) -> None:
        if not self._ended:
            raise UsageError(
                "energy is computed when the recording has ended: read results after the with block"
            )

    @contextmanager
    def _around(self, name: str, attributes: dict[str, Any]) -> Iterator[list[Span]]:
        """Yield a list that contains the span once it has ended."""
        made: list[Span] = []
        # The readings lie outside of the span, so that all of its time has one on either side.
        self._mark(start=True)
        t0_ns = time.monotonic_ns()
        try:
            yield made
        finally:
            t1_ns = time.monotonic_ns()
            self._mark()
            made.append(Span(name=name, t0_ns=t0_ns, t1_ns=t1_ns, attributes=dict(attributes)))

    def _mark(self, *, start: bool = False) -> None:
        """Errors of the recorder must not disturb the work: they are kept for the result."""
        if self._forked():
            return  # a forked child leaves its parent's span: the channel belongs to the parent
        # Threads share the channel: two marks at once would take each other's answers.
        with self._marking:
            if self._marker is None or self._death is not None:
                return
            try:
                if start:
                    self._marker.mark_start()
                else:
                    self._marker.mark()
            except RecorderError as error:
                self._death = str(error)

    def _close_marker(self) -> None:
        with self._marking:
            if self._marker is not None:
                self._marker.close()
                self._marker = None

    def _result(self, name: str) -> Result:
        return pooled(
            name,
            self.measured(name),
            boundary=self._boundary,
            pue=self._pue,
            notes=self.notices,
            power=self._power(name),
        )

    def _power(self, name: str) -> PowerOverTime | None:
        if self._recording is None:
            return None
        spans = (ended.span for ended in self._ended_spans if ended.span.name == name)
        return PowerOverTime(
            series=self._recording.series,
            spans_ns=tuple((span.t0_ns, span.t1_ns) for span in spans),
        )

    def measured(self, name: str) -> list[Measured]:
        """The spans with this name, each with its energy by domain; overlapping ones are merged."""
        ended = [each for each in self._ended_spans if each.span.name == name]
        return measured_of(ended, self._idle, self._recording, self._death)


def record(
    *,
    idle: float = 0.0,
    boundary: Boundary = "compute",
    pue: float = 1.0,
    require: Literal["measured"] | None = None,
    shared: bool = False,
    otlp: str | None = None,
) -> Session:
    """A recording of this machine, for use in a ``with`` statement.

    With ``idle``, the idle power is measured for that many seconds first, for the energy above it.
    ``boundary`` says which domains count. ``pue`` multiplies the energy in ``facility``, and only
    the carbon in other boundaries. ``require="measured"`` is an error if only an estimate is
    available. Only one recording may run per machine; ``shared=True`` allows concurrent ones, and
    the results note it. ``otlp`` is the address of an OpenTelemetry collector, to which the
    energies are sent when the recording ends; if that fails, the results note it.

    Raises:
        UsageError: an argument is wrong, or the extra ``otlp`` is not installed.
        MeterError: on entering: no meter, or only an estimate although a measurement is required.
        RecorderError: on entering: another recording is running on this machine.
    """
    if not 0 <= idle <= LONGEST_S:
        raise UsageError(f"idle must be a number of seconds from 0 to {LONGEST_S}, not {idle!r}")
    if not 1 <= pue <= MOST:
        raise UsageError(f"the PUE must be a number from 1 to {MOST:g}, not {pue!r}")
    if boundary not in BOUNDARIES:
        raise UsageError(f"no boundary {boundary!r}; one of: {', '.join(BOUNDARIES)}")
    if require not in (None, "measured"):
        raise UsageError(f"require must be 'measured' or None, not {require!r}")
    endpoint = None if otlp is None else telemetry.checked_endpoint(otlp)
    return Session(
        idle=idle, boundary=boundary, pue=pue, require=require, shared=shared, otlp=endpoint
    )
