"""``permille gate STUDY --against STORE``: a study's stored trials against a baseline's."""

from __future__ import annotations

import argparse
from pathlib import Path

from permille.analysis.answer import times_text
from permille.analysis.baseline import Gated, GatedCell, Key, gated
from permille.analysis.comparable import OURS
from permille.analysis.estimates import Interval, estimate_of
from permille.analysis.gate import Verdict
from permille.cli.object_storage import called_store, fetched_store
from permille.cli.planning import load
from permille.cli.terminal import print_json
from permille.errors import MeterError, UsageError
from permille.escaping import plain
from permille.records import JsonOutput, Record
from permille.records.energy import Boundary
from permille.records.machine import MachineSession
from permille.records.recording import Provenance
from permille.records.trial import Trial
from permille.store import Store
from permille.study.plan.grid import Plan
from permille.units import counted


class GatedCellOutput(Record):
    """The verdict on one model on one task and dataset. ``same_session``: whether both sides are
    from one session; if not, the interval does not include what another session changes.
    ``more_trials_needed``: of both sides. ``reason``: why there is no verdict."""

    task: str
    dataset: str
    model: str
    verdict: Verdict
    ratio: Interval
    base_trials: int
    head_trials: int
    same_session: bool | None
    more_trials_needed: int | None
    provenance: Provenance | None
    notes: tuple[str, ...]
    reason: str | None


class StudyGateOutput(JsonOutput):
    """The output of ``permille gate STUDY --against STORE --json``: a study's present cells (head)
    over those of the baseline. ``confidence``: of each interval, higher the more cells there are;
    ``not_judged``: what only one of the two sides has, and which."""

    verdict: Verdict
    study: str
    max_increase: float
    confidence: float
    boundary: Boundary
    cells: tuple[GatedCellOutput, ...]
    not_judged: tuple[str, ...]


def gate_study(args: argparse.Namespace) -> StudyGateOutput:
    """Judge the study's trials in ``--store`` against those in ``--against``, and print it.

    Raises:
        UsageError: one of the two has no trials of the study.
        MeterError: a measurement is required, and a figure rests on more.
    """
    # A model from the Hub is the one in its cache: both sides were measured on this machine.
    plan = load(args.study_file, args.allow_path, fetch=False, modules=args.allow_module)
    baseline = fetched_store(args.against, "--against")
    head, of_head = _head(args, plan)
    base, of_base = _read(baseline, plan.name)
    if not base:
        raise UsageError(f"{args.against} has no trials of the study {plan.name!r}")
    verdicts = gated(head, base, (of_head, of_base), args.boundary, args.max_increase)
    if not verdicts.cells:
        raise UsageError(f"{args.against} has none of the models, tasks and datasets of the study")
    if args.require:
        _require_measured(verdicts)
    output = _output(plan.name, verdicts, args)
    if args.json:
        print_json(output)
    else:
        for line in lines(output):
            print(plain(line))
    return output


def _head(args: argparse.Namespace, plan: Plan) -> tuple[list[Trial], dict[str, MachineSession]]:
    """The trials of the study file as it is now: those of older code or settings do not count."""
    protocols = plan.protocols
    trials, sessions = _read(args.store, plan.name)
    trials = [trial for trial in trials if trial.protocol == protocols.get(trial.cell.id)]
    # Left out instead, a cell whose code has changed would be judged by none of its trials.
    missing = protocols.keys() - {trial.cell.id for trial in trials}
    if missing:
        study, store = args.study_file, called_store(args)
        raise UsageError(
            f"{store} has no trials of {counted(len(missing), 'cell')} of {study} as it is now:"
            f" run permille run {study} --store {store}"
        )
    return trials, sessions


def _read(path: Path, study: str) -> tuple[list[Trial], dict[str, MachineSession]]:
    with Store(path, readonly=True) as store:
        # Imported trials have other meters and protocols: no gate can repeat them.
        trials = list(store.trials(study=study, source=OURS))
        return trials, {session.id: session for session in store.sessions()}


def _require_measured(verdicts: Gated) -> None:
    for cell in verdicts.cells:
        # None: there is no figure, and the cell's verdict has the reason.
        if cell.provenance not in (None, Provenance.MEASURED):
            raise MeterError(
                f"a measurement is required, and a figure of {cell.model} on {cell.dataset} is"
                f" {cell.provenance}"
            )


def _output(study: str, verdicts: Gated, args: argparse.Namespace) -> StudyGateOutput:
    def words(key: Key) -> str:
        return f"{key[2]}: {key[0]} on {key[1]}"

    return StudyGateOutput(
        verdict=verdicts.verdict,
        study=study,
        max_increase=args.max_increase,
        confidence=verdicts.confidence,
        boundary=args.boundary,
        cells=tuple(map(_cell_output, verdicts.cells)),
        not_judged=(
            *(f"{words(key)}: only in the study" for key in verdicts.only_head),
            *(f"{words(key)}: only in the baseline" for key in verdicts.only_base),
        ),
    )


def _cell_output(cell: GatedCell) -> GatedCellOutput:
    return GatedCellOutput(
        task=cell.task,
        dataset=cell.dataset,
        model=cell.model,
        verdict=cell.judgement.verdict,
        ratio=Interval.of(cell.ratio),
        base_trials=cell.base,
        head_trials=cell.head,
        same_session=cell.same_session,
        more_trials_needed=cell.judgement.more_rounds,
        provenance=cell.provenance,
        notes=cell.notes,
        reason=cell.reason,
    )


_WORDS: dict[Verdict, str] = {"pass": "passes", "fail": "fails", "cannot-tell": "cannot tell"}


def lines(output: StudyGateOutput) -> list[str]:
    """The verdict for people, and that on each cell."""
    limit = 1 + output.max_increase
    shown = [
        f"{_WORDS[output.verdict]}: {output.study}, at most {limit:.4g} times the baseline's energy"
        f" are allowed ({output.boundary}, {output.confidence:.4g} confidence)"
    ]
    for cell in output.cells:
        shown.append(f"  {_cell_line(cell)}")
        shown += [f"    note: {note}" for note in cell.notes]
    return shown + [f"  not judged: {entry}" for entry in output.not_judged]


def _cell_line(cell: GatedCellOutput) -> str:
    where = f"{cell.model}, {cell.task} on {cell.dataset}"
    if cell.reason is not None:
        return f"no verdict: {where}: {cell.reason}"
    ratio = estimate_of(cell.ratio)
    # Where there is no ratio, there is a reason (analysis.baseline).
    assert ratio is not None
    line = f"{_WORDS[cell.verdict]}: {where}: {times_text(ratio)} the energy ({cell.provenance})"
    if cell.verdict != "cannot-tell":
        return line
    if ratio.low is None:
        return f"{line}; a single trial has no interval: run more repeats"
    more = cell.more_trials_needed
    if more is None:
        return f"{line}; too close to the limit for any number of repeats to tell"
    return f"{line}; about {counted(more, 'more repeat')} of both versions would tell"
