"""A figure over the trials of a cell, with its intervals: of the trials, of the meters, of the
sessions. Joules per 1,000 inferences, without carbon."""

from __future__ import annotations

import math
import sys
from typing import Annotated, NamedTuple

import msgspec

from permille.analysis import intervals
from permille.analysis.rerun import (
    Measurement,
    Rerun,
    SessionMean,
    rerun,
    selection_factor,
    session_means,
)
from permille.analysis.stopping import by_rule, stopped_summary
from permille.analysis.student import student_t
from permille.errors import StoreError
from permille.records import LEAST, MOST, Record
from permille.records.energy import Estimate
from permille.records.trial import Stopping

Draws = tuple[int, float, float | None]
"""A number of draws, their mean and sd."""


class BlockPlace(NamedTuple):
    """The session and the block that a trial was measured in, and the machine."""

    session: str
    block: int
    machine: str = ""


# The bounds are for roll-ups, which anybody can have written: one with a figure out of them is not
# used (rolled.py), as no interval could be computed from it. msgspec checks them as it decodes,
# which readers do not notice.
_Count = Annotated[int, msgspec.Meta(ge=1)]
_MOST = 1_000 * MOST / LEAST  # of trials that can be stored, per 1,000 of a count
_Finite = Annotated[float, msgspec.Meta(ge=-_MOST, le=_MOST)]
_NotNegative = Annotated[float, msgspec.Meta(ge=0, le=_MOST)]
# The end of an interval of honest trials may be very large, but never infinite.
_Number = Annotated[float, msgspec.Meta(ge=-sys.float_info.max, le=sys.float_info.max)]


class SumsIntervals(Record, array_like=True):
    """The intervals of a figure: with the systematic part, and of the trials alone (``spread``).
    ``selection_factor``: by how much those over its sessions are widened (see :mod:`.rerun`).
    ``sessions`` and what follows is None if they are not over sessions."""

    value: _Number
    low: _Number | None
    high: _Number | None
    spread_low: _Number | None
    spread_high: _Number | None
    selection_factor: _Number
    sessions: int | None = None
    machines: int | None = None
    rerun_low: _Number | None = None
    rerun_high: _Number | None = None

    @property
    def estimate(self) -> Estimate:
        """The value with the interval that counts."""
        return Estimate(
            value=self.value,
            low=self.low,
            high=self.high,
            sessions=self.sessions,
            machines=self.machines,
            rerun_low=self.rerun_low,
            rerun_high=self.rerun_high,
        )

    @property
    def spread(self) -> Estimate:
        """The value with the interval of the trials alone."""
        return Estimate(value=self.value, low=self.spread_low, high=self.spread_high)

    @property
    def over_sessions(self) -> bool:
        """Whether the sessions are what varies."""
        return self.sessions is not None

    def packed(self) -> bytes:
        """As a cell keeps them: of 15,000 cells, most figures are read by nobody, and as numbers
        they take several times the memory."""
        return msgspec.msgpack.encode(self)


_INTERVALS = msgspec.msgpack.Decoder(SumsIntervals)


def _kept_intervals(packed: bytes) -> SumsIntervals:
    """Intervals that were worked out before.

    Raises:
        StoreError: they are not intervals.
    """
    try:
        return _INTERVALS.decode(packed)
    except msgspec.DecodeError as error:
        # Damage would not have got past the checksum.
        raise StoreError(
            f"the store's figures were changed by another program (an interval is wrong: {error});"
            " get the store anew from where it was measured"
        ) from error


class Sums(Record, array_like=True):
    """A figure over the trials of a cell, in joules per 1,000 inferences.

    ``values`` has one per trial; if only sums are known (the shipped figures of a study) it is
    empty. ``low`` and ``high`` are the relative systematic uncertainty below and above from meter
    accuracy and edges (k = 2), which more repeats do not reduce. ``places`` has the session and
    the block of each trial, and ``block_values`` its figure; both are empty if a trial does not
    know its own. ``rerun_precision``: sessions were repeated until they agreed within it. ``kept``:
    the intervals, where they were worked out before (see :meth:`SumsIntervals.packed`).
    """

    n: _Count
    mean: _Finite
    sd: _NotNegative | None
    low: _NotNegative
    high: _NotNegative
    edge: _NotNegative = 0.0  # the contribution of edges to low and high; relative, k = 2
    values: tuple[_Finite, ...] = ()
    asked: Stopping | None = None
    signed: bool = False  # whether it is a net energy, whose interval may reach below 0
    block_values: tuple[_Finite, ...] = ()
    places: tuple[BlockPlace, ...] = ()
    rerun_precision: float | None = None
    kept: bytes | None = None

    def estimate(self) -> Estimate:
        """The mean with its 95 % interval: spread of the trials and systematic, combined.

        Trials that a stopping rule ended have the interval of that rule, because Student's t would
        be too narrow.
        """
        return self.intervals().estimate

    def intervals(self) -> SumsIntervals:
        """The intervals, for those who need several of them."""
        if self.kept is not None:
            return _kept_intervals(self.kept)
        over, factor = self._over_sessions()
        spread = self._spread(over)
        widened = intervals.with_systematic(spread, self.low, self.high)
        if not self.signed:
            widened = intervals.not_negative(widened)
        alone = SumsIntervals(
            value=spread.value,
            low=widened.low,
            high=widened.high,
            spread_low=spread.low,
            spread_high=spread.high,
            selection_factor=factor,
        )
        if over is None:
            return alone
        # The interval of a stopping rule is over trials: it does not say what a rerun would give.
        low, high = (None, None) if self.asked is not None else over.rerun_around(spread.value)
        return msgspec.structs.replace(
            alone,
            sessions=over.sessions,
            machines=over.machines,
            rerun_low=low,
            rerun_high=high,
        )

    def session_means(self) -> list[SessionMean]:
        """Each session's mean of the logarithms; none if one of them is missing."""
        values = self.block_values
        if not values or self.mean <= 0 or min(values) <= 0:
            return []
        return session_means(
            Measurement(session=p.session, block=p.block, value=math.log(v), machine=p.machine)
            for p, v in zip(self.places, values, strict=True)
        )

    @property
    def session_names(self) -> frozenset[str]:
        """The sessions that its trials were measured in; none if a trial does not know its own."""
        return frozenset(place.session for place in self.places)

    @property
    def value(self) -> float:
        """The figure: the mean, without a first repeat that a stopping rule left out."""
        return self.spread().value

    @property
    def accuracy(self) -> tuple[float, float]:
        """``low`` and ``high`` without the edges: what the accuracy of the meters alone adds."""
        low, high = (math.sqrt(max(0.0, side**2 - self.edge**2)) for side in (self.low, self.high))
        return low, high

    def for_ratio(self) -> Draws:
        """Number, mean and sd of what a ratio without pairs takes for independent draws.

        These are the trials or, where these are of several sessions, the sessions (machines, of
        several), as for the figure itself. Trials that a stopping rule ended (see
        ``stopping.stopped_summary``) give way to their sessions only where these leave more
        uncertain: a spread that decided when to stop may be small by chance.
        """
        if self.asked is not None and self.values:
            trials = stopped_summary(self.values)
            over = self._over_sessions()[0]
            if over is None or over.half is None:
                return trials
            sessions = _as_draws(over.sessions, over.machines, trials[1], over.half)
            return max(trials, sessions, key=_half_width) if sessions else trials
        found = self.intervals()
        high = found.spread_high
        # Not where a roll-up that somebody else wrote has an end below the figure.
        if found.sessions is None or high is None or not 0 < found.value <= high:
            return self.n, self.mean, self.sd
        half = math.log(high) - math.log(found.value)
        sessions = _as_draws(found.sessions, found.machines or 1, found.value, half)
        return sessions or (self.n, self.mean, self.sd)

    def spread(self) -> Estimate:
        """The mean with the interval from only the trials."""
        if self.kept is not None:
            return self.intervals().spread
        return self._spread(self._over_sessions()[0])

    @property
    def selection_factor(self) -> float:
        """By how much intervals over its sessions are widened (see :mod:`.rerun`)."""
        if self.kept is not None:
            return self.intervals().selection_factor
        return self._over_sessions()[1]

    def _over_sessions(self) -> tuple[Rerun | None, float]:
        """The logarithms of the trials over their sessions, None if a session or a logarithm is
        missing; and by how much that is widened."""
        means = self.session_means()
        if not means:
            return None, 1.0
        over = rerun(means)
        factor = selection_factor(over, self.rerun_precision)
        return over.widened(factor), factor

    def _spread(self, over: Rerun | None) -> Estimate:
        if self.asked is not None and self.values:
            return by_rule(self.values, self.asked).estimate
        if over is not None and over.sessions > 1 and over.half is not None:
            # Trials of one session share more than those of several: sessions are what varies.
            return intervals.on_log_scale(self._mean_of_sessions(), over.half, over.half)
        return intervals.mean_from(self.n, self.mean, self.sd)

    def _mean_of_sessions(self) -> float:
        """The mean over machines of the mean over sessions, as of :func:`.rerun.rerun`."""
        machines: dict[str, dict[str, list[float]]] = {}
        for place, value in zip(self.places, self.block_values, strict=True):
            sessions = machines.setdefault(place.machine, {})
            sessions.setdefault(place.session, []).append(value)
        means = [[math.fsum(v) / len(v) for v in one.values()] for one in machines.values()]
        return math.fsum(math.fsum(one) / len(one) for one in means) / len(means)


def _as_draws(sessions: int, machines: int, value: float, half: float) -> Draws | None:
    """The sessions or machines of which the half-width of a logarithm was made; None of a single
    session."""
    if sessions < 2:
        return None
    n = machines if machines > 1 else sessions
    # The sd of a logarithm is relative to the value.
    return n, value, value * half * math.sqrt(n) / student_t(n - 1)


def _half_width(draws: Draws) -> float:
    """Of the mean, by Student's t; 0 where there is none."""
    n, _, sd = draws
    return 0.0 if sd is None else student_t(n - 1) * sd / math.sqrt(n)
