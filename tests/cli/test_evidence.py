"""What a rerun would find, as the commands say it: one session, several, and why."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec
import pytest

from permille.analysis.cell_energy import MOST_BLOCKS
from permille.records.trial import Stopping, Trial
from permille.store import Store
from tests.conftest import Permille
from tests.records import cell, trial

pytestmark = pytest.mark.slow

DRIFT = {"mon": 1.0, "tue": 1.1, "wed": 0.95}
"""What a session does to every model alike."""


def of_sessions(names: list[str], dataset: str = "reviews") -> list[Trial]:
    """Two models in blocks of the same sessions: the large one needs ten times the small one."""
    found = []
    for number, name in enumerate(names):
        for block in range(3):
            for model, energy_j in (("small", 36.0), ("large", 360.0)):
                own = 1 + 0.01 * ((block + (model == "large")) % 3 - 1)
                one = trial(
                    energy_j * DRIFT[name] * own,
                    uid=f"{dataset}-{model}-{name}-{block}",
                    model=model,
                    cell=cell(model, dataset=dataset, id=f"{dataset}-{model}"),
                    repeat=number * 3 + block,
                )
                found.append(msgspec.structs.replace(one, session=name, block=block))
    return found


@pytest.fixture
def keep(tmp_path: Path) -> Path:
    return tmp_path / "permille.db"


def test_one_session_says_that_it_is_one(permille: Permille, keep: Path) -> None:
    with Store(keep) as store:
        store.add_many((one, None) for one in of_sessions(["mon"]))
    (small, large) = permille("results", "--json").json["rows"]
    for row in (small, large):
        assert (row["kwh_per_1000"]["sessions"], row["kwh_per_1000"]["rerun"]) == (1, None)
        assert row["machines"] == 1
    words = "within one session; another day or machine may give something else"
    assert f"intervals: {words}" in permille("results").out
    assert words in permille("compare", "large", "small").out
    assert words in permille("export", "model-card", "-").out
    explained = permille("results", "--explain").out
    assert "a second session, on another day or after a reboot" in explained


def test_from_two_sessions_on_the_interval_is_over_them_and_a_rerun_has_its_own(
    permille: Permille, keep: Path
) -> None:
    with Store(keep) as store:
        store.add_many((one, None) for one in of_sessions(["mon", "tue", "wed"]))
    found = permille("compare", "large", "small", "--json").json
    ratio, small = found["ratio"], found["cells"][0]["b"]["kwh_per_1000"]
    for figure in (ratio, small):
        assert figure["sessions"] == 3
        assert figure["rerun"]["low"] < figure["low"] < figure["value"]
        assert figure["value"] < figure["high"] < figure["rerun"]["high"]
    # The sessions' drift meets both models of a block alike, and the ratio does not have it.
    assert ratio["value"] == pytest.approx(10.0, rel=0.01)
    assert ratio["high"] / ratio["low"] < 1.1
    # An energy does: Student's t over the three sessions, far wider than over nine trials.
    logs = [math.log(factor) for factor in DRIFT.values()]
    mean = sum(logs) / 3
    sd = math.sqrt(sum((log - mean) ** 2 for log in logs) / 2)
    half = math.log(small["high"] / small["value"])
    assert half == pytest.approx(4.3027 * sd / math.sqrt(3), rel=0.1)
    shown = permille("compare", "large", "small").out
    assert "over 3 sessions; one more session would give" in shown
    explained = permille("results", "--explain").out
    assert "variance: trial" in explained
    assert "spread of 3 sessions (Student t)" in explained
    assert "session" in explained
    assert "another session would narrow the interval to" in explained


def test_a_ratio_over_several_cells_of_the_same_sessions_is_over_these(
    permille: Permille, keep: Path
) -> None:
    days = ["mon", "tue", "wed"]
    with Store(keep) as store:
        store.add_many((one, None) for on in "xy" for one in of_sessions(days, on))
    found = permille("compare", "large", "small", "--json").json
    assert (len(found["cells"]), found["ratio"]["sessions"], found["ratio"]["machines"]) == (
        2,
        3,
        1,
    )
    assert found["ratio"]["rerun"]["high"] > found["ratio"]["high"]
    over = permille("compare", "large", "small").out.partition("over 2 cells: ")[2]
    assert "over 3 sessions; one more session would give" in over


def test_machines_with_equal_environments_are_a_level_of_variation(
    permille: Permille, keep: Path
) -> None:
    on = {"mon": "a", "tue": "a", "wed": "b"}
    with Store(keep) as store:
        store.add_many(
            (msgspec.structs.replace(one, machine=on[one.session or ""]), None)
            for one in of_sessions(["mon", "tue", "wed"])
        )
    (small, _) = permille("results", "--json").json["rows"]
    assert small["machines"] == 2
    # The mean over machines of the means over their sessions.
    assert small["kwh_per_1000"]["value"] == pytest.approx(
        36.0 / 3.6e6 * ((1.0 + 1.1) / 2 + 0.95) / 2, rel=1e-3
    )
    assert "over 3 sessions on 2 machines; a session on one more machine would give" in (
        permille("results").out
    )
    assert "on 2 machines" in permille("compare", "large", "small").out
    lines = permille("results", "--explain").out
    assert "spread of 2 machines (Student t)" in lines
    assert "machine " in lines.split("variance: ")[1].splitlines()[0]
    assert "another machine would narrow the interval" in lines


def test_a_trial_that_does_not_know_its_machine_leaves_the_others_without_that_level(
    permille: Permille, keep: Path
) -> None:
    with Store(keep) as store:
        store.add_many(
            (one if one.block else msgspec.structs.replace(one, machine=one.session), None)
            for one in of_sessions(["mon", "tue"])
        )
    (small, _) = permille("results", "--json").json["rows"]
    assert (small["machines"], small["kwh_per_1000"]["sessions"]) == (1, 2)
    assert "machine " not in permille("results", "--explain").out.split("variance: ")[1]


def test_the_page_has_the_command_lines_figures(permille: Permille, keep: Path) -> None:
    """Read from the roll-up, which has no trials."""
    with Store(keep) as store:
        store.add_many((one, None) for one in of_sessions(["mon", "tue"]))
    rolled = permille("results", "--json").json["rows"]
    pooled = permille("results", "--pool", "--json").json["rows"]
    for key in ("kwh_per_1000", "co2e_g_per_1000"):
        assert [row[key] for row in rolled] == [row[key] for row in pooled]


def test_trials_that_do_not_know_their_session_say_nothing_of_it(
    permille: Permille, keep: Path
) -> None:
    with Store(keep) as store:
        store.add_many((trial(36.0 + i, repeat=i), None) for i in range(3))
    (row,) = permille("results", "--json").json["rows"]
    assert (row["kwh_per_1000"]["sessions"], row["kwh_per_1000"]["rerun"]) == (None, None)
    assert "session" not in permille("results").out


def test_the_interval_of_a_stopping_rule_is_not_called_one_over_sessions(
    permille: Permille, keep: Path
) -> None:
    rule = Stopping(precision=0.5, max_repeats=6)
    with Store(keep) as store:
        store.add_many(
            (msgspec.structs.replace(one, stopping=rule), None)
            for one in of_sessions(["mon", "tue"])
        )
    (small, _) = permille("results", "--json").json["rows"]
    assert (small["kwh_per_1000"]["sessions"], small["kwh_per_1000"]["rerun"]) == (2, None)
    assert "of 2 sessions, but over their trials, by a stopping rule" in permille("results").out


def test_a_cell_of_too_many_trials_says_that_its_sessions_are_not_told_apart(
    permille: Permille, keep: Path
) -> None:
    (one,) = [t for t in of_sessions(["mon"]) if (t.cell.model, t.block) == ("small", 0)]
    with Store(keep) as store:
        store.add_many(
            (msgspec.structs.replace(one, uid=f"u{n}", repeat=n, block=n), None)
            for n in range(MOST_BLOCKS + 1)
        )
    (row,) = permille("results", "--json").json["rows"]
    assert row["kwh_per_1000"]["sessions"] is None
    assert any(note.startswith("more than 1,000 trials") for note in row["notes"])
    assert "says nothing of their sessions" in permille("results").out
