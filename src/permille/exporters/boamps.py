"""One figure as a report in BoAmps' data model (Boavizta): energy, hardware, software, place.

The report has one measure, the sum over the finished trials, and ``nbRequest`` is the sum of their
inferences, so that dividing the two is right however a reader does it. BoAmps has no interval: the
trials stand under the key ``permille``, which its schema allows, and ``quality`` is the interval's
width. What permille does not know (publisher, licence, cloud) is left out.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence, Set
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from permille.analysis.boundaries import Bounded, within
from permille.analysis.results import ResultRow, Results
from permille.carbon.settings import CarbonSettings
from permille.errors import UsageError
from permille.exporters import Export, ExportRequest
from permille.exporters.boamps_hardware import components, known, place, software, system
from permille.exporters.single import (
    began,
    boundary_text,
    energy_text,
    finished_of,
    interval_of,
    named,
    only_row,
    provenance_text,
    shown,
    without,
)
from permille.importers.boamps.report import (
    ADDED,
    SPECIFICATION,
    BoampsAddition,
    BoampsQuality,
    BoampsTrial,
    boundary_of_report,
    quality_within,
)
from permille.records.energy import Phase
from permille.records.recording import DomainKind
from permille.records.trial import Trial
from permille.units import counted, kwh_from_joules

_TIME = "%Y-%m-%d %H:%M:%S"
_PACKAGES = {"onnx": "onnxruntime", "llama": "xllamacpp"}
"""The package of a backend, if it has another name."""
_DATA = {
    **dict.fromkeys(
        ("chat", "fill-mask", "question-answering", "summarization", "text-classification",
         "text-generation", "token-classification", "translation"), ("text", "text"),
    ),
    **dict.fromkeys(
        ("image-classification", "image-text-to-text", "image-to-text"), ("image", "text")
    ),
    "automatic-speech-recognition": ("audio", "text"),
    "feature-extraction": ("text", "other"),
    "object-detection": ("image", "other"),
    "text-to-image": ("text", "image"),
    "text-to-video": ("text", "video"),
    "video-text-to-text": ("video", "text"),
}  # fmt: skip
"""The ``dataType`` of a task's input and output (dataset_schema.json)."""
_UNKNOWN_DATA = ("other", "other")


class BoampsReportFormat:
    """The report of the only row."""

    def refusal(self, given: Set[str]) -> str | None:
        """Options for figures that are not the energy that a meter read."""
        if given & {"net", "pool"}:
            return (
                "a BoAmps report has the energy of one machine, and its idle energy apart"
                " (powerCalibrationMeasurement): remove --net and --pool"
            )
        return None

    def export(self, request: ExportRequest) -> Export:
        """The report as JSON.

        Raises:
            UsageError: there are several rows, the row has no interval or no trials, or the
            boundary is ``facility``.
        """
        if request.boundary == "facility":
            raise UsageError("a BoAmps report has the energy that was measured: --boundary node")
        results = request.results()
        row = only_row(results)
        runs = [
            run
            for trial in finished_of(row, request.trials())
            if (run := _run(trial, request)) is not None
        ]
        if not runs:
            raise without(row, ["no trials in the store, which a BoAmps report is made of"])
        quality = _quality(row)
        report = _report(results, row, runs, quality)
        text = json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False)
        return Export(text.encode() + b"\n", 1, _notes(row, runs, quality, results.carbon))


exporter = BoampsReportFormat()


class _Run(NamedTuple):
    """A trial with its energy in the boundary (joules) and its number of inferences. ``idle``: of
    the same domains before it."""

    trial: Trial
    energy: Bounded
    inferences: int
    idle: Bounded | None


def _run(trial: Trial, request: ExportRequest) -> _Run | None:
    """None for a trial without a figure in the boundary, which the row leaves out too."""
    query, idle = trial.phases.get("query"), trial.phases.get("idle")
    if query is None:
        return None
    energy = within(query, request.boundary)
    # As the row's own figure counts them (analysis/cell_energy.py): the two must agree.
    inferences = query.inferences or trial.protocol.inferences
    if not isinstance(energy, Bounded) or not inferences:
        return None
    baseline = None if idle is None else within(idle, request.boundary)
    # The calibration must cover the same domains as the measure.
    if not isinstance(baseline, Bounded) or set(baseline.domains) != set(energy.domains):
        baseline = None
    return _Run(trial, energy, inferences, baseline)


def _report(
    results: Results, row: ResultRow, runs: Sequence[_Run], quality: BoampsQuality | None
) -> dict[str, Any]:
    # The newest: trials come in the order in which they were stored.
    facts = runs[-1].trial.environment.facts
    body = {
        "task": _task(results, row, runs),
        "measures": [_measure(row, runs)],
        "system": system(facts),
        "software": software(facts),
        "infrastructure": {
            "infraType": "other",  # required (report_schema.json), and not known
            "components": components(runs[-1].trial, runs[-1].energy.domains),
        },
        "environment": place(results.carbon),
        "quality": quality,
        ADDED: msgspec.to_builtins(_added(results, row, runs)),
    }
    # The schema allows no null: an unknown part must be left out.
    body = {name: part for name, part in body.items() if part is not None}
    digest = json.dumps(body, sort_keys=True)
    header = {
        "formatVersionSpecificationUri": SPECIFICATION,
        # The same figures give the same id, so that a report that is sent twice counts once. The
        # schema prefers a uuid4, but that is another one each time.
        "reportId": str(uuid.uuid5(uuid.NAMESPACE_URL, digest)),
        "reportDatetime": datetime.now(UTC).strftime(_TIME),
        "reportStatus": "draft",  # until a person adds what _notes() names
    }
    return {"header": header, **body}


def _task(results: Results, row: ResultRow, runs: Sequence[_Run]) -> dict[str, Any]:
    # BoAmps only has a field for an accuracy; any other score would be read as one.
    score = row.quality
    accuracy = score.value if score is not None and score.metric == "accuracy" else None
    return known(
        taskStage="inference",
        taskFamily=_camel(shown(row.task)),
        nbRequest=sum(run.inferences for run in runs),
        algorithms=[_algorithm(row, runs[-1].trial)],
        dataset=[_data(row, "input"), _data(row, "output")],
        measuredAccuracy=accuracy,
        taskDescription=(
            f"{named(row)} on {shown(row.dataset)}: {energy_text(row)} per 1,000 inferences, 95 %"
            f" interval {interval_of(row)}; boundary {boundary_text(results, row)};"
            f" {provenance_text(row)}; {counted(len(runs), 'trial')}"
        ),
    )


def _algorithm(row: ResultRow, trial: Trial) -> dict[str, Any]:
    package = _PACKAGES.get(row.backend, row.backend)
    # The schema wants one of the two: algorithmName is empty where a foundation model is used.
    name = "foundationModelName" if row.category == "general-purpose" else "algorithmName"
    version = trial.environment.facts.get(package)
    return known(
        **{name: named(row)},
        algorithmType=trial.facts.architecture and shown(trial.facts.architecture),
        # in billions (algorithm_schema.json)
        parametersNumber=None if row.params is None else row.params / 1e9,
        framework=shown(package),
        frameworkVersion=version and shown(version),
    )


def _data(row: ResultRow, usage: str) -> dict[str, Any]:
    """What one inference reads or writes, on average."""
    each = row.tokens_each
    tokens = None if each is None else (each.input if usage == "input" else each.output)
    if tokens is not None and tokens.value is not None:
        return {"dataUsage": usage, "dataType": "token", "dataQuantity": tokens.value}
    read, made = _DATA.get(row.task, _UNKNOWN_DATA)
    kind = read if usage == "input" else made
    return {"dataUsage": usage, "dataType": kind, "dataQuantity": 1}


def _measure(row: ResultRow, runs: Sequence[_Run]) -> dict[str, Any]:
    """The sum over the trials: kWh and seconds."""
    idles = [(run.idle, run.trial.phases["idle"]) for run in runs if run.idle is not None]
    # All or none: the measure is the sum over all trials, so a calibration of some is too small.
    calibrated = len(idles) == len(runs)
    idle_j = sum(idle.energy_j for idle, _ in idles)
    own = row.source == "permille"
    return known(
        measurementMethod=shown(row.source),
        version=runs[-1].trial.environment.facts.get("permille") if own else None,
        cpuTrackingMode=_meters(runs, "cpu"),
        gpuTrackingMode=_meters(runs, "gpu"),
        powerCalibrationMeasurement=kwh_from_joules(idle_j) if calibrated else None,
        durationCalibrationMeasurement=sum(i.seconds for _, i in idles) if calibrated else None,
        powerConsumption=kwh_from_joules(sum(run.energy.energy_j for run in runs)),
        measurementDuration=sum(run.trial.phases["query"].seconds for run in runs),
        measurementDateTime=_began(runs),
    )


def _meters(runs: Sequence[_Run], kind: DomainKind) -> str | None:
    """The meters of the counted domains of a kind, such as ``rapl``."""
    # Of the counted alone: a GPU beside the boundary has a meter, but no part in the energy.
    meters = {
        shown(domain.meter)
        for run in runs
        for name, domain in run.trial.phases["query"].domains.items()
        if name in run.energy.domains and domain.kind == kind
    }
    return ", ".join(sorted(meters)) or None


def _began(runs: Sequence[_Run]) -> str | None:
    """When the first trial began (UTC); None if one does not know."""
    times = began(run.trial for run in runs)
    return min(times).strftime(_TIME) if times else None


def _quality(row: ResultRow) -> BoampsQuality | None:
    """By the wider side of the interval, relative to the figure."""
    kwh = row.kwh_per_1000
    if kwh.value is None or kwh.low is None or kwh.high is None or kwh.value <= 0:
        return None
    # BoAmps has one ± for both sides.
    return quality_within(max(kwh.value - kwh.low, kwh.high - kwh.value) / kwh.value)


def _added(results: Results, row: ResultRow, runs: Sequence[_Run]) -> BoampsAddition:
    """What the importer needs to give the same figure and interval."""
    kwh, boundary = row.kwh_per_1000, boundary_of_report(results.boundary)
    ends = {"value": kwh.value, "low": kwh.low, "high": kwh.high}
    if boundary is None or row.provenance is None:
        raise AssertionError("only_row and export have refused these")
    return BoampsAddition(
        schema=1,
        boundary=boundary,
        provenance=row.provenance,
        kwh_per_1000={name: end for name, end in ends.items() if end is not None},
        task=shown(row.task),
        dataset=shown(row.dataset),
        model=named(row),
        category=row.category,
        backend=shown(row.backend),
        source=shown(row.source),
        protocol=runs[-1].trial.protocol,
        trials=tuple(_counted(run) for run in runs),
        settings=known(batch_size=row.batch_size, weights=row.weights),
        device=row.device and shown(row.device),
    )


def _counted(run: _Run) -> BoampsTrial:
    """The trial with the counted domains alone."""
    trial = run.trial
    phases = {"query": _only(trial.phases["query"], run.energy)}
    phases["query"] = msgspec.structs.replace(phases["query"], inferences=run.inferences)
    if run.idle is not None:
        phases["idle"] = _only(trial.phases["idle"], run.idle)
    return BoampsTrial(
        started=trial.started,
        repeat=trial.repeat,
        phases=phases,
        session=trial.session,
        block=trial.block,
        stopping=trial.stopping,
        rerun_precision=trial.rerun_precision,
        notes=tuple(shown(note) for note in trial.notes),
    )


def _only(phase: Phase, energy: Bounded) -> Phase:
    # Without its problems, which are all outside the boundary: an energy within it would have been
    # refused. The importer knows by the boundary what is missing.
    domains = {name: phase.domains[name] for name in energy.domains}
    return Phase(
        seconds=phase.seconds,
        domains=domains,
        inferences=phase.inferences,
        disturbance=phase.disturbance,
    )


def _notes(
    row: ResultRow, runs: Sequence[_Run], quality: BoampsQuality | None, carbon: CarbonSettings
) -> tuple[str, ...]:
    notes = [
        "infraType is 'other' and the publisher is missing: complete the report before you send it"
    ]
    if quality is None:
        notes.append("no quality: the interval is wider than the ±50 % of BoAmps' lowest")
    if place(carbon) is None:
        notes.append("no environment: add --region with a country's code")
    if len(runs) < row.trials.done:
        notes.append(f"{counted(row.trials.done - len(runs), 'trial')} without a figure left out")
    return tuple(notes)


def _camel(words: str) -> str:
    """``text-classification`` in BoAmps' notation, ``textClassification``."""
    first, *rest = words.split("-")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)
