"""The rows of ``permille results``, from summaries and carbon settings, which are applied here."""

from __future__ import annotations

from typing import Any, Literal

from permille.analysis.cell_summary import Summary, Times, TokensEach
from permille.analysis.comparable import agent_of
from permille.analysis.estimates import Interval, SessionInterval
from permille.analysis.quality import ShownQuality, shown_quality
from permille.analysis.trial_sums import Sums
from permille.carbon.footprint import carbon_overhead, energy_overhead
from permille.records import Record
from permille.records.answers import ScheduleLag, TokenSplit
from permille.records.cell import CellCategory
from permille.records.energy import Boundary
from permille.records.recording import Provenance
from permille.units import JOULES_PER_KWH


class Percentiles(Record):
    """Seconds; null if not timed."""

    p50: float | None
    p95: float | None


class TimeIntervals(Record):
    """Percentiles in seconds, each with its interval over the trials."""

    p50: Interval
    p95: Interval
    p99: Interval


class TimeFigures(Record):
    """Percentiles in seconds, means over the trials; ``intervals`` has them with their intervals.
    Null if a trial does not know one."""

    p50: float | None
    p95: float | None
    p99: float | None
    intervals: TimeIntervals

    @classmethod
    def of(cls, times: Times | None) -> TimeFigures | None:
        """The times in printed form."""
        if times is None:
            return None
        intervals = TimeIntervals(
            p50=Interval.of(times.p50), p95=Interval.of(times.p95), p99=Interval.of(times.p99)
        )
        return cls(
            p50=intervals.p50.value,
            p95=intervals.p95.value,
            p99=intervals.p99.value,
            intervals=intervals,
        )


class TokenFigures(Record):
    """Joules per token, failed inferences' energy included. ``output``: the whole energy per output
    token; ``all``: per input or output token; ``input``: what an input token costs by itself, from
    ``token_split``, null if that is unknown or of another boundary."""

    input: Interval | None
    output: Interval
    all: Interval | None


class TokenCounts(Record):
    """Tokens of one successful inference. ``reasoning`` is part of ``output``, unless the server
    counts it separately; null if there is none, or it is not counted."""

    input: Interval | None
    output: Interval | None
    reasoning: Interval | None

    @classmethod
    def of(cls, each: TokensEach | None) -> TokenCounts | None:
        """The counts in printed form."""
        if each is None:
            return None
        return cls(
            input=Interval.known(each.input),
            output=Interval.known(each.output),
            reasoning=Interval.known(each.reasoning),
        )


class SplitFigures(Record):
    """What input and output tokens cost each, in joules, in ``boundary``, idle included.

    ``method``: ``phases`` (of ``n`` requests, one at a time: the energy until the first token, and
    after it) or ``windows`` (a regression over ``n`` windows; ``rest_w``, in watts, depends
    on neither). ``problem`` says why there are no figures, ``warning`` why they are not good ones.
    """

    method: Literal["phases", "windows"] | None
    input: Interval | None
    output: Interval | None
    rest_w: Interval | None
    n: int
    boundary: Boundary
    problem: str | None
    warning: str | None

    @classmethod
    def of(cls, split: TokenSplit | None) -> SplitFigures | None:
        """The split in printed form."""
        if split is None:
            return None
        return cls(
            method=split.method,
            input=Interval.known(split.input_j),
            output=Interval.known(split.output_j),
            rest_w=Interval.known(split.rest_w),
            n=split.n,
            # Split when the trial ended (analysis.token_split), within this boundary whatever is
            # asked for now.
            boundary="compute",
            problem=split.problem,
            warning=split.warning,
        )


class InferenceEnergy(Record):
    """Joules of single inferences in ``boundary``, if the meters can resolve them."""

    p50: float
    p95: float | None
    boundary: Boundary


class FailedInferences(Record):
    """Failed inferences and all that were tried, in the finished trials. ``low`` and ``high``: the
    95 % interval of their share."""

    failed: int
    tried: int
    share: float
    low: float
    high: float


class TrialCounts(Record):
    """How the cell's trials ended."""

    done: int
    failed: int
    invalid: int


class CellRow(Record):
    """One cell of a study as shown by ``permille results``.

    ``kwh_per_1000`` and ``co2e_g_per_1000`` are per 1,000 inferences, above idle if ``--net`` was
    given; ``kwh_per_trial`` is for the whole query span of one trial; ``per_token`` follows
    ``--net`` too, and so does ``per_unit``: joules per ``image``, per ``audio_second`` and, of
    embeddings, per ``embedded_token``, as far as they are counted. ``request_s``: of whole answers;
    ``inferences_per_s``: of successful inferences; ``tokens_per_s``: of output tokens; ``ttft_s``:
    to the first token; ``tpot_s``: per output token after the first. ``disturbed`` is the share of
    the finished trials disturbed by other processes. ``schedule_lag_s``: how late permille itself
    sent requests, which ``latency_s`` includes; null without random arrivals. ``meter``: the
    address of the agent whose machine was measured, null if none was asked. ``fingerprint``
    identifies the hardware and the versions. ``problem`` says why there is no figure, ``reasons``
    why trials failed.
    """

    study: str
    task: str
    dataset: str
    model: str
    category: CellCategory
    backend: str
    device: str | None
    params: int | None
    batch_size: int | None
    weights: str | None
    kwh_per_1000: SessionInterval
    co2e_g_per_1000: SessionInterval
    net_kwh_per_1000: SessionInterval | None
    kwh_per_trial: Interval
    latency_s: Percentiles
    request_s: TimeFigures | None
    per_token: TokenFigures | None
    per_unit: dict[str, Interval]
    tokens_each: TokenCounts | None
    token_split: SplitFigures | None
    inferences_per_s: Interval | None
    tokens_per_s: float | None
    tokens_per_s_interval: Interval | None
    ttft_s: TimeFigures | None
    tpot_s: TimeFigures | None
    inference_energy_j: InferenceEnergy | None
    quality: ShownQuality | None
    inference_failures: FailedInferences | None
    trials: TrialCounts
    disturbed: float | None
    schedule_lag_s: ScheduleLag | None
    machines: int
    provenance: Provenance | None
    meter: str | None
    source: str
    boundary: Boundary
    domains: tuple[str, ...]
    fingerprint: str
    problem: str | None
    reasons: tuple[str, ...]
    notes: tuple[str, ...]


def row(summary: Summary, *, intensity_g_per_kwh: float, pue: float, net: bool) -> CellRow:
    """One cell's row; with ``net``, kWh and carbon are those above idle. The PUE counts once: see
    :mod:`permille.carbon.footprint`."""
    return CellRow(**row_fields(summary, intensity_g_per_kwh=intensity_g_per_kwh, pue=pue, net=net))


def row_fields(
    summary: Summary, *, intensity_g_per_kwh: float, pue: float, net: bool
) -> dict[str, Any]:
    """The fields of :func:`row`, for rows that have more of them."""
    overhead = energy_overhead(pue, summary.boundary)
    net_kwh = _kwh(summary.net, overhead)
    headline = (net_kwh if net else _kwh(summary.energy, overhead)) or SessionInterval()
    to_grams = intensity_g_per_kwh * carbon_overhead(pue, summary.boundary)
    cell, speed = summary.cell, summary.tokens_per_s
    return {
        "study": summary.study,
        "task": cell.task,
        "dataset": cell.dataset,
        "model": cell.model,
        "category": cell.category,
        "backend": cell.backend,
        "device": summary.device,
        "params": summary.params,
        "batch_size": cell.settings.get("batch_size"),
        "weights": cell.settings.get("weights"),
        "kwh_per_1000": headline,
        "co2e_g_per_1000": headline.times(to_grams),
        "net_kwh_per_1000": net_kwh,
        "kwh_per_trial": _kwh_per_trial(summary, overhead),
        "latency_s": Percentiles(p50=summary.latency_p50_s, p95=summary.latency_p95_s),
        "request_s": TimeFigures.of(summary.request_s),
        "per_token": _per_token(summary, overhead, net=net),
        "per_unit": _per_unit(summary, overhead, net=net),
        "tokens_each": TokenCounts.of(summary.tokens_each),
        "token_split": SplitFigures.of(summary.token_split),
        "inferences_per_s": Interval.known(summary.inferences_per_s),
        "tokens_per_s": None if speed is None else speed.value,
        "tokens_per_s_interval": Interval.known(speed),
        "ttft_s": TimeFigures.of(summary.first_token_s),
        "tpot_s": TimeFigures.of(summary.output_token_s),
        "inference_energy_j": _inference_energy(summary),
        "quality": shown_quality(summary.quality),
        "inference_failures": _failed_inferences(summary),
        "trials": TrialCounts(done=summary.done, failed=summary.failed, invalid=summary.invalid),
        "disturbed": summary.disturbed,
        "schedule_lag_s": summary.schedule_lag,
        "machines": _machines(summary),
        "provenance": summary.provenance,
        "meter": agent_of(summary),
        "source": summary.source,
        "boundary": summary.boundary,
        "domains": summary.domains,
        "fingerprint": summary.fingerprint,
        # A cell may have an energy and none above idle.
        "problem": (summary.above_idle() if net else summary).problem,
        "reasons": summary.reasons,
        "notes": summary.notes,
    }


def _kwh(sums: Sums | None, overhead: float) -> SessionInterval | None:
    """kWh, times ``overhead`` (the PUE for ``facility``)."""
    if sums is None:
        return None
    return SessionInterval.in_unit(sums.intervals(), JOULES_PER_KWH, overhead)


def _kwh_per_trial(summary: Summary, overhead: float) -> Interval:
    if summary.run is None:
        return Interval()
    return Interval.in_unit(summary.run.intervals(), JOULES_PER_KWH, overhead)


def _per_token(summary: Summary, overhead: float, *, net: bool) -> TokenFigures | None:
    tokens = summary.net_per_token if net else summary.per_token
    if tokens is None:
        return None
    # The split is made within compute, idle included.
    split = summary.token_split if summary.boundary == "compute" and not net else None
    return TokenFigures(
        input=None if split is None else Interval.known(split.input_j),
        output=joules_each(tokens.output, overhead),
        all=None if tokens.every is None else joules_each(tokens.every, overhead),
    )


def _per_unit(summary: Summary, overhead: float, *, net: bool) -> dict[str, Interval]:
    per_unit = summary.net_per_unit if net else summary.per_unit
    return {unit: joules_each(sums, overhead) for unit, sums in per_unit.items()}


def joules_each(sums: Sums | None, overhead: float) -> Interval:
    """Joules of one, from those of 1,000."""
    return Interval() if sums is None else Interval.in_unit(sums.intervals(), 1000.0, overhead)


def _machines(summary: Summary) -> int:
    """How many machines its trials were made on, as far as they know."""
    places = summary.energy.places if summary.energy else ()
    # The greater: machines of equal hardware and versions share a fingerprint, and older trials
    # know no machine.
    return max(len(summary.fingerprint.split("+")), len({place.machine for place in places}))


def _inference_energy(summary: Summary) -> InferenceEnergy | None:
    if summary.inference_p50_j is None:
        return None
    return InferenceEnergy(
        # Likewise worked out when the trial ended (analysis.inferences).
        p50=summary.inference_p50_j,
        p95=summary.inference_p95_j,
        boundary="compute",
    )


def _failed_inferences(summary: Summary) -> FailedInferences | None:
    failures = summary.failures
    if failures is None:
        return None
    return FailedInferences(
        failed=failures.failed,
        tried=failures.tried,
        share=failures.share,
        low=failures.low,
        high=failures.high,
    )
