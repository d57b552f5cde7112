"""The shapes of everything that the page is sent; those of single trials are in ``run_shapes.py``.

mypy holds what builds them to these; ``scripts/build_page_types.py`` writes them, and the records
in them, as ``web/document.d.ts``, so that the page's own type check reads the same names.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from permille.analysis.audit import Audit
from permille.analysis.parity import ParityRow
from permille.explorer.run_shapes import ListedTrial, PageRun
from permille.records.cell import CellCategory

Origin = Literal["shipped", "store"]


class Document(TypedDict):
    """The document. ``store_exists`` is false while the store that is named is not there yet.
    ``studies``, ``licences``, ``trials``, ``answer_times`` and ``runs`` are in a file alone, which
    can ask no server; there, ``cells`` has all columns, and from a server those that are not in
    :class:`Details`."""

    schema: int
    permille: str
    store: str | None
    store_exists: bool
    cells: Columns
    answers: dict[str, list[list[str]]]
    published: ShippedStudy
    grid: Grid
    equivalents: list[PageEquivalent]
    mean_pue: float
    student_t: list[float]
    rerun_caution: float
    evidence: PageEvidence
    damage: list[str]
    studies: NotRequired[list[PageStudy]]
    licences: NotRequired[list[Licence]]
    trials: NotRequired[dict[str, list[ListedTrial]]]
    answer_times: NotRequired[dict[str, PageAnswerTimes]]
    runs: NotRequired[dict[str, PageRun | None]]


# --- cells -----------------------------------------------------------------------------------


class Columns(TypedDict):
    """Cells by column: a list of numbers, ``{"of", "at"}``, ``{"all"}``, or ``{"as"}``, the name of
    another that is the same. The last two may be so ``from`` a cell on, and ``before`` is a column
    of those before it."""

    count: int
    columns: dict[str, Any]


class Details(TypedDict):
    """What is loaded when a view needs it: further columns of cells, and the studies' audits."""

    columns: dict[str, Any]
    studies: list[PageStudy]


class PageCell(TypedDict):
    """A cell, without the columns of its boundaries and components."""

    id: str
    place: str
    origin: Origin
    study: str
    source: str
    task: str
    dataset: str
    model: str
    category: CellCategory
    backend: str
    settings: dict[str, Any]
    architecture: str | None
    weights: str | None
    device: str | None
    fingerprint: str
    batch_size: int | None
    params: int | None
    input_length: float | None
    output_length: float | None
    logged_g_per_kwh: float | None
    done: int
    failed: int
    invalid: int
    seconds: float | None
    latency_p50: float | None
    latency_p95: float | None
    metric: str | None
    quality: float | None
    quality_n: int | None
    quality_error: float | None
    quality_low: float | None
    quality_high: float | None
    lower_is_better: bool | None
    in_percent: bool | None
    unreadable: int | None
    asked: float | None
    reasons: list[str]
    notes: list[str]
    parts: list[tuple[str, float, float, float, float | None, bool, float]]
    serving: PageServing | None


class PageEstimate(TypedDict):
    """A figure with its 95 % interval."""

    value: float
    low: float | None
    high: float | None


class PageLimit(TypedDict):
    """A figure that can be promised, and why it does not settle a promise, if it does not; with
    ``breaks``, why it breaks every promise. ``too_long`` and ``too_short``: by how much it may be
    so because permille itself sent requests late, and ``if_late``, the reason where that decides.
    """

    figure: PageEstimate | None
    reason: str | None
    breaks: bool
    too_long: float
    too_short: float
    if_late: str | None


class PageTokenEnergy(TypedDict):
    """Joules per output token, and per input or output token."""

    output: PageEstimate
    all: PageEstimate | None


class PageSplit(TypedDict):
    """Input and output tokens apart: joules each, and the watts that depend on neither."""

    method: str | None
    input: PageEstimate | None
    output: PageEstimate | None
    rest_w: PageEstimate | None
    problem: str | None
    warning: str | None


class PageLoad(TypedDict):
    """The load on a server: so many clients, or requests per second. ``sweep`` is equal for the
    cells of one sweep, whose name is ``name``."""

    by: Literal["concurrency", "rate_per_s"]
    at: float
    sweep: str
    name: str


class PageServing(TypedDict):
    """Figures of tokens, other units of work, and answers. ``per_token`` and each of ``per_unit``
    are by boundary (``compute``, ``compute_net``, …), in joules; ``limits`` are by the names of the
    limits of ``permille slo``, in seconds or a share."""

    load: PageLoad | None
    per_token: dict[str, PageTokenEnergy]
    per_unit: dict[str, dict[str, PageEstimate]]
    inferences_per_s: PageEstimate | None
    tokens_per_s: PageEstimate | None
    input_tokens: PageEstimate | None
    output_tokens: PageEstimate | None
    reasoning_tokens: PageEstimate | None
    split: PageSplit | None
    limits: dict[str, PageLimit]


class PageAnswerTimes(TypedDict):
    """The finished trials of a server's cell with the times of their answers. ``reasons``: by
    waiting time (``ttft``, ``tpot``, ``latency``), why it is not known of every trial."""

    reasons: dict[str, str]
    trials: list[PageTimedTrial]


class PageTimedTrial(TypedDict):
    """A trial: the requests that were answered and how long that took, those that were tried, and
    how many of the answers that were kept came within which time."""

    inferences: int
    seconds: float
    tried: int
    within: dict[str, PageSteps]


class PageSteps(TypedDict):
    """How many came within each limit, at which that number changes; the last are all."""

    limits_s: list[float]
    counts: list[int]


class FigureColumns(TypedDict):
    """The columns of one boundary with idle energy or without it; ``compute_mean``, …"""

    mean: float | None
    blocks: list[tuple[str, int, float, str]] | None
    measured_in: list[str] | None
    ratio_n: int | None
    ratio_mean: float | None
    ratio_sd: float | None
    low: float | None
    high: float | None
    below: float | None
    above: float | None
    edge: float | None
    sessions: int | None
    machines: int | None
    rerun_low: float | None
    rerun_high: float | None
    widened: float | None
    front: bool | None


class BoundaryColumns(TypedDict):
    """The columns of one boundary that are the same with idle energy and without it."""

    n: int | None
    spread: float | None
    provenance: str | None
    domains: list[str]
    problem: str | None


class PageEvidence(TypedDict):
    """Templates of what an interval is over: one session, several, several with a stopping rule."""

    one: str
    several: str
    machines: str
    stopped: str


# --- what stands beside the cells ------------------------------------------------------------


class PageStudy(TypedDict):
    """One study of one source: what its numbers rest on, and its parity by boundary."""

    origin: Origin
    study: str
    source: str
    audit: Audit
    parity: dict[str, list[ParityRow]]


class ShippedStudy(TypedDict):
    """The shipped study, for the page's About."""

    name: str
    citation: str
    licence: str
    source: str
    machine: dict[str, str]
    notes: list[str]


class Grid(TypedDict):
    """Grid intensities by place and year."""

    places: list[PagePlace]
    sources: list[PageSource]


class PagePlace(TypedDict):
    """A place; ``years`` has each year's gCO2e/kWh and the index of its source."""

    code: str
    name: str
    kind: str
    grid: str | None
    years: dict[str, tuple[float, int]]


class PageSource(TypedDict):
    """Where intensities come from."""

    name: str
    kind: str
    licence: str
    url: str
    attribution: str


class PageEquivalent(TypedDict):
    """What one kWh or one gram is like."""

    name: str
    unit: str
    basis: str
    per: float
    factor: str
    source: str


class Licence(TypedDict):
    """A package that is in the page."""

    name: str
    version: str
    licence: str
    text: str
