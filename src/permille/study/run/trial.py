"""Build a trial from a worker's report and the recording. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import msgspec

from permille.analysis import schedule_lag
from permille.analysis.boundaries import unusable
from permille.analysis.inferences import each_inference
from permille.analysis.token_split import token_split
from permille.energy import cross_check, disturbance, edges, part_time, phases
from permille.energy.phases import notices
from permille.errors import UnkeepableError
from permille.records.answers import EachInference, TokenSplit
from permille.records.cell import ModelFacts
from permille.records.energy import Phase
from permille.records.machine import Environment
from permille.records.recording import Domain, Recording, Span
from permille.records.trial import PER_GPU, FailureKind, Protocol, Stopping, Trial
from permille.store import Raw, Store
from permille.study.plan.cells import PlannedCell
from permille.study.worker.messages import Pausing, WorkerResult
from permille.units import format_share

EDGE_SHARE = 0.01
"""The query span is long enough that its edges contribute less than this (k = 2)."""
MOST_FOR_EDGES_S = 60.0
"""No query span is made longer than this for its edges: beyond, they cost more than 1 % (a sensor
that averages over several seconds), as the interval says."""
SEGMENTS = 20
"""A query span with pauses lasts at least as long as so many segments between them, so that there
are ``part_time.LEAST_SEGMENTS`` even if each ends with the call that was running."""


def least_query_s(domains: Iterable[Domain], further_s: float = 0.0) -> float:
    """Seconds that a span must last for its two edges to cost under 1 %, at most
    :data:`MOST_FOR_EDGES_S`.

    An edge is uncertain by ``edges.edge_s`` of power, rectangular: that over ``sqrt(3)`` at
    k = 1; two edges in quadrature, k = 2 (see ``edges.edge_j``). ``further_s`` is added to each
    edge. With pauses (:func:`pausing`), also long enough to have some.
    """
    domains = tuple(domains)
    edges_s = [edges.edge_s(domain) + further_s for domain in domains]
    for_edges_s = 2 * math.sqrt(2 / 3) * max(edges_s, default=0.0) / EDGE_SHARE
    for_edges_s = min(for_edges_s, MOST_FOR_EDGES_S)
    pauses = pausing(domains)
    return for_edges_s if pauses is None else max(for_edges_s, SEGMENTS * pauses.every_s)


def pausing(domains: Iterable[Domain]) -> Pausing | None:
    """The pauses that the query span needs: none, unless the energy of a domain is from a sensor
    that samples a part of the time. They shift the work by up to one update of that sensor."""
    periods_s = [
        domain.sensor.period_s
        for domain in domains
        if domain.sensor is not None and part_time.samples_in_part(domain.sensor)
    ]
    if not periods_s:
        return None
    # By the slowest of them: a pause that shifts its samples shifts those of the others, too.
    period_s = max(periods_s)
    return Pausing(every_s=part_time.LEAST_UPDATES * period_s, up_to_s=period_s)


def _pauses_note(spans: Sequence[Span]) -> list[str]:
    for span in spans:
        if span.pauses:
            paused_s = sum(t1_ns - t0_ns for t0_ns, t1_ns in span.pauses) / 1e9
            return [
                f"a power sensor samples a part of the time: {len(span.pauses)} random pauses,"
                f" {format_share(paused_s / span.seconds, 1)} of the query's time, are counted"
            ]
    return []


def make(
    planned: PlannedCell,
    *,
    uid: str,
    study: str,
    repeat: int,
    started: str,
    protocol: Protocol,
    environment: Environment,
    recording: Recording | None,
    spans: Sequence[Span],
    result: WorkerResult | None,
    failure: str | None,
    failure_kind: FailureKind = "other",
    fault: str | None = None,
    stopping: Stopping | None,
    round: int,
    last_lines: tuple[str, ...],
    notes: Sequence[str] = (),
) -> Trial:
    """The trial: ``done``, ``failed`` (the workload's fault) or ``invalid`` (the meters')."""
    phases = _phases(recording, spans)
    # The workload's failure takes precedence over failed meters.
    reason = failure or fault or _void(phases, recording, protocol)
    status = "failed" if failure else "invalid" if reason else "done"
    return Trial(
        uid=uid,
        study=study,
        cell=planned.cell,
        repeat=repeat,
        status=status,  # type: ignore[arg-type]
        reason=reason,
        started=started,
        protocol=protocol,
        environment=environment,
        device=result.device if result else None,
        facts=_facts(planned, result),
        phases=phases,
        latency=result.latency if result else None,
        each=_each(recording, spans, result),
        tokens=_tokens(recording, spans),
        quality=result.quality if result else None,
        counts=result.counts if result else {},
        overhead=recording.stats if recording else None,
        stopping=stopping,
        notes=_notes(result, notes, recording, spans, phases),
        round=round,
        # Of a trial that the meters failed, what the model printed explains nothing.
        last_lines=last_lines if failure else (),
        failure_kind=failure_kind if failure else None,
        schedule_lag=result.schedule_lag if result else None,
    )


def _phases(recording: Recording | None, spans: Sequence[Span]) -> dict[str, Phase]:
    """The energy of each span and of the whole recording; none if the recorder died."""
    if recording is None:
        return {}
    return {span.name: phases.phase(recording, span) for span in spans} | _whole(recording)


def _notes(
    result: WorkerResult | None,
    notes: Sequence[str],
    recording: Recording | None,
    spans: Sequence[Span],
    phases: dict[str, Phase],
) -> tuple[str, ...]:
    """The distinct notes of the worker, the study and the recorder."""
    every = [*(result.notes if result else ()), *notes]
    if result is not None:
        every += schedule_lag.notes(result.schedule_lag, result.latency)
    if recording is not None:
        every += notices(recording)
        every += cross_check.notes(recording, spans)
        every += _pauses_note(spans)
        every += disturbance.notes(phases)
    return tuple(dict.fromkeys(every))


def keep(store: Store, trial: Trial, raw: Raw) -> Trial:
    """Store a trial, and return what was stored. If it could not be read back (for example, a
    quality that is not a number), a failed one is stored instead, with the reason and no
    figures."""
    try:
        store.add(trial, raw)
    except UnkeepableError as error:
        failed = _unkeepable(trial, error.reason)
    else:
        return trial
    try:
        store.add(failed, raw)
    except UnkeepableError:  # the recording is the part that could not be read back
        store.add(failed, Raw())
    return failed


def _unkeepable(trial: Trial, reason: str) -> Trial:
    return msgspec.structs.replace(
        trial,
        status="failed",
        failure_kind="other",
        reason=f"{trial.reason + '; ' if trial.reason else ''}it cannot be stored: {reason}",
        facts=ModelFacts(),
        phases={},
        latency=None,
        each=None,
        tokens=None,
        quality=None,
        counts={},
        overhead=None,
        schedule_lag=None,
    )


def _each(
    recording: Recording | None, spans: Sequence[Span], result: WorkerResult | None
) -> EachInference | None:
    query = next((span for span in spans if span.name == "query"), None)
    if recording is None or result is None or query is None:
        return None
    return each_inference(recording, query, result.durations_ns)


def _tokens(recording: Recording | None, spans: Sequence[Span]) -> TokenSplit | None:
    query = next((span for span in spans if span.name == "query"), None)
    if recording is None or query is None:
        return None
    return token_split(recording, query)


def _facts(planned: PlannedCell, result: WorkerResult | None) -> ModelFacts:
    """The value from the study file, or from the loaded model, or from its files."""
    reported, read = result.facts if result else ModelFacts(), planned.facts
    merged = {
        # Unknown is None or an empty table; a 0 is a fact.
        name: mine if (mine := getattr(reported, name)) not in (None, {}) else getattr(read, name)
        for name in ModelFacts.__struct_fields__
    }
    if planned.params is not None:
        merged["params"] = planned.params
    # Digests are the plan's if it has any: they were made before the worker ran, and a cell's id
    # stands on them.
    return ModelFacts(**merged | {"files": read.files or reported.files})


def _void(phases: dict[str, Phase], recording: Recording | None, protocol: Protocol) -> str | None:
    """Why the trial has no energy at all, or None."""
    if recording is None:
        return "the recorder died"
    query = phases.get("query")
    if query is None:
        return "the trial has no query span"
    return unusable(query, per_gpu=protocol.name == PER_GPU)


def _whole(recording: Recording) -> dict[str, Phase]:
    """The whole recording as one phase: the energy of the benchmark itself."""
    span = phases.covered(recording, "whole")
    return {} if span is None else {span.name: phases.phase(recording, span)}
