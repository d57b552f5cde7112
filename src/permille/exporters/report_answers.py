"""What two frameworks ask about the energy of an inference, and the answers of one figure. Pure.

:data:`SOURCES` names the texts whose clauses are cited.
"""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

from permille.analysis.estimates import Interval
from permille.analysis.results import ResultRow, Results
from permille.exporters.single import (
    boundary_text,
    energy_text,
    grid_text,
    interval_of,
    mass_text,
    named,
    over_text,
    provenance_text,
    quality_text,
    shown,
    trials_text,
)
from permille.records.cell import ModelFacts
from permille.records.energy import Boundary
from permille.units import format_energy_j, format_mass_g, format_number

NOT_MEASURED = "not measured"

SOURCES = (
    (
        "SCI",
        "Software Carbon Intensity Specification 1.1.0, Green Software Foundation"
        " (ISO/IEC 21031:2024 is an edition of it), by the names of its sections",
    ),
    (
        "SCI for AI",
        "the foundation's draft for AI systems (github.com/Green-Software-Foundation/sci-ai), by"
        " the numbers of its sections at commit 02bc0f1",
    ),
    ("AI Act", "Regulation (EU) 2024/1689"),
    (
        "Form",
        "Model Documentation Form of the General-Purpose AI Code of Practice, transparency chapter,"
        " 10 July 2025, by the names of its items as quoted by others: they have not been checked"
        " against the form itself",
    ),
)
"""The texts behind the short names of the clauses."""

_INCLUDED: dict[Boundary, str] = {
    "accelerator": "the accelerators in use, or the CPU where there are none",
    "compute": "the accelerators in use, the CPU and the memory",
    "node": "every metered part of the machine, idle devices too",
    "facility": "the machine, times the PUE of its data centre",
}
_MADE_BY = {
    "measured": "read from an energy counter or a meter while the model ran",
    "replayed": "computed from a recording of an energy counter",
    "modelled": "modelled from a counter of something else",
    "estimated": "estimated from CPU time and published watts; no energy counter was read",
}


class ClauseAnswer(NamedTuple):
    """A question with its clause, and the answer; None if it is not known, and ``missing`` in its
    place. ``note`` says why, or what the answer leaves open."""

    question: str
    clause: str
    text: str | None
    note: str = ""
    missing: str = NOT_MEASURED


class Section(NamedTuple):
    """Questions of one framework."""

    title: str
    answers: list[ClauseAnswer]


class ReportFigure(NamedTuple):
    """One figure, and what the store knows beside it."""

    results: Results
    row: ResultRow
    facts: ModelFacts
    machine: dict[str, str]
    days: tuple[date, date] | None


def sections(measured: ReportFigure) -> list[Section]:
    """All questions, in order."""
    return [
        Section("Software Carbon Intensity (SCI) and SCI for AI", _sci(measured)),
        Section(
            "EU AI Act, Article 53(1), point (a): documentation of a general-purpose AI model",
            _ai_act(measured),
        ),
        Section("How it was measured", _method(measured)),
    ]


def _sci(measured: ReportFigure) -> list[ClauseAnswer]:
    results, row = measured.results, measured.row
    # SCI requires the intensity of the region where the software runs, not the world average.
    grid = None if results.carbon.assumed else grid_text(results)
    no_grid = "no grid was chosen (--region or --intensity)"
    operational = None if grid is None else mass_text(row.co2e_g_per_1000)
    return [
        ClauseAnswer(
            "Software boundary",
            "SCI, Software boundary; SCI for AI 6.1, 7.5",
            f"inference alone (runtime operations): {_INCLUDED[row.boundary]}"
            f" ({boundary_text(results, row)})",
            "not measured: orchestration, monitoring, storage, networks, clients",
        ),
        _unit(row),
        ClauseAnswer(
            "Energy, E",
            "SCI, Operational emissions: Energy",
            f"{_kwh(row.kwh_per_1000)} per 1,000 inferences",
            "of the time under load; SCI asks for reserved hardware too, which was not measured",
        ),
        ClauseAnswer(
            "Carbon intensity, I",
            "SCI, Region-specific carbon intensity",
            grid,
            "location-based, as SCI requires" if grid else no_grid,
            "not chosen",
        ),
        ClauseAnswer(
            "Operational emissions, O = E × I",
            "SCI, Operational emissions",
            operational,
            _pue_note(measured) if grid else no_grid,
            "not computed",
        ),
        *_embodied(measured, grid),
        ClauseAnswer(
            "Quantification method",
            "SCI, Quantification method",
            f"calculation: a benchmark on {shown(row.dataset)}, whose energy was"
            f" {_MADE_BY.get(row.provenance or '', 'of unknown origin')}",
        ),
        ClauseAnswer(
            "Uncertainty",
            "not asked by SCI",
            f"95 % interval {over_text(row)}",
        ),
        ClauseAnswer(
            "Training, data, integration, end of life",
            "SCI for AI 6.2, 7.2 to 7.4, 7.6 (provider)",
            None,
            "permille measures inference",
        ),
    ]  # fmt: skip


def _pue_note(measured: ReportFigure) -> str:
    """The PUE multiplies the carbon of every boundary but ``facility``, whose energy has it."""
    pue = measured.results.carbon.pue
    return f"times the PUE of {pue:g}" if pue != 1 and measured.row.boundary != "facility" else ""


def _unit(row: ResultRow) -> ClauseAnswer:
    """The functional unit, and the energy of SCI for AI's own unit where it is counted."""
    image, tokens = row.per_unit.get("image"), row.per_token
    # The draft's table (8.1) goes by the kind of system. "Classical ML" has the inference, and so
    # has image classification (9.2).
    if row.task == "text-to-image":
        own = ("image", image)
    elif row.task == "text-to-video":
        own = ("second of video", None)
    elif row.category == "general-purpose" or tokens is not None:
        own = ("token, input or output", tokens.all if tokens else None)
    else:
        own = ("inference", None)
    name, energy = own
    text = "1,000 inferences"
    note = ""
    if name != "inference":
        known = energy is not None and energy.value is not None
        note = f"SCI for AI has the unit {name}: {_joules(energy) if known else NOT_MEASURED}"
    return ClauseAnswer("Functional unit, R", "SCI, Functional unit; SCI for AI 8.1", text, note)


def _embodied(measured: ReportFigure, grid: str | None) -> list[ClauseAnswer]:
    """M and the score; None unless both are known and the grid was chosen."""
    sci, hardware = measured.row.sci, measured.results.hardware
    made = score = None
    why, of_m = "no embodied carbon of the hardware was given (--embodied-kg)", ""
    if sci is not None and hardware is not None:
        made = f"{format_mass_g(sci.embodied_g)} CO2e per 1,000 inferences"
        of_m = (
            f"of {hardware.embodied_kg:g} kg over {hardware.lifespan_years:g} years, share in use"
            f" {hardware.resource_share:g}, as given; its uncertainty is not known"
        )
        why = "no grid was chosen (--region or --intensity)"
        if grid is not None:
            score = f"{_score(measured.row.co2e_g_per_1000, sci.embodied_g)} per 1,000 inferences"
            why = "the interval is that of O; the uncertainty of M is not known"
    return [
        ClauseAnswer(
            "Embodied emissions, M", "SCI, Embodied emissions", made, of_m or why, "not known"
        ),
        ClauseAnswer(
            "SCI score, (O + M) per R", "SCI, Methodology summary", score, why, "not computed"
        ),
    ]


def _score(operational: Interval, embodied_g: float) -> str:
    """``582 mg CO2e [573 mg, 594 mg]``: O with its interval, plus M."""
    ends = (operational.value, operational.low, operational.high)
    value, low, high = ("n/a" if end is None else format_mass_g(end + embodied_g) for end in ends)
    return f"{value} CO2e [{low}, {high}]"


def _ai_act(measured: ReportFigure) -> list[ClauseAnswer]:
    row, facts = measured.row, measured.facts
    # The Act's own two words (Annex XI, Section 1, point 2(e)).
    known = "known" if row.provenance == "measured" else "estimated"
    batch = "" if row.batch_size is None else f", batches of {row.batch_size}"
    return [
        ClauseAnswer(
            "Architecture",
            "AI Act, Annex XI, Section 1, point 1(d)",
            shown(facts.architecture) if facts.architecture else None,
            missing="not recorded",
        ),
        ClauseAnswer(
            "Number of parameters",
            "AI Act, Annex XI, Section 1, point 1(d)",
            None if row.params is None else format_number(row.params),
            missing="not recorded",
        ),
        ClauseAnswer(
            "Computational resources and time used for training",
            "AI Act, Annex XI, Section 1, point 2(d)",
            None,
            "permille measures inference",
        ),
        ClauseAnswer(
            "Energy consumption of the model: training",
            "AI Act, Annex XI, Section 1, point 2(e); Form, Amount of energy used for training",
            None,
            "permille measures inference",
        ),
        ClauseAnswer(
            "Energy consumption of the model: inference",
            "AI Act, Annex XI, Section 1, point 2(e)",
            f"{known}: {_kwh(row.kwh_per_1000)} per 1,000 inferences",
        ),
        ClauseAnswer(
            "Benchmarked amount of computation used for inference",
            "Form, Benchmarked amount of computation used for inference",
            None,
            "the form asks for floating-point operations; permille measures energy",
        ),
        ClauseAnswer(
            "Measurement methodology: task and hardware",
            "Form, Measurement methodology of inference",
            f"1,000 inferences of {shown(row.task)} on {shown(row.dataset)}{batch};"
            f" {_hardware(measured)}",
        ),
    ]


def _hardware(measured: ReportFigure) -> str:
    """The device that the model ran on, and the machine's devices, processor and memory."""
    machine = measured.machine
    gib = machine.get("memory_gib")
    parts = [
        measured.row.device,
        machine.get("devices"),
        machine.get("cpu") or machine.get("hardware"),
        f"{gib} GiB" if gib else None,
    ]
    return shown(", ".join(part for part in parts if part)) or "hardware not recorded"


def _method(measured: ReportFigure) -> list[ClauseAnswer]:
    """The basis of the figure, beyond the two frameworks."""
    row, days = measured.row, measured.days
    when = None
    if days is not None:
        when = f"{days[0]}" if days[0] == days[1] else f"{days[0]} to {days[1]}"
    rows = [
        ("Model", named(row)),
        ("Provenance", provenance_text(row)),
        ("Trials, each in a fresh process", trials_text(row)),
        ("Metered", shown(", ".join(row.domains)) or None),
        ("Quality", None if row.quality is None else quality_text(row)),
        ("Run by", shown(row.backend)),
        ("Measured with", shown(row.source)),
        ("Study and machine", f"{shown(row.study)}; {shown(row.fingerprint)}"),
        ("Date", when),
    ]
    notes = [ClauseAnswer("Note", "", shown(note)) for note in row.notes]
    return [*(ClauseAnswer(name, "", text, missing="not recorded") for name, text in rows), *notes]


def _kwh(kwh: Interval) -> str:
    """In kWh, as SCI requires, however small."""
    ends = (kwh.value, kwh.low, kwh.high)
    value, low, high = (format_number(end) if end is not None else "n/a" for end in ends)
    return f"{value} kWh [{low}, {high}]"


def _joules(energy: Interval | None) -> str:
    if energy is None or energy.value is None:
        return NOT_MEASURED
    if energy.low is None or energy.high is None:
        return format_energy_j(energy.value)
    ends = f"[{format_energy_j(energy.low)}, {format_energy_j(energy.high)}]"
    return f"{format_energy_j(energy.value)} {ends}"


def headline(measured: ReportFigure) -> str:
    """``20 mWh [8.04 mWh, 33.6 mWh] per 1,000 inferences``."""
    return f"{energy_text(measured.row)} {interval_of(measured.row)} per 1,000 inferences"
