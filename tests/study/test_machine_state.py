"""The state of a machine, from files such as Linux has; what is not there is None."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from permille.records.machine import MachineState
from permille.study.run.machine_state import (
    describe_state,
    digest,
    ids,
    platform_uuid,
    steal_share,
    temperature_c,
)
from tests.nvml import FakeNvml

ID = "3d1219c7c4c5404aaa1f6d2a48adfda4"


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_all_that_a_machine_tells(tmp_path: Path) -> None:
    cpu, hwmon = "sys/devices/system/cpu", "sys/class/hwmon"
    root = tree(
        tmp_path,
        {
            "proc/cpuinfo": "processor\t: 0\nmodel\t\t: 85\nmicrocode\t: 0x1000065\n",
            f"{cpu}/cpufreq/policy0/scaling_governor": "powersave\n",
            f"{cpu}/cpufreq/policy1/scaling_governor": "performance\n",
            f"{cpu}/intel_pstate/no_turbo": "1\n",
            "proc/loadavg": "0.52 1.00 1.20 1/100 4242\n",
            "proc/stat": "cpu  50 0 20 20 0 0 0 10 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n",
            f"{hwmon}/hwmon0/name": "coretemp\n",
            f"{hwmon}/hwmon0/temp1_input": "51000\n",
            f"{hwmon}/hwmon0/temp2_input": "48000\n",
            f"{hwmon}/hwmon1/name": "nvme\n",
            f"{hwmon}/hwmon1/temp1_input": "70000\n",
        },
    )
    state = describe_state(root)
    assert (state.microcode, state.governor, state.turbo) == (
        "0x1000065",
        "performance, powersave",
        False,
    )
    assert (state.load_1min, state.steal, state.temperature_c) == (0.52, 0.1, 51.0)
    assert state.kernel


def test_what_cannot_be_read_is_none(tmp_path: Path) -> None:
    assert describe_state(tmp_path) == MachineState(kernel=describe_state(tmp_path).kernel)
    assert ids(tmp_path) == (None, None)
    root = tree(
        tmp_path,
        {
            "etc/machine-id": "\n",
            "proc/loadavg": "nan 1 2",
            "proc/stat": "intr 5\n",
            "sys/class/thermal/thermal_zone0/type": "x86_pkg_temp\n",
            "sys/class/thermal/thermal_zone0/temp": "999000\n",
            "sys/devices/system/cpu/cpufreq/boost": "maybe\n",
        },
    )
    assert describe_state(root) == MachineState(kernel=describe_state(root).kernel)
    assert ids(root).machine is None


def test_a_thermal_zone_tells_the_temperature_too(tmp_path: Path) -> None:
    zone = "sys/class/thermal/thermal_zone0"
    root = tree(tmp_path, {f"{zone}/type": "cpu-thermal\n", f"{zone}/temp": "42500\n"})
    assert temperature_c(root) == 42.5


def test_the_ids_are_the_same_each_time_and_not_the_machines_own(tmp_path: Path) -> None:
    boot = "73320ac8-3299-48fb-90a0-b2cda07947a9"
    root = tree(
        tmp_path, {"etc/machine-id": f"{ID}\n", "proc/sys/kernel/random/boot_id": f"{boot}\n"}
    )
    found = ids(root)
    assert found == ids(root)
    assert found == (digest(ID), digest(boot))
    assert found.machine != found.boot
    assert ID[:8] not in str(found)
    assert digest(ID) != digest(ID[:-1] + "5")


def test_a_macs_id_is_read_from_its_registry() -> None:
    listing = '  "IOPlatformSerialNumber" = "C02"\n  "IOPlatformUUID" = "01AB-23CD"\n'
    assert platform_uuid(listing) == "01AB-23CD"
    assert platform_uuid("") is None


@pytest.mark.parametrize(
    "text", [None, "", "cpu 1 2 3", "cpu 0 0 0 0 0 0 0 0", "cpu a b c d e f g h"]
)
def test_a_share_of_steal_that_is_not_told_is_none(text: str | None) -> None:
    assert steal_share(text) is None


GPUS = """
from permille.meters.nvml_state import gpu_states
import msgspec, sys
sys.stdout.buffer.write(msgspec.json.encode(gpu_states()))
"""


def test_of_a_gpu_what_its_driver_tells(tmp_path: Path) -> None:
    import json
    import os

    fake = FakeNvml(tmp_path)
    fake.script("count=2", "driver=570.1", "gpu0.limit_mw=350000", "gpu1.rc=15")
    done = subprocess.run(
        [sys.executable, "-c", GPUS], env=os.environ | fake.environment, capture_output=True,
        check=True,
    )  # fmt: skip
    driver, (first, second) = json.loads(done.stdout)
    assert driver == "570.1"
    assert (first["name"], first["power_limit_w"]) == ("gpu:0", 350.0)
    assert first["device"]
    assert first["clock_mhz"] is None  # this driver has no such function
    assert {k: v for k, v in second.items() if k != "name"} == dict.fromkeys(
        ("device", "clock_mhz", "memory_clock_mhz", "power_limit_w", "temperature_c")
    )
