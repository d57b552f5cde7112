"""Series of readings for the tests of energy: exact where a test needs it exact."""

from __future__ import annotations

import itertools
from typing import Any

from permille.records.energy import DomainEnergy, Refused
from permille.records.recording import RecorderStats, Series, Span
from tests.records import domain

S = 1_000_000_000
STATS = RecorderStats(cpu_s=0.0, wall_s=0.0, polls=0, missed=0, interval_s=0.1)


def readings(*points: tuple[float, float], name: str = "cpu:0", **changed: Any) -> Series:
    """A series of (seconds, joules)."""
    return Series(
        domain=domain(name, **changed),
        t_ns=tuple(round(t_s * S) for t_s, _ in points),
        energy_j=tuple(level_j for _, level_j in points),
    )


def constant(
    power_w: float, seconds: float, step_s: float = 0.1, name: str = "cpu:0", **changed: Any
) -> Series:
    """A series read exactly every ``step_s``."""
    n = round(seconds / step_s) + 1
    points = ((i * step_s, power_w * i * step_s) for i in range(n))
    return readings(*points, name=name, **changed)


def stopping(name: str, stop_s: tuple[float, float], *, per_s: int = 10, **changed: Any) -> Series:
    """60 W for 10 s, read ``per_s`` times a second, by a counter that stands still between two
    instants."""
    each_j = 60.0 / per_s
    stopped = (stop_s[0] <= i / per_s < stop_s[1] for i in range(10 * per_s))
    levels = itertools.accumulate((0.0 if still else each_j for still in stopped), initial=0.0)
    points = ((i / per_s, level_j) for i, level_j in enumerate(levels))
    return readings(*points, name=name, **({"tick_s": 0.001} | changed))


def span(t0_s: float, t1_s: float, **attributes: Any) -> Span:
    """A query between two instants."""
    t0_ns, t1_ns = round(t0_s * S), round(t1_s * S)
    return Span(name="query", t0_ns=t0_ns, t1_ns=t1_ns, attributes=attributes)


def figure_of(result: DomainEnergy | Refused) -> DomainEnergy:
    """The figure, which must not be a refusal."""
    assert isinstance(result, DomainEnergy), result
    return result


def reason_of(result: DomainEnergy | Refused) -> str:
    """Why there is no figure; there must not be one."""
    assert isinstance(result, Refused), result
    return result.reason
