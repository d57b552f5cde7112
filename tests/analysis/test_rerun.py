"""Means over sessions and what a rerun gives: single cases, and the simulated coverage, guarded."""

from __future__ import annotations

import importlib.util
import json
import math
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from permille.analysis import intervals
from permille.analysis.rerun import (
    CAUTION,
    SELECTION_CAUTION,
    Measurement,
    SessionMean,
    components,
    is_precise,
    of_values,
    rerun,
    selection_factor,
    session_means,
)
from permille.analysis.student import student_t

ROOT = Path(__file__).parents[2]


def load_benchmark() -> ModuleType:
    path = ROOT / "benchmarks" / "rerun.py"
    spec = importlib.util.spec_from_file_location("benchmarks_rerun", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


BENCHMARK: Any = load_benchmark()
SCENARIOS = {scenario.name: scenario for scenario in BENCHMARK.SCENARIOS}


def sessions_of(*values: list[float], machine: str = "") -> list[SessionMean]:
    return [of_values(f"{machine}{i}", found, machine) for i, found in enumerate(values)]


# --- single cases --------------------------------------------------------------------------


def test_measurements_are_grouped_by_session_and_machine() -> None:
    found = session_means(
        Measurement(session=session, block=block, value=value, machine=machine)
        for machine, session, block, value in [
            ("x", "s", 0, 1.0), ("x", "s", 1, 3.0), ("x", "t", 0, 5.0), ("y", "s", 0, 7.0),
        ]
    )  # fmt: skip
    assert [(s.machine, s.session, s.n, s.mean) for s in found] == [
        ("x", "s", 2, 2.0), ("x", "t", 1, 5.0), ("y", "s", 1, 7.0),
    ]  # fmt: skip


def test_one_session_has_students_interval_over_its_blocks_and_no_rerun_interval() -> None:
    values = [1.0, 1.2, 0.9, 1.1]
    found = rerun(sessions_of(values))
    plain = intervals.mean(values)
    assert (found.sessions, found.machines, found.blocks) == (1, 1, 4)
    assert found.value == pytest.approx(plain.value)
    assert (found.low, found.high) == pytest.approx((plain.low, plain.high))
    assert found.rerun_low is None
    assert found.rerun_high is None


def test_a_single_trial_has_no_interval_at_all() -> None:
    found = rerun(sessions_of([2.0]))
    assert found.value == 2.0
    assert (found.low, found.high, found.rerun_low, found.rerun_high) == (None,) * 4
    assert components(sessions_of([2.0])) == ()


def test_no_session_is_refused() -> None:
    with pytest.raises(ValueError, match="no session"):
        rerun([])


def test_two_sessions_have_both_intervals_by_the_book() -> None:
    """Means 1 and 2: s = 1/√2, t(1) = 12.706."""
    found = rerun(sessions_of([0.9, 1.1], [2.0, 2.0, 2.0]))
    assert found.value == 1.5  # sessions weigh alike, whatever they hold
    assert found.half == pytest.approx(12.7062 * math.sqrt(0.5) / math.sqrt(2), rel=1e-5)
    wide = CAUTION * 12.7062 * math.sqrt(0.5) * math.sqrt(1.5)
    assert found.rerun_half == pytest.approx(wide, rel=1e-5)


def test_sessions_of_one_block_and_identical_sessions() -> None:
    assert rerun(sessions_of([1.0], [2.0], [3.0])).half == pytest.approx(4.30265 / math.sqrt(3))
    same = rerun(sessions_of([1.0, 1.0], [1.0, 1.0]))
    assert (same.half, same.rerun_half) == (0.0, 0.0)
    assert all(c.share == 0 for c in components(sessions_of([1.0, 1.0], [1.0, 1.0])))


def test_machines_are_the_unit_where_there_are_several() -> None:
    """A machine with many sessions does not pass for many machines."""
    sessions = [
        *sessions_of([1.0], [1.2], [0.8], [1.0], machine="x"),
        *sessions_of([3.0], [3.2], machine="y"),
    ]
    found = rerun(sessions)
    assert (found.sessions, found.machines) == (6, 2)
    assert found.value == pytest.approx((1.0 + 3.1) / 2)
    sd = 2.1 / math.sqrt(2)
    assert found.half == pytest.approx(12.7062 * sd / math.sqrt(2), rel=1e-5)
    # The session to come varies as machines do, and by what its machine's mean has averaged out.
    within = (3 * 0.08 / 3 + 0.02) / 4
    among, rest = sd**2 * 1.5, within * (1 - (1 / 4 + 1 / 2) / 2)
    df = (among + rest) ** 2 / (among**2 + rest**2 / 4)
    half = CAUTION * student_t(df) * math.sqrt(among + rest)
    assert found.rerun_half == pytest.approx(half)


@given(
    st.lists(
        st.lists(st.floats(-5, 5).map(lambda x: round(x, 3)), min_size=1, max_size=6),
        min_size=2,
        max_size=6,
    ),
    st.floats(-3, 3),
)
def test_the_rerun_interval_holds_the_means_and_a_shift_moves_both(
    values: list[list[float]], shift: float
) -> None:
    """So a ratio and its inverse, or another unit of energy, have the same intervals."""
    found = rerun(sessions_of(*values))
    moved = rerun(sessions_of(*[[value + shift for value in one] for one in values]))
    assert found.half is not None
    assert found.rerun_half is not None
    assert found.rerun_half >= found.half
    assert moved.value == pytest.approx(found.value + shift, abs=1e-9)
    assert (moved.half, moved.rerun_half) == pytest.approx(
        (found.half, found.rerun_half), rel=1e-6, abs=1e-7
    )


# --- components ----------------------------------------------------------------------------


def drawn(machine_sd: float, session_sd: float, trial_sd: float) -> list[SessionMean]:
    """60 machines with 1 to 5 sessions of 2 to 6 trials."""
    rng = np.random.default_rng(5)
    found = []
    for machine in range(60):
        of_machine = machine_sd * rng.standard_normal()
        for session in range(1 + machine % 5):
            at = of_machine + session_sd * rng.standard_normal()
            values = at + trial_sd * rng.standard_normal(2 + session)
            found.append(of_values(str(session), list(values), str(machine)))
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("machine_sd", "session_sd", "trial_sd"), [(3.0, 1.0, 0.5), (0.0, 1.0, 1.0), (1.0, 0.0, 1.0)]
)
def test_components_find_the_variances_that_were_drawn(
    machine_sd: float, session_sd: float, trial_sd: float
) -> None:
    found = {c.level: c for c in components(drawn(machine_sd, session_sd, trial_sd))}
    assert set(found) == {"trial", "session", "machine"}
    assert found["trial"].variance == pytest.approx(trial_sd**2, rel=0.2)
    assert found["session"].variance == pytest.approx(session_sd**2, rel=0.3, abs=0.15)
    assert found["machine"].variance == pytest.approx(machine_sd**2, rel=0.4, abs=0.15)
    assert sum(c.share for c in found.values()) == pytest.approx(1)
    assert found["machine"].df == 59
    assert found["session"].df == sum(1 + m % 5 for m in range(60)) - 60


def test_levels_that_cannot_be_told_apart_say_so() -> None:
    one_block = components(sessions_of([1.0], [2.0]))
    assert [c.level for c in one_block] == ["trial or session"]
    one_session_each = [
        *sessions_of([1.0, 1.1], machine="x"), *sessions_of([2.0, 2.1], machine="y"),
    ]  # fmt: skip
    assert [c.level for c in components(one_session_each)] == ["trial", "session or machine"]
    one_of_each = [*sessions_of([1.0], machine="x"), *sessions_of([2.0], machine="y")]
    assert [c.level for c in components(one_of_each)] == ["trial, session or machine"]


# --- simulated -----------------------------------------------------------------------------


def test_the_benchmark_simulates_this_method() -> None:
    values = np.random.default_rng(3).standard_normal((4, 5))
    for row, *ends in zip(values, *BENCHMARK.bounds(values), strict=True):
        found = rerun(sessions_of(*([float(value)] for value in row)))
        assert ends == pytest.approx([found.value, found.half, found.rerun_half])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["normal", "heavy-tailed (Student t, 4 df)"])
@pytest.mark.parametrize("sd", [0.0, 0.23])
@pytest.mark.parametrize("sessions", [2, 6])
def test_the_intervals_hold_what_they_promise(name: str, sd: float, sessions: int) -> None:
    """4,000 cells with a fixed seed: three standard errors of simulation below what is told."""
    rng = np.random.default_rng(7)
    cells = BENCHMARK.simulate(SCENARIOS[name], sd, sessions, 4000, rng)
    for coverage_of in BENCHMARK.FIGURES.values():
        found = coverage_of(cells)
        assert found.mean >= 0.945 - 0.011
        assert found.rerun >= 0.94 - 0.011


def test_sessions_are_enough_once_three_of_them_agree() -> None:
    agree = sessions_of([0.0], [0.001], [0.002])
    assert not is_precise(rerun(agree[:2]), 0.5)
    assert is_precise(rerun(agree), 0.1)
    half = rerun(agree).rerun_half
    assert half is not None
    least = math.expm1(SELECTION_CAUTION * half)
    assert is_precise(rerun(agree), least * 1.001)
    assert not is_precise(rerun(agree), least * 0.999)


def test_intervals_of_sessions_that_were_chosen_by_them_are_wider() -> None:
    over = rerun(sessions_of([0.0], [0.001], [0.002]))
    half, rerun_half = over.half, over.rerun_half
    assert half is not None
    assert rerun_half is not None
    assert selection_factor(over, None) == 1
    as_wide_as_requested = over.widened(selection_factor(over, 0.1))
    assert as_wide_as_requested.rerun_half == pytest.approx(math.log1p(0.1))
    assert as_wide_as_requested.half == pytest.approx(math.log1p(0.1) * half / rerun_half)
    assert as_wide_as_requested.value == over.value
    # Where the maximum of sessions ended them, not having stopped before is a selection too.
    ended = over.widened(selection_factor(over, rerun_half / 2))
    assert ended.rerun_half == pytest.approx(SELECTION_CAUTION * rerun_half)
    one = rerun(sessions_of([0.0, 0.1]))
    assert one.widened(selection_factor(one, 0.1)) == one


@pytest.mark.slow
def test_sessions_until_they_agree_hold_what_they_promise() -> None:
    rng = np.random.default_rng(5)
    held = BENCHMARK.until_precise(SCENARIOS["normal"], 0.06, 4000, rng)
    for coverage in held.values():
        assert coverage.mean >= 0.945 - 0.011
        assert coverage.rerun >= 0.94 - 0.011


ATTAINED = [name for name in SCENARIOS if "half of" not in name and "1 block" not in name]


def test_the_stored_simulation_attains_what_the_page_says() -> None:
    stored = json.loads((ROOT / "benchmarks/results/rerun.json").read_text("utf-8"))
    assert stored["caution"] == CAUTION
    assert stored["cells"] >= 10_000
    attained = [row for row in stored["rows"] if row["draws"] in ATTAINED]
    assert {row["sessions"] for row in attained} == set(range(2, 11))
    assert {row["session_sd"] for row in attained} == {0.0, 0.02, 0.05, 0.10, 0.23}
    assert min(row["mean"] for row in attained) >= 0.945
    assert min(row["rerun"] for row in attained) >= 0.94
    page = (ROOT / "docs/statistics.md").read_text("utf-8")
    assert BENCHMARK.markdown(stored["rows"]) in page
    until_precise = stored["until_precise"]
    assert min(min(row["ratio_mean"], row["energy_mean"]) for row in until_precise) >= 0.945
    assert min(min(row["ratio_rerun"], row["energy_rerun"]) for row in until_precise) >= 0.94
    assert BENCHMARK.markdown_until_precise(until_precise) in page


@pytest.mark.slow
@pytest.mark.parametrize("counts", [(2, 2, 2), (4, 1, 3, 2)])
@pytest.mark.parametrize(("machine_sd", "session_sd"), [(0.2, 0.05), (0.05, 0.1)])
def test_the_intervals_over_machines_hold_what_they_promise(
    counts: tuple[int, ...], machine_sd: float, session_sd: float
) -> None:
    """2,000 cells of several machines: three standard errors of simulation below what is told."""
    rng = np.random.default_rng(11)

    def effects(machine: float, sessions: int) -> list[float]:
        noise = 0.02 / math.sqrt(3) * rng.standard_normal(sessions)
        return list(machine + session_sd * rng.standard_normal(sessions) + noise)

    held, within = 0, 0
    for _ in range(2000):
        machines = list(machine_sd * rng.standard_normal(len(counts) + 1))
        found = rerun(
            [
                SessionMean(session=str(j), n=1, mean=mean, sd=None, machine=str(i))
                for i, count in enumerate(counts)
                for j, mean in enumerate(effects(machines[i], count))
            ]
        )
        (coming,) = effects(machines[-1], 1)
        assert found.low is not None
        assert found.high is not None
        assert found.rerun_low is not None
        assert found.rerun_high is not None
        held += found.low <= 0 <= found.high
        within += found.rerun_low <= coming <= found.rerun_high
    assert held / 2000 >= 0.945 - 0.015
    assert within / 2000 >= 0.94 - 0.015
