"""A figure with its interval: as it is printed, and in other units."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

from permille.records import Record
from permille.records.energy import Estimate


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
