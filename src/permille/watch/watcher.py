"""The loop of ``permille watch``: read the meters and the counters, and give a line each time."""

from __future__ import annotations

import datetime
import math
import time
from collections.abc import Iterator

import msgspec

from permille.carbon.settings import CarbonSettings
from permille.energy import phases
from permille.recorder.client import Recorder
from permille.recorder.in_use import all_in_use
from permille.records.energy import Boundary, Phase
from permille.records.recording import Recording, Span
from permille.watch.ledger import WatchLedger, WatchLine, WatchStep
from permille.watch.scrape import Scrape, ScrapeFailed, Scraper
from permille.watch.served import ServedWork, between, doubt, restarted

LEAST_EVERY_S = 1.0
"""The shortest time between two lines."""
LATE = 0.02
"""From this share of a stretch on, the time that a scrape takes is noted: the counts are that much
later than the energy."""


class Watcher:
    """Watches one server with a running recorder. ``pid``: the server's process, whose devices then
    count; without it every device of the machine does."""

    def __init__(
        self,
        recorder: Recorder,
        scraper: Scraper,
        *,
        boundary: Boundary,
        carbon: CarbonSettings,
        pid: int | None,
    ) -> None:
        self._recorder, self._scraper, self._pid = recorder, scraper, pid
        self._ledger = WatchLedger(boundary, carbon)
        # Both: a store keeps the step, whose joules any boundary and carbon can be applied to
        # later.
        self.last: tuple[WatchStep, WatchLine] | None = None
        self._before: Scrape | None = None

    def start(self) -> str | None:
        """Begin to record. Returns why the counters could not be read yet, or None."""
        self._recorder.begin()
        if self._pid is not None:
            self._recorder.watch(self._pid)
        self._recorder.mark()
        # As in look(), the energy's edge comes before the counts: both ends of a stretch are then
        # off by one scrape in the same direction, and not by two.
        self._t0_ns = time.monotonic_ns()
        self._cpu_s = time.process_time()
        try:
            self._before = self._scraper.scrape()
        except ScrapeFailed as failure:
            return str(failure)
        return None

    def lines(self, every_s: float, for_s: float | None) -> Iterator[WatchLine]:
        """A line every ``every_s`` seconds, for ``for_s`` seconds or until interrupted. What is
        left at the end has a line of its own, unless it is too short for one."""
        deadline = time.monotonic()
        end = math.inf if for_s is None else deadline + for_s
        while deadline < end:
            deadline += every_s
            if end - deadline < LEAST_EVERY_S:
                deadline = end
            time.sleep(max(0.0, deadline - time.monotonic()))
            if deadline < end:
                # After a suspend: no catching up. After a late look: the next one not so soon that
                # its line would be too short for the meter, and its counts without a figure.
                deadline = max(deadline, time.monotonic() - every_s / 2)
            yield self.look()

    def look(self) -> WatchLine:
        """Read the meters and the counters now.

        Raises:
            RecorderError: the recorder died.
        """
        # Before the counts: this edge of the energy must not wait for a slow server.
        self._recorder.mark()
        t_ns = time.monotonic_ns()
        now, problem = self._scrape()
        scrape_s = (time.monotonic_ns() - t_ns) / 1e9
        recording = self._recorder.cut(t_ns)
        span = Span(name="watch", t0_ns=self._t0_ns, t1_ns=t_ns)
        notes = list(phases.notices(recording))
        if now is not None and scrape_s > LATE * span.seconds:
            notes.append(f"reading the counters took {scrape_s:.2g} s of {span.seconds:.3g} s")
        served, lost, why = self._served(now, problem)
        step = WatchStep(
            t=datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds"),
            phase=self._phase(recording, span),
            served=served,
            lost=lost,
            running=None if now is None else now.running,
            notes=(*([why] if why else []), *notes),
            own_cpu=self._own_cpu(recording, span.seconds),
        )
        self._t0_ns = t_ns
        line = self._ledger.add(step)
        self.last = (step, line)
        return line

    def _scrape(self) -> tuple[Scrape | None, str | None]:
        try:
            return self._scraper.scrape(), None
        except ScrapeFailed as failure:
            return None, f"the server's counters could not be read: {failure}"

    def _served(
        self, now: Scrape | None, problem: str | None
    ) -> tuple[ServedWork | None, bool, str | None]:
        """(The counts since the last reading; whether they are lost for good; why)."""
        if now is None:
            return None, False, problem
        before, self._before = self._before, now
        if before is None:
            return None, True, "the counters were read for the first time: counting begins here"
        why = restarted(before, now)
        if why is not None:
            return None, True, f"{why}: the counts since the last reading are unknown"
        work, kind = between(before, now), self._scraper.kind
        if kind is not None:
            work = msgspec.structs.replace(work, doubt=doubt(kind, work))
        return work, False, None

    def _phase(self, recording: Recording, span: Span) -> Phase:
        if self._pid is None:
            recording = all_in_use(recording)
        return phases.phase(recording, span)

    def _own_cpu(self, recording: Recording, seconds: float) -> float:
        # The recorder begins to count anew at each cut.
        used_s = time.process_time() - self._cpu_s + recording.stats.cpu_s
        self._cpu_s = time.process_time()
        return used_s / seconds
