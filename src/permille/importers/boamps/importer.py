"""BoAmps reports: one JSON file per computing task, with its measures in kWh.

A report says how much energy a task used, not which devices that covers: a measure is imported as
the sum of what its tool metered, which only the boundary ``node`` has. A report that permille wrote
has its trials in it, and gives the same figure and interval again.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec

from permille.importers import Options, Tally
from permille.importers import trials as build
from permille.importers.boamps.report import (
    QUALITIES,
    SOURCE,
    BoampsAddition,
    BoampsMeasure,
    BoampsReport,
    BoampsTask,
    BoampsTrial,
)
from permille.importers.codecarbon.importer import CPU_ACCURACY
from permille.importers.plausible import power_fault
from permille.importers.reading.documents import trials_each
from permille.importers.reading.files import Source
from permille.records.cell import Cell, ModelFacts
from permille.records.energy import DomainEnergy, Phase, Problem
from permille.records.machine import Environment
from permille.records.recording import Provenance
from permille.records.trial import Protocol, Trial
from permille.units import format_share, joules_from_kwh, kwh_from_joules

_ROUNDING = 1e-6
_MOST_NOTES = 20
# The method is free text. The schema's own example is "wattmeter" (measure_schema.json); anything
# else, such as "codecarbon", may be an estimate and is taken for one.
_WATT_METERS = ("wattmeter", "watt meter", "watt-meter", "powermeter", "power meter")
_UNSTATED_METER = QUALITIES["low"]
"""The accuracy of a wall meter of which the report does not state the quality."""


class BoampsImporter:
    """The ``boamps`` format."""

    name = SOURCE

    def trials(self, source: Source, tally: Tally, options: Options) -> Iterator[Trial]:
        """The trials of a permille report; of any other, one trial per measure."""
        return trials_each(
            source,
            tally,
            frozenset({"task", "measures", "infrastructure"}),
            "a BoAmps report (task, measures, infrastructure)",
            lambda content: _trials(content, options),
        )


importer = BoampsImporter()


def _trials(content: dict[str, Any], options: Options) -> list[Trial]:
    report = msgspec.convert(content, BoampsReport)
    if report.task.task_stage.strip().lower() != "inference":
        stage = report.task.task_stage[:40]
        raise ValueError(f"taskStage is {stage!r}: only reports of the stage inference are read")
    # Without the header, whose date and id are new whenever the report is written again.
    digest = build.digest({key: part for key, part in content.items() if key != "header"})
    if report.permille is not None:
        return list(_again(report, report.permille, digest, options))
    twice = [
        method
        for method, times in Counter(m.measurement_method for m in report.measures).items()
        if times > 1
    ]
    if twice:
        raise ValueError(
            f"several measures by {twice[0][:40]!r}: it is not known whether they are repeats of"
            " the task or parts of it; write one report for each"
        )
    return [
        _of_measure(report, measure, f"{digest}-{at}", options)
        for at, measure in enumerate(report.measures)
    ]


# --- any report ------------------------------------------------------------------------------


def _of_measure(report: BoampsReport, measure: BoampsMeasure, uid: str, options: Options) -> Trial:
    inferences = _inferences(report.task, options)
    at_wall = measure.measurement_method.strip().lower() in _WATT_METERS
    accuracy = _accuracy(report.quality, at_wall=at_wall)
    query = _phase("measurement", measure.power_consumption, measure.measurement_duration,
                   at_wall=at_wall, accuracy=accuracy, inferences=inferences)  # fmt: skip
    phases = {"query": query}
    # Both are needed: idle is subtracted as a power.
    idle_kwh = measure.power_calibration_measurement
    idle_s = measure.duration_calibration_measurement
    if idle_kwh and idle_s:
        phases["idle"] = _phase("calibration", idle_kwh, idle_s, at_wall=at_wall, accuracy=accuracy)
    hardware = _hardware(report)
    return Trial(
        uid=f"{SOURCE}:{uid}",
        study=options.study or SOURCE,
        cell=_cell(report, measure, uid),
        repeat=0,
        status="done",
        reason=None,
        started=build.started(measure.measurement_date_time),
        protocol=Protocol(inferences=inferences or 0, name=SOURCE),
        environment=build.environment({"hardware": hardware}),
        source=SOURCE,
        device=hardware and hardware[: build.MAX_NAME],
        facts=ModelFacts(params=_params(report.task)),
        phases=phases,
        notes=_notes(report, measure, at_wall=at_wall),
    )


def _cell(report: BoampsReport, measure: BoampsMeasure, uid: str) -> Cell:
    algorithms = report.task.algorithms
    names = [a.foundation_model_name or a.algorithm_name for a in algorithms]
    return build.cell(
        SOURCE,
        task=_hub_task(report.task.task_family),
        dataset=build.UNKNOWN,
        # A report without a model is a cell of its own: nothing shows that two are of the same.
        model=" + ".join(name for name in names if name) or f"{build.UNKNOWN} {uid}",
        category="unknown",
        backend=next((a.framework for a in algorithms if a.framework), build.UNKNOWN),
        settings={
            "measured_by": measure.measurement_method,
            "quantization": next((a.quantization for a in algorithms if a.quantization), None),
        },
    )


def _hardware(report: BoampsReport) -> str | None:
    components = report.infrastructure.components
    listed = [f"{c.nb_component} x {c.component_name or c.component_type}" for c in components]
    return ", ".join(listed) or None


def _inferences(task: BoampsTask, options: Options) -> int | None:
    """The report's number, else the one given; 0 means unknown in the data model."""
    stated = task.nb_request
    if not stated:
        return options.inferences
    if stated != int(stated) or not 0 < stated < 2**63:
        raise ValueError(f"nbRequest is {stated:g}, not a number of requests")
    return int(stated)


def _accuracy(quality: str | None, *, at_wall: bool) -> tuple[float, float]:
    """A meter is as good as its publisher states. A tool's estimate is not better for being stated
    to be: tools such as CodeCarbon estimate at least the memory."""
    if at_wall:
        stated = _UNSTATED_METER if quality is None else QUALITIES[quality]
        return (stated, stated)
    return CPU_ACCURACY


def _phase(
    what: str,
    kwh: float,
    seconds: float | None,
    *,
    at_wall: bool,
    accuracy: tuple[float, float],
    inferences: int | None = None,
) -> Phase:
    if not 0 < kwh < math.inf:
        raise ValueError(f"the energy of the {what} is {kwh:g} kWh: it must be above 0")
    if seconds is None or not 0 < seconds < math.inf:
        raise ValueError(f"the duration of the {what} is {seconds}: it must be above 0 s")
    energy_j = joules_from_kwh(kwh)
    if fault := power_fault("node", energy_j, seconds):
        raise ValueError(f"the {what}: {fault}")
    provenance = Provenance.MEASURED if at_wall else Provenance.ESTIMATED
    node = build.domain(
        energy_j,
        "node",
        SOURCE,
        provenance,
        accuracy,
        # A wall meter covers the whole machine. A tool's sum may cover any part of it, so it claims
        # no devices.
        covers=("cpu", "dram", "gpu", "other") if at_wall else (),
    )
    return Phase(seconds=seconds, domains={"node": node}, inferences=inferences)


def _hub_task(family: str) -> str:
    """``textClassification`` and ``text classification`` as the Hub writes them."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", family[: build.MAX_NAME].strip())
    return re.sub(r"[\s_-]+", "-", apart).lower() or build.UNKNOWN


def _params(task: BoampsTask) -> int | None:
    """Of the only algorithm."""
    numbers = [a.parameters_number for a in task.algorithms]
    billions = numbers[0] if len(numbers) == 1 else None
    return None if billions is None or not 0 < billions < 1e6 else round(billions * 1e9)


def _notes(report: BoampsReport, measure: BoampsMeasure, *, at_wall: bool) -> tuple[str, ...]:
    modes = {"CPU": measure.cpu_tracking_mode, "GPU": measure.gpu_tracking_mode}
    stated = [f"{device} tracked by {mode[:40]}" for device, mode in modes.items() if mode]
    method = ", ".join([measure.measurement_method[:60], *stated])
    notes = [f"a BoAmps report: what {method} metered, which may not be every device"]
    if report.quality is None:
        notes.append("the report states no quality")
    else:
        allowed = f"±{format_share(QUALITIES[report.quality])}"
        used = "" if at_wall else "; the interval is that of an estimate"
        notes.append(f"its publisher rates the report's quality {report.quality} ({allowed}){used}")
    return tuple(notes)


# --- permille's own --------------------------------------------------------------------------


def _again(
    report: BoampsReport, added: BoampsAddition, digest: str, options: Options
) -> Iterator[Trial]:
    """The trials of a report that permille wrote.

    Raises:
        ValueError: they do not add up to the report's measure, or are not plausible.
    """
    _check_sums(report, added)
    cell = build.cell(
        SOURCE,
        task=added.task,
        dataset=added.dataset,
        model=added.model,
        category=added.category,
        backend=added.backend,
        settings=added.settings | {"measured_by": added.source, "boundary": added.boundary},
    )
    environment = build.environment({"hardware": _hardware(report)})
    facts = ModelFacts(params=_params(report.task))
    for at, trial in enumerate(added.trials):
        yield _trial(trial, added, cell, environment, facts, f"{digest}-{at}", options)


def _trial(
    trial: BoampsTrial,
    added: BoampsAddition,
    cell: Cell,
    environment: Environment,
    facts: ModelFacts,
    uid: str,
    options: Options,
) -> Trial:
    phases = {}
    for name, phase in trial.phases.items():
        for domain_name, domain in phase.domains.items():
            _check_domain(f"{name}, {domain_name}", domain, phase.seconds)
        missing = _outside(added.boundary, phase)
        # The exporter leaves out the domains outside the boundary; without a problem for them, the
        # sum would pass for the whole node's.
        phases[name] = msgspec.structs.replace(phase, problems={**phase.problems, **missing})
    return Trial(
        uid=f"{SOURCE}:{uid}",
        study=options.study or SOURCE,
        cell=cell,
        repeat=trial.repeat,
        status="done",
        reason=None,
        started=build.started(trial.started),
        protocol=added.protocol,
        environment=environment,
        source=SOURCE,
        device=added.device,
        facts=facts,
        phases=phases,
        stopping=trial.stopping,
        notes=(
            *(note[: build.MAX_NAME] for note in trial.notes[:_MOST_NOTES]),
            f"a BoAmps report by permille, of figures by {added.source[:60]}",
        ),
        session=trial.session,
        block=trial.block,
        rerun_precision=trial.rerun_precision,
    )


def _check_sums(report: BoampsReport, added: BoampsAddition) -> None:
    queries = [trial.phases.get("query") for trial in added.trials]
    whole = [query for query in queries if query is not None and (query.inferences or 0) > 0]
    if len(report.measures) != 1 or not queries or len(whole) < len(queries):
        raise ValueError(
            "permille: there must be one measure, and a query with inferences in every trial"
        )
    inferences = sum(query.inferences or 0 for query in whole)
    energy_j = sum(domain.energy_j for query in whole for domain in query.domains.values())
    (measure,) = report.measures
    stated_kwh, kwh = measure.power_consumption, kwh_from_joules(energy_j)
    # Written as what must hold: a NaN passes no comparison.
    if not abs(kwh - stated_kwh) <= _ROUNDING * abs(stated_kwh):
        raise ValueError(
            f"powerConsumption is {stated_kwh:.6g} kWh, but the trials in it add up to {kwh:.6g}:"
            " edited; remove the key permille to import the measure alone"
        )
    if inferences != report.task.nb_request:
        raise ValueError(
            f"nbRequest is {report.task.nb_request}, but the trials in it add up to {inferences}:"
            " edited; remove the key permille to import the measure alone"
        )


def _check_domain(where: str, domain: DomainEnergy, seconds: float) -> None:
    """No figure that a meter cannot give."""
    parts = (domain.energy_j, domain.edge_j, domain.accuracy_low, domain.accuracy_high)
    # Written as what must hold: a NaN passes no comparison.
    if not seconds > 0 or not all(0 <= part < math.inf for part in parts):
        raise ValueError(f"permille: {where}: a negative energy or uncertainty, or no duration")
    if fault := power_fault(domain.kind, domain.energy_j, seconds):
        raise ValueError(f"permille: {where}: {fault}")


def _outside(boundary: str, phase: Phase) -> dict[str, Problem]:
    """What the report does not have, so that its sum is never taken for a wider boundary's."""
    if boundary == "node":
        return {}
    reason = f"the report has the boundary {boundary} alone; see --boundary {boundary}"
    problems = {"rest": Problem(reason=reason, kind="other")}
    if boundary == "accelerator":
        there = {domain.kind for domain in phase.domains.values()}
        problems |= {
            f"{kind}:rest": Problem(reason=reason, kind=kind)
            for kind in ("cpu", "dram")
            if kind not in there
        }
    return problems
