"""How sure a quality is, and what may be said of two."""

from __future__ import annotations

import math
import struct
import sys
import zlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from permille.analysis.answer import answers
from permille.analysis.compare import compare
from permille.analysis.pareto import fronts
from permille.analysis.quality import compared, interval, mcnemar, verdict_text, wilson
from permille.analysis.summaries import summarise
from permille.metrics import METRICS, interval_text, metric_of, pack, scored, unpack, value_text
from permille.records.answers import Quality
from permille.records.trial import Trial
from tests.records import cell, trial

TOO_MANY = pack([0.0] * 20_001)
IDS = [str(i) for i in range(20)]


def right(count: int, n: int = 20, metric: str = "accuracy") -> Quality:
    return scored(metric, [1.0] * count + [0.0] * (n - count), [str(i) for i in range(n)])


def made(model: str, energy_j: float, quality: Quality, category: str = "task-specific",
         **settings: object) -> list[Trial]:  # fmt: skip
    of = cell(model, category=category, settings=settings)
    return [
        trial(energy_j * (1 + i / 1000), model=model, cell=of, repeat=i, quality=quality)
        for i in range(3)
    ]


@pytest.mark.parametrize(("count", "n"), [(4, 4), (0, 4), (15, 20), (1, 1), (999, 1000)])
def test_a_share_has_wilsons_interval(count: int, n: int) -> None:
    from scipy.stats import binomtest

    theirs = binomtest(count, n).proportion_ci(method="wilson")
    ours = interval(right(count, n))
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high))
    old = interval(Quality(metric="accuracy", value=count / n, n=n, standard_error=0.0))
    assert (old.low, old.high) == (ours.low, ours.high)


def test_scores_that_are_all_alike_are_not_certain() -> None:
    found = interval(scored("f1", [1.0] * 4, IDS[:4]))
    assert found.low == pytest.approx(wilson(1.0, 4).low)
    assert interval(scored("perplexity", [20.0] * 4, IDS[:4])).low is None


@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=60))
def test_an_interval_holds_its_value_and_stays_within_the_metric(scores: list[float]) -> None:
    for metric in METRICS:
        quality = scored(metric, scores, map(str, range(len(scores))))
        found = interval(quality)
        if found.low is not None and found.high is not None and metric_of(metric).most == 1.0:
            assert -1e-9 <= found.low <= found.value <= found.high <= 1 + 1e-9


@given(st.integers(0, 40), st.integers(0, 40))
@example(9_900, 10_100)  # as many as a trial keeps the scores of
def test_mcnemar_is_the_exact_binomial_test(b: int, c: int) -> None:
    from scipy.stats import binomtest

    expected = binomtest(min(b, c), b + c).pvalue if b + c else 1.0
    assert mcnemar(b, c) == pytest.approx(expected)


def test_twenty_shared_samples_do_not_make_a_winner() -> None:
    """16 of 20 against 20 of 20: four samples differ, exact p = 0.125."""
    found = compared(right(20), right(16))
    assert (found.level, found.test, found.samples) == ("same", "mcnemar", 20)
    assert found.p == pytest.approx(0.125)
    assert "the same accuracy" in verdict_text(right(20), right(16))
    assert compared(right(20), right(14)).level == "better"
    assert compared(right(14), right(20)).level == "worse"


def test_other_samples_are_not_paired() -> None:
    other = scored("accuracy", [1.0] * 20, [f"other-{i}" for i in range(20)])
    assert compared(other, right(16)).test == "independent"
    old = Quality(metric="accuracy", value=0.8, n=1000)
    assert compared(old, right(20)).test == "independent"
    assert "compared as independent" in verdict_text(old, right(20))
    shipped = Quality(metric="accuracy", value=0.8, n=None)
    assert compared(shipped, right(20)).level == "unknown"


def test_scores_are_compared_in_pairs() -> None:
    base = [i / 20 for i in range(20)]
    a = scored("f1", [s / 2 + 0.25 for s in base], IDS)
    b = scored("f1", [s / 2 + 0.20 for s in base], IDS)
    assert compared(a, b).level == "better"  # far within either's own interval
    assert compared(a, b).test == "permutation"
    assert compared(a, a).level == "same"
    lower = scored("wer", [s / 2 + 0.25 for s in base], IDS)
    assert compared(lower, scored("wer", [s / 2 + 0.20 for s in base], IDS)).level == "worse"


def test_scores_are_stored_in_the_same_order_of_bytes_everywhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    little = struct.pack("<3f", 1.0, 0.5, -2.0)
    assert zlib.decompress(pack([1.0, 0.5, -2.0])) == little
    # On a machine of the other order, array() gives and takes the reverse of what it does here.
    other = "big" if sys.byteorder == "little" else "little"
    monkeypatch.setattr(sys, "byteorder", other)
    swapped = pack([1.0, 0.5, -2.0])
    assert zlib.decompress(swapped) == struct.pack(">3f", 1.0, 0.5, -2.0)
    assert unpack(swapped) == [1.0, 0.5, -2.0]


@pytest.mark.parametrize("packed", [b"", b"x", pack([1.0])[:-2], pack([math.nan]), TOO_MANY])
def test_scores_that_are_not_ours_are_none(packed: bytes) -> None:
    assert unpack(packed) == []


def test_a_perplexity_is_no_percentage_and_the_lowest_is_best() -> None:
    assert value_text("perplexity", 23.4) == "23.4"
    assert value_text("wer", 0.234) == "23.4 %"
    assert value_text("wer", 23.4) == "23.4"
    assert interval_text("accuracy", 1.0, 0.51, 1.0) == "100.0 [51.0, 100.0] %"
    assert metric_of("eval_loss").lower_is_better
    assert not metric_of("f1 (has answer)").lower_is_better
    llm = made("llm", 100.0, scored("perplexity", [20.0, 20.1] * 10, IDS), "general-purpose")
    best = made("best", 10.0, scored("perplexity", [10.0, 10.1] * 10, IDS))
    worst = made("worst", 1.0, scored("perplexity", [90.0, 90.1] * 10, IDS))
    (sentence,) = answers(summarise([*llm, *best, *worst], "compute"))
    assert "the energy of best for a higher perplexity (20.05 [" in sentence
    assert " % against" not in sentence


def test_the_answer_takes_the_cheapest_that_is_as_good() -> None:
    both = [
        *made("llm", 900.0, right(20), "general-purpose"),
        *made("large", 90.0, right(20)),
        *made("small", 9.0, right(17)),
        *made("poor", 1.0, right(5)),
    ]
    (sentence,) = answers(summarise(both, "compute"))
    assert "the energy of small for the same accuracy" in sentence


def test_the_answer_never_sets_a_replica_beside_real_weights() -> None:
    both = [
        *made("llm", 900.0, right(20), "general-purpose"),
        *made("small", 9.0, right(17), weights="replica"),
    ]
    assert answers(summarise(both, "compute")) == []


def test_what_cannot_be_told_apart_is_beaten_by_the_cheaper() -> None:
    both = summarise([*made("big", 90.0, right(20)), *made("small", 9.0, right(16))], "compute")
    assert fronts(both) == [False, True]
    apart = summarise([*made("big", 90.0, right(20)), *made("small", 9.0, right(9))], "compute")
    assert fronts(apart) == [True, True]


def test_a_model_that_answers_nothing_is_no_winner() -> None:
    nothing = scored("accuracy", [0.0] * 20, IDS, unreadable=20)
    both = summarise([*made("big", 90.0, right(20)), *made("none", 1.0, nothing)], "compute")
    assert fronts(both) == [True, False]
    assert any("none of its answers could be read" in note for note in both[1].notes)


def test_trials_answer_the_same_samples() -> None:
    """Ten trials of four samples are four samples."""
    (found,) = summarise(made("a", 1.0, right(4, 4)), "compute")
    assert found.quality is not None
    assert interval(found.quality).low == pytest.approx(wilson(1.0, 4).low)
    assert compare(
        summarise([*made("a", 2.0, right(20)), *made("b", 1.0, right(16))], "compute"), "a", "b"
    ).cells[0].a.quality == right(20)
