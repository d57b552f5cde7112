"""Runs of a command to its figure."""

from __future__ import annotations

import math
from typing import Any

import pytest

from permille.analysis.commands import figure, recorders_j
from permille.records.energy import Phase, Problem
from permille.records.recording import RecorderStats
from tests.records import ESTIMATED, joules


def run(energy_j: float, **changed: Any) -> Phase:
    figure_ = joules(energy_j, accuracy_low=0.05, accuracy_high=0.05, **changed)
    return Phase(seconds=2.0, domains={"cpu:0": figure_})


def test_one_run_has_the_meters_interval() -> None:
    found = figure([run(100.0)], [None], "compute")
    assert found.energy is not None
    assert (found.energy.low, found.energy.high) == pytest.approx((95.0, 105.0))
    assert found.seconds == 2.0
    assert found.net is None


def test_several_runs_have_their_spread_and_the_meters_accuracy() -> None:
    found = figure([run(90.0), run(100.0), run(110.0)], [None] * 3, "compute")
    assert found.energy is not None
    # Student t with 2 degrees of freedom: 24.84; with 5 J of accuracy in quadrature: 25.34.
    assert found.energy.high == pytest.approx(100.0 + 25.34, abs=0.01)
    assert found.runs_j == (90.0, 100.0, 110.0)


def test_one_bad_run_leaves_no_figure() -> None:
    bad = Phase(seconds=2.0, domains={}, problems={"cpu:0": Problem(reason="reset", kind="cpu")})
    found = figure([run(100.0), bad], [None, None], "compute")
    assert found.energy is None
    assert found.reason == "cpu:0: reset"
    assert found.provenance is None


def test_the_facility_multiplies_by_the_pue() -> None:
    found = figure([run(100.0)], [None], "facility", pue=1.5)
    assert found.energy is not None
    assert found.energy.value == pytest.approx(150.0)


def test_net_takes_the_idle_power_off_each_run() -> None:
    idle = Phase(seconds=1.0, domains={"cpu:0": joules(20.0)})
    found = figure([run(100.0), run(102.0)], [idle, idle], "compute")
    assert found.net is not None
    assert found.net.value == pytest.approx(61.0)


def test_net_is_as_uncertain_as_the_gross_energy_and_its_baseline() -> None:
    idle = Phase(seconds=1.0, domains={"cpu:0": joules(20.0, edge_j=0.5)})
    found = figure([run(100.0)], [idle], "compute")
    assert found.net is not None
    assert found.net.high is not None
    # 5 % of 100 J by the meter; twice 0.5 J, at k = 2, by the edges of a baseline half as long.
    assert found.net.high - found.net.value == pytest.approx(math.hypot(5.0, 2.0))


def test_the_parts_of_the_interval_make_it_up() -> None:
    found = figure([run(90.0, edge_j=1.0), run(110.0, edge_j=1.0)], [None] * 2, "compute")
    assert found.energy is not None
    assert found.energy.high is not None
    high = math.hypot(*(part.high for part in found.parts))
    assert found.energy.high == pytest.approx(found.energy.value * (1 + high))
    assert [part.name.split()[0] for part in found.parts] == ["spread", "edges,", "meter"]


def test_the_recorders_energy_is_the_processors_power_for_its_time() -> None:
    stats = RecorderStats(cpu_s=0.01, wall_s=2.0, polls=20, missed=0, interval_s=0.1)
    assert recorders_j([(run(100.0), stats), (run(60.0), stats)]) == pytest.approx(0.8)
    assert recorders_j([(Phase(seconds=2.0, domains={}), stats)]) is None


def test_the_weakest_run_gives_the_provenance() -> None:
    found = figure([run(100.0), run(100.0, provenance=ESTIMATED)], [None, None], "compute")
    assert found.provenance == "estimated"
    assert found.domains["cpu:0"].provenance == "estimated"


def test_no_energy_at_all_is_zero_only_where_the_meter_said_so() -> None:
    found = figure([run(0.0)], [None], "compute")
    assert found.energy is not None
    assert found.energy.value == 0.0
    assert found.energy.low is None
