"""The shipped figures of *Power Hungry Processing*: one row a cell, made by a script of ours.

``data/power_hungry_2023.csv`` holds, per 1,000 inferences, mean and sd (n - 1) over the runs of
kWh by component and by boundary, and of seconds; ``data/power_hungry_2023.json`` what is not of a
cell: citation, licence, machine, accuracies, medians over runs, sums over the archive.
"""

from __future__ import annotations

import csv
import io
from functools import cache
from importlib import resources
from typing import Any

import msgspec

from permille.analysis.cell_summary import Summary, Sums
from permille.analysis.parts import Part
from permille.analysis.study_cells import METERED, PARTS, Archive, StudyCell, StudyCells
from permille.records import Boundary, Cell, CellCategory, Provenance, Quality, Record
from permille.units import joules_from_kwh, kwh_from_joules

NAME = "power-hungry-2023"
COLUMN = {
    "cpu:0": "cpu",
    "dram:0": "ram",
    "gpu:active": "active_gpu",
    "gpu:idle": "idle_gpus",
}
_STEM = "power_hungry_2023"


class Metering(Record):
    """How the figures of a boundary came to be."""

    provenance: Provenance
    domains: tuple[str, ...]


class About(Record):
    """What is said once of the whole table."""

    schema: int
    name: str
    citation: str
    licence: str
    source: str
    columns: str
    fingerprint: str
    device: str
    machine: dict[str, str]
    notes: tuple[str, ...]
    metering: dict[str, Metering]
    accuracy: dict[str, tuple[float, float]]
    median_kwh: dict[str, float]
    archive: Archive


@cache
def about() -> About:
    """Citation, licence, machine and what else is said once."""
    return msgspec.json.decode(_read(f"{_STEM}.json"), type=About)


@cache
def load() -> StudyCells:
    """The shipped study. ``values`` of every figure are empty: n, mean and sd stand alone."""
    said = about()
    table = csv.DictReader(io.StringIO(_read(f"{_STEM}.csv").decode(), newline=""))
    return StudyCells(
        cells=tuple(_cell(row, said) for row in table),
        median_kwh=said.median_kwh,
        archive=said.archive,
    )


def summaries(boundary: Boundary) -> list[Summary]:
    """The shipped study as summaries within one boundary, as of trials in a store."""
    if boundary != "facility":
        return [cell.summaries[boundary] for cell in load().cells]
    return [
        msgspec.structs.replace(cell.summaries["node"], boundary=boundary) for cell in load().cells
    ]


def _read(name: str) -> bytes:
    return (resources.files("permille") / "data" / name).read_bytes()


# --- one row ---------------------------------------------------------------------------------


def to_row(cell: StudyCell) -> dict[str, str]:
    """A cell as a row of the table; what :func:`load` reads."""
    summary = cell.summary
    quality, seconds = summary.quality, summary.seconds
    if seconds is None:
        raise ValueError(f"{summary.cell.model} has no duration")
    row: dict[str, Any] = {
        "task": summary.cell.task,
        "dataset": summary.cell.dataset,
        "model": summary.cell.model,
        "category": summary.cell.category,
        "backend": summary.cell.backend,
        "cell": summary.cell.id,
        "params": summary.params,
        "architecture": cell.architecture,
        "n": seconds.n,
        "quality_metric": quality and quality.metric,
        "quality": quality and quality.value,
        "input_length": cell.input_length,
        "output_length": cell.output_length,
        "seconds_mean": seconds.mean,
        "seconds_sd": seconds.sd,
    }
    for part in PARTS:
        row |= _figures(f"{part}_kwh", cell.parts[part])
    for boundary in METERED:
        energy = cell.energy(boundary)
        if energy is None:
            raise ValueError(f"{summary.cell.model} has no {boundary} energy")
        row |= _figures(f"{boundary}_kwh", energy)
        row |= {f"{boundary}_low": energy.low, f"{boundary}_high": energy.high}
    row["logged_g_per_kwh"] = cell.logged_g_per_kwh
    row["most_with_load_kwh"] = None if cell.most_j is None else kwh_from_joules(cell.most_j)
    return {name: _text(value) for name, value in row.items()}


def _figures(name: str, figure: Sums) -> dict[str, float | None]:
    sd = None if figure.sd is None else kwh_from_joules(figure.sd)
    return {f"{name}_mean": kwh_from_joules(figure.mean), f"{name}_sd": sd}


def _text(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def _cell(row: dict[str, str], said: About) -> StudyCell:
    return StudyCell(
        summaries={boundary: _summary(row, boundary, said) for boundary in METERED},
        parts={part: _sums(row, f"{part}_kwh", None) for part in PARTS},
        architecture=row["architecture"] or None,
        input_length=_number(row["input_length"]),
        output_length=_number(row["output_length"]),
        logged_g_per_kwh=_number(row["logged_g_per_kwh"]),
        most_j=joules_from_kwh(float(row["most_with_load_kwh"])),
    )


def _summary(row: dict[str, str], boundary: Boundary, said: About) -> Summary:
    n = int(row["n"])
    metric = row["quality_metric"]
    seconds = Sums(
        n=n, mean=float(row["seconds_mean"]), sd=_number(row["seconds_sd"]), low=0.0, high=0.0
    )
    category: CellCategory = (
        "general-purpose" if row["category"] == "general-purpose" else "task-specific"
    )
    return Summary(
        study=said.name,
        source=said.name,
        cell=Cell(
            id=row["cell"],
            task=row["task"],
            dataset=row["dataset"],
            model=row["model"],
            category=category,
            backend=row["backend"],
        ),
        fingerprint=said.fingerprint,
        boundary=boundary,
        device=said.device,
        params=int(row["params"]) if row["params"] else None,
        energy=_sums(row, f"{boundary}_kwh", boundary),
        net=None,
        seconds=seconds,
        latency_p50_s=None,
        latency_p95_s=None,
        quality=Quality(metric=metric, value=float(row["quality"]), n=None) if metric else None,
        done=n,
        failed=0,
        invalid=0,
        provenance=said.metering[boundary].provenance,
        domains=said.metering[boundary].domains,
        parts=tuple(_part(row, name, said) for name in said.metering[boundary].domains),
        notes=said.notes,
    )


def _part(row: dict[str, str], domain: str, said: About) -> Part:
    """What a domain contributes. The active GPU is all that is within ``accelerator``, and its
    accuracy differs from cell to cell; the others' is said once."""
    low, high = said.accuracy.get(
        domain, (float(row["accelerator_low"]), float(row["accelerator_high"]))
    )
    column = f"{COLUMN[domain]}_kwh"
    return Part(domain=domain, energy_j=_sums(row, column, None).mean, low=low, high=high)


def _sums(row: dict[str, str], name: str, boundary: Boundary | None) -> Sums:
    sd = _number(row[f"{name}_sd"])
    return Sums(
        n=int(row["n"]),
        mean=joules_from_kwh(float(row[f"{name}_mean"])),
        sd=None if sd is None else joules_from_kwh(sd),
        low=float(row[f"{boundary}_low"]) if boundary else 0.0,
        high=float(row[f"{boundary}_high"]) if boundary else 0.0,
    )


def _number(text: str) -> float | None:
    return float(text) if text else None
