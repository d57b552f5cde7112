"""``permille slo`` from the command line: the answer, its exit codes, and wrong promises."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import to_builtins

from permille.records.answers import AnswerTimes
from permille.records.recording import Span
from permille.store import Raw, Store
from tests.analysis.test_slo import overloaded, served
from tests.conftest import Permille

pytestmark = pytest.mark.slow


@pytest.fixture
def keep(tmp_path: Path) -> Path:
    loads = (
        served("sweep, concurrency = 1", 300, 0.1),
        served("sweep, concurrency = 4", 200, 0.5),
        served("sweep, concurrency = 16", 100, 3.0),
    )
    with Store(tmp_path / "permille.db") as store:
        store.add_many((one, None) for load in loads for one in load)
    return tmp_path


def test_the_answer_names_the_load_its_cost_and_its_head_room(
    permille: Permille, keep: Path
) -> None:
    out = permille("slo", "--ttft-p95", "1s").out
    assert (
        "the cheapest load with p95 to the first token within 1 s is sweep, concurrency = 4: 100 mJ"
        in out
    )
    assert "head-room 50 % [49 %, 51 %]" in out
    assert "the promise costs 2.0 [2.0, 2.0] times the energy of the cheapest load" in out
    best = permille("slo", "--ttft-p95", "1000ms", "--json").json["best"]
    assert best["model"] == "sweep, concurrency = 4"
    assert best["meets"] is True


def test_a_load_that_needs_nothing_above_idle_is_named_without_a_ratio(
    permille: Permille, tmp_path: Path
) -> None:
    slow = served("16 clients", 10, 3.0, idle_j=20.0)
    with Store(tmp_path / "permille.db") as store:
        store.add_many((one, None) for one in (*served("1 client", 300, 0.1, idle_j=20.0), *slow))
    out = permille("slo", "--ttft-p95", "1s", "--net").out
    assert "16 clients needs less; no ratio can be given, because an energy is not above 0" in out


def test_goodput_is_of_the_times_in_the_recordings(permille: Permille, tmp_path: Path) -> None:
    answers = AnswerTimes(
        n=1000,
        whole_ns=(10**9,) * 1000,
        first_ns=(5 * 10**8,) * 900 + (2 * 10**9,) * 100,
        token_ns=(0,) * 1000,
    )
    query = Span(name="query", t0_ns=0, t1_ns=10**10, attributes={"answers": to_builtins(answers)})
    with Store(tmp_path / "permille.db") as store:
        for one in served("sweep, concurrency = 4", 200, 0.5):
            store.add(one, Raw(recording=None, spans=(query,), durations_ns=()))
        store.add_many((one, None) for one in served("sweep, concurrency = 1", 300, 0.1))
    out = permille("slo", "--ttft-p95", "1s").out
    assert "  goodput: 90/s [90/s, 90/s], 90 % [" in out
    assert "222 mJ [217 mJ, 228 mJ] for each of them (first token within 1 s)" in out
    points = permille("slo", "--ttft-p95", "1s", "--json").json["points"]
    assert points[0]["goodput"]["per_s"] == {"value": 90.0, "low": 90.0, "high": 90.0}
    assert points[1]["goodput"]["per_s"]["value"] is None
    assert points[1]["goodput"]["reason"] == "a trial has no times of its single requests"


def test_no_load_keeps_it_is_exit_code_4_and_cannot_tell_5(permille: Permille, keep: Path) -> None:
    none = permille("slo", "--ttft-p95", "50ms", code=4).out
    assert "no load keeps p95 to the first token within 50 ms" in none
    assert "nearest: sweep, concurrency = 1" in none
    unknown = permille("slo", "--tpot-p95", "50ms", code=5).out
    assert "no load is known to keep" in unknown
    assert "stream = true" in unknown


def test_where_every_load_is_an_overload_none_keeps_it(permille: Permille, tmp_path: Path) -> None:
    with Store(tmp_path / "permille.db") as store:
        store.add_many((overloaded(f"sweep, rate_per_s = {rate}"), None) for rate in (7, 9))
    out = permille("slo", "--ttft-p95", "1s", code=4).out
    assert "no load keeps p95 to the first token within 1 s" in out
    assert "sweep, rate_per_s = 9: no figure" in out
    output = permille("slo", "--ttft-p95", "1s", "--json", code=4).json
    assert (output["best"], output["cheapest"], output["nearest"]) == (None, None, None)
    assert [point["meets"] for point in output["points"]] == [False, False]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "a promise needs a limit"),
        (["--error-rate", "0%"], "no number of requests shows that none fails"),
        (["--ttft-p95", "0s"], "no answer comes in no time"),
        (["--ttft-p95", "soon"], "is no time such as"),
        (["--ttft-p95", "1s", "--model", "sweeq"], "sweep, concurrency"),
        (["--ttft-p95", "1s", "--task", "classification"], "did you mean 'text-classification'?"),
        (["--ttft-p95", "1s", "--dataset", "chat"], "no results of the dataset 'chat'; available:"),
        (
            ["--ttft-p95", "1s", "--task", "text-classification", "--model", "sweeq"],
            "no results of the model 'sweeq'",
        ),
    ],
)
def test_a_wrong_promise_is_one_line(
    permille: Permille, keep: Path, options: list[str], words: str
) -> None:
    finished = permille("slo", *options, code=2)
    assert words in finished.err
    assert finished.err.count("\n") == 1
