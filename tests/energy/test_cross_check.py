"""Two readings of one GPU: when they disagree, and when nothing is said."""

from __future__ import annotations

import pytest

from permille.energy import cross_check
from permille.records.recording import (
    Domain,
    Event,
    PowerSensor,
    Provenance,
    RecorderStats,
    Recording,
    Series,
    Span,
)

STATS = RecorderStats(cpu_s=0.0, wall_s=1.0, polls=1, missed=0, interval_s=0.1)
SENSOR = PowerSensor(window_s=0.1, period_s=0.1)
QUERY = Span(name="query", t0_ns=2 * 10**9, t1_ns=8 * 10**9)


def series(name: str, power_w: float, sensor: PowerSensor | None, checks: str | None) -> Series:
    domain = Domain(
        name=name,
        kind="gpu",
        meter="nvml",
        provenance=Provenance.MEASURED,
        accuracy_low=0.05,
        accuracy_high=0.07,
        tick_s=0.02,
        offset_w=7.0,
        sensor=sensor,
        checks=checks,
    )
    t_ns = tuple(range(0, 10 * 10**9 + 1, 10**8))
    return Series(domain=domain, t_ns=t_ns, energy_j=tuple(power_w * t / 1e9 for t in t_ns))


def recording(counter_w: float, power_w: float, *events: Event) -> Recording:
    return Recording(
        series=(series("gpu:0", counter_w, None, None),),
        events=events,
        stats=STATS,
        cross_checks=(series("gpu:0 instant power", power_w, SENSOR, "gpu:0"),),
    )


# At 300 W: ±(7 % and 7 W) above the lower, −(5 % and 7 W) below the higher one.
@pytest.mark.parametrize("power_w", [276.0, 300.0, 326.0])
def test_what_the_bounds_allow_is_no_disagreement(power_w: float) -> None:
    assert cross_check.notes(recording(300.0, power_w), [QUERY]) == ()


@pytest.mark.parametrize("power_w", [250.0, 360.0])
def test_a_disagreement_beyond_the_bounds_names_both_energies(power_w: float) -> None:
    (note,) = cross_check.notes(recording(300.0, power_w), [QUERY])
    assert note.startswith("gpu:0: over query its counter gives 1800 J and its power")
    assert f"{6 * power_w:.4g} J" in note


def test_the_bound_is_that_of_both_in_quadrature() -> None:
    (note,) = cross_check.notes(recording(100.0, 150.0), [QUERY])
    # hypot(hypot(7 % of 100 W, 7 W), hypot(5 % of 150 W, 7 W)) = 14.3 W, a little more by the edges
    bound_j = float(note.partition("both allow ")[2].partition(" J")[0])
    assert 6 * 14.2 < bound_j < 6 * 15


def test_a_span_that_one_of_them_cannot_resolve_has_no_note() -> None:
    short = Span(name="query", t0_ns=2 * 10**9, t1_ns=2 * 10**9 + 10**7)
    assert cross_check.notes(recording(300.0, 100.0), [short]) == ()
    lost = Event(
        t0_ns=3 * 10**9,
        t1_ns=4 * 10**9,
        kind="invalid",
        reason="lost",
        domain="gpu:0 instant power",
    )
    assert cross_check.notes(recording(300.0, 100.0, lost), [QUERY]) == ()


def test_a_check_without_its_figure_is_left_out() -> None:
    alone = recording(300.0, 100.0)
    assert cross_check.notes(Recording(series=(), events=(), stats=STATS), [QUERY]) == ()
    orphan = Recording(series=(), events=(), stats=STATS, cross_checks=alone.cross_checks)
    assert cross_check.notes(orphan, [QUERY]) == ()
