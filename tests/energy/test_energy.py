"""Energy of spans over known power traces, read by imperfect meters at imperfect instants."""

from __future__ import annotations

import bisect
import itertools
import math
import re

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from permille.energy import edges, levels, phases
from permille.energy.span_energy import span_energy
from permille.meters import Reading
from permille.recorder.series import SeriesBuilder
from permille.records.energy import Refused
from permille.records.recording import Event, PowerSensor, Provenance, Recording, Series, Span
from tests.energy_series import STATS, S, constant, figure_of, readings, reason_of, span, stopping
from tests.records import domain


def test_a_constant_power_gives_power_times_time() -> None:
    result = figure_of(span_energy(constant(60.0, 10.0), span(1.0, 6.0)))
    assert result.energy_j == pytest.approx(300.0)
    assert result.edge_j == pytest.approx(0.0, abs=1e-9)


def test_between_readings_the_uncertainty_covers_any_course_of_the_power() -> None:
    result = figure_of(span_energy(constant(60.0, 10.0), span(1.05, 6.05)))
    assert result.energy_j == pytest.approx(300.0)
    # At each edge 6 J lie in the gap; half of it may be on the wrong side.
    assert result.edge_j == pytest.approx(math.sqrt(2 * 3.0**2 / 3), rel=1e-6)


@pytest.mark.parametrize(("t0", "t1"), [(-1.0, 5.0), (5.0, 11.0)])
def test_a_span_that_the_series_does_not_reach_over_is_refused(t0: float, t1: float) -> None:
    reason = reason_of(span_energy(constant(60.0, 10.0), span(t0, t1)))
    assert "no reading" in reason


def test_a_span_too_short_for_the_tick_is_refused() -> None:
    slow = constant(60.0, 10.0)
    ticking = Series(domain=domain(tick_s=0.1), t_ns=slow.t_ns, energy_j=slow.energy_j)
    reason = reason_of(span_energy(ticking, span(1.0, 1.1)))
    assert "too short for rapl" in reason
    figure_of(span_energy(ticking, span(1.0, 6.0)))


@pytest.mark.parametrize("tick_s", [0.001, 0.02, 0.1, None])
@pytest.mark.parametrize("seconds", [0.002, 0.05, 0.3])
def test_too_short_says_how_long_is_enough(tick_s: float | None, seconds: float) -> None:
    series = constant(60.0, 20.0, step_s=0.05)
    ticking = Series(domain=domain(tick_s=tick_s), t_ns=series.t_ns, energy_j=series.energy_j)
    short = span_energy(ticking, span(1.001, 1.001 + seconds))
    if not isinstance(short, Refused):
        return  # not too short
    reason = short.reason
    enough = re.search(r"about ([\d.e-]+) s is enough", reason)
    assert enough is not None, reason
    assert float(enough[1]) > seconds
    figure_of(span_energy(ticking, span(1.001, 1.001 + float(enough[1]))))


def test_a_counter_that_stood_still_is_no_zero_unless_it_stood_still_around_it_too() -> None:
    running = constant(60.0, 10.0)
    between = tuple(t + 1 for t in running.t_ns)
    ticking = Series(
        domain=domain(tick_s=0.001, resolution_j=6e-5),
        t_ns=tuple(sorted((*running.t_ns, *between))),
        energy_j=tuple(level for level in running.energy_j for _ in range(2)),
    )
    blink = Span(name="query", t0_ns=running.t_ns[5], t1_ns=between[5])
    reason = reason_of(span_energy(ticking, blink))
    assert "between two of its ticks" in reason
    off = Series(
        domain=domain("ane:1", tick_s=0.1, resolution_j=1e-3),
        t_ns=running.t_ns,
        energy_j=(0.0,) * len(running.t_ns),
    )
    still = figure_of(span_energy(off, span(2.0, 4.0)))
    assert still.energy_j == 0.0
    assert 0 < still.edge_j <= 1e-3
    # Too short to tell, though nothing moved as far as the series reaches.
    assert "between two of its ticks" in str(span_energy(off, span(2.0, 2.4)))


@pytest.mark.parametrize("name", ["cpu:0", "dram:0", "gpu:0", "node:0"])
def test_a_measured_0_of_what_draws_power_is_a_meter_that_hangs(name: str) -> None:
    levels = (0.0,) * 11
    at = tuple(i * S for i in range(11))
    hangs = Series(domain=domain(name, tick_s=0.001), t_ns=at, energy_j=levels)
    reason = reason_of(span_energy(hangs, span(2.0, 8.0)))
    assert "hangs" in reason
    idle = msgspec.structs.replace(hangs.domain, kind="gpu", in_use=False)
    off = figure_of(span_energy(msgspec.structs.replace(hangs, domain=idle), span(2.0, 8.0)))
    assert off.energy_j == 0.0


@pytest.mark.parametrize(("name", "power_w"), [("cpu:0", 0.01), ("gpu:0", 0.1), ("node:0", 0.2)])
def test_a_power_that_no_hardware_in_use_has_is_refused(name: str, power_w: float) -> None:
    series = constant(power_w, 10.0)
    little = msgspec.structs.replace(series, domain=domain(name))
    assert "draws more" in str(span_energy(little, span(1.0, 9.0)))
    modelled = domain(name, provenance=Provenance.MODELLED)
    assert figure_of(span_energy(msgspec.structs.replace(series, domain=modelled), span(1, 9)))


@pytest.mark.parametrize("name", ["cpu:0", "dram:0", "gpu:0", "node:0"])
@pytest.mark.parametrize("stop_s", [(2.0, 4.0), (6.0, 99.0), (0.0, 3.0), (8.2, 99.0)])
def test_a_counter_that_stops_within_a_span_voids_it(
    name: str, stop_s: tuple[float, float]
) -> None:
    reason = span_energy(stopping(name, stop_s), span(1.0, 9.0))
    assert "stopped: its counter stood still for" in str(reason)


def test_a_stop_outside_the_span_of_a_device_left_idle_or_of_a_coarse_counter_is_none() -> None:
    assert figure_of(span_energy(stopping("cpu:0", (0.0, 2.0)), span(3.0, 9.0)))
    assert figure_of(span_energy(stopping("gpu:0", (4.0, 6.0), in_use=False), span(1.0, 9.0)))
    slow = stopping("gpu:0", (4.0, 4.8), tick_s=0.1)
    assert figure_of(span_energy(slow, span(1.0, 9.0)))
    coarse = stopping("node:0", (4.0, 6.0), resolution_j=60.0)
    assert figure_of(span_energy(coarse, span(1.0, 9.0)))


def test_an_edge_that_saw_no_step_states_what_was_seen() -> None:
    """A mark at 1.5 s sees no step for 2 ms; the counter last moved somewhere in the 0.1 s before.
    Then it goes on with what it had held back."""
    times = [0, *(i * S // 10 for i in range(1, 16)), round(1.502 * S)]
    times += [i * S // 10 for i in range(16, 101)]
    levels = [
        60.0 * min(t, 1.4 * S) / S if 1.4 * S < t <= 1.502 * S else 60.0 * t / S for t in times
    ]
    late = Series(domain=domain(tick_s=0.001), t_ns=tuple(times), energy_j=tuple(levels))
    result = figure_of(span_energy(late, span(1.502, 9.0)))
    truth_j = 60.0 * (9.0 - 1.502)
    assert abs(result.energy_j - truth_j) == pytest.approx(6.12)
    assert 2 * result.edge_j > 6.12
    sharp = figure_of(span_energy(late, span(2.0, 9.0)))
    assert 2 * sharp.edge_j < 0.2


def test_an_invalid_event_inside_voids_the_span_and_one_outside_does_not() -> None:
    def event(t0: float, t1: float, name: str | None = "cpu:0") -> Event:
        return Event(
            t0_ns=round(t0 * S), t1_ns=round(t1 * S), kind="invalid", reason="reset", domain=name
        )

    series = constant(60.0, 10.0)
    assert span_energy(series, span(2, 4), [event(3, 3.1)]) == Refused(reason="reset")
    assert span_energy(series, span(2, 4), [event(3, 3.1, None)]) == Refused(reason="reset")
    assert figure_of(span_energy(series, span(2, 4), [event(5, 6)]))
    assert figure_of(span_energy(series, span(2, 4), [event(3, 3.1, "gpu:0")]))


def test_a_phase_names_what_could_not_be_determined() -> None:
    empty = Series(domain=domain("gpu:0"), t_ns=(), energy_j=())
    recording = Recording(series=(constant(60.0, 10.0), empty), events=(), stats=STATS)
    phase = phases.phase(recording, span(1, 2))
    assert set(phase.domains) == {"cpu:0"}
    assert phase.problems["gpu:0"].kind == "gpu"
    assert "no reading" in phase.problems["gpu:0"].reason


class Trace:
    """Piecewise constant power: exact energy at any instant."""

    def __init__(self, pieces: list[tuple[float, float]]) -> None:
        self.times, self.levels, self.powers = [0.0], [0.0], []
        for seconds, power_w in pieces:
            self.powers.append(power_w)
            self.times.append(self.times[-1] + seconds)
            self.levels.append(self.levels[-1] + seconds * power_w)

    def at(self, t_s: float) -> float:
        i = min(bisect.bisect_right(self.times, t_s) - 1, len(self.powers) - 1)
        return self.levels[i] + (t_s - self.times[i]) * self.powers[i]


traces = st.lists(
    st.tuples(st.floats(0.01, 1.0), st.floats(0.0, 400.0)), min_size=4, max_size=40
).map(Trace)


def steady_about(trace: Trace, t_s: float) -> bool:
    """Whether the power stays the same over a third of a second to both sides."""
    return not any(abs(t - t_s) < 0.3 for t in trace.times[1:-1])


@settings(max_examples=300, deadline=None)
@example(
    trace=Trace([(1.8, 0.0), (1.0, 1.0)]),
    tick_s=0.05,
    wrap_j=None,
    jitter=[1.0, 1.5, *[1.0] * 58],
    at=(0.0, 0.999),
    offset=0.0,
)
@given(
    trace=traces,
    tick_s=st.sampled_from([0.001, 0.01, 0.05]),
    wrap_j=st.sampled_from([None, 100.0, 262_143.0]),
    jitter=st.lists(st.floats(0.2, 1.8), min_size=60, max_size=60),
    at=st.tuples(st.floats(0.0, 1.0), st.floats(0.0, 1.0)),
    offset=st.floats(0.0, 90.0),
)
def test_any_trace_through_ticks_wraps_and_jitter_is_within_the_stated_bound(
    trace: Trace,
    tick_s: float,
    wrap_j: float | None,
    jitter: list[float],
    at: tuple[float, float],
    offset: float,
) -> None:
    """Polls at uneven instants, marks at the edges, a counter that ticks and wraps: the truth is
    within the bound that the stated uncertainty stands for (rectangular: sqrt(3) times it)."""
    end = trace.times[-1]
    first, last = sorted(edge * end for edge in at)
    polls, t, i = [0.0], 0.0, 0
    while t < end:
        t += 0.05 * jitter[i % len(jitter)]
        i += 1
        polls.append(min(t, end))
    marks = [first, last, end]
    counter = SeriesBuilder(domain(tick_s=tick_s, wrap_j=wrap_j, max_power_w=500.0))
    for poll in sorted({*polls, *marks}):
        shown = offset + trace.at(math.floor(poll / tick_s) * tick_s)
        counter.add(Reading("cpu:0", round(poll * S), shown % wrap_j if wrap_j else shown))
    assert not counter.events(round(end * S))
    series = counter.series()
    start, stop = span(first, last).t0_ns, span(first, last).t1_ns
    result = levels.energy_at(series, stop) - levels.energy_at(series, start)
    truth = trace.at(last) - trace.at(first)
    # A tick holds back what was drawn since: never more than one tick at the greatest power.
    assert abs(result - truth) <= 2 * max(trace.powers) * tick_s + 1e-6
    # What is stated must hold that where the power is steady about the edges, as it is for all but
    # a few ticks of a real trace; with 0 for the edges this fails at once. The power nearby comes
    # from the counter, too, and lacks up to a tick's energy of a window that begins right after a
    # step and ends right before one.
    if steady_about(trace, first) and steady_about(trace, last):
        stated = math.sqrt(3) * (edges.edge_j(series, start) + edges.edge_j(series, stop))
        seen = 1 - tick_s / max(0.1, 2 * tick_s)
        assert abs(result - truth) * seen <= stated + 1e-6
    # Nor is it wide enough to hold anything: never more than all that lies about the edge, or than
    # a counter that stands still may hold back at the greatest power since it last moved.
    here = series.t_ns.index(start)
    level = series.energy_j[here]
    moved = max((i for i in range(here) if series.energy_j[i] < level), default=0)
    held_j = max(trace.powers) * (start - series.t_ns[moved]) / S
    assert edges.edge_j(series, start) <= max(trace.at(end), 400.0 * tick_s, held_j) + 1e-6


def test_a_counter_that_stands_still_before_the_edge_may_hold_back_what_comes_after_it() -> None:
    """1 s at 0 W, then 1 W from the edge on: the counter's silence is not taken for no power."""
    t_ns = tuple(range(0, 2 * S + 1, S // 20))
    levels = tuple(max(0.0, t / S - 1.0) for t in t_ns)
    series = Series(domain=domain(tick_s=0.001), t_ns=t_ns, energy_j=levels)
    assert edges.edge_j(series, S) == pytest.approx(1.0 / math.sqrt(3), rel=0.06)


@settings(max_examples=100, deadline=None)
@given(trace=traces, cuts=st.lists(st.floats(0.0, 1.0), min_size=2, max_size=6))
def test_adjacent_spans_add_up(trace: Trace, cuts: list[float]) -> None:
    end = trace.times[-1]
    times = sorted(
        {*(round(i * end / 40 * S) for i in range(41)), *(round(t * S) for t in (0.0, end))}
    )
    series = Series(
        domain=domain(), t_ns=tuple(times), energy_j=tuple(trace.at(t / S) for t in times)
    )
    points = sorted(round(c * times[-1]) for c in cuts)
    joules = [levels.energy_at(series, p) for p in points]
    parts = [b - a for a, b in itertools.pairwise(joules)]
    assert math.fsum(parts) == pytest.approx(joules[-1] - joules[0], abs=1e-6)


def test_the_power_trace_gives_the_energy_back() -> None:
    series = constant(60.0, 10.0)
    trace = levels.power_trace(series, points=20)
    assert len(trace) == 20
    assert all(power == pytest.approx(60.0) for _, power in trace)
    assert levels.power_trace(Series(domain=domain(), t_ns=(0,), energy_j=(0.0,))) == []


def test_a_still_counter_is_believed_in_a_short_span_where_its_meter_is_seen_to_tick() -> None:
    """A part that reads 0 beside a package that moves is no lost reading; alone it might be."""
    still = Series(domain=domain("ane:0", tick_s=None), t_ns=(0, 1 * S), energy_j=(0.0, 0.0))
    moving = constant(60.0, 1.0, step_s=0.01)
    ticking = Series(domain=domain(tick_s=0.001), t_ns=moving.t_ns, energy_j=moving.energy_j)
    query = span(0.4, 0.6)
    alone = phases.phase(Recording(series=(still,), events=(), stats=STATS), query)
    assert "between two of its ticks" in alone.problems["ane:0"].reason
    beside = phases.phase(Recording(series=(still, ticking), events=(), stats=STATS), query)
    assert beside.domains["ane:0"].energy_j == 0.0
    assert not beside.problems
    shorter = phases.phase(
        Recording(series=(still, ticking), events=(), stats=STATS), span(0.5, 0.504)
    )
    assert "ane:0" in shorter.problems


def sensed(series: Series, sensor: PowerSensor, offset_w: float = 0.0) -> Series:
    """``series`` as the integral of a power sensor's readings."""
    of_sensor = msgspec.structs.replace(series.domain, sensor=sensor, offset_w=offset_w)
    return msgspec.structs.replace(series, domain=of_sensor)


def test_an_edge_is_as_uncertain_as_the_window_that_a_reading_averages_over() -> None:
    average = PowerSensor(window_s=1.0, period_s=0.1)
    instant = PowerSensor(window_s=0.1, period_s=0.1)
    series = constant(60.0, 20.0)
    wide = figure_of(span_energy(sensed(series, average), span(5.0, 15.0)))
    narrow = figure_of(span_energy(sensed(series, instant), span(5.0, 15.0)))
    assert wide.edge_j == pytest.approx(60.0 * 1.1 / 4 * math.sqrt(2 / 3), rel=1e-3)
    assert narrow.edge_j == pytest.approx(60.0 * 0.2 / 4 * math.sqrt(2 / 3), rel=1e-3)
    reason = reason_of(span_energy(sensed(series, average), span(5.0, 6.0)))
    assert "too short" in reason


def test_a_sensor_that_samples_a_part_of_the_time_needs_enough_updates() -> None:
    sensor = PowerSensor(window_s=0.025, period_s=0.1, sampled=0.25)
    series = sensed(constant(60.0, 20.0), sensor)
    assert "samples 25 % of the time" in reason_of(span_energy(series, span(5.0, 7.0)))
    assert figure_of(span_energy(series, span(5.0, 9.0))).energy_j == pytest.approx(240.0)


def test_pauses_let_the_spread_of_the_segments_say_what_is_uncertain() -> None:
    """16 segments of two seconds at 59 and 61 W in turn, with half a second of 10 W after each."""
    sensor = PowerSensor(window_s=0.025, period_s=0.1, sampled=0.25)
    powers_w = [59.0, 61.0] * 8
    ends_s = itertools.accumulate([3.0, *(2.0, 0.5) * 16], initial=0.0)
    steps_j = [0.0, 180.0, *itertools.chain(*((2 * power_w, 5.0) for power_w in powers_w))]
    series = sensed(readings(*zip(ends_s, itertools.accumulate(steps_j), strict=True)), sensor)
    pauses = tuple((round((5 + 2.5 * i) * S), round((5.5 + 2.5 * i) * S)) for i in range(15))
    whole = msgspec.structs.replace(span(3.0, 42.5), pauses=pauses)
    spread_j = 39.5 * math.sqrt(15 / 13) * math.sqrt(16 / 15) / 4
    ends_j = [edges.edge_j(series, t_ns) for t_ns in (whole.t0_ns, whole.t1_ns)]
    found = figure_of(span_energy(series, whole))
    assert found.edge_j == pytest.approx(math.hypot(*ends_j, spread_j), rel=1e-11)


def test_a_counter_has_moved_by_however_little() -> None:
    series = readings((0, 0.0), (1, 0.001))
    assert levels.moved(series, span(0.0, 1.0))
    assert not levels.moved(series, span(0.0, 2.0))


def test_an_offset_weighs_more_where_power_is_low() -> None:
    sensor = PowerSensor(window_s=0.1, period_s=0.1)
    for power_w in (50.0, 500.0):
        series = sensed(constant(power_w, 20.0), sensor, offset_w=10.0)
        figure = figure_of(span_energy(series, span(5.0, 15.0)))
        bound = series.domain.accuracy_high
        assert figure.accuracy_high == pytest.approx(math.hypot(bound, 10.0 / power_w))
