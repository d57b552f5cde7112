"""``permille measure`` against a known power, on the real recorder and the real rapl meter."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import POWER_W, Permille
from tests.nvml import FakeNvml
from tests.powercap import Driver, FakePowercap

pytestmark = pytest.mark.measuring


def test_the_energy_of_a_command(permille: Permille, powercap: Driver) -> None:
    found = permille("measure", "--json", "--", "sleep", "1").json
    assert found["valid"] is True
    assert found["provenance"] == "measured"
    energy = found["energy_j"]
    assert energy["low"] < energy["value"] < energy["high"]
    assert energy["value"] == pytest.approx(POWER_W * found["seconds"], rel=0.05)
    assert found["domains"]["cpu:0"]["provenance"] == "measured"
    assert found["domains"]["cpu:0"]["energy_j"] == energy["value"]


def test_a_wrap_on_the_way_is_exact(permille: Permille, powercap: Driver) -> None:
    powercap.wrap_soon("cpu:0", left_uj=20_000_000)
    found = permille("measure", "--json", "--", "sleep", "1").json
    assert found["energy_j"]["value"] == pytest.approx(POWER_W * found["seconds"], rel=0.05)


def test_a_reset_on_the_way_leaves_no_figure(
    permille: Permille, powercap: Driver, tmp_path: Path
) -> None:
    pid = os.fork()
    if pid == 0:
        time.sleep(1.5)
        powercap.reset("cpu:0")
        os._exit(0)
    found = permille("measure", "--json", "--", "sleep", "3", code=1).json
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
    assert found["kwh_per_1000"]["value"] == pytest.approx(expected, rel=0.05)
    assert found["kwh_per_1000"]["low"] < expected < found["kwh_per_1000"]["high"]


def test_two_commands_and_their_ratio(permille: Permille, powercap: Driver, tmp_path: Path) -> None:
    table = tmp_path / "table.md"
    found = permille(
        "measure", "--json", "--repeats", "3", "--export-markdown", str(table), "--",
        "sleep", "0.8", "---", "sleep", "0.4",
    ).json  # fmt: skip
    assert [c["command"] for c in found["commands"]] == [["sleep", "0.8"], ["sleep", "0.4"]]
    assert found["ratio"]["low"] < found["ratio"]["value"] < found["ratio"]["high"]
    long, short = (c["seconds"] for c in found["commands"])
    assert found["ratio"]["value"] == pytest.approx(long / short, rel=0.1)
    assert "| `sleep 0.8` |" in table.read_text()


def test_net_is_above_idle(permille: Permille, powercap: Driver) -> None:
    found = permille("measure", "--json", "--idle", "1", "--", "sleep", "1").json
    assert abs(found["net_energy_j"]["value"]) < 0.1 * found["energy_j"]["value"]


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
        (["--export-markdown", "/no/folder/x.md", "--", "true"], "no such folder"),
        (["--export-markdown", "/", "--", "sleep", "0.3"], "cannot write /"),
        (["--pue", "0.5", "--", "true"], "at least 1"),
        (["--region", "Atlantis", "--", "true"], "Atlantis"),
        (["sleep", "1"], "unrecognized"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(
    permille: Permille, powercap: Driver, arguments: list[str], words: str
) -> None:
    finished = permille("measure", *arguments, code=2)
    assert words in finished.err
    assert len(finished.err.strip().splitlines()) == 1


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
        [sys.executable, "-m", "permille", "measure", "--", "sleep", "60"],
        env=environment, cwd=tmp_path, stdout=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    lock = Path(environment["TMPDIR"]) / "permille.lock"
    try:
        deadline = time.monotonic() + 20
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
    found = permille("measure", "--json", "--", "sleep", "0.5", PERMILLE_POWERCAP=root).json
    assert found["provenance"] == "estimated"
    (rapl,) = found["not_measured"]
    assert rapl["meter"] == "rapl"
    assert "wrap within 5 ms" in rapl["reason"]
    words = permille("measure", "--", "sleep", "0.5", PERMILLE_POWERCAP=root).out
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


def test_the_ratio_of_estimates_is_narrower_beside_a_baseline(
    permille: Permille, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()

    def width(*options: str) -> float:
        found = permille(
            "measure", "--json", "--repeats", "2", *options, "--", "sleep", "1", "---", "sleep",
            "1", PERMILLE_POWERCAP=str(tmp_path / "empty"), PERMILLE_METERS="estimate",
        ).json  # fmt: skip
        return float(found["ratio"]["high"] / found["ratio"]["low"])

    # Without one nothing cancels: the two could be wrong in opposite ways.
    assert width("--idle", "1") < width()
