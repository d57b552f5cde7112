"""``permille run --dry-run``: print the plan without measuring."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from statistics import fmean

from permille.analysis.boundaries import Bounded, within
from permille.cli.engines import replicas_of, starting_over
from permille.cli.object_storage import called_store
from permille.cli.sessions import rest_of
from permille.cli.terminal import console, print_json
from permille.escaping import plain
from permille.meters.selection import open_all
from permille.records import JsonOutput, Record
from permille.records.recording import Domain
from permille.records.trial import Trial
from permille.store import Store
from permille.study.plan.grid import Plan
from permille.study.run.environment import describe
from permille.study.run.ledger import Ledger
from permille.study.run.schedule import most_repeats
from permille.units import (
    counted,
    format_energy_kwh,
    format_number,
    format_seconds,
    kwh_from_joules,
)

_MOST_LINES = 40
"""With more cells than this, the plan is listed by task."""


class Expected(Record, kw_only=True):
    """Of the trials that are due; null where it is not known. ``basis`` says what it rests on."""

    seconds: float | None = None
    kwh: float | None = None
    basis: str


class DryRun(JsonOutput):
    """What ``permille run --dry-run --json`` prints. ``trials`` are at most so many, of which
    ``finished`` are in the store; ``downloads_gb`` are of models, null where the size is unknown.
    """

    cells: int
    trials: int
    finished: int
    models: int
    datasets: int
    downloads_gb: float | None
    expected: Expected
    notes: tuple[str, ...]


def dry_run(plan: Plan, args: argparse.Namespace) -> int:
    """What a run would do: cells, trials, downloads, and the expected time and energy."""
    from permille.study.plan.forecast import download_bytes

    settings = plan.settings
    repeats = most_repeats(settings) * args.sessions
    trials = len(plan.cells) * repeats * replicas_of(args)
    size = download_bytes(plan)
    # Opening every meter takes time, and without a store there is nothing to compare with it.
    here = _fingerprint() if args.store.exists() else ""
    due = _due(plan, repeats, args, here)
    finished = trials - sum(due.values())
    expected = _expected(plan, due, args, here)
    models = {c.cell.model for c in plan.cells}
    datasets = {c.cell.dataset for c in plan.cells}
    forecast = DryRun(
        cells=len(plan.cells),
        trials=trials,
        finished=finished,
        models=len(models),
        datasets=len(datasets),
        downloads_gb=None if size is None else size / 1e9,
        expected=expected,
        notes=plan.notes,
    )
    if args.json:
        print_json(forecast)
        return 0
    out = console()
    out.print(
        f"{counted(len(plan.cells), 'cell')} ({counted(len(models), 'model')},"
        f" {counted(len(datasets), 'dataset')}), {counted(trials, 'trial')}"
        + (f" at most, precision ±{settings.precision:g}" if settings.precision else "")
    )
    if args.sessions > 1:
        pause = format_seconds(rest_of(args).total_seconds())
        out.print(f"{args.sessions} sessions of {most_repeats(settings)} repeats, {pause} apart")
    if replicas_of(args) > 1:
        out.print(f"{counted(repeats, 'repeat')}, each on {replicas_of(args)} machines")
    if finished:
        over = starting_over(args.engine)
        all_of_it = "" if sum(due.values()) else f": nothing is left to run ({over} starts over)"
        there = counted(finished, "trial is", "trials are")
        out.print(plain(f"{there} finished and in {called_store(args)}{all_of_it}"), soft_wrap=True)
    for line in _cells(plan):
        out.print(plain(line), markup=False)
    for line in (*plan.notes, _downloads(size), _outlook(expected)):
        out.print(plain(line), markup=False, soft_wrap=True)
    return 0


def _cells(plan: Plan) -> list[str]:
    """One line per cell or, if there are many, per task."""
    cells = [planned.cell for planned in plan.cells]
    if len(cells) <= _MOST_LINES:
        return [f"  {cell.task} / {cell.dataset} / {cell.model}" for cell in cells]
    lines = []
    for task in dict.fromkeys(cell.task for cell in cells):
        of_task = [cell for cell in cells if cell.task == task]
        models = counted(len({cell.model for cell in of_task}), "model")
        datasets = ", ".join(dict.fromkeys(cell.dataset for cell in of_task))
        lines.append(f"  {task}: {counted(len(of_task), 'cell')}, {models} on {datasets}")
    return lines


def _downloads(size: int | None) -> str:
    if size is None:
        return "downloads: unknown size, because the models' parameter counts are unknown"
    if not size:
        return "downloads: no models"
    return (
        f"downloads: about {format_number(size / 1e9)} GB of models (estimated at 4 bytes per"
        " parameter, including what the cache already has), and the datasets"
    )


def _outlook(expected: Expected) -> str:
    if expected.seconds is None:
        return f"expected time and energy: unknown: {expected.basis}"
    kwh = expected.kwh
    energy = format_energy_kwh(kwh) if kwh is not None else "energy unknown (no meter)"
    return f"expected: {format_seconds(expected.seconds)}, {energy}: {expected.basis}"


def _due(plan: Plan, repeats: int, args: argparse.Namespace, here: str) -> dict[str, int]:
    """The number of trials of each cell that are not in the store yet, by cell id; ``here``: this
    machine's fingerprint."""
    replicas = replicas_of(args)
    due = {planned.cell.id: repeats * replicas for planned in plan.cells}
    # No stored trial is of the round that --fresh begins.
    if args.fresh or not args.store.exists():
        return due
    with Store(args.store, readonly=True) as store:
        tried = [
            one
            for protocol in plan.by_protocol
            for one in store.tried(plan.name, protocol, machines=replicas > 1)
        ]
    # Which machine an agent measures is only known once it is asked: what it made counts as due.
    # And a Slurm job is submitted for what no machine has finished (remainder.missing).
    pool = args.pool or args.engine == "slurm"
    ledger = Ledger(tried, lambda cell: here, pool=pool, replicas=replicas)
    return {cell: sum(ledger.missing(cell, repeat) for repeat in range(repeats)) for cell in due}


def _fingerprint() -> str:
    """This machine's environment as a run would record it, with the meters that it would use."""
    return describe(_domains()).fingerprint


def _domains() -> list[Domain]:
    """Those of the meters that a run would use."""
    # With PERMILLE_METERS: which meters are used is a part of the fingerprint.
    opened = open_all(None)
    try:
        return [domain for meter in opened.meters for domain in meter.domains]
    finally:
        opened.close()


def _expected(plan: Plan, due: dict[str, int], args: argparse.Namespace, here: str) -> Expected:
    """Seconds and kWh of what is left to run, and what they rest on; None where not known."""
    from permille.study.plan.forecast import forecast
    from permille.study.plan.published import published

    if not any(due.values()):
        return Expected(seconds=0.0, kwh=0.0, basis="every trial is finished")
    if (stored := _from_store(plan, due, args, here)) is not None:
        return stored
    # Measured figures, even of another machine, are better than a forecast: it comes last.
    known = published()
    keys = [(p.cell.task, p.cell.dataset, p.cell.model) for p in plan.cells]
    # As below, a part of the cells would look like all of them.
    if not all(key in known for key in keys):
        return Expected(
            basis="neither the store nor the published study has comparable trials of every cell"
        )
    from permille.study.plan.calibration import MODEL, calibrate
    from permille.study.run.trial import least_query_s

    # Last of all: it loads torch and measures for a few seconds.
    machine = calibrate(_device(plan))
    rough = forecast(plan, due, machine, least_query_s(_domains()))
    basis = (
        "rough, may be several times off: the published study's seconds on an A100, scaled by a"
        f" replica of {MODEL} timed on {machine.device} here"
        f" ({format_seconds(machine.inference_s)} per inference) and by this machine's"
        f" {format_number(machine.operations_per_s / 1e9)} GFLOP/s and"
        f" {format_number(machine.bytes_per_s / 1e9)} GB/s"
    )
    if machine.power_w is not None:
        basis += f"; energy at the {format_number(machine.power_w)} W drawn meanwhile"
    return Expected(seconds=rough.seconds, kwh=rough.kwh, basis=basis)


def _device(plan: Plan) -> str:
    """The device of most of the cells."""
    devices: Sequence[str] = [str(p.model.settings.get("device", "cpu")) for p in plan.cells]
    # dict.fromkeys keeps the study's order; of a set, a tie would be drawn anew in each process.
    return max(dict.fromkeys(devices), key=devices.count)


def _from_store(
    plan: Plan, due: dict[str, int], args: argparse.Namespace, here: str
) -> Expected | None:
    """Seconds and kWh of the remaining trials, from the cells' finished ones: from those made on
    this machine or, of a cell that has none, from those of others. None if a cell has neither."""
    if not args.store.exists():
        return None
    of_here, of_others = _finished(plan, args, here)
    ids = [planned.cell.id for planned in plan.cells]
    source = {i: of_here if i in of_here.seconds else of_others for i in ids}
    # A sum over some of the cells would look like the sum over all of them.
    if any(i not in source[i].seconds for i in ids):
        return None
    basis = "from the store's finished trials of these cells"
    if elsewhere := sum(source[i] is of_others for i in ids):
        which = "they" if elsewhere == len(ids) else f"those of {elsewhere} of {len(ids)} cells"
        basis += f"; {which} were made on another machine or with other versions"
    kwh = None
    if all(i in source[i].joules for i in ids):
        kwh = kwh_from_joules(sum(due[i] * fmean(source[i].joules[i]) for i in ids))
    seconds = sum(due[i] * fmean(source[i].seconds[i]) for i in ids)
    return Expected(seconds=seconds, kwh=kwh, basis=basis)


def _finished(plan: Plan, args: argparse.Namespace, here: str) -> tuple[_Finished, _Finished]:
    """The finished trials of this machine, and those of others."""
    of_here, of_others = _Finished(), _Finished()
    protocols = plan.protocols  # trials of 20 inferences would forecast those of 20,000
    with Store(args.store, readonly=True) as store:
        for trial in store.trials(study=plan.name, status="done"):
            if trial.protocol == protocols.get(trial.cell.id):
                (of_here if trial.environment.fingerprint == here else of_others).add(trial)
    return of_here, of_others


class _Finished:
    """The seconds and joules of finished trials, by cell. Not those of the query alone: the
    baseline, loading and warm-up of the trials to come take time, too."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {}
        self.joules: dict[str, list[float]] = {}

    def add(self, trial: Trial) -> None:
        """Add a trial, if its recording has a figure as a whole."""
        whole = trial.phases.get("whole")
        if whole is None:
            return
        self.seconds.setdefault(trial.cell.id, []).append(whole.seconds)
        # The whole machine, whatever --boundary is: the run's own cost, as RunTally counts it.
        spent = within(whole, "node")
        if isinstance(spent, Bounded):
            self.joules.setdefault(trial.cell.id, []).append(spent.energy_j)
