"""The published tables recomputed from the data, next to the printed figures.

They follow from the energy of the whole node (CPU, RAM and all eight GPUs) in the query phase, per
1,000 inferences, pooled over the runs of the paper's set, with the sd over runs (n - 1).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from permille.analysis.paper.claims import Claim, claims
from permille.analysis.paper.printed import TABLE_2, TABLE_3, TABLE_5, agreement
from permille.analysis.study_cells import StudyCell, StudyCells, pooled
from permille.analysis.trial_sums import Sums
from permille.records import Record
from permille.units import kwh_from_joules

TABLE_4_NOTE = (
    "the facts of the paper that permille holds do not include its table 4, so nothing is"
    " compared with it"
)


class Table2Row(Record):
    """Task-specific models of a task: mean and sd of kWh per 1,000 over the runs, as published
    and from the data. ``agreement`` says how the printed digits match, null if they do not."""

    task: str
    published_kwh: float
    published_sd: float
    kwh: float | None
    sd: float | None
    difference_kwh: float | None
    matches: bool
    agreement: str | None
    sd_matches: bool
    sd_agreement: str | None
    sd_over_models: float | None
    runs: int


class Table3Row(Record):
    """A general-purpose model over its three tasks: kWh and gCO2e per 1,000."""

    model: str
    published_name: str
    published_kwh: float
    published_co2e_g: float
    kwh: float | None
    co2e_g: float | None
    difference_kwh: float | None
    matches: bool
    agreement: str | None
    co2e_agreement: str | None
    runs: int


class Table4(Record, kw_only=True):
    """Not compared; ``note`` says why."""

    rows: tuple[()] = ()
    note: str


class Table5Row(Record):
    """The number of inferences that use as much energy as training and fine-tuning: as published,
    from the printed (rounded) energy per query, and from the data."""

    model: str
    training_kwh: float
    fine_tuning_kwh: float
    published_kwh_per_query: float
    kwh_per_query: float | None
    published: int
    from_rounded: float
    from_data: float | None
    matches: bool
    agreement: str | None
    note: str


class Reproduction(Record, omit_defaults=True):
    """What ``permille reproduce --json`` prints: every table, or the one that was chosen."""

    # Not JsonOutput's field, whose default would be omitted like that of a table not chosen.
    schema: Literal[1]
    table2: tuple[Table2Row, ...] | None = None
    table3: tuple[Table3Row, ...] | None = None
    table4: Table4 | None = None
    table5: tuple[Table5Row, ...] | None = None
    claims: tuple[Claim, ...] | None = None


def reproduce(study: StudyCells) -> Reproduction:
    """All tables; values missing in the study are None in the rows."""
    return Reproduction(
        schema=1,
        table2=tuple(table2(study.cells)),
        table3=tuple(table3(study.cells)),
        table4=Table4(note=TABLE_4_NOTE),
        table5=tuple(table5(study.cells)),
        claims=tuple(claims(study)),
    )


def node_kwh(cells: Sequence[StudyCell]) -> tuple[Sums, float, float | None] | None:
    """The runs of the cells as one sample: sums in joules, mean and sd in kWh per 1,000."""
    energies = [energy for cell in cells if (energy := cell.energy("node")) is not None]
    if not energies:
        return None
    sums = pooled(energies)
    sd = None if sums.sd is None else kwh_from_joules(sums.sd)
    return sums, kwh_from_joules(sums.mean), sd


def table2(cells: Sequence[StudyCell]) -> list[Table2Row]:
    """Task-specific models: mean and sd of kWh per 1,000 by task."""
    rows = []
    for task, printed in TABLE_2.items():
        of_task = [
            c
            for c in cells
            if c.summary.cell.task == task and c.summary.cell.category == "task-specific"
        ]
        computed = node_kwh(of_task)
        kwh, sd = (computed[1], computed[2]) if computed else (None, None)
        how, sd_how = agreement(kwh, printed.kwh), agreement(sd, printed.sd)
        rows.append(
            Table2Row(
                task=task,
                published_kwh=float(printed.kwh),
                published_sd=float(printed.sd),
                kwh=kwh,
                sd=sd,
                difference_kwh=None if kwh is None else kwh - float(printed.kwh),
                matches=how is not None,
                agreement=how,
                sd_matches=sd_how is not None,
                sd_agreement=sd_how,
                sd_over_models=_sd_over_models(of_task),
                runs=computed[0].n if computed else 0,
            )
        )
    return rows


def _sd_over_models(cells: Sequence[StudyCell]) -> float | None:
    """The sample sd of the models' means (kWh): the other interpretation of the printed spread."""
    models: dict[str, list[StudyCell]] = {}
    for cell in cells:
        models.setdefault(cell.summary.cell.model, []).append(cell)
    means = [computed[1] for group in models.values() if (computed := node_kwh(group)) is not None]
    if len(means) < 2:
        return None
    mean = math.fsum(means) / len(means)
    return math.sqrt(math.fsum((m - mean) ** 2 for m in means) / (len(means) - 1))


def table3(cells: Sequence[StudyCell]) -> list[Table3Row]:
    """General-purpose models over their three tasks; grams use the logs' grid factor."""
    rows = []
    for model, printed in TABLE_3.items():
        of_model = [c for c in cells if c.summary.cell.model == model]
        computed = node_kwh(of_model)
        kwh = computed[1] if computed else None
        grams = _logged_g(of_model)
        how, grams_how = agreement(kwh, printed.kwh), agreement(grams, printed.co2e_g)
        rows.append(
            Table3Row(
                model=model,
                published_name=printed.name,
                published_kwh=float(printed.kwh),
                published_co2e_g=float(printed.co2e_g),
                kwh=kwh,
                co2e_g=grams,
                difference_kwh=None if kwh is None else kwh - float(printed.kwh),
                matches=how is not None and grams_how is not None,
                agreement=how,
                co2e_agreement=grams_how,
                runs=computed[0].n if computed else 0,
            )
        )
    return rows


def _logged_g(cells: Sequence[StudyCell]) -> float | None:
    """Grams per 1,000, pooled over runs, by the grid factor in the logs."""
    grams, n = 0.0, 0
    for cell in cells:
        energy = cell.energy("node")
        # Grams of the other cells alone would read as those of all.
        if energy is None or cell.logged_g_per_kwh is None:
            return None
        grams += energy.n * kwh_from_joules(energy.mean) * cell.logged_g_per_kwh
        n += energy.n
    return grams / n if n else None


def table5(cells: Sequence[StudyCell]) -> list[Table5Row]:
    """The number of inferences that use as much energy as training and fine-tuning."""
    rows = []
    for model, printed in TABLE_5.items():
        spent = printed.training + printed.fine_tuning
        computed = node_kwh([c for c in cells if c.summary.cell.model == model])
        per_query = computed[1] / 1000 if computed else None
        from_rounded = spent / float(printed.inference)
        # By the printed energy of a query, which is rounded: the paper's counts follow from it, but
        # for one.
        how = agreement(from_rounded, str(printed.inferences))
        note = "training and fine-tuning over the printed energy per query"
        if how is None:
            implied = printed.inferences * float(printed.inference)
            note = (
                f"does not follow from the printed kWh: {printed.inferences:,} is"
                f" {implied:,.0f} kWh over {printed.inference}, while training and fine-tuning"
                f" add up to {spent:,.0f}"
            )
        rows.append(
            Table5Row(
                model=model,
                training_kwh=printed.training,
                fine_tuning_kwh=printed.fine_tuning,
                published_kwh_per_query=float(printed.inference),
                kwh_per_query=per_query,
                published=printed.inferences,
                from_rounded=from_rounded,
                from_data=spent / per_query if per_query else None,
                matches=how is not None,
                agreement=how,
                note=note,
            )
        )
    return rows
