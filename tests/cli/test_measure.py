"""``permille measure`` against a known power, on the real recorder and the real rapl meter."""

from __future__ import annotations

import csv
import json
import math
import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import PATIENCE_S, POWER_W, Permille
from tests.faults.conftest import await_that
from tests.nvml import FakeNvml
from tests.powercap import Driver, FakePowercap

pytestmark = pytest.mark.measuring


def is_as_long(found: Any) -> bool:
    """Whether the energy is that of the command's seconds at the known power, as far as its edges
    allow: two of them, whose half-widths add up to at most √6 standard uncertainties."""
    (edges,) = (part for part in found["uncertainty"] if part["name"].startswith("edges"))
    value = found["energy_j"]["value"]
    return bool(abs(POWER_W * found["seconds"] - value) <= 6**0.5 / 2 * edges["high"] * value)


def check_ratio(ratio: Any, one: Any, other: Any) -> None:
    """The ratio is the mean of the rounds' own, and at a constant power that of their times."""
    pairs = list(zip(one["runs"], other["runs"], strict=True))
    energies, times = (
        statistics.geometric_mean(a[what] / b[what] for a, b in pairs)
        for what in ("energy_j", "seconds")
    )
    assert ratio["value"] == pytest.approx(energies)
    assert ratio["low"] < times < ratio["high"]


def test_the_energy_of_a_command(permille: Permille, powercap: Driver) -> None:
    found = permille("measure", "--json", "--", "sleep", "1").json
    assert found["valid"] is True
    assert found["provenance"] == "measured"
    energy = found["energy_j"]
    assert energy["low"] < energy["value"] < energy["high"]
    assert is_as_long(found)
    assert found["domains"]["cpu:0"]["provenance"] == "measured"
    assert found["domains"]["cpu:0"]["energy_j"] == energy["value"]


def test_a_wrap_on_the_way_is_exact(permille: Permille, powercap: Driver, tmp_path: Path) -> None:
    counter, middle_uj = powercap.tree.counter("cpu:0"), powercap.tree.range_uj // 2
    first = tmp_path / "first"
    script = (
        f"cat {counter} > {first}; while [ $(cat {counter}) -gt {middle_uj} ]; do sleep 0.1; done"
    )
    left_uj = 120_000_000
    while True:
        powercap.wrap_soon("cpu:0", left_uj)
        found = permille("measure", "--json", "--", "sh", "-c", f"{script}; sleep 0.5").json
        assert is_as_long(found)
        if int(first.read_text()) > middle_uj:
            return
        left_uj *= 2  # it had wrapped before the command began


def test_a_reset_on_the_way_leaves_no_figure(
    permille: Permille, powercap: Driver, tmp_path: Path
) -> None:
    began, over = tmp_path / "began", tmp_path / "over"
    # From so high that no time makes up for it.
    powercap.wrap_soon("cpu:0", powercap.tree.range_uj // 2)
    pid = os.fork()
    if pid == 0:
        deadline = time.monotonic() + PATIENCE_S
        while not began.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        powercap.reset("cpu:0")
        over.touch()
        os._exit(0)
    command = f"touch '{began}'; while [ ! -e '{over}' ]; do sleep 0.1; done"
    found = permille("measure", "--json", "--", "sh", "-c", command, code=1).json
    os.waitpid(pid, 0)
    assert found["valid"] is False
    assert "reset" in found["reason"]
    assert found["energy_j"] == {"value": None, "low": None, "high": None}


def test_a_meter_that_vanishes_leaves_no_figure(permille: Permille, powercap: Driver) -> None:
    counter = powercap.tree.counter("cpu:0")
    found = permille("measure", "--json", "--", "mv", str(counter), f"{counter}.gone", code=1).json
    assert found["valid"] is False
    assert found["energy_j"]["value"] is None
    assert found["reason"]


@pytest.mark.parametrize("content", ["nan", "-5", "", "12 apples"])
def test_a_meter_that_lies_is_not_believed(
    permille: Permille, powercap: Driver, tmp_path: Path, content: str
) -> None:
    powercap.stop()
    script = tmp_path / "lie.py"
    script.write_text(
        f"import os, time; time.sleep(0.3); p = {str(powercap.tree.counter('cpu:0'))!r};"
        f"f = os.open(p, os.O_RDWR); os.ftruncate(f, 0); os.pwrite(f, {content!r}.encode(), 0);"
        "time.sleep(0.3)"
    )
    found = permille("measure", "--json", "--", sys.executable, str(script), code=1).json
    assert found["valid"] is False
    assert found["energy_j"]["value"] is None


def test_repeats_warmup_and_inferences(permille: Permille, powercap: Driver) -> None:
    found = permille(
        "measure", "--json", "--repeats", "3", "--warmup", "1", "-n", "100", "--", "sleep", "0.5"
    ).json
    assert len(found["runs"]) == 3
    expected = POWER_W * found["seconds"] / 3.6e6 * 10
    assert is_as_long(found)
    assert found["kwh_per_1000"]["low"] < expected < found["kwh_per_1000"]["high"]


def test_two_commands_and_their_ratio(permille: Permille, powercap: Driver, tmp_path: Path) -> None:
    table = tmp_path / "table.md"
    found = permille(
        "measure", "--json", "--repeats", "3", "--export-markdown", str(table), "--",
        "sleep", "0.8", "---", "sleep", "0.4",
    ).json  # fmt: skip
    assert [c["command"] for c in found["commands"]] == [["sleep", "0.8"], ["sleep", "0.4"]]
    check_ratio(found["ratio"], *found["commands"])
    assert "| `sleep 0.8` |" in table.read_text()


def test_net_is_above_idle(permille: Permille, powercap: Driver) -> None:
    found = permille("measure", "--json", "--idle", "1", "--", "sleep", "1").json
    net = found["net_energy_j"]
    assert net["low"] <= 0 <= net["high"]
    assert net["value"] < 0.5 * found["energy_j"]["value"]  # where nothing is taken off, all of it


def test_the_commands_own_output_does_not_spoil_the_json(
    permille: Permille, powercap: Driver
) -> None:
    finished = permille("measure", "--json", "--", "sh", "-c", "echo hello; sleep 0.5")
    assert finished.json["valid"] is True
    assert "hello" in finished.err


def test_a_failing_command_is_said_and_can_be_allowed(permille: Permille, powercap: Driver) -> None:
    command = ["sh", "-c", "sleep 0.5; exit 3"]
    found = permille("measure", "--json", "--", *command, code=1).json
    assert found["valid"] is False
    assert "exited with 3" in found["reason"]
    assert permille("measure", "--json", "-i", "--", *command).json["valid"] is True


def test_too_short_is_refused_not_printed_as_zero(permille: Permille, powercap: Driver) -> None:
    powercap.pause("cpu:0")
    counter = powercap.tree.counter("cpu:0")
    now = int(counter.read_text())
    script = f"printf '%d\\n' {now + 1} > {counter}"
    found = permille("measure", "--json", "--", "sh", "-c", script, code=None).json
    energy = found["energy_j"]
    assert energy["value"] is None or energy["high"] > energy["value"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--"], "give one command"),
        (["--", "a", "---"], "give one command"),
        (["--", "no-such-program-here"], "cannot run 'no-such-program-here'"),
        (["--repeats", "0", "--", "true"], "positive"),
        (["--repeats", "1e3", "--", "true"], "'1e3' is not a whole number;"),
        (["--export-markdown", "/no/folder/x.md", "--", "true"], "there is no folder /no/folder"),
        (["--export-markdown", "/", "--", "sleep", "0.3"], "cannot write /"),
        (["--pue", "0.5", "--", "true"], "at least 1"),
        (["--region", "Atlantis", "--", "true"], "Atlantis"),
        (["sleep", "1"], "a command goes after --: permille measure -- sleep 1"),
        (["--repeats", "2", "sleep", "1"], "permille measure --repeats 2 -- sleep 1"),
        (["--repeat", "3", "--", "sleep", "1"], "did you mean --repeats"),
        (["-r", "2", "-M", "3", "--", "sleep", "1"], "--repeats fixes the number of runs"),
        (["-m", "4", "-M", "3", "--", "sleep", "1"], "--min-repeats is more than --max-repeats"),
        (["-L", "n", "1,2", "--", "sleep", "1"], "no command has {n} in it"),
        (
            ["-L", "n", "1,2", "-p", "echo {n}", "--", "sleep", "{n}", "---", "true"],
            "--prepare has {n} in it, which the command true does not have",
        ),
        (["-L", "n", "", "--", "sleep", "{n}"], "--parameter-list takes a name and values"),
        (["-P", "n", "1", "x", "--", "sleep", "{n}"], "a name and two numbers"),
        (["-P", "n", "1", "1e9", "--", "sleep", "{n}"], "fewer than 1000 steps"),
        (["-D", "2", "--", "sleep", "1"], "goes with --parameter-scan"),
        (["--reference", "c", "--", "sleep", "0.3", "---", "sleep", "0.4"], "no command is called"),
        (["--command-name", "a", "--command-name", "b", "--", "true"], "2 names for 1 command:"),
        (["--prepare", "exit 3", "--", "sleep", "1"], "--prepare 'exit 3' failed (exit 3)"),
        (["--export-csv", "/no/folder/x.csv", "--", "true"], "there is no folder /no/folder"),
        (["--", "sleep 0.3 | cat"], "for a shell's syntax write: -- sh -c 'sleep 0.3 | cat'"),
        (["--", "sleep 1 && sleep 1"], "-- sh -c 'sleep 1 && sleep 1'"),
        (["--", "sleep 1"], "write the command without quotes: -- sleep 1"),
        (["--", "N=1", "sleep", "1"], "to set a variable write: -- env N=1 sleep 1"),
        (["--", "sleep", "9", "---", "slep", "9"], "cannot run 'slep'"),
        (["--", "sleep", "9", "---", "./missing"], "cannot run './missing': No such file"),
        (["--", "sleep", "9", "---", "/etc/passwd"], "cannot run '/etc/passwd': it is not exec"),
        (["-n", "old", "--", "true"], "'old' is not a whole number (a name: --command-name)"),
        (["--net", "--", "true"], "did you mean --idle?"),
        (["--input", "missing.txt", "--", "cat"], "cannot read --input missing.txt"),
        (["--input", "/dev/stdin", "--", "cat"], "not a regular file"),
        (["-S", '"', "--", "echo"], "--shell '\"': No closing quotation"),
        (["-S", " ", "--", "echo"], "--shell names a program, such as bash"),
        (["--export-csv", "x", "--export-json", "./x", "--", "true"], "name the same file"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(
    permille: Permille, powercap: Driver, arguments: list[str], words: str
) -> None:
    finished = permille("measure", *arguments, code=2)
    assert words in finished.err
    assert len(finished.err.strip().splitlines()) == 1


def test_two_exports_to_one_file_are_refused_however_it_is_spelled(
    permille: Permille, powercap: Driver, tmp_path: Path
) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "linked").symlink_to("there")
    for one, other in (("x", "there/../x"), ("there/x", "linked/x")):
        exports = ("--export-csv", one, "--export-json", other)
        refused = permille("measure", *exports, "--", "true", code=2)
        assert "two exports name the same file" in refused.err
    assert not (tmp_path / "x").exists()


def test_without_permission_it_estimates_and_says_how_to_unlock(
    environment: dict[str, str], tmp_path: Path
) -> None:
    tree = FakePowercap(tmp_path / "powercap")
    environment["PERMILLE_POWERCAP"] = str(tree.root)
    runner = []
    for file in tree.root.rglob("energy_uj"):
        file.chmod(0o000)
        if os.geteuid() == 0:
            os.chown(file, 65534, 65534)
    if os.geteuid() == 0:  # root may read anything, unless that is taken from it
        runner = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    program = [*runner, sys.executable, "-m", "permille", "measure"]
    done = subprocess.run(
        [*program, "--json", "--", "sleep", "1"],
        env=environment, capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert found["provenance"] == "estimated"
    value, low, high = (found["energy_j"][k] for k in ("value", "low", "high"))
    assert low <= 0.8 * value
    assert high >= 1.6 * value
    words = subprocess.run(
        [*program, "--", "sleep", "0.1"],
        env=environment, capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert "not measured: rapl" in words.stdout
    assert "group" in words.stdout


def test_required_measured_exits_3_where_only_an_estimate_is_had(
    permille: Permille, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    finished = permille(
        "measure", "--require", "measured", "--", "true", code=3,
        PERMILLE_POWERCAP=str(tmp_path / "empty"), PERMILLE_METERS="rapl,estimate",
    )  # fmt: skip
    assert "only estimated" in finished.err


def test_no_meter_at_all_exits_3(permille: Permille, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    finished = permille(
        "measure", "--json", "--", "true", code=3,
        PERMILLE_POWERCAP=str(tmp_path / "empty"), PERMILLE_METERS="rapl",
    )  # fmt: skip
    assert len(finished.err.strip().splitlines()) == 1


def test_a_second_measurement_is_refused_unless_shared(
    permille: Permille, powercap: Driver, environment: dict[str, str], tmp_path: Path
) -> None:
    first = subprocess.Popen(
        [sys.executable, "-m", "permille", "measure", "--", "sleep", "600"],
        env=environment, cwd=tmp_path, stdout=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    lock = Path(environment["TMPDIR"]) / "permille.lock"
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not (lock.exists() and lock.read_text()) and time.monotonic() < deadline:
            time.sleep(0.05)
        finished = permille("measure", "--", "true", code=3)
        assert f"process {first.pid}" in finished.err
        assert "--shared" in finished.err
        found = permille("measure", "--shared", "--json", "--", "sleep", "0.5").json
        assert any("--shared" in note for note in found["notes"])
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
    # The lock does not outlive its holder's death.
    assert permille("measure", "--json", "--", "sleep", "0.5").json["valid"] is True


def test_an_unknown_meter_is_a_wrong_command(permille: Permille) -> None:
    finished = permille("measure", "--", "true", code=2, PERMILLE_METERS="rapll")
    assert "did you mean 'rapl'?" in finished.err


def test_explain_shows_what_the_interval_is_made_of(permille: Permille, powercap: Driver) -> None:
    words = permille("measure", "--repeats", "2", "--explain", "--", "sleep", "1").out
    assert "spread of 2 runs" in words
    assert "edges, ticks" in words
    assert "meter accuracy (cpu:0" in words
    found = permille("measure", "--repeats", "2", "--json", "--", "sleep", "1").json
    energy = found["energy_j"]
    high = math.hypot(*(part["high"] for part in found["uncertainty"]))
    assert energy["high"] == pytest.approx(energy["value"] * (1 + math.hypot(high)), rel=1e-9)


def test_a_meter_that_is_here_but_of_no_use_is_said(permille: Permille, tmp_path: Path) -> None:
    tree = FakePowercap(tmp_path / "powercap", dram=False)
    (tree.zones["cpu:0"] / "max_energy_range_uj").write_text("1000000")  # wraps in a millisecond
    root = str(tree.root)
    found = permille("measure", "--json", "--", "sleep", "2", PERMILLE_POWERCAP=root).json
    assert found["provenance"] == "estimated"
    (rapl,) = found["not_measured"]
    assert rapl["meter"] == "rapl"
    assert "wrap within 5 ms" in rapl["reason"]
    words = permille("measure", "--", "sleep", "2", PERMILLE_POWERCAP=root).out
    assert "not measured: rapl" in words


def test_required_measured_refuses_a_figure_that_is_estimated_all_the_same(
    permille: Permille, environment: dict[str, str], tmp_path: Path
) -> None:
    """A GPU that can be measured does not make a measurement of what is mostly an estimate."""
    fake = FakeNvml(tmp_path)
    fake.script("gpu0.power_mw=10", "gpu0.tick_ms=10")
    environment.update(fake.environment, PERMILLE_METERS="nvml,estimate")
    loose = permille("measure", "--json", "--", "sleep", "2").json
    assert loose["provenance"] == "estimated"
    finished = permille("measure", "--require", "measured", "--", "sleep", "2", code=3)
    assert "cpu:0" in finished.err
    assert len(finished.err.strip().splitlines()) == 1


def estimated(permille: Permille, tmp_path: Path, *arguments: str) -> Any:
    """On a machine that has CPU time and no counter."""
    (tmp_path / "empty").mkdir(exist_ok=True)
    empty = str(tmp_path / "empty")
    found = permille(
        "measure", "--json", *arguments, PERMILLE_POWERCAP=empty, PERMILLE_METERS="estimate"
    )
    return found.json


def test_the_same_command_twice_is_one_but_for_the_spread(
    permille: Permille, tmp_path: Path
) -> None:
    """The two coefficients of the estimate are common to both sides, without an idle baseline."""
    command = ("sleep", "1")
    # Others' work, which may come in one run and not in the next, would not cancel.
    arguments = ("-r", "3", "--without-others", "--", *command, "---", *command)
    found = estimated(permille, tmp_path, *arguments)
    energy, ratio = found["commands"][0]["energy_j"], found["ratio"]
    assert energy["high"] / energy["low"] > 1.5  # what watts a second takes is not known
    runs = [[run["energy_j"] for run in c["runs"]] for c in found["commands"]]
    logs = [math.log(a / b) for a, b in zip(*runs, strict=True)]
    half = 4.303 * statistics.stdev(logs) / math.sqrt(3)  # Student's t of two degrees of freedom
    model = next(u for u in found["commands"][0]["uncertainty"] if "model" in u["name"])
    assert math.log(ratio["high"] / ratio["value"]) <= math.hypot(half, model["high"] / 4)
    assert math.log(ratio["value"]) == pytest.approx(statistics.fmean(logs))


def test_the_work_of_others_can_be_left_out_of_an_estimate(
    permille: Permille, tmp_path: Path
) -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as neighbour:
        try:
            whole = estimated(permille, tmp_path, "--", "sleep", "1")
            alone = estimated(permille, tmp_path, "--without-others", "--", "sleep", "1")
        finally:
            neighbour.kill()
    assert whole["disturbed"] == 1.0
    assert any("other processes used" in note for note in whole["notes"])
    whole_w, alone_w = (one["energy_j"]["value"] / one["seconds"] for one in (whole, alone))
    assert alone_w < 0.9 * whole_w


def test_a_counter_cannot_leave_others_out_and_says_so(
    permille: Permille, powercap: Driver
) -> None:
    found = permille("measure", "--json", "--without-others", "--", "sleep", "0.5").json
    assert any(
        "cpu:0: the work of other processes cannot be separated" in n for n in found["notes"]
    )


def test_three_commands_are_compared_with_the_first(
    permille: Permille, powercap: Driver, tmp_path: Path
) -> None:
    files = [tmp_path / f"out.{form}" for form in ("md", "csv", "json")]
    arguments = (
        "-r", "2", "-L", "seconds", "0.2,0.4,0.8", "--command-name", "wait {seconds}",
        "--export-markdown", str(files[0]), "--export-csv", str(files[1]),
        "--export-json", str(files[2]), "--", "sleep", "{seconds}",
    )  # fmt: skip
    found = permille("measure", "--json", *arguments).json
    assert [c["name"] for c in found["commands"]] == ["wait 0.2", "wait 0.4", "wait 0.8"]
    assert [c["parameters"] for c in found["commands"]][1] == {"seconds": "0.4"}
    assert (found["reference"], found["ratio"]) == ("wait 0.2", None)
    assert [(r["a"], r["b"]) for r in found["ratios"]] == [
        ("wait 0.4", "wait 0.2"), ("wait 0.8", "wait 0.2"),
    ]  # fmt: skip
    first, *others = found["commands"]
    for ratio, other in zip(found["ratios"], others, strict=True):
        check_ratio(ratio["ratio"], other, first)
    assert json.loads(files[2].read_text()) == found
    assert files[0].read_text().count("| `wait ") == 3
    rows = list(csv.DictReader(files[1].read_text().splitlines()))
    assert [row["run"] for row in rows] == ["1", "2"] * 3
    assert {row["parameter_seconds"] for row in rows} == {"0.2", "0.4", "0.8"}
    shown = permille("measure", "--reference", "cheapest", *arguments).out
    assert "energy over wait 0.2" in shown
    (row,) = (line for line in shown.splitlines() if line.strip().startswith("wait 0.2  "))
    assert row.split()[-1] == "reference", "it has no ratio, and two runs"


def test_a_cleanup_that_fails_takes_no_result_away(permille: Permille, powercap: Driver) -> None:
    finished = permille("measure", "--json", "--cleanup", "exit 3", "--", "sleep", "0.5", code=1)
    assert finished.json["valid"] is True
    assert finished.err.splitlines() == [
        "permille: --cleanup 'exit 3' failed (exit 3); the result holds"
    ]


def test_a_file_that_cannot_be_written_takes_no_result_away(
    permille: Permille, powercap: Driver, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    files = ("--export-json", "out/x.json")
    finished = permille(
        "measure", "--json", *files, "--", "sh", "-c", "rmdir out; sleep 0.5", code=2
    )
    assert finished.json["valid"] is True
    assert "cannot write out/x.json" in finished.err


def test_commands_take_turns(permille: Permille, powercap: Driver, tmp_path: Path) -> None:
    line = "echo {name} >> order.txt; sleep 0.3"
    hooks = [f"--{hook}=echo {hook} {{name}} >> order.txt" for hook in ("setup", "cleanup")]
    around = [f"--{hook}=echo {hook} >> order.txt" for hook in ("prepare", "conclude")]
    permille(
        "measure", "--json", "-r", "2", "--shell", "default", "-L", "name", "a,b",
        *hooks, *around, "--", line,
    )  # fmt: skip
    words = (tmp_path / "order.txt").read_text().split("\n")
    assert words[:2] == ["setup a", "setup b"]
    assert words[-3:-1] == ["cleanup a", "cleanup b"]
    runs = words[2:-3]
    assert runs[0::3] == ["prepare"] * 4
    assert runs[2::3] == ["conclude"] * 4
    order = runs[1::3]
    assert sorted(order[:2]) == sorted(order[2:]) == ["a", "b"]
    assert order[:2] == order[:1:-1]  # each comes first once


def test_without_a_number_of_repeats_a_command_runs_for_three_seconds(
    permille: Permille, powercap: Driver
) -> None:
    found = permille("measure", "--json", "-m", "2", "-M", "30", "--", "sleep", "0.7").json
    seconds = [run["seconds"] for run in found["runs"]]
    assert sum(seconds) >= 3.0
    assert len(seconds) == 2 or sum(seconds[:-1]) < 3.0
    found = permille("measure", "--json", "-M", "2", "--", "sleep", "0.3").json
    assert len(found["runs"]) == 2


def read_input(tmp_path: Path) -> str:
    """A script that appends what it reads on standard input to a file."""
    script = tmp_path / "reader.py"
    script.write_text(
        "import sys, time; open('read.txt', 'a').write(repr(sys.stdin.read()) + ' ');"
        "time.sleep(0.3)"
    )
    return str(script)


def with_input(
    environment: dict[str, str], folder: Path, given: str, *arguments: str
) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-m", "permille", "measure", "--json", *arguments],
        input=given, env=environment, cwd=folder, capture_output=True, text=True,
        timeout=PATIENCE_S,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(
    ("arguments", "read", "noted"),
    [
        (["--"], "'piped' ", False),
        (["--repeats", "2", "--"], "'' '' ", True),
        (["--warmup", "1", "--"], "'' '' ", True),
        (["--repeats", "2", "--input", "given.txt", "--"], "'given' 'given' ", False),
        (["--input", "given.txt", "--"], "'given' ", False),
        (["--input", "null", "--"], "'' ", False),
    ],
)
def test_every_run_reads_the_same_input(
    powercap: Driver,
    environment: dict[str, str],
    tmp_path: Path,
    arguments: list[str],
    read: str,
    noted: bool,
) -> None:
    (tmp_path / "given.txt").write_text("given")
    command = [sys.executable, read_input(tmp_path)]
    found = with_input(environment, tmp_path, "piped", *arguments, *command)
    assert (tmp_path / "read.txt").read_text() == read
    assert any("--input FILE" in note for note in found["notes"]) is noted  # type: ignore[attr-defined]


def test_two_commands_read_the_same_input(
    powercap: Driver, environment: dict[str, str], tmp_path: Path
) -> None:
    command = [sys.executable, read_input(tmp_path)]
    found = with_input(environment, tmp_path, "piped", "--", *command, "---", *command)
    assert (tmp_path / "read.txt").read_text() == "'' '' "
    for each in found["commands"]:  # type: ignore[attr-defined]
        assert any("--input FILE" in note for note in each["notes"])


def daemon(tmp_path: Path) -> Path:
    """A script that leaves a process behind, in a session of its own, and returns."""
    script = tmp_path / "start.sh"
    script.write_text(
        "#!/bin/sh\n"
        "touch pids.txt; before=$(wc -l < pids.txt)\n"
        f'setsid {sys.executable} -c \'import os, time; open("pids.txt", "a").write('
        "str(os.getpid()) + chr(10)); time.sleep(600)' >/dev/null 2>&1 &\n"
        "while [ $(wc -l < pids.txt) = $before ]; do sleep 0.05; done\n"
        "sleep 0.5\n"
    )
    script.chmod(0o755)
    return script


def pids(tmp_path: Path) -> list[int]:
    return [int(line) for line in (tmp_path / "pids.txt").read_text().split()]


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_processes_left_running_are_noted_and_a_single_run_leaves_them(
    permille: Permille, powercap: Driver, tmp_path: Path
) -> None:
    found = permille("measure", "--json", "--", str(daemon(tmp_path))).json
    (pid,) = pids(tmp_path)
    assert alive(pid)
    os.kill(pid, signal.SIGKILL)
    (note,) = [n for n in found["notes"] if "left running" in n]
    assert "their energy is not in it" in note


def test_processes_left_running_do_not_run_beside_the_next_run(
    permille: Permille, powercap: Driver, tmp_path: Path
) -> None:
    found = permille("measure", "--json", "--repeats", "3", "--", str(daemon(tmp_path))).json
    first, second, third = pids(tmp_path)
    try:
        assert not alive(first)
        assert not alive(second)
        (note,) = [n for n in found["notes"] if "left running" in n]
        assert "by 3 of 3 runs" in note
        assert "stopped before the next run" in note
    finally:
        if alive(third):
            os.kill(third, signal.SIGKILL)


def test_what_prepare_left_running_is_not_of_the_command(
    permille: Permille, powercap: Driver, tmp_path: Path
) -> None:
    found = permille("measure", "--json", "--prepare", str(daemon(tmp_path)), "--", "sleep", "0.5")
    (pid,) = pids(tmp_path)
    assert alive(pid), "a server, say, whose energy in the meantime is in the figure"
    os.kill(pid, signal.SIGKILL)
    assert not any("left running" in note for note in found.json["notes"])


def test_what_setup_started_is_there_for_every_run(
    permille: Permille, powercap: Driver, tmp_path: Path
) -> None:
    hooks = ("--setup", str(daemon(tmp_path)), "--cleanup", "kill $(cat pids.txt)")
    look = "sleep 0.3; grep State /proc/$(cat pids.txt)/status >> states.txt"
    found = permille("measure", "--json", "-r", "2", *hooks, "--", "sh", "-c", look).json
    assert (tmp_path / "states.txt").read_text().count("sleeping") == 2
    assert not any("left running" in note for note in found["notes"])
    (pid,) = pids(tmp_path)
    await_that(lambda: not alive(pid))


def test_what_setup_started_ends_where_no_cleanup_follows(
    permille: Permille, powercap: Driver, tmp_path: Path
) -> None:
    hooks = ("--setup", str(daemon(tmp_path)), "--prepare", "exit 3")
    permille("measure", *hooks, "--", "sleep", "0.3", code=2)
    (pid,) = pids(tmp_path)
    assert not alive(pid)


def test_a_command_that_waits_for_its_children_has_no_such_note(
    permille: Permille, powercap: Driver
) -> None:
    found = permille("measure", "--json", "--", "sh", "-c", "sleep 0.3 & sleep 0.3; wait").json
    assert not any("left running" in note for note in found["notes"])


def test_which_run_was_killed_by_which_signal_is_said(permille: Permille, powercap: Driver) -> None:
    script = "echo run >> count; if [ $(wc -l < count) = 2 ]; then kill -9 $$; fi; sleep 0.3"
    found = permille("measure", "--json", "--repeats", "3", "--", "sh", "-c", script, code=1).json
    assert "was killed by SIGKILL (run 2 of 3)" in found["reason"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_told_to_stop_it_stops_the_command_too(
    powercap: Driver, environment: dict[str, str], tmp_path: Path, number: signal.Signals
) -> None:
    script = "echo $$ > pids.txt; sleep 600 & echo $! >> pids.txt; wait; true"
    process = subprocess.Popen(
        [sys.executable, "-m", "permille", "measure", "--", "sh", "-c", script],
        env=environment, cwd=tmp_path, stderr=subprocess.PIPE, text=True,
        # It is told of HUP even where this process is under nohup.
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    )  # fmt: skip
    file = tmp_path / "pids.txt"
    deadline = time.monotonic() + PATIENCE_S
    while not (file.exists() and len(file.read_text().split()) == 2):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(number)
    _, error = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 128 + number
    assert f"interrupted by {number.name}" in error
    assert not any(alive(pid) for pid in pids(tmp_path))


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_a_terminal_of_another_encoding_loses_nothing(
    permille: Permille, powercap: Driver, encoding: str
) -> None:
    command = ["sh", "-c", "sleep 0.4", "żł 日本"]
    words = permille("measure", "--", *command, PYTHONIOENCODING=encoding)
    assert "energy" in words.out
    assert "Traceback" not in words.err
    found = permille("measure", "--json", "--", *command, PYTHONIOENCODING=encoding).json
    assert found["command"] == command


@pytest.mark.parametrize(
    ("redirection", "words"),
    [
        (">&-", "energy   "),
        (">/dev/full", "cannot write standard output (No space left on device); the result:"),
        ("| true", "(Broken pipe); the result:"),
    ],
)
@pytest.mark.parametrize("option", ["", "--json"])
def test_a_result_that_standard_output_does_not_take_is_on_standard_error(
    powercap: Driver, environment: dict[str, str], tmp_path: Path,
    redirection: str, words: str, option: str,
) -> None:  # fmt: skip
    line = f"{sys.executable} -m permille measure {option} -- sleep 0.5 {redirection}"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line}"],
        env=environment, cwd=tmp_path, stderr=subprocess.PIPE, text=True, timeout=PATIENCE_S,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert (words in done.stderr) or (option and redirection == ">&-")
    assert ('"energy_j"' if option else "energy   ") in done.stderr
