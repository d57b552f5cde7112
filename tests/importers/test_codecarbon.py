from __future__ import annotations

import gzip
from pathlib import Path

import msgspec
import pytest

from permille.analysis.boundaries import Bounded, within
from permille.importers import Options, Tally
from permille.importers.codecarbon.importer import importer
from permille.importers.codecarbon.rows import runs
from permille.importers.reading.files import Source
from permille.records.recording import Provenance
from permille.records.trial import Trial
from permille.store import Store
from tests.importers.codecarbon_files import PLAIN, RUN_COLUMNS, TASK_COLUMNS, file, row
from tests.shared import shared

KWH = 3.6e6


def read(path: Path, options: Options | None = None) -> tuple[list[Trial], Tally]:
    tally = Tally()
    return list(importer.trials(Source(path), tally, options or Options())), tally


def written(tmp_path: Path, content: str | bytes, name: str = "emissions.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("version", RUN_COLUMNS)
def test_a_run_of_every_version(tmp_path: Path, version: str) -> None:
    trials, tally = read(
        written(tmp_path, file(version, {})), Options(inferences=1000, study="mine")
    )
    (trial,) = trials
    assert tally.bad == []
    assert (tally.files, tally.rows) == (1, 1)
    assert trial.uid == "codecarbon:run-1"
    assert trial.study == "mine"
    assert trial.source == "codecarbon"
    assert trial.cell.model == "distilbert-base-uncased"
    assert (trial.cell.task, trial.cell.dataset, trial.cell.category) == ("unknown",) * 3
    query = trial.phases["query"]
    assert query.seconds == 20.0
    assert query.inferences == 1000
    energies = {name: domain.energy_j for name, domain in query.domains.items()}
    assert energies == pytest.approx({"cpu:0": 720, "dram:0": 1080, "gpu": 3600})
    provenance = {name: domain.provenance for name, domain in query.domains.items()}
    assert provenance == {
        "cpu:0": Provenance.ESTIMATED,
        "dram:0": Provenance.ESTIMATED,
        "gpu": Provenance.MEASURED,
    }
    known = trial.environment.facts
    assert known.get("codecarbon_version") == (None if version == "2.0.0" else version)
    assert known["gpu_model"] == "1 x Some GPU"
    assert float(known["logged_g_per_kwh"]) == pytest.approx(200)


@pytest.mark.parametrize("version", TASK_COLUMNS)
def test_the_tasks_of_a_run_of_every_version(tmp_path: Path, version: str) -> None:
    content = file(
        version,
        {"task_name": "load model", "duration": "5"},
        {"task_name": "query model", "duration": "30"},
        tasks=True,
    )
    trials, tally = read(written(tmp_path, content), Options(inferences=500))
    (trial,) = trials
    assert tally.bad == []
    assert {n: (p.seconds, p.inferences) for n, p in trial.phases.items()} == {
        "load": (5.0, None),
        "query": (30.0, 500),
    }


def test_inferences_are_unknown_unless_said(tmp_path: Path) -> None:
    (trial,), _ = read(written(tmp_path, file("3.3.2", {})))
    assert trial.phases["query"].inferences is None
    assert trial.protocol.inferences == 0


ODD_TASKS = file(
    "2.8.3",
    {"task_name": "load dataset", "duration": "4"},
    {"task_name": "inference", "duration": "6", "gpu_energy": "0.002", "energy_consumed": "0.0025"},
    tasks=True,
)


def test_a_task_of_another_name_can_be_the_query(tmp_path: Path) -> None:
    path = written(tmp_path, ODD_TASKS)
    trials, tally = read(path, Options(inferences=1000))
    assert trials == []  # which of the two answered them?
    assert "'load dataset', 'inference'); name the one" in tally.bad[0].reason
    (trial,), _ = read(path, Options(query_task="inference", inferences=1000))
    assert {n: (p.seconds, p.inferences) for n, p in trial.phases.items()} == {
        "load dataset": (4.0, None),
        "query": (6.0, 1000),
    }


def test_without_a_query_task_the_energy_is_that_of_all_and_said_to_be(tmp_path: Path) -> None:
    (trial,), tally = read(written(tmp_path, ODD_TASKS))
    assert tally.bad == []
    assert set(trial.phases) == {"load dataset", "inference", "query"}
    query = trial.phases["query"]
    assert (query.seconds, query.inferences) == (10.0, None)
    energies = {name: domain.energy_j for name, domain in query.domains.items()}
    assert energies == pytest.approx({"cpu:0": 1440, "dram:0": 2160, "gpu": 0.003 * KWH})
    assert any("all 2 tasks together" in note for note in trial.notes)


@pytest.mark.parametrize(("logged", "reason"), [("", "no figure"), ("0", "logged 0")])
def test_a_component_that_one_task_lacks_is_lacking_in_all(
    tmp_path: Path, logged: str, reason: str
) -> None:
    lacking = {"task_name": "b", "gpu_energy": logged, "energy_consumed": "0.0005"}
    (trial,), _ = read(written(tmp_path, file("2.8.3", {"task_name": "a"}, lacking, tasks=True)))
    query = trial.phases["query"]
    assert set(query.domains) == {"cpu:0", "dram:0"}
    assert reason in query.problems["gpu"].reason


def test_a_gpu_that_the_first_task_does_not_name_is_lacking_in_all(tmp_path: Path) -> None:
    nameless = {"gpu_count": "", "gpu_model": ""}
    without = nameless | {"task_name": "a", "gpu_energy": "0", "energy_consumed": "0.0005"}
    tasks = (without, nameless | {"task_name": "b"})
    (trial,), _ = read(written(tmp_path, file("2.8.3", *tasks, tasks=True)))
    query = trial.phases["query"]
    assert set(query.domains) == {"cpu:0", "dram:0"}
    assert query.problems["gpu"].kind == "gpu"
    assert not isinstance(within(query, "compute"), Bounded)


def test_a_task_that_is_called_query_is_the_query_and_its_cell_says_so(tmp_path: Path) -> None:
    tasks = ({"task_name": "query", "duration": "7"}, {"task_name": "other"})
    (trial,), _ = read(written(tmp_path, file("2.8.3", *tasks, tasks=True)))
    assert trial.phases["query"].seconds == 7.0
    assert trial.cell.settings == {"query": "task query"}


def test_a_runs_only_task_is_its_query(tmp_path: Path) -> None:
    path = written(tmp_path, file("3.3.2", {"task_name": "inference"}, tasks=True))
    (trial,), _ = read(path, Options(inferences=50))
    assert {n: p.inferences for n, p in trial.phases.items()} == {"query": 50}
    assert any("only task, 'inference'" in note for note in trial.notes)


def test_a_run_that_was_cut_off_after_its_loading_has_no_query(tmp_path: Path) -> None:
    trials, tally = read(written(tmp_path, file("2.8.3", {"task_name": "load model"}, tasks=True)))
    assert trials == []
    assert "no task 'query model'" in tally.bad[0].reason


def test_a_task_that_comes_twice_is_left_out_with_its_run(tmp_path: Path) -> None:
    again = {"task_name": "query model"}
    trials, tally = read(written(tmp_path, file("2.8.3", again, again, tasks=True)))
    assert trials == []
    assert "twice" in tally.bad[0].reason


def test_rows_of_a_flushed_tracker_are_one_run_whose_last_counts(tmp_path: Path) -> None:
    half = {"duration": "10", "gpu_energy": "0.0005", "energy_consumed": "0.0010"}
    trials, tally = read(written(tmp_path, file("3.0.0", half, {}, {"run_id": "run-2"})))
    assert len(trials) == 2
    trial = trials[0]
    assert trial.phases["query"].domains["gpu"].energy_j == pytest.approx(0.0010 * KWH)
    assert any("cumulative" in note for note in trial.notes)
    assert tally.bad_count == 0


def test_a_row_that_says_the_same_again_is_counted_as_known(tmp_path: Path) -> None:
    x, y = {"run_id": "x"}, {"run_id": "y"}
    trials, tally = read(written(tmp_path, file("3.0.0", x, x, y, x)))
    assert sorted(t.uid for t in trials) == [f"codecarbon:{run}" for run in "xxxy"]
    assert not any("cumulative" in note for trial in trials for note in trial.notes)
    with Store(tmp_path / "s.db") as store:
        assert store.add_many((t, None) for t in trials) == 2
    assert tally.bad_count == 0


def test_rows_of_trackers_that_take_turns_are_one_run_each(tmp_path: Path) -> None:
    half = {"duration": "10", "gpu_energy": "0.0005", "energy_consumed": "0.0010"}
    x, y = {"run_id": "x"}, {"run_id": "y"}
    rows = (half | x, half | y, x, y, {"run_id": "z"})
    trials, tally = read(written(tmp_path, file("3.0.0", *rows)))
    assert [(t.uid, t.phases["query"].seconds) for t in trials] == [
        ("codecarbon:x", 20.0),
        ("codecarbon:y", 20.0),
        ("codecarbon:z", 20.0),
    ]
    assert tally.bad_count == 0


def test_a_run_of_too_many_tasks_is_left_out_whole(tmp_path: Path) -> None:
    many = ({"task_name": f"t{i}"} for i in range(1001))
    content = file("2.8.3", *many, {"run_id": "b", "task_name": "query model"}, tasks=True)
    trials, tally = read(written(tmp_path, content))
    assert [t.uid for t in trials] == ["codecarbon:b"]
    assert [bad.reason for bad in tally.bad] == ["more than 1000 tasks in run-1"]


@pytest.mark.parametrize("tasks", [True, False])
def test_the_rows_that_are_held_have_short_texts(tmp_path: Path, tasks: bool) -> None:
    long = {"project_name": "p" * 5000, "cpu_model": "c" * 5000, "timestamp": "9" * 5000}
    long |= {"task_name": "t" * 5000, "run_id": "r" * 5000}
    content = file("2.8.3", long, tasks=tasks)
    for member in Source(written(tmp_path, content)).members(lambda *_: None):
        ((held,),) = runs(member, Tally(), tasks=tasks)
        assert len(msgspec.json.encode(held)) < 5000


@pytest.mark.parametrize("missing", ["", "nan", "NaN", "None"])
def test_a_missing_energy_is_a_problem_and_never_zero(tmp_path: Path, missing: str) -> None:
    content = file("3.0.0", {"cpu_energy": missing, "energy_consumed": "0.0013"})
    (trial,), tally = read(written(tmp_path, content))
    query = trial.phases["query"]
    assert set(query.domains) == {"dram:0", "gpu"}
    assert "no figure" in query.problems["cpu:0"].reason
    assert tally.bad == []


def test_an_energy_of_zero_is_not_free_energy(tmp_path: Path) -> None:
    content = file("3.0.0", {"gpu_energy": "0.0", "energy_consumed": "0.0005"})
    (trial,), _ = read(written(tmp_path, content))
    query = trial.phases["query"]
    assert "gpu" not in query.domains
    assert "logged 0" in query.problems["gpu"].reason
    assert query.problems["gpu"].kind == "gpu"


def test_a_machine_without_a_gpu_has_no_gpu_domain(tmp_path: Path) -> None:
    none = {"gpu_energy": "0", "gpu_count": "0", "gpu_model": "", "energy_consumed": "0.0005"}
    (trial,), _ = read(written(tmp_path, file("3.3.2", none)))
    query = trial.phases["query"]
    assert set(query.domains) == {"cpu:0", "dram:0"}
    assert query.problems == {}


def test_a_pue_in_the_file_is_divided_out(tmp_path: Path) -> None:
    (trial,), _ = read(written(tmp_path, file("3.3.2", {"pue": "1.25"})))
    assert trial.phases["query"].domains["gpu"].energy_j == pytest.approx(3600 / 1.25)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"duration": "-1"}, "duration must be above 0"),
        ({"duration": ""}, "duration is missing"),
        ({"duration": "0"}, "duration must be above 0"),
        ({"duration": "inf"}, "not a finite number"),
        ({"duration": "soon"}, "not a number"),
        ({"cpu_energy": "-0.1"}, "cpu_energy is negative"),
        ({"gpu_energy": "1e999"}, "not a finite number"),
        ({"run_id": ""}, "run_id is missing"),
        ({"pue": "0.5"}, "pue must be at least 1"),
        ({"energy_consumed": "1.0"}, "add up"),
        (
            {"cpu_energy": "", "gpu_energy": "", "ram_energy": "nan", "energy_consumed": ""},
            "no component",
        ),
    ],
)
def test_a_bad_row_is_named_and_the_rest_is_kept(
    tmp_path: Path, changed: dict[str, str], reason: str
) -> None:
    path = written(tmp_path, file("2.8.3", {"run_id": "a"}, changed, {"run_id": "b"}))
    trials, tally = read(path)
    assert [trial.uid for trial in trials] == ["codecarbon:a", "codecarbon:b"]
    assert tally.bad_count == 1
    assert tally.bad[0].file == "emissions.csv"
    assert tally.bad[0].row == 3
    assert reason in tally.bad[0].reason


def test_truncated_and_misquoted_rows_cost_one_row_each(tmp_path: Path) -> None:
    columns = RUN_COLUMNS["2.8.3"]
    good = [row(columns, run_id=f"r{i}") for i in range(3)]
    cut = good[1][: len(good[1]) // 2] + "\n"
    quoted = row(columns, project_name='"open', run_id="q")
    content = columns + "\n" + good[0] + cut + quoted + good[2]
    trials, tally = read(written(tmp_path, content))
    assert [t.uid for t in trials] == ["codecarbon:r0", "codecarbon:r2"]
    assert [bad.row for bad in tally.bad] == [3, 4]
    assert "fields where the header has" in tally.bad[0].reason
    assert "quote" in tally.bad[1].reason


@pytest.mark.parametrize(
    "encoding",
    ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1", "cp1252"],
)
def test_other_encodings(tmp_path: Path, encoding: str) -> None:
    content = file("3.0.0", {"project_name": "modèle"}).encode(encoding)
    (trial,), tally = read(written(tmp_path, content))
    assert trial.cell.model == "modèle"
    assert trial.phases["query"].seconds == 20.0
    assert tally.bad == []


def test_a_byte_of_no_encoding_is_kept_as_its_number(tmp_path: Path) -> None:
    content = file("3.0.0", {"project_name": "a?b"}).encode().replace(b"a?b", b"a\x81b")
    (trial,), _ = read(written(tmp_path, content))
    assert trial.cell.model == r"a\x81b"


def test_a_file_that_is_named_is_read_whatever_its_suffix(tmp_path: Path) -> None:
    for name in ("emissions", "emissions.csv.bak", "emissions.2.8.3"):
        trials, _ = read(written(tmp_path, file("2.8.3", {}), name))
        assert len(trials) == 1
    trials, _ = read(written(tmp_path, gzip.compress(file("2.8.3", {}).encode()), "run.gz"))
    assert len(trials) == 1
    assert read(tmp_path)[0] == []  # but of a folder, what is called CSV


@pytest.mark.parametrize("content", ["", "\n\n", "a,b\n1,2\n", "\x00\x01\x02"])
def test_files_that_are_not_codecarbons_are_named(tmp_path: Path, content: str) -> None:
    trials, tally = read(written(tmp_path, content))
    assert trials == []
    assert tally.bad_count == 1


def test_bad_rows_beyond_the_first_twenty_are_counted(tmp_path: Path) -> None:
    content = file("3.0.0", *({"duration": "-1", "run_id": f"r{i}"} for i in range(50)))
    _, tally = read(written(tmp_path, content))
    assert tally.bad_count == 50
    assert len(tally.bad) == 20


def test_duplicates_are_known_by_run_id(tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    folder.mkdir()
    written(folder, file("3.0.0", {"run_id": "x"}), "one.csv")
    written(folder, file("3.0.0", {"run_id": "x"}, {"run_id": "y"}), "two.csv")
    trials, _ = read(folder)
    with Store(tmp_path / "s.db") as store:
        assert store.add_many((t, None) for t in trials) == 2
        assert store.add_many((t, None) for t in trials) == 0


def test_a_run_that_is_in_both_kinds_of_file_is_known_by_its_tasks(tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    folder.mkdir()
    written(folder, file("2.8.3", {"run_id": "x"}, {"run_id": "y"}), "emissions.csv")
    query = {"run_id": "x", "task_name": "query model", "duration": "7"}
    written(folder, file("2.8.3", query, tasks=True), "emissions_base_x.csv")
    trials, tally = read(folder)
    assert [t.uid for t in trials] == [f"codecarbon:{run}" for run in "xxy"]
    assert trials[0].phases["query"].seconds == 7.0
    assert (tally.files, tally.rows, tally.bad) == (2, 3, [])


def test_runs_of_different_machines_have_different_fingerprints(tmp_path: Path) -> None:
    rows = ({"run_id": "x"}, {"run_id": "y", "gpu_model": "1 x Another"}, {"run_id": "z"})
    (x, y, z), _ = read(written(tmp_path, file("3.0.0", *rows)))
    assert x.environment.fingerprint == z.environment.fingerprint
    assert x.environment.fingerprint != y.environment.fingerprint


def test_a_folder_of_the_real_tools_files() -> None:
    trials, tally = read(shared("samples/codecarbon"))
    assert len(trials) == 186
    assert {bad.row for bad in tally.bad} == {8, 39, 64, 70, 101, 132, 163}
    assert all("that can be true" in bad.reason for bad in tally.bad)  # runs of milliseconds
    assert len({t.cell.id for t in trials}) == 186  # their project is the tool's default name
    assert {t.environment.facts["codecarbon_version"] for t in trials} == {"2.1.3", "3.3.2"}


def test_the_plain_row_is_consistent() -> None:
    parts = sum(float(PLAIN[f"{part}_energy"]) for part in ("cpu", "gpu", "ram"))
    assert parts == pytest.approx(float(PLAIN["energy_consumed"]))


# --- what contradicts itself is not averaged ---------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "part", "reason"),
    [
        ({"gpu_power": "40"}, "gpu", "gpu_power x duration"),  # of 180 W
        ({"cpu_power": "400"}, "cpu:0", "cpu_power x duration"),  # of 36 W
        ({"ram_power": "5"}, "dram:0", "ram_power x duration"),  # of 54 W
        ({"cpu_energy": "5.5e-8", "energy_consumed": "0.00130"}, "cpu:0", "0.0099 W on average"),
        ({"gpu_energy": "5e-7", "energy_consumed": "0.0005005"}, "gpu", "less than any GPU"),
    ],
)
def test_a_component_that_contradicts_the_row_has_no_figure_and_says_why(
    tmp_path: Path, changed: dict[str, str], part: str, reason: str
) -> None:
    (trial,), tally = read(written(tmp_path, file("2.8.3", changed)))
    query = trial.phases["query"]
    assert part not in query.domains
    assert len(query.domains) == 2
    assert reason in query.problems[part].reason
    assert "no figure" not in str(within(query, "node"))
    assert not isinstance(within(query, "node"), Bounded)
    assert tally.bad == []


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"cpu_power": "3.6", "gpu_power": "18", "ram_power": "5.4"}, "a factor of 10"),
        ({"emissions": "0.3"}, "which no grid emits"),
        ({"emissions": "1e-8"}, "which no grid emits"),
        ({"energy_consumed": "0.0005"}, "add up"),
        ({"duration": "1e-6"}, "more than a machine draws"),
        ({"duration": "1e7", "cpu_power": "", "gpu_power": "", "ram_power": "54"}, "can be true"),
        ({"cpu_power": "-3"}, "negative"),
    ],
)
def test_a_row_that_contradicts_itself_is_named(
    tmp_path: Path, changed: dict[str, str], reason: str
) -> None:
    trials, tally = read(written(tmp_path, file("2.8.3", changed, {"run_id": "b"})))
    assert [trial.uid for trial in trials] == ["codecarbon:b"]
    assert [bad.row for bad in tally.bad] == [2]
    assert reason in tally.bad[0].reason


def test_a_processs_small_part_of_the_cpu_is_a_figure(tmp_path: Path) -> None:
    small = {"cpu_energy": "5.5e-8", "energy_consumed": "0.00130", "tracking_mode": "process"}
    (trial,), _ = read(written(tmp_path, file("3.3.2", small)))
    assert "cpu:0" in trial.phases["query"].domains


def test_twice_the_last_power_is_no_contradiction(tmp_path: Path) -> None:
    (trial,), tally = read(written(tmp_path, file("2.8.3", {"gpu_power": "90"})))
    assert "gpu" in trial.phases["query"].domains
    assert tally.bad == []


def test_the_tasks_of_a_run_are_lacking_what_one_of_them_contradicts(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        file("2.8.3", {"task_name": "a"}, {"task_name": "b", "gpu_power": "1"}, tasks=True),
    )
    (trial,), _ = read(path)
    assert set(trial.phases["query"].domains) == {"cpu:0", "dram:0"}
    assert "a factor of" in trial.phases["query"].problems["gpu"].reason


@pytest.mark.parametrize("project", ["codecarbon", ""])
def test_runs_that_share_no_name_of_their_own_are_not_pooled(tmp_path: Path, project: str) -> None:
    rows = [{"project_name": project, "run_id": run} for run in "abc"]
    trials, _ = read(written(tmp_path, file("3.0.0", *rows)))
    assert len({trial.cell.id for trial in trials}) == 3
    assert len({trial.cell.model for trial in trials}) == 3  # told apart in every table
    named, _ = read(written(tmp_path, file("3.0.0", *({"run_id": run} for run in "abc"))))
    assert len({trial.cell.id for trial in named}) == 1


def test_a_whole_run_and_one_of_its_tasks_are_not_pooled(tmp_path: Path) -> None:
    written(tmp_path, file("2.8.3", {"run_id": "a"}), "runs.csv")
    tasks = [{"run_id": "b", "task_name": "query model"}, {"run_id": "b", "task_name": "x"}]
    written(tmp_path, file("2.8.3", *tasks, tasks=True), "tasks.csv")
    trials, _ = read(tmp_path)
    assert len(trials) == 2
    assert len({trial.cell.id for trial in trials}) == 2


HALF = {"duration": "10", "cpu_energy": "0.0001", "gpu_energy": "0.0005", "ram_energy": "0.00015",
        "energy_consumed": "0.00075"}  # fmt: skip
DOUBLE = {"duration": "40", "cpu_energy": "0.0004", "gpu_energy": "0.0020", "ram_energy": "0.0006",
          "energy_consumed": "0.0030"}  # fmt: skip


@pytest.mark.parametrize(
    "rows",
    [
        [{}, HALF],
        [HALF, {}, HALF | {"duration": "30"}],
        [{}, HALF | {"duration": "30"}, DOUBLE],
        [DOUBLE | {"duration": "5"}, HALF, {}],
        [HALF, {"gpu_energy": "", "energy_consumed": "0.0005"}],
        [HALF, {"project_name": "another"}],
        [HALF, {"gpu_model": "1 x Another"}],
        [{}, {"gpu_model": "1 x Another"}],
    ],
    ids=[
        "falls",
        "rises-and-falls",
        "falls-and-rises",
        "time-rises",
        "lacks",
        "project",
        "machine",
        "twin",
    ],
)
def test_rows_that_are_no_totals_of_one_run_are_named(
    tmp_path: Path, rows: list[dict[str, str]]
) -> None:
    trials, tally = read(written(tmp_path, file("3.0.0", *rows, {"run_id": "good"})))
    assert [trial.uid for trial in trials] == ["codecarbon:good"]
    assert [bad.reason.startswith("lines ") for bad in tally.bad] == [True]


def test_an_earlier_row_that_comes_later_is_known_by_its_time(tmp_path: Path) -> None:
    early = HALF | {"timestamp": "2024-02-03T04:04:56"}
    (trial,), tally = read(written(tmp_path, file("3.0.0", {}, early)))
    assert trial.phases["query"].seconds == 20.0
    assert tally.bad == []


def test_tasks_that_lie_apart_are_one_run(tmp_path: Path) -> None:
    rows = [
        {"run_id": run, "task_name": task}
        for task in ("load model", "query model")
        for run in ("x", "y")
    ]
    trials, tally = read(written(tmp_path, file("2.8.3", *rows, tasks=True)))
    assert [(t.uid, set(t.phases)) for t in trials] == [
        ("codecarbon:x", {"load", "query"}),
        ("codecarbon:y", {"load", "query"}),
    ]
    assert tally.bad == []


# --- other files and versions ------------------------------------------------------------------

VERSION_1 = (
    "timestamp,experiment_id,project_name,duration,emissions,energy_consumed,country_name,"
    "country_iso_code,region,on_cloud,cloud_provider,cloud_region\n"
    "2024-04-18T15:29:14,e,pruning,210.1,0.00448,0.007355,Norway,NOR,,N,,\n"
)
LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12345\n"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (VERSION_1, "CodeCarbon 1.x"),
        (VERSION_1.replace(",", ";"), "CodeCarbon 1.x"),
        (LFS, "Git LFS pointer"),
        ("\n<!DOCTYPE html>\n<html><head></head></html>", "a web page"),
        ("\ufeff<html lang='en'>", "a web page"),
        ('<?xml version="1.0"?>', "a web page"),
        ('{"run_id": "a", "energy_consumed": 1}', "_codecarbon.json"),
        (file("3.0.0", {}).replace("os,", "duration,", 1), "two columns are called 'duration'"),
    ],
)
def test_what_is_no_such_file_is_named_with_a_remedy(
    tmp_path: Path, content: str, reason: str
) -> None:
    trials, tally = read(written(tmp_path, content))
    assert trials == []
    assert [reason in bad.reason for bad in tally.bad] == [True]


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_header_that_comes_again_is_a_header(tmp_path: Path, mark: str) -> None:
    content = (
        file("2.3.1", {"run_id": "a"}) + mark + file("3.1.0", {"run_id": "b"}, {"run_id": "c"})
    )
    trials, tally = read(written(tmp_path, content))
    assert [trial.uid for trial in trials] == [f"codecarbon:{run}" for run in "abc"]
    assert (tally.rows, tally.bad) == (3, [])


def test_a_header_of_another_kind_ends_the_file_by_name(tmp_path: Path) -> None:
    tasks = file("2.8.3", {"task_name": "query model", "run_id": "b"}, tasks=True)
    trials, tally = read(written(tmp_path, file("2.8.3", {"run_id": "a"}) + tasks))
    assert [trial.uid for trial in trials] == ["codecarbon:a"]
    assert [(bad.row, "another kind" in bad.reason) for bad in tally.bad] == [(3, True)]


@pytest.mark.parametrize("first", ["", "sep=;\n"])
def test_semicolons_are_read_and_decimal_commas_named(tmp_path: Path, first: str) -> None:
    points = first + file("3.0.0", {"run_id": "a"}).replace(",", ";")
    (trial,), tally = read(written(tmp_path, points))
    assert trial.phases["query"].seconds == 20.0
    assert tally.bad == []
    header, _, line = points.removeprefix(first).partition("\n")
    commas = written(tmp_path, f"{first}{header}\n{line.replace('.', ',')}", "commas.csv")
    trials, tally = read(commas)
    assert trials == []
    assert [("decimal points" in bad.reason) for bad in tally.bad] == [True]
