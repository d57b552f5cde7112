"""A counter that wraps, resets, vanishes or lies: exact, or void with the reason."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from permille.meters import Reading
from permille.recorder.series import SeriesBuilder
from tests.records import domain

S = 1_000_000_000
RANGE_J = 1000.0


def feed(counter: SeriesBuilder, *values: float | str | None, step_s: float = 0.1) -> SeriesBuilder:
    """Readings ``step_s`` apart; a text is an error, None a reading left out."""
    for i, value in enumerate(values):
        t_ns = round((i + 1) * step_s * S)
        if isinstance(value, str):
            counter.add(Reading("cpu:0", t_ns, error=value))
        elif value is not None:
            counter.add(Reading("cpu:0", t_ns, energy_j=value))
    return counter


def counter() -> SeriesBuilder:
    return SeriesBuilder(domain(wrap_j=RANGE_J, tick_s=0.001, max_power_w=500.0))


def test_a_wrap_is_exact() -> None:
    c = feed(counter(), 990.0, 996.0, 2.0, 8.0)
    assert c.series().energy_j == pytest.approx((0.0, 6.0, 12.0, 18.0))
    assert c.events(S) == ()


@given(steps=st.lists(st.floats(0.0, 45.0), min_size=1, max_size=200), start=st.floats(0.0, 999.0))
def test_wraps_are_exact_on_any_path(steps: list[float], start: float) -> None:
    total, values = start, [start % RANGE_J]
    for step in steps:
        total += step
        values.append(total % RANGE_J)
    c = feed(counter(), *values)
    assert c.series().energy_j[-1] == pytest.approx(math.fsum(steps), abs=1e-6)
    assert c.events(S) == ()


@pytest.mark.parametrize("after", [0.0, 3.0, 200.0])
def test_a_reset_voids_the_stretch_and_what_follows_counts(after: float) -> None:
    c = feed(counter(), 400.0, 406.0, after, after + 6.0)
    (event,) = c.events(S)
    assert event.kind == "invalid"
    assert "reset" in event.reason
    assert (event.t0_ns, event.t1_ns) == (round(0.2 * S), round(0.3 * S))
    assert c.series().energy_j == pytest.approx((0.0, 6.0, 6.0, 12.0))


def test_a_counter_without_a_range_cannot_wrap() -> None:
    c = feed(SeriesBuilder(domain(wrap_j=None)), 10.0, 5.0)
    assert [e.kind for e in c.events(S)] == ["invalid"]


def test_a_jump_that_no_power_explains_is_void() -> None:
    (event,) = feed(counter(), 10.0, 900.0).events(S)
    assert event.kind == "invalid"
    assert "not possible" in event.reason


def test_energy_gathered_while_the_counter_stood_still_is_possible() -> None:
    c = feed(counter(), *([10.0] * 10), 400.0)
    assert c.events(S) == ()
    assert c.series().energy_j[-1] == pytest.approx(390.0)


@pytest.mark.parametrize(
    ("tick_s", "most_w", "most_j"),
    [
        (0.5, 500.0, 750.0),
        (None, 500.0, 550.0),  # a tick that is not known: 0.1 s
        (0.0, None, 2000.0),  # a power that is not known: 2 kW
    ],
)
def test_a_step_may_be_the_greatest_power_over_its_time_and_one_tick(
    tick_s: float | None, most_w: float | None, most_j: float
) -> None:
    """One second, late in the life of the recorder's clock."""
    for step_j, kinds in ((most_j, []), (most_j + 1e-3, ["invalid"])):
        c = SeriesBuilder(domain(tick_s=tick_s, max_power_w=most_w))
        c.add(Reading("cpu:0", 1000 * S, energy_j=10.0))
        c.add(Reading("cpu:0", 1001 * S, energy_j=10.0 + step_j))
        assert [event.kind for event in c.events(2000 * S)] == kinds
        assert c.series().energy_j == (0.0, 0.0 if kinds else step_j)


@pytest.mark.parametrize(("step_j", "kinds"), [(250.0, ["invalid"]), (250.001, [])])
def test_a_second_wrap_is_possible_if_its_energy_is(step_j: float, kinds: list[str]) -> None:
    """500 W in 2 s and a tick of 0.5 s: 1,250 J, which is a range of 1,000 J and 250 J."""
    c = SeriesBuilder(domain(wrap_j=RANGE_J, tick_s=0.5, max_power_w=500.0))
    c.add(Reading("cpu:0", 999 * S, energy_j=10.0))
    c.add(Reading("cpu:0", 1000 * S, energy_j=10.0))
    c.add(Reading("cpu:0", 1002 * S, energy_j=10.0 + step_j))
    assert [event.kind for event in c.events(2000 * S)] == kinds


def test_a_silence_in_which_it_could_wrap_twice_is_void() -> None:
    c = counter()
    c.add(Reading("cpu:0", 0, energy_j=10.0))
    c.add(Reading("cpu:0", 10 * S, energy_j=20.0))
    (event,) = c.events(10 * S)
    assert "more than once" in event.reason


def test_a_vanished_read_that_comes_back_loses_nothing_and_is_said() -> None:
    c = feed(counter(), 10.0, "gone", "gone", 28.0)
    assert c.series().energy_j == pytest.approx((0.0, 18.0))
    (event,) = c.events(S)
    assert (event.kind, event.domain) == ("notice", "cpu:0")
    assert (event.t0_ns, event.t1_ns) == (round(0.2 * S), round(0.4 * S))
    assert "gone" in event.reason


def test_a_failure_that_lasts_is_void_to_the_end() -> None:
    c = feed(counter(), 10.0, 16.0, "gone")
    (event,) = c.events(S)
    assert (event.kind, event.reason, event.domain) == ("invalid", "gone", "cpu:0")
    assert (event.t0_ns, event.t1_ns) == (round(0.3 * S), S)


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0])
def test_what_is_no_energy_is_never_counted(value: float) -> None:
    c = feed(counter(), 10.0, value)
    assert c.series().energy_j == (0.0,)
    assert [e.kind for e in c.events(S)] == ["invalid"]


def test_power_is_integrated_by_the_trapezoid_rule() -> None:
    c = SeriesBuilder(domain("gpu:0", tick_s=0.1))
    for i, power_w in enumerate([100.0, 100.0, 200.0]):
        c.add(Reading("gpu:0", i * S // 10, power_w=power_w))
    assert c.series().energy_j == pytest.approx((0.0, 10.0, 25.0))


@pytest.mark.parametrize("power_w", [0xFFFFFFFF / 1e3, 65535.0, 1e12])
@pytest.mark.parametrize("most_w", [700.0, None])
def test_a_power_that_no_device_has_is_never_integrated(
    power_w: float, most_w: float | None
) -> None:
    c = SeriesBuilder(domain("gpu:0", tick_s=0.1, max_power_w=most_w))
    for i, value in enumerate([300.0, 300.0, power_w, 300.0, power_w]):
        c.add(Reading("gpu:0", i * S // 10, power_w=value))
    assert c.series().energy_j == pytest.approx((0.0, 30.0, 90.0))
    kinds = [(event.kind, "not possible" in event.reason) for event in c.events(S)]
    assert kinds == [("notice", True), ("invalid", True)]


def test_the_greatest_power_of_a_device_is_a_power() -> None:
    c = SeriesBuilder(domain("gpu:0", max_power_w=700.0))
    for t_s in (0, 1):
        c.add(Reading("gpu:0", t_s * S, power_w=700.0))
    assert (c.series().energy_j, c.events(S)) == ((0.0, 700.0), ())


@pytest.mark.parametrize(
    ("tick_s", "allowed_s"),
    [(0.1, 2.0), (None, 2.0), (1.0, 3.0)],  # 2 s, or three ticks
)
def test_a_long_silence_of_a_meter_without_a_counter_is_void(
    tick_s: float | None, allowed_s: float
) -> None:
    for silent_s, events in ((allowed_s, 0), (allowed_s + 0.01, 1)):
        c = SeriesBuilder(domain("gpu:0", tick_s=tick_s))
        start_ns, end_ns = 1000 * S, 1000 * S + round(silent_s * S)
        c.add(Reading("gpu:0", start_ns, power_w=100.0))
        c.add(Reading("gpu:0", end_ns, power_w=300.0))
        assert c.series().energy_j == pytest.approx((0.0, 200.0 * silent_s), rel=1e-12)
        assert len(c.events(end_ns)) == events
    (event,) = c.events(end_ns)
    assert (event.kind, event.domain) == ("invalid", "gpu:0")
    assert (event.t0_ns, event.t1_ns) == (start_ns, end_ns)
    assert event.reason == f"{silent_s:.3g} s without a reading of a meter that has no counter"


@pytest.mark.parametrize(
    ("read_s", "since_s", "dated_s"),
    [
        ([1.0, 2.0, 3.0, 4.0], 3.8, [1.0, 2.0, 3.0, 3.8, 4.5]),
        ([2.0], 1.8, [1.8, 4.5]),
        ([], 1.8, [4.5]),
        # It already had that value when it was read: nothing to date back.
        ([3.0, 4.0], 4.0, [3.0, 4.0, 4.5]),
        ([3.0, 4.0], 4.2, [3.0, 4.0, 4.5]),
        # Never before the reading that precedes it.
        ([1.0, 2.0, 3.0, 4.0], 2.5, [1.0, 2.0, 3.0, 3.0 + 1e-9, 4.5]),
        ([3.0, 4.0], 2.5, [3.0, 3.0 + 1e-9, 4.5]),
        # A step that is no news moves nothing.
        ([3.0, 4.5], 4.2, [3.0, 4.5]),
    ],
)
def test_a_step_dates_the_value_before_it_back_to_one_tick_earlier(
    read_s: list[float], since_s: float, dated_s: list[float]
) -> None:
    c = SeriesBuilder(domain(tick_s=0.5))
    for t_s in read_s:
        c.add(Reading("cpu:0", round(t_s * S), energy_j=10.0))
    c.settle(Reading("cpu:0", round(4.5 * S), energy_j=16.0), round(since_s * S))
    assert c.series().t_ns == tuple(round(t_s * S) for t_s in dated_s)


def test_a_change_of_the_counters_origin_voids_the_time_since_the_last_reading() -> None:
    c = counter()
    c.void(2 * S, "suspended")
    c.add(Reading("cpu:0", 3 * S, energy_j=10.0))
    c.void(4 * S, "suspended")
    assert [(event.t0_ns, event.t1_ns) for event in c.events(5 * S)] == [
        (2 * S, 2 * S),
        (3 * S, 4 * S),
    ]


def test_begin_keeps_the_last_reading_and_forgets_the_rest() -> None:
    c = feed(counter(), 10.0, 16.0, 0.0, 6.0)
    c.begin()
    assert c.events(S) == ()
    assert c.series().t_ns == (round(0.4 * S),)
    assert c.series().energy_j == (12.0,)


def test_what_a_later_span_does_not_need_is_discarded_and_no_energy_with_it() -> None:
    c = feed(counter(), 0.0, 6.0, "busy", 12.0, 18.0)
    whole = c.series()
    c.discard_before(round(0.45 * S))  # between the last two readings
    rest = c.series()
    assert (rest.t_ns, rest.energy_j) == (whole.t_ns[-2:], whole.energy_j[-2:])
    assert c.events(S) == ()  # the notice ended before
    c.discard_before(0)
    assert c.series() == rest
    c.void(round(0.7 * S), "a jump")
    c.discard_before(round(0.6 * S))
    assert [event.reason for event in c.events(S)] == ["a jump"]
    c.discard_before(round(0.7 * S))  # a span that begins as the event ends is touched by it
    assert [event.reason for event in c.events(S)] == ["a jump"]
    c.discard_before(round(0.7 * S) + 1)
    assert c.events(S) == ()
