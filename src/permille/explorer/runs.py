"""One trial in detail: its power by domain, its spans, and everything stored with it."""

from __future__ import annotations

import re

from permille.energy.levels import power_trace
from permille.explorer.run_shapes import ListedTrial, PageRun, RunOverhead, RunPhase
from permille.records.energy import Phase
from permille.records.recording import RecorderStats
from permille.records.trial import Trial
from permille.store import Raw, Store

POINTS = 240
"""The number of intervals of a power trace: about one per 1.5 pixels of a phone's chart."""
LISTED = 500
"""The most trials listed per cell: the newest."""
SPANS = 200
"""The most spans sent per run."""


def listed(trial: Trial) -> ListedTrial:
    """A trial as a line of its cell's page."""
    query = trial.phases.get("query")
    return {
        "uid": trial.uid,
        "repeat": trial.repeat,
        "status": trial.status,
        "reason": trial.reason,
        "started": trial.started,
        "seconds": None if query is None else query.seconds,
        "inferences": None if query is None else query.inferences,
    }


def run(store: Store, uid: str) -> PageRun | None:
    """A trial with its power trace; None if the store has no such trial.

    Raises:
        StoreError: it is damaged.
    """
    trial = store.trial(uid)
    return None if trial is None else _detailed(trial, store.raw(uid))


def _detailed(trial: Trial, raw: Raw | None) -> PageRun:
    recording = raw.recording if raw else None
    # Series begin with their first reading, up to a poll after one another; the page has one time
    # for all of them and for the spans.
    starts = [s.t_ns[0] for s in recording.series if s.t_ns] if recording else []
    start = min(starts, default=0)
    return {
        **listed(trial),
        "study": trial.study,
        "source": trial.source,
        "model": trial.cell.model,
        "task": trial.cell.task,
        "dataset": trial.cell.dataset,
        "backend": trial.cell.backend,
        "settings": trial.cell.settings,
        "device": trial.device,
        "weights": trial.facts.weights,
        "files": trial.facts.files,
        "protocol": {
            "name": trial.protocol.name,
            "inferences": trial.protocol.inferences,
            "warmup_max": trial.protocol.warmup_max,
            "idle_s": trial.protocol.idle_s,
            "batch_size": trial.protocol.batch_size,
            "seed": trial.protocol.seed,
        },
        "environment": {"fingerprint": trial.environment.fingerprint, **trial.environment.facts},
        "phases": {name: _phase(phase) for name, phase in trial.phases.items()},
        "overhead": None if trial.overhead is None else _overhead(trial.overhead),
        "notes": list(trial.notes),
        "again": again(trial),
        "power": [
            {
                "domain": series.domain.name,
                "provenance": series.domain.provenance,
                "points": [
                    # Finer than any meter's tick and accuracy, and short: a file may have 60 such
                    # traces.
                    [round((series.t_ns[0] - start) / 1e9 + t, 4), float(f"{watts:.5g}")]
                    for t, watts in power_trace(series, POINTS)
                ],
            }
            for series in (recording.series if recording else ())
        ],
        "spans": [
            {
                "name": span.name,
                "from_s": round((span.t0_ns - start) / 1e9, 4),
                "to_s": round((span.t1_ns - start) / 1e9, 4),
            }
            for span in (raw.spans[:SPANS] if raw and recording else ())
        ],
    }


def _overhead(stats: RecorderStats) -> RunOverhead:
    return {
        "cpu_s": stats.cpu_s,
        "wall_s": stats.wall_s,
        "polls": stats.polls,
        "missed": stats.missed,
    }


def _phase(phase: Phase) -> RunPhase:
    return {
        "seconds": phase.seconds,
        "inferences": phase.inferences,
        "domains": {
            name: {
                "energy_j": domain.energy_j,
                "provenance": domain.provenance,
                "meter": domain.meter,
                "in_use": domain.in_use,
                "accuracy_low": domain.accuracy_low,
                "accuracy_high": domain.accuracy_high,
            }
            for name, domain in phase.domains.items()
        },
        "problems": {name: problem.reason for name, problem in phase.problems.items()},
    }


def again(trial: Trial) -> str:
    """How to reproduce the figure."""
    if trial.source != "permille":
        return f"imported from {trial.source}: import the same file again with permille import"
    # A name is foreign, and the command is there to be pasted into a shell.
    # One that begins with a hyphen would be an option.
    if re.fullmatch(r"[A-Za-z0-9._][A-Za-z0-9._-]*", trial.study):
        return (
            f"permille run {trial.study}   (a preset; for a study file of that name, its path),"
            " on the same machine and versions"
        )
    return "permille run with its study file, on the same machine and versions"
