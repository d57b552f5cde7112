"""Trials to summaries to rows: what is pooled, what is not, what an interval holds."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from permille.analysis.budget import budget, parts
from permille.analysis.cell_energy import NO_INFERENCES
from permille.analysis.cell_summary import Summary
from permille.analysis.estimates import SessionInterval
from permille.analysis.rows import row
from permille.analysis.stopping import by_rule
from permille.analysis.study_cells import METERED
from permille.analysis.summaries import by_boundary, summarise
from permille.records.answers import Quality
from permille.records.energy import Boundary, Phase, Problem
from permille.records.machine import Environment
from permille.records.trial import Protocol, Stopping, Trial
from tests.records import ESTIMATED, joules, trial

KWH = 3.6e6


def one(found: list[Summary]) -> Summary:
    (summary,) = found
    return summary


def test_energy_per_1000_is_the_mean_of_the_trials() -> None:
    summary = one(summarise([trial(30.0), trial(36.0, repeat=1), trial(42.0, repeat=2)], "compute"))
    assert summary.energy is not None
    assert summary.energy.mean == pytest.approx(36.0)
    # Student t, two degrees of freedom: 4.3027 * 6 / sqrt(3).
    estimate = summary.energy.estimate()
    assert estimate.low == pytest.approx(36.0 - 14.905, abs=1e-3)
    assert estimate.high == pytest.approx(36.0 + 14.905, abs=1e-3)


def test_what_was_really_run_is_what_counts() -> None:
    doubled = trial(72.0, inferences=2000, protocol=Protocol(inferences=1000))
    summary = one(summarise([doubled], "compute"))
    assert summary.energy is not None
    assert summary.energy.mean == pytest.approx(36.0)


def test_the_budget_above_idle_is_that_of_the_energy_above_idle() -> None:
    made = [trial(36.0 + r, repeat=r, idle_j=30.0) for r in range(3)]
    (summary,) = summarise(made, "compute")
    gross, net = budget(summary), budget(summary, net=True)
    assert net[0] == "small, text-classification on reviews, above idle, within compute:"
    # The same spread in joules: 37 J in all, and 7 J above idle.
    spreads = [float(lines[1].split("/ +")[1].split()[0]) for lines in (gross, net)]
    assert spreads[1] == pytest.approx(spreads[0] * 37 / 7, rel=0.01)


def test_a_single_trial_has_no_interval() -> None:
    summary = one(summarise([trial(36.0)], "compute"))
    assert summary.energy is not None
    assert summary.energy.estimate().low is None


def test_failed_and_invalid_trials_are_counted_and_never_averaged() -> None:
    trials = [
        trial(36.0),
        trial(36.0, repeat=1),
        trial(0.001, repeat=2, status="failed", reason="out of memory"),
        trial(0.001, repeat=3, status="invalid", reason="reset"),
    ]
    summary = one(summarise(trials, "compute"))
    assert summary.energy is not None
    assert summary.energy.mean == pytest.approx(36.0)
    assert (summary.done, summary.failed, summary.invalid) == (2, 1, 1)


def test_a_cell_without_a_finished_trial_has_no_figure_and_says_why() -> None:
    summary = one(summarise([trial(status="failed", reason="out of memory")], "compute"))
    assert summary.energy is None
    assert summary.problem == "out of memory"
    shown = row(summary, intensity_g_per_kwh=100.0, pue=1.0, net=False)
    assert shown.kwh_per_1000 == SessionInterval()
    assert shown.co2e_g_per_1000.value is None
    assert budget(summary)[-1].endswith("out of memory")


def test_other_machines_protocols_and_sources_are_never_pooled() -> None:
    other = Environment(fingerprint="other")
    trials = [
        trial(36.0),
        trial(99.0, repeat=1, environment=other),
        trial(99.0, repeat=2, source="codecarbon"),
        trial(99.0, repeat=3, protocol=Protocol(inferences=1000, idle_s=3.0)),
    ]
    assert len(summarise(trials, "compute")) == 4


def test_a_boundary_that_one_trial_cannot_tell_says_why() -> None:
    lost = Phase(
        seconds=10.0,
        domains={"cpu:0": joules(10.0)},
        problems={"gpu:0": Problem(reason="GPU is lost", kind="gpu")},
        inferences=1000,
    )
    summary = one(summarise([trial(phases={"query": lost})], "compute"))
    assert summary.energy is None
    assert summary.problem == "gpu:0: GPU is lost"


def test_net_is_above_idle_and_keeps_the_absolute_uncertainty() -> None:
    query = Phase(
        seconds=10.0,
        domains={"cpu:0": joules(36.0, accuracy_low=0.05, accuracy_high=0.05)},
        inferences=1000,
    )
    idle = Phase(seconds=5.0, domains={"cpu:0": joules(9.0)})
    trials = [trial(repeat=i, phases={"query": query, "idle": idle}) for i in range(2)]
    summary = one(summarise(trials, "compute"))
    assert summary.net is not None
    assert summary.net.mean == pytest.approx(18.0)
    net = summary.net.estimate()
    assert net.high is not None
    assert net.high - net.value == pytest.approx(0.05 * 36.0)


def test_a_short_baseline_makes_the_net_uncertain() -> None:
    """Its edges weigh as often as it fits into the query: here 20 times."""
    query = Phase(seconds=10.0, domains={"cpu:0": joules(36.0)}, inferences=1000)
    idle = Phase(seconds=0.5, domains={"cpu:0": joules(0.9, edge_j=0.1)})
    trials = [trial(repeat=i, phases={"query": query, "idle": idle}) for i in range(2)]
    summary = one(summarise(trials, "compute"))
    assert summary.net is not None
    net = summary.net.estimate()
    assert net.high is not None
    assert net.high - net.value == pytest.approx(2 * 20 * 0.1 / math.sqrt(2))


def test_an_energys_interval_ends_at_0_and_a_nets_may_not() -> None:
    idle = Phase(seconds=10.0, domains={"cpu:0": joules(2.0)})

    def query(energy_j: float) -> Phase:
        return Phase(seconds=10.0, domains={"cpu:0": joules(energy_j)}, inferences=1000)

    trials = [
        trial(repeat=i, phases={"query": query(j), "idle": idle}) for i, j in enumerate((3.0, 9.0))
    ]
    summary = one(summarise(trials, "compute"))
    assert summary.energy is not None
    assert summary.net is not None
    assert summary.energy.estimate().low == 0.0
    net_low = summary.net.estimate().low
    assert net_low is not None
    assert net_low < 0


def test_without_a_baseline_there_is_no_net() -> None:
    summary = one(summarise([trial(36.0)], "compute"))
    assert summary.net is None
    assert row(summary, intensity_g_per_kwh=1.0, pue=1.0, net=False).net_kwh_per_1000 is None


def test_an_estimate_is_never_tighter_than_its_model() -> None:
    query = Phase(
        seconds=10.0,
        domains={"cpu:0": joules(36.0, accuracy_low=0.2, accuracy_high=0.6, provenance=ESTIMATED)},
        inferences=1000,
    )
    trials = [trial(repeat=i, phases={"query": query}) for i in range(10)]
    summary = one(summarise(trials, "compute"))
    assert summary.provenance == "estimated"
    assert summary.energy is not None
    estimate = summary.energy.estimate()
    assert (estimate.low, estimate.high) == pytest.approx((36.0 * 0.8, 36.0 * 1.6))
    assert any("model" in part.name and part.high == pytest.approx(0.6) for part in parts(summary))


def test_the_rule_that_stopped_the_repeats_gives_the_interval() -> None:
    asked = Stopping(precision=0.05, max_repeats=30)
    trials = [trial(36.0 + d, repeat=i, stopping=asked) for i, d in enumerate((0.0, 0.01, 0.02))]
    summary = one(summarise(trials, "compute"))
    assert summary.energy is not None
    estimate = summary.energy.estimate()
    assert estimate.high is not None
    assert estimate.high - estimate.value == pytest.approx(0.05 * estimate.value)


@pytest.mark.parametrize("repeats", [1, 2, 3])
def test_a_rule_that_allows_two_repeats_has_figures(repeats: int) -> None:
    """The rule itself needs three: such a study ended with a traceback after its first trial."""
    asked = Stopping(precision=0.05, max_repeats=2)
    trials = [trial(36.0 + 3 * i, repeat=i, stopping=asked) for i in range(repeats)]
    summary = one(summarise(trials, "compute"))
    assert summary.energy is not None
    assert (summary.energy.estimate().high is None) is (repeats == 1)
    assert by_rule(summary.energy.values, asked).stop is (repeats == 3)


def test_carbon_is_applied_on_reading() -> None:
    summary = one(summarise([trial(36.0), trial(36.0, repeat=1)], "compute"))
    shown = row(summary, intensity_g_per_kwh=500.0, pue=1.2, net=False)
    assert shown.kwh_per_1000.value == pytest.approx(36.0 / KWH)
    assert shown.co2e_g_per_1000.value == pytest.approx(36.0 / KWH * 500.0 * 1.2)


def test_the_facility_holds_the_pue_once() -> None:
    summary = one(summarise([trial(36.0), trial(36.0, repeat=1)], "facility"))
    shown = row(summary, intensity_g_per_kwh=500.0, pue=1.2, net=False)
    assert shown.kwh_per_1000.value == pytest.approx(36.0 / KWH * 1.2)
    assert shown.co2e_g_per_1000.value == pytest.approx(36.0 / KWH * 1.2 * 500.0)


def test_net_rows_hold_the_net_figures() -> None:
    trials = [trial(36.0, repeat=i, idle_j=18.0) for i in range(2)]
    shown = row(one(summarise(trials, "compute")), intensity_g_per_kwh=1e6, pue=1.0, net=True)
    assert shown.kwh_per_1000.value == pytest.approx(18.0 / KWH)
    assert shown.co2e_g_per_1000.value == pytest.approx(5.0)
    assert shown.net_kwh_per_1000 == shown.kwh_per_1000


def test_quality_is_the_mean_over_the_trials() -> None:
    trials = [
        trial(repeat=i, quality=Quality(metric="accuracy", value=v, n=200, standard_error=0.03))
        for i, v in enumerate((0.8, 0.82))
    ]
    quality = one(summarise(trials, "compute")).quality
    assert quality is not None
    assert quality.value == pytest.approx(0.81)
    assert quality.n == 200


@st.composite
def _phases(draw: st.DrawFn) -> dict[str, Phase]:
    """A query, and maybe a baseline, of domains that are in some boundaries alone."""
    names = draw(st.sets(st.sampled_from(["cpu:0", "dram:0", "gpu:0", "gpu:1", "node:0"])))
    covers = draw(st.sampled_from([(), ("cpu", "dram")]))

    def phase() -> Phase:
        domains, problems = {}, {}
        for name in sorted(names):
            kind = name.partition(":")[0]
            if draw(st.integers(0, 9)):
                domains[name] = joules(
                    draw(st.floats(0.1, 900)),
                    kind,
                    in_use=name != "gpu:1",
                    covers=covers if kind == "node" else (),
                )
            else:
                problems[name] = Problem(reason="it was reset", kind=kind)  # type: ignore[arg-type]
        inferences = draw(st.sampled_from([None, 0, 1000]))
        return Phase(seconds=9.0, domains=domains, problems=problems, inferences=inferences)

    spans = {"query": phase()}
    return spans | {"idle": phase()} if draw(st.booleans()) else spans


@given(st.lists(_phases(), min_size=1, max_size=4), st.permutations(METERED))
def test_all_boundaries_together_are_as_each_alone(
    runs: list[dict[str, Phase]], boundaries: list[Boundary]
) -> None:
    """Those with the same domains share their figures."""
    counts = {"tokens_out": 40.0, "images": 2.0}
    trials = [
        trial(repeat=n, phases=phases, counts=counts, protocol=Protocol(inferences=n % 2 * 10))
        for n, phases in enumerate(runs)
    ]
    alone = [msgspec.structs.replace(t, protocol=trials[0].protocol) for t in trials]
    together = by_boundary(alone, boundaries)
    assert list(together) == boundaries
    for boundary in boundaries:
        assert together[boundary] == one(summarise(alone, boundary))


@pytest.mark.parametrize("meter", ["rapl", "estimate"])
def test_an_idle_span_without_a_duration_is_no_baseline(meter: str) -> None:
    query = Phase(seconds=10.0, domains={"cpu:0": joules(36.0, meter=meter)}, inferences=1000)
    idle = Phase(seconds=0.0, domains={"cpu:0": joules(0.0, meter=meter)})
    (found,) = summarise([trial(phases={"idle": idle, "query": query})], "compute")
    assert found.energy is not None
    assert found.net is None


def test_what_a_mean_leaves_out_is_counted_with_a_reason_of_its_own() -> None:
    """Two trials without a figure for different reasons, and one that does not say of how many
    inferences it is, which has no figure per inference either."""

    def lost(reason: str, repeat: int) -> Trial:
        problem = Problem(reason=reason, kind="cpu")
        query = Phase(seconds=10.0, domains={}, problems={"cpu:0": problem}, inferences=1000)
        return trial(repeat=repeat, uid=f"lost-{repeat}", phases={"query": query})

    unknown = Phase(seconds=10.0, domains={"cpu:0": joules(36.0)})
    planned = Protocol(inferences=0)
    trials = [
        lost("the first reason", 0),
        trial(30.0, repeat=1),
        lost("another reason", 2),
        trial(repeat=3, uid="unknown", phases={"query": unknown}),
    ]
    trials = [msgspec.structs.replace(each, protocol=planned) for each in trials]

    def notes(*numbers: int) -> tuple[str, ...]:
        return one(summarise([trials[number] for number in numbers], "compute")).notes

    no_figure = "trials have no figure within compute and are left out"
    assert notes(1) == ()
    assert notes(0, 1) == (f"1 of 2 {no_figure}: cpu:0: the first reason",)
    assert notes(0, 1, 2, 3) == (f"3 of 4 {no_figure}: the first of them, cpu:0: the first reason",)
    assert notes(1, 3) == (f"1 of 2 {no_figure}: {NO_INFERENCES}",)
    assert notes(0, 3) == ()
