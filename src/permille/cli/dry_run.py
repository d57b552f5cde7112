"""``permille run --dry-run``: the plan, measured nothing."""

from __future__ import annotations

import argparse

from permille.analysis.boundaries import within
from permille.cli.terminal import console, plain, print_json
from permille.store import Store
from permille.study.plan import Plan
from permille.study.runner import DEFAULT_REPEATS
from permille.units import format_energy_kwh, format_seconds, kwh_from_joules


def dry_run(plan: Plan, args: argparse.Namespace) -> int:
    """What a run would do: cells, trials, and what the store tells of time and energy."""
    settings = plan.settings
    repeats = settings.repeats or DEFAULT_REPEATS
    expected = _expected(plan, repeats, args)
    payload = {
        "schema": 1,
        "cells": len(plan.cells),
        "trials": len(plan.cells) * repeats,
        "models": len({c.cell.model for c in plan.cells}),
        "datasets": len({c.cell.dataset for c in plan.cells}),
        "downloads_gb": 0.0,
        "expected": expected,
        "notes": list(plan.notes),
    }
    if args.json:
        print_json(payload)
        return 0
    out = console()
    out.print(
        f"{payload['cells']} cells ({payload['models']} models,"
        f" {payload['datasets']} datasets), {payload['trials']} trials"
        + (f" at most, precision ±{settings.precision:g}" if settings.precision else "")
    )
    for planned in plan.cells:
        cell = planned.cell
        out.print(plain(f"  {cell.task} / {cell.dataset} / {cell.model}"), markup=False)
    if expected["seconds"] is None:
        out.print("time and energy expected: not known, nothing like it is in the store yet")
    else:
        out.print(
            f"expected from the store's trials: {format_seconds(expected['seconds'])},"
            f" {format_energy_kwh(expected['kwh']) if expected['kwh'] is not None else 'n/a'}"
        )
    return 0


def _expected(plan: Plan, repeats: int, args: argparse.Namespace) -> dict[str, float | None]:
    """Seconds and kWh of the whole run, from finished trials of the same cells; None unknown."""
    nothing: dict[str, float | None] = {"seconds": None, "kwh": None}
    if not args.store.exists():
        return nothing
    seconds: dict[str, list[float]] = {}
    joules: dict[str, list[float]] = {}
    with Store(args.store, readonly=True) as store:
        for trial in store.trials(study=plan.name, status="done"):
            whole = trial.phases.get("whole")
            if whole:
                seconds.setdefault(trial.cell.id, []).append(whole.seconds)
                spent = within(whole, "node")
                if not isinstance(spent, str):
                    joules.setdefault(trial.cell.id, []).append(spent.energy_j)
    ids = [planned.cell.id for planned in plan.cells]
    if any(i not in seconds for i in ids):
        return nothing
    mean_s = sum(sum(seconds[i]) / len(seconds[i]) for i in ids)
    if any(i not in joules for i in ids):
        return {"seconds": repeats * mean_s, "kwh": None}
    mean_j = sum(sum(joules[i]) / len(joules[i]) for i in ids)
    return {"seconds": repeats * mean_s, "kwh": kwh_from_joules(repeats * mean_j)}
