"""A figure with its interval: as it is printed, and in other units."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, Self

from permille.records import Record
from permille.records.energy import Estimate


class _Figure(Protocol):
    """A figure with its intervals, in any unit: an :class:`Estimate`, or what a cell has of it."""

    @property
    def value(self) -> float:
        """The figure."""

    @property
    def low(self) -> float | None:
        """The lower end of its interval."""

    @property
    def high(self) -> float | None:
        """The upper end."""

    @property
    def sessions(self) -> int | None:
        """How many sessions it is over."""

    @property
    def machines(self) -> int | None:
        """Of how many machines they are."""

    @property
    def rerun_low(self) -> float | None:
        """The lower end of where one more session's figure would lie."""

    @property
    def rerun_high(self) -> float | None:
        """The upper end."""


class RerunInterval(Record):
    """Where the figure of one more session would lie (95 %)."""

    low: float
    high: float


class Interval(Record):
    """A figure with its 95 % interval. All are null if there is no figure; ``low`` and ``high`` are
    null if the uncertainty is unknown (a single trial)."""

    value: float | None = None
    low: float | None = None
    high: float | None = None

    @classmethod
    def of(cls, estimate: Estimate | None) -> Self:
        """The estimate in printed form."""
        if estimate is None:
            return cls()
        return cls(value=estimate.value, low=estimate.low, high=estimate.high)

    @classmethod
    def in_unit(cls, figure: _Figure, divisor: float, factor: float) -> Self:
        """The figure in printed form, divided by the one and multiplied by the other."""
        # Not by scaled() and a function: a table of 15,000 rows has 100,000 such figures.
        low, high = figure.low, figure.high
        return cls(
            value=figure.value / divisor * factor,
            low=None if low is None else low / divisor * factor,
            high=None if high is None else high / divisor * factor,
        )

    @classmethod
    def known(cls, estimate: Estimate | None) -> Self | None:
        """The same, but nothing where there is no figure."""
        return None if estimate is None else cls.of(estimate)


class SessionInterval(Interval):
    """An interval over trials that know their sessions. ``sessions``: how many, null if that is
    unknown; ``machines``: of how many; ``rerun``: from two sessions on, where the figure of one
    more would lie, on one more machine if they are of several."""

    rerun: RerunInterval | None = None
    sessions: int | None = None
    machines: int | None = None

    @classmethod
    def of(cls, estimate: Estimate | None) -> Self:
        """The estimate in printed form."""
        if estimate is None:
            return cls()
        rerun = None
        if estimate.rerun_low is not None and estimate.rerun_high is not None:
            rerun = RerunInterval(low=estimate.rerun_low, high=estimate.rerun_high)
        return cls(
            value=estimate.value,
            low=estimate.low,
            high=estimate.high,
            rerun=rerun,
            sessions=estimate.sessions,
            machines=estimate.machines,
        )

    @classmethod
    def in_unit(cls, figure: _Figure, divisor: float, factor: float) -> Self:
        """As :meth:`Interval.in_unit`."""
        low, high = figure.low, figure.high
        rerun_low, rerun_high, rerun = figure.rerun_low, figure.rerun_high, None
        if rerun_low is not None and rerun_high is not None:
            rerun = RerunInterval(
                low=rerun_low / divisor * factor, high=rerun_high / divisor * factor
            )
        return cls(
            value=figure.value / divisor * factor,
            low=None if low is None else low / divisor * factor,
            high=None if high is None else high / divisor * factor,
            rerun=rerun,
            sessions=figure.sessions,
            machines=figure.machines,
        )

    def times(self, factor: float) -> Self:
        """All of it multiplied."""
        value, low, high, rerun = self.value, self.low, self.high, self.rerun
        return type(self)(
            value=None if value is None else value * factor,
            low=None if low is None else low * factor,
            high=None if high is None else high * factor,
            rerun=rerun and RerunInterval(low=rerun.low * factor, high=rerun.high * factor),
            sessions=self.sessions,
            machines=self.machines,
        )


def estimate_of(interval: Interval) -> Estimate | None:
    """The estimate that is printed so; None if there is no figure."""
    if interval.value is None:
        return None
    if not isinstance(interval, SessionInterval):
        return Estimate(value=interval.value, low=interval.low, high=interval.high)
    rerun = interval.rerun
    return Estimate(
        value=interval.value,
        low=interval.low,
        high=interval.high,
        sessions=interval.sessions,
        machines=interval.machines,
        rerun_low=None if rerun is None else rerun.low,
        rerun_high=None if rerun is None else rerun.high,
    )


def scaled(estimate: Estimate, factor: Callable[[float], float]) -> Estimate:
    """The estimate in another unit; ``factor`` must be increasing."""
    low, high = estimate.low, estimate.high
    rerun_low, rerun_high = estimate.rerun_low, estimate.rerun_high
    return Estimate(
        value=factor(estimate.value),
        low=None if low is None else factor(low),
        high=None if high is None else factor(high),
        sessions=estimate.sessions,
        machines=estimate.machines,
        rerun_low=None if rerun_low is None else factor(rerun_low),
        rerun_high=None if rerun_high is None else factor(rerun_high),
    )
