"""``permille slo``: its sentences, exit codes and refusals."""

from __future__ import annotations

from pathlib import Path

import pytest

from permille.store import Store
from tests.analysis.test_slo import load
from tests.conftest import Permille

pytestmark = pytest.mark.slow


@pytest.fixture
def swept(tmp_path: Path) -> None:
    with Store(tmp_path / "permille.db") as store:
        for model, energy_j, first_s in (("4 clients", 60.0, 0.5), ("16 clients", 40.0, 3.0)):
            store.add_many((one, None) for one in load(model, energy_j, first_s))


@pytest.mark.usefixtures("swept")
def test_the_answer_in_words_and_the_exit_code(permille: Permille) -> None:
    kept = permille("slo", "--ttft-p95", "1s").out
    assert "the cheapest load that keeps the promise is 4 clients" in kept
    assert "J per output token" in kept
    assert "the promise costs 1.5 [1.5, 1.5] times the energy of 16 clients" in kept
    none = permille("slo", "--ttft-p95", "100ms", code=4).out
    assert "no load keeps the promise" in none
    assert "nearest is 4 clients: ttft-p95 is 505 ms of at most 100 ms" in none
    unknown = permille("slo", "--tpot-p99", "1s", code=5).out
    assert "cannot tell whether a load keeps the promise" in unknown
    assert "4 clients: cannot tell (tpot-p99): not recorded: set stream = true" in unknown


@pytest.mark.usefixtures("swept")
def test_programs_get_every_point_with_its_headroom(permille: Permille) -> None:
    found = permille("slo", "--ttft-p95", "1s", "--error-rate", "1%", "--json").json
    assert found["promise"] == {"ttft-p95": 1.0, "error-rate": 0.01}
    (answer,) = found["answers"]
    assert (answer["best"], answer["cheapest"]) == ("4 clients", "16 clients")
    first, second = answer["points"]
    assert [limit["verdict"] for limit in first["limits"]] == ["breaks", "keeps"]
    assert second["limits"][0]["headroom"] == pytest.approx(1 - 0.505)
    assert second["figures"]["per_token"]["output"]["value"] > 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "at least one limit, such as --ttft-p95 1s"),
        (("--ttft-p95", "soon"), "such as 1s or 50ms"),
        (("--ttft-p95", "0s"), "such as 1s or 50ms"),
        (("--error-rate", "few"), "such as 5% or 0.05"),
        (("--ttft-p95", "1s", "--study", "none"), "none"),
    ],
)
@pytest.mark.usefixtures("swept")
def test_what_is_no_promise_is_refused_in_a_line(
    permille: Permille, arguments: tuple[str, ...], words: str
) -> None:
    said = permille("slo", *arguments, code=2).err
    assert words in said
    assert len(said.splitlines()) == 1
