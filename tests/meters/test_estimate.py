"""The estimate on fake /proc and cgroup trees: exact arithmetic, honest intervals."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from permille.meters import MeterUnavailable
from permille.meters.estimate import cpu_time
from permille.meters.estimate.cpu_time import parse_stat
from permille.meters.estimate.meter import EstimateMeter, open_meter
from permille.meters.estimate.watts import (
    UNKNOWN_HIGH,
    UNKNOWN_LOW,
    WATTS,
    architecture,
    thread_watts,
)
from permille.meters.processor import Processor, parse_cpuinfo

MILAN = (
    "vendor_id : AuthenticAMD\ncpu family : 25\nmodel : 1\nmodel name : AMD EPYC\nstepping : 1\n"
)


class Machine:
    """Fake files and a clock."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ns = 0
        self.write("meminfo", "MemTotal:       8000000 kB\nMemFree: 1 kB\n")
        self.write("cpuinfo", MILAN)
        self.write("self_cgroup", "0::/\n")
        self.stat()

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def stat(self, user: int = 0, iowait: int = 0, steal: int = 0) -> None:
        self.write(
            "stat",
            f"cpu  {user} 1 2 1000 {iowait} 3 4 {steal} 99 98\n"
            "cpu0 0 0 0 0 0 0 0 0 0 0\ncpu1 0 0 0 0 0 0 0 0 0 0\nintr 5 0\nctxt 12\n",
        )

    def open(self) -> EstimateMeter:
        return open_meter(
            stat=self.folder / "stat",
            cgroup=self.folder / "cgroup",
            self_cgroup=self.folder / "self_cgroup",
            cpuinfo=self.folder / "cpuinfo",
            meminfo=self.folder / "meminfo",
            clock_ns=lambda: self.ns,
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def spent(meter: EstimateMeter, machine: Machine, seconds: int) -> dict[str, float]:
    before = {r.domain: r.energy_j or 0.0 for r in meter.read()}
    machine.ns += seconds * 10**9
    return {r.domain: (r.energy_j or 0.0) - before[r.domain] for r in meter.read()}


def test_idle_and_busy_of_a_machine(machine: Machine) -> None:
    meter = machine.open()
    idle = spent(meter, machine, 10)
    assert idle["cpu:0"] == pytest.approx(2 * 0.456 * 10)
    assert idle["dram:0"] == pytest.approx(0.284 * 8.192 * 10)
    before = meter.read()[0].energy_j or 0.0
    machine.stat(user=500, iowait=700, steal=900)  # 5 s busy; waiting and stolen time are not
    assert (meter.read()[0].energy_j or 0.0) - before == pytest.approx((1.96 - 0.456) * 5)


def test_domains_are_labelled(machine: Machine) -> None:
    cpu, dram = machine.open().domains
    for domain in (cpu, dram):
        assert domain.provenance == "estimated"
        assert domain.meter == "estimate"
        assert domain.accuracy_low >= 0.20
        assert domain.accuracy_high >= 0.60
        assert domain.accuracy_source
    assert cpu.tick_s == 0.01
    assert cpu.resolution_j == pytest.approx(0.01 * 1.504)
    assert cpu.max_power_w == pytest.approx(2 * 2 * 1.96)  # twice what two CPUs draw when full
    assert dram.tick_s == 0.0


@given(
    st.lists(st.integers(0, 10**12), min_size=7, max_size=10),
    st.integers(1, 64),
)
def test_parse_stat_counts_what_was_busy(fields: list[int], cpus: int) -> None:
    lines = ["cpu  " + " ".join(map(str, fields))]
    lines += [f"cpu{n} " + " ".join(["0"] * 10) for n in range(cpus)]
    used, found = parse_stat("\n".join(lines), 100)
    assert found == cpus
    assert used.busy_s * 100 == pytest.approx(
        sum(fields[:3]) + fields[5] + fields[6], rel=1e-12, abs=1e-6
    )
    assert used.steal_s == (fields[7] / 100 if len(fields) > 7 else None)


@pytest.mark.parametrize("text", ["", "cpu 1 2 3", "cpu a b c d e f g\ncpu0 1", "intr 5\n"])
def test_a_stat_of_another_form_is_refused(machine: Machine, text: str) -> None:
    meter = machine.open()
    machine.write("stat", text)
    cpu, dram = meter.read()
    assert cpu.energy_j is None
    assert cpu.error is not None
    assert dram.error is None
    with pytest.raises(MeterUnavailable, match="CPU time cannot be read"):
        machine.open()


def test_steal_is_said(machine: Machine) -> None:
    meter = machine.open()
    assert meter.observe(frozenset()).notices == ()
    machine.ns += 10**9
    machine.stat(steal=1)  # 10 ms of 2 s: half a percent
    assert meter.observe(frozenset()).notices == ()
    machine.ns += 10**9
    machine.stat(steal=51)
    assert meter.observe(frozenset()).notices == (
        (None, "the hypervisor took 25 % of the CPU time (steal)"),
    )


@pytest.mark.parametrize("mount", ["cgroup", "cgroup/unified"])
@pytest.mark.parametrize("group", ["", "/app.slice"])
def test_cgroup_v2_with_a_limit(machine: Machine, mount: str, group: str) -> None:
    machine.write("self_cgroup", f"1:cpu:/\n0::{group or '/'}\n")
    machine.write(f"{mount}{group}/cpu.max", "150000 100000\n")
    machine.write(f"{mount}{group}/cpu.stat", "usage_usec 1000000\nuser_usec 1\n")
    machine.write(f"{mount}{group}/memory.max", "2000000000\n")
    meter = machine.open()
    used = spent(meter, machine, 10)
    assert used["cpu:0"] == pytest.approx(1.5 * 0.456 * 10)
    assert used["dram:0"] == pytest.approx(0.284 * 2 * 10)
    before = meter.read()[0].energy_j or 0.0
    machine.write(f"{mount}{group}/cpu.stat", "usage_usec 3500000\n")
    assert (meter.read()[0].energy_j or 0.0) - before == pytest.approx((1.96 - 0.456) * 2.5)
    assert "limited to 1.5 CPUs" in (meter.domains[0].device or "")
    machine.write(f"{mount}{group}/cpu.stat", "nonsense\n")
    assert meter.read()[0].error is not None


def test_cgroup_v1_with_a_limit(machine: Machine) -> None:
    machine.write("self_cgroup", "3:cpuacct:/host/path\n2:cpu:/host/path\n0::/\n")
    machine.write("cgroup/cpu/cpu.cfs_quota_us", "50000\n")
    machine.write("cgroup/cpu/cpu.cfs_period_us", "100000\n")
    machine.write("cgroup/cpuacct/cpuacct.usage", "1000000000\n")
    machine.write("cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")  # none
    meter = machine.open()
    used = spent(meter, machine, 10)
    assert used["cpu:0"] == pytest.approx(0.5 * 0.456 * 10)
    assert used["dram:0"] == pytest.approx(0.284 * 8.192 * 10)
    before = meter.read()[0].energy_j or 0.0
    machine.write("cgroup/cpuacct/cpuacct.usage", "3000000000\n")
    assert (meter.read()[0].energy_j or 0.0) - before == pytest.approx((1.96 - 0.456) * 2)


@pytest.mark.parametrize("version", [1, 2])
def test_a_cgroup_without_a_limit_leaves_the_machine(machine: Machine, version: int) -> None:
    if version == 2:
        machine.write("cgroup/cpu.max", "max 100000\n")
        machine.write("cgroup/cpu.stat", "usage_usec 5\n")
    else:
        machine.write("cgroup/cpu/cpu.cfs_quota_us", "-1\n")
        machine.write("cgroup/cpu/cpu.cfs_period_us", "100000\n")
        machine.write("cgroup/cpuacct/cpuacct.usage", "5\n")
    assert "2 CPUs" in (machine.open().domains[0].device or "")
    assert "limited" not in (machine.open().domains[0].device or "")


def test_no_memory_said_means_no_dram(machine: Machine) -> None:
    machine.write("meminfo", "")
    assert [domain.name for domain in machine.open().domains] == ["cpu:0"]


@pytest.mark.parametrize(
    ("family", "model", "stepping", "vendor", "name"),
    [
        (25, 1, 1, "AuthenticAMD", "EPYC 3rd Gen"),
        (25, 0x21, 0, "AuthenticAMD", None),  # a desktop Ryzen
        (26, 2, 1, "AuthenticAMD", None),  # EPYC 5th Gen: its published figures are doubtful
        (6, 0x55, 4, "GenuineIntel", "Skylake"),
        (6, 0x55, 7, "GenuineIntel", "Cascade Lake"),
        (6, 0x8F, 6, "GenuineIntel", "Sapphire Rapids"),
        (6, 1, 0, "GenuineIntel", None),
    ],
)
def test_architecture(
    family: int, model: int, stepping: int, vendor: str, name: str | None
) -> None:
    processor = Processor(vendor, family, model, "", stepping)
    assert architecture(processor) == name
    watts = thread_watts(processor)
    assert 0 < watts.idle_w < watts.full_w
    assert (watts.accuracy_high > 1) == (name is None)


def test_arm_and_silence_are_unknown() -> None:
    arm = parse_cpuinfo("processor : 0\nCPU implementer : 0x41\nCPU part : 0xd0c\n")
    assert arm == Processor("0x41", None, 0xD0C, "")
    assert thread_watts(arm).architecture == "unknown"
    assert parse_cpuinfo("") == Processor("", None, None, "")


def test_the_unknown_interval_holds_the_table() -> None:
    for column in (0, 1):
        figures = [pair[column] for pair in WATTS.values()]
        median = statistics.median(figures)
        assert median * (1 - UNKNOWN_LOW) <= min(figures)
        assert max(figures) <= median * (1 + UNKNOWN_HIGH)


def test_this_machine_is_estimated() -> None:
    meter = open_meter()
    first = meter.read()
    second = meter.read()
    assert {r.error for r in first + second} == {None}
    assert all((b.energy_j or 0) >= (a.energy_j or 0) for a, b in zip(first, second, strict=True))
    meter.close()


def test_without_proc_psutil_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    absent = tmp_path / "stat"
    monkeypatch.setattr(cpu_time, "STAT", absent)
    source = cpu_time.of_machine(absent)
    assert source.what.startswith("psutil")
    before = source.read()
    assert before.steal_s is None
    while source.read().busy_s <= before.busy_s:  # this loop is what is counted
        pass


def test_an_empty_limit_is_refused(machine: Machine) -> None:
    machine.write("cgroup/cpu.max", "0 0\n")
    with pytest.raises(MeterUnavailable, match="no quota"):
        machine.open()
