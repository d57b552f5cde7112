"""The quick check of a trial's numbers against the thorough one; counts of many inserts at once."""

from __future__ import annotations

import zlib
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from permille.records.answers import EachInference, Latency, Quality, ScheduleLag, TokenSplit
from permille.records.cell import ModelFacts
from permille.records.energy import Disturbance, Phase
from permille.records.trial import Protocol, Stopping
from permille.store import Store, gate, writing
from permille.store.repair import check
from permille.store.rows import pack, read_raw
from tests.records import cell, trial

NUMBERS = st.one_of(
    st.floats(),
    st.floats(min_value=1e28, max_value=1e32),
    st.integers(-(2**66), 2**66),
    st.sampled_from([1e30, -1e30, 9.99e29, 1.0000001e30, 2**63 - 1, 2**63, 10**18, 1e19]),
)


@given(number=NUMBERS, name=st.text(max_size=20), listed=st.lists(NUMBERS, max_size=3))
def test_the_quick_look_for_large_numbers_finds_whatever_the_thorough_one_does(
    number: float, name: str, listed: list[float]
) -> None:
    settings = {name: listed, "more": {"inner": number}}
    one = msgspec.structs.replace(trial(), counts={"a": number}, cell=cell(settings=settings))
    expected = gate._unbounded(one)
    refused = gate.refusal(one)
    if expected is not None:
        assert refused == expected
    else:
        others = ("below 0", "read back differently", "too small to divide by")
        assert refused is None or any(other in refused for other in others)


COUNTS = st.sampled_from([-1e-9, -1.0, 0.0, 1.0, 2.5])


@given(
    whole=st.lists(st.integers(-2, 2), min_size=9, max_size=9),
    part=st.lists(COUNTS, min_size=4, max_size=4),
)
def test_the_quick_look_for_figures_below_their_minimum_finds_whatever_the_thorough_one_does(
    whole: list[int], part: list[float]
) -> None:
    phase = Phase(seconds=part[0], domains={}, inferences=whole[8])
    one = trial(
        repeat=whole[0],
        round=whole[1],
        block=whole[2],
        protocol=Protocol(
            inferences=whole[3], warmup_max=whole[4], idle_s=part[1], batch_size=whole[5]
        ),
        facts=ModelFacts(params=whole[6], active_params=whole[7]),
        phases={"query": phase},
        counts={"tokens_out": part[2]},
        latency=Latency(p50=part[3], p95=1.0, mean=1.0, n=1),
    )
    expected = gate._senseless(one)
    refused = gate.refusal(one)
    assert refused == expected
    assert (refused is None) == (whole[5] >= 1 and min(*whole, *part) >= 0)


@pytest.mark.parametrize(
    "name", ["energy_j", "edge_j", "accuracy_low", "accuracy_high", "time_j", "own_j", "offset_j"]
)
def test_a_negative_figure_of_a_domain_is_refused(name: str) -> None:
    query = trial().phases["query"]
    domain = msgspec.structs.replace(query.domains["cpu:0"], **{name: -0.5})
    one = trial(phases={"query": msgspec.structs.replace(query, domains={"cpu:0": domain})})
    assert gate.refusal(one) == f"phases.query.cpu:0.{name} is -0.5, below 0"


def test_negative_answers_are_refused_and_a_negative_score_is_not() -> None:
    latency = Latency(p50=1.0, p95=1.0, mean=1.0, n=1)
    disturbed = Disturbance(others=0.0, steal=-0.5, disturbed=False)
    senseless = {
        "latency.first_token_p99": trial(
            latency=msgspec.structs.replace(latency, first_token_p99=-0.5)
        ),
        "each.p50_j": trial(each=EachInference(n=1, refused=0, p50_j=-0.5, p95_j=1.0)),
        "schedule_lag.most": trial(schedule_lag=ScheduleLag(p50=0.0, p95=0.0, most=-0.5)),
        "quality.standard_error": trial(
            quality=Quality(metric="a", value=0.5, n=2, standard_error=-0.5)
        ),
        "tokens.accuracy_low": trial(tokens=TokenSplit(accuracy_low=-0.5)),
        "phases.query.steal": trial(
            phases={"query": Phase(seconds=1.0, domains={}, disturbance=disturbed)}
        ),
    }
    for name, one in senseless.items():
        assert gate.refusal(one) == f"{name} is -0.5, below 0"
    assert gate.refusal(trial(quality=Quality(metric="spearmanr", value=-0.5, n=2))) is None


@pytest.mark.parametrize("precision", [-0.1, 0.0, 1.0])
def test_a_precision_that_no_interval_can_have_is_refused(precision: float) -> None:
    one = trial(stopping=Stopping(precision=precision, max_repeats=2))
    assert gate.refusal(one) == f"stopping.precision is {precision:g}, not between 0 and 1"
    assert gate.refusal(trial(stopping=Stopping(precision=0.1, max_repeats=2))) is None


def test_trials_of_one_transaction_are_counted_whatever_their_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "_AT_ONCE", 7)
    trials = [
        trial(model=f"m{number % 3}", repeat=number, uid=f"{number:032x}", energy_j=1.0 + number)
        for number in range(40)
    ]
    path = tmp_path / "s.db"
    with Store(path) as store:
        # In one transaction: new ones, one that is there already, and one of another content.
        other = msgspec.structs.replace(trials[3], repeat=99)
        given = [*trials[:20], trials[2], other, *trials[20:]]
        taken = store.take_in((one, None) for one in given)
        assert (taken.new, taken.known, len(taken.refused)) == (40, 1, 1)
        assert store.add_many((one, None) for one in trials) == 0
    assert check(path).problems == ()
    with Store(path, readonly=True) as store:
        assert [one.uid for one in store.trials()] == [one.uid for one in trials]


def test_a_recording_of_endless_depth_is_damaged() -> None:
    deep = zlib.compress(b"\x81\xa1x" + b"\x91" * 100_000)
    with pytest.raises(ValueError, match="recursion"):
        read_raw([("spans", pack(())), ("durations", pack(())), ("recording", deep)])
