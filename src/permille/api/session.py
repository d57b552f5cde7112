"""The Python interface: spans of one's own code, measured with the engine of the command line.

::

    with permille.record() as rec:
        with rec.span("query", inferences=1000):
            ...
    print(rec["query"].kwh_per_1000)

A recorder of its own process reads the meters; a span reads them once more at both of its edges.
Nothing is computed before the ``with`` has ended.
"""

from __future__ import annotations

import contextlib
import math
import os
import threading
import time
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, Self

from permille import energy
from permille.analysis.spans import Measured, Result, overlapping, pooled
from permille.errors import RecorderError, UsageError
from permille.recorder.client import Recorder
from permille.recorder.marker import Marker
from permille.records import (
    BOUNDARIES,
    Boundary,
    Phase,
    Problem,
    Record,
    Recording,
    Span,
)


class _Ended(Record):
    """A span that has ended, and the exception that it ended with."""

    span: Span
    raised: str | None


def _named(error: BaseException) -> str:
    """The exception on one line, bounded."""
    text = " ".join(str(error).split())[:200]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


class Session:
    """A recording of this machine, made by :func:`record`. Use with ``with``, once."""

    def __init__(
        self,
        *,
        idle: float,
        boundary: Boundary,
        pue: float,
        require: Literal["measured"] | None,
        shared: bool,
    ) -> None:
        self._idle_s, self._boundary, self._pue = idle, boundary, pue
        self._require, self._shared = require, shared
        self._ended_spans: list[_Ended] = []
        self._marking = threading.Lock()
        self._recorder: Recorder | None = None
        self._marker: Marker | None = None
        self._death: str | None = None
        self._pid = os.getpid()
        self._ended = False
        self._idle: Span | None = None
        self._recording: Recording | None = None

    def __enter__(self) -> Self:
        if self._recorder is not None or self._ended:
            raise UsageError("a recording is used once: call permille.record() again")
        with contextlib.ExitStack() as undo:
            undo.callback(self._undo)
            self._pid = os.getpid()
            self._recorder = Recorder(shared=self._shared, remedy="shared=True")
            if self._require:
                self._recorder.require_measured()
            self._recorder.begin()
            self._recorder.watch(os.getpid())
            self._marker = Marker(self._recorder.channel())
            if self._idle_s > 0:
                with self._around("idle", {}) as made:
                    time.sleep(self._idle_s)
                self._idle = made[0]
            undo.pop_all()
        return self

    def _undo(self) -> None:
        """A recording that could not begin: everything is given back."""
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
            return  # the recording is the parent's, which still needs its recorder
        recorder, self._recorder, self._ended = self._recorder, None, True
        assert recorder is not None
        try:
            if self._death is None:
                self._recording = recorder.take()
        except RecorderError as died:
            self._death = str(died)
        finally:
            self._close_marker()
            recorder.stop()

    @contextmanager
    def span(self, name: str, *, inferences: int | None = None) -> Iterator[None]:
        """A named stretch of work, of ``inferences``. May be nested; may be used from any thread.

        The meters are read before it starts and after it ends, which costs up to two
        milliseconds at either edge: put it around a loop rather than around each inference. An
        exception goes through, and the result says so. If the recorder dies the work goes on,
        and the result has no energy.

        Raises:
            UsageError: the recording has not begun or has ended, a wrong argument, or this is a
            forked child, whose spans would not come back to the recording.
        """
        if self._forked():
            raise UsageError(
                f"this is a forked child of process {self._pid}, which makes the recording: a span"
                " in here would be lost; put the span around the work in that process (the energy"
                " of its children is in it)"
            )
        if self._recorder is None:
            raise UsageError("a span lies within the recording: with permille.record() as rec: …")
        if not name or name == "idle":
            raise UsageError(f"a span needs a name other than {name!r}")
        attributes = {} if inferences is None else {"inferences": checked_inferences(inferences)}
        made: list[Span] = []

        def keep(
            kind: type[BaseException] | None,
            error: BaseException | None,
            trace: types.TracebackType | None,
        ) -> None:
            raised = None if error is None else _named(error)
            self._ended_spans += [_Ended(span=span, raised=raised) for span in made]

        with contextlib.ExitStack() as ending:
            ending.push(keep)
            with self._around(name, attributes) as made:
                yield

    @property
    def ended(self) -> bool:
        """Whether there are results to ask for."""
        return self._ended

    @property
    def recording(self) -> Recording:
        """The series of every domain, to look into.

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
        """What is worth saying of the recording: throttling, another tenant, a meter's silence."""
        self._must_have_ended()
        return () if self._recording is None else energy.notices(self._recording)

    @property
    def results(self) -> dict[str, Result]:
        """The result of each name, in the order in which the names first ended.

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
            raise UsageError(f"no span {name!r} was recorded; there are: {', '.join(names) or '–'}")
        return self._result(name)

    def _forked(self) -> bool:
        return os.getpid() != self._pid

    def _must_have_ended(self) -> None:
        if not self._ended:
            raise UsageError("energy is computed when the recording has ended: ask after the with")

    @contextmanager
    def _around(self, name: str, attributes: dict[str, Any]) -> Iterator[list[Span]]:
        """Yields a list that holds the span once it has ended."""
        made: list[Span] = []
        self._mark(start=True)
        t0_ns = time.monotonic_ns()
        try:
            yield made
        finally:
            t1_ns = time.monotonic_ns()
            self._mark()
            made.append(Span(name=name, t0_ns=t0_ns, t1_ns=t1_ns, attributes=attributes))

    def _mark(self, *, start: bool = False) -> None:
        """The recorder's death is the meters' fault, not the work's: it is kept for the result."""
        if self._forked():
            return  # the child leaves a span of its parent's: the channel is the parent's too
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
        )

    def measured(self, name: str) -> list[Measured]:
        """The spans of this name, each with its energy by domain; those that overlap as one."""
        ended = [each for each in self._ended_spans if each.span.name == name]
        groups = overlapping([each.span for each in ended])
        return [self._together([ended[i] for i in group]) for group in groups]

    def _together(self, group: list[_Ended]) -> Measured:
        """Spans that cover one stretch of time, as one."""
        spans = [each.span for each in group]
        told = [s.attributes["inferences"] for s in spans if "inferences" in s.attributes]
        covered = Span(
            name=spans[0].name,
            t0_ns=min(span.t0_ns for span in spans),
            t1_ns=max(span.t1_ns for span in spans),
            attributes={"inferences": sum(told)} if len(told) == len(spans) else {},
        )
        return Measured(
            phase=self._phase(covered),
            idle=self._phase(self._idle) if self._idle else None,
            raised=tuple(each.raised for each in group if each.raised),
            spans=len(spans),
            spans_s=math.fsum(span.seconds for span in spans),
        )

    def _phase(self, span: Span) -> Phase:
        if self._recording is not None:
            return energy.phase(self._recording, span)
        problem = Problem(reason=self._death or "nothing was recorded", kind="cpu")
        n = span.attributes.get("inferences")
        return Phase(seconds=span.seconds, domains={}, problems={"meters": problem}, inferences=n)


def record(
    *,
    idle: float = 0.0,
    boundary: Boundary = "compute",
    pue: float = 1.0,
    require: Literal["measured"] | None = None,
    shared: bool = False,
) -> Session:
    """A recording of this machine, for a ``with``.

    ``idle`` seconds are waited first to measure the idle power, for the energy above it.
    ``boundary`` says which domains count; ``pue`` multiplies the energy within ``facility``, and
    elsewhere the carbon alone. ``require="measured"`` refuses a machine on which only an estimate
    can be had. One recording at a time is made on a machine; ``shared=True`` allows it beside
    another, which the results say.

    Raises:
        UsageError: an argument is wrong.
        MeterError: on entering: no meter, or only an estimate though a measurement is required.
        RecorderError: on entering: another recording is made on this machine.
    """
    if not (math.isfinite(idle) and idle >= 0):
        raise UsageError(f"idle is a number of seconds from 0 up, not {idle!r}")
    if not (math.isfinite(pue) and pue >= 1):
        raise UsageError(f"the PUE is a number from 1 up, not {pue!r}")
    if boundary not in BOUNDARIES:
        raise UsageError(f"no boundary {boundary!r}; one of: {', '.join(BOUNDARIES)}")
    if require not in (None, "measured"):
        raise UsageError(f"require is 'measured' or None, not {require!r}")
    return Session(idle=idle, boundary=boundary, pue=pue, require=require, shared=shared)


def checked_inferences(inferences: int) -> int:
    """A number of inferences.

    Raises:
        UsageError: it is none.
    """
    if isinstance(inferences, bool) or not isinstance(inferences, int) or inferences < 1:
        raise UsageError(f"inferences is a whole number from 1 up, not {inferences!r}")
    return inferences
