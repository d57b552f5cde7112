"""The frozen records that every layer speaks. This module imports nothing of permille's.

Units are in the names: ``t_ns`` is CLOCK_MONOTONIC in nanoseconds (``time.monotonic_ns``),
``energy_j`` joules, ``power_w`` watts. Missing is ``None``, never 0.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal, dataclass_transform

import msgspec


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class _RecordMeta(msgspec.StructMeta):
    """msgspec's, but every record is frozen and made by keyword without saying so again:
    msgspec does not hand ``kw_only`` down, and type checkers must know of both."""

    def __new__(
        mcls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **config: Any
    ) -> Any:
        return super().__new__(
            mcls, name, bases, namespace, **({"frozen": True, "kw_only": True} | config)
        )


class Record(msgspec.Struct, metaclass=_RecordMeta):
    """Base of every record: immutable, made by keyword."""


class JsonOutput(Record, kw_only=True):
    """Base of every document that ``--json`` prints. ``schema`` is the version of its shape."""

    schema: Literal[1] = 1


class Provenance(StrEnum):
    """How a domain's figure came to be; strongest first."""

    MEASURED = "measured"
    REPLAYED = "replayed"
    MODELLED = "modelled"
    ESTIMATED = "estimated"

    @property
    def weakness(self) -> int:
        """0 for a measurement, greater the weaker."""
        return list(Provenance).index(self)


DomainKind = Literal["cpu", "dram", "gpu", "node", "other"]
Boundary = Literal["accelerator", "compute", "node", "facility"]
BOUNDARIES: tuple[Boundary, ...] = ("accelerator", "compute", "node", "facility")
Category = Literal["task-specific", "general-purpose"]
CellCategory = Literal["task-specific", "general-purpose", "unknown"]
Status = Literal["done", "failed", "invalid"]


# --- what is measured --------------------------------------------------------------------


class Domain(Record):
    """One thing that a meter measures.

    ``accuracy_low`` and ``accuracy_high`` are relative and cover k = 2 (about 95 %): the true
    energy lies between ``(1 - accuracy_low)`` and ``(1 + accuracy_high)`` times the figure.
    ``covers`` names the kinds of domain whose energy is already inside this one, so that a sum
    never counts a joule twice. ``in_use`` is false for a device that the workload left idle.
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


class Event(Record):
    """An event affecting a series between two instants.

    ``invalid``: a figure of any span that it touches would be wrong (a reset, a gap that could
    hide a wrap, a suspend). ``notice``: worth saying (throttling, another tenant).
    """

    t0_ns: int
    t1_ns: int
    kind: Literal["invalid", "notice"]
    reason: str
    domain: str | None = None  # None: the whole machine


class Series(Record):
    """Cumulative joules of one domain, unwrapped, at increasing instants. Same lengths."""

    domain: Domain
    t_ns: tuple[int, ...]
    energy_j: tuple[float, ...]


class CpuSeries(Record):
    """CPU seconds used at increasing instants: by the whole machine, of them by the run's own
    processes, and those that the hypervisor took. Same lengths. ``cpus``: of the machine."""

    cpus: int
    t_ns: tuple[int, ...]
    busy_s: tuple[float, ...]
    own_s: tuple[float, ...]
    steal_s: tuple[float, ...]


class RecorderStats(Record):
    """What the recorder itself took: its CPU time (s), polls made and deadlines missed."""

    cpu_s: float
    wall_s: float
    polls: int
    missed: int
    interval_s: float


class Recording(Record):
    """All that the recorder saw between two cuts."""

    series: tuple[Series, ...]
    events: tuple[Event, ...]
    stats: RecorderStats
    shared: bool = False  # another run was allowed on this machine at the time
    marks: tuple[int, ...] = ()  # when readings that a worker asked for were done (ns)
    cpu: CpuSeries | None = None  # None: the system does not tell


class Span(Record):
    """A named stretch of a worker's time."""

    name: str
    t0_ns: int
    t1_ns: int
    attributes: dict[str, Any] = {}

    @property
    def seconds(self) -> float:
        """The span's length in seconds."""
        return (self.t1_ns - self.t0_ns) / 1e9


# --- what energy makes of it -------------------------------------------------------------


class DomainEnergy(Record):
    """Energy of one domain over one span.

    ``edge_j`` is the standard uncertainty (k = 1, joules) from ticks, resolution and the
    instants of reading; the meter's own accuracy is in ``accuracy_low`` / ``_high`` (relative,
    k = 2), as in :class:`Domain`.
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


class Problem(Record):
    """Why a domain has no figure for a span."""

    reason: str
    kind: DomainKind
    in_use: bool = True


class Refused(Record):
    """In place of a figure that cannot be given: why."""

    reason: str


class Disturbance(Record):
    """What others took of the machine's CPU time during a span (shares of all of it): processes
    that are not the run's, and the hypervisor. ``disturbed``: enough of it to spoil a figure."""

    others: float
    steal: float
    disturbed: bool


class Phase(Record):
    """One span of a trial with its energy. ``domains`` holds only what could be determined;
    ``problems`` names, by domain, what could not and why."""

    seconds: float
    domains: dict[str, DomainEnergy]
    problems: dict[str, Problem] = {}
    inferences: int | None = None
    disturbance: Disturbance | None = None  # None: it cannot be told


class Estimate(Record):
    """A figure with its 95 % interval. ``low`` and ``high`` are None where there is none
    to give (a single trial)."""

    value: float
    low: float | None
    high: float | None


# --- what is run -------------------------------------------------------------------------


class ModelFacts(Record):
    """What a model is, read from its own files."""

    params: int | None = None
    active_params: int | None = None
    architecture: str | None = None
    size_bytes: int | None = None
    files: dict[str, str] = {}  # file name -> sha256
    weights: str | None = None  # "replica" where the weights are random; None: its own


class Cell(Record):
    """One (task, dataset, model, backend, settings). Its id is a hash of this content.

    ``category`` is ``unknown`` only where an imported file does not tell it.
    """

    id: str
    task: str
    dataset: str
    model: str
    category: CellCategory
    backend: str
    settings: dict[str, Any] = {}


class Protocol(Record):
    """How a trial was run."""

    inferences: int  # asked for; a trial may have done whole passes more, see Phase.inferences
    warmup_max: int = 0
    idle_s: float = 0.0
    batch_size: int = 1
    seed: int = 0
    name: str = "permille-1"


class Stopping(Record):
    """The rule a trial was repeated under, where the number of repeats was not fixed: until the
    interval of the mean is within ±``precision`` (relative), at most ``max_repeats``."""

    precision: float
    max_repeats: int


class Latency(Record):
    """Seconds that an answer takes over the query span; where several samples go through at once,
    those of the whole batch, for which each of them waits. ``n``: calls that were timed.
    ``first_token_*`` until the first piece of a streamed answer."""

    p50: float
    p95: float
    mean: float
    n: int
    p99: float | None = None
    first_token_p50: float | None = None
    first_token_p95: float | None = None


class EachInference(Record):
    """Joules of single inferences within the ``compute`` boundary: of ``n`` that the meters could
    carry, while ``refused`` were too short for them."""

    n: int
    refused: int
    p50_j: float | None
    p95_j: float | None


class Quality(Record):
    """A score of the answers against the references, on ``n`` distinct samples (None where an
    imported score does not say).

    ``standard_error`` is of the sampling of the dataset. ``unreadable`` counts answers of a
    general-purpose model that could not be read; they are wrong in ``value`` already.
    ``others`` holds further metrics. ``scores`` are those of the single samples, packed (see
    :mod:`permille.metrics`), empty in what was stored before they were kept, and ``samples`` is
    the digest of the samples' ids in their order.
    """

    metric: str
    value: float
    n: int | None
    standard_error: float | None = None
    unreadable: int = 0
    others: dict[str, float] = {}
    scores: bytes = b""
    samples: str = ""


class Environment(Record):
    """Hardware and versions. Trials of different fingerprints are not pooled."""

    fingerprint: str
    facts: dict[str, str] = {}


class GpuState(Record):
    """One GPU as a session began. Clocks are those at that moment; None: not readable."""

    name: str
    device: str | None = None
    clock_mhz: int | None = None
    memory_clock_mhz: int | None = None
    power_limit_w: float | None = None
    temperature_c: float | None = None


class MachineState(Record):
    """What a machine's energy and speed depend on beyond its hardware and versions, and what may
    differ the next day. None: not readable.

    ``load_1min`` is the load average; ``steal`` the share of CPU time since boot that the
    hypervisor gave to others; ``temperature_c`` that of the hottest processor package.
    """

    kernel: str | None = None
    microcode: str | None = None
    governor: str | None = None
    turbo: bool | None = None
    load_1min: float | None = None
    steal: float | None = None
    temperature_c: float | None = None
    gpu_driver: str | None = None
    gpus: tuple[GpuState, ...] = ()


class MachineSession(Record):
    """Measuring on one boot of one machine without a long break.

    ``machine`` and ``boot`` are digests: the ids themselves are not stored. ``ended`` is when the
    last trial so far ended; ``end_temperature_c`` is the temperature then. ``blocks`` counts the
    blocks begun, which are numbered from 0. ``requested``: begun because the user asked for a new
    session, though the break before it was short.
    """

    id: str
    machine: str | None
    boot: str | None
    started: str  # UTC, ISO 8601
    ended: str  # UTC, ISO 8601
    state: MachineState = MachineState()
    end_temperature_c: float | None = None
    blocks: int = 0
    requested: bool = False


class Trial(Record):
    """One repeat of a cell, in a fresh process; or one imported run.

    ``source`` says who measured: ``permille``, ``codecarbon``, ``power-hungry-2023``, ….
    ``phases`` maps ``idle``, ``load``, ``warmup``, ``query`` to their energy. ``counts`` holds
    what was processed in the query span (``tokens_in``, ``tokens_out``, ``images``, …) and, of a
    server, how many inferences ``failed``: they are in no other figure but the energy.
    """

    uid: str
    study: str
    cell: Cell
    repeat: int
    status: Status
    reason: str | None
    started: str  # UTC, ISO 8601
    protocol: Protocol
    environment: Environment
    source: str = "permille"
    device: str | None = None
    facts: ModelFacts = ModelFacts()
    phases: dict[str, Phase] = {}
    latency: Latency | None = None
    each: EachInference | None = None
    quality: Quality | None = None
    counts: dict[str, float] = {}
    overhead: RecorderStats | None = None
    stopping: Stopping | None = None
    notes: tuple[str, ...] = ()
    round: int = 0  # how often the cell had been started over (run --fresh)
    last_lines: tuple[str, ...] = ()  # the last that a failed worker printed
    session: str | None = None  # the session's id; None: stored before sessions were kept
    block: int | None = None  # the block's number within the session
