"""Two clocks aligned by exchanges of messages, worked out by hand."""

from __future__ import annotations

import random

import pytest

from permille.energy import edges
from permille.recorder.remote.clocks import DRIFT, ClockMap, ClocksDiffer, Exchange, on_this_clock
from permille.records.recording import Event, Recording
from tests.energy_series import STATS, S, constant

DAY = 86_400 * S
MS = 1_000_000


def exchange(
    at_ns: int, offset_ns: int, out_ns: int = MS, back_ns: int = MS, work_ns: int = 0
) -> Exchange:
    """Of a request that is sent at a time of this clock; the other clock is behind by the
    offset."""
    arrived_ns = at_ns + out_ns - offset_ns
    answered_ns = arrived_ns + work_ns
    return Exchange(at_ns, answered_ns + offset_ns + back_ns, arrived_ns, answered_ns)


def test_one_exchange_bounds_the_offset_by_half_the_round_trip() -> None:
    clocks = ClockMap([exchange(10 * S, DAY)])
    at = 10 * S + MS - DAY
    assert clocks.here(at) == 10 * S + MS
    assert clocks.uncertainty_s(at, at) == 0.001


@pytest.mark.parametrize(("out_ns", "back_ns"), [(0, 2 * MS), (2 * MS, 0)])
def test_a_one_sided_delay_is_within_the_uncertainty(out_ns: int, back_ns: int) -> None:
    clocks = ClockMap([exchange(0, DAY, out_ns, back_ns)])
    at = out_ns - DAY
    error_ns = abs(clocks.here(at) - out_ns)
    assert error_ns == MS  # the worst case, which the half-width holds exactly
    assert error_ns <= clocks.uncertainty_s(at, at) * 1e9


def test_the_time_that_the_answer_took_is_not_uncertain() -> None:
    clocks = ClockMap([exchange(0, DAY, work_ns=100 * MS)])
    at = MS - DAY
    assert clocks.uncertainty_s(at, at) == pytest.approx(0.001 + 2 * DRIFT * 0.1, rel=0.3)


def test_a_slow_exchange_is_bounded_by_its_quick_neighbour() -> None:
    slow = exchange(2 * S, DAY, 300 * MS, 100 * MS)
    clocks = ClockMap([exchange(1 * S, DAY), slow])
    at = slow.arrived_ns
    assert clocks.here(at) == pytest.approx(at + DAY, abs=2 * MS)
    assert clocks.uncertainty_s(at, at) < 0.003
    assert ClockMap([slow]).uncertainty_s(at, at) == 0.2


def test_between_exchanges_the_clocks_may_drift() -> None:
    ends = [exchange(0, DAY), exchange(100 * S, DAY)]
    inside = ClockMap(ends).uncertainty_s(ends[0].arrived_ns, ends[1].arrived_ns)
    assert inside == pytest.approx(0.001 + DRIFT * 50, rel=1e-6)
    beyond = ClockMap(ends).uncertainty_s(ends[0].arrived_ns - 200 * S, ends[1].arrived_ns)
    assert beyond == pytest.approx(0.001 + DRIFT * 200, rel=1e-6)


@pytest.mark.parametrize("most_ns", [MS, MS // 100])
@pytest.mark.parametrize("drift", [100e-6, 699e-6])
def test_a_drift_is_followed(drift: float, most_ns: int) -> None:
    """The other clock loses 100 ppm, or as much as two of quartz may while one of them is slewed,
    with delays that a generator draws."""
    chance = random.Random(3)
    exchanges = []
    for second in range(60):
        offset_ns = DAY + round(drift * second * S)
        delays = [round(chance.expovariate(1 / most_ns)) for _ in range(2)]
        exchanges.append(exchange(second * S, offset_ns, *delays))
    clocks = ClockMap(exchanges)
    for second in range(60):
        truth_ns = second * S
        there_ns = truth_ns - DAY - round(drift * truth_ns)
        off_s = abs(clocks.here(there_ns) - truth_ns) / 1e9
        assert off_s <= clocks.uncertainty_s(exchanges[0].arrived_ns, exchanges[-1].answered_ns)


@pytest.mark.parametrize("jump_ns", [50 * MS, -50 * MS])
def test_a_clock_that_jumped_is_refused(jump_ns: int) -> None:
    with pytest.raises(ClocksDiffer, match="moved against each other"):
        ClockMap([exchange(0, DAY), exchange(S, DAY), exchange(2 * S, DAY + jump_ns)])


def test_a_jump_too_small_for_the_round_trips_is_within_the_uncertainty() -> None:
    clocks = ClockMap([exchange(0, DAY), exchange(S, DAY + MS)])
    assert clocks.uncertainty_s(MS - DAY, S - DAY) >= 0.0005


@pytest.mark.parametrize(
    ("exchanges", "reason"),
    [
        ([], "no exchange"),
        ([Exchange(0, 10, 5, 4)], "went back during"),
        ([Exchange(10, 0, 4, 5)], "went back during"),
        ([Exchange(0, 10, 0, 10_000)], "took longer"),
        ([Exchange(0, 10, 0, 1), Exchange(20, 30, 0, 1)], "clock went back"),
    ],
)
def test_impossible_times_are_refused(exchanges: list[Exchange], reason: str) -> None:
    with pytest.raises(ClocksDiffer, match=reason):
        ClockMap(exchanges)


def shifted(power_w: float, offset_ns: int) -> Recording:
    series = constant(power_w, 10.0)
    times = tuple(t_ns - offset_ns for t_ns in series.t_ns)
    there = type(series)(domain=series.domain, t_ns=times, energy_j=series.energy_j)
    event = Event(t0_ns=5 * S - offset_ns, t1_ns=6 * S - offset_ns, kind="notice", reason="hot")
    return Recording(series=(there,), events=(event,), stats=STATS)


def test_a_recording_is_dated_by_this_clock_with_the_uncertainty() -> None:
    clocks = ClockMap([exchange(second * S, DAY) for second in range(11)])
    here = on_this_clock(shifted(60.0, DAY), clocks)
    (series,) = here.series
    assert series.t_ns == pytest.approx([i * S // 10 for i in range(101)], abs=1)
    assert series.clock_s == pytest.approx(0.001 + DRIFT * 0.5, rel=1e-3)
    # The event is widened, so that it cannot slip out of a span that it touches.
    assert here.events[0].t0_ns < 5 * S
    assert here.events[0].t1_ns > 6 * S
    assert here.cpu is None


def test_an_edge_has_the_power_nearby_times_the_uncertainty_of_the_clocks() -> None:
    """60 W × 1.25 ms each, rectangular, at readings of an exact counter."""
    clocks = ClockMap([exchange(second * S, DAY) for second in range(11)])
    (series,) = on_this_clock(shifted(60.0, DAY), clocks).series
    half_width_j = edges.edge_j(series, series.t_ns[50]) * 3**0.5
    assert half_width_j == pytest.approx(60.0 * series.clock_s, rel=1e-6)


def test_readings_of_one_nanosecond_stay_in_order() -> None:
    clocks = ClockMap([exchange(0, DAY), exchange(S, DAY)])
    recording = shifted(60.0, DAY)
    (series,) = recording.series
    close = type(series)(
        domain=series.domain,
        t_ns=tuple(-DAY + S // 2 + i for i in range(2000)),
        energy_j=tuple(float(i) for i in range(2000)),
    )
    (here,) = on_this_clock(Recording(series=(close,), events=(), stats=STATS), clocks).series
    assert all(b > a for a, b in zip(here.t_ns, here.t_ns[1:], strict=False))
