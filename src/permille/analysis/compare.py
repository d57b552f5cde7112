"""The ratio of two models on the cells they share, from the trials themselves."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from permille.analysis import across_cells, intervals
from permille.analysis.across_cells import CellInMean
from permille.analysis.cell_summary import Summary
from permille.analysis.comparable import current, place, weights
from permille.analysis.comparison import CellRatio, Comparison
from permille.analysis.evidence_words import ONE_SESSION
from permille.analysis.parts import Part
from permille.analysis.rerun import Measurement, SessionMean, rerun, session_means
from permille.analysis.trial_sums import Sums
from permille.errors import CompareError
from permille.records.energy import Estimate
from permille.records.recording import Provenance
from permille.suggestions import nearest


def compare(summaries: Sequence[Summary], a: str, b: str, *, net: bool = False) -> Comparison:
    """The ratio of the energies of models ``a`` and ``b`` on the same task, dataset, machine,
    study, source and boundary; with ``net``, of the energies above idle.

    Raises:
        CompareError: a name matches no model or several, or nothing can be compared.
    """
    if net:
        summaries = [s.above_idle() for s in summaries]
    summaries = current(summaries)
    names = list(dict.fromkeys(s.cell.model for s in summaries))
    a, b = find_model(names, a), find_model(names, b)
    if a == b:
        raise CompareError(f"both names mean the same model, {a!r}")
    of_a = [s for s in summaries if s.cell.model == a]
    of_b = [s for s in summaries if s.cell.model == b]
    # One dataset may have several pairs: of two machines, or of an import's batch sizes.
    pairs = [(x, y) for x in of_a for y in of_b if place(x) == place(y)]
    if not pairs:
        raise CompareError(_why_not(of_a, of_b, a, b))
    cells, problems = _cell_ratios(pairs)
    if not cells:
        raise CompareError(f"{a!r} and {b!r} share no cell with a figure: {problems[0]}")
    overall = over_cells([(c.a, c.b, c.ratio) for c in cells])
    return Comparison(a=a, b=b, ratio=overall, cells=tuple(cells), net=net)


def over_cells(ratios: Sequence[tuple[Side, Side, Estimate]]) -> Estimate:
    """The one ratio, or the geometric mean of several (see :mod:`.across_cells`), with what a rerun
    would find; each with its two sides."""
    return across_cells.mean_of([_in_mean(*one) for one in ratios])


def _in_mean(a: Side, b: Side, ratio: Estimate) -> CellInMean:
    assert a.energy is not None
    assert b.energy is not None
    means = tuple(_blocks_of_both(a.energy, b.energy))
    paired_in = frozenset(mean.session for mean in means)
    return CellInMean(
        ratio=ratio,
        shared=_systematic(a, b),
        edge=_edges(a.energy, b.energy),
        sessions=means,
        widened=_widened(a.energy, b.energy),
        names=paired_in or _of_either(a.energy, b.energy),
    )


def _of_either(a: Sums, b: Sums) -> frozenset[str]:
    """The sessions of both sides of a ratio that is not paired; none if each side has its own
    one."""
    names = a.session_names | b.session_names
    several = len(a.session_names) > 1 or len(b.session_names) > 1
    return names if several or len(names) == 1 else frozenset()


def _cell_ratios(pairs: Sequence[tuple[Summary, Summary]]) -> tuple[list[CellRatio], list[str]]:
    """The ratio of each pair that has one, and why the others have none: a cell without a figure
    must not prevent the answer for the others."""
    cells, problems = [], []
    for x, y in pairs:
        where = f"{x.cell.task} on {x.cell.dataset}"
        if x.energy is None or y.energy is None:
            problems.append(f"{where}: {x.problem or y.problem}")
            continue
        try:
            times = ratio(x, y)
        except CompareError as error:
            problems.append(f"{where}: {error}")
            continue
        cells.append(CellRatio(a=x, b=y, ratio=times, warnings=_warnings(x, y, times)))
    return cells, problems


def find_model(names: Sequence[str], text: str) -> str:
    """The model that ``text`` names: its whole id, or a part that only one id contains.

    Raises:
        CompareError: none, or several.
    """
    if text in names:
        return text
    matching = [name for name in names if text.casefold() in name.casefold()]
    if len(matching) == 1:
        return matching[0]
    if matching:
        raise CompareError(f"{text!r} matches several models: {', '.join(sorted(matching)[:8])}")
    raise CompareError(f"no results for a model {text!r}; {similar_models(text, names)}")


def similar_models(text: str, names: Sequence[str]) -> str:
    """Which of the models may have been meant, for a message."""
    some = f"available: {', '.join(sorted(names)[:8]) or 'none'}"
    # Ids are long, and people type a part of them: a mistyped part is not very similar to the id.
    return nearest(text, names, some, most=3, cutoff=0.4)


class Side(Protocol):
    """The interface of each side of a ratio; a summary implements it."""

    @property
    def energy(self) -> Sums | None:
        """Its energy."""

    @property
    def parts(self) -> tuple[Part, ...]:
        """The same by domain."""

    @property
    def provenance(self) -> Provenance | None:
        """The provenance."""

    @property
    def problem(self) -> str | None:
        """Why there is no energy."""


def ratio(a: Side, b: Side) -> Estimate:
    """The energy of ``a`` divided by that of ``b``, with the uncertainty that does not cancel.

    The spread is that of the blocks of both or, without these, of what either figure is over: its
    sessions or its trials (``Sums.for_ratio``). The accuracy of the same meter on the same domain
    is the same error on both sides and cancels; that of different meters does not. An estimate has
    two coefficients, for time and for work, with independent uncertainties, which do not cancel as
    far as the two sides divide their energy differently between them.

    Raises:
        CompareError: a side without a figure.
    """
    for side in (a, b):
        if side.energy is None:
            raise CompareError(f"no figure to compare: {side.problem}")
        if side.energy.for_ratio()[1] <= 0:
            raise CompareError("a ratio needs energies above 0, and one is not: measure for longer")
    assert a.energy is not None
    assert b.energy is not None
    try:
        means = _blocks_of_both(a.energy, b.energy)
        if means:
            return _over_sessions(means, a, b)
        plain = intervals.ratio_from(*a.energy.for_ratio(), *b.energy.for_ratio())
    except ValueError as error:
        raise CompareError(str(error)) from error
    return with_meters(plain, a, b)


def paired(a: Sums, b: Sums) -> list[SessionMean]:
    """Each session's mean difference of logarithms, a - b, over the blocks that have both; empty
    if a stopping rule ended the trials of one, whose interval is that of the rule."""
    values = (*a.block_values, *b.block_values)
    if a.asked or b.asked or not values or min(values) <= 0:
        return []
    # Without the machine, which the trials of one side may not know; a session is of one machine.
    other = {place[:2]: value for place, value in zip(b.places, b.block_values, strict=True)}
    return session_means(
        Measurement(
            session=place.session,
            block=place.block,
            value=math.log(value) - math.log(other[place[:2]]),
            machine=place.machine,
        )
        for place, value in zip(a.places, a.block_values, strict=True)
        if place[:2] in other
    )


def _blocks_of_both(a: Sums, b: Sums) -> list[SessionMean]:
    """The sessions of a paired ratio; none where it is not paired."""
    means = paired(a, b)
    # A single pair has no spread, but the trials of the two sides may have one.
    return means if sum(mean.n for mean in means) > 1 else []


def _over_sessions(means: Sequence[SessionMean], a: Side, b: Side) -> Estimate:
    """The ratio over sessions, and where one more session's would lie. What the meters add is the
    same error in each session, so that it is no part of what a rerun on this machine would find."""
    assert a.energy is not None
    assert b.energy is not None
    over = rerun(means).widened(_widened(a.energy, b.energy))
    value, half = math.exp(over.value), over.half
    plain = Estimate(value=value, low=None, high=None)
    if half is not None:
        plain = with_meters(intervals.on_log_scale(value, half, half), a, b)
    return across_cells.with_rerun(plain, over)


def _widened(a: Sums, b: Sums) -> float:
    """By how much the interval of a ratio over sessions is widened."""
    return max(a.selection_factor, b.selection_factor)


def _edges(a: Sums, b: Sums) -> float:
    """The edges of both sides, relative (k = 2)."""
    return math.hypot(a.edge, b.edge)


def with_meters(plain: Estimate, a: Side, b: Side) -> Estimate:
    """A ratio whose interval is the repeats' alone, with what of the meters does not cancel
    between the two sides, which both have a figure."""
    assert a.energy is not None
    assert b.energy is not None
    below, above = _systematic(a, b)
    edges = _edges(a.energy, b.energy)
    return intervals.ratio_with_systematic(
        plain, math.hypot(below, edges), math.hypot(above, edges)
    )


_MOST_BELOW = 0.99
"""The limit for the lower accuracy: at 100 % the truth could be 0 and its logarithm unbounded."""


def _systematic(a: Side, b: Side) -> tuple[float, float]:
    """The uncertainty of the logarithm of the ratio from the meters, below and above (k = 2).

    Each coefficient of each domain is one error common to both sides; it affects the ratio only as
    far as its weight differs between the two energies. The coefficients combine in quadrature.
    """
    assert a.energy is not None
    assert b.energy is not None
    pairs = _coefficients(a, b)
    if pairs is None:
        # Two meters may be off in opposite directions at once, each by all of its accuracy.
        (low_a, high_a), (low_b, high_b) = a.energy.accuracy, b.energy.accuracy
        least_a, least_b = (math.log1p(-min(low, _MOST_BELOW)) for low in (low_a, low_b))
        return math.log1p(high_b) - least_a, math.log1p(high_a) - least_b
    below, above = [], []
    for weight_a, weight_b, low, high in pairs:
        # The logarithm of the ratio only rises or only falls with f: its ends are at the ends of f.
        moved = [
            math.log1p(f * weight_a) - math.log1p(f * weight_b)
            for f in (-min(low, _MOST_BELOW), high)
        ]
        below.append(max(0.0, -min(moved)))
        above.append(max(0.0, *moved))
    return math.hypot(*below), math.hypot(*above)


def _coefficients(a: Side, b: Side) -> list[tuple[float, float, float, float]] | None:
    """(share of a's energy, share of b's, low, high) for each common coefficient; None if the two
    do not use the same meters, so that nothing cancels."""
    if (
        not a.parts
        or [p.domain for p in a.parts] != [p.domain for p in b.parts]
        # An estimate in place of a counter has the same name, cpu:0, and another error.
        or a.provenance != b.provenance
        or not all(p.split for p in (*a.parts, *b.parts))
    ):
        return None
    total_a = math.fsum(p.energy_j for p in a.parts)
    total_b = math.fsum(p.energy_j for p in b.parts)
    if total_a <= 0 or total_b <= 0:
        return None
    return [
        coefficient
        for x, y in zip(a.parts, b.parts, strict=True)
        for coefficient in _of_domain(x, y, total_a, total_b)
    ]


def _of_domain(
    x: Part, y: Part, total_a: float, total_b: float
) -> Iterator[tuple[float, float, float, float]]:
    """The coefficients of one domain: its scale or, of an estimate, those of time and of work; and
    a constant error, which weighs more on the side that draws less."""
    # The wider bounds: the coefficient is one, however the two sides' readings describe it.
    low, high = max(x.low, y.low), max(x.high, y.high)
    if x.offset_j or y.offset_j:
        # A bound of 1: the weights are the whole offset as it is, not a share of which a part is
        # wrong.
        yield min(1.0, x.offset_j / total_a), min(1.0, y.offset_j / total_b), 1.0, 1.0
    if x.time_j is None or y.time_j is None:
        yield x.energy_j / total_a, y.energy_j / total_b, low, high
        return
    yield x.time_j / total_a, y.time_j / total_b, low, high
    yield (x.energy_j - x.time_j) / total_a, (y.energy_j - y.time_j) / total_b, low, high


def _why_not(of_a: Sequence[Summary], of_b: Sequence[Summary], a: str, b: str) -> str:
    """Why no figure of ``a`` is comparable with one of ``b``: the first difference, starting with
    those that the user can fix in the study file."""

    def shared(of: Callable[[Summary], object]) -> bool:
        return not {of(s) for s in of_a}.isdisjoint(of(s) for s in of_b)

    if not shared(_data):
        return (
            f"{a!r} and {b!r} were never run on the same task and dataset:"
            f" {_listed(of_a)} against {_listed(of_b)}"
        )
    if {s.source for s in of_a} != {s.source for s in of_b}:
        return f"{a!r} and {b!r} were measured by different tools, which are never compared"
    if not shared(lambda s: s.study):
        return f"{a!r} and {b!r} belong to different studies; put both into one study file"
    if not shared(lambda s: weights(s.cell)):
        return f"one of {a!r} and {b!r} is a replica, which can only be compared with replicas"
    if shared(lambda s: s.fingerprint):
        return f"{a!r} and {b!r} were never measured at the same batch size on the same machine"
    return f"{a!r} and {b!r} were measured on different machines or versions, never on the same"


def _data(summary: Summary) -> tuple[str, str]:
    return summary.cell.task, summary.cell.dataset


def _listed(summaries: Sequence[Summary]) -> str:
    shown = sorted({" on ".join(_data(summary)) for summary in summaries})
    return ", ".join(shown[:3]) + (", …" if len(shown) > 3 else "")


def _warnings(a: Summary, b: Summary, times: Estimate) -> tuple[str, ...]:
    warnings = [f"{side.cell.model}: {ONE_SESSION}" for side in of_one_session(a, b, times)]
    if a.device != b.device:
        warnings.append(f"different devices: {a.device} and {b.device}")
    if a.provenance != b.provenance:
        warnings.append(f"one is {a.provenance}, the other {b.provenance}")
    warnings += [
        f"{s.cell.model}: a single trial, so there is no interval; run more repeats"
        for s in (a, b)
        if s.energy is not None and s.energy.n == 1
    ]
    return tuple(warnings)


def of_one_session(a: Summary, b: Summary, times: Estimate) -> list[Summary]:
    """The sides of a ratio whose interval lacks what another session would shift: without pairs, it
    has the spread of each side's trials or sessions, and a single session shows nothing of it."""
    # A paired ratio says what it is over itself (``evidence_words.over_sessions``).
    if times.sessions is not None or times.low is None:
        return []
    return [s for s in (a, b) if s.energy is not None and len(s.energy.session_names) == 1]
