"""NVML: the real nvidia-ml-py over a library of ours, scripted while it runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from permille.meters.gpu_use import Sight, judge
from permille.meters.nvml import UNLISTED
from tests.nvml import LEAST, FakeNvml

PROGRAM = """
import json, os, sys
import msgspec
from permille.leaving import leave
from permille.meters import MeterUnavailable
from permille.meters.nvml import open_meter

def serve():
    meter = None
    try:
        meter = open_meter()
        answer = msgspec.to_builtins(meter.domains)
    except MeterUnavailable as error:
        answer = [error.reason, error.remedy, error.forbidden]
    print(json.dumps(answer), flush=True)
    for line in iter(open(0).readline, "close\\n"):
        pids = json.loads(line)
        if pids is None:
            print(json.dumps([reading._asdict() for reading in meter.read()]), flush=True)
        else:
            seen = meter.observe(frozenset(pids))
            used = None if seen.used is None else sorted(seen.used)
            print(json.dumps([used, seen.notices, seen.identity]), flush=True)
    if meter is not None:
        meter.close()
        meter.close()

while os.read(0, len("open\\n")):
    pid = os.fork()
    if pid == 0:
        serve()
        leave(0)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


class Driver:
    """A process that forks one for each meter, which has all imported when it opens it."""

    def __init__(self, library: FakeNvml, environment: dict[str, str]) -> None:
        self.script = library.script
        self._is_open = False
        self._process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            env=os.environ | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def open(self) -> Any:
        self._is_open = True
        return self._ask("open")

    def read(self) -> Any:
        return self._ask("null")

    def observe(self, *pids: int) -> Any:
        return self._ask(json.dumps(pids))

    def close(self) -> None:
        """Close the meter, if one is open: its process ends well."""
        if self._is_open:
            self._is_open = False
            assert self._ask("close") == 0

    def _ask(self, line: str) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
        self._process.communicate()
        assert self._process.returncode == 0


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    library = FakeNvml(tmp_path_factory.mktemp("nvml"))
    with Driver(library, library.environment) as driver:
        yield driver


@pytest.fixture
def nvml(driver: Driver) -> Iterator[Driver]:
    driver.script()
    yield driver
    driver.close()


def test_counter_of_each_gpu(nvml: Driver) -> None:
    nvml.script(
        "count=2",
        "gpu0.name=NVIDIA <script>alert(1)</script>",
        "gpu0.power_mw=350000",
        "gpu0.limit_mw=700000",
        "gpu1.energy_mj=123456789",
    )
    first, second = nvml.open()
    assert first["name"] == "gpu:0"
    assert first["device"] == "NVIDIA <script>alert(1)</script>"
    assert first["provenance"] == "measured"
    assert first["max_power_w"] == 1400.0
    assert first["resolution_j"] == 0.001
    assert first["tick_s"] is not None
    assert second["tick_s"] is None  # it stood still
    assert second["max_power_w"] == 1500.0
    (_, reading) = nvml.read()
    assert (reading["energy_j"], reading["power_w"]) == (123456.789, None)


def test_a_gpu_with_power_only_says_so(nvml: Driver) -> None:
    nvml.script("gpu0.energy_rc=3", "gpu0.power_mw=72500")
    (domain,) = nvml.open()
    assert (domain["accuracy_low"], domain["accuracy_high"]) == (0.05, 0.07)
    assert domain["sensor"]["window_s"] == 1.0  # architecture unknown: the worst
    assert "power integrated" in domain["accuracy_source"]
    assert domain["resolution_j"] is None
    (reading,) = nvml.read()
    assert (reading["energy_j"], reading["power_w"]) == (None, 72.5)


@pytest.mark.parametrize(
    ("script", "power_w", "window_s", "sampled", "offset_w"),
    [
        (("gpu0.capability=86",), 72.5, 1.0, 1.0, 10.0),
        (("gpu0.capability=86", "gpu0.instant_mw=91000"), 91.0, 0.1, 1.0, 10.0),
        (("gpu0.capability=80",), 72.5, 0.025, 0.25, 7.0),
        (("gpu0.capability=90",), 72.5, 1.0, 1.0, 7.0),
        (("gpu0.capability=90", "gpu0.instant_mw=91000"), 91.0, 0.025, 0.25, 7.0),
        (("gpu0.capability=75",), 72.5, 0.1, 1.0, 10.0),
        (("gpu0.capability=70",), 72.5, 0.01, 0.5, 7.0),
        (("gpu0.capability=61",), 72.5, 0.01, 0.5, 10.0),
        (("gpu0.capability=52",), 72.5, 0.1, 1.0, 10.0),
        (("gpu0.capability=35",), 72.5, 1.0, 1.0, 10.0),
        (("gpu0.capability=120", "gpu0.instant_mw=91000"), 91.0, 0.1, 0.25, 10.0),
        (("gpu0.instant_mw=91000",), 91.0, 0.1, 0.25, 10.0),
    ],
)
def test_a_power_reading_says_what_it_is(
    nvml: Driver,
    script: tuple[str, ...],
    power_w: float,
    window_s: float,
    sampled: float,
    offset_w: float,
) -> None:
    """Instant power comes before the average, and each is described by its architecture."""
    nvml.script("gpu0.energy_rc=3", "gpu0.power_mw=72500", *script)
    (domain,) = nvml.open()
    assert domain["sensor"]["window_s"] == window_s
    assert domain["sensor"]["sampled"] == sampled
    assert domain["offset_w"] == offset_w
    (reading,) = nvml.read()
    assert reading["power_w"] == power_w


def test_instant_power_that_fails_is_an_error_and_never_the_average(nvml: Driver) -> None:
    nvml.script("gpu0.energy_rc=3", "gpu0.power_mw=72500", "gpu0.instant_mw=91000")
    nvml.open()
    nvml.script(
        "gpu0.energy_rc=3", "gpu0.power_mw=72500", "gpu0.instant_mw=91000", "gpu0.instant_rc=999"
    )
    (reading,) = nvml.read()
    assert (reading["energy_j"], reading["power_w"]) == (None, None)
    assert reading["error"]


def test_a_counter_has_no_sensor_but_its_offset(nvml: Driver) -> None:
    nvml.script("gpu0.capability=90", "gpu0.instant_mw=91000", "gpu0.power_mw=350000")
    (domain,) = nvml.open()
    assert (domain["sensor"], domain["offset_w"]) == (None, 7.0)


def test_instant_power_is_read_beside_the_counter(nvml: Driver) -> None:
    """It is not a domain of its own, and its failure takes nothing from the counter's figure."""
    script = ("gpu0.capability=86", "gpu0.energy_mj=5000", "gpu0.instant_mw=91000")
    nvml.script(*script)
    (domain,) = nvml.open()
    assert domain["name"] == "gpu:0"
    began_ns = time.monotonic_ns()
    counter, power = nvml.read()
    passed_ns = time.monotonic_ns() - began_ns
    assert (counter["domain"], counter["energy_j"]) == ("gpu:0", 5.0)
    assert (power["domain"], power["power_w"]) == ("gpu:0 instant power", 91.0)
    # It is of the past, and was read after the counter.
    assert 0 <= 100_000_000 - (counter["t_ns"] - power["t_ns"]) <= passed_ns
    nvml.script(*script, "gpu0.instant_rc=999")
    counter, power = nvml.read()
    assert (counter["energy_j"], counter["error"]) == (5.0, None)
    assert (power["power_w"], bool(power["error"])) == (None, True)


def test_a_gpu_whose_instant_power_fails_is_measured_without_it(nvml: Driver) -> None:
    nvml.script("gpu0.energy_mj=5000", "gpu0.instant_mw=91000", "gpu0.instant_rc=999")
    nvml.open()
    (reading,) = nvml.read()
    assert reading["energy_j"] == 5.0


def test_a_figure_that_is_not_available_is_none(nvml: Driver) -> None:
    """Where NVML has no figure it may say so by the greatest number of the field."""
    nvml.script("gpu0.energy_mj=18446744073709551615", "gpu0.power_mw=72500")
    (domain,) = nvml.open()
    assert "power integrated" in domain["accuracy_source"]
    nvml.script("gpu0.power_mw=4294967295")
    (reading,) = nvml.read()
    assert (reading["energy_j"], reading["power_w"]) == (None, None)
    assert "not available" in reading["error"]


def test_a_limit_that_no_gpu_has_is_not_believed(nvml: Driver) -> None:
    nvml.script("gpu0.limit_mw=4294967295")
    assert nvml.open()[0]["max_power_w"] == 1500.0


def test_a_counter_that_goes_is_not_swapped_for_power(nvml: Driver) -> None:
    nvml.script("gpu0.energy_mj=5000")
    nvml.open()
    nvml.script("gpu0.energy_rc=3")
    (reading,) = nvml.read()
    assert (reading["energy_j"], reading["power_w"]) == (None, None)
    assert "Not Supported" in reading["error"]


def test_a_gpu_lost_and_found(nvml: Driver) -> None:
    nvml.script("count=2", "gpu0.energy_mj=5000", "gpu1.energy_mj=6000")
    nvml.open()
    nvml.script("count=2", "gpu0.rc=15", "gpu1.energy_mj=7000")
    lost, well = nvml.read()
    assert lost["energy_j"] is None
    assert "lost" in lost["error"]
    assert well["energy_j"] == 7.0
    used, notices, _ = nvml.observe(1)
    assert used is None  # the lost one may be the workload's: it must not look idle
    assert ["gpu:0", "NVML: GPU is lost"] in notices
    nvml.script("count=2", "gpu0.energy_mj=9000", "gpu1.energy_mj=7000")
    assert nvml.read()[0]["energy_j"] == 9.0


def test_a_gpu_lost_before_has_no_figure_and_may_be_in_use(nvml: Driver) -> None:
    nvml.script("count=2", "gpu0.rc=15", "gpu1.energy_mj=7000", "gpu1.pids=1")
    assert [domain["name"] for domain in nvml.open()] == ["gpu:1", "gpu:0"]
    well, lost = nvml.read()
    assert well["energy_j"] == 7.0
    assert (lost["energy_j"], lost["power_w"]) == (None, None)
    assert "GPU is lost" in lost["error"]
    assert nvml.observe(1)[0] is None  # nobody can tell: it counts as in use


def test_a_gpu_without_a_figure_is_missed_where_it_is_in_use(nvml: Driver) -> None:
    mine = os.getpid()
    script = ("count=2", f"gpu0.pids={mine}", "gpu1.energy_rc=4", "gpu1.power_rc=4")
    nvml.script(*script, f"gpu1.pids={mine}")
    assert [domain["name"] for domain in nvml.open()] == ["gpu:0", "gpu:1"]
    assert "let this user open /dev/nvidiactl" in nvml.read()[1]["error"]
    assert nvml.observe(mine)[0] == ["gpu:0", "gpu:1"]
    nvml.script(*script)
    assert nvml.observe(mine)[0] == ["gpu:0"]  # left idle, it is not missed


@pytest.mark.parametrize(
    ("script", "reason", "remedy", "forbidden"),
    [
        ("init=9", "Driver Not Loaded", "modprobe", False),
        ("init=4", "Insufficient Permissions", "/dev/nvidia", True),
        ("init=18", "mismatch", "reboot", False),
        ("count=0", "no GPU", "", False),
        ("gpu0.energy_rc=3\ngpu0.power_rc=3", "Not Supported", "", False),
        ("gpu0.energy_rc=4\ngpu0.power_rc=4", "Insufficient Permissions", "/dev/nvidia", True),
    ],
)
def test_unavailable(nvml: Driver, script: str, reason: str, remedy: str, forbidden: bool) -> None:
    nvml.script(script)
    said = nvml.open()
    assert reason in said[0]
    assert remedy in said[1]
    assert said[2] is forbidden


def test_no_driver_at_all(tmp_path: Path) -> None:
    with Driver(FakeNvml(tmp_path), {}) as driver:
        said = driver.open()
    assert "Not Found" in said[0]
    assert "--gpus all" in said[1]


def test_a_library_with_the_least_functions_measures_and_says_what_it_cannot_see(
    tmp_path: Path,
) -> None:
    library = FakeNvml(tmp_path, LEAST)
    with Driver(library, library.environment) as driver:
        (domain,) = driver.open()
        assert domain["device"] == "Least"
        assert domain["tick_s"] > 0
        (first,), (second,) = driver.read(), driver.read()
        assert first["error"] is None
        assert second["energy_j"] >= first["energy_j"] > 0
        used, notices, _ = driver.observe(1)
    assert used is None  # every GPU counts
    said = " ".join(text for _, text in notices)
    assert "does not list its processes" in said
    assert "throttling" in said


def test_throttling_mig_and_identity(nvml: Driver) -> None:
    nvml.script("gpu0.throttle=1")
    nvml.open()
    _, notices, before = nvml.observe()
    assert notices == []  # an idle clock is no throttle
    nvml.script("gpu0.throttle=68", "gpu0.mig=1", "driver=590.2")
    _, notices, after = nvml.observe()
    assert ["gpu:0", "throttled: power cap, heat (hardware)"] in notices
    assert any("MIG" in text for _, text in notices)
    assert before != after


def test_tenants_and_the_gpus_in_use(nvml: Driver) -> None:
    ours, other = os.getpid(), os.getppid()
    nvml.script("count=3", f"gpu0.pids={ours}", f"gpu1.graphics={other}", "gpu2.mig=0")
    nvml.open()
    used, notices, _ = nvml.observe(ours)
    assert used == ["gpu:0"]
    assert notices == [["gpu:1", f"another tenant: process {other}"]]
    nvml.script("count=3", "gpu0.pids_rc=4")
    used, notices, _ = nvml.observe(ours)
    assert used is None  # nobody can tell
    assert ["gpu:0", UNLISTED] in notices


def sight(domain: str = "gpu:0", *pids: int, busy: bool | None = False) -> Sight:
    return Sight(domain, frozenset(pids), busy)


def test_in_a_container_what_cannot_be_told_counts_as_in_use() -> None:
    sights = [sight("gpu:0", 900), sight("gpu:1", busy=True), sight("gpu:2"), sight("gpu:3", 7)]
    ours = frozenset({7})
    used, said = judge(sights, ours, sees_all=False, running=lambda pid: False)
    assert used == frozenset({"gpu:0", "gpu:1", "gpu:3"})
    assert [domain for domain, _ in said] == ["gpu:0", "gpu:1"]
    # On the host an id that is nowhere is a process that has just ended.
    assert judge(sights, ours, sees_all=True, running=lambda pid: False) == (
        frozenset({"gpu:3"}),
        [],
    )


def test_a_tenant_beside_the_workload_is_said() -> None:
    used, said = judge([sight("gpu:0", 7, 8)], frozenset({7}), True, lambda pid: True)
    assert used == frozenset({"gpu:0"})
    assert said == [("gpu:0", "another tenant: process 8")]


def test_one_gpu_that_tells_nothing_hides_no_tenant() -> None:
    sights = [Sight("gpu:0", None, None), sight("gpu:1", 7, 8)]
    used, said = judge(sights, frozenset({7}), True, lambda pid: True)
    assert used is None
    assert said == [("gpu:1", "another tenant: process 8")]
