"""Ratios from the trials; what cannot be compared is refused with the reason."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from permille.analysis.answer import answers, short
from permille.analysis.cell_summary import NO_BASELINE
from permille.analysis.compare import compare, find_model
from permille.analysis.intervals import geometric_mean, on_log_scale, ratio_with_systematic
from permille.analysis.results import result_rows
from permille.analysis.stopping import RATIO_CAUTION
from permille.analysis.summaries import summarise
from permille.carbon.settings import resolve
from permille.errors import CompareError
from permille.records.answers import Quality
from permille.records.energy import Phase
from permille.records.machine import Environment
from permille.records.trial import Stopping, Trial
from tests.records import ESTIMATED, cell, joules, trial


def trials(model: str, *energies: float, **changed: Any) -> list[Trial]:
    return [trial(e, model=model, repeat=i, **changed) for i, e in enumerate(energies)]


def test_the_ratio_comes_from_the_trials() -> None:
    both = trials("large", 300.0, 303.0, 297.0) + trials("small", 20.0, 20.2, 19.8)
    found = compare(summarise(both, "compute"), "large", "small")
    assert found.ratio.value == pytest.approx(15.0)
    assert found.ratio.low is not None
    assert found.ratio.high is not None
    assert 14.5 < found.ratio.low < 15.0 < found.ratio.high < 15.5


@pytest.mark.parametrize("off_w", [-9.5, -4.0, 0.0, 4.0, 9.5])
def test_a_constant_error_of_a_meter_does_not_cancel(off_w: float) -> None:
    """Ten seconds at 300 W beside ten at 30 W, on a sensor that may be off by 10 W either way."""

    def phases(true_w: float) -> dict[str, Phase]:
        energy_j = 10.0 * (true_w + off_w)
        bound = math.hypot(0.05, 100.0 / energy_j)
        read = joules(energy_j, accuracy_low=bound, accuracy_high=bound, offset_j=100.0)
        return {"query": Phase(seconds=10.0, domains={"cpu:0": read}, inferences=1000)}

    both = [
        trial(1.0, model=m, repeat=i, phases=phases(true_w))
        for m, true_w in (("large", 300.0), ("small", 30.0))
        for i in range(2)
    ]
    ratio = compare(summarise(both, "compute"), "large", "small").ratio
    assert ratio.low is not None
    assert ratio.high is not None
    assert ratio.low <= 10.0 <= ratio.high


def test_the_accuracy_of_one_meter_cancels() -> None:
    def phases(energy_j: float) -> dict[str, Phase]:
        accurate = joules(energy_j, accuracy_low=0.05, accuracy_high=0.05)
        return {"query": Phase(seconds=10.0, domains={"cpu:0": accurate}, inferences=1000)}

    both = [
        trial(e, model=m, repeat=i, phases=phases(e))
        for m, es in (("large", (30.0, 30.0)), ("small", (10.0, 10.0)))
        for i, e in enumerate(es)
    ]
    ratio = compare(summarise(both, "compute"), "large", "small").ratio
    assert (ratio.low, ratio.high) == pytest.approx((3.0, 3.0))


def test_cells_that_a_rule_stopped_have_a_wider_ratio() -> None:
    """The rule stops where the spread happens to be small (docs/statistics.md)."""

    def width(**changed: Any) -> float:
        a, b = (300.0, 303.0, 297.0), (20.0, 20.2, 19.8)
        both = trials("large", *a, **changed) + trials("small", *b, **changed)
        ratio = compare(summarise(both, "compute"), "large", "small").ratio
        assert ratio.low is not None
        assert ratio.high is not None
        return math.log(ratio.high / ratio.low)

    stopped = width(stopping=Stopping(precision=0.05, max_repeats=10))
    assert stopped == pytest.approx(RATIO_CAUTION * width(), rel=0.02)


def test_an_estimates_ratio_is_uncertain_by_what_does_not_cancel() -> None:
    """Two models that divide their energy alike between time and work: nothing is left of the
    estimate's error. Two that do not: the two coefficients may be wrong in opposite ways."""

    def made(model: str, energy_j: float, idle_j: float) -> list[Trial]:
        def estimated(value: float) -> Phase:
            figure = joules(
                value, accuracy_low=0.2, accuracy_high=0.6, provenance=ESTIMATED, meter="estimate"
            )
            return Phase(seconds=10.0, domains={"cpu:0": figure}, inferences=1000)

        phases = {"query": estimated(energy_j), "idle": estimated(idle_j)}
        return [trial(model=model, repeat=i, phases=phases) for i in range(3)]

    alike = summarise(made("a", 40.0, 20.0) + made("b", 20.0, 10.0), "compute")
    ratio = compare(alike, "a", "b").ratio
    assert (ratio.low, ratio.high) == pytest.approx((2.0, 2.0))
    apart = summarise(made("a", 40.0, 10.0) + made("b", 20.0, 10.0), "compute")
    ratio = compare(apart, "a", "b").ratio
    assert ratio.low is not None
    assert ratio.high is not None
    # Time is 1/4 of a and 1/2 of b, work the rest. Each coefficient by itself, -20 or +60 %:
    time = (1 + 0.6 * 0.25) / (1 + 0.6 * 0.5) - 1, (1 - 0.2 * 0.25) / (1 - 0.2 * 0.5) - 1
    work = (1 - 0.2 * 0.75) / (1 - 0.2 * 0.5) - 1, (1 + 0.6 * 0.75) / (1 + 0.6 * 0.5) - 1
    below = math.hypot(math.log1p(time[0]), math.log1p(work[0]))
    above = math.hypot(math.log1p(time[1]), math.log1p(work[1]))
    assert ratio.low == pytest.approx(2 * math.exp(-below))
    assert ratio.high == pytest.approx(2 * math.exp(above))


def test_an_estimate_without_a_baseline_cancels_nothing() -> None:
    def made(model: str) -> list[Trial]:
        figure = joules(
            10.0, accuracy_low=0.2, accuracy_high=0.6, provenance=ESTIMATED, meter="estimate"
        )
        phases = {"query": Phase(seconds=10.0, domains={"cpu:0": figure}, inferences=1000)}
        return [trial(model=model, repeat=i, phases=phases) for i in range(3)]

    ratio = compare(summarise(made("a") + made("b"), "compute"), "a", "b").ratio
    assert (ratio.low, ratio.high) == pytest.approx((0.8 / 1.6, 1.6 / 0.8))


def test_the_edges_of_two_meters_count_once() -> None:
    """Accuracies of 10 %, each side at its bound; edges of 10 % on either side, in quadrature."""

    def made(model: str, kind: str) -> list[Trial]:
        figure = joules(10.0, kind, accuracy_low=0.1, accuracy_high=0.1, edge_j=1.0)
        phases = {"query": Phase(seconds=10.0, domains={f"{kind}:0": figure}, inferences=1000)}
        return [trial(model=model, repeat=i, phases=phases) for i in range(4)]

    ratio = compare(summarise(made("a", "cpu") + made("b", "gpu"), "compute"), "a", "b").ratio
    half = math.hypot(math.log(1.1 / 0.9), 0.1, 0.1)
    assert (ratio.low, ratio.high) == pytest.approx((math.exp(-half), math.exp(half)))


def test_a_constant_logged_for_both_sides_cancels_as_far_as_its_weight_is_alike() -> None:
    """A power constant times time is one error on both sides, however uncertain."""

    def made(model: str, gpu_j: float, ram_j: float) -> list[Trial]:
        domains = {
            "gpu:0": joules(gpu_j, "gpu"),
            "dram:0": joules(
                ram_j, "dram", accuracy_low=0.9, accuracy_high=1.0,
                provenance=ESTIMATED, meter="codecarbon",
            ),
        }  # fmt: skip
        phases = {"query": Phase(seconds=10.0, domains=domains, inferences=1000)}
        return [trial(model=model, repeat=i, phases=phases) for i in range(3)]

    alike = compare(
        summarise(made("a", 60.0, 40.0) + made("b", 6.0, 4.0), "compute"), "a", "b"
    ).ratio
    assert (alike.low, alike.high) == pytest.approx((10.0, 10.0))
    apart = compare(
        summarise(made("a", 60.0, 40.0) + made("b", 8.0, 2.0), "compute"), "a", "b"
    ).ratio
    assert apart.low == pytest.approx(10.0 * (1 - 0.9 * 0.4) / (1 - 0.9 * 0.2))
    assert apart.high == pytest.approx(10.0 * (1 + 0.4) / (1 + 0.2))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"cell": cell("small", dataset="other")}, "never run on the same task and dataset"),
        ({"environment": Environment(fingerprint="other")}, "different machines"),
        ({"source": "codecarbon"}, "different tools"),
        ({"study": "another"}, "different studies"),
    ],
)
def test_what_cannot_be_compared_is_refused(changed: dict[str, Any], words: str) -> None:
    both = trials("large", 300.0, 300.0) + trials("small", 20.0, 20.0, **changed)
    with pytest.raises(CompareError, match=words):
        compare(summarise(both, "compute"), "large", "small")


def test_a_side_without_a_figure_is_refused_with_its_reason() -> None:
    both = trials("large", 300.0) + trials("small", 20.0, status="failed", reason="no memory")
    with pytest.raises(CompareError, match="no memory"):
        compare(summarise(both, "compute"), "large", "small")


def test_one_trial_gives_a_ratio_without_an_interval_and_says_so() -> None:
    found = compare(summarise(trials("a", 30.0) + trials("b", 10.0), "compute"), "a", "b")
    assert found.ratio.value == pytest.approx(3.0)
    assert found.ratio.low is None
    assert any("single trial" in w for w in found.cells[0].warnings)


def test_several_cells_give_their_geometric_mean() -> None:
    def on(dataset: str, model: str, energy: float) -> list[Trial]:
        of = cell(model, dataset=dataset, id=f"{dataset}-{model}")
        return [trial(energy, model=model, repeat=i, cell=of) for i in range(2)]

    both = on("x", "a", 20.0) + on("x", "b", 10.0) + on("y", "a", 80.0) + on("y", "b", 10.0)
    found = compare(summarise(both, "compute"), "a", "b")
    assert len(found.cells) == 2
    assert found.ratio.value == pytest.approx(4.0)


def test_what_the_meter_adds_is_the_same_error_in_every_cell() -> None:
    """A sensor that may be off by 0.1 W either way is off by the same on every dataset, so that
    five of them know the ratio no better than one. There is no spread here to average out."""

    def on(dataset: str, model: str, energy_j: float) -> list[Trial]:
        bound = math.hypot(0.05, 1.0 / energy_j)
        read = joules(energy_j, accuracy_low=bound, accuracy_high=bound, offset_j=1.0)
        phases = {"query": Phase(seconds=10.0, domains={"cpu:0": read}, inferences=1000)}
        of = cell(model, dataset=dataset, id=f"{dataset}-{model}")
        return [trial(model=model, repeat=i, cell=of, phases=phases) for i in range(2)]

    def ends(datasets: str) -> tuple[float | None, float | None]:
        both = [t for d in datasets for t in (*on(d, "a", 30.0), *on(d, "b", 10.0))]
        ratio = compare(summarise(both, "compute"), "a", "b").ratio
        return ratio.low, ratio.high

    assert ends("vwxyz") == pytest.approx(ends("v"))


def test_names_may_be_shortened_but_not_guessed() -> None:
    names = ["org/minilm-int8", "org/smollm2", "org/smollm3"]
    assert find_model(names, "MiniLM") == "org/minilm-int8"
    with pytest.raises(CompareError, match="several models"):
        find_model(names, "smollm")
    with pytest.raises(CompareError, match="available: "):
        find_model(names, "bert")
    with pytest.raises(CompareError, match="same model"):
        compare(summarise(trials("a", 1.0), "compute"), "a", "a")


def test_the_answer_is_drawn_from_the_data() -> None:
    def quality(value: float) -> Quality:
        return Quality(metric="accuracy", value=value, n=200, standard_error=0.028)

    general = cell("llm", category="general-purpose")
    both = trials("llm", 300.0, 303.0, 297.0, cell=general, quality=quality(0.81))
    both += trials("mini", 20.0, 20.2, 19.8, quality=quality(0.80))
    both += trials("lexicon", 0.1, 0.1, 0.1, quality=quality(0.65))
    (sentence,) = answers(summarise(both, "compute"))
    assert "llm needs 15 [" in sentence
    assert "the energy of mini for the same accuracy, within error (81.0 [" in sentence
    assert "compared as independent" in sentence
    worse = [t for t in both if t.cell.model != "mini"]
    (sentence,) = answers(summarise(worse, "compute"))
    assert "for a higher accuracy (81.0 [" in sentence
    assert answers(summarise(trials("mini", 1.0), "compute")) == []


def test_above_idle_a_ratio_says_so_and_what_lacks() -> None:
    general = cell("llm", category="general-purpose")
    both = [trial(300.0 + r, model="llm", repeat=r, cell=general, idle_j=100.0) for r in range(3)]
    both += [trial(20.0 + r, model="mini", repeat=r, idle_j=10.0) for r in range(3)]
    (sentence,) = answers(summarise(both, "compute"), net=True)
    assert "llm needs 18 [" in sentence
    assert "times the energy above idle of mini" in sentence
    without = [*trials("mini", 1.0, 2.0), *trials("llm", 3.0, 4.0)]
    with pytest.raises(CompareError, match="no energy above idle: not every trial has an idle"):
        compare(summarise(without, "compute"), "mini", "llm", net=True)
    (row, _) = result_rows(summarise(without, "compute"), resolve(), net=True)
    assert (row.kwh_per_1000.value, row.problem) == (None, NO_BASELINE)


def test_an_answer_about_replicas_says_so() -> None:
    random = {"weights": "replica"}
    general = cell("llm", category="general-purpose", settings=random)
    both = trials("llm", 300.0, 303.0, 297.0, cell=general)
    both += trials("mini", 20.0, 20.2, 19.8, cell=cell("mini", settings=random))
    (sentence,) = answers(summarise(both, "compute"))
    assert "llm (replica) needs 15 [" in sentence
    assert "the energy of mini (replica)" in sentence


@pytest.mark.parametrize(
    ("value", "text"), [(0.0667, "0.067"), (1.44, "1.4"), (15.2, "15"), (6833.0, "6,800"), (0, "0")]
)
def test_ratios_are_shown_with_two_digits(value: float, text: str) -> None:
    assert short(value) == text


ENERGIES = st.lists(st.floats(1e-6, 1e9), min_size=1, max_size=6)
ACCURACY = st.floats(0.0, 5.0)


@given(a=ENERGIES, b=ENERGIES, low=ACCURACY, high=ACCURACY, edge_j=st.floats(0.0, 1e9))
def test_a_ratio_is_above_zero_and_holds_its_value(
    a: list[float], b: list[float], low: float, high: float, edge_j: float
) -> None:
    """On the linear scale, a noisy ratio read "1.2 [-0.00046, 1,000]" or was a traceback."""

    def made(model: str, energies: list[float], data: str) -> list[Trial]:
        def phase(energy_j: float) -> Phase:
            figure = joules(energy_j, accuracy_low=low, accuracy_high=high, edge_j=edge_j)
            return Phase(seconds=10.0, domains={"cpu:0": figure}, inferences=1000)

        of = cell(model, dataset=data, id=f"{model}-{data}")
        return [
            trial(model=model, cell=of, repeat=i, phases={"query": phase(e)})
            for i, e in enumerate(energies)
        ]

    both = [t for d in ("x", "y") for t in (*made("a", a, d), *made("b", b, d))]
    found = compare(summarise(both, "compute"), "a", "b")
    for ratio in (found.ratio, *(c.ratio for c in found.cells)):
        assert 0 < ratio.value < math.inf
        if ratio.low is not None and ratio.high is not None:
            assert 0 < ratio.low <= ratio.value <= ratio.high < math.inf


@given(value=st.floats(1e-300, 1e300), below=st.floats(0.0, 1e308), above=st.floats(0.0, 1e308))
def test_an_interval_on_the_log_scale_is_bounded(value: float, below: float, above: float) -> None:
    once = on_log_scale(value, below, above)
    for found in (once, ratio_with_systematic(once, above, below), geometric_mean([once, once])):
        assert found.low is not None
        assert found.high is not None
        assert 0 < found.low <= found.value <= found.high < math.inf


def test_energies_that_are_not_above_zero_have_no_ratio() -> None:
    idle = summarise(
        [trial(10.0, model=m, repeat=i, idle_j=i_j) for m, i_j in (("a", 5.0), ("b", 20.0))
         for i in range(2)],
        "compute",
    )  # fmt: skip
    with pytest.raises(CompareError, match="above 0"):
        compare(idle, "a", "b", net=True)
