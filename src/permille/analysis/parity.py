"""Parity: the number of inferences that use as much energy as training.

Parity = (training + fine-tuning) / energy per inference. Its interval is that of the energy per
inference: the spread within each cell and the meter's own uncertainty, as in every other interval
(the datasets are a fixed workload). Training energy has no interval.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from msgspec.structs import replace

from permille.analysis import across_cells, intervals
from permille.analysis.across_cells import Basis, GroupHalf
from permille.analysis.estimates import Interval
from permille.analysis.paper.printed import TABLE_5
from permille.analysis.rerun import Measurement, over_cells, rerun, session_means
from permille.analysis.study_cells import StudyCell
from permille.analysis.trial_sums import Sums
from permille.carbon.footprint import energy_overhead
from permille.errors import CompareError
from permille.records import Record
from permille.records.energy import Boundary, Estimate
from permille.units import kwh_from_joules


class ParityRow(Record):
    """The number of ``inferences`` that use as much energy as training and fine-tuning; ``days``
    until then, if the traffic is given. ``finetuning_kwh``: null if not included.
    ``published_inferences``: what the paper prints for this model (table 5, the whole node)."""

    model: str | None
    training_kwh: float
    finetuning_kwh: float | None
    kwh_per_inference: float
    kwh_per_inference_low: float | None
    kwh_per_inference_high: float | None
    inferences: Interval
    days: Interval | None
    published_inferences: int | None = None


def study_rows(
    cells: Sequence[StudyCell],
    boundary: Boundary,
    pue: float = 1.0,
    per_day: float | None = None,
    model: str | None = None,
) -> list[ParityRow]:
    """The models whose training energy the study states (table 5), or the named one.

    Raises:
        CompareError: its training energy is not stated, or the cells do not include it.
    """
    if model is not None and model not in TABLE_5:
        known = ", ".join(TABLE_5)
        raise CompareError(
            f"the training energy of {model!r} is unknown; give --training-kwh, or one of {known}"
        )
    return [
        row(
            name,
            training_kwh=printed.training,
            finetuning_kwh=printed.fine_tuning,
            per_inference=kwh_per_inference(cells, name, boundary, pue),
            per_day=per_day,
            published_inferences=printed.inferences,
        )
        for name, printed in TABLE_5.items()
        if model in (None, name)
    ]


def row(
    model: str | None,
    *,
    training_kwh: float,
    finetuning_kwh: float | None,
    per_inference: Estimate,
    per_day: float | None = None,
    published_inferences: int | None = None,
) -> ParityRow:
    """One row; ``days`` at a traffic of ``per_day`` inferences."""
    spent = training_kwh + (finetuning_kwh or 0.0)
    estimate = inferences(spent, per_inference)
    days = None
    if per_day is not None:
        days = Estimate(
            value=estimate.value / per_day,
            low=None if estimate.low is None else estimate.low / per_day,
            high=None if estimate.high is None else estimate.high / per_day,
        )
    return ParityRow(
        model=model,
        training_kwh=training_kwh,
        finetuning_kwh=finetuning_kwh,
        kwh_per_inference=per_inference.value,
        kwh_per_inference_low=per_inference.low,
        kwh_per_inference_high=per_inference.high,
        inferences=Interval.of(estimate),
        days=Interval.known(days),
        published_inferences=published_inferences,
    )


def inferences(spent_kwh: float, per_inference: Estimate) -> Estimate:
    """Inferences to parity. A low energy per inference means many inferences, so the ends swap; the
    high one is None if the energy's interval reaches 0, or so near that no float holds it.

    Raises:
        CompareError: the energy per inference is not above 0.
    """
    if not per_inference.value > 0:
        raise CompareError(f"the energy per inference must be above 0, not {per_inference.value}")
    # JSON has no infinity: it would be written as null, which reads as unknown.
    if math.isinf(spent_kwh / per_inference.value):
        raise CompareError(f"{per_inference.value} kWh per inference is too small to compute with")
    low, high = per_inference.low, per_inference.high
    most = math.inf if low is None or low <= 0 else spent_kwh / low
    return Estimate(
        value=spent_kwh / per_inference.value,
        low=None if high is None else spent_kwh / high,
        high=most if math.isfinite(most) else None,
    )


def kwh_per_inference(
    cells: Sequence[StudyCell], model: str, boundary: Boundary, pue: float = 1.0
) -> Estimate:
    """kWh of one inference of a model: the mean over its cells with equal weights.

    Raises:
        CompareError: there is no such model, or one of its cells has no figure.
    """
    of_model = [cell for cell in cells if cell.summary.cell.model == model]
    energies = [cell.energy(boundary) for cell in of_model]
    known = [sums for sums in energies if sums is not None]
    if not known:
        raise CompareError(f"there is no energy of {model!r} in the {boundary} boundary")
    if len(known) < len(energies):
        raise CompareError(f"a cell of {model!r} has no energy in the {boundary} boundary")
    factor = kwh_from_joules(1.0) / 1000 * energy_overhead(pue, boundary)
    mean = mean_of_cells(known)
    return Estimate(
        value=mean.value * factor,
        low=None if mean.low is None else mean.low * factor,
        high=None if mean.high is None else mean.high * factor,
    )


def mean_of_cells(cells: Sequence[Sums]) -> Estimate:
    """The mean of the cells' figures with its 95 % interval. The meter's uncertainty is one error
    common to all cells and does not average out; nor does what a session changes in all of its
    cells (see :mod:`.across_cells`). Other spreads are independent and combine in quadrature. There
    is no interval if a cell has none, and one cell has its own."""
    if len(cells) == 1:
        return cells[0].estimate()
    k = len(cells)
    spreads = [cell.spread() for cell in cells]
    value = math.fsum(spread.value for spread in spreads) / k
    # The meter's part is relative to the mean, and of a mean of 0 or less has no meaning.
    if any(spread.high is None for spread in spreads) or value <= 0:
        return Estimate(value=value, low=None, high=None)
    groups = across_cells.by_sessions(cells, _basis)
    halves = [_group_half(group) for group in groups]
    half = across_cells.half_of_sum(halves) / k
    # Weighted by energy: it is one relative error of every cell, and so one of their sum.
    low, high = (
        math.fsum(spread.value * side for spread, side in zip(spreads, sides, strict=True))
        / (k * value)
        for sides in ([cell.low for cell in cells], [cell.high for cell in cells])
    )
    spread = Estimate(value=value, low=value - half, high=value + half)
    return intervals.not_negative(intervals.with_systematic(spread, low, high))


def _basis(cell: Sums) -> Basis:
    """The sessions of a cell; its interval is not over these if a stopping rule ended the trials
    or a figure has no logarithm."""
    return Basis(cell.session_names, cell.asked is None and bool(cell.session_means()))


def _group_half(group: Sequence[Sums]) -> GroupHalf:
    names, over_sessions = _basis(group[0])
    places = group[0].places if over_sessions else ()
    return GroupHalf(
        names=names,
        half=_half_of_group(group),
        # Above 0 for net energies, too, of which one may be below.
        scale=math.fsum(abs(cell.spread().value) for cell in group),
        draws=across_cells.draws_of((place.session, place.machine) for place in places),
    )


def _half_of_group(group: Sequence[Sums]) -> float:
    """The half-width of the sum of the figures of cells of the same sessions."""
    spreads = [cell.spread() for cell in group]
    halves = [s.high - s.value for s in spreads if s.high is not None]
    names, over_sessions = _basis(group[0])
    if len(group) == 1 or len(names) < 2:
        return math.hypot(*halves)
    if not over_sessions:
        return math.fsum(halves)
    means = over_cells(
        [
            session_means(
                Measurement(session=p.session, block=p.block, value=v, machine=p.machine)
                for p, v in zip(cell.places, cell.block_values, strict=True)
            )
            for cell in group
        ]
    )
    # On the logarithmic scale, as the interval of a single cell is.
    over = rerun([replace(mean, mean=math.log(mean.mean)) for mean in means])
    half = over.widened(max(cell.selection_factor for cell in group)).half
    assert half is not None
    total = math.fsum(spread.value for spread in spreads)
    return intervals.half_above(total, half)
