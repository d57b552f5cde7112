"""What a span's figure says besides its joules, and what a phase makes of a whole recording."""

from __future__ import annotations

import math
from typing import Any

import pytest

from permille.energy import levels, phases
from permille.energy.span_energy import span_energy
from permille.records.energy import Disturbance, DomainEnergy, Problem
from permille.records.recording import CpuSeries, Event, Provenance, Recording, Series
from tests.energy_series import STATS, S, constant, figure_of, readings, span
from tests.records import domain

ESTIMATE: dict[str, Any] = {"provenance": Provenance.ESTIMATED, "meter": "estimate", "time_w": 10.0}


def recorded(
    *series: Series, events: tuple[Event, ...] = (), cpu: CpuSeries | None = None
) -> Recording:
    return Recording(series=series, events=events, stats=STATS, cpu=cpu)


def test_between_readings_the_energy_is_on_a_straight_line() -> None:
    series = readings((0, 1.0), (2, 5.0), (3, 25.0))
    joules = [levels.energy_at(series, round(t_s * S)) for t_s in (0, 0.5, 2, 2.25, 3)]
    assert joules == [1.0, 2.0, 5.0, 10.0, 25.0]


def test_a_figure_repeats_what_its_domain_states() -> None:
    """50 W over 4 s; 5 W of offset are a tenth of that."""
    series = constant(
        50.0,
        10.0,
        step_s=1.0,
        name="gpu:3",
        meter="nvml",
        provenance=Provenance.MODELLED,
        accuracy_low=0.03,
        accuracy_high=0.04,
        covers=("dram",),
        in_use=False,
        offset_w=5.0,
    )
    assert figure_of(span_energy(series, span(2, 6))) == DomainEnergy(
        energy_j=200.0,
        edge_j=0.0,
        accuracy_low=math.hypot(0.03, 0.1),
        accuracy_high=math.hypot(0.04, 0.1),
        provenance=Provenance.MODELLED,
        kind="gpu",
        meter="nvml",
        covers=("dram",),
        in_use=False,
        time_j=None,
        offset_j=20.0,
    )


def test_without_an_offset_the_accuracy_is_the_domains() -> None:
    series = constant(50.0, 10.0, accuracy_low=0.03, accuracy_high=0.04)
    figure = figure_of(span_energy(series, span(2, 6)))
    assert (figure.accuracy_low, figure.accuracy_high) == (0.03, 0.04)


@pytest.mark.parametrize(("energy_j", "accuracy"), [(0.0, 0.03), (0.5, math.hypot(0.03, 20.0))])
def test_an_offset_has_no_relative_size_where_nothing_was_read(
    energy_j: float, accuracy: float
) -> None:
    off = readings(
        (0, 0.0), (2, energy_j), name="gpu:0", in_use=False, accuracy_low=0.03, offset_w=5.0
    )
    figure = figure_of(span_energy(off, span(0, 2)))
    assert figure.accuracy_low == pytest.approx(accuracy)
    assert figure.offset_j == 10.0


@pytest.mark.parametrize(("time_w", "time_j"), [(10.0, 40.0), (90.0, 200.0), (None, None)])
def test_of_an_estimate_the_part_that_depends_on_time_is_at_most_the_whole(
    time_w: float | None, time_j: float | None
) -> None:
    series = constant(50.0, 10.0, step_s=1.0, **(ESTIMATE | {"time_w": time_w}))
    assert figure_of(span_energy(series, span(2, 6))).time_j == time_j


CPU = CpuSeries(cpus=2, t_ns=(0, 10 * S), busy_s=(0, 10.0), own_s=(0, 4.0), steal_s=(0, 0.0))
"""The run took four tenths of the CPU time that was used, and others three of that there was."""


def test_an_estimate_has_what_it_would_be_without_others_work() -> None:
    """40 J of time, and the run's four tenths of 160 J of work."""
    estimate = constant(50.0, 10.0, step_s=1.0, **ESTIMATE)
    counter = constant(30.0, 10.0, step_s=1.0, name="dram:0")
    phase = phases.phase(recorded(estimate, counter, cpu=CPU), span(2, 6, inferences=7))
    assert phase.domains["cpu:0"].own_j == pytest.approx(40.0 + 0.4 * 160.0)
    assert phase.domains["dram:0"].own_j is None
    assert phase.disturbance == Disturbance(
        others=pytest.approx(0.3),  # type: ignore[arg-type]
        steal=0.0,
        disturbed=True,
    )
    assert (phase.seconds, phase.inferences) == (4.0, 7)


def test_where_the_cpu_time_is_unknown_so_is_the_runs_own_part() -> None:
    phase = phases.phase(recorded(constant(50.0, 10.0, **ESTIMATE)), span(2, 6))
    assert phase.domains["cpu:0"].own_j is None
    assert phase.disturbance is None
    assert phase.inferences is None


def test_an_event_of_the_recording_leaves_its_domain_without_a_figure() -> None:
    reset = Event(t0_ns=3 * S, t1_ns=4 * S, kind="invalid", reason="reset", domain="gpu:1")
    unused = constant(60.0, 10.0, name="gpu:1", in_use=False)
    phase = phases.phase(recorded(constant(60.0, 10.0), unused, events=(reset,)), span(2, 6))
    assert set(phase.domains) == {"cpu:0"}
    assert phase.problems == {"gpu:1": Problem(reason="reset", kind="gpu", in_use=False)}


# --- a counter that stands still, beside others of its meter ---------------------------------

STILL = readings((0, 0.0), (1, 0.0), name="ane:0", tick_s=None)


def moving(name: str, tick_s: float | None, **changed: Any) -> Series:
    return constant(60.0, 1.0, step_s=0.01, name=name, tick_s=tick_s, **changed)


@pytest.mark.parametrize(
    ("seconds", "beside"),
    [
        (0.2, [readings((0, 0.0), (1, 0.0), name="ane:1", tick_s=0.001)]),  # still too
        (0.2, [moving("gpu:0", 0.001, meter="nvml")]),  # of another meter
        (0.2, [moving("cpu:0", None)]),  # its tick is not known
        (0.2, [readings((0.5, 0.0), (1, 60.0), tick_s=0.001)]),  # begins too late
        (0.2, [moving("cpu:0", 0.001), moving("dram:0", 0.05)]),  # the slower tick counts
        (0.24, [moving("cpu:0", 0.05)]),  # five ticks are longer
    ],
)
def test_a_still_counter_needs_five_ticks_of_the_slowest_that_moves(
    seconds: float, beside: list[Series]
) -> None:
    phase = phases.phase(recorded(STILL, *beside), span(0.4, 0.4 + seconds))
    assert "passed between two of its ticks" in phase.problems["ane:0"].reason


def test_five_ticks_of_the_slowest_are_enough() -> None:
    beside = moving("cpu:0", 0.05), moving("dram:0", 0.001)
    phase = phases.phase(recorded(STILL, *beside), span(0.4, 0.65))
    assert phase.domains["ane:0"].energy_j == 0.0


# --- notes and traces ------------------------------------------------------------------------


def test_notices_are_each_said_once_with_their_domain() -> None:
    def event(kind: str, reason: str, name: str | None) -> Event:
        return Event(
            t0_ns=0,
            t1_ns=S,
            kind="notice" if kind == "notice" else "invalid",
            reason=reason,
            domain=name,
        )

    recording = Recording(
        series=(),
        events=(
            event("notice", "throttled", "gpu:0"),
            event("invalid", "reset", "gpu:0"),
            event("notice", "throttled", "gpu:0"),
            event("notice", "another tenant", None),
        ),
        stats=STATS,
    )
    assert phases.notices(recording) == ("gpu:0: throttled", "another tenant")
    shared = Recording(series=(), events=(), stats=STATS, shared=True)
    assert phases.notices(shared) == ("concurrent runs were allowed on the machine (--shared)",)


def test_a_trace_has_the_mean_power_of_equal_intervals_from_the_series_start() -> None:
    series = readings((5, 100.0), (6, 110.0), (7, 150.0), (11, 190.0))
    assert levels.power_trace(series) == [(0.0, 25.0), (2.0, 10.0), (4.0, 10.0)]
    assert levels.power_trace(series, points=2) == [(0.0, 20.0), (3.0, 10.0)]
    assert levels.power_trace(series, points=1) == [(0.0, 15.0)]


def test_a_trace_has_as_many_points_as_there_are_gaps_and_at_most_200() -> None:
    assert levels.power_trace(readings((1, 2.0), (3, 8.0))) == [(0.0, 3.0)]
    assert len(levels.power_trace(readings((1, 2.0), (3, 8.0), (4, 9.0)))) == 2
    assert len(levels.power_trace(constant(60.0, 10.0, step_s=0.01))) == 200


def test_readings_of_one_instant_have_no_power() -> None:
    at_once = Series(domain=domain(), t_ns=(S, S), energy_j=(1.0, 2.0))
    assert levels.power_trace(at_once) == []


def test_the_whole_is_the_time_in_which_every_domain_was_read() -> None:
    early = readings((0, 0.0), (5, 50.0), name="cpu:0")
    late = readings((1, 0.0), (6, 50.0), name="cpu:1")
    once = readings((3, 0.0), name="cpu:2")
    whole = phases.covered(recorded(early, late, once), "whole")
    assert whole is not None
    assert (whole.name, whole.t0_ns, whole.t1_ns) == ("whole", S, 5 * S)
    assert phases.covered(recorded(early, readings((5, 0.0), (6, 1.0))), "whole") is None
    assert phases.covered(recorded(once), "whole") is None
