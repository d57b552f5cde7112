"""The ``energy`` fixture in sessions of pytest of their own, on a counter of known power."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from permille.pytest_plugin.block import Ratio
from permille.records.energy import Estimate
from tests.conftest import PATIENCE_S, POWER_W, holds
from tests.powercap import Driver

pytestmark = pytest.mark.measuring

HEAD = "import time\nimport pytest\n\n"
SLEEPS = HEAD + (
    "def test_it(energy):\n"
    "    with energy(inferences=100, name='nap') as e:\n"
    "        time.sleep(0.3)\n"
)


def session(
    folder: Path, environment: dict[str, str], source: str, *options: str
) -> subprocess.CompletedProcess[str]:
    (folder / "test_user.py").write_text(source, encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options],
        cwd=folder,
        env={k: v for k, v in environment.items() if not k.startswith("PYTEST_")},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        stdin=subprocess.DEVNULL,
    )


def test_a_block_has_its_energy_in_the_summary_and_the_file(
    powercap: Driver, environment: dict[str, str], tmp_path: Path
) -> None:
    source = SLEEPS + "    e.below(joules=1000)\n"
    done = session(tmp_path, environment, source, "--energy-json", "energy.json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "test_user.py::test_it nap: " in done.stdout
    (block,) = json.loads((tmp_path / "energy.json").read_text())["blocks"]
    assert (block["test"], block["block"]) == ("test_user.py::test_it", "nap")
    assert holds(Estimate(**block["energy_j"]), POWER_W * block["seconds"])
    assert block["kwh_per_1000"]["value"] == pytest.approx(block["energy_j"]["value"] / 3.6e6 * 10)
    assert (block["provenance"], block["inferences"], block["valid"]) == ("measured", 100, True)


@pytest.mark.parametrize(
    ("joules", "said"),
    [("0.1", "is not below 0.1 J"), ("e.result.energy.value", "cannot tell: nap")],
)
def test_a_limit_below_or_inside_the_interval_fails(
    powercap: Driver, environment: dict[str, str], tmp_path: Path, joules: str, said: str
) -> None:
    done = session(tmp_path, environment, f"{SLEEPS}    e.below(joules={joules})\n")
    assert done.returncode == 1
    assert said in done.stdout


RATIO = HEAD + (
    "def block(energy, seconds, n=5):\n"
    "    with energy(inferences=n) as e:\n"
    "        for _ in range(4):\n"
    "            with e.repeat():\n"
    "                time.sleep(seconds)\n"
    "    return e\n\n"
    "def test_ratio(energy):\n"
)


def test_a_ratio_is_judged_by_its_interval(
    powercap: Driver, environment: dict[str, str], tmp_path: Path
) -> None:
    source = RATIO + (
        "    long, short = block(energy, 0.6), block(energy, 0.3)\n"
        "    ratio = long.ratio_to(short)\n"
        "    assert ratio.low < long.result.seconds / short.result.seconds < ratio.high\n"
        "    below, above = ratio.low * 0.99, ratio.high * 1.01\n"
        "    assert ratio > below\n"
        "    assert ratio < above\n"
        "    assert not ratio < below\n"
        "    assert not ratio > above\n"
        "    with pytest.raises(AssertionError, match='cannot tell'):\n"
        "        ratio < ratio.value\n"
        "    with pytest.raises(Exception, match='same number of inferences'):\n"
        "        long.ratio_to(block(energy, 0.1, n=6))\n"
    )
    done = session(tmp_path, environment, source)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_ratio_without_repeats_cannot_tell(
    powercap: Driver, environment: dict[str, str], tmp_path: Path
) -> None:
    source = SLEEPS + (
        "    with energy(inferences=100) as other:\n"
        "        time.sleep(0.3)\n"
        "    assert e.ratio_to(other) < 100\n"
    )
    done = session(tmp_path, environment, source)
    assert done.returncode == 1
    assert "put the work in each block in two or more e.repeat()" in done.stdout


def test_overlapping_blocks_are_refused(
    powercap: Driver, environment: dict[str, str], tmp_path: Path
) -> None:
    source = HEAD + (
        "def test_it(energy):\n    with energy():\n        with energy():\n            pass\n"
    )
    done = session(tmp_path, environment, source)
    assert done.returncode == 1
    assert "two energy blocks of a test overlap" in done.stdout


@pytest.mark.parametrize("where", ["marker", "call"])
def test_where_nothing_is_measured_a_test_that_requires_it_is_skipped(
    environment: dict[str, str], tmp_path: Path, where: str
) -> None:
    marker = "@pytest.mark.energy(require='measured')\n" if where == "marker" else ""
    call = "" if where == "marker" else "require='measured'"
    source = f"{HEAD}{marker}def test_it(energy):\n    with energy({call}):\n        assert False\n"
    done = session(
        tmp_path, environment | {"PERMILLE_METERS": "estimate"}, source, "-rs", "--strict-markers"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 skipped" in done.stdout
    assert "nothing here can be measured" in done.stdout


def test_an_unknown_setting_of_the_marker_is_an_error(
    environment: dict[str, str], tmp_path: Path
) -> None:
    source = f"{HEAD}@pytest.mark.energy(joules=3)\ndef test_it(energy):\n    pass\n"
    done = session(tmp_path, environment, source)
    assert done.returncode == 1
    assert "energy has no setting 'joules'" in done.stdout


def test_a_failed_block_is_reported_as_not_valid(
    powercap: Driver, environment: dict[str, str], tmp_path: Path
) -> None:
    done = session(tmp_path, environment, f"{SLEEPS}        raise ZeroDivisionError\n")
    assert done.returncode == 1
    assert "not valid: 1 of 1 spans ended with ZeroDivisionError" in done.stdout


def test_a_file_that_cannot_be_written_is_one_line_before_any_test(
    environment: dict[str, str], tmp_path: Path
) -> None:
    source = "def test_it():\n    open('ran', 'w').close()\n"
    done = session(tmp_path, environment, source, "--energy-json", "absent/energy.json")
    assert not (tmp_path / "ran").exists()
    assert done.returncode == 4
    assert "--energy-json: " in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_pytest_loads_nothing_heavy_through_the_plug_in(
    environment: dict[str, str], tmp_path: Path
) -> None:
    source = (
        "import sys\n\n"
        "def test_it(pytestconfig):\n"
        "    assert pytestconfig.pluginmanager.has_plugin('permille')\n"
        "    assert not {'numpy', 'scipy', 'msgspec', 'psutil'} & sys.modules.keys()\n"
    )
    # LangSmith's plug-in, which comes with LangChain, loads some of them itself.
    done = session(tmp_path, environment, source, "-p", "no:langsmith_plugin")
    assert done.returncode == 0, done.stdout + done.stderr


ALONGSIDE = HEAD + (
    "from pathlib import Path\n\n"
    "def note(name, edge):\n"
    "    with open('log', 'a') as log:\n"
    "        log.write(f'{name} {edge}\\n')\n\n"
    "@pytest.mark.parametrize('i', range(8))\n"
    "def test_plain(i):\n"
    "    note('plain', 'begins'); time.sleep(0.05); note('plain', 'ends')\n\n"
    "@pytest.mark.parametrize('i', range(2))\n"
    "def test_measured(energy, i):\n"
    "    note('measured', 'begins')\n"
    "    with energy():\n"
    "        time.sleep(0.3)\n"
    "    note('measured', 'ends')\n"
)


def test_under_xdist_no_other_test_runs_beside_one_that_measures(
    powercap: Driver, environment: dict[str, str], tmp_path: Path
) -> None:
    done = session(
        tmp_path, environment, ALONGSIDE, "-n", "3", "--dist", "load", "--energy-json", "e.json"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(json.loads((tmp_path / "e.json").read_text())["blocks"]) == 2
    lines = (tmp_path / "log").read_text().splitlines()
    assert len(lines) == 20
    running = 0
    for line in lines:
        name, edge = line.split()
        if name == "measured" and edge == "begins":
            assert running == 0
        if name == "measured" and edge == "ends":
            assert running == 1
        running += 1 if edge == "begins" else -1
    assert list(Path(environment["TMPDIR"]).glob("permille-*")) == []


def test_under_xdist_a_fixture_that_is_not_an_argument_is_refused(
    powercap: Driver, environment: dict[str, str], tmp_path: Path
) -> None:
    source = HEAD + (
        "def test_it(request):\n    with request.getfixturevalue('energy')():\n        pass\n"
    )
    done = session(tmp_path, environment, source, "-n", "2")
    assert done.returncode == 1
    assert "request energy as an argument of the test" in done.stdout


def test_a_figure_of_many_joules_is_written_out() -> None:
    assert (
        repr(Ratio(Estimate(value=1234.5, low=0.00051, high=None))) == "ratio 1,234 (no interval)"
    )
