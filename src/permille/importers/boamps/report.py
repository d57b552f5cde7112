"""The parts of a BoAmps report that a trial needs, and the object that permille adds to its own.

The data model is Boavizta's (github.com/Boavizta/BoAmps, ``model/report_schema.json``). It allows
further keys: permille writes one measure, the sum of its trials, and puts the trials under
``permille``, so that the interval can be computed again.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from permille.records import Record
from permille.records.cell import CellCategory
from permille.records.energy import Boundary, Phase
from permille.records.recording import Provenance
from permille.records.trial import Protocol, Stopping

SOURCE = "boamps"
ADDED = "permille"
"""The key of a report that is permille's own."""
SPECIFICATION = "https://github.com/Boavizta/BoAmps/blob/main/model/report_schema.json"

QUALITIES = {"high": 0.10, "medium": 0.25, "low": 0.50}
"""The relative error that each ``quality`` allows (report_schema.json, ``quality``)."""
BoampsQuality = Literal["high", "medium", "low"]

_Count = Annotated[int, msgspec.Meta(ge=0, le=10**15)]


class BoampsMeasure(Record, rename="camel"):
    """One of ``measures``: kWh and seconds, of the task and of the calibration before it."""

    measurement_method: str
    power_consumption: float
    measurement_duration: float | None = None
    measurement_date_time: str | None = None
    power_calibration_measurement: float | None = None
    duration_calibration_measurement: float | None = None
    cpu_tracking_mode: str | None = None
    gpu_tracking_mode: str | None = None


class BoampsAlgorithm(Record, rename="camel"):
    """One of the task's algorithms. ``parameters_number`` is in billions."""

    algorithm_name: str | None = None
    foundation_model_name: str | None = None
    parameters_number: float | None = None
    framework: str | None = None
    quantization: str | None = None


class BoampsTask(Record, rename="camel"):
    """What was computed; ``nb_request`` is the number of inferences."""

    task_stage: str
    task_family: str
    algorithms: tuple[BoampsAlgorithm, ...]
    nb_request: float | None = None


class BoampsComponent(Record, rename="camel"):
    """Hardware of one kind."""

    component_type: str
    nb_component: int
    component_name: str | None = None


class BoampsInfrastructure(Record, rename="camel"):
    """The hardware."""

    components: tuple[BoampsComponent, ...] = ()


class BoampsTrial(Record):
    """A trial behind the measure of a permille report. ``phases`` holds the domains that count in
    the report's boundary."""

    started: str
    repeat: int
    phases: dict[str, Phase]
    session: str | None = None
    block: int | None = None
    stopping: Stopping | None = None
    rerun_precision: float | None = None
    notes: tuple[str, ...] = ()


class BoampsAddition(Record):
    """What a report by permille holds in addition, under the key ``permille``."""

    schema: Literal[1]
    boundary: Literal["accelerator", "compute", "node"]
    provenance: Provenance
    kwh_per_1000: dict[str, float]
    task: str
    dataset: str
    model: str
    category: CellCategory
    backend: str
    source: str
    protocol: Protocol
    trials: tuple[BoampsTrial, ...]
    settings: dict[str, Any] = {}
    device: str | None = None


class BoampsReport(Record, rename="camel"):
    """A report."""

    task: BoampsTask
    measures: tuple[BoampsMeasure, ...]
    infrastructure: BoampsInfrastructure = BoampsInfrastructure()
    quality: BoampsQuality | None = None
    permille: BoampsAddition | None = None


def quality_within(error: float) -> BoampsQuality | None:
    """The ``quality`` of a figure that may be off by ``error`` (relative); None above 50 %."""
    if error <= QUALITIES["high"]:
        return "high"
    if error <= QUALITIES["medium"]:
        return "medium"
    return "low" if error <= QUALITIES["low"] else None


def boundary_of_report(boundary: Boundary) -> Literal["accelerator", "compute", "node"] | None:
    """The boundary, unless its energy is not the measured one (``facility``)."""
    return None if boundary == "facility" else boundary
