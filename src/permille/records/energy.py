"""The energy of spans, computed from a recording, or the reason why it is unknown."""

from __future__ import annotations

from typing import Literal

from permille.records import Record
from permille.records.recording import DomainKind, Provenance

Boundary = Literal["accelerator", "compute", "node", "facility"]
BOUNDARIES: tuple[Boundary, ...] = ("accelerator", "compute", "node", "facility")


class DomainEnergy(Record):
    """Energy of one domain over one span.

    ``edge_j`` is the standard uncertainty (k = 1, joules) from ticks, resolution and the
    times of the readings; the meter's own accuracy is in ``accuracy_low`` / ``_high`` (relative,
    k = 2), as in :class:`Domain`. For an estimate, ``time_j`` is the part that depends on time
    alone, and ``own_j`` the figure without the work of other processes; None for a counter, or if
    unknown.
    """

    energy_j: float
    edge_j: float
    accuracy_low: float
    accuracy_high: float
    provenance: Provenance
    kind: DomainKind
    meter: str
    covers: tuple[DomainKind, ...] = ()
    in_use: bool = True
    time_j: float | None = None
    own_j: float | None = None
    offset_j: float = 0.0  # of a constant error of the meter (k = 2); the accuracy includes it


class Problem(Record):
    """Why a domain has no figure for a span."""

    reason: str
    kind: DomainKind
    in_use: bool = True


class Refused(Record):
    """The reason why a figure cannot be given, in place of it."""

    reason: str


class Disturbance(Record):
    """The shares of the machine's CPU time during a span used by processes outside the run and by
    the hypervisor (null where the system does not report it). ``disturbed``: enough to affect a
    figure, as far as they are known."""

    others: float
    steal: float | None
    disturbed: bool


class Phase(Record):
    """One span of a trial with its energy. ``domains`` has only figures that could be determined;
    ``problems`` has the reasons for the other domains."""

    seconds: float
    domains: dict[str, DomainEnergy]
    problems: dict[str, Problem] = {}
    inferences: int | None = None
    disturbance: Disturbance | None = None  # None: unknown


class Estimate(Record):
    """A figure with its 95 % interval. ``low`` and ``high`` are None if there is none (a single
    trial). ``sessions``: how many the interval is over, None if that is unknown, and ``machines``:
    of how many they are. ``rerun_low`` and ``rerun_high``: where the figure of one more session
    would lie (95 %), from two sessions on; of several machines, a session on one more of them."""

    value: float
    low: float | None
    high: float | None
    sessions: int | None = None
    machines: int | None = None
    rerun_low: float | None = None
    rerun_high: float | None = None
