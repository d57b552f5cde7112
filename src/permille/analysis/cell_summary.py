"""One cell in one boundary, as records. All in joules, without carbon."""

from __future__ import annotations

import msgspec

from permille.analysis.cards import Card, CardLine, as_html
from permille.analysis.evidence_words import estimate_text
from permille.analysis.parts import Part
from permille.analysis.quality import quality_text
from permille.analysis.trial_sums import Sums
from permille.records import Record
from permille.records.answers import Quality, ScheduleLag, TokenSplit
from permille.records.cell import Cell
from permille.records.energy import Boundary, Estimate
from permille.records.recording import Provenance
from permille.records.trial import Protocol
from permille.units import format_energy_kwh, kwh_from_joules


class InferenceFailures(Record, array_like=True):
    """The number of failed inferences in the query spans of a cell's finished trials, and of all
    tried; ``low`` and ``high``: the 95 % interval of their share."""

    failed: int
    tried: int
    low: float
    high: float

    @property
    def share(self) -> float:
        """The share of failed inferences."""
        return self.failed / self.tried


class Times(Record, array_like=True):
    """Percentiles in seconds, each the mean over the trials. None: not recorded by every trial."""

    p50: Estimate | None
    p95: Estimate | None
    p99: Estimate | None


class TokenEnergy(Record, array_like=True):
    """The whole energy of a cell, in joules per 1,000 tokens: of the output (``output``), and of
    input and output together (``every``)."""

    output: Sums
    every: Sums | None


class TokensEach(Record, array_like=True):
    """Tokens of one successful inference, each the mean over the trials. ``reasoning`` is part of
    ``output``, unless the server counts it separately."""

    input: Estimate | None
    output: Estimate | None
    reasoning: Estimate | None


NO_BASELINE = "no energy above idle: not every trial has an idle baseline (idle_s of the study)"


class Summary(Record, array_like=True):
    """One cell in one boundary. ``energy`` is None if no trial has a figure; ``problem`` then says
    why. ``notes`` are facts that a reader of the figure should know."""

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
    run: Sums | None = None  # of one trial's whole query, in joules
    problem: str | None = None
    reasons: tuple[str, ...] = ()  # the distinct reasons of failed and invalid trials
    notes: tuple[str, ...] = ()
    inference_p50_j: float | None = None
    inference_p95_j: float | None = None
    failures: InferenceFailures | None = None  # None: single inferences of this cell cannot fail
    protocol: Protocol | None = None
    last_started: str = ""  # the latest start of its trials, of any status; UTC, ISO 8601
    per_token: TokenEnergy | None = None
    net_per_token: TokenEnergy | None = None
    # Not one dict for all summaries: msgspec copies a default that is an empty collection.
    # https://jcristharif.com/msgspec/structs.html#default-values
    per_unit: dict[str, Sums] = {}  # joules per 1,000 images, tokens embedded, …
    net_per_unit: dict[str, Sums] = {}
    inferences_per_s: Estimate | None = None  # successful ones, in the query span
    tokens_per_s: Estimate | None = None  # of the output
    request_s: Times | None = None
    first_token_s: Times | None = None
    output_token_s: Times | None = None
    tokens_each: TokensEach | None = None
    token_split: TokenSplit | None = None  # over the trials, with the meters' accuracy
    disturbed: float | None = None  # the share of the finished trials disturbed by other processes
    overloaded: int = 0  # failed trials whose server could not keep up with the arrivals
    schedule_lag: ScheduleLag | None = None  # over the trials; None: no random arrivals

    def above_idle(self) -> Summary:
        """The same whose energy is that above idle, or the reason why there is none."""
        problem = self.problem
        if self.net is None and self.energy is not None:
            problem = NO_BASELINE
        return msgspec.structs.replace(self, energy=self.net, problem=problem)

    def __repr__(self) -> str:
        cell = self.cell
        figure = "; ".join(text for _, text in _lines(self)) or f"no figure: {self.problem}"
        basis = ", ".join(_basis(self))
        return f"<Summary of {cell.model!r} on {cell.dataset!r}: {figure}; {basis}>"

    def _repr_html_(self) -> str:
        return as_html(_card(self))


def _card(summary: Summary) -> Card:
    """What a notebook shows."""
    cell, energy = summary.cell, summary.energy
    bars = {_PER_1000: energy.estimate()} if energy else {}
    notes = [] if energy else [f"no figure: {summary.problem or 'no finished trial'}"]
    return Card(
        title=f"{cell.model}: {cell.task} on {cell.dataset}",
        lines=tuple(
            CardLine(label=label, text=text, bar=bars.get(label)) for label, text in _lines(summary)
        ),
        facts=("in brackets: 95 % intervals", *_basis(summary)),
        notes=(*notes, *summary.reasons, *summary.notes),
    )


_PER_1000 = "per 1,000 inferences"


def _lines(summary: Summary) -> list[tuple[str, str]]:
    """Labels and texts of the figures that exist."""

    def kwh(joules: float) -> str:
        return format_energy_kwh(kwh_from_joules(joules))

    lines = []
    if summary.energy is not None:
        lines.append((_PER_1000, estimate_text(summary.energy.estimate(), kwh)))
    if summary.net is not None:
        lines.append(("above idle", f"{estimate_text(summary.net.estimate(), kwh)} above idle"))
    if summary.quality is not None:
        lines.append(("quality", quality_text(summary.quality)))
    return lines


def _basis(summary: Summary) -> list[str]:
    """The provenance, the boundary and the trials."""
    boundary: str = summary.boundary
    if boundary == "facility":
        boundary += " (without the PUE, which counts with the carbon)"
    counts = ((summary.done, "done"), (summary.failed, "failed"), (summary.invalid, "invalid"))
    weights = summary.cell.settings.get("weights")
    return [
        *([] if summary.provenance is None else [summary.provenance]),
        boundary,
        *([f"{weights} weights"] if weights else []),
        "trials: " + ", ".join(f"{count} {how}" for count, how in counts if count or how == "done"),
    ]
