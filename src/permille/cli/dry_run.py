"""``permille run --dry-run``: the plan, measured nothing."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from permille.analysis.boundaries import within
from permille.cli.terminal import console, plain, print_json
from permille.store import Store
from permille.study.plan import Plan
from permille.study.runner import DEFAULT_REPEATS
from permille.units import format_energy_kwh, format_seconds, kwh_from_joules

_MOST_LINES = 40
"""More cells than this are told by task."""


def dry_run(plan: Plan, args: argparse.Namespace) -> int:
    """What a run would do: cells, trials, downloads, and what is known of time and energy."""
    from permille.study.forecast import download_bytes

    settings = plan.settings
    repeats = settings.repeats or DEFAULT_REPEATS
    size = download_bytes(plan)
    expected = _expected(plan, repeats, args)
    payload = {
        "schema": 1,
        "cells": len(plan.cells),
        "trials": len(plan.cells) * repeats,
        "models": len({c.cell.model for c in plan.cells}),
        "datasets": len({c.cell.dataset for c in plan.cells}),
        "downloads_gb": None if size is None else size / 1e9,
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
    for line in _cells(plan):
        out.print(plain(line), markup=False)
    for line in (*plan.notes, _downloads(size), _outlook(expected)):
        out.print(plain(line), markup=False, soft_wrap=True)
    return 0


def _cells(plan: Plan) -> list[str]:
    """A line for each cell; of many, a line for each task."""
    cells = [planned.cell for planned in plan.cells]
    if len(cells) <= _MOST_LINES:
        return [f"  {cell.task} / {cell.dataset} / {cell.model}" for cell in cells]
    lines = []
    for task in dict.fromkeys(cell.task for cell in cells):
        of_task = [cell for cell in cells if cell.task == task]
        models = len({cell.model for cell in of_task})
        datasets = ", ".join(dict.fromkeys(cell.dataset for cell in of_task))
        lines.append(f"  {task}: {len(of_task)} cells, {models} models on {datasets}")
    return lines


def _downloads(size: int | None) -> str:
    if size is None:
        return "downloads: of a size not known; the models' parameters are not"
    if not size:
        return "downloads: no model"
    return (
        f"downloads: about {size / 1e9:.3g} GB of models (estimate: 4 bytes a parameter; what is in"
        " the cache already is in it), and the datasets"
    )


def _outlook(expected: dict[str, Any]) -> str:
    if expected["seconds"] is None:
        return f"time and energy expected: not known: {expected['basis']}"
    kwh = expected["kwh"]
    energy = format_energy_kwh(kwh) if kwh is not None else "energy not known (no meter)"
    return f"expected: {format_seconds(expected['seconds'])}, {energy}: {expected['basis']}"


def _expected(plan: Plan, repeats: int, args: argparse.Namespace) -> dict[str, Any]:
    """Seconds and kWh of the whole run, and what they rest on; None where not known."""
    from permille.study.forecast import forecast, published

    found = _from_store(plan, repeats, args)
    if found["seconds"] is not None:
        return {**found, "basis": "from the store's finished trials of these cells"}
    known = published()
    keys = [(p.cell.task, p.cell.dataset, p.cell.model) for p in plan.cells]
    if not all(key in known for key in keys):
        why = "nothing like it is in the store yet, nor in the published study"
        return {**found, "basis": why}
    from permille.study.calibration import MODEL, calibrate

    here = calibrate(_device(plan))
    rough = forecast(plan, repeats, here)
    basis = (
        "rough, may be off several times: the published study's seconds on an A100, scaled by a"
        f" replica of {MODEL} timed on {here.device} here"
        f" ({format_seconds(here.inference_s)} an inference) and by this machine's"
        f" {here.operations_per_s / 1e9:.3g} GFLOP/s and {here.bytes_per_s / 1e9:.3g} GB/s"
    )
    if here.power_w is not None:
        basis += f"; energy at the {here.power_w:.3g} W drawn meanwhile"
    return {"seconds": rough.seconds, "kwh": rough.kwh, "basis": basis}


def _device(plan: Plan) -> str:
    """The device of most of the cells."""
    devices: Sequence[str] = [str(p.model.settings.get("device", "cpu")) for p in plan.cells]
    return max(dict.fromkeys(devices), key=devices.count)


def _from_store(plan: Plan, repeats: int, args: argparse.Namespace) -> dict[str, float | None]:
    """Seconds and kWh from finished trials of the same cells; None unknown."""
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
