"""Summarise trials: one summary per cell, in one boundary. All in joules, without carbon."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from permille.analysis import schedule_lag, serving
from permille.analysis.cell_energy import MOST_BLOCKS, CellEnergy
from permille.analysis.cell_summary import InferenceFailures, Summary
from permille.analysis.comparable import pooled_by
from permille.analysis.overload import overloaded
from permille.analysis.quality import (
    nothing_read,
    over_trials,
    over_trials_and_requests,
    wilson,
)
from permille.analysis.sums import energy_sums
from permille.analysis.trial_sums import Sums
from permille.energy import disturbance
from permille.records.answers import Quality
from permille.records.energy import Boundary
from permille.records.trial import Trial


def summarise(trials: Iterable[Trial], boundary: Boundary, *, pool: bool = False) -> list[Summary]:
    """One summary per (study, source, cell, protocol, machine), in order of first appearance.

    Trials of different machines (unless ``pool`` is set, with a note), protocols or sources are
    never pooled. A mean only includes ``done`` trials whose query phase has a figure in the
    boundary.
    """
    return [
        _within(_shared(group), group, CellEnergy(group, boundary))
        for group in grouped(trials, pool=pool)
    ]


def by_boundary(trials: Sequence[Trial], boundaries: Iterable[Boundary]) -> dict[str, Summary]:
    """The summaries of one group of trials in several boundaries, as :func:`summarise` has them;
    what does not depend on the boundary is worked out once."""
    shared = _shared(trials)
    found: dict[str, tuple[CellEnergy, Summary]] = {}
    for boundary in boundaries:
        collected = CellEnergy(trials, boundary)
        # Where only the processor is metered, for example, every boundary has the same domains.
        alike = next(
            (known for known in found.values() if collected.has_figures_of(known[0])), None
        )
        summary = (
            _within(shared, trials, collected)
            if alike is None
            else msgspec.structs.replace(
                alike[1], boundary=boundary, notes=_notes(shared, trials, collected)
            )
        )
        found[boundary] = (collected, summary)
    return {boundary: summary for boundary, (_, summary) in found.items()}


def grouped(trials: Iterable[Trial], *, pool: bool = False) -> list[list[Trial]]:
    """Group the trials that may be pooled."""
    groups: dict[tuple[str, ...], list[Trial]] = {}
    for trial in trials:
        groups.setdefault(pooled_by(trial, across_machines=pool), []).append(trial)
    return list(groups.values())


def _shared(trials: Sequence[Trial]) -> Summary:
    """What a summary of these trials says in any boundary; the rest is empty."""
    first = trials[0]
    ended = Counter(t.status for t in trials)
    done = [t for t in trials if t.status == "done"]
    # A failed trial may have ended before its device and parameters were known.
    facts = done[0] if done else first
    return Summary(
        study=first.study,
        source=first.source,
        cell=first.cell,
        # comparable and rows recognise pooled machines by the plus.
        fingerprint="+".join(_machines(trials)),
        boundary="node",
        device=facts.device,
        params=facts.facts.params,
        energy=None,
        net=None,
        seconds=None,
        provenance=None,
        latency_p50_s=_mean(t.latency.p50 if t.latency else None for t in done),
        latency_p95_s=_mean(t.latency.p95 if t.latency else None for t in done),
        inference_p50_j=_mean(t.each.p50_j if t.each else None for t in done),
        inference_p95_j=_mean(t.each.p95_j if t.each else None for t in done),
        quality=_quality(done),
        failures=_failures(done),
        done=ended["done"],
        failed=ended["failed"],
        invalid=ended["invalid"],
        inferences_per_s=serving.inferences_per_s(done),
        tokens_per_s=serving.tokens_per_s(done),
        request_s=serving.request(done),
        first_token_s=serving.first_token(done),
        output_token_s=serving.output_token(done),
        tokens_each=serving.tokens_each(done),
        token_split=serving.token_split(done),
        disturbed=disturbance.share_disturbed([t.phases for t in done]),
        overloaded=sum(map(overloaded, trials)),
        schedule_lag=schedule_lag.over_all(done),
        reasons=_reasons(trials),
        notes=_trial_notes(done),
        protocol=first.protocol,
        last_started=max(t.started for t in trials),
    )


def _within(shared: Summary, trials: Sequence[Trial], found: CellEnergy) -> Summary:
    """The summary of these trials in a boundary; ``shared`` is what all of them have in common."""
    energy = found.energy
    per_token, net_per_token = found.per_token()
    per_unit, net_per_unit = found.per_unit()
    return msgspec.structs.replace(
        shared,
        boundary=found.boundary,
        energy=energy,
        run=energy_sums([(bounded, 1000) for bounded in found.runs]),
        net=found.net(),
        seconds=found.seconds(),
        per_token=per_token,
        net_per_token=net_per_token,
        per_unit=per_unit,
        net_per_unit=net_per_unit,
        provenance=found.provenance(),
        domains=found.domains(),
        parts=found.parts(),
        problem=_problem(trials, found, energy),
        notes=_notes(shared, trials, found),
    )


def _notes(shared: Summary, trials: Sequence[Trial], found: CellEnergy) -> tuple[str, ...]:
    return (
        *_pooled(_machines(trials)),
        *_unread(shared.quality),
        *_without_sessions(found.counted),
        # The same may be a note of a trial and of its energy.
        *dict.fromkeys(note for note in (*found.notes(), *shared.notes) if note),
    )


def _machines(trials: Sequence[Trial]) -> list[str]:
    return list(dict.fromkeys(t.environment.fingerprint for t in trials))


def _quality(done: Sequence[Trial]) -> Quality | None:
    return over_trials([t.quality for t in done if t.quality is not None])


def _problem(trials: Sequence[Trial], found: CellEnergy, energy: Sums | None) -> str | None:
    """Why a cell has no figure: the problem of its finished trials, or how the last trial ended."""
    if energy is not None:
        return None
    if found.done:
        return found.problem
    return next((t.reason for t in reversed(trials) if t.reason), "no finished trial")


def _reasons(trials: Sequence[Trial]) -> tuple[str, ...]:
    """The distinct reasons of trials that are not done."""
    return tuple(dict.fromkeys(f"{t.status}: {t.reason}" for t in trials if t.status != "done"))


def _pooled(machines: Sequence[str]) -> tuple[str, ...]:
    if len(machines) == 1:
        return ()
    return (f"pooled over {len(machines)} machines or versions (--pool): {', '.join(machines)}",)


def _without_sessions(counted: Sequence[tuple[Trial, int]]) -> tuple[str, ...]:
    """Why the interval says nothing of sessions although the trials know theirs."""
    if len(counted) <= MOST_BLOCKS or any(trial.session is None for trial, _ in counted):
        return ()
    return (
        f"more than {MOST_BLOCKS:,} trials: the interval is over the trials and says nothing of"
        " their sessions",
    )


def _unread(quality: Quality | None) -> tuple[str, ...]:
    if not nothing_read(quality):
        return ()
    return ("none of its answers could be read, and all count as wrong: check the model's setup",)


def _mean(values: Iterable[float | None]) -> float | None:
    """The mean of the known values."""
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None


def _failures(done: Sequence[Trial]) -> InferenceFailures | None:
    known = [
        # A trial that does not count them is no trial without any: a share of 0 would be a server
        # that never fails.
        (round(trial.counts["failed"]), query.inferences)
        for trial in done
        if "failed" in trial.counts
        and (query := trial.phases.get("query")) is not None
        and query.inferences
    ]
    if not known:
        return None
    failed = sum(failed for failed, _ in known)
    tried = failed + sum(done for _, done in known)
    alone = wilson(failed / tried, tried)
    shares = serving.over_trials([failed / (failed + done) for failed, done in known])
    share = (
        alone if shares is None or shares.low is None else over_trials_and_requests(shares, alone)
    )
    assert share.low is not None
    assert share.high is not None
    return InferenceFailures(failed=failed, tried=tried, low=share.low, high=share.high)


def _trial_notes(done: Sequence[Trial]) -> tuple[str, ...]:
    """The trials' own notes. What others took of each trial is one sentence for all of them, and so
    is how late permille sent requests."""
    notes: list[str] = []
    for trial in done:
        if trial.notes:
            single = {
                *disturbance.notes(trial.phases),
                *schedule_lag.notes(trial.schedule_lag, trial.latency),
            }
            notes += [note for note in trial.notes if note not in single]
    notes += filter(None, (disturbance.over_trials(done), schedule_lag.over_trials(done)))
    return tuple(dict.fromkeys(notes))
