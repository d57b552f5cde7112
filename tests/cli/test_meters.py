"""``permille meters``, as a program."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from permille.cli.commands.meters import Accuracy, ShownDomain, ShownMeter, print_tables
from permille.records.recording import Provenance
from tests.powercap import FakePowercap

pytestmark = pytest.mark.slow


def permille(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PERMILLE_")}
    return subprocess.run(
        [sys.executable, "-c", "from permille.cli import main; main()", *words],
        env=kept | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def listed(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    document = json.loads(done.stdout)
    assert document["schema"] == 1
    return {meter["meter"]: meter for meter in document["meters"]}


def test_json_with_rapl(tmp_path: Path) -> None:
    FakePowercap(tmp_path, limit_w=65.0)
    done = permille("meters", "--json", PERMILLE_POWERCAP=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    meters = listed(done)
    assert set(meters) >= {"rapl", "nvml", "estimate", "replay", "amd", "apple", "wall"}
    rapl = meters["rapl"]
    assert (rapl["available"], rapl["used"], rapl["reason"]) == (True, True, None)
    package = rapl["domains"][0]
    assert package["name"] == "cpu:0"
    assert package["provenance"] == "measured"
    assert package["resolution_j"] > 0
    assert package["tick_s"] is None
    assert package["accuracy"]["low"] == package["accuracy"]["high"]
    assert package["accuracy"]["source"]
    estimate = meters["estimate"]  # there, and said not to be used beside a measurement
    assert (estimate["available"], estimate["used"]) == (True, False)
    assert meters["wall"]["available"] is False
    assert "PERMILLE_WALL" in meters["wall"]["remedy"]


def test_a_package_that_cannot_be_read_is_listed_with_the_reason(tmp_path: Path) -> None:
    FakePowercap(tmp_path, packages=2).vanish("cpu:1")
    done = permille("meters", "--json", PERMILLE_POWERCAP=str(tmp_path))
    problems = {d["name"]: d["problem"] for d in listed(done)["rapl"]["domains"]}
    assert problems.pop("cpu:1").startswith("RAPL: it cannot be read: ")
    assert set(problems.values()) == {None}
    table = permille("meters", PERMILLE_POWERCAP=str(tmp_path)).stdout
    assert "cpu:1 cannot be read: RAPL: " in table


def test_table_without_a_counter(tmp_path: Path) -> None:
    done = permille("meters", PERMILLE_POWERCAP=str(tmp_path))  # a tree without a zone
    assert done.returncode == 0
    assert "estimated" in done.stdout
    assert "to unlock" in done.stdout
    assert "modprobe intel_rapl_msr" in done.stdout


def test_exit_code_where_nothing_can_be_used(tmp_path: Path) -> None:
    done = permille("meters", PERMILLE_POWERCAP=str(tmp_path / "absent"), PERMILLE_METERS="rapl")
    assert done.returncode == 3
    assert "no RAPL zones" in done.stdout


@pytest.mark.parametrize(
    ("variable", "value", "hint"),
    [
        ("PERMILLE_METERS", "rapI", "did you mean 'rapl'?"),
        ("PERMILLE_WALL", "192.168.1.20", "not a URL"),
        ("PERMILLE_REPLAY", "/nowhere/run.json", "not a recording"),
    ],
)
def test_a_wrong_variable_is_one_line(variable: str, value: str, hint: str) -> None:
    done = permille("meters", **{variable: value})
    assert done.returncode == 2
    assert done.stdout == ""
    assert hint in done.stderr
    assert done.stderr.count("\n") == 1


def test_resolutions_are_written_with_the_units_of_all_figures(
    capsys: pytest.CaptureFixture[str],
) -> None:
    domains = [
        ShownDomain(
            name=name, kind="node", provenance=Provenance.MEASURED, device=None, problem=None,
            resolution_j=resolution_j, tick_s=tick_s,
            accuracy=Accuracy(low=0.01, high=0.01, source="its maker"),
        )
        for name, resolution_j, tick_s in (("plug", 3600.0, 1.0), ("zone", 6.1e-5, None))
    ]  # fmt: skip
    meter = ShownMeter(meter="wall", available=True, used=True, reason=None, domains=tuple(domains))
    print_tables([meter])
    shown = capsys.readouterr().out
    assert "3.6 kJ" in shown
    assert "61 µJ" in shown
