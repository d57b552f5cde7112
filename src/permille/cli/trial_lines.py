"""The lines of ``permille run --json-lines``: one per finished trial or skipped repeat."""

from __future__ import annotations

from typing import Literal

from permille.energy.disturbance import disturbed
from permille.records import JsonOutput, Record
from permille.records.recording import Provenance
from permille.records.trial import Trial
from permille.study.run.schedule import NotRun


class LineDomain(Record):
    """Joules of one domain over the query span."""

    energy_j: float
    provenance: Provenance


class LineQuality(Record):
    """The trial's score."""

    metric: str
    value: float


class TrialLine(JsonOutput):
    """What ``permille run --json-lines`` prints for each trial. ``trial`` is its uid; null for a
    repeat that was not run: ``given-up`` after three failures, ``left-out`` because its model
    fails for the same reason every time. ``block`` is its number within the ``session``.
    ``seconds``, ``inferences`` and ``domains`` are of the
    query span; ``disturbed`` tells whether other processes used the machine meanwhile, null where
    that is unknown."""

    trial: str | None
    study: str
    task: str
    dataset: str
    model: str
    repeat: int
    status: Literal["done", "failed", "invalid", "given-up", "left-out"]
    reason: str | None
    seconds: float | None = None
    inferences: int | None = None
    session: str | None = None
    block: int | None = None
    disturbed: bool | None = None
    domains: dict[str, LineDomain] = {}
    quality: LineQuality | None = None


def line_of(trial: Trial) -> TrialLine:
    """One trial."""
    # A failed trial may have no query, or no quality: null, and never 0.
    query, quality = trial.phases.get("query"), trial.quality
    return TrialLine(
        trial=trial.uid,
        study=trial.study,
        task=trial.cell.task,
        dataset=trial.cell.dataset,
        model=trial.cell.model,
        repeat=trial.repeat,
        status=trial.status,
        reason=trial.reason,
        seconds=query.seconds if query else None,
        inferences=query.inferences if query else None,
        session=trial.session,
        block=trial.block,
        disturbed=disturbed(trial.phases),
        domains={
            name: LineDomain(energy_j=d.energy_j, provenance=d.provenance)
            for name, d in (query.domains if query else {}).items()
        },
        quality=LineQuality(metric=quality.metric, value=quality.value) if quality else None,
    )


def line_of_not_run(skipped: NotRun, study: str) -> TrialLine:
    """A repeat that was not run: it has no trial and no figures."""
    cell = skipped.cell.cell
    # A line all the same: a program that counts repeats would wait for it.
    return TrialLine(
        trial=None,
        study=study,
        task=cell.task,
        dataset=cell.dataset,
        model=cell.model,
        repeat=skipped.repeat,
        status=skipped.status,
        reason=skipped.reason,
    )
