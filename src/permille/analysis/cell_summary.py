"""One cell within one boundary, as records. Joules throughout; no carbon here."""

from __future__ import annotations

from permille.analysis import intervals
from permille.analysis.parts import Part
from permille.analysis.stopping import decide, stopped_summary
from permille.records import (
    Boundary,
    Cell,
    Estimate,
    Protocol,
    Provenance,
    Quality,
    Record,
    Stopping,
)


class Sums(Record):
    """A figure over the trials of a cell, in joules per 1,000 inferences.

    ``values`` holds one per trial; where only sums are known (the shipped figures of a study) it
    is empty and ``n``, ``mean`` and ``sd`` stand alone. ``low`` and ``high`` are the systematic
    uncertainty: how far, relatively, the truth may lie below and above by meter accuracy and
    edges (k = 2), which no number of repeats makes smaller.
    """

    n: int
    mean: float
    sd: float | None
    low: float
    high: float
    edge: float = 0.0  # the part of low and high that edges make up; relative, k = 2
    values: tuple[float, ...] = ()
    asked: Stopping | None = None
    signed: bool = False  # a net energy, whose interval may reach below 0

    def estimate(self) -> Estimate:
        """The mean with its 95 % interval: spread of the trials and systematic, combined.

        Trials that were repeated until they were precise enough have the interval of the rule
        that stopped them, since Student's t would be too narrow there.
        """
        found = intervals.with_systematic(self.spread(), self.low, self.high)
        return found if self.signed else intervals.not_negative(found)

    @property
    def value(self) -> float:
        """The figure itself: the mean, without a first repeat that a stopping rule left out."""
        if self.asked is None or not self.values:
            return self.mean
        return self.spread().value

    def for_ratio(self) -> tuple[int, float, float | None]:
        """Number, mean and sd as a ratio takes them (see ``stopping.stopped_summary``)."""
        if self.asked is not None and self.values:
            return stopped_summary(self.values)
        return self.n, self.mean, self.sd

    def spread(self) -> Estimate:
        """The mean with the interval that the trials alone give it."""
        if self.asked is not None and self.values:
            most = max(self.asked.max_repeats, self.n)
            return decide(self.values, precision=self.asked.precision, max_repeats=most).estimate
        return intervals.mean_from(self.n, self.mean, self.sd)


class InferenceFailures(Record):
    """Inferences that failed in the query spans of a cell's finished trials, of all tried."""

    failed: int
    tried: int

    @property
    def share(self) -> float:
        """What share of all that were tried failed."""
        return self.failed / self.tried


class Summary(Record):
    """One cell within one boundary. ``energy`` is None where no trial carries a figure;
    ``problem`` then says why. ``notes`` are facts a reader of the number should know."""

    study: str
    source: str
    cell: Cell
    fingerprint: str
    boundary: Boundary
    device: str | None
    params: int | None
    energy: Sums | None
    net: Sums | None
    seconds: Sums | None  # per 1,000 inferences; here low and high are 0
    latency_p50_s: float | None
    latency_p95_s: float | None
    quality: Quality | None
    done: int
    failed: int
    invalid: int
    provenance: Provenance | None
    domains: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()
    run: Sums | None = None  # of one trial's whole query, in joules, whatever it holds
    problem: str | None = None
    reasons: tuple[str, ...] = ()  # of the trials that failed or are invalid, each once
    notes: tuple[str, ...] = ()
    inference_p50_j: float | None = None
    inference_p95_j: float | None = None
    failures: InferenceFailures | None = None  # None: no inference of this cell could fail alone
    protocol: Protocol | None = None
    last_started: str = ""  # of its trials, whatever became of them; UTC, ISO 8601
    disturbed: float | None = None  # share of the finished trials that others disturbed
