"""The frozen records that all layers use. This module imports no other permille module.

Units are in the names: ``t_ns`` is CLOCK_MONOTONIC in nanoseconds (``time.monotonic_ns``),
``energy_j`` joules, ``power_w`` watts. Missing is ``None``, never 0.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal, dataclass_transform

import msgspec


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class _RecordMeta(msgspec.StructMeta):
    """msgspec's metaclass, with ``frozen`` and ``kw_only`` for every record: msgspec does not
    inherit ``kw_only``, and type checkers must know both. The garbage collector looks for cycles,
    which immutable records do not form: it need not go through millions of them."""

    def __new__(
        mcls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **config: Any
    ) -> Any:
        plain = {"frozen": True, "kw_only": True, "gc": False}
        return super().__new__(mcls, name, bases, namespace, **(plain | config))


class Record(msgspec.Struct, metaclass=_RecordMeta):
    """Base of every record: immutable, with keyword-only arguments."""


class JsonOutput(Record, kw_only=True):
    """Base of every document that ``--json`` prints. ``schema`` is the version of its shape."""

    schema: Literal[1] = 1


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
Boundary = Literal["accelerator", "compute", "node", "facility"]
BOUNDARIES: tuple[Boundary, ...] = ("accelerator", "compute", "node", "facility")
Category = Literal["task-specific", "general-purpose"]
CellCategory = Literal["task-specific", "general-purpose", "unknown"]
Status = Literal["done", "failed", "invalid"]
FailureKind = Literal["overload", "other"]
"""``overload``: a server that could not keep up with the arrivals of its requests."""


# --- what is measured --------------------------------------------------------------------


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
    (included in those), and steal time. All have the same length. ``cpus``: of the machine."""

    cpus: int
    t_ns: tuple[int, ...]
    busy_s: tuple[float, ...]
    own_s: tuple[float, ...]
    steal_s: tuple[float, ...]


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


# --- computed energy ---------------------------------------------------------------------


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
    the hypervisor. ``disturbed``: enough to affect a figure."""

    others: float
    steal: float
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


# --- the workload ------------------------------------------------------------------------


class ModelFacts(Record):
    """Facts about a model, read from its files."""

    params: int | None = None
    active_params: int | None = None
    architecture: str | None = None
    size_bytes: int | None = None
    files: dict[str, str] = {}  # file name -> sha256
    weights: str | None = None  # "replica" if the weights are random; None: its own


class Cell(Record):
    """One (task, dataset, model, backend, settings). Its id is a hash of this content.

    ``category`` is ``unknown`` only if an imported file does not state it.
    """

    id: str
    task: str
    dataset: str
    model: str
    category: CellCategory
    backend: str
    settings: dict[str, Any] = {}


PER_GPU = "permille-1-per-gpu"
"""The name of the protocol of trials that ran beside others, each on a GPU of its own: they are
comparable with each other alone, within ``accelerator``."""


class Protocol(Record):
    """How a trial was run."""

    inferences: int  # requested; a trial may have made additional passes, see Phase.inferences
    warmup_max: int = 0
    idle_s: float = 0.0
    batch_size: int = 1
    seed: int = 0
    name: str = "permille-1"


SHARED_SERVER = "permille-1, shared server"
"""The name of the protocol of trials that share a server: what earlier trials left in it, and its
idle power in the baseline, make another experiment of them."""


class Stopping(Record):
    """The stopping rule of a trial without a fixed number of repeats: until the interval of the
    mean is within ±``precision`` (relative), at most ``max_repeats``."""

    precision: float
    max_repeats: int


class Latency(Record):
    """Seconds per answer in the query span; for batches, those of the whole batch, because each
    sample waits for it. ``n``: the number of timed calls. ``first_token_*``: until the first piece
    of a streamed answer. ``output_token_*``: of each answer, the mean time between its output
    tokens after the first piece."""

    p50: float
    p95: float
    mean: float
    n: int
    p99: float | None = None
    first_token_p50: float | None = None
    first_token_p95: float | None = None
    first_token_p99: float | None = None
    output_token_p50: float | None = None
    output_token_p95: float | None = None
    output_token_p99: float | None = None


class RequestTimes(Record):
    """The streamed requests of a server around a query span, each at the same place of every list:
    when it was sent and when the first and the last token of its answer came (ns from the start of
    the span), its input tokens that did not come from a cache, and its output tokens."""

    sent_ns: tuple[int, ...]
    first_ns: tuple[int, ...]
    last_ns: tuple[int, ...]
    tokens_in: tuple[int, ...]
    tokens_out: tuple[int, ...]


class AnswerTimes(Record):
    """The times of a server's successful answers in a query span (ns), each answer at the same
    place of every list: until the whole answer, until the first token, and per output token after
    it. None: unknown. ``n``: the number of all answers, over which those here are spread evenly.
    """

    n: int
    whole_ns: tuple[int, ...]
    first_ns: tuple[int | None, ...]
    token_ns: tuple[int | None, ...]


class TokenSplit(Record):
    """What input and output tokens cost each, in the ``compute`` boundary. The intervals do not
    include the meters' accuracy (``accuracy_low`` and ``accuracy_high``: relative, k = 2).

    ``phases``: of ``n`` requests, the energy until the first token over the input tokens, and the
    energy after it over the remaining output tokens. ``windows``: by a regression over ``n``
    windows, in which ``rest_w`` (watts) depends on neither. ``input_j`` and ``output_j`` are joules
    per token. ``problem``: why there is no figure; ``warning``: why it is not a good one.
    """

    method: Literal["phases", "windows"] | None = None
    input_j: Estimate | None = None
    output_j: Estimate | None = None
    rest_w: Estimate | None = None
    n: int = 0
    accuracy_low: float = 0.0
    accuracy_high: float = 0.0
    problem: str | None = None
    warning: str | None = None


class EachInference(Record):
    """Joules of single inferences in the ``compute`` boundary, for the ``n`` that the meters could
    resolve; ``refused`` were too short."""

    n: int
    refused: int
    p50_j: float | None
    p95_j: float | None


class Quality(Record):
    """A score of the answers against the references, on ``n`` distinct samples (None where an
    imported score does not say).

    ``standard_error`` is from sampling the dataset. ``unreadable`` counts answers of a
    general-purpose model that could not be read, which ``value`` already counts as wrong.
    ``others`` has further metrics. ``scores`` are those of the single samples, packed (see
    :mod:`permille.metrics`), empty in older trials; ``samples`` is the digest of the samples' ids
    in order.
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


class ServerUse(Record):
    """The use that a trial made of a server that several trials share: of its ``start``, counted in
    the run of one machine, as the ``trial`` on that start; both from 1."""

    start: int
    trial: int


class Trial(Record):
    """One repeat of a cell, in a fresh process; or one imported run.

    ``source`` is the tool that measured: ``permille``, ``codecarbon``, ``power-hungry-2023``, ….
    ``phases`` maps ``idle``, ``load``, ``warmup``, ``query`` to their energy. ``counts`` has
    the quantities processed in the query span (``tokens_in``, ``tokens_out``, ``images``, …) and,
    for a server, the number of ``failed`` inferences, which no other figure but the energy
    includes.

    A *session* is a period of measuring on one boot of one machine; a *block* is one repeat of
    every model on one task and dataset, one after the other.
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
    tokens: TokenSplit | None = None
    quality: Quality | None = None
    counts: dict[str, float] = {}
    overhead: RecorderStats | None = None
    stopping: Stopping | None = None
    notes: tuple[str, ...] = ()
    round: int = 0  # how often the cell has been started over (run --fresh)
    last_lines: tuple[str, ...] = ()  # the last lines printed by a failed worker
    session: str | None = None  # the session's id; None for imports and in older trials
    rerun_precision: float | None = None  # sessions were repeated until a rerun is within ± this
    block: int | None = None  # the block's number within the session
    server: ServerUse | None = None  # None: the trial started its own server, or none
    machine: str | None = None  # that of its session; None where it is unknown
    failure_kind: FailureKind | None = None  # None: not failed, an import, or an older trial
