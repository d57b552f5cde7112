"""The ratio of two models without pairs: sessions are the draws where trials are of several."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from permille.analysis.compare import compare, ratio
from permille.analysis.evidence_words import ONE_SESSION
from permille.analysis.stopping import stopped_summary
from permille.analysis.summaries import summarise
from permille.analysis.trial_sums import BlockPlace, Sums, SumsIntervals
from permille.records.energy import Estimate
from permille.records.trial import Stopping, Trial
from tests.analysis.sides import side
from tests.records import cell, trial

BLOCK_SD = 0.03
STOPPED = Stopping(precision=0.05, max_repeats=10)
OF_A, OF_B = {"s0": [18.0, 18.4], "s1": [20.0, 20.2, 20.4], "s2": [23.0]}, {
    "t0": [9.0, 9.3], "t1": [10.0, 10.1], "t2": [10.2], "t3": [9.8, 9.9],
}  # fmt: skip


def trials_of(
    model: str,
    sessions: dict[str, list[float]],
    machines: dict[str, str] | None = None,
    stopping: Stopping | None = None,
) -> list[Trial]:
    """The trials of a model, by session, in blocks of their own."""
    flat = [(name, value) for name, values in sessions.items() for value in values]
    return [
        trial(
            value,
            model=model,
            repeat=number,
            cell=cell(model, id=model),
            session=name,
            block=number,
            machine=(machines or {}).get(name),
            stopping=stopping,
        )
        for number, (name, value) in enumerate(flat)
    ]


def ratio_of(*trials: list[Trial]) -> Estimate:
    pooled = summarise([t for of in trials for t in of], "compute", pool=True)
    return compare(pooled, "a", "b").ratio


def half(estimate: Estimate) -> float:
    assert estimate.high is not None
    assert estimate.low is not None
    assert estimate.high / estimate.value == pytest.approx(estimate.value / estimate.low)
    return math.log(estimate.high / estimate.value)


def log_sd(values: Sequence[float]) -> float:
    from numpy import std

    return float(std(values, ddof=1))


def welch(*sides: tuple[int, float]) -> float:
    """The half-width of a difference, from each side's number of draws and their sd."""
    from scipy import stats

    squares = [sd**2 / n for n, sd in sides]
    df = sum(squares) ** 2 / sum(s**2 / (n - 1) for s, (n, _) in zip(squares, sides, strict=True))
    return float(stats.t.ppf(0.975, df)) * math.sqrt(sum(squares))


def by_session(sessions: dict[str, list[float]]) -> list[float]:
    """The mean logarithm of each."""
    return [math.fsum(map(math.log, values)) / len(values) for values in sessions.values()]


def mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def test_both_sides_over_sessions_have_welchs_interval_over_these() -> None:
    found = ratio_of(trials_of("a", OF_A), trials_of("b", OF_B))
    sides = [(len(of), log_sd(by_session(of))) for of in (OF_A, OF_B)]
    assert half(found) == pytest.approx(welch(*sides))
    a, b = (mean([mean(values) for values in of.values()]) for of in (OF_A, OF_B))
    assert found.value == pytest.approx(a / b)  # of the figures that either has alone
    assert (found.sessions, found.rerun_low) == (None, None)


def test_a_side_of_one_session_has_its_trials_as_draws() -> None:
    once = {"t0": [9.0, 9.4, 9.2]}
    found = ratio_of(trials_of("a", OF_A), trials_of("b", once))
    spread = log_sd(once["t0"]) / mean(once["t0"])
    assert half(found) == pytest.approx(welch((3, log_sd(by_session(OF_A))), (3, spread)))


def test_sides_of_several_machines_have_these_as_draws() -> None:
    machines = {"s0": "m0", "s1": "m1", "s2": "m1"}
    found = ratio_of(trials_of("a", OF_A, machines), trials_of("b", OF_B))
    first, *others = by_session(OF_A)
    sides = [(2, log_sd([first, mean(others)])), (4, log_sd(by_session(OF_B)))]
    assert half(found) == pytest.approx(welch(*sides))


def test_a_stopped_side_has_the_draws_that_leave_more_uncertain() -> None:
    agreeing = {"t0": [9.0, 9.4], "t1": [9.1, 9.3], "t2": [9.2]}
    found = ratio_of(trials_of("a", OF_A, stopping=STOPPED), trials_of("b", agreeing))
    sides = [(3, log_sd(by_session(OF_A))), (3, log_sd(by_session(agreeing)))]
    assert half(found) == pytest.approx(welch(*sides))
    found = ratio_of(trials_of("a", OF_A), trials_of("b", agreeing, stopping=STOPPED))
    n, centre, sd = stopped_summary([9.0, 9.4, 9.1, 9.3, 9.2])
    assert sd is not None
    assert half(found) == pytest.approx(welch(sides[0], (n, sd / centre)))


def figure(**changed: Any) -> Sums:
    """Three trials of as many sessions."""
    values = (1.0, 1.2, 0.9)
    places = tuple(BlockPlace(f"s{i}", i) for i in range(3))
    known: dict[str, Any] = {"n": 3, "mean": mean(values), "sd": 0.15, "low": 0.0, "high": 0.0}
    return Sums(**known | {"values": values, "block_values": values, "places": places} | changed)


def test_a_stopped_side_of_one_session_keeps_its_trials() -> None:
    of = figure(asked=STOPPED, places=tuple(BlockPlace("s0", i) for i in range(3)))
    assert of.for_ratio() == stopped_summary(of.values)
    assert figure(asked=STOPPED, places=(), block_values=()).for_ratio() == of.for_ratio()


def test_the_intervals_of_a_roll_up_give_the_draws_that_they_are_made_of() -> None:
    of = figure()
    kept = figure(kept=of.intervals().packed())
    assert kept.for_ratio() == of.for_ratio()
    assert of.for_ratio()[0] == 3
    two = tuple(BlockPlace(f"s{i // 2}", i) for i in range(3))
    assert figure(places=two).for_ratio()[0] == 2
    backwards = SumsIntervals(
        value=1.0, low=0.0, high=0.5, spread_low=0.0, spread_high=0.5, selection_factor=1.0,
        sessions=3, machines=1,
    )  # fmt: skip
    assert figure(kept=backwards.packed()).for_ratio() == (3, of.mean, 0.15)


def test_sessions_that_agree_exactly_leave_no_spread() -> None:
    of = figure(block_values=(2.0,) * 3, values=(2.0,) * 3)
    assert of.for_ratio() == (3, 2.0, 0.0)


def drawn(session_sd: float, seed: int) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Two models with a ratio of 2, of 4 sessions of two trials against 5 of three."""
    draw = random.Random(seed)

    def sessions(of: str, level: float, number: int, blocks: int) -> dict[str, list[float]]:
        shifts = {f"{of}{i}": draw.gauss(0, session_sd) for i in range(number)}
        return {
            name: [level * math.exp(shift + draw.gauss(0, BLOCK_SD)) for _ in range(blocks)]
            for name, shift in shifts.items()
        }

    return sessions("s", 20.0, 4, 2), sessions("t", 10.0, 5, 3)


def ratio_of_sums(*models: dict[str, list[float]]) -> Estimate:
    """The ratio as :func:`ratio_of` has it."""
    a, b = (
        side(
            [value for values in sessions.values() for value in values],
            [name for name, values in sessions.items() for _ in values],
        )
        for sessions in models
    )
    return ratio(a, b)


def test_the_simulated_ratio_is_that_of_the_trials() -> None:
    a, b = drawn(0.1, 1)
    of_trials = ratio_of(trials_of("a", a), trials_of("b", b))
    assert msgspec.structs.astuple(ratio_of_sums(a, b)) == pytest.approx(
        msgspec.structs.astuple(of_trials)
    )


def covered(session_sd: float, seed: int) -> bool:
    """Whether the interval holds the ratio of 2."""
    estimate = ratio_of_sums(*drawn(session_sd, seed))
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.low <= 2 <= estimate.high


@pytest.mark.slow
@pytest.mark.parametrize("session_sd", [0.0, 0.03, 0.1])
def test_the_interval_holds_the_truth_however_much_the_sessions_differ(session_sd: float) -> None:
    """Where sessions differ, intervals over trials did so in 85 % and 75 %."""
    runs = 400
    share = sum(covered(session_sd, seed) for seed in range(runs)) / runs
    # Three standard errors of a share of 95 % in 400: nothing here depends on the machine.
    assert 0.95 - 0.033 <= share <= 0.95 + 0.033


def test_what_a_single_session_cannot_show_is_said() -> None:
    def said(*sides: list[Trial]) -> tuple[str, ...]:
        pooled = summarise([t for of in sides for t in of], "compute", pool=True)
        return compare(pooled, "a", "b").cells[0].warnings

    one = {"u0": [10.0, 10.4, 10.2]}
    several, single = trials_of("a", OF_A), trials_of("b", one)
    assert said(several, trials_of("b", OF_B)) == ()
    assert said(several, single) == (f"b: {ONE_SESSION}",)
    stopped = trials_of("a", one, stopping=STOPPED)
    assert said(stopped, trials_of("b", one)) == (f"a: {ONE_SESSION}", f"b: {ONE_SESSION}")
    # A paired ratio has its own words for it.
    assert said(trials_of("a", one), trials_of("b", one)) == ()
