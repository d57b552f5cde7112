"""The numerical claims in the study's text, and the subset of the data that gives each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from permille.analysis.paper.printed import agreement
from permille.analysis.study_cells import StudyCell, StudyCells, pooled
from permille.records import Record
from permille.units import kwh_from_joules

CHARGE_KWH = 0.022
"""A smartphone charge by the US EPA's calculator, as the study quotes it."""
MILE_G = 1594 / 4.1
"""gCO2e of a mile by car that the study's 4.1 miles for 1,594 g imply: 389."""
PAPER_G_PER_KWH = 297.6
SDXL = "stabilityai/stable-diffusion-xl-base-1.0"
DISTILBERT = "distilbert-base-uncased"


class Outcome(Record):
    """The value computed from the data for a claim, and how it was computed."""

    value: float | None
    note: str


class Claim(Record):
    """A number in the study's text, as ``published`` and as ``found`` in the data; null if the data
    do not contain it. ``agreement`` says how the printed digits match, null if they do not;
    ``note`` describes the subset of the data that it follows from."""

    claim: str
    published: float
    found: float | None
    matches: bool | None
    agreement: str | None
    note: str


def claims(study: StudyCells) -> list[Claim]:
    """Every claim with the value from the data."""
    return [_claim(claim, printed, find(study)) for claim, printed, find in _CLAIMS]


def _claim(claim: str, printed: str, outcome: Outcome) -> Claim:
    how = agreement(outcome.value, printed)
    return Claim(
        claim=claim,
        published=float(printed),
        found=outcome.value,
        matches=None if outcome.value is None else how is not None,
        agreement=how,
        note=outcome.note,
    )


def _missing(what: str) -> Outcome:
    return Outcome(value=None, note=f"{what} is not in this store")


def _whole_kwh(study: StudyCells) -> float | None:
    """The energy of the whole archive; None if there is none of it."""
    it = study.archive
    # None for 0, too: shares and factors are divided by it.
    return None if it is None else it.cpu_kwh + it.ram_kwh + it.gpu_kwh or None


def _total_energy(study: StudyCells) -> Outcome:
    it = study.archive
    whole = _whole_kwh(study)
    if it is None or not whole:
        return _missing("the whole archive")
    return Outcome(
        value=it.gpu_kwh,
        note=f"gpu_energy alone over all {it.runs} runs, loading included; with the CPU's and"
        f" RAM's constants it is {whole:.2f} kWh",
    )


def _total_carbon(study: StudyCells) -> Outcome:
    it = study.archive
    whole = _whole_kwh(study)
    if it is None or not whole:
        return _missing("the whole archive")
    return Outcome(
        value=it.co2e_g / 1000,
        note=f"CPU, RAM and GPUs of all {it.runs} runs ({whole:.2f} kWh, not 754.66) at the logs'"
        f" {it.co2e_g / whole:.2f} g/kWh; at {PAPER_G_PER_KWH} g/kWh it would be"
        f" {whole * PAPER_G_PER_KWH / 1000:.1f} kg",
    )


def _grid(study: StudyCells) -> Outcome:
    it = study.archive
    whole = _whole_kwh(study)
    if it is None or not whole:
        return _missing("the whole archive")
    logged = it.co2e_g / whole
    return Outcome(value=logged, note="what the logs applied; every gram in the tables rests on it")


def _median(task: str) -> Callable[[StudyCells], Outcome]:
    def find(study: StudyCells) -> Outcome:
        value = study.median_kwh.get(task)
        if value is None:
            return _missing(task)
        return Outcome(value=value, note="median over the runs of task-specific models, node")

    return find


def _largest(study: StudyCells) -> float | None:
    """kWh of the largest run on DiffusionDB, loading included."""
    cells = _of(study, SDXL, dataset="DiffusionDB")
    most = [cell.most_j for cell in cells if cell.most_j is not None]
    # The one run and not their mean: no mean of the data gives the printed 11.49 kWh.
    return kwh_from_joules(max(most)) if most else None


def _least_efficient(study: StudyCells) -> Outcome:
    value, mean = _largest(study), _mean(_of(study, SDXL))
    if value is None or mean is None:
        return _missing("SDXL on DiffusionDB")
    return Outcome(
        value=value,
        note="the largest run of SDXL on DiffusionDB, loading included, not its mean"
        f" ({mean:.2f} kWh over its 30 runs)",
    )


def _charges(study: StudyCells) -> Outcome:
    value = _largest(study)
    if value is None:
        return _missing("SDXL on DiffusionDB")
    return Outcome(value=value / CHARGE_KWH, note=f"11.49 kWh over {CHARGE_KWH} kWh a charge (EPA)")


def _sdxl_grams(study: StudyCells) -> Outcome:
    value = _sdxl_g(study)
    if value is None:
        return _missing("SDXL on DiffusionDB")
    return Outcome(value=value, note="the same run at the logs' grid factor")


def _sdxl_g(study: StudyCells) -> float | None:
    kwh = _largest(study)
    cells = _of(study, SDXL, dataset="DiffusionDB")
    logged = next((c.logged_g_per_kwh for c in cells if c.logged_g_per_kwh is not None), None)
    return None if kwh is None or logged is None else kwh * logged


def _miles(study: StudyCells) -> Outcome:
    value = _sdxl_g(study)
    if value is None:
        return _missing("SDXL on DiffusionDB")
    return Outcome(
        value=value / MILE_G,
        note=f"by the {MILE_G:.0f} g a mile that the claim itself implies: not in the data",
    )


def _distilbert_g(study: StudyCells) -> float | None:
    cells = _of(study, DISTILBERT)
    logged = next((c.logged_g_per_kwh for c in cells if c.logged_g_per_kwh is not None), None)
    mean = _mean(cells)
    return None if mean is None or logged is None else mean * logged


def _distilbert_miles(study: StudyCells) -> Outcome:
    grams = _distilbert_g(study)
    if grams is None:
        return _missing(DISTILBERT)
    return Outcome(
        value=grams / MILE_G,
        note=f"{grams:.3f} g, the mean of its runs without loading, at {MILE_G:.0f} g a mile",
    )


def _times_less(study: StudyCells) -> Outcome:
    sdxl, small = _sdxl_g(study), _distilbert_g(study)
    if not sdxl or not small:  # absent or 0: there is no ratio
        return _missing(f"SDXL or {DISTILBERT}")
    return Outcome(
        value=sdxl / small,
        note="4.1 miles over 0.0006 miles, both rounded, is 6,833; unrounded it is this, and the"
        " one counts loading where the other does not",
    )


def _image_over_text(study: StudyCells) -> Outcome:
    images = _mean(_of_task(study, "text-to-image"))
    texts = _mean(_of_task(study, "text-classification"))
    # None or 0: there is no ratio.
    if not images or not texts:
        return _missing("text-to-image or text-classification")
    return Outcome(
        value=images / texts,
        note="2.907 over the printed .002 is 1,453; over the unrounded mean it is this",
    )


def _external_charge(study: StudyCells) -> Outcome:
    return Outcome(value=None, note="a factor of the US EPA: not in the data")


def _of(study: StudyCells, model: str, dataset: str | None = None) -> list[StudyCell]:
    return [
        c
        for c in study.cells
        if c.summary.cell.model == model and dataset in (None, c.summary.cell.dataset)
    ]


def _of_task(study: StudyCells, task: str) -> list[StudyCell]:
    return [
        c
        for c in study.cells
        if c.summary.cell.task == task and c.summary.cell.category == "task-specific"
    ]


def _mean(cells: Sequence[StudyCell]) -> float | None:
    """kWh per 1,000 over the runs of the cells, node."""
    energies = [energy for cell in cells if (energy := cell.energy("node")) is not None]
    return kwh_from_joules(pooled(energies).mean) if energies else None


# Numbers as strings, because their digits tell how they were rounded (printed.agreement).
_CLAIMS: tuple[tuple[str, str, Callable[[StudyCells], Outcome]], ...] = (
    ("energy of the whole study, kWh", "754.66", _total_energy),
    ("carbon of the whole study, kgCO2e", "178.97", _total_carbon),
    ("grid intensity, gCO2e/kWh", "297.6", _grid),
    ("median image classification, kWh per 1,000", "0.0068", _median("image-classification")),
    ("median image generation, kWh per 1,000", "1.35", _median("text-to-image")),
    ("median text generation, kWh per 1,000", "0.042", _median("text-generation")),
    ("median text classification, kWh per 1,000", "0.0023", _median("text-classification")),
    ("a smartphone charge, kWh", "0.022", _external_charge),
    ("least efficient image generation, kWh per 1,000", "11.49", _least_efficient),
    ("the same in smartphone charges", "522", _charges),
    ("image generation over text classification, times", "1450", _image_over_text),
    ("SDXL, gCO2e per 1,000", "1594", _sdxl_grams),
    ("SDXL, miles by car per 1,000", "4.1", _miles),
    ("distilbert-base-uncased, miles by car per 1,000", "0.0006", _distilbert_miles),
    ("SDXL over distilbert-base-uncased, times", "6833", _times_less),
)
