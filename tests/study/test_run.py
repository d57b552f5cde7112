"""Whole runs: real processes, a real recorder, a known power."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from msgspec import structs

from permille.balanced import order
from permille.records.machine import Environment
from permille.records.trial import Trial
from permille.store import Store
from permille.study.run.trial import least_query_s
from tests.conftest import (
    PATIENCE_S,
    POWER_W,
    Finished,
    Permille,
    environment_in,
    permille_in,
    powercap_in,
)
from tests.faults.conftest import await_that, ours
from tests.nvml import FakeNvml
from tests.powercap import Driver
from tests.study.conftest import write_small
from tests.zygote import Zygote

pytestmark = pytest.mark.measuring

Study = Callable[..., Path]


class Measured(NamedTuple):
    """A study that has been run: what the run printed, and the program in its folder."""

    folder: Path
    study: str
    run: Finished
    permille: Permille

    @property
    def trials(self) -> list[Trial]:
        with Store(self.folder / "permille.db", readonly=True) as store:
            return list(store.trials())


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory, zygote: Zygote) -> Measured:
    """Three repeats of two models, which tests only read."""
    folder = tmp_path_factory.mktemp("measured")
    environment = environment_in(folder)
    permille = permille_in(folder, environment, zygote)
    path = str(write_small(folder, "quick", "slow", repeats=3))
    with powercap_in(folder, environment):
        return Measured(folder, path, permille("run", path), permille)


def rows(permille: Permille, *arguments: str) -> dict[str, dict[str, Any]]:
    found = permille("results", "--json", *arguments).json
    return {row["model"]: row for row in found["rows"]}


def test_a_study_ends_with_a_table_and_energy_that_is_right(measured: Measured) -> None:
    assert "slow" in measured.run.out
    assert "next: permille compare" in measured.run.out
    assert "this benchmark itself used" in measured.run.out
    found = rows(measured.permille)
    for row in found.values():
        assert row["trials"] == {"done": 3, "failed": 0, "invalid": 0}
        assert row["provenance"] == "measured"
        assert row["quality"]["metric"] == "accuracy"
        assert row["quality"]["value"] == 1.0
        low, value, high = (row["kwh_per_1000"][k] for k in ("low", "value", "high"))
        assert low < value < high
    with Store(measured.folder / "permille.db", readonly=True) as store:
        for trial in store.trials():
            query = trial.phases["query"]
            figure = query.domains["cpu:0"]
            # Two rectangular edges: their half-widths add up to √6 standard uncertainties at most.
            assert abs(figure.energy_j - POWER_W * query.seconds) <= 6**0.5 * figure.edge_j
            assert set(trial.phases) == {"idle", "load", "query", "whole"}
            raw = store.raw(trial.uid)
            assert raw is not None
            assert raw.recording is not None
            assert {span.name for span in raw.spans} == {"idle", "load", "query"}
            assert len(raw.durations_ns) == min(query.inferences or 0, 100_000)


def test_a_runs_table_is_in_the_order_of_the_study(
    permille: Permille, powercap: Driver, study: Study
) -> None:
    """Whatever order the seed draws for its blocks: here one that begins with the last model."""
    path = study("quick", "slow", "babbles", repeats=1)
    seed = next(seed for seed in range(20) if drawn(seed)[0] == 2)
    path.write_text(path.read_text().replace("[study]", f"[study]\nseed = {seed}"))
    finished = permille("run", str(path), "--json")
    assert finished.err.splitlines()[0].startswith("[1/3] babbles")
    assert [row["model"] for row in finished.json["rows"]] == ["quick", "slow", "babbles"]


def drawn(seed: int) -> tuple[int, ...]:
    """The order of the first block of three models."""
    return order(3, 0, f"{seed}/text-classification/rows.jsonl")


def test_the_query_is_lengthened_by_whole_passes_until_the_meter_can_carry_it(
    measured: Measured,
) -> None:
    trial = next(trial for trial in measured.trials if trial.cell.model == "quick")
    with Store(measured.folder / "permille.db", readonly=True) as store:
        raw = store.raw(trial.uid)
    assert raw is not None
    assert raw.recording is not None
    query = trial.phases["query"]
    assert query.inferences is not None
    assert query.inferences > 20
    assert query.inferences % 20 == 0
    assert query.seconds >= least_query_s(series.domain for series in raw.recording.series)


def test_a_second_run_measures_nothing_again_and_a_third_goes_on(
    permille: Permille, powercap: Driver, study: Study
) -> None:
    path = str(study("quick"))
    permille("run", path)
    again = permille("run", path, "--json-lines")
    assert again.out == ""
    more = permille("run", path, "--repeats", "3", "--json-lines")
    (line,) = more.out.splitlines()
    assert json.loads(line)["repeat"] == 2
    assert rows(permille)["quick"]["trials"]["done"] == 3


def test_compare_gives_the_ratio_with_its_interval(measured: Measured) -> None:
    permille = measured.permille
    found = permille("compare", "slow", "quick", "--json").json
    assert found["ratio"]["low"] < found["ratio"]["value"] < found["ratio"]["high"]
    assert found["ratio"]["value"] > 50
    reverse = permille("compare", "quick", "slow", "--json").json
    assert reverse["ratio"]["value"] == pytest.approx(1 / found["ratio"]["value"])
    assert "slow needs" in permille("compare", "slow", "quick").out


def test_carbon_follows_the_place_that_is_asked(measured: Measured) -> None:
    permille = measured.permille
    found = permille("results", "--json", "--intensity", "500", "--pue", "1.5").json
    assert found["carbon"]["intensity_g_per_kwh"] == 500
    row = found["rows"][0]
    kwh = row["kwh_per_1000"]["value"]
    assert row["co2e_g_per_1000"]["value"] == pytest.approx(kwh * 500 * 1.5)
    facility = permille(
        "results", "--json", "--intensity", "500", "--pue", "1.5", "--boundary", "facility"
    ).json["rows"][0]
    assert facility["kwh_per_1000"]["value"] == pytest.approx(1.5 * kwh)
    assumed = permille("results", "--json").json["carbon"]
    assert assumed["assumed"] is True
    assert "world" in assumed["note"]


@pytest.mark.parametrize(
    ("model", "words", "limits_s"),
    [
        ("breaks", "boom on the 7th", (PATIENCE_S,)),
        ("dies", "SIGKILL", (PATIENCE_S,)),
        # It meets its limit, which the other must not, however busy the machine is.
        ("hangs", "timed out", (4, 40, 400)),
    ],
)
def test_a_failing_model_fails_its_cell_alone(
    permille: Permille,
    powercap: Driver,
    study: Study,
    tmp_path: Path,
    model: str,
    words: str,
    limits_s: tuple[float, ...],
) -> None:
    for limit_s in limits_s:
        store = ("--store", f"{limit_s:g}.db")
        path = str(study(model, "slow", repeats=1, timeout_s=limit_s))
        finished = permille("run", path, *store, code=1)
        assert words in finished.out
        found = rows(permille, *store)
        if "timed out" not in (found["slow"]["problem"] or ""):
            break
    assert found["slow"]["trials"] == {"done": 1, "failed": 0, "invalid": 0}
    assert found[model]["trials"] == {"done": 0, "failed": 1, "invalid": 0}
    assert found[model]["kwh_per_1000"]["value"] is None
    assert words in found[model]["problem"]
    assert _left(tmp_path) == {}


def test_garbage_on_stdout_and_answers_that_are_no_label_hurt_nobody_else(
    permille: Permille, powercap: Driver, study: Study
) -> None:
    finished = permille("run", str(study("babbles", "unreadable", repeats=1)), code=1)
    assert "garbage" not in finished.out + finished.err
    found = rows(permille)
    assert found["babbles"]["trials"]["done"] == 1
    assert "'neither'" in found["unreadable"]["problem"]
    assert "'bad', 'good'" in found["unreadable"]["problem"]


HELD = """
def slow(text):
    open("began", "w").close()
    while not os.path.exists("go"):
        time.sleep(0.01)
    return quick(text)
"""


def test_the_recorders_death_voids_the_trial_and_the_next_one_is_measured(
    permille: Permille,
    powercap: Driver,
    study: Study,
    environment: dict[str, str],
    tmp_path: Path,
) -> None:
    path = study("slow", repeats=2, timeout_s=PATIENCE_S)
    with (tmp_path / "models.py").open("a") as models:
        models.write(HELD)
    process = _start(path, environment, tmp_path)
    await_that((tmp_path / "began").exists)
    os.kill(_recorder_of(process), signal.SIGKILL)
    (tmp_path / "go").touch()
    out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1, err
    row = rows(permille)["slow"]
    assert row["trials"] == {"done": 1, "failed": 0, "invalid": 1}
    assert "recorder died" in out


def test_ctrl_c_keeps_what_is_finished_and_says_how_to_go_on(
    permille: Permille,
    powercap: Driver,
    study: Study,
    environment: dict[str, str],
    tmp_path: Path,
) -> None:
    path = study("slow", repeats=50)
    process = _start(path, environment, tmp_path)
    _await(lambda: _done(tmp_path) >= 2, process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert "run the same command again to resume" in err
    kept = rows(permille)["slow"]["trials"]["done"]
    assert kept >= 2
    assert _left(tmp_path) == {}
    permille("run", str(path), "--repeats", str(kept + 1))
    assert rows(permille)["slow"]["trials"]["done"] == kept + 1


def test_a_store_that_cannot_be_written_is_one_line(
    permille: Permille, powercap: Driver, study: Study, tmp_path: Path
) -> None:
    path = str(study("quick", repeats=1))
    finished = permille("run", path, "--store", str(tmp_path / "no" / "folder.db"), code=2)
    assert "there is no folder" in finished.err
    (tmp_path / "other.db").write_text("this is no database at all, and long enough to be read")
    finished = permille("run", path, "--store", str(tmp_path / "other.db"), code=2)
    assert len(finished.err.strip().splitlines()) == 1


def test_an_estimate_says_so_everywhere(permille: Permille, study: Study, tmp_path: Path) -> None:
    finished = permille(
        "run", str(study("slow", repeats=2)), PERMILLE_POWERCAP=str(tmp_path / "none")
    )
    assert "estimated" in finished.out
    assert "`permille meters` there says how to unlock measured figures" in finished.out
    assert "not measured:" not in finished.out, "no hardware of a meter is here"
    row = rows(permille)["slow"]
    assert row["provenance"] == "estimated"
    value, low, high = (row["kwh_per_1000"][k] for k in ("value", "low", "high"))
    assert low <= 0.8 * value
    assert high >= 1.6 * value


def test_required_measured_measures_nothing_where_it_could_only_estimate(
    permille: Permille, study: Study, tmp_path: Path
) -> None:
    path = str(study("slow", repeats=1))
    permille("run", path, "--require", "measured", code=3, PERMILLE_POWERCAP=str(tmp_path / "none"))
    assert permille("results", "--json").json["rows"] == []


@pytest.mark.campaign
def test_required_measured_stops_at_the_first_trial_that_is_estimated_all_the_same(
    permille: Permille, environment: dict[str, str], study: Study, tmp_path: Path
) -> None:
    """A GPU that can be measured does not make a measurement of what is mostly an estimate."""
    fake = FakeNvml(tmp_path)
    fake.script("gpu0.power_mw=10", "gpu0.tick_ms=10")
    environment.update(fake.environment, PERMILLE_METERS="nvml,estimate")
    path = str(study("slow", repeats=3))
    finished = permille("run", path, "--require", "measured", code=3)
    assert "cpu:0" in finished.err.strip().splitlines()[-1]
    assert rows(permille)["slow"]["trials"]["done"] == 1


def test_a_counter_that_contradicts_the_power_is_noted(
    permille: Permille, environment: dict[str, str], study: Study, tmp_path: Path
) -> None:
    fake = FakeNvml(tmp_path)
    script = ("gpu0.capability=86", "gpu0.power_mw=70000", "gpu0.tick_ms=10")
    fake.script(*script, "gpu0.instant_mw=140000")
    environment.update(fake.environment, PERMILLE_METERS="nvml,estimate")
    permille("run", str(study("slow", repeats=1)))
    row = rows(permille)["slow"]
    assert row["trials"]["done"] == 1  # the counter is the figure
    (note,) = (note for note in row["notes"] if "apart" in note)
    assert note.startswith("gpu:0: over query its counter gives")
    assert note in permille("results").out.replace("\n", " ")


@pytest.mark.campaign
def test_a_sensor_that_samples_a_part_gets_pauses(
    permille: Permille, environment: dict[str, str], study: Study, tmp_path: Path
) -> None:
    fake = FakeNvml(tmp_path)
    fake.script("gpu0.capability=80", "gpu0.energy_rc=3", "gpu0.instant_mw=140000")
    environment.update(fake.environment, PERMILLE_METERS="nvml,estimate")
    permille("run", str(study("slow", repeats=1)))
    with Store(tmp_path / "permille.db", readonly=True) as store:
        (trial,) = store.trials(source="permille")
        raw = store.raw(trial.uid)
    assert raw is not None
    (query,) = (span for span in raw.spans if span.name == "query")
    assert len(query.pauses) >= 16
    assert query.seconds >= 50
    (note,) = (note for note in trial.notes if "random pauses" in note)
    assert note.endswith("of the query's time, are counted")
    assert trial.phases["query"].domains["gpu:0"].energy_j == pytest.approx(140 * query.seconds)


def test_precision_stops_when_it_is_reached(
    permille: Permille, powercap: Driver, study: Study
) -> None:
    # So wide that it is reached whatever a busy machine does to the times.
    permille("run", str(study("slow")), "--precision", "0.8")
    row = rows(permille)["slow"]
    assert 3 <= row["trials"]["done"] < 30


def test_a_dry_run_measures_nothing(
    permille: Permille, powercap: Driver, study: Study, tmp_path: Path
) -> None:
    path = str(study("quick", "slow"))
    found = permille("run", path, "--dry-run", "--json").json
    assert (found["cells"], found["trials"], found["models"], found["datasets"]) == (2, 4, 2, 1)
    expected = found["expected"]
    assert (expected["seconds"], expected["kwh"]) == (None, None)
    assert "comparable trials" in expected["basis"]
    assert found["finished"] == 0
    assert not (tmp_path / "permille.db").exists()


def test_a_dry_run_forecasts_a_fresh_start_from_the_trials_before_it(measured: Measured) -> None:
    again = measured.permille("run", measured.study, "--dry-run", "--json", "--fresh").json
    assert (again["trials"], again["finished"]) == (6, 0)
    assert again["expected"]["seconds"] > 0
    assert again["expected"]["kwh"] > 0


def test_a_dry_run_forecasts_only_what_is_not_there_yet(measured: Measured) -> None:
    path, permille = measured.study, measured.permille
    found = permille("run", path, "--dry-run", "--json").json
    assert (found["trials"], found["finished"]) == (6, 6)
    assert (found["expected"]["seconds"], found["expected"]["kwh"]) == (0, 0)
    words = permille("run", path, "--dry-run").out
    assert "permille.db: nothing is left to run (--fresh starts over)" in words
    # Jobs make what no machine has finished, whatever this one, a login node, is.
    here = permille("run", path, "--dry-run", "--json", PERMILLE_METERS="estimate").json
    assert here["finished"] == 0
    slurm = ("--engine", "slurm")
    words = permille("run", path, "--dry-run", *slurm, PERMILLE_METERS="estimate").out
    assert "6 trials are finished and in permille.db: nothing is left to run" in words
    assert "(a new --store starts over)" in words
    more = permille("run", path, "--dry-run", "--json", "--repeats", "4").json
    assert (more["trials"], more["finished"]) == (8, 6)
    assert more["expected"]["seconds"] > 0


def test_a_dry_run_forecasts_nothing_from_trials_of_another_length(measured: Measured) -> None:
    words = ("--dry-run", "--json", "--inferences", "20000")
    longer = measured.permille("run", measured.study, *words).json
    assert (longer["trials"], longer["finished"]) == (6, 0)
    expected = longer["expected"]
    assert (expected["seconds"], expected["kwh"]) == (None, None)


def test_a_dry_run_forecasts_from_other_machines_only_cells_without_trials_of_this_one(
    measured: Measured, tmp_path: Path
) -> None:
    def forecast(store: Path) -> Any:
        words = ("--dry-run", "--json", "--fresh", "--store", str(store))
        return measured.permille("run", measured.study, *words).json["expected"]

    here = forecast(measured.folder / "permille.db")
    trials = measured.trials
    slower = [_on_a_slower_machine(trial) for trial in trials]
    shutil.copyfile(measured.folder / "permille.db", tmp_path / "more.db")
    with Store(tmp_path / "more.db") as store:
        store.add_many((trial, None) for trial in slower)
    assert forecast(tmp_path / "more.db") == here
    quick = [trial for trial in trials if trial.cell.model == "quick"]
    for name, made, which in (
        ("there.db", slower, "; they were made on another machine"),
        ("both.db", [*slower, *quick], "; those of 1 of 2 cells were made on another machine"),
    ):
        with Store(tmp_path / name) as store:
            store.add_many((trial, None) for trial in made)
        there = forecast(tmp_path / name)
        assert there["seconds"] > 100 * here["seconds"]
        assert which in there["basis"]


def _on_a_slower_machine(trial: Trial) -> Trial:
    whole = trial.phases["whole"]
    whole = structs.replace(whole, seconds=1000 * whole.seconds)
    return structs.replace(
        trial,
        uid=f"{trial.uid}-there",
        environment=Environment(fingerprint="there"),
        phases={**trial.phases, "whole": whole},
    )


def test_a_dry_run_with_a_precision_says_the_most_there_may_be(
    permille: Permille, powercap: Driver, study: Study
) -> None:
    path = str(study("quick"))
    assert permille("run", path, "--dry-run", "--json", "--precision", "0.05").json["trials"] == 30
    words = permille("run", path, "--dry-run", "--precision", "0.05").out
    assert "1 cell (1 model, 1 dataset), 30 trials at most" in words


def _start(path: Path, environment: dict[str, str], folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "permille", "run", str(path)],
        env=environment, cwd=folder, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def _await(ready: Callable[[], Any], process: subprocess.Popen[str]) -> None:
    await_that(lambda: ready() or process.poll() is not None)
    assert process.poll() is None, process.communicate()


def _recorder_of(run: subprocess.Popen[str]) -> int:
    """The recorder's process of a run."""
    import psutil

    (found,) = (
        child.pid
        for child in psutil.Process(run.pid).children()
        if "permille.recorder.server" in child.cmdline()
    )
    return found


def _done(folder: Path) -> int:
    path = folder / "permille.db"
    if not path.exists():
        return 0
    with Store(path, readonly=True) as store:
        return sum(1 for _ in store.trials(status="done"))


def _left(folder: Path) -> dict[int, str]:
    """The run's workers and recorders: nothing may be left behind."""
    return {pid: line for pid, line in ours(folder).items() if "permille." in line}
