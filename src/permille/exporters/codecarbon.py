"""Trials as CodeCarbon's ``emissions.csv``: one line per finished trial, for tools that read it.

The columns and units are those of CodeCarbon 3 (kWh, kg, W, seconds of the query span); as there,
energies include the PUE and powers do not. Five more columns follow: the number of inferences, the
boundary, the provenance, the source and, of a replica, its weights. An unknown value is empty,
never 0.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Set
from typing import Any

from permille.analysis.boundaries import Bounded, within
from permille.carbon.footprint import footprint
from permille.carbon.settings import CarbonSettings
from permille.exporters import Export, ExportRequest
from permille.exporters.rows import without_controls
from permille.records.energy import Boundary, Refused
from permille.records.recording import DomainKind
from permille.records.trial import Trial
from permille.tabular import as_csv
from permille.units import counted, kg_from_g, kwh_from_joules

_PARTS: dict[str, DomainKind] = {"cpu": "cpu", "gpu": "gpu", "ram": "dram"}


class CodeCarbonCsv:
    """One line per trial. Trials without a figure in the boundary are left out, with a note."""

    def refusal(self, given: Set[str]) -> str | None:
        """Options for figures that such a file cannot distinguish from one run's gross energy."""
        if given & {"net", "pool"}:
            return (
                "CodeCarbon's format has the gross energy of single runs: remove --net and --pool"
            )
        return None

    def export(self, request: ExportRequest) -> Export:
        """The file, and the number of trials left out, by reason."""
        reasons: Counter[str] = Counter()
        written = beyond = 0

        # A generator, because a store may have 100,000 trials: one is in memory at a time.
        def rows() -> Iterator[dict[str, Any]]:
            nonlocal written, beyond
            for line in _lines(request.trials(), request.boundary, request.carbon):
                if isinstance(line, Refused):
                    reasons[line.reason] += 1
                else:
                    written += 1
                    beyond += not _adds_up(line)
                    yield without_controls(line)

        content = as_csv(rows()).encode()
        notes = tuple(
            f"{counted(count, 'trial is', 'trials are')} left out: {reason}"
            for reason, count in reasons.items()
        )
        if beyond:
            lines = counted(beyond, "line has", "lines have")
            notes = (*notes, f"{lines} energy of other parts, in energy_consumed alone")
        return Export(content, written, notes)


exporter = CodeCarbonCsv()


def _lines(
    trials: Iterable[Trial], boundary: Boundary, carbon: CarbonSettings
) -> Iterator[dict[str, Any] | Refused]:
    """A line for a finished trial or, if it has no figure in the boundary, the reason."""
    for trial in trials:
        query = trial.phases.get("query")
        if trial.status != "done" or query is None:
            continue
        spent = within(query, boundary)
        yield spent if isinstance(spent, Refused) else _line(trial, spent, boundary, carbon)


def _line(
    trial: Trial, energy: Bounded, boundary: Boundary, carbon: CarbonSettings
) -> dict[str, Any]:
    query, facts = trial.phases["query"], trial.environment.facts
    # "facility", because the energy has the PUE already: any other would count it twice.
    emitted_kg = kg_from_g(
        footprint(kwh_from_joules(energy.energy_j) * carbon.pue, carbon, "facility").location_g
    )
    joules = {part: _joules(trial, energy, kind) for part, kind in _PARTS.items()}
    place = None if carbon.assumed else carbon.region
    # Of the grid table's codes, only a country's (ISO 3166-1 alpha-3) has three letters.
    country = place if place is not None and len(place) == 3 else None
    return {
        "timestamp": trial.started,
        # What the runs of a model have in common here: the importer takes it for the model.
        "project_name": trial.cell.model,
        # The importer knows a run by this, so that the same file imported twice counts once.
        "run_id": trial.uid,
        "experiment_id": trial.study,
        "duration": query.seconds,
        "emissions": emitted_kg,
        "emissions_rate": _per(emitted_kg, query.seconds),
        **{f"{part}_power": _per(joules[part], query.seconds) for part in joules},
        **{f"{part}_energy": _kwh(joules[part], carbon.pue) for part in joules},
        "energy_consumed": _kwh(energy.energy_j, carbon.pue),
        "country_name": carbon.name if country else None,
        "country_iso_code": country,
        "region": None if country else place,
        # permille's own name of a fact first, and then that of an imported CodeCarbon file.
        "os": facts.get("system") or facts.get("os"),
        "python_version": facts.get("python") or facts.get("python_version"),
        "cpu_count": facts.get("cpus") or facts.get("cpu_count"),
        "cpu_model": facts.get("cpu") or facts.get("cpu_model"),
        "gpu_model": facts.get("gpu_model"),
        "ram_total_size": facts.get("memory_gib") or facts.get("ram_total_size"),
        # CodeCarbon's word for the energy of the machine and not of one process, which is what
        # permille's meters read.
        "tracking_mode": "machine" if trial.source == "permille" else facts.get("tracking_mode"),
        "pue": carbon.pue,
        "inferences": query.inferences,
        "boundary": boundary,
        "provenance": energy.provenance,
        "measured_by": trial.source,
        "weights": trial.cell.settings.get("weights"),
    }


def _joules(trial: Trial, energy: Bounded, kind: DomainKind) -> float | None:
    """The sum over the counted domains of a kind; None if there are none."""
    domains = trial.phases["query"].domains
    of_kind = [domains[name].energy_j for name in energy.domains if domains[name].kind == kind]
    return sum(of_kind) if of_kind else None


def _adds_up(line: dict[str, Any]) -> bool:
    """Whether the parts that the format has a column for are all of the energy. A wall meter's is
    of none of them."""
    parts = sum(line[f"{part}_energy"] or 0.0 for part in _PARTS)
    return math.isclose(parts, line["energy_consumed"], rel_tol=1e-9, abs_tol=0.0)


def _per(amount: float | None, seconds: float) -> float | None:
    """Divided by the seconds; None if the duration is unknown."""
    return None if amount is None or seconds <= 0 else amount / seconds


def _kwh(energy_j: float | None, pue: float) -> float | None:
    return None if energy_j is None else kwh_from_joules(energy_j) * pue
