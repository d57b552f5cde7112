"""What the recorder observes: domains, their readings over time, and what affects them."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

from permille.records import Record


class Provenance(StrEnum):
    """The origin of a domain's figure; strongest first."""

    MEASURED = "measured"
    REPLAYED = "replayed"
    MODELLED = "modelled"
    ESTIMATED = "estimated"

    @property
    def weakness(self) -> int:
        """0 for a measurement; greater values are weaker."""
        return _WEAKNESS[self]


_WEAKNESS = {provenance: place for place, provenance in enumerate(Provenance)}
DomainKind = Literal["cpu", "dram", "gpu", "node", "other"]


class PowerSensor(Record):
    """How a power reading is made, for a meter that has no energy counter (seconds).

    A reading is the mean power over ``window_s``, renewed every ``period_s``. Of each period only
    ``sampled`` (0 to 1) is seen by the sensor. ``source`` says who found that out.
    """

    window_s: float
    period_s: float
    sampled: float = 1.0
    source: str = ""

    @property
    def lag_s(self) -> float:
        """How far in the past, on average, lies the middle of what a reading describes."""
        return (self.window_s + self.period_s) / 2


class Domain(Record):
    """One thing that a meter measures.

    ``accuracy_low`` and ``accuracy_high`` are relative and cover k = 2 (about 95 %): the true
    energy is between ``(1 - accuracy_low)`` and ``(1 + accuracy_high)`` times the figure.
    ``covers`` names the kinds of domain whose energy this one already includes, so that a sum never
    counts a joule twice. ``in_use`` is false for a device that the workload did not use.
    ``time_w``, of an estimate: the watts that depend on time alone, not on the work done.
    ``offset_w``: a constant error of up to so many watts either way (k = 2), on top of that.
    ``sensor``: how the power readings are made, if the recorder integrates power.
    ``checks``: the domain of which this is a second reading, which is compared and never counted.
    """

    name: str
    kind: DomainKind
    meter: str
    provenance: Provenance
    accuracy_low: float
    accuracy_high: float
    accuracy_source: str = ""
    resolution_j: float | None = None
    tick_s: float | None = None
    wrap_j: float | None = None
    max_power_w: float | None = None
    covers: tuple[DomainKind, ...] = ()
    in_use: bool = True
    device: str | None = None
    time_w: float | None = None
    offset_w: float = 0.0
    sensor: PowerSensor | None = None
    checks: str | None = None


class Event(Record):
    """An event affecting a series between two times.

    ``invalid``: a figure of any span that it touches would be wrong (a reset, a gap that could
    hide a wrap, a suspend). ``notice``: a remark (throttling, another tenant).
    """

    t0_ns: int
    t1_ns: int
    kind: Literal["invalid", "notice"]
    reason: str
    domain: str | None = None  # None: the whole machine


class Series(Record):
    """Cumulative joules of one domain, unwrapped, at increasing times. Both have the same
    length. ``clock_s``: how far the times may be off the spans' clock either way (half-width,
    seconds), if another machine's clock dated the readings."""

    domain: Domain
    t_ns: tuple[int, ...]
    energy_j: tuple[float, ...]
    clock_s: float = 0.0


class CpuSeries(Record):
    """Cumulative CPU seconds at increasing times: of the whole machine, of the run's own processes
    (included in those), and steal time (None: the system does not report it). All have the same
    length. ``cpus``: of the machine."""

    cpus: int
    t_ns: tuple[int, ...]
    busy_s: tuple[float, ...]
    own_s: tuple[float, ...]
    steal_s: tuple[float, ...] | None


class RecorderStats(Record):
    """The recorder's own cost: its CPU time (s), polls, and missed deadlines."""

    cpu_s: float
    wall_s: float
    polls: int
    missed: int
    interval_s: float


class Recording(Record):
    """Everything that the recorder observed between ``begin`` and ``take``."""

    series: tuple[Series, ...]
    events: tuple[Event, ...]
    stats: RecorderStats
    shared: bool = False  # concurrent runs were allowed on this machine
    marks: tuple[int, ...] = ()  # times of the readings that a worker requested (ns)
    cpu: CpuSeries | None = None  # None: the system does not report it
    cross_checks: tuple[Series, ...] = ()  # second readings of what is in ``series``


class Span(Record):
    """A named period of a worker's time. ``pauses``: from when to when the work in it rested."""

    name: str
    t0_ns: int
    t1_ns: int
    attributes: dict[str, Any] = {}
    pauses: tuple[tuple[int, int], ...] = ()

    @property
    def seconds(self) -> float:
        """The span's length in seconds."""
        return (self.t1_ns - self.t0_ns) / 1e9
